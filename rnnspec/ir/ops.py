"""The closed set of operations of the tensor IR, as frozen data in static single assignment form.

Shapes in the docstrings: R is a row dimension (`batch`, `tokens`, `rows` or 1), everything else is
fixed. A matrix `[R, w]` holds one row of w features for each row; a weight has fixed dimensions
only. Only `Mask`, `Index`, `Pack`, `Unpack`, `PackSum`, `FillSum` and `Rearrange` ever see a padded
sequence `[batch, time, w]`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from rnnspec.contract.dimensions import Windows
from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.ir.types import Type


@dataclass(frozen=True, slots=True)
class Value:
    """A named result or parameter. Names are unique in a function, its regions included.

    `location`: which lines of the spec it comes from; of no meaning to passes, and no part of equality.
    """

    name: str
    type: Type
    location: Location = field(default=UNKNOWN, compare=False, repr=False)

    def __hash__(self) -> int:
        """Of the name, which tells values apart: the type's would take most of the time of a pass."""
        return hash(self.name)


class UnaryKind(Enum):
    NEG = "neg"
    ABS = "abs"
    SIGN = "sign"
    SQRT = "sqrt"
    EXP = "exp"
    EXPM1 = "expm1"
    LOG = "log"
    LOG1P = "log1p"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    ERF = "erf"
    STOP_GRADIENT = "stop_gradient"
    """The operand itself; the gradient takes it for a constant."""


class BinaryKind(Enum):
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MAX = "max"
    """NaN if either side is NaN, as `numpy.maximum`."""
    MIN = "min"
    AND = "and"
    """On i1 only."""
    OR = "or"
    """On i1 only."""


class CompareKind(Enum):
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    EQ = "eq"
    NE = "ne"


class ReduceKind(Enum):
    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Constant:
    """Every element of the result is `value`; an i1 result takes 0 or 1."""

    result: Value
    value: float


@dataclass(frozen=True, slots=True)
class Unary:
    """Elementwise; operand and result have one type."""

    result: Value
    kind: UnaryKind
    operand: Value


@dataclass(frozen=True, slots=True)
class Binary:
    """Elementwise; both operands and the result have one type: broadcasting is explicit."""

    result: Value
    kind: BinaryKind
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Compare:
    """Elementwise; operands of one float type, result i1 of their shape."""

    result: Value
    kind: CompareKind
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Select:
    """Elementwise `on_true if condition else on_false`; all of one shape."""

    result: Value
    condition: Value
    on_true: Value
    on_false: Value


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Numpy's rule, made explicit: dimensions align at the right, a missing one or a 1 repeats."""

    result: Value
    operand: Value


@dataclass(frozen=True, slots=True)
class Reshape:
    """Adds or drops dimensions of length 1 of a value with fixed dimensions."""

    result: Value
    operand: Value


@dataclass(frozen=True, slots=True)
class Split:
    """Cuts the operand along `axis` (0 .. rank-1) into consecutive parts, one a result."""

    results: tuple[Value, ...]
    operand: Value
    axis: int


@dataclass(frozen=True, slots=True)
class Concat:
    """Joins the operands along `axis`; the inverse of `Split`."""

    result: Value
    operands: tuple[Value, ...]
    axis: int


@dataclass(frozen=True, slots=True)
class Matmul:
    """`left @ right` with either side transposed first: [m, k] @ [k, n] -> [m, n].

    `init`, [m, n]: what the products of each element are added to, one after the other; their own sum if None.
    """

    result: Value
    left: Value
    right: Value
    transpose_left: bool = False
    transpose_right: bool = False
    init: Value | None = None


@dataclass(frozen=True, slots=True)
class Reduce:
    """Along the last axis keeps it as 1 ([R, w] -> [R, 1], [w] -> [1]); along axis 0 of a matrix drops it ([R, w] -> [w])."""

    result: Value
    kind: ReduceKind
    operand: Value
    axis: int


@dataclass(frozen=True, slots=True)
class Take:
    """Rows of a table: `result[r] = table[ids[r, 0]]`, zeros for a negative id; table [v, d], ids i32 [R, 1], result [R, d]."""

    result: Value
    table: Value
    ids: Value


