"""Plans memory: which buffers share a slot of the workspace, and where slots lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnspec.contract.arena import Slot, arena_bytes
from rnnspec.contract.dimensions import ROWS, Size
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    Contract,
    Draw,
    FusedLoop,
    GatherIds,
    KernelFunction,
    Load,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Prefetch,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
    Segments,
    Statement,
    Store,
)
from rnnspec.kernel.target import ELEMENT_BYTES


@frozen
class Plan:
    """Slots of an arena one after the other, and the slot of each buffer."""

    slots: tuple[Slot, ...]
    slot_of: Mapping[str, int]

    def size(self, dims: Mapping[Size, int]) -> int:
        """Bytes of the arena, for a call's sizes."""
        return arena_bytes(self.slots, dims)


def buffers_of(node: Node) -> Iterator[str]:
    """Every buffer that a node touches, its indices included; some more than once."""
    match node:
        case FusedLoop():
            yield from _buffers_of_body(node.body)
        case RowReduce() | ColumnReduce():
            yield from _buffers_of_body(node.body)
            yield node.target.buffer
        case Outer():
            yield from (node.left.buffer, node.right.buffer, node.target.buffer)
        case Scatter():
            yield from (node.ids, node.source.buffer, node.target)
        case GatherIds():
            yield from (node.source, node.target)
            if node.via is not None:
                yield node.via
        case Rearranged():
            yield from (node.source, node.target)
        case PackPanels():
            yield node.target
            yield from (gate.buffer for gate in node.gates)
        case NarrowPanels():
            yield from (node.source, node.target)
            if node.scales is not None:
                yield node.scales
        case ScanLoop():
            for state in node.states:
                yield from (name for name in (state.current, state.following, state.init, state.final) if name is not None)
            for inner in node.body:
                yield from buffers_of(inner)
            yield node.offsets


def _buffers_of_body(body: tuple[Statement, ...]) -> Iterator[str]:
    for statement in body:
        match statement:
            case Load() | Store():
                access = statement.access
                yield from (name for name in (access.buffer, access.via, access.fill) if name is not None)
            case Contract():
                yield statement.left.buffer
                yield statement.panels
                if statement.scales is not None:
                    yield statement.scales
            case Draw():
                yield statement.key
            case Prefetch():
                yield from statement.buffers
            case _:
                pass


def plan_apart(function: KernelFunction, space: Space) -> Plan:
    """Each buffer of a space in a slot of its own."""
    buffers = [buffer for buffer in function.buffers if buffer.space is space]
    return Plan(tuple(_slot(buffer) for buffer in buffers), {buffer.name: number for number, buffer in enumerate(buffers)})


def plan_scratch(function: KernelFunction) -> Plan:
    """Scratch buffers that are never alive together share slots; a buffer lives from its first node, or block of them, to its last one."""
    scratch = {buffer.name: buffer for buffer in function.buffers if buffer.space is Space.SCRATCH}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    begins = {number: block.first for block in function.blocks for number in range(block.first, block.last)}
    for number, node in enumerate(function.nodes):
        for name in buffers_of(node):
            if name in scratch:
                first.setdefault(name, begins.get(number, number))
                last[name] = number
    for block in function.blocks:
        for name in (name for kept in block.kept for name in kept.buffers) if isinstance(block, Segments) else ():
            first[name], last[name] = block.first, block.last - 1
    slots: list[Slot] = []
    busy_until: list[int] = []
    slot_of: dict[str, int] = {}
    for name in sorted(first, key=lambda name: (first[name], -scratch[name].width)):
        wanted = _slot(scratch[name])
        fitting = [number for number, slot in enumerate(slots) if slot.rows == wanted.rows and busy_until[number] < first[name]]
        if fitting:
            number = min(fitting, key=lambda number: abs(slots[number].row_bytes - wanted.row_bytes))
            slots[number] = Slot(wanted.rows, max(slots[number].row_bytes, wanted.row_bytes))
        else:
            number = len(slots)
            slots.append(wanted)
            busy_until.append(0)
        busy_until[number] = last[name]
        slot_of[name] = number
    return Plan(tuple(slots), slot_of)


def _slot(buffer: Buffer) -> Slot:
    if buffer.rows == ROWS:
        raise InternalError(f"{buffer.name}: a buffer of a step's rows")
    return Slot(buffer.rows, buffer.width * ELEMENT_BYTES[buffer.dtype])
