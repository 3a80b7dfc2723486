"""How an entry point calls the functions of loop nests: what each takes behind its buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from rnnspec.backend.llvm_cpu.loop_nests import column_tile, tile_count
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.contract.dimensions import Dim
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    FusedLoop,
    GatherIds,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
)
from rnnspec.kernel.parallel_rows import Touch, touches
from rnnspec.kernel.parallel_units import StepShare


@frozen
class NestCall:
    """The function `name` takes `buffers`, a range of `size` things, and `further` sizes.

    `nest`: what it is a part of, by the name of its function. `shares`: of a scan whose units several threads may share.
    `number`: the node's in its function.
    """

    nest: str
    name: str
    node: Node
    buffers: tuple[str, ...]
    size: Dim
    further: tuple[Dim, ...]
    touches: tuple[Touch, ...]
    shares: tuple[StepShare, ...] = ()
    number: int = 0


def calls_of(name: str, node: Node, buffers: Mapping[str, Buffer], vectors: Vectors) -> Iterator[NestCall]:
    """The calls of a loop nest, in order."""
    names = tuple(dict.fromkeys(buffers_of(node)))
    if isinstance(node, Scatter) and needs_zeros(node, buffers):
        zeroed = Touch(node.target, written=True)
        yield NestCall(name, zeros_name(name), node, (node.target,), node.target_rows, (), (zeroed,))
    yield NestCall(name, name, node, names, _size(node, vectors), _further(node), tuple(touches(node)))


def zeros_name(name: str) -> str:
    """The function that fills a scatter's target with zeros."""
    return f"{name}.zeros"


def needs_zeros(node: Scatter, buffers: Mapping[str, Buffer]) -> bool:
    """Whether a scatter's target is to be made zeros; a weight's gradient is already."""
    return buffers[node.target].space is not Space.GRADIENT


def _size(node: Node, vectors: Vectors) -> Dim:
    """How many things a range is taken of: rows, rows of a result, tiles of units."""
    match node:
        case FusedLoop() | RowReduce() | GatherIds() | Rearranged() | ScanLoop():
            return node.rows
        case Outer():
            return node.height
        case ColumnReduce() | Scatter():
            return tile_count(vectors, node.units, column_tile(vectors, node.units))
        case PackPanels():
            return tile_count(vectors, node.units, node.vectors)
        case NarrowPanels():
            return node.tiles
    assert_never(node)


def _further(node: Node) -> tuple[Dim, ...]:
    match node:
        case FusedLoop() | RowReduce() | GatherIds() | Rearranged():
            return (0,)
        case ColumnReduce() | Outer() | Scatter():
            return (node.rows,)
        case ScanLoop():
            return (node.steps,)
        case PackPanels() | NarrowPanels():
            return ()
    assert_never(node)
