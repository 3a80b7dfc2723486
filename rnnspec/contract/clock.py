"""Clocks: at which of a stream's steps the steps of a sequence fall due, behind windows that wait for all that they see."""

from __future__ import annotations

from math import gcd

from rnnspec.contract.dimensions import AtLeastZero, CeilDiv, Dim, Name, Steps, Sum, Tokens
from rnnspec.frozen import frozen


@frozen
class Clock:
    """A sequence has its first step with the stream's step number `first`, counted from 1, and one more every `period` steps from there."""

    first: int = 1
    period: int = 1

    def either(self, other: Clock) -> Clock:
        """A clock of what comes from two sequences: from where both have begun, at each step of either, and maybe at others."""
        return Clock(max(self.first, other.first), gcd(self.period, other.period, self.first - other.first))


EVERY_STEP = Clock()


def clock_of_length(length: Dim) -> Clock | None:
    """The clock of a sequence whose length is this for a stream's so many steps; None where that is no clock.

    A window's number of steps is `ceil((time - ahead) / stride)`: it grows by one where a window has all that it sees.
    """
    match length:
        case Name():
            return EVERY_STEP
        case CeilDiv(dividend, divisor):
            clock = clock_of_length(dividend)
            return None if clock is None else Clock(clock.first, clock.period * divisor)
        case AtLeastZero(size):
            return clock_of_length(size)
        case Sum(terms=(first, last)) if first.coefficient == 1 and len(first.factors) == 1 and not last.factors and last.coefficient < 0:
            clock = clock_of_length(first.factors[0])
            return None if clock is None else Clock(clock.first - last.coefficient * clock.period, clock.period)
        case int() | Tokens() | Steps() | Sum():
            return None
