"""The adjoint rule of every operation but the scan: from its results' adjoints to its operands'.

A rule reads forward values under their own names: results rather than operands where the derivative
is cheap in them. The rules of elementwise operations stand in their rows, `rnnspec.ir.elementwise`. Maxima of a reduction that are
equal share its gradient equally.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.ir import inference
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import ZERO, Operands
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Distinct,
    DistinctIds,
    FillSum,
    Index,
    Mask,
    Matmul,
    Operation,
    Pack,
    PackSum,
    Pairs,
    PairTokens,
    Places,
    Positions,
    Random,
    Rearrange,
    Reduce,
    ReduceKind,
    Reshape,
    RestoreRows,
    Scan,
    ScatterAdd,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    Unpack,
    Value,
    Window,
    WindowMask,
)
from rnnspec.ir.types import Dim, TensorType

Contribution: TypeAlias = tuple[Value, Value]
"""An operand, and what is to be added to its adjoint."""


class Adjoints:
    """Adjoints of the active values of a block, each a sum over the value's uses."""

    def __init__(self, builder: Builder, active: Collection[Value]) -> None:
        self._builder = builder
        self._active = active
        self._terms: dict[Value, list[Value]] = {}

    def add(self, value: Value, term: Value) -> None:
        """Ignores values that no derivative flows through."""
        if value in self._active:
            self._terms.setdefault(value, []).append(term)

    def total(self, value: Value) -> Value | None:
        """The adjoint as added up so far; None if it is zero because nothing used the value."""
        terms = self._terms.get(value)
        if terms is None:
            return None
        while len(terms) > 1:
            terms[:2] = [self._builder.add(terms[0], terms[1])]
        return terms[0]

    def propagate(self, operation: Operation) -> None:
        """Adds what an operation's operands owe to its results."""
        match operation:
            case Split():
                adjoints = [self.total(part) for part in operation.results]
                if any(adjoint is not None for adjoint in adjoints):
                    parts = [adjoint or _zeros_like(self._builder, part) for adjoint, part in zip(adjoints, operation.results, strict=True)]
                    self.add(operation.operand, self._builder.concat(parts, operation.axis))
            case Scan():
                raise InternalError("a scan has no adjoint rule of its own")
            case _:
                for adjoint in self._addends(operation.result):
                    for operand, term in contributions(operation, adjoint, self._active, self._builder):
                        self.add(operand, term)

    def _addends(self, value: Value) -> tuple[Value, ...]:
        """Values that add up to an adjoint: one, but for a padded sequence, whose are packed one by one."""
        terms = self._terms.get(value, [])
        if terms and inference.is_padded(Builder.tensor(value)):
            return tuple(terms)
        total = self.total(value)
        return () if total is None else (total,)


def contributions(operation: Operation, adjoint: Value, active: Collection[Value], builder: Builder) -> Iterator[Contribution]:
    """The terms of the active operands' adjoints, `adjoint` being the result's; of an operation with one result."""
    match operation:
        case Constant() | Positions() | Compare() | Random() | Mask() | Index() | Window() | Pairs() | PairTokens():
            return
        case Distinct() | DistinctIds() | Places() | WindowMask():
            return
        case Split() | Scan():
            raise InternalError("a split and a scan have several results")
        case Unary():
            rule = operation.kind.row.adjoint
            if rule is not ZERO:
                yield operation.operand, rule(builder, operation.operand, operation.result, adjoint)
        case Binary():
            rule = operation.kind.row.adjoint
            if rule is ZERO:
                raise InternalError(f"%{operation.result.name} is {operation.kind.value} and has an adjoint")
            yield from rule(builder, Operands(operation.left, operation.right, operation.result, active), adjoint)
        case Select():
            zeros = _zeros_like(builder, adjoint)
            if operation.on_true in active:
                yield operation.on_true, builder.select(operation.condition, adjoint, zeros)
            if operation.on_false in active:
                yield operation.on_false, builder.select(operation.condition, zeros, adjoint)
        case Broadcast():
            yield operation.operand, _sum_to(builder, adjoint, Builder.tensor(operation.operand).shape)
        case Reshape():
            yield operation.operand, builder.reshape(adjoint, Builder.tensor(operation.operand).shape)
        case Concat():
            sizes = [_fixed(Builder.tensor(operand).shape[operation.axis]) for operand in operation.operands]
            yield from zip(operation.operands, builder.split(adjoint, sizes, operation.axis), strict=True)
        case Matmul():
            yield from _matmul(builder, operation, adjoint, active)
        case Reduce():
            yield operation.operand, _reduce(builder, operation, adjoint)
        case Take():
            yield operation.table, builder.scatter_add(operation.ids, adjoint, Builder.tensor(operation.table).shape[0])
        case ScatterAdd():
            yield operation.updates, builder.take(adjoint, operation.ids)
        case Rearrange():
            yield operation.operand, _rearranged_back(builder, operation, adjoint)
        case Pack():
            yield operation.operand, builder.unpack(adjoint, _no_fill(builder, adjoint), operation.index, hold=False, flip=False)
        case Unpack():
            hold, flip = operation.hold, operation.flip
            if operation.operand in active:
                yield operation.operand, builder.pack_sum(adjoint, operation.index, hold=hold, flip=flip)
            if operation.fill in active:
                yield operation.fill, builder.fill_sum(adjoint, operation.index, hold=hold, flip=flip)
        case PackSum():
            fill = _no_fill(builder, adjoint)
            yield operation.operand, builder.unpack(adjoint, fill, operation.index, hold=operation.hold, flip=operation.flip)
        case FillSum():
            tokens = inference.index(operation.index.type).tokens
            zeros = builder.constant(0.0, Builder.tensor(adjoint).with_shape((tokens, Builder.tensor(adjoint).shape[1])))
            yield operation.operand, builder.unpack(zeros, adjoint, operation.index, hold=operation.hold, flip=operation.flip)
        case SortRows():
            yield operation.operand, builder.restore_rows(adjoint, operation.index)
        case RestoreRows():
            yield operation.operand, builder.sort_rows(adjoint, operation.index)
        case _:
            assert_never(operation)


