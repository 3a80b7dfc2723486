"""Numbers that an optimizer computes once for each update, of its learning rate and the update's number, as data: for native code."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from rnnspec.frozen import frozen

Operation: TypeAlias = Literal["constant", "rate", "steps", "power", "add", "subtract", "multiply", "divide", "root"]


@frozen
class StepNumber:
    """A float64: `value` of a constant; `value` to the power of the update's number, from 1, see `power`; or an operation on others."""

    operation: Operation
    operands: tuple[StepNumber, ...] = ()
    value: float = 0.0

    def __add__(self, other: StepNumber | float) -> StepNumber:
        return StepNumber("add", (self, number(other)))

    def __radd__(self, other: float) -> StepNumber:
        return number(other) + self

    def __sub__(self, other: StepNumber | float) -> StepNumber:
        return StepNumber("subtract", (self, number(other)))

    def __rsub__(self, other: float) -> StepNumber:
        return number(other) - self

    def __mul__(self, other: StepNumber | float) -> StepNumber:
        return StepNumber("multiply", (self, number(other)))

    def __rmul__(self, other: float) -> StepNumber:
        return number(other) * self

    def __truediv__(self, other: StepNumber | float) -> StepNumber:
        return StepNumber("divide", (self, number(other)))

    def __rtruediv__(self, other: float) -> StepNumber:
        return number(other) / self

    def __neg__(self) -> StepNumber:
        return StepNumber("constant", value=-0.0) - self


def number(given: StepNumber | float) -> StepNumber:
    """A number as data."""
    return given if isinstance(given, StepNumber) else StepNumber("constant", value=float(given))


RATE, STEPS = StepNumber("rate"), StepNumber("steps")
"""The learning rate, and the update's number, of which there are powers alone."""


def power(base: float, steps: int) -> float:
    """`base ** steps` by squaring: products alone, whose bits are the same on every machine, as a C library's `pow` isn't."""
    if isinstance(steps, StepNumber):  # an update's number as data
        return StepNumber("power", value=base)  # pyright: ignore[reportReturnType]
    result = 1.0
    while steps:
        if steps & 1:
            result *= base
        base *= base
        steps >>= 1
    return result


def root(given: float) -> float:
    """The square root, rounded once."""
    if isinstance(given, StepNumber):
        return StepNumber("root", (given,))  # pyright: ignore[reportReturnType]
    return math.sqrt(given)
