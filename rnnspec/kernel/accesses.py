"""The row accesses of loop nests: listing them, and replacing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rnnspec.kernel.nodes import (
    Access,
    ColumnReduce,
    Contract,
    FusedLoop,
    GatherIds,
    Load,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
    Statement,
    Store,
)


def accesses(node: Node) -> Iterator[Access]:
    """Every row access of a node other than its indices; none of a scan's step."""
    match node:
        case FusedLoop():
            yield from _accesses_of_body(node.body)
        case RowReduce() | ColumnReduce():
            yield from _accesses_of_body(node.body)
            yield node.target
        case Outer():
            yield from (node.left, node.right, node.target)
        case Scatter():
            yield node.source
        case GatherIds() | Rearranged() | PackPanels() | NarrowPanels() | ScanLoop():
            pass


def _accesses_of_body(body: tuple[Statement, ...]) -> Iterator[Access]:
    for statement in body:
        match statement:
            case Load() | Store():
                yield statement.access
            case Contract():
                yield statement.left
            case _:
                pass


def with_accesses(node: Node, change: Callable[[Access], Access]) -> Node:
    """The node with each row access changed, those of a scan's step too."""

    def statement(old: Statement) -> Statement:
        match old:
            case Load() | Store():
                return replace(old, access=change(old.access))
            case Contract():
                return replace(old, left=change(old.left))
            case _:
                return old

    match node:
        case FusedLoop():
            return replace(node, body=tuple(statement(old) for old in node.body))
        case RowReduce() | ColumnReduce():
            return replace(node, body=tuple(statement(old) for old in node.body), target=change(node.target))
        case Outer():
            return replace(node, left=change(node.left), right=change(node.right), target=change(node.target))
        case Scatter():
            return replace(node, source=change(node.source))
        case ScanLoop():
            return replace(node, body=tuple(with_accesses(inner, change) for inner in node.body))
        case GatherIds() | Rearranged() | PackPanels() | NarrowPanels():
            return node