@dataclass(frozen=True, slots=True)
class ScatterAdd:
    """Adjoint of `Take`: `result[ids[r, 0]] += updates[r]` in row order, from zeros; a negative id is left out; result [v, d]."""

    result: Value
    ids: Value
    updates: Value


@dataclass(frozen=True, slots=True)
class Random:
    """Uniform numbers in [0, 1) of any shape, a function of `key`, `stream` and the element's place (see `rnnspec.ir.random`).

    `key`: an i32 scalar.
    """

    result: Value
    key: Value
    stream: int


@dataclass(frozen=True, slots=True)
class Mask:
    """Real steps of a padded sequence: `any(operand != value)` over the features (NaN is real); [batch, time, d] -> i1 [batch, time]."""

    result: Value
    operand: Value
    value: float


@dataclass(frozen=True, slots=True)
class Index:
    """The packing index of a mask, i1 [batch, time]."""

    result: Value
    mask: Value


@dataclass(frozen=True, slots=True)
class Window:
    """Where a window looks: for step t of a row of `index` the token of step `t * stride + offset` in the same row of `source`.

    Where there is none the id is -1, or with `clamp` that of the nearest step. Windows of `span` steps, unless it is 0,
    begin earlier, so that what they lack at both ends is as much, or one step more at the end ("same" padding).
    With `at_end` t counts from where `source` begins if both end together. With `own` a row of `source` goes from its first
    real step to its last, and t counts from where its first window is (see `WindowMask`).
    i32 [tokens, 1] over the tokens of `index`.
    """

    result: Value
    source: Value
    index: Value
    stride: int
    offset: int
    span: int
    clamp: bool
    at_end: bool
    own: bool


@dataclass(frozen=True, slots=True)
class WindowMask:
    """Which windows over a mask are real, i1 [batch, time] -> i1 [batch, windows].

    A row's own windows are those over its steps from the first real one to the last, as they would be were there no others; the
    first of them stands where the windows over the row that begin at its first step or before have reached: at `first // stride`.
    One of them is real if it sees a real step, or none of the row's steps at all. `flip`: of the mask in reversed order.
    """

    result: Value
    mask: Value
    size: int
    stride: int
    dilation: int
    start: int
    same: bool
    flip: bool

    @property
    def windows(self) -> Windows:
        return Windows(self.size, self.stride, self.dilation, self.start, self.same)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The packing index of what every token of `queries` may look at: one row a token, one step a step of `keys`.

    Step t is real if it is in the row of `keys` that the token belongs to, and with `causal` isn't after the token's own.
    """

    result: Value
    queries: Value
    keys: Value
    causal: bool


@dataclass(frozen=True, slots=True)
class PairTokens:
    """For each token of `pairs` the token of its query, or of its key if `of_keys`; i32 [pairs, 1]."""

    result: Value
    pairs: Value
    queries: Value
    keys: Value
    of_keys: bool


@dataclass(frozen=True, slots=True)
class Distinct:
    """The packing index of the rows of a table that `ids` name: one row, a step for each row of the table, real where an id names it.

    ids i32 [R, 1], none of them negative, all below the number of steps.
    """

    result: Value
    ids: Value


@dataclass(frozen=True, slots=True)
class DistinctIds:
    """The ids that a `Distinct` found, each once, from the smallest to the largest; i32 [tokens, 1]."""

    result: Value
    distinct: Value


@dataclass(frozen=True, slots=True)
class Places:
    """Where each id stands among the ids that a `Distinct` found, -1 if it isn't there; ids and result i32 [R, 1]."""

    result: Value
    ids: Value
    distinct: Value


@dataclass(frozen=True, slots=True)
class Rearrange:
    """The same elements of each row in another shape: [R, t, w] or [R, n] to one of these, everything but R fixed.

    `transpose`: [R, t, w] is gone through column by column.
    """

    result: Value
    operand: Value
    transpose: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """Real steps only: [batch, time, d] -> [tokens, d]; masked steps are never read."""

    result: Value
    operand: Value
    index: Value


@dataclass(frozen=True, slots=True)
class Unpack:
    """The padded form: [tokens, d] -> [batch, time, d].

    A masked step becomes the row's last real step before it if `hold`, else `fill` ([1, d]); with
    `hold`, steps before the first real one become `fill`. `flip` puts the result in reversed time
    order, and "before" is then meant in that order: `unpack(flip)[b, t]` stands for step
    `time - 1 - t`.
    """

    result: Value
    operand: Value
    fill: Value
    index: Value
    hold: bool
    flip: bool


