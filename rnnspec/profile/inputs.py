"""A batch to profile a model with, of given sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnspec.contract.dimensions import names_in, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature, Signature
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import CallBatch
from rnnspec.runtime.data.validate import check_inputs


@frozen
class DrawnInputs:
    """What a user would pass: values and, if not all steps are real, lengths."""

    signature: Signature
    values: Mapping[str, Array]
    lengths: Mapping[str, Array] | None

    def batch(self) -> CallBatch:
        """Checked and packed."""
        return check_inputs(self.signature, self.values, lengths=self.lengths).batch()


def draw_inputs(signature: Signature, batch: int, time: int, real: float) -> DrawnInputs:
    """Normal numbers, and ids that repeat as words do; every dynamic length is `time`, the fraction `real` of its steps is real."""
    random = np.random.default_rng(0)
    values = {source.name: _drawn(source, batch, time, random) for source in signature.inputs}
    if real == 1:
        return DrawnInputs(signature, values, None)
    lengths = {source.name: spread_lengths(batch, values[source.name].shape[1], real) for source in signature.inputs if source.is_sequence}
    return DrawnInputs(signature, values, lengths or None)


def spread_lengths(batch: int, time: int, real: float) -> Array:
    """Lengths at equal distances around `real` times `time`, as far apart as fit between 0 and `time`."""
    mean = real * time
    reach = min(mean, time - mean)
    return np.rint(np.linspace(mean + reach, mean - reach, batch) if batch > 1 else np.full(batch, mean)).astype(np.int64)


def _drawn(source: InputSignature, batch: int, time: int, random: np.random.Generator) -> Array:
    shape = [value_of(extent, dict.fromkeys(names_in(extent), time)) for extent in source.shape]
    if not source.integer:
        return random.standard_normal((batch, *shape))
    vocabulary = source.vocabulary or 1
    ids = np.exp(random.random((batch, *shape)) * np.log(vocabulary)).astype(np.int64)
    return np.minimum(ids, vocabulary - 1)
