"""Classes that one part of the data has and another one doesn't."""

from __future__ import annotations

import numpy as np

from rnnspec.contract.executable import Array

_SHOWN = 8


def missing_classes(train: Array, test: Array, of_train: str, of_test: str) -> str:
    """A warning's text about classes of `test` that `train` has no sample of; empty if there are none.

    `train`, `test`: classes, one a sample, (samples,). `of_train`, `of_test`: what the two are called.
    """
    missing = np.setdiff1d(test, train)
    if not len(missing):
        return ""
    share = np.isin(test, missing).mean()
    shown = ", ".join(map(str, missing[:_SHOWN].tolist())) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
    one = len(missing) == 1
    return (
        f"class{'' if one else 'es'} {shown} {'is' if one else 'are'} in {of_test} ({share:.0%} of its samples) and not in {of_train}: "
        "data in the order of its classes wants to be shuffled before it is split, as rnnspec.data.split does"
    )