@dataclass(frozen=True, slots=True)
class PackSum:
    """Adjoint of `Unpack` to its operand: each token gets the sum over the padded steps that show it; [batch, time, d] -> [tokens, d]."""

    result: Value
    operand: Value
    index: Value
    hold: bool
    flip: bool


@dataclass(frozen=True, slots=True)
class FillSum:
    """Adjoint of `Unpack` to `fill`: the sum over the padded steps that show it; [batch, time, d] -> [1, d]."""

    result: Value
    operand: Value
    index: Value
    hold: bool
    flip: bool


@dataclass(frozen=True, slots=True)
class SortRows:
    """The caller's row order to the index's sorted order; [batch, d]."""

    result: Value
    operand: Value
    index: Value


@dataclass(frozen=True, slots=True)
class RestoreRows:
    """The index's sorted row order back to the caller's; [batch, d]. Inverse and adjoint of `SortRows`."""

    result: Value
    operand: Value
    index: Value


@dataclass(frozen=True, slots=True)
class Region:
    """A scan's step.

    Parameters: the carried values before the step, then the step's rows of each sequence, all
    [rows, w]. Values of the enclosing function with fixed dimensions may be used freely.
    `carries`: the carried values after the step. `stacks`: [rows, w], one row a token.
    `sums`: fixed shape, added up over the steps.
    """

    carried: tuple[Value, ...]
    slices: tuple[Value, ...]
    operations: tuple[Operation, ...]
    carries: tuple[Value, ...]
    stacks: tuple[Value, ...]
    sums: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """Walks each row over its real steps, first to last, or last to first if `reverse`.

    `inits`: [batch, w] each, sorted order. `sequences`: [tokens, w] each.
    `finals`: [batch, w] each, sorted order: the carried values after the row's last step, or its
    init if it has none. `stacks`: [tokens, w] each, where the step's rows stand. `sums`: fixed
    shapes, from zeros.
    """

    finals: tuple[Value, ...]
    stacks: tuple[Value, ...]
    sums: tuple[Value, ...]
    index: Value
    inits: tuple[Value, ...]
    sequences: tuple[Value, ...]
    region: Region
    reverse: bool


Operation: TypeAlias = (
    Constant
    | Unary
    | Binary
    | Compare
    | Select
    | Broadcast
    | Reshape
    | Split
    | Concat
    | Matmul
    | Reduce
    | Take
    | ScatterAdd
    | Random
    | Mask
    | Index
    | Window
    | WindowMask
    | Pairs
    | PairTokens
    | Distinct
    | DistinctIds
    | Places
    | Rearrange
    | Pack
    | Unpack
    | PackSum
    | FillSum
    | SortRows
    | RestoreRows
    | Scan
)


class Role(Enum):
    """What a function's parameter or result is to its caller."""

    INPUT = "input"
    """A model input: [batch, w], [batch, time, w], or ids as i32 [batch, time, 1] or, of single steps, [batch, 1]."""
    MASK = "mask"
    """The caller's own mask of a sequence input, i1 [batch, time], all true if none was given."""
    WEIGHT = "weight"
    STATE = "state"
    """What a call leaves for the next one: [batch, w], parameter and result under one name; a constant to derivatives."""
    KEY = "key"
    """The i32 scalar that a call's random numbers are drawn from."""
    UPDATE = "update"
    """A weight's new value, under the weight's name: result of a training @forward, which itself reads the old one."""
    RESIDUAL = "residual"
    """Kept by @forward for @backward."""
    OUTPUT = "output"
    COTANGENT = "cotangent"
    """The gradient of a scalar with regard to an output; parameter of @backward."""
    GRADIENT = "gradient"
    """The gradient with regard to an input or a weight; result of @backward."""


@dataclass(frozen=True, slots=True)
class Parameter:
    role: Role
    value: Value


@dataclass(frozen=True, slots=True)
class Result:
    """A result under its name: an output's, a residual's, or that of the input or weight whose gradient or new value it is."""

    role: Role
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    functions: tuple[Function, ...]

    def function(self, name: str) -> Function:
        for function in self.functions:
            if function.name == name:
                return function
        raise KeyError(name)
