"""The rules of `Canonicalize`: from one operation and the definitions before it to something simpler.

A rule gives the values that the results are equal to, or an operation with the same result, or None
where it doesn't apply. It looks through elementwise and layout operations only: what is behind a
value that a region sees is visible in the region too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnspec.ir.elementwise import NEGATION, Law, Linearity
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Operation,
    Pack,
    Positions,
    Reduce,
    Reshape,
    RestoreRows,
    Select,
    SortRows,
    Split,
    Unary,
    Unpack,
    Value,
)
from rnnspec.ir.types import Dim, TensorType

Definitions: TypeAlias = Mapping[Value, Operation]
Simpler: TypeAlias = tuple[Value, ...] | Operation | None


def simplify(operation: Operation, defined: Definitions) -> Simpler:
    """The operation in simpler form: values equal to its results, another operation with its result, or None if no rule applies."""
    match operation:
        case Positions():
            return Constant(operation.result, 0.0) if _shape(operation.result) == (1,) else None
        case Unary():
            return _unary(operation, defined)
        case Binary():
            return _binary(operation, defined)
        case Compare():
            return _compare(operation, defined)
        case Select():
            return _select(operation, defined)
        case Broadcast():
            return _broadcast(operation, defined)
        case Reshape():
            return _reshape(operation, defined)
        case Split():
            return _split(operation, defined)
        case Concat():
            return _concat(operation, defined)
        case Reduce():
            return _reduce(operation)
        case SortRows() | RestoreRows():
            return _permuted_rows(operation, defined)
        case Pack():
            return _pack(operation, defined)
        case _:
            return None


def _unary(operation: Unary, defined: Definitions) -> Simpler:
    operand, kind = operation.operand, operation.kind
    laws = kind.row.laws
    match defined.get(operand):
        case Constant(_, value):
            return (operand,) if Law.IDENTITY in laws else _folded(operation.result, kind.row.numpy, value)
        case Unary(_, before, inner) if before is kind and Law.INVOLUTION in laws:
            return (inner,)
        case Unary(_, before, _) if before is kind and Law.IDEMPOTENT in laws:
            return (operand,)
        case Unary(_, before, inner) if before is NEGATION and Law.EVEN in laws:
            return replace(operation, operand=inner)
        case _:
            return None


def _binary(operation: Binary, defined: Definitions) -> Simpler:
    left, right, row = operation.left, operation.right, operation.kind.row
    first, second = _constant(left, defined), _constant(right, defined)
    if first is not None and second is not None:
        return _folded(operation.result, row.numpy, first, second)
    if (left == right and Law.IDEMPOTENT in row.laws) or (second is not None and second == row.right_identity):
        return (left,)
    if first is not None and first == row.left_identity:
        return (right,)
    for constant, other in ((first, right), (second, left)):
        if constant is not None and constant == row.negating:
            return Unary(operation.result, NEGATION, other)
        if constant is not None and constant == row.absorbing:
            return Constant(operation.result, constant)
    return _signed_sum(operation, defined) if row.linear is Linearity.TOGETHER else None


def _signed_sum(operation: Binary, defined: Definitions) -> Simpler:
    """a + -b = a - b, -a + b = b - a, a - -b = a + b."""
    match defined.get(operation.left), defined.get(operation.right):
        case _, Unary(_, kind, inner) if kind is NEGATION:
            return replace(operation, kind=operation.kind.inverted, right=inner)
        case Unary(_, kind, inner), _ if kind is NEGATION and operation.kind.is_sum:
            return replace(operation, kind=operation.kind.inverted, left=operation.right, right=inner)
        case _:
            return None


def _compare(operation: Compare, defined: Definitions) -> Simpler:
    left, right = _constant(operation.left, defined), _constant(operation.right, defined)
    if left is None or right is None:
        return None
    return _folded(operation.result, operation.kind.row.numpy, left, right)


def _select(operation: Select, defined: Definitions) -> Simpler:
    if operation.on_true == operation.on_false:
        return (operation.on_true,)
    condition = _constant(operation.condition, defined)
    if condition is None:
        return None
    return (operation.on_true if condition else operation.on_false,)


def _broadcast(operation: Broadcast, defined: Definitions) -> Simpler:
    if operation.operand.type == operation.result.type:
        return (operation.operand,)
    match defined.get(operation.operand):
        case Constant(_, value):
            return Constant(operation.result, value)
        case Broadcast(_, inner):
            return replace(operation, operand=inner)
        case Reshape(_, inner) if _only_leading_ones_differ(inner, operation.operand) and _rank(inner) <= _rank(operation.result):
            return replace(operation, operand=inner)
        case _:
            return None


def _reshape(operation: Reshape, defined: Definitions) -> Simpler:
    if operation.operand.type == operation.result.type:
        return (operation.operand,)
    match defined.get(operation.operand):
        case Constant(_, value):
            return Constant(operation.result, value)
        case Reshape(_, inner):
            return replace(operation, operand=inner)
        case _:
            return None


def _split(operation: Split, defined: Definitions) -> Simpler:
    if len(operation.results) == 1:
        return (operation.operand,)
    match defined.get(operation.operand):
        case Concat(_, parts, axis) if axis == operation.axis and _types(parts) == _types(operation.results):
            return parts
        case _:
            return None


def _concat(operation: Concat, defined: Definitions) -> Simpler:
    parts = operation.operands
    if len(parts) == 1:
        return parts
    values = {repr(value) for part in parts if (value := _constant(part, defined)) is not None}
    if len(values) == 1 and all(_constant(part, defined) is not None for part in parts):
        return Constant(operation.result, float(values.pop()))
    match defined.get(parts[0]):
        case Split(results, whole, axis) if axis == operation.axis and results == parts:
            return (whole,)
        case _:
            return None


def _reduce(operation: Reduce) -> Simpler:
    """Along a dimension of length 1 nothing is reduced."""
    shape = _shape(operation.operand)
    if shape[operation.axis] != 1:
        return None
    return (operation.operand,) if operation.axis == len(shape) - 1 else Reshape(operation.result, operation.operand)


def _permuted_rows(operation: SortRows | RestoreRows, defined: Definitions) -> Simpler:
    """Equal rows need no sorting; sorting and restoring undo each other."""
    match operation, defined.get(operation.operand):
        case _, Constant():
            return (operation.operand,)
        case _, Broadcast(_, inner) if _rank(inner) < 2 or _shape(inner)[0] == 1:
            return (operation.operand,)
        case (SortRows(), RestoreRows(_, inner, index)) | (RestoreRows(), SortRows(_, inner, index)) if index == operation.index:
            return (inner,)
        case _:
            return None


def _pack(operation: Pack, defined: Definitions) -> Simpler:
    """A real step shows its own token."""
    match defined.get(operation.operand):
        case Unpack(_, inner, _, index, _, False) if index == operation.index:
            return (inner,)
        case _:
            return None


def _folded(result: Value, function: Callable[..., NDArray[Any]], *arguments: float) -> Operation | None:
    """None where the value isn't finite: that is left to happen when the function runs."""
    with np.errstate(all="ignore"):
        value = float(function(*map(np.asarray, arguments)))
    return Constant(result, value) if math.isfinite(value) else None


def _constant(value: Value, defined: Definitions) -> float | None:
    operation = defined.get(value)
    return operation.value if isinstance(operation, Constant) else None


def _only_leading_ones_differ(first: Value, second: Value) -> bool:
    shapes: list[list[Dim]] = []
    for value in (first, second):
        shape = list(_shape(value))
        while shape and shape[0] == 1:
            del shape[0]
        shapes.append(shape)
    return shapes[0] == shapes[1]


def _shape(value: Value) -> tuple[Dim, ...]:
    if isinstance(value.type, TensorType):
        return value.type.shape
    return (value.type.batch, value.type.time, value.type.tokens)


def _rank(value: Value) -> int:
    return len(_shape(value))


def _types(values: tuple[Value, ...]) -> list[object]:
    return [value.type for value in values]
