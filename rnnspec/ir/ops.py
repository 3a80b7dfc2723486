"""The closed set of operations of the tensor IR, as frozen data in static single assignment form.

Shapes in the docstrings: R is a row dimension (`batch`, `tokens`, `rows` or 1), everything else is
fixed. A matrix `[R, w]` holds one row of w features for each row; a weight has fixed dimensions
only. Those that see a padded sequence `[batch, time, w]`, or a packing index, are in `rnnspec.ir.sequence_ops`; the kinds of the
elementwise ones are in `rnnspec.ir.elementwise`.

The fields of an operation say what there is to know of it by their types (see `rnnspec.ir.fields`): results and operands are values,
the rest are attributes, in the order in which the text has them.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind
from rnnspec.ir.sequence_ops import (
    Distinct,
    DistinctIds,
    FillSum,
    Index,
    Mask,
    Pack,
    PackSum,
    Pairs,
    PairTokens,
    Places,
    Rearrange,
    RestoreRows,
    SortRows,
    Unpack,
    Window,
    WindowMask,
)
from rnnspec.ir.values import Value


class ReduceKind(Enum):
    """Reductions along one axis; a member's value is its spelling."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@frozen
class Constant:
    """Every element of the result is `value`; an i1 result takes 0 or 1."""

    result: Value
    value: float


@frozen
class Positions:
    """A row [w] of 0, 1, ..., w - 1, float; what MLIR and JAX call iota. In f32 w is at most 2^24, up to which every one is exact."""

    result: Value


@frozen
class Unary:
    """Elementwise; operand and result have one type."""

    result: Value
    kind: UnaryKind
    operand: Value


@frozen
class Binary:
    """Elementwise; both operands and the result have one type: broadcasting is explicit."""

    result: Value
    kind: BinaryKind
    left: Value
    right: Value


@frozen
class Compare:
    """Elementwise; operands of one float type, result i1 of their shape."""

    result: Value
    kind: CompareKind
    left: Value
    right: Value


@frozen
class Select:
    """Elementwise `on_true if condition else on_false`; all of one shape."""

    result: Value
    condition: Value
    on_true: Value
    on_false: Value


@frozen
class Broadcast:
    """Numpy's rule, made explicit: dimensions align at the right, a missing one or a 1 repeats."""

    result: Value
    operand: Value


@frozen
class Reshape:
    """Adds or drops dimensions of length 1 of a value with fixed dimensions."""

    result: Value
    operand: Value


@frozen
class Split:
    """Cuts the operand along `axis` (0 .. rank-1) into consecutive parts, one a result."""

    results: tuple[Value, ...]
    operand: Value
    axis: int


@frozen
class Concat:
    """Joins the operands along `axis`; the inverse of `Split`."""

    result: Value
    operands: tuple[Value, ...]
    axis: int


@frozen
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


@frozen
class Reduce:
    """Along the last axis keeps it as 1 ([R, w] -> [R, 1], [w] -> [1]); along axis 0 of a matrix drops it ([R, w] -> [w])."""

    result: Value
    kind: ReduceKind
    operand: Value
    axis: int


@frozen
class Take:
    """Rows of a table: `result[r] = table[ids[r, 0]]`, zeros for a negative id; table [v, d], ids i32 [R, 1], result [R, d]."""

    result: Value
    table: Value
    ids: Value


@frozen
class ScatterAdd:
    """Adjoint of `Take`: `result[ids[r, 0]] += updates[r]` in row order, from zeros; a negative id is left out; result [v, d]."""

    result: Value
    ids: Value
    updates: Value


@frozen
class Random:
    """Uniform numbers in [0, 1) of any shape, a function of `key`, `stream` and the element's place (see `rnnspec.ir.random`).

    `key`: an i32 scalar.
    """

    result: Value
    key: Value
    stream: int


@frozen
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


@frozen
class Scan:
    """Walks each row over its real steps, first to last, or last to first if `reverse`.

    `inits`: [batch, w] each, sorted order. `sequences`: [tokens, w] each.
    `checkpoint`: the number of steps after which the carried values are kept, and between which they are computed again, together with
    the scans that read them (see `kernel.cpu.segments`); 0 if all is computed once. No value depends on it.
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
    checkpoint: int = 0


Operation: TypeAlias = (
    Constant
    | Positions
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
    """The role of a function's parameter or result for its caller."""

    INPUT = "input"
    """A model input: [batch, w], [batch, time, w], or ids as i32 [batch, time, 1] or, of single steps, [batch, 1]."""
    MASK = "mask"
    """The caller's own mask of a sequence input, i1 [batch, time], all true if none was given."""
    DUE = "due"
    """The rows of which a step falls due in this call of a stream, i1 [batch, time], see `contract.signature.Clock`."""
    WEIGHT = "weight"
    STATE = "state"
    """A state that a call hands to the next: [batch, w], parameter and result under one name; a constant to derivatives."""
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


@frozen
class Parameter:
    """A parameter of a function; its name is the value's."""

    role: Role
    value: Value


@frozen
class Result:
    """A result under its name: an output's, a residual's, or that of the input or weight whose gradient or new value it is."""

    role: Role
    name: str
    value: Value


@frozen
class Function:
    """A function: parameters in the caller's order, a body in static single assignment form, named results."""

    name: str
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    results: tuple[Result, ...]


@frozen
class Module:
    """The functions of one model: @forward, and of training @backward too."""

    name: str
    functions: tuple[Function, ...]

    def function(self, name: str) -> Function:
        """The function of that name; KeyError if there is none."""
        for function in self.functions:
            if function.name == name:
                return function
        raise KeyError(name)
