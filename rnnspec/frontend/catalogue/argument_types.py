"""What an argument may be. Each kind says in words what it expects; `arguments.py` checks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from rnnspec.contract.arguments import REQUIRED, Flag, Float, Required
from rnnspec.contract.signature import ArgumentValue


class Family(Enum):
    """A catalogue that a value is chosen from by name; the value is what diagnostics call one of its members."""

    ACTIVATION = "activation"
    INITIALIZER = "initializer"
    REGULARIZER = "regularizer"
    CONSTRAINT = "constraint"
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    METRIC = "metric"


@dataclass(frozen=True, slots=True)
class Int:
    """An integer of at least `minimum`."""

    minimum: int = 1
    maximum: int = 2**31 - 1

    @property
    def expected(self) -> str:
        return f"a whole number of at least {self.minimum}"


@dataclass(frozen=True, slots=True)
class Integers:
    """Integers in a list; one alone is a list of one."""

    example: str

    @property
    def expected(self) -> str:
        return f"a list of whole numbers such as `{self.example}`"


@dataclass(frozen=True, slots=True)
class AtBothEnds:
    """A number for the beginning and one for the end of a sequence; one alone is for both."""

    of: Int

    @property
    def expected(self) -> str:
        return f"{self.of.expected}, or a list of two, `[start, end]`"


@dataclass(frozen=True, slots=True)
class LayerName:
    """A name that the user gives to a layer."""

    @property
    def expected(self) -> str:
        return "a text of letters, digits and underscores that begins with a letter"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words, written bare or as a text."""

    words: tuple[str | None, ...]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(f"`{'none' if word is None else word}`" for word in self.words)


@dataclass(frozen=True, slots=True)
class ChoiceOf:
    """A member of a catalogue, bare or with arguments."""

    family: Family

    @property
    def expected(self) -> str:
        article = "a" if self.family.value[0] not in "aeiou" else "an"
        return f"{article} {self.family.value}"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of members of a catalogue."""

    family: Family

    @property
    def expected(self) -> str:
        return f"a list of {self.family.value}s in `[` and `]`"


@dataclass(frozen=True, slots=True)
class PerOutput:
    """One for all outputs, or a list with one for each, where `none` may stand; a list of lists where one is a list."""

    of: ChoiceOf | ListOf | Float

    @property
    def expected(self) -> str:
        several = "lists" if isinstance(self.of, ListOf) else "them"
        return f"{self.of.expected}, or a list of {several}, one for each output"


@dataclass(frozen=True, slots=True)
class Axes:
    """An axis of a weight, or several; which ones there are, the weight decides."""

    @property
    def expected(self) -> str:
        return "an axis, or a list of axes"


@dataclass(frozen=True, slots=True)
class RecurrentLayer:
    """A cell with its arguments, used as a layer."""

    @property
    def expected(self) -> str:
        return "a recurrent layer such as `LSTM(64)`"


@dataclass(frozen=True, slots=True)
class InnerLayer:
    """A layer that works on each step for itself."""

    @property
    def expected(self) -> str:
        return "a layer for each step such as `Dense(64)`"


@dataclass(frozen=True, slots=True)
class CellList:
    """A cell with its arguments, or a list of them."""

    @property
    def expected(self) -> str:
        return "a cell such as `LSTM(64)`, or a list of cells"


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a value of the graph, or a list of them."""

    @property
    def expected(self) -> str:
        return "the name of a value, or a list of names"


@dataclass(frozen=True, slots=True)
class NotYet:
    """Known from Keras, and not yet in this version: only its default is accepted."""

    @property
    def expected(self) -> str:
        return "its default"


@dataclass(frozen=True, slots=True)
class DefaultOnly:
    """Known from Keras, and of no use here: its default is accepted, and what of `others` means the same."""

    reason: str
    advice: str
    others: tuple[ArgumentValue, ...] = ()

    @property
    def expected(self) -> str:
        return "its default"


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Whatever the use makes of it: a parameter of a user's cell without a telling default."""

    @property
    def expected(self) -> str:
        return "a value"


ArgumentType: TypeAlias = (
    Int
    | Integers
    | AtBothEnds
    | Float
    | Flag
    | LayerName
    | OneOf
    | ChoiceOf
    | ListOf
    | PerOutput
    | Axes
    | RecurrentLayer
    | InnerLayer
    | CellList
    | Named
    | NotYet
    | DefaultOnly
    | AnyValue
)


@dataclass(frozen=True, slots=True)
class ArgumentSpec:
    """`default` as it would be written, names as texts; `optional`: `none` is accepted too."""

    name: str
    kind: ArgumentType
    default: ArgumentValue | Required = REQUIRED
    optional: bool = False
    positional: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a catalogue under its canonical name, with the other spellings that Keras knows for it."""

    name: str
    arguments: tuple[ArgumentSpec, ...] = ()
    spellings: tuple[str, ...] = field(default=())
