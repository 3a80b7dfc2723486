"""The cell IR: one step of a cell with names resolved and shapes known; the lowering makes a scan's region of it.

Widths are those of one row. A term with `stepwise` has a row for each sequence of the batch; a term without it is a weight, or
computed of weights only, and the same for all sequences.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TypeAlias, assert_never

from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.contract.signature import InitializerPart
from rnnspec.frozen import frozen

ELEMENT_LIMIT = 2**31 - 1
"""The most elements of a weight or a row: more don't fit a 32-bit index."""

POSITION_LIMIT = 2**24
"""The most numbers of `positions`: float32 counts by ones up to there."""


@frozen
class TermShape:
    """() for a constant number, [w] for a row, [k, m] for a matrix, which is never stepwise."""

    dimensions: tuple[int, ...]
    stepwise: bool

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.dimensions))}]" if self.dimensions else "a number"


NUMBER = TermShape((), False)


class Elementwise(Enum):
    """The spelling in a spec; the names are those of the IR's kinds."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MIN = "min"
    MAX = "max"
    POW = "pow"


class Comparison(Enum):
    """The spelling in a spec; the names are those of the IR's kinds."""

    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="


class Reduction(Enum):
    """A reduction over the units of a row; the value is its spelling in a spec."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"


@frozen
class Literal:
    """A number known when the spec is compiled; broadcasts to any shape."""

    value: float

    @property
    def shape(self) -> TermShape:
        """The shape of a number, ()."""
        return NUMBER


@frozen
class Variable:
    """A value of the step: `x`, a state before (`h`) or after (`h'`) its update, or an equation's target."""

    name: str
    shape: TermShape


@frozen
class WeightTerm:
    """A weight of the cell: [w] or [k, m]."""

    name: str
    shape: TermShape


@frozen
class Zeros:
    """Zeros in place of a weight whose condition doesn't hold."""

    shape: TermShape


@frozen
class Positions:
    """The row 0, 1, ..., w - 1, the same in every step."""

    shape: TermShape


@frozen
class Pairwise:
    """An elementwise operation on two terms. Each has the result's `shape`, or width 1, or is a number; rows align with the last axis."""

    kind: Elementwise
    left: Term
    right: Term
    shape: TermShape


@frozen
class Negation:
    """The operand with its sign changed."""

    operand: Term

    @property
    def shape(self) -> TermShape:
        """The operand's shape."""
        return self.operand.shape


@frozen
class Applied:
    """An elementwise function of the language, one of `functions.ELEMENTARY`; the shape stays."""

    function: str
    operand: Term

    @property
    def shape(self) -> TermShape:
        """The operand's shape."""
        return self.operand.shape


@frozen
class Product:
    """A stepwise row [k] times a matrix [k, m]."""

    left: Term
    right: Term
    shape: TermShape


@frozen
class Reduced:
    """A reduction over the units: [w] to [1]."""

    kind: Reduction
    operand: Term
    shape: TermShape


@frozen
class Row:
    """One row of a matrix, [k, m] to [m], or one unit of a row, [w] to [1]."""

    matrix: Term
    position: int
    shape: TermShape


@frozen
class Joined:
    """A concatenation of rows."""

    parts: tuple[Term, ...]
    shape: TermShape


@frozen
class Spread:
    """A broadcast of a number, a weight row or a row of width 1 to a full row of the step."""

    operand: Term
    shape: TermShape


@frozen
class Compared:
    """A comparison, element by element; its sides as those of a `Pairwise`."""

    kind: Comparison
    left: Term
    right: Term
    shape: TermShape


@frozen
class Combined:
    """`left and right`, or `left or right`, element by element."""

    both: bool
    left: Condition
    right: Condition
    shape: TermShape
    comparisons: int
    """In both sides, those of conditions that a name stands for at each place."""


Condition: TypeAlias = Compared | Combined
"""What is true or false of each unit in each step; no number, and only what `where` chooses by."""


@frozen
class Choice:
    """`where(condition, on_true, on_false)`; all three repeat to `shape`."""

    condition: Condition
    on_true: Term
    on_false: Term
    shape: TermShape


Term: TypeAlias = (
    Literal | Variable | WeightTerm | Zeros | Positions | Pairwise | Negation | Applied | Product | Reduced | Row | Joined | Spread | Choice
)


def operands(term: Term) -> tuple[Term, ...]:
    """The terms from which a term is computed."""
    match term:
        case Literal() | Variable() | WeightTerm() | Zeros() | Positions():
            return ()
        case Pairwise() | Product():
            return term.left, term.right
        case Negation() | Applied() | Reduced() | Spread():
            return (term.operand,)
        case Row():
            return (term.matrix,)
        case Joined():
            return term.parts
        case Choice():
            return (*compared(term.condition), term.on_true, term.on_false)
        case _:
            assert_never(term)


def compared(condition: Condition) -> tuple[Term, ...]:
    """What a condition compares."""
    match condition:
        case Compared():
            return condition.left, condition.right
        case Combined():
            return (*compared(condition.left), *compared(condition.right))
        case _:
            assert_never(condition)


@frozen
class Assignment:
    """An equation: `targets` name equal parts of the value's last axis, or the whole value if there is a single target."""

    targets: tuple[str, ...]
    value: Term
    location: Location = field(default=UNKNOWN, compare=False)


@frozen
class CellWeight:
    """A weight of a cell: a row (w,) or a matrix (k, m), with its initializers along the last axis."""

    name: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True


@frozen
class CellState:
    """A state of a cell, (batch, width); zero before the first step."""

    name: str
    width: int


@frozen
class Step:
    """One step of a cell's recurrence for inputs of width `features`. Assignments are in order of evaluation."""

    cell: str
    features: int
    weights: tuple[CellWeight, ...]
    states: tuple[CellState, ...]
    assignments: tuple[Assignment, ...]
    output: Term
    output_location: Location = field(default=UNKNOWN, compare=False)

    @property
    def width(self) -> int:
        """The output's width."""
        return self.output.shape.dimensions[0]
