"""Every tensor as a matrix, and what each operation is to the scheduler."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto
from functools import lru_cache
from typing import assert_never

from rnnspec.contract.dimensions import Size, Tokens, at_least_zero
from rnnspec.diagnostics import InternalError
from rnnspec.ir.elementwise import Cost
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    DistinctIds,
    Matmul,
    Operation,
    Pack,
    PairTokens,
    Positions,
    Random,
    Reshape,
    RestoreRows,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    Unpack,
    Value,
    Window,
)
from rnnspec.ir.traverse import operands_of
from rnnspec.ir.types import Dim, DType, IndexType, TensorType
from rnnspec.kernel.nodes import IndexArray


def tensor_type(value: Value) -> TensorType:
    """The value's type; InternalError for a packing index."""
    if not isinstance(value.type, TensorType):
        raise InternalError(f"%{value.name} is no tensor")
    return value.type


@lru_cache(maxsize=256)
def padded_rows(batch: Dim, time: Dim) -> Dim:
    """The rows of a padded sequence, by the length of its time: "batch*time", "batch*20", "batch*(time-2)"; a number of fixed ones."""
    return batch * at_least_zero(time)


def index_number(index: IndexType) -> int:
    """Which of a function's packing indices this is."""
    if isinstance(index.tokens, Tokens):
        return index.tokens.number
    raise InternalError(f"the tokens of an index are numbered, not called {index.tokens}")


def index_buffer_name(array: str, number: int) -> str:
    """The buffer of an index's array; with a dot in its name no value of a spec can be it."""
    return f"index.{array}_{number}" if number else f"index.{array}"


def ids_array(operation: Window | PairTokens | DistinctIds) -> tuple[IndexArray, IndexType]:
    """The array of ids that the runtime makes, and the index over whose tokens it is."""

    def number(value: Value) -> int:
        return index_number(index_type(value.type))

    match operation:
        case Window():
            options = int(operation.clamp), int(operation.at_end), int(operation.own)
            numbers = (number(operation.source), operation.stride, operation.offset, operation.span, *options)
            return IndexArray("window", number(operation.index), numbers), index_type(operation.index.type)
        case PairTokens():
            numbers = (number(operation.queries), number(operation.keys))
            name = "pair_keys" if operation.of_keys else "pair_queries"
            return IndexArray(name, number(operation.pairs), numbers), index_type(operation.pairs.type)
        case DistinctIds():
            return IndexArray("source", number(operation.distinct)), index_type(operation.distinct.type)
        case _:
            assert_never(operation)


def matrix(value: Value) -> tuple[Dim, int]:
    """Rows and width of a value: a vector is one row, a padded sequence batch * time rows."""
    shape = tensor_type(value).shape
    width = shape[-1] if shape else 1
    if not isinstance(width, int):
        raise InternalError(f"%{value.name}: the width `{width}` isn't fixed")
    match len(shape):
        case 0 | 1:
            return 1, width
        case 2:
            return shape[0], width
        case 3 if isinstance(shape[0], Size):
            return padded_rows(shape[0], shape[1]), width
        case _:
            raise InternalError(f"%{value.name}: no matrix has the shape {shape}")


class OpClass(Enum):
    """How the scheduler carries out an operation."""

    POINTWISE = auto()
    """Evaluated inside each stage that uses the value."""
    LEAF = auto()
    """Evaluated inside a stage too, from operands that are stored before it."""
    VIEW = auto()
    """Nothing to compute: another look at a stored operand."""
    NODE = auto()
    """A loop nest of its own."""


def form_of(operation: Operation) -> OpClass:
    """The class of an operation, by its kind, its axis and its shapes."""
    match operation:
        case Constant() | Positions() | Unary() | Binary() | Compare() | Select() | Broadcast() | Random():
            return OpClass.POINTWISE
        case Split():
            return OpClass.POINTWISE if operation.axis == tensor_type(operation.operand).rank - 1 else OpClass.VIEW
        case Concat():
            return OpClass.POINTWISE if operation.axis == tensor_type(operation.result).rank - 1 else OpClass.NODE
        case Reshape():
            return OpClass.POINTWISE if matrix(operation.operand) == matrix(operation.result) else OpClass.VIEW
        case Matmul():
            return OpClass.NODE if operation.transpose_left else OpClass.LEAF
        case Take() | Unpack() | SortRows() | RestoreRows():
            return OpClass.LEAF
        case Pack():
            return OpClass.LEAF if tensor_type(operation.result).dtype.is_float else OpClass.NODE
        case _:
            return OpClass.NODE


def is_expensive(operation: Operation) -> bool:
    """Whether to store a result that several stages need, instead of computing it in each."""
    match operation:
        case Unary() | Binary():
            return operation.kind.row.cost in (Cost.DIVISION, Cost.ROOT, Cost.ELEMENTARY)
        case Matmul():
            return True
        case _:
            return False


def is_neutral(operation: Operation, neutral: Collection[Value]) -> bool:
    """Whether the results come from constants alone and cost so little that whatever reads them can evaluate them; `neutral`: those known.

    A function of positions costs more, and is stored once.
    """
    return (
        form_of(operation) is OpClass.POINTWISE and not is_expensive(operation) and all(map(neutral.__contains__, operands_of(operation)))
    )


def depends_on_place(operation: Operation) -> bool:
    """Whether an operation can't be evaluated for one element that then stands for a whole row or column."""
    return isinstance(operation, Matmul | Take | Pack | Unpack | SortRows | RestoreRows | Random)


def is_storable(value: Value) -> bool:
    """Whether a value can be kept in a buffer: flags can't."""
    return tensor_type(value).dtype is not DType.I1
