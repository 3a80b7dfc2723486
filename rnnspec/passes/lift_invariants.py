"""Moves what doesn't change from step to step out of the scans, so far as derivatives flow through it.

Afterwards a derivative enters a region from a fixed-shape value in two ways only: as a matmul's
operand, or as a [w] that is broadcast to [rows, w]. Its adjoint over all steps is then a sum of
`matmul(transpose a, b)` and `reduce_sum(a, axis 0)`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from rnnspec.ir import inference
from rnnspec.ir.builder import Builder
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Broadcast, Function, Operation, Scan, Value
from rnnspec.ir.traverse import location_of, operands_of, parameters_of, results_of
from rnnspec.ir.types import TensorType


def lift_invariants(function: Function, active: Collection[Value]) -> Function:
    """`active`: the values that derivatives flow through."""
    body = Builder(Names.of(function))
    for operation in function.operations:
        body.append(_lift_from(operation, active, body) if isinstance(operation, Scan) else operation)
    return replace(function, operations=body.operations)


def _lift_from(scan: Scan, active: Collection[Value], body: Builder) -> Scan:
    lifted = _invariants(scan, active)
    varying = set(parameters_of(scan.region))
    kept: list[Operation] = []
    for operation in scan.region.operations:
        if operation in lifted:
            body.append(operation)
            continue
        varying.update(results_of(operation))
        if isinstance(operation, Broadcast) and operation.operand in active and operation.operand not in varying:
            with body.at(location_of(operation)):
                operation = replace(operation, operand=_as_row(operation.operand, operation.result, body))
        kept.append(operation)
    return replace(scan, region=replace(scan.region, operations=tuple(kept)))


def _invariants(scan: Scan, active: Collection[Value]) -> set[Operation]:
    """Operations of fixed shape that no step's values reach and that active ones of their kind need."""
    varying = set(parameters_of(scan.region))
    candidates: list[Operation] = []
    for operation in scan.region.operations:
        fixed = all(isinstance(result.type, TensorType) and inference.is_fixed(result.type) for result in results_of(operation))
        if fixed and varying.isdisjoint(operands_of(operation)):
            candidates.append(operation)
        else:
            varying.update(results_of(operation))
    wanted = set(active)
    lifted: set[Operation] = set()
    for operation in reversed(candidates):
        if not wanted.isdisjoint(results_of(operation)):
            lifted.add(operation)
            wanted.update(operands_of(operation))
    return lifted


def _as_row(value: Value, target: Value, body: Builder) -> Value:
    """A fixed-shape value as the [w] that broadcasts to `target`, [rows, w]."""
    shape, width = Builder.tensor(value).shape, Builder.tensor(target).shape[-1]
    row = body.reshape(value, (1,)) if not shape else body.reshape(value, shape[1:]) if len(shape) == 2 else value
    return body.broadcast_to(row, (width,))
