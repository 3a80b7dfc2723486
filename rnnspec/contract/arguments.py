"""Kinds of arguments that a spec and a constructor in Python share, each with the words for it."""

from __future__ import annotations

from enum import Enum

from rnnspec.frozen import frozen


@frozen
class Float:
    """A finite number from `minimum` to `maximum`; `below_maximum` leaves the maximum out, `above_minimum` the minimum."""

    minimum: float | None = None
    maximum: float | None = None
    below_maximum: bool = False
    above_minimum: bool = False

    @property
    def expected(self) -> str:
        """The numbers that are taken, in words."""
        limits: list[str] = []
        if self.minimum is not None:
            limits.append(f"above {self.minimum:g}" if self.above_minimum else f"of at least {self.minimum:g}")
        if self.maximum is not None:
            limits.append(f"below {self.maximum:g}" if self.below_maximum else f"of at most {self.maximum:g}")
        return " ".join(["a number", " and ".join(limits)]).strip()

    @property
    def interval(self) -> str:
        """The limits in short: `from 0 to below 1`, `above 0`; empty without limits."""
        least = "" if self.minimum is None else f"{'above' if self.above_minimum else 'from'} {self.minimum:g}"
        most = "" if self.maximum is None else f"to {'below ' if self.below_maximum else ''}{self.maximum:g}"
        return f"{least} {most}".strip()

    def holds(self, value: float) -> bool:
        """Whether a finite number lies within the limits."""
        low = self.minimum is None or value > self.minimum or (value == self.minimum and not self.above_minimum)
        high = self.maximum is None or value < self.maximum or (value == self.maximum and not self.below_maximum)
        return low and high


@frozen
class Flag:
    """True or false."""

    @property
    def expected(self) -> str:
        """The two words."""
        return "true or false"


class Required(Enum):
    """The default of an argument that has none."""

    REQUIRED = "required"


REQUIRED = Required.REQUIRED

FRACTION = Float(0.0, 1.0, below_maximum=True)
