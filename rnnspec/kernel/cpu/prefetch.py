"""Lets a step's contraction fetch what other nests of the next step read and write of tokens.

A nest without a contraction waits for memory: it comes to each token once, and does little with it. A contraction works on few lines
again and again, and waits for nothing. So while it adds up, one line after the other comes for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import Access, Contract, FusedLoop, KernelFunction, Load, Node, Prefetch, RowMap, RowReduce, ScanLoop, Store
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import CACHE_LINE, ELEMENT_BYTES


@frozen
class PrefetchTokens:
    """Lets a step's largest contraction fetch tokens for the next step; see the module."""

    name: ClassVar[str] = "prefetch"

    def run(self, kernels: Kernels) -> Kernels:
        """Adds a prefetch to the scans' steps."""
        function = kernels.function
        return replace(kernels, function=prefetch(function, kernels.target.lanes(function.dtype)))


def prefetch(function: KernelFunction, lanes: int) -> KernelFunction:
    """The function with a `Prefetch` in the largest contraction of each scan whose step has other nests over tokens.

    Left out are buffers of which a row is shorter than a cache line: there is little of them, and each would be a loop of its own.
    """
    line = CACHE_LINE // ELEMENT_BYTES[function.dtype]
    widths = {buffer.name: buffer.width for buffer in function.buffers if buffer.width >= line}
    nodes = (_fetching(node, widths, lanes) if isinstance(node, ScanLoop) else node for node in function.nodes)
    return replace(function, nodes=tuple(nodes))


def _fetching(loop: ScanLoop, widths: Mapping[str, int], lanes: int) -> ScanLoop:
    busy = [node for node in loop.body if isinstance(node, FusedLoop) and _products(node) and not _is_parted(node)]
    buffers = _of_tokens(loop, widths)
    if not busy or not buffers:
        return loop
    chosen = max(busy, key=_products)
    fetch = Prefetch(buffers, loop.reverse, chosen.tile.rows[0], -(-chosen.units // (chosen.tile.vectors * lanes)))
    return replace(loop, body=tuple(replace(node, body=(fetch, *chosen.body)) if node is chosen else node for node in loop.body))


def _is_parted(stage: FusedLoop) -> bool:
    """Whether a part of the depth is added after the other: its tiles of rows come again for each."""
    return stage.tile.block is not None and stage.tile.block.depth is not None


def _products(stage: FusedLoop) -> int:
    """Multiplications for each row."""
    return sum(statement.depth * len(statement.names) * stage.units for statement in stage.body if isinstance(statement, Contract))


def _of_tokens(loop: ScanLoop, widths: Mapping[str, int]) -> tuple[str, ...]:
    """The buffers of which nests without a contraction read or write whole rows, those of the step's tokens."""
    columns: dict[str, set[int]] = {}
    for node in loop.body:
        for access, units in _touched(node):
            if access.rows is RowMap.TOKEN and access.via is None and access.row == 0 and not access.splat:
                columns.setdefault(access.buffer, set()).update(range(access.column, access.column + units))
    return tuple(name for name, touched in columns.items() if len(touched) == widths.get(name))


def _touched(node: Node) -> list[tuple[Access, int]]:
    """The accesses of a nest without a contraction, and their columns."""
    if isinstance(node, RowReduce) or (isinstance(node, FusedLoop) and not _products(node)):
        return [(statement.access, node.units) for statement in node.body if isinstance(statement, Load | Store)]
    return []
