"""Argument types: the values that an argument accepts, each type with its words for diagnostics; `binding.bind` checks them."""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TypeAlias

from rnnspec.contract.arguments import REQUIRED, Flag, Float, Floats, Int, OneOf, Rate, Required, Texts
from rnnspec.contract.signature import ArgumentValue
from rnnspec.frozen import frozen


class Family(Enum):
    """A catalogue that a value is chosen from by name; the value is what diagnostics call one of its members."""

    ACTIVATION = "activation"
    INITIALIZER = "initializer"
    REGULARIZER = "regularizer"
    CONSTRAINT = "constraint"
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    METRIC = "metric"
    CALLBACK = "callback"
    SCHEDULE = "learning-rate schedule"


@frozen
class Integers:
    """A list of integers; a single integer is a list of length one."""

    example: str

    @property
    def expected(self) -> str:
        """The type in words, with the example of this argument."""
        return f"a list of whole numbers such as `{self.example}`"


@frozen
class AtBothEnds:
    """A number for the beginning and one for the end of a sequence; one alone is for both."""

    of: Int

    @property
    def expected(self) -> str:
        """The numbers that are taken, in words."""
        return f"{self.of.expected}, or a list of two, `[start, end]`"


@frozen
class Several:
    """A number, or a list of numbers; `length`: how many a list has, any number of them if it is None."""

    of: Int | Float
    length: int | None = None

    @property
    def expected(self) -> str:
        """The numbers that are taken, in words."""
        return f"{self.of.expected}, or a list of {'them' if self.length is None else self.length}"


@frozen
class Position:
    """The place of a step or a feature, `most` from the beginning, or below 0 from the end."""

    most: int = 1_000_000

    @property
    def expected(self) -> str:
        """In words."""
        return f"a whole number of at most {self.most}, below 0 from the end"


@frozen
class LayerName:
    """A name that the user gives to a layer."""

    @property
    def expected(self) -> str:
        """The type in words, which are the rule for identifiers."""
        return "a text of letters, digits and underscores that begins with a letter"


@frozen
class Text:
    """A text in quotes that a regular expression matches whole; `bare`: or a name, which stands for itself."""

    expected_text: str
    pattern: str = "(?s:.+)"
    bare: bool = False

    @property
    def expected(self) -> str:
        """In words."""
        return self.expected_text


@frozen
class WrittenPath:
    """The path of a file or folder that a training writes. `places`: it may have places for values, `{epoch:02d}`."""

    places: bool = False

    @property
    def expected(self) -> str:
        """In words."""
        return "a path in quotes, below the folder where the training runs"


@frozen
class ColumnNames:
    """The name of a column of data, or a list of those that stand side by side; a bare name stands for itself."""

    @property
    def expected(self) -> str:
        """In words, with an example."""
        return 'the name of a column such as `label` or `"stars (1-5)"`, or a list of them'


@frozen
class DataColumns:
    """Columns of data by what they are for, as arguments of `columns(...)`."""

    @property
    def expected(self) -> str:
        """In words, with an example."""
        return "columns of the data, such as `columns(x = text, y = label)`"


@frozen
class Either:
    """A value of one of several types, the first that takes it."""

    of: tuple[Flag | Int | Float | Several | OneOf | ChoiceOf, ...]
    expected_text: str

    @property
    def expected(self) -> str:
        """In words."""
        return self.expected_text


@frozen
class ChoiceOf:
    """A member of a catalogue, bare or with arguments."""

    family: Family

    @property
    def expected(self) -> str:
        """The type in words: `an activation`, `a loss`."""
        article = "a" if self.family.value[0] not in "aeiou" else "an"
        return f"{article} {self.family.value}"


@frozen
class ListOf:
    """A list of members of a catalogue."""

    family: Family

    @property
    def expected(self) -> str:
        """The type in words, with the brackets."""
        return f"a list of {self.family.value}s in `[` and `]`"


@frozen
class PerOutput:
    """One setting for all outputs, or a list with an entry for each, `none` included; a list of lists where a setting is a list."""

    of: ChoiceOf | ListOf | Float | Floats | Texts

    @property
    def lists(self) -> bool:
        """Whether a setting of one output is a list."""
        return isinstance(self.of, ListOf | Floats | Texts)

    @property
    def expected(self) -> str:
        """The type in words, for one output and for all."""
        several = "lists" if self.lists else "them"
        return f"{self.of.expected}, or a list of {several}, one for each output"


@frozen
class Axes:
    """An axis of a weight, or a list of axes; their range depends on the weight."""

    @property
    def expected(self) -> str:
        """The type in words."""
        return "an axis, or a list of axes"


@frozen
class RecurrentLayer:
    """A cell with its arguments, used as a layer."""

    @property
    def expected(self) -> str:
        """The type in words, with an example."""
        return "a recurrent layer such as `LSTM(64)`"


@frozen
class InnerLayer:
    """A layer that computes each step alone."""

    @property
    def expected(self) -> str:
        """The type in words, with an example."""
        return "a layer for each step such as `Dense(64)`"


@frozen
class Numbers:
    """A number, or a list of them."""

    @property
    def expected(self) -> str:
        """In words."""
        return "a number or a list of numbers"


@frozen
class CellList:
    """A cell with its arguments, or a list of them."""

    @property
    def expected(self) -> str:
        """The type in words, with an example."""
        return "a cell such as `LSTM(64)`, or a list of cells"


@frozen
class Named:
    """The name of a value of the graph, or a list of them."""

    @property
    def expected(self) -> str:
        """The type in words."""
        return "the name of a value, or a list of names"


@frozen
class DefaultOnly:
    """Known from Keras, without a use here: accepts the default, and those of `others` that mean the same as the default."""

    reason: str
    advice: str
    others: tuple[ArgumentValue, ...] = ()

    @property
    def expected(self) -> str:
        """The type in words."""
        return "its default"


@frozen
class AnyValue:
    """Any constant: the type of a parameter of the user's cell whose default doesn't imply another type."""

    @property
    def expected(self) -> str:
        """The type in words."""
        return "a value"


ArgumentType: TypeAlias = (
    Int
    | Integers
    | AtBothEnds
    | Several
    | Position
    | Float
    | Flag
    | Rate
    | LayerName
    | Text
    | Texts
    | WrittenPath
    | ColumnNames
    | DataColumns
    | OneOf
    | Either
    | ChoiceOf
    | ListOf
    | Floats
    | PerOutput
    | Axes
    | RecurrentLayer
    | InnerLayer
    | CellList
    | Numbers
    | Named
    | DefaultOnly
    | AnyValue
)


@frozen
class ArgumentSpec:
    """An argument: its name, type and default.

    `default`: as a spec would write it, names as texts; REQUIRED without one. `optional`: `none` is accepted too.
    `positional`: False for arguments that are given by keyword only.
    """

    name: str
    kind: ArgumentType
    default: ArgumentValue | Required = REQUIRED
    optional: bool = False
    positional: bool = True


@frozen
class Entry:
    """A member of a catalogue under its canonical name, with the other spellings that Keras knows for it."""

    name: str
    arguments: tuple[ArgumentSpec, ...] = ()
    spellings: tuple[str, ...] = field(default=())
