"""Predictions that aren't finite, told with the number in the data that they come from."""

from __future__ import annotations

import warnings

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.datafiles.predictions import Predictions, not_finite
from rnnspec.datafiles.sets import DataSet
from rnnspec.runtime.data.sample_errors import sample_error


def tell_not_finite(signature: Signature, data: DataSet, found: Predictions) -> None:
    """A warning, which names the place of the first number in the inputs of the first such sample that isn't finite, if one isn't."""
    wrong = not_finite(found)
    if wrong.any():
        others = int(np.count_nonzero(wrong)) - 1
        more = f"; nor are those of {others} other sample{'s' if others > 1 else ''}" if others else ""
        warnings.warn(f"{_cause(signature, data, int(wrong.argmax()))}{more}", stacklevel=2)


def _cause(signature: Signature, data: DataSet, sample: int) -> str:
    for spec in signature.inputs:
        given: Array = np.asarray(data.x[spec.name][sample])
        if given.dtype.kind == "f" and (places := np.argwhere(~np.isfinite(given))).size:
            entry = tuple(int(number) for number in places[0])
            step, feature = (entry[0], *entry[1:], None)[:2] if spec.is_sequence else (None, (*entry, None)[0])
            problem = f"it is {given[entry]}, and the prediction isn't finite"
            return str(data.origin.told(sample_error(f"input {spec.name}", sample, problem, step=step, feature=feature)))
    return f"sample {sample}: the prediction isn't finite"
