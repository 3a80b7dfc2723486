"""Strength reduction: a row is multiplied by the reciprocal of a square root instead of divided element by element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import Cost
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Binary, Broadcast, Function, Module, Operation, Scan, Unary, Value
from rnnspec.ir.traverse import location_of, results_of
from rnnspec.passes.rewrite import rewrite_functions


@frozen
class MultiplyByReciprocals:
    """`x / root`, for a square root of width 1 that stands for all units of a row, becomes `x * (1 / root)`.

    Of square roots alone: the reciprocal of another large number is denormal, and counts as zero. Roots of normal numbers
    lie between 2^-63 and 2^64 in float32, so their reciprocals are normal, and zeros, infinities and what isn't a number
    come out as from the division. The last bits of a finite result may differ.
    """

    name: ClassVar[str] = "multiply-by-reciprocals"

    def run(self, module: Module) -> Module:
        """The module with such divisions replaced."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    return replace(function, operations=_rewritten(function.operations, {}, Names.of(function)))


def _rewritten(operations: Iterable[Operation], outside: Mapping[Value, Operation], names: Names) -> tuple[Operation, ...]:
    """`outside`: the operations behind the values that a region sees."""
    builder, defined = Builder(names), dict(outside)
    for operation in operations:
        defined.update((result, operation) for result in results_of(operation))
        root = _root_of_rows(operation, defined)
        if isinstance(operation, Scan):
            region = replace(operation.region, operations=_rewritten(operation.region.operations, defined, names))
            builder.append(replace(operation, region=region))
        elif isinstance(operation, Binary) and root is not None:
            with builder.at(location_of(operation)):
                reciprocal = builder.div(builder.constant_like(1.0, root), root)
                factor = builder.broadcast_like(reciprocal, operation.right)
            builder.append(replace(operation, kind=operation.kind.inverted, right=factor))
        else:
            builder.append(operation)
    return builder.operations


def _root_of_rows(operation: Operation, defined: Mapping[Value, Operation]) -> Value | None:
    """The square root that a division divides whole rows by, a number for each."""
    if not isinstance(operation, Binary) or operation.kind.row.cost is not Cost.DIVISION:
        return None
    match defined.get(operation.right):
        case Broadcast(operand=root) if _width(root) == 1 and _width(operation.result) != 1:
            behind = defined.get(root)
            return root if isinstance(behind, Unary) and behind.kind.row.cost is Cost.ROOT else None
        case _:
            return None


def _width(value: Value) -> object:
    return (Builder.tensor(value).shape or (1,))[-1]
