"""Kinds of arguments that a spec and a constructor in Python share, each with the words for it, and the arguments made of them."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

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


LARGEST_INT = 2**31 - 1
"""Whole numbers of arguments go up to here, and down to its negative."""


@frozen
class Int:
    """An integer from `minimum` to `maximum`."""

    minimum: int = 1
    maximum: int = LARGEST_INT

    @property
    def expected(self) -> str:
        """The type in words: `a whole number of at least 1`."""
        limits = [] if self.minimum <= -LARGEST_INT else [f"of at least {self.minimum}"]
        limits += [] if self.maximum >= LARGEST_INT else [f"of at most {self.maximum}"]
        return " ".join(["a whole number", " and ".join(limits)]).strip()


@frozen
class OneOf:
    """One of a few words, written bare or as a text."""

    words: tuple[str | None, ...]

    @property
    def expected(self) -> str:
        """The type in words: ``one of `concat`, `sum`, `none` ``."""
        return "one of " + ", ".join(f"`{'none' if word is None else word}`" for word in self.words)


@frozen
class Texts:
    """A list of different texts, or of names, which stand for themselves."""

    @property
    def expected(self) -> str:
        """In words, with an example."""
        return 'a list of different names such as `[negative, "very good"]`'


@frozen
class Floats:
    """A list of finite numbers."""

    @property
    def expected(self) -> str:
        """The type in words, with the brackets."""
        return "a list of numbers in `[` and `]`"


@frozen
class Rate:
    """A learning rate: a number of at least 0, or a schedule."""

    @property
    def expected(self) -> str:
        """In words."""
        return "a number of at least 0 or a learning-rate schedule"


@frozen
class Unused:
    """An argument of Keras's without a use here: None alone is taken. `reason`, `advice`: for messages."""

    reason: str
    advice: str


class Required(Enum):
    """The default of an argument that has none."""

    REQUIRED = "required"


REQUIRED = Required.REQUIRED

FRACTION = Float(0.0, 1.0, below_maximum=True)

POSITIVE = Float(0.0, above_minimum=True)

Shared: TypeAlias = Float | Flag | Int | OneOf | Floats | Texts | Rate | Unused


@frozen
class Argument:
    """One argument, for a spec and a constructor alike.

    `optional`: it may be none; `positional`: it may be given without its name; `default`: REQUIRED without one.
    """

    name: str
    kind: Shared
    default: float | int | bool | str | tuple[str, ...] | Required | None = REQUIRED
    optional: bool = False
    positional: bool = True
