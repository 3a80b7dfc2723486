"""Decides which carried values of a scan can be updated in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    ColumnReduce,
    Contract,
    GatherIds,
    Load,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
    Stage,
    State,
    Statement,
    Store,
)


def accesses(node: Node) -> Iterator[Access]:
    """Every row access of a node other than its indices."""
    match node:
        case Stage():
            yield from _accesses_of_body(node.body)
        case RowReduce() | ColumnReduce():
            yield from _accesses_of_body(node.body)
            yield node.target
        case Outer():
            yield from (node.left, node.right, node.target)
        case Scatter():
            yield node.source
        case GatherIds() | Rearranged() | PackPanels() | ScanLoop():
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


def settle_states(loop: ScanLoop, buffers: dict[str, Buffer]) -> ScanLoop:
    """Drops the second buffer of each carried value that no one reads, whole or at another unit, once it is overwritten."""
    states: list[State] = []
    renamed: dict[str, str] = {}
    for state in loop.states:
        if _in_place(loop, state):
            renamed[state.following] = state.current
            del buffers[state.following]
            states.append(replace(state, following=state.current))
        else:
            states.append(state)
    return replace(loop, states=tuple(states), body=tuple(_rename(node, renamed) for node in loop.body))


def _in_place(loop: ScanLoop, state: State) -> bool:
    reads = [number for number, node in enumerate(loop.body) for access in accesses(node) if access.buffer == state.current]
    writes = [number for number, node in enumerate(loop.body) for access in accesses(node) if access.buffer == state.following]
    if not writes:
        return False
    writer = min(writes)
    if any(number > writer for number in reads):
        return False
    node = loop.body[writer]
    if writer not in reads:
        return True
    if not isinstance(node, Stage) or any(number != writer for number in writes):
        return False
    stored = {
        statement.access.column for statement in node.body if isinstance(statement, Store) and statement.access.buffer == state.following
    }
    for statement in node.body:
        match statement:
            case Load() if statement.access.buffer == state.current:
                if statement.access.splat or statement.access.column not in stored:
                    return False
            case Contract() if statement.left.buffer == state.current:
                return False
            case _:
                pass
    return True


def _rename(node: Node, renamed: dict[str, str]) -> Node:
    def access(old: Access) -> Access:
        return replace(old, buffer=renamed.get(old.buffer, old.buffer))

    def statement(old: Statement) -> Statement:
        match old:
            case Load() | Store():
                return replace(old, access=access(old.access))
            case Contract():
                return replace(old, left=access(old.left))
            case _:
                return old

    match node:
        case Stage():
            return replace(node, body=tuple(statement(old) for old in node.body))
        case RowReduce() | ColumnReduce():
            return replace(node, body=tuple(statement(old) for old in node.body), target=access(node.target))
        case Outer():
            return replace(node, left=access(node.left), right=access(node.right), target=access(node.target))
        case Scatter():
            return replace(node, source=access(node.source))
        case GatherIds() | Rearranged() | PackPanels() | ScanLoop():
            return node
