"""Activity analysis: the values through which a derivative flows, from a source to an output."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rnnspec.ir.elementwise import ZERO
from rnnspec.ir.ops import Operation, Scan, Unary
from rnnspec.ir.traverse import operands_of, results_of
from rnnspec.ir.types import TensorType
from rnnspec.ir.values import Value


def active_values(operations: Iterable[Operation], sources: Iterable[Value], targets: Iterable[Value]) -> frozenset[Value]:
    """The active values of a function: those that depend on `sources` and on which `targets` depend, scans' regions included.

    Sources and targets are float. A final belongs to them if its carried value does.
    """
    listed = tuple(operations)
    return frozenset(_depending_on(listed, set(sources)) & _influencing(listed, set(targets)))


def differentiable_operands(operation: Operation) -> tuple[Value, ...]:
    """The operands that an operation's derivative isn't constantly zero for: floats, where a result is one.

    A scan's region isn't entered.
    """
    match operation:
        case Scan():
            return (*operation.inits, *operation.sequences)
        case Unary() if operation.kind.row.adjoint is ZERO:
            return ()
        case _:
            if not any(map(_is_float, results_of(operation))):
                return ()
            return tuple(filter(_is_float, operands_of(operation)))


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float


def _depending_on(operations: Iterable[Operation], values: set[Value]) -> set[Value]:
    """`values`, extended in place by what depends on them."""
    for operation in operations:
        if isinstance(operation, Scan):
            _scan_depending_on(operation, values)
        elif _meet(differentiable_operands(operation), values):
            values.update(results_of(operation))
    return values


def _scan_depending_on(scan: Scan, values: set[Value]) -> None:
    region = scan.region
    values.update(inner for inner, outer in zip(region.slices, scan.sequences, strict=True) if outer in values)
    values.update(inner for inner, outer in zip(region.carried, scan.inits, strict=True) if outer in values)
    before = -1
    while before != len(values):
        before = len(values)
        _depending_on(region.operations, values)
        values.update(inner for inner, after in zip(region.carried, region.carries, strict=True) if after in values)
    values.update(final for final, inner in zip(scan.finals, region.carried, strict=True) if inner in values)
    values.update(outer for outer, inner in zip(scan.stacks, region.stacks, strict=True) if inner in values)
    values.update(outer for outer, inner in zip(scan.sums, region.sums, strict=True) if inner in values)


def _influencing(operations: tuple[Operation, ...], values: set[Value]) -> set[Value]:
    """`values`, extended in place by what they depend on."""
    for operation in reversed(operations):
        if not isinstance(operation, Scan):
            if _meet(results_of(operation), values):
                values.update(differentiable_operands(operation))
        elif _meet(results_of(operation), values):
            _scan_influencing(operation, values)
    return values


def _scan_influencing(scan: Scan, values: set[Value]) -> None:
    region = scan.region
    values.update(inner for outer, inner in zip(scan.finals, region.carries, strict=True) if outer in values)
    values.update(inner for outer, inner in zip(scan.stacks, region.stacks, strict=True) if outer in values)
    values.update(inner for outer, inner in zip(scan.sums, region.sums, strict=True) if outer in values)
    before = -1
    while before != len(values):
        before = len(values)
        _influencing(region.operations, values)
        values.update(after for inner, after in zip(region.carried, region.carries, strict=True) if inner in values)
    values.update(outer for outer, inner in zip(scan.sequences, region.slices, strict=True) if inner in values)
    for init, inner, final in zip(scan.inits, region.carried, scan.finals, strict=True):
        if inner in values or final in values:
            values.add(init)


def _meet(some: Iterable[Value], values: Collection[Value]) -> bool:
    return any(value in values for value in some)
