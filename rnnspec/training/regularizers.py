"""Penalties with their gradients, by Keras's formulas (keras.src.regularizers, 3.15); sums are float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.training.optimizers import CHUNK

SMALLEST_NORM = 1e-7
"""Keras's epsilon: a row is divided by its norm, or by this if that is less."""


class Penalty(Protocol):
    """A regularizer's penalty on one weight, or on one layer's output."""

    def __call__(self, values: Array, gradient: Array | None, scale: float) -> float:
        """`scale` times the penalty of `values`; its gradient is added to `gradient`, if there is one: same shape, both C-contiguous."""
        ...


def penalty(regularizer: Config) -> Penalty:
    """The penalty that a member of the catalogue means."""
    make = REGULARIZERS.get(regularizer.name)
    if make is None:
        raise InternalError(f"no regularizer is called {regularizer.name}")
    return make(**dict(regularizer.arguments))


def _sizes(l1: float = 0.0, l2: float = 0.0) -> Penalty:
    """l1 Σ|w| + l2 Σw²; the gradient of |w| at 0 is 0. Nothing is allocated by size."""

    def run(values: Array, gradient: Array | None, scale: float) -> float:
        flat, into = values.reshape(-1), None if gradient is None else gradient.reshape(-1)
        absolute = squared = 0.0
        for begin in range(0, flat.size, CHUNK):
            part, after = flat[begin : begin + CHUNK], None if into is None else into[begin : begin + CHUNK]
            if l1:
                absolute += float(np.abs(part).sum(dtype=np.float64))
                if after is not None:
                    after += scale * l1 * np.sign(part)
            if l2:
                squared += float(np.square(part, dtype=np.float64).sum())
                if after is not None:
                    after += scale * 2.0 * l2 * part
        return scale * (l1 * absolute + l2 * squared)

    return run


def _orthogonal(factor: float = 0.01, mode: str = "rows") -> Penalty:
    """The mean |cosine| between the rows, or the columns, of a matrix, over all pairs of them; 0 where there is no pair.

    (Keras divides by the number of pairs even if that is 0.)
    """

    def run(values: Array, gradient: Array | None, scale: float) -> float:
        rows = (values if mode == "rows" else values.T).astype(np.float64)
        pairs = len(rows) * (len(rows) - 1) / 2
        if not pairs:
            return 0.0
        norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        long = norms > SMALLEST_NORM
        inverse = 1.0 / np.maximum(norms, SMALLEST_NORM)
        unit = rows * inverse
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, 0.0)
        weight = scale * factor * 0.5 / pairs
        if gradient is None:
            return weight * float(np.abs(cosines).sum())
        by_unit = 2.0 * weight * (np.sign(cosines) @ unit)
        by_rows = inverse * (by_unit - np.where(long, unit * (by_unit * unit).sum(axis=1, keepdims=True), 0.0))
        gradient += by_rows if mode == "rows" else by_rows.T
        return weight * float(np.abs(cosines).sum())

    return run


REGULARIZERS: dict[str, Callable[..., Penalty]] = {"L1": _sizes, "L2": _sizes, "L1L2": _sizes, "OrthogonalRegularizer": _orthogonal}
"""By Keras's class names; arguments are Keras's."""
