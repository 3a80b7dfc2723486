"""Parallel rows: the ranges of each loop nest that threads can share, and the barriers between nests.

No sum is ever divided: a nest over rows falls into ranges of rows, one that adds up over all rows into
ranges of what it computes. So results don't depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from rnnspec.contract.dimensions import ROWS, Dim
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import CallingConvention
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Access,
    ColumnReduce,
    Contract,
    FusedLoop,
    GatherIds,
    KernelFunction,
    Load,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Store,
)


@frozen
class Touch:
    """A buffer that a loop nest reads or, if `written`, writes.

    `own`: only at the row that the nest is at, in a nest that is divided by so many rows.
    """

    buffer: str
    written: bool
    own: Dim | None = None


def is_divided(node: Node) -> bool:
    """Whether several threads may each do a part; else one does it all."""
    match node:
        case ScanLoop():
            return _rows_are_apart(node)
        case FusedLoop() | RowReduce() | GatherIds() | Rearranged():
            return node.rows != 1
        case ColumnReduce() | Outer() | Scatter() | PackPanels() | NarrowPanels():
            return True
    assert_never(node)


def _rows_are_apart(scan: ScanLoop) -> bool:
    """Whether no row of the step's nests reads what another row has written."""
    written = {name for state in scan.states for name in (state.current, state.following, state.final) if name is not None}
    written |= {touch.buffer for node in scan.body for touch in touches(node) if touch.written}
    for node in scan.body:
        if not isinstance(node, FusedLoop | RowReduce | GatherIds | Rearranged) or node.rows != ROWS:
            return False
        if any(touch.own is None and touch.buffer in written for touch in touches(node)):
            return False
    return True


def touches(node: Node) -> Iterator[Touch]:
    """Every buffer of a node, some more than once."""
    match node:
        case FusedLoop():
            yield from _touches_of_body(node)
        case RowReduce():
            yield from _touches_of_body(node)
            yield _touch(node.target, node.rows, written=True)
        case GatherIds():
            yield Touch(node.source, False, node.rows if node.via is None else None)
            yield Touch(node.target, True, node.rows)
            if node.via is not None:
                yield Touch(node.via, False, node.rows)
        case Rearranged():
            yield Touch(node.source, False, node.rows)
            yield Touch(node.target, True, node.rows)
        case ColumnReduce() | Outer():
            yield from (Touch(name, False) for name in buffers_of(node))
            yield Touch(node.target.buffer, True)
        case Scatter() | PackPanels():
            yield from (Touch(name, name == node.target) for name in buffers_of(node))
        case NarrowPanels():
            yield from (Touch(name, name != node.source) for name in buffers_of(node))
        case ScanLoop():
            inner = {touch.buffer for step in node.body for touch in touches(step) if touch.written}
            for state in node.states:
                inner |= {name for name in (state.current, state.following, state.final) if name is not None}
            yield from (Touch(name, name in inner) for name in buffers_of(node))
        case _:
            assert_never(node)


def _touches_of_body(node: FusedLoop | RowReduce) -> Iterator[Touch]:
    for statement in node.body:
        match statement:
            case Load(access=access) | Contract(left=access):
                yield _touch(access, node.rows, written=False)
                if access.via is not None:
                    yield Touch(access.via, False, node.rows if access.rows is not RowMap.FIRST else None)
                if access.fill is not None:
                    yield Touch(access.fill, False)
            case Store(access=access):
                yield _touch(access, node.rows, written=True)
            case _:
                pass
    for statement in node.body:
        if isinstance(statement, Contract):
            yield from (Touch(name, False) for name in (statement.panels, statement.scales) if name is not None)


def _touch(access: Access, rows: Dim, *, written: bool) -> Touch:
    own = access.rows is not RowMap.FIRST and access.via is None and not access.row
    return Touch(access.buffer, written, rows if own else None)


def memory_of(function: KernelFunction, calls: CallingConvention) -> dict[str, object]:
    """For each buffer a key that only buffers in the same memory share."""
    keys: dict[str, object] = {}
    for buffer in function.buffers:
        if buffer.name in calls.scratch.slot_of:
            keys[buffer.name] = calls.scratch.slot_of[buffer.name]
        else:
            keys[buffer.name] = (buffer.space, buffer.offset) if buffer.space is Space.GRADIENT else buffer.name
    return keys


@dataclass
class Pending:
    """The reads and writes since the last barrier."""

    memory: Mapping[str, object]
    _touched: dict[object, set[Touch]] = field(default_factory=dict[object, set[Touch]])

    def must_wait(self, following: Iterable[Touch]) -> bool:
        """Whether what follows has to wait; it counts as read and written from now on."""
        found = tuple(following)
        waits = any(_collide(one, other) for one in found for other in self._touched.get(self.memory[one.buffer], ()))
        if waits:
            self._touched = {}
        for touch in found:
            self._touched.setdefault(self.memory[touch.buffer], set()).add(touch)
        return waits


def _collide(one: Touch, other: Touch) -> bool:
    apart = one.buffer == other.buffer and one.own is not None and one.own == other.own
    return (one.written or other.written) and not apart
