"""Moves sums over a scan's steps out of its loop: a single product over all tokens instead of one in each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import Law, Linearity
from rnnspec.ir.inference import index, is_fixed, step_of
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Concat,
    Matmul,
    Module,
    Operation,
    Reduce,
    ReduceKind,
    Reshape,
    Scan,
    ScatterAdd,
    Split,
    Unary,
    Value,
)
from rnnspec.ir.traverse import definitions, free_values, location_of, operands_of, replace_operands, results_of, with_results
from rnnspec.ir.types import ROWS, TensorType
from rnnspec.passes.rewrite import rewrite_functions, rewrite_scans


@frozen
class HoistWeightGradients:
    """A scan's sum that is linear in contractions over the step's rows becomes the same over all tokens.

    A contraction is `matmul transpose a, b`, `reduce_sum {axis = 0}` or `scatter_add`; what it reads
    becomes a stack of the scan, or is a sequence or a stack already. Linear are sums, differences,
    negations, products and quotients with a value from outside, and changes of layout. Any other
    sum stays. Only the order of float additions changes.
    """

    name: ClassVar[str] = "hoist-weight-gradients"

    def run(self, module: Module) -> Module:
        """The module with each scan's linear sums behind it."""
        return rewrite_functions(module, lambda function: rewrite_scans(function, _hoist))


def _hoist(builder: Builder, scan: Scan) -> Mapping[Value, Value]:
    linear = _linear_values(scan)
    moved = [value in linear for value in scan.region.sums]
    totals = _closure(scan, {value for value in scan.region.sums if value in linear})
    outside = _append_stacked(builder, scan, moved, totals)
    # A moved sum keeps its name; a second one of the same value becomes the first.
    kept: dict[Value, Value] = {}
    for value, result, move in zip(scan.region.sums, scan.sums, moved, strict=True):
        if move:
            kept.setdefault(value, result)
    for operation in totals:
        with builder.at(location_of(operation)):
            fresh = tuple(kept.get(result) or builder.value(result.type) for result in results_of(operation))
        builder.append(with_results(replace_operands(operation, outside), fresh))
        outside.update(zip(results_of(operation), fresh, strict=True))
    return {result: kept[value] for value, result, move in zip(scan.region.sums, scan.sums, moved, strict=True) if move}


def _linear_values(scan: Scan) -> set[Value]:
    """The values of the region that are linear in contractions over its rows."""
    free, linear = set(free_values(scan.region)), set[Value]()
    for operation in scan.region.operations:
        if _is_contraction(operation) or _is_linear(operation, linear, free):
            linear.update(results_of(operation))
    return linear


def _is_contraction(operation: Operation) -> bool:
    match operation:
        case Matmul() | ScatterAdd():
            return _is_fixed(operation.result) and not all(_is_fixed(operand) for operand in operands_of(operation))
        case Reduce(_, ReduceKind.SUM, operand, 0):
            return not _is_fixed(operand)
        case _:
            return False


def _is_linear(operation: Operation, linear: set[Value], free: set[Value]) -> bool:
    match operation:
        case Binary(_, kind, left, right):
            match kind.row.linear:
                case Linearity.TOGETHER:
                    return left in linear and right in linear
                case Linearity.EACH:
                    return (left in linear and right in free) or (left in free and right in linear)
                case Linearity.LEFT:
                    return left in linear and right in free
                case Linearity.NEITHER:
                    return False
        case Unary(_, kind, operand):
            return Law.LINEAR in kind.row.laws and operand in linear
        case Broadcast(_, operand) | Reshape(_, operand) | Reduce(_, ReduceKind.SUM, operand):
            return operand in linear
        case Split() | Concat():
            return linear.issuperset(operands_of(operation))
        case _:
            return False


def _closure(scan: Scan, values: set[Value]) -> list[Operation]:
    """The operations that make `values` from contractions on, in order."""
    needed = set(values)
    chosen: list[Operation] = []
    for operation in reversed(scan.region.operations):
        if needed.isdisjoint(results_of(operation)):
            continue
        chosen.append(operation)
        if not _is_contraction(operation):
            needed.update(operands_of(operation))
    return chosen[::-1]


def _append_stacked(builder: Builder, scan: Scan, moved: list[bool], totals: list[Operation]) -> dict[Value, Value]:
    """Appends the scan without the moved sums, stacking what contractions read; what those values are over all tokens."""
    region, tokens = scan.region, index(scan.index.type).tokens
    outside = dict(zip(region.stacks, scan.stacks, strict=True)) | dict(zip(region.slices, scan.sequences, strict=True))
    stacked: dict[Value, Value] = {}
    defined = definitions(totals)
    for operation in totals:
        for value in operands_of(operation):
            if _is_contraction(operation) and value not in outside and value not in stacked and value not in defined:
                type_ = step_of(value.type, ROWS, tokens, f"%{value.name}")
                with builder.at(value.location):
                    stacked[value] = builder.value(type_, None if value.name.isdigit() else value.name)
    rest = replace(
        scan,
        stacks=scan.stacks + tuple(stacked.values()),
        sums=_without(scan.sums, moved),
        region=replace(region, stacks=region.stacks + tuple(stacked), sums=_without(region.sums, moved)),
    )
    if results_of(rest):
        builder.append(rest)
    return outside | stacked


def _without(values: tuple[Value, ...], dropped: list[bool]) -> tuple[Value, ...]:
    return tuple(value for value, drop in zip(values, dropped, strict=True) if not drop)


def _is_fixed(value: Value) -> bool:
    return isinstance(value.type, TensorType) and is_fixed(value.type)
