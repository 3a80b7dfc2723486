"""Constraints: projections of a weight after an update, by Keras's formulas (keras.src.constraints, 3.15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError

EPSILON = 1e-7
"""Keras adds it to a norm before dividing by it: a weight within its limit shrinks a little too."""

Constraint: TypeAlias = Callable[[Array], None]
"""Changes a weight, in its shape, in place."""

Axis: TypeAlias = int | tuple[int, ...]


def constraint(chosen: Config) -> Constraint:
    """The constraint that a member of the catalogue means."""
    make = CONSTRAINTS.get(chosen.name)
    if make is None:
        raise InternalError(f"no constraint is called {chosen.name}")
    return make(**dict(chosen.arguments))


def _non_negative() -> Constraint:
    def run(weight: Array) -> None:
        np.maximum(weight, 0.0, out=weight)

    return run


def _normed(axis: Axis, desired: Callable[[Array], Array]) -> Constraint:
    """Scales the weights along the axes from their norm to the desired one."""

    def run(weight: Array) -> None:
        with np.errstate(all="ignore"):
            norms = np.sqrt(np.square(weight).sum(axis=axis, keepdims=True))
            weight *= desired(norms) / (norms + EPSILON)

    return run


def _maximum_norm(max_value: float = 2.0, axis: Axis = 0) -> Constraint:
    return _normed(axis, lambda norms: np.clip(norms, 0.0, max_value))


def _unit_norm(axis: Axis = 0) -> Constraint:
    return _normed(axis, np.ones_like)


def _norm_between(min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> Constraint:
    return _normed(axis, lambda norms: rate * np.clip(norms, min_value, max_value) + (1.0 - rate) * norms)


CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "MaxNorm": _maximum_norm,
    "NonNeg": _non_negative,
    "UnitNorm": _unit_norm,
    "MinMaxNorm": _norm_between,
}
"""By Keras's class names; arguments are Keras's."""
