"""A function's loop nests with their work on a call of given sizes, the least time for it, and the measured time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from rnnspec.contract.dimensions import Size, value_of
from rnnspec.kernel.count import Count, count
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import (
    ColumnReduce,
    Contract,
    FusedLoop,
    GatherIds,
    KernelFunction,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
)
from rnnspec.kernel.target import ELEMENT_BYTES
from rnnspec.profile.machine import Rates
from rnnspec.profile.report import Kernel, Limit, OperationCount


def kernels(
    function: KernelFunction, seconds: Sequence[float], fastest: Sequence[float], sizes: Mapping[Size, int], rates: Rates
) -> tuple[Kernel, ...]:
    """`seconds`, `fastest`: of each nest; a scan's include those of its step."""
    bytes_of = {buffer.name: buffer.width * ELEMENT_BYTES[buffer.dtype] * value_of(buffer.rows, sizes) for buffer in function.buffers}
    found: list[Kernel] = []
    for nest, taken, best in zip(nests_of(function), seconds, fastest, strict=True):
        counted = count(nest, function)
        kind, shape = described(nest.node)
        work, limit = _work(counted, sizes), _limit(counted, sizes, bytes_of, rates)
        found.append(Kernel(nest.name, kind, tuple(counted.written), shape, taken, best, work, limit, nest.node.location))
    return tuple(_with_step(kernel, found) for kernel in found)


def _with_step(kernel: Kernel, all_: Sequence[Kernel]) -> Kernel:
    """A scan with what its step does."""
    for inner in all_:
        if inner.name.startswith(f"{kernel.name}."):
            kernel = replace(kernel, work=kernel.work + inner.work, limit=kernel.limit + inner.limit)
    return kernel


def _work(counted: Count, sizes: Mapping[Size, int]) -> OperationCount:
    return OperationCount(
        value_of(counted.matmul, sizes),
        value_of(counted.elementwise, sizes),
        {name: value_of(amount, sizes) for name, amount in counted.elementary.items()},
        sum(value_of(amount, sizes) for amount in counted.read.values()),
        sum(value_of(amount, sizes) for amount in counted.written.values()),
    )


def _limit(counted: Count, sizes: Mapping[Size, int], bytes_of: Mapping[str, int], rates: Rates) -> Limit:
    moved = [*counted.read.items(), *counted.written.items()]
    return Limit.of(
        value_of(counted.matmul + counted.elementwise, sizes) / rates.peak,
        sum(value_of(amount, sizes) / rates.reading_of(bytes_of[name]) for name, amount in moved),
        sum(value_of(amount, sizes) * rates.elementary.get(name, 0.0) for name, amount in counted.elementary.items()),
    )


def described(node: Node) -> tuple[str, str]:
    """A loop nest's kind, as the printed kernel IR calls it, and its iteration space."""
    match node:
        case FusedLoop():
            contracts = [statement for statement in node.body if isinstance(statement, Contract)]
            if not contracts:
                return "stage", f"{node.rows} x {node.units}"
            depths = " + ".join(f"{len(each.names)} x {each.depth}" if len(each.names) > 1 else str(each.depth) for each in contracts)
            return "stage", f"{node.rows} x {node.units} x {depths}"
        case RowReduce():
            return "row_reduce", f"{node.rows} x {node.units}"
        case ColumnReduce():
            return "column_reduce", f"{node.rows} x {node.units}"
        case Outer():
            return "outer", f"{node.rows} x {node.height} x {node.units}"
        case Scatter():
            return "scatter", f"{node.rows} x {node.units}"
        case GatherIds():
            return "gather_ids", str(node.rows)
        case Rearranged():
            return "rearrange", f"{node.rows} x {node.height} x {node.units}"
        case PackPanels():
            return "pack_panels", f"{len(node.gates)} x {node.depth} x {node.units}"
        case NarrowPanels():
            return "narrow_panels", f"{node.tiles} x {node.depth} x {node.columns}"
        case ScanLoop():
            return "scan", f"{node.steps}, {node.rows}"
    assert_never(node)
