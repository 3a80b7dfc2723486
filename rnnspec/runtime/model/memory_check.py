"""A check that a model's weights fit into the machine, before they are allocated: a system that overcommits would kill the process."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnnspec.contract.signature import Signature, WeightSignature
from rnnspec.files import physical_memory

_DRAWN = np.dtype(np.float64).itemsize
"""Bytes of an element as it is drawn."""

_AT_WORK = 3 * _DRAWN
"""Bytes for each element of the weight being drawn: orthogonal's normal numbers, LAPACK's copy and the factor."""


def require_memory(signature: Signature, *, drawn: bool) -> None:
    """MemoryError if making the weights takes more bytes than the machine has; `drawn`: from their initializers."""
    needed, there = bytes_for(signature.weights, np.dtype(signature.dtype).itemsize, drawn=drawn), physical_memory()
    if there is not None and needed > there:
        count = sum(math.prod(weight.shape) for weight in signature.weights)
        sizes = f"about {needed / 2**30:,.1f} GiB, this machine has {there / 2**30:,.1f} GiB"
        raise MemoryError(f"model {signature.model}: making its {count:,} weights takes {sizes}")


def bytes_for(weights: Sequence[WeightSignature], itemsize: int, *, drawn: bool) -> int:
    """The flat array and the checked values that go into it; drawn values, and what drawing the largest takes, on top."""
    counts = [math.prod(weight.shape) for weight in weights]
    return sum(counts) * (2 * itemsize + (_DRAWN if drawn else 0)) + (_AT_WORK * max(counts, default=0) if drawn else 0)
