"""How much a function has to do, and into how many parts it falls: whether several threads pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from rnnspec.contract.dimensions import Dim
from rnnspec.frozen import frozen
from rnnspec.kernel.count import Counting, cost
from rnnspec.kernel.loop_nests import Nest, nests_of
from rnnspec.kernel.nodes import (
    ColumnReduce,
    FusedLoop,
    GatherIds,
    KernelFunction,
    NarrowPanels,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
)
from rnnspec.kernel.parallel_rows import is_divided
from rnnspec.kernel.parallel_units import WAIT_COST, StepShare, unit_shares, waits_of


@frozen
class Parallelism:
    """Into how many parts a loop nest falls at most, roughly: `rows`, or `units`, if each thread does `waiting` in addition."""

    rows: Dim
    units: int = 1
    waiting: Dim = 0


def parallel_cost(function: KernelFunction, lanes: int) -> Mapping[Parallelism, Dim]:
    """Operations of a function, counted as those of a product, by the parts that they fall into. `lanes`: of a vector."""
    work: dict[Parallelism, Dim] = {}
    counting = Counting.of(function)
    shares: tuple[StepShare, ...] = ()
    step = 0
    for nest in nests_of(function):
        if isinstance(nest.node, ScanLoop):
            shares, step = unit_shares(nest.node, function, lanes), 0
        parts = Parallelism(_most_parts(nest))
        if nest.scan is not None:
            if shares and shares[step].blocks > 1:
                parts = Parallelism(parts.rows, shares[step].blocks, nest.scan.steps * (waits_of(shares) * WAIT_COST))
            step += 1
        work[parts] = work.get(parts, 0) + cost(counting.count(nest))
    return work


def _most_parts(nest: Nest) -> Dim:
    node = nest.node if nest.scan is None else nest.scan
    match node:
        case _ if not is_divided(node):
            return 1
        case FusedLoop() | RowReduce() | GatherIds() | Rearranged() | ScanLoop():
            return node.rows
        case Outer():
            return node.height
        case ColumnReduce() | Scatter() | PackPanels():
            return node.units
        case NarrowPanels():
            return node.tiles
    assert_never(node)
