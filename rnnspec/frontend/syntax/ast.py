"""The syntax tree of a spec: what was written, nothing resolved. A node's span takes no part in equality."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from rnnspec.source import Span


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal; too large for its type it is infinite."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class Nothing(Node):
    """`none`."""


@dataclass(frozen=True, slots=True)
class Name(Node):
    """`h`, or with `primed` `h'`, the state after the step."""

    text: str
    primed: bool = False

    @property
    def spelling(self) -> str:
        return f"{self.text}'" if self.primed else self.text


@dataclass(frozen=True, slots=True)
class List(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """An argument of a call; `name` is None for a positional one."""

    name: Identifier | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    callee: Identifier
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`operator` is `-` or `not`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`operator` is one of `+ - * / @ < <= > >= == != and or`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`on_true if condition else on_false`."""

    on_true: Expression
    condition: Expression
    on_false: Expression


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    """`value[position]`."""

    value: Expression
    position: Expression


Expression: TypeAlias = Number | Text | Boolean | Nothing | Name | List | Call | Unary | Binary | Conditional | Subscript


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    name: Identifier
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Input(Node):
    name: Identifier
    element: Identifier
    dimensions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Inputs(Node):
    """One `input` statement."""

    items: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """A named value in a flow."""

    name: str


@dataclass(frozen=True, slots=True)
class Join(Node):
    """`[a, b]` in a flow."""

    items: tuple[Reference, ...]


Stage: TypeAlias = Call | Reference | Join


@dataclass(frozen=True, slots=True)
class Flow(Node):
    """`targets = stage -> stage -> ...`; a plain layer statement is one call without a target."""

    targets: tuple[Identifier, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Shared(Node):
    """A layer under a name, made at its first use."""

    name: Identifier
    call: Call


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    count: Expression
    statements: tuple[FlowStatement, ...]


FlowStatement: TypeAlias = Flow | Shared | Repeat


@dataclass(frozen=True, slots=True)
class Outputs(Node):
    """One `output` statement."""

    items: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class Setting(Node):
    name: Identifier
    value: Expression


@dataclass(frozen=True, slots=True)
class Train(Node):
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Model(Node):
    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[Inputs | FlowStatement | Outputs | Train, ...]


@dataclass(frozen=True, slots=True)
class Block(Node):
    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[FlowStatement, ...]


@dataclass(frozen=True, slots=True)
class Import(Node):
    path: Text


@dataclass(frozen=True, slots=True)
class Weight(Node):
    """`condition` is None for a weight that always exists."""

    name: Identifier
    dimensions: tuple[Expression, ...]
    initializer: Expression
    condition: Expression | None
    frozen: bool


@dataclass(frozen=True, slots=True)
class State(Node):
    name: Identifier
    dimensions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class States(Node):
    """One `state` statement."""

    items: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Equation(Node):
    targets: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Return(Node):
    value: Expression


@dataclass(frozen=True, slots=True)
class Body(Node):
    """Statements in braces."""

    statements: tuple[CellStatement, ...]


@dataclass(frozen=True, slots=True)
class When(Node):
    """`body` if the condition holds, else `otherwise`."""

    condition: Expression
    body: Body
    otherwise: Body | None


CellStatement: TypeAlias = Weight | States | Equation | Return | When


@dataclass(frozen=True, slots=True)
class Cell(Node):
    name: Identifier
    parameters: tuple[Parameter, ...]
    statements: tuple[CellStatement, ...]


Declaration: TypeAlias = Model | Cell | Block | Import


@dataclass(frozen=True, slots=True)
class File(Node):
    declarations: tuple[Declaration, ...]
