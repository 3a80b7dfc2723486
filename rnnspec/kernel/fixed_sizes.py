"""Kernels for a call whose sizes are known: numbers in the place of sizes, as a library for one sequence and one step has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from rnnspec.contract.dimensions import ROWS, Dim, Size, substituted
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.nodes import (
    ColumnReduce,
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


def with_sizes(function: KernelFunction, sizes: Mapping[Size, Dim]) -> KernelFunction:
    """The function with numbers for these sizes; InternalError for the number of a scan's steps, which stays a size."""
    buffers = tuple(replace(buffer, rows=substituted(buffer.rows, sizes)) for buffer in function.buffers)
    return replace(function, buffers=buffers, nodes=tuple(_fixed(node, sizes) for node in function.nodes))


def _fixed(node: Node, sizes: Mapping[Size, Dim]) -> Node:
    match node:
        case FusedLoop() | RowReduce() | ColumnReduce() | Outer() | GatherIds() | Rearranged():
            return replace(node, rows=substituted(node.rows, sizes))
        case Scatter():
            return replace(node, rows=substituted(node.rows, sizes), target_rows=substituted(node.target_rows, sizes))
        case PackPanels() | NarrowPanels():
            return node
        case ScanLoop():
            if node.steps in sizes:
                raise InternalError("a scan of a known number of steps")
            rows = substituted(node.rows, sizes)
            body = tuple(_fixed(each, {**sizes, ROWS: 1}) for each in node.body) if rows == 1 else node.body
            return replace(node, rows=rows, body=body)
    assert_never(node)