def _rearranged_back(builder: Builder, operation: Rearrange, adjoint: Value) -> Value:
    """A transposition's adjoint transposes back, from the sequence that has its two lengths exchanged."""
    shape = Builder.tensor(operation.operand).shape
    if not operation.transpose:
        return builder.rearrange(adjoint, shape)
    rows, time, width = shape
    turned = (rows, width, time)
    same = adjoint if Builder.tensor(adjoint).shape == turned else builder.rearrange(adjoint, turned)
    return builder.rearrange(same, shape, transpose=True)


def _matmul(builder: Builder, operation: Matmul, adjoint: Value, active: Collection[Value]) -> Iterator[Contribution]:
    """For C = S + A B: dS = dC, dA = dC Bᵀ and dB = Aᵀ dC; a side that was transposed gets its adjoint transposed."""
    if operation.init is not None and operation.init in active:
        yield operation.init, adjoint
    left, right, flip_left, flip_right = operation.left, operation.right, operation.transpose_left, operation.transpose_right
    if left in active and flip_left:
        yield left, builder.matmul(right, adjoint, transpose_left=flip_right, transpose_right=True)
    elif left in active:
        yield left, builder.matmul(adjoint, right, transpose_right=not flip_right)
    if right in active and flip_right:
        yield right, builder.matmul(adjoint, left, transpose_left=True, transpose_right=flip_left)
    elif right in active:
        yield right, builder.matmul(left, adjoint, transpose_left=not flip_left)


def _reduce(builder: Builder, operation: Reduce, adjoint: Value) -> Value:
    shape = Builder.tensor(operation.operand).shape
    if operation.kind is ReduceKind.SUM:
        return builder.broadcast_to(adjoint, shape)
    is_extremum = builder.equal(operation.operand, builder.broadcast_to(operation.result, shape))
    zeros = _zeros_like(builder, operation.operand)
    count = builder.reduce_sum(builder.select(is_extremum, _ones_like(builder, operation.operand), zeros), operation.axis)
    return builder.select(is_extremum, builder.broadcast_to(builder.div(adjoint, count), shape), zeros)


def _sum_to(builder: Builder, adjoint: Value, shape: tuple[Dim, ...]) -> Value:
    """The adjoint of a broadcast from `shape`: the sum over every place that showed an element."""
    wide = Builder.tensor(adjoint).shape
    if wide == shape:
        return adjoint
    if wide[-1] != 1 and (not shape or shape[-1] == 1):
        adjoint = builder.reduce_sum(adjoint, len(wide) - 1)
    if len(wide) == 2 and wide[0] != 1 and (len(shape) < 2 or shape[0] == 1):
        adjoint = builder.reduce_sum(adjoint, 0)
    return adjoint if Builder.tensor(adjoint).shape == shape else builder.reshape(adjoint, shape)


def _no_fill(builder: Builder, tokens: Value) -> Value:
    type_ = Builder.tensor(tokens)
    return builder.constant(0.0, TensorType(type_.dtype, (1, type_.shape[1])))


def _zeros_like(builder: Builder, value: Value) -> Value:
    return builder.constant_like(0.0, value)


def _ones_like(builder: Builder, value: Value) -> Value:
    return builder.constant_like(1.0, value)


def _fixed(dim: Dim) -> int:
    if isinstance(dim, int):
        return dim
    raise InternalError(f"dimension {dim} must be fixed")
