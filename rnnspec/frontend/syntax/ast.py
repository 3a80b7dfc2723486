"""The syntax tree of a spec: what was written, nothing resolved. A node's span takes no part in equality."""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from rnnspec.frozen import frozen
from rnnspec.source import Span


@frozen
class Node:
    """A node of the syntax tree with its place in the text."""

    span: Span = field(compare=False, repr=False)


@frozen
class Identifier(Node):
    """A name that is declared, called or assigned."""

    text: str


@frozen
class Number(Node):
    """A numeric literal; infinite if it exceeds float64's range."""

    value: int | float


@frozen
class Text(Node):
    """A string literal, without its quotes."""

    value: str


@frozen
class Boolean(Node):
    """`true` or `false`."""

    value: bool


@frozen
class Nothing(Node):
    """The literal `none`."""


@frozen
class Name(Node):
    """A name in an expression: `h`, or with `primed` `h'`, the state after the step."""

    text: str
    primed: bool = False

    @property
    def spelling(self) -> str:
        """The name as written, with its prime."""
        return f"{self.text}'" if self.primed else self.text


@frozen
class List(Node):
    """`[a, b]` in an expression."""

    items: tuple[Expression, ...]


@frozen
class Argument(Node):
    """An argument of a call; `name` is None for a positional one."""

    name: Identifier | None
    value: Expression


@frozen
class Call(Node):
    """`callee(argument, name = argument)`: a layer, cell, block, function or catalogue entry with arguments."""

    callee: Identifier
    arguments: tuple[Argument, ...]


@frozen
class Unary(Node):
    """A prefix operation; `operator` is `-` or `not`."""

    operator: str
    operand: Expression


@frozen
class Binary(Node):
    """An infix operation; `operator` is one of `+ - * / @ < <= > >= == != and or`."""

    operator: str
    left: Expression
    right: Expression


@frozen
class Conditional(Node):
    """`on_true if condition else on_false`."""

    on_true: Expression
    condition: Expression
    on_false: Expression


@frozen
class Subscript(Node):
    """`value[position]`."""

    value: Expression
    position: Expression


Expression: TypeAlias = Number | Text | Boolean | Nothing | Name | List | Call | Unary | Binary | Conditional | Subscript


@frozen
class Bound(Node):
    """A limit of a parameter's numbers; `strict` leaves it out."""

    value: Expression
    strict: bool


@frozen
class Range(Node):
    """`low <= word[length] <= high`: the values of a sort, such as `int` or `floats`; each bound and the length may be left out."""

    word: Identifier
    low: Bound | None = None
    high: Bound | None = None
    length: Expression | None = None


SORTS = ("int", "ints", "float", "floats", "bool", "activation", "initializer")
"""The words for sorts of values. `ints` and `floats` are one number, or a list of them."""

Alternative: TypeAlias = Text | Nothing | Range
"""What a parameter may be: this text, `none`, or the values of a sort."""


@frozen
class Parameter(Node):
    """A parameter of a declaration; `default` is None for a required parameter, `kind` is empty if it isn't said what it may be."""

    name: Identifier
    default: Expression | None
    kind: tuple[Alternative, ...] = ()


@frozen
class Input(Node):
    """`name: element[dimensions](arguments)` of an `input` statement; the batch dimension is implicit.

    `settings`: what is in the parentheses, as a call of the element; None without them.
    """

    name: Identifier
    element: Identifier
    dimensions: tuple[Expression, ...]
    settings: Call | None = None


@frozen
class Inputs(Node):
    """An `input` statement."""

    items: tuple[Input, ...]


@frozen
class Reference(Node):
    """A value's name as a stage of a flow."""

    name: str


@frozen
class Join(Node):
    """`[a, b]` as a stage of a flow: several values for one layer."""

    items: tuple[Reference, ...]


Stage: TypeAlias = Call | Reference | Join


@frozen
class Flow(Node):
    """`targets = stage -> stage -> ...`; a plain layer statement is one call without a target."""

    targets: tuple[Identifier, ...]
    stages: tuple[Stage, ...]


@frozen
class Shared(Node):
    """`shared name = call`: a layer whose uses share one set of weights; built at its first use."""

    name: Identifier
    call: Call


@frozen
class Repeat(Node):
    """`repeat count { statements }`: the statements written out `count` times, each time with new weights."""

    count: Expression
    statements: tuple[FlowStatement, ...]


FlowStatement: TypeAlias = Flow | Shared | Repeat


@frozen
class Outputs(Node):
    """An `output` statement."""

    items: tuple[Identifier, ...]


@frozen
class Setting(Node):
    """`name = value` of a train section."""

    name: Identifier
    value: Expression


@frozen
class Train(Node):
    """A `train` section."""

    settings: tuple[Setting, ...]


@frozen
class Model(Node):
    """`model name(parameters) { statements }`."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[Inputs | FlowStatement | Outputs | Train, ...]


@frozen
class Block(Node):
    """`block name(parameters) { statements }`: a subgraph that is built anew at each use."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[FlowStatement, ...]


@frozen
class Import(Node):
    """`import "path"`: takes another file's cells and blocks."""

    path: Text


@frozen
class Weight(Node):
    """A `weight` declaration of a cell; `condition` is None for an unconditional weight, `frozen` marks weights that aren't trained."""

    name: Identifier
    dimensions: tuple[Expression, ...]
    initializer: Expression
    condition: Expression | None
    frozen: bool


@frozen
class State(Node):
    """`name[dimensions]` of a `state` statement."""

    name: Identifier
    dimensions: tuple[Expression, ...]


@frozen
class States(Node):
    """A `state` statement."""

    items: tuple[State, ...]


@frozen
class Equation(Node):
    """`targets = value` of a cell."""

    targets: tuple[Name, ...]
    value: Expression


@frozen
class Return(Node):
    """`return value`: a cell's output at each step."""

    value: Expression


@frozen
class Body(Node):
    """Statements of a cell in braces."""

    statements: tuple[CellStatement, ...]


@frozen
class When(Node):
    """A compile-time choice between statements: `body` if the condition holds, else `otherwise`."""

    condition: Expression
    body: Body
    otherwise: Body | None


CellStatement: TypeAlias = Weight | States | Equation | Return | When


@frozen
class Cell(Node):
    """`cell name(parameters) { statements }`: a recurrent layer by its equations."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[CellStatement, ...]


@frozen
class Function(Node):
    """`function name(parameters) = value`, or with statements in braces: put in where it is called."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[CellStatement, ...]


@frozen
class Loss(Node):
    """`loss name(parameters) of target { statements }`: a row's loss by its equations.

    `target`: what a target must be, if it is said. `unlabelled`: the parameter that holds the class of rows without a label.
    """

    name: Identifier
    parameters: tuple[Parameter, ...]
    target: Identifier | None
    unlabelled: Identifier | None
    statements: tuple[CellStatement, ...]


@frozen
class Metric(Node):
    """`metric name(parameters) of target { statements }`: as a loss; its value is a mean over rows, or computed of totals."""

    name: Identifier
    parameters: tuple[Parameter, ...]
    target: Identifier | None
    unlabelled: Identifier | None
    statements: tuple[CellStatement, ...]


Equations: TypeAlias = Function | Loss | Metric
"""Declarations that are equations of one row, without weights or states."""

Declaration: TypeAlias = Model | Cell | Block | Equations | Import


@frozen
class File(Node):
    """A spec, or a file that it imports."""

    declarations: tuple[Declaration, ...]
