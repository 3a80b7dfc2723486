"""A cell's step with names resolved and shapes known: what the lowering turns into a scan's region.

Widths are those of one row. A term with `stepwise` has one row for each sequence of the batch; one
without is the same for all (a weight, or something computed of weights only).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, assert_never

from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.contract.signature import ArgumentValue, InitializerPart

ELEMENT_LIMIT = 2**31 - 1
"""Of one weight, and of one row."""


@dataclass(frozen=True, slots=True)
class TermShape:
    """() for a constant number, [w] for a row, [k, m] for a matrix, which is never stepwise."""

    dimensions: tuple[int, ...]
    stepwise: bool

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.dimensions))}]" if self.dimensions else "a number"


NUMBER = TermShape((), False)


class Elementwise(Enum):
    """The spelling in a spec."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MIN = "min"
    MAX = "max"


class Reduction(Enum):
    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Literal:
    value: float

    @property
    def shape(self) -> TermShape:
        return NUMBER


@dataclass(frozen=True, slots=True)
class Variable:
    """`x`, a state before (`h`) or after (`h'`) the step, or an equation's target."""

    name: str
    shape: TermShape


@dataclass(frozen=True, slots=True)
class WeightTerm:
    name: str
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Zeros:
    """What stands for a weight whose condition doesn't hold."""

    shape: TermShape


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Both sides have `shape`, or width 1, or are numbers; rows align with the last axis."""

    kind: Elementwise
    left: Term
    right: Term
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Negation:
    operand: Term

    @property
    def shape(self) -> TermShape:
        return self.operand.shape


@dataclass(frozen=True, slots=True)
class Applied:
    """A function of `functions.py`, elementwise or over the last axis; the shape stays."""

    function: str
    options: tuple[tuple[str, ArgumentValue], ...]
    operand: Term

    @property
    def shape(self) -> TermShape:
        return self.operand.shape


@dataclass(frozen=True, slots=True)
class Product:
    """A stepwise row [k] times a matrix [k, m]."""

    left: Term
    right: Term
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Reduced:
    """Over the units: a row [w] to [1]."""

    kind: Reduction
    operand: Term
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a matrix: [k, m] to [m]."""

    matrix: Term
    position: int
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows one after the other."""

    parts: tuple[Term, ...]
    shape: TermShape


@dataclass(frozen=True, slots=True)
class Spread:
    """A number, a weight row or a row of width 1, repeated to a full row of the step."""

    operand: Term
    shape: TermShape


Term: TypeAlias = Literal | Variable | WeightTerm | Zeros | Pairwise | Negation | Applied | Product | Reduced | Row | Joined | Spread


def operands(term: Term) -> tuple[Term, ...]:
    """What a term is made of."""
    match term:
        case Literal() | Variable() | WeightTerm() | Zeros():
            return ()
        case Pairwise() | Product():
            return term.left, term.right
        case Negation() | Applied() | Reduced() | Spread():
            return (term.operand,)
        case Row():
            return (term.matrix,)
        case Joined():
            return term.parts
        case _:
            assert_never(term)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Several targets cut the value's last axis into equal parts."""

    targets: tuple[str, ...]
    value: Term
    location: Location = field(default=UNKNOWN, compare=False)


@dataclass(frozen=True, slots=True)
class CellWeight:
    name: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class CellState:
    """Zero before the first step."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Step:
    """A cell for inputs of `features` features: one step of its recurrence."""

    cell: str
    features: int
    weights: tuple[CellWeight, ...]
    states: tuple[CellState, ...]
    assignments: tuple[Assignment, ...]
    output: Term
    output_location: Location = field(default=UNKNOWN, compare=False)

    @property
    def width(self) -> int:
        """Of the output."""
        return self.output.shape.dimensions[0]
