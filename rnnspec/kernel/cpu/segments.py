"""Segments: loop nests that compute a few steps of a scan again when its gradient needs them, instead of keeping all steps.

A scan of `@forward` that `@backward` computes again has a `checkpoint`, the number of steps of a segment. Together with the scans that read
it and with what lies between them it becomes one block, which walks over the segments several times:

- As the scan goes: it runs, and its states are kept at the beginning of each segment.
- The other way: the segment is computed again from there, then the reversed scans, whose states are kept in turn.
- Where sums over tokens belong to the block and the second walk went from last to first: once more from first to last, with both from what
  was kept. So sums are added up in the order of the tokens, as without segments, to the same bits.

Buffers over tokens that only this block touches then hold the tokens of one segment.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from rnnspec.contract.dimensions import Tokens, ceil_div
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.ir.ops import ReduceKind
from rnnspec.kernel.accesses import accesses
from rnnspec.kernel.cpu.time_blocks import token_touches
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    Draw,
    FusedLoop,
    GatherIds,
    KeptStates,
    KernelFunction,
    Node,
    Outer,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    SegmentPhase,
    Segments,
)
from rnnspec.kernel.parallel_rows import Touch
from rnnspec.kernel.pipeline import Kernels


@frozen
class SegmentScans:
    """Puts scans with a checkpoint into segments, with what reads them; see the module."""

    name: ClassVar[str] = "segments"

    def run(self, kernels: Kernels) -> Kernels:
        """The kernels with a block for each scan that has a checkpoint and is read by a scan in the other direction."""
        return replace(kernels, function=segmented(kernels.function))


def segmented(function: KernelFunction) -> KernelFunction:
    """The function with its nests in another order, so that each block's are next to each other."""
    if not any(isinstance(node, ScanLoop) and node.checkpoint for node in function.nodes):
        return function
    plan = _Plan(function)
    groups: list[frozenset[int]] = []
    for number, node in enumerate(function.nodes):
        if isinstance(node, ScanLoop) and node.checkpoint and not any(number in group for group in groups):
            groups.append(plan.grown(number, groups))
    return plan.arranged(groups)


class _Plan:
    """The nests of a function, and which of them wait for which others."""

    def __init__(self, function: KernelFunction) -> None:
        self._function, self._nodes = function, function.nodes
        self._buffers = {buffer.name: buffer for buffer in function.buffers}
        self._touching: dict[str, list[int]] = {}
        self._before: list[set[int]] = []
        written: dict[str, int] = {}
        read: dict[str, list[int]] = {}
        self._touches = [_touches(node) for node in self._nodes]
        for number, touches in enumerate(self._touches):
            waits: set[int] = set()
            for touch in touches:
                if touch.buffer in written:
                    waits.add(written[touch.buffer])
                if touch.written:
                    waits.update(read.get(touch.buffer, ()))
            for touch in touches:
                if touch.written:
                    written[touch.buffer], read[touch.buffer] = number, []
                else:
                    read.setdefault(touch.buffer, []).append(number)
                touching = self._touching.setdefault(touch.buffer, [])
                if touching[-1:] != [number]:
                    touching.append(number)
            self._before.append(waits - {number})

    def grown(self, seed: int, groups: Sequence[frozenset[int]]) -> frozenset[int]:
        """The nests that run in segments with a scan."""
        group, taken = {seed}, frozenset[int]().union(*groups)
        pending = self._neighbours(group)
        while pending:
            number = pending.pop(0)
            if number in group or number in taken or not self._may_join(number, group):
                continue
            larger = {*group, number}
            if self._fits(larger, seed) and self._order([*groups, frozenset(larger)]) is not None:
                group = larger
                pending = self._neighbours(group)
        return frozenset(group)

    def _neighbours(self, group: Collection[int]) -> list[int]:
        """Nests that touch what the group touches over its tokens: those behind it first, then those before it, from its end on."""
        tokens = self._tokens(group)
        found = {
            other
            for number in group
            for touch in self._touches[number]
            if self._buffers[touch.buffer].rows == tokens and self._buffers[touch.buffer].space is Space.SCRATCH
            for other in self._touching[touch.buffer]
        }
        least = min(group)
        behind, before = [each for each in found if each > least], [each for each in found if each < least]
        return [each for each in (*sorted(behind), *sorted(before, reverse=True)) if each not in group]

    def _may_join(self, number: int, group: Collection[int]) -> bool:
        """Whether a nest reads what the group makes, or makes what the group alone reads."""
        made = self._made(group)
        if any(touch.buffer in made for touch in self._touches[number]):
            return True
        own = [touch.buffer for touch in self._touches[number] if touch.written and touch.buffer not in self._states_of(number)]
        return bool(own) and all(
            self._buffers[name].space is Space.SCRATCH and all(other == number or other in group for other in self._touching[name])
            for name in own
        )

    def _tokens(self, group: Collection[int]) -> Tokens:
        """The tokens that the group's scans walk over."""
        return Tokens(self._scan(self._scans(group)[0]).steps.number)

    def _made(self, group: Collection[int]) -> set[str]:
        """The buffers over the scans' tokens that the group writes."""
        tokens = self._tokens(group)
        touches = (touch for number in group for touch in self._touches[number] if touch.written)
        return {touch.buffer for touch in touches if self._buffers[touch.buffer].rows == tokens}

    def _fits(self, group: Collection[int], seed: int) -> bool:
        """Whether each of the nests can run for one segment after the other, and no recomputed scan waits for a reversed one."""
        first = self._scan(seed)
        if not all(self._runs_in_segments(number, first) for number in group):
            return False
        apart = [touch for number in group for touch in self._touches[number] if touch.own is None]
        for touch in apart:
            others = [other for other in self._touching[touch.buffer] if other in group]
            writes = any(each.written for other in others for each in self._touches[other] if each.buffer == touch.buffer)
            if writes and (len(others) > 1 or self._buffers[touch.buffer].rows == self._tokens(group)):
                return False
        again = [number for number in self._scans(group) if self._scan(number).checkpoint]
        reversed_ = set(self._scans(group)) - set(again)
        return reversed_.isdisjoint(self._ancestors(again, group))

    def _runs_in_segments(self, number: int, first: ScanLoop) -> bool:
        node = self._nodes[number]
        tokens = Tokens(first.steps.number)
        match node:
            case ScanLoop():
                same = (node.steps, node.offsets, node.rows) == (first.steps, first.offsets, first.rows)
                walked = node.reverse == first.reverse if node.checkpoint else node.reverse != first.reverse
                by_rows = all(isinstance(inner, FusedLoop | RowReduce | GatherIds | Rearranged) for inner in node.body)
                return same and walked and by_rows and node.checkpoint in (0, first.checkpoint)
            case FusedLoop() | RowReduce() | GatherIds() | Rearranged():
                return node.rows == tokens
            case Outer() | ColumnReduce():
                return node.rows == tokens and self._adds_by_rows(number, node)
            case _:
                return False

    def _adds_by_rows(self, number: int, node: Outer | ColumnReduce) -> bool:
        """Whether a sum goes where nobody else has written, and takes each row at its place."""
        target = self._buffers[node.target.buffer]
        writers = [other for other in self._touching[target.name] for each in self._touches[other] if each == Touch(target.name, True)]
        if target.space not in (Space.GRADIENT, Space.SCRATCH) or writers != [number] or not isinstance(target.rows, int):
            return False
        if isinstance(node, ColumnReduce) and (node.kind is not ReduceKind.SUM or any(isinstance(each, Draw) for each in node.body)):
            return False
        looked_up = {access.buffer for access in accesses(node) if access.via is not None}
        return all(self._buffers[name].rows != node.rows for name in looked_up)

    def _states_of(self, number: int) -> set[str]:
        node = self._nodes[number]
        return {name for state in node.states for name in (state.current, state.following)} if isinstance(node, ScanLoop) else set()

    def _scans(self, group: Collection[int]) -> list[int]:
        return [number for number in sorted(group) if isinstance(self._nodes[number], ScanLoop)]

    def _scan(self, number: int) -> ScanLoop:
        node = self._nodes[number]
        assert isinstance(node, ScanLoop)
        return node

    def _ancestors(self, of: Collection[int], group: Collection[int]) -> set[int]:
        """The nests of a group that others wait for, directly or not, and these themselves."""
        found: set[int] = set()
        pending = list(of)
        while pending:
            number = pending.pop()
            if number not in found and number in group:
                found.add(number)
                pending.extend(self._before[number])
        return found

    def _order(self, groups: Sequence[frozenset[int]]) -> list[int] | None:
        """All nests in an order in which each group's follow each other; None if there is none."""
        owner = {number: min(group) for group in groups for number in group}
        members = {min(group): sorted(group) for group in groups}
        waiting: dict[int, set[int]] = {}
        for number, before in enumerate(self._before):
            own = owner.get(number, number)
            waiting.setdefault(own, set()).update(owner.get(each, each) for each in before)
        for own, before in waiting.items():
            before.discard(own)
        behind: dict[int, list[int]] = {}
        for own, before in waiting.items():
            for each in before:
                behind.setdefault(each, []).append(own)
        ready = [own for own, before in waiting.items() if not before]
        heapq.heapify(ready)
        order: list[int] = []
        while ready:
            own = heapq.heappop(ready)
            order += members.get(own, [own])
            for each in behind.get(own, ()):
                waiting[each].discard(own)
                if not waiting[each]:
                    heapq.heappush(ready, each)
        return order if len(order) == len(self._nodes) else None

    def arranged(self, groups: Sequence[frozenset[int]]) -> KernelFunction:
        """The function in an order in which each group is a block."""
        order = self._order(groups)
        assert order is not None
        nodes, buffers, blocks = list(self._nodes), dict(self._buffers), list[Segments]()
        place = {number: position for position, number in enumerate(order)}
        for group in groups:
            for number in group:
                node = nodes[number]
                if isinstance(node, Outer | ColumnReduce):
                    nodes[number] = replace(node, adds=True)
            blocks.append(self._block(group, place, buffers))
        blocks.sort(key=lambda block: block.first)
        return replace(
            self._function, nodes=tuple(nodes[number] for number in order), buffers=tuple(buffers.values()), blocks=tuple(blocks)
        )

    def _block(self, group: frozenset[int], place: Mapping[int, int], buffers: dict[str, Buffer]) -> Segments:
        """A group as a block; its buffers, and those that are kept for it, are put into `buffers`."""
        scans = self._scans(group)
        again = [number for number in scans if self._scan(number).checkpoint]
        reversed_ = [number for number in scans if number not in again]
        first = self._scan(again[0])
        local = sorted(name for name in self._made(group) if self._is_local(name, group))
        for name in local:
            buffers[name] = replace(buffers[name], rows=first.rows * first.checkpoint)
        kept: list[KeptStates] = []
        for number in scans:
            names: list[str] = []
            for state in self._scan(number).states:
                names.append(f"kept.{state.current}")
                rows = (ceil_div(first.steps, first.checkpoint) + 2) * first.rows  # one for the last one's end, one if there is no step
                buffers[names[-1]] = Buffer(names[-1], Space.SCRATCH, self._function.dtype, rows, state.width)
            kept.append(KeptStates(place[number], tuple(names)))

        def phase(nodes: Collection[int], keeps: Sequence[int], *, back: bool) -> SegmentPhase:
            return SegmentPhase(back, tuple(sorted(place[each] for each in nodes)), tuple(place[each] for each in keeps))

        walks = [phase(self._ancestors(again, group), again, back=first.reverse)]
        if not reversed_:
            walks = [phase(group, again, back=first.reverse)]
        elif first.reverse or not any(isinstance(self._nodes[number], Outer | ColumnReduce) for number in group):
            walks.append(phase(group, reversed_, back=not first.reverse))
        else:
            walks.append(phase(self._ancestors(reversed_, group), reversed_, back=True))
            walks.append(phase(group, (), back=False))
        start = min(place[number] for number in group)
        sums = [node.target.buffer for node in (self._nodes[number] for number in sorted(group)) if isinstance(node, Outer | ColumnReduce)]
        zeroed = tuple(name for name in sums if buffers[name].space is Space.SCRATCH)
        scan = first.checkpoint, first.steps, first.offsets, first.rows
        return Segments(start, start + len(group), *scan, tuple(local), tuple(kept), tuple(walks), zeroed)

    def _is_local(self, name: str, group: Collection[int]) -> bool:
        """Whether nobody else touches a buffer, which is written at each token for itself."""
        return self._buffers[name].space is Space.SCRATCH and all(number in group for number in self._touching[name])


def _touches(node: Node) -> tuple[Touch, ...]:
    """The buffers of a nest; of a sum over tokens, what it takes at each row's own place is its own."""
    found = tuple(token_touches(node))
    if not isinstance(node, Outer | ColumnReduce):
        return found
    by_row = {access.buffer for access in accesses(node) if access.rows is RowMap.ROW and access.via is None and not access.row}
    by_row -= {access.buffer for access in accesses(node) if access.rows is not RowMap.ROW or access.via is not None or access.row}
    return tuple(Touch(each.buffer, each.written, node.rows if each.buffer in by_row and not each.written else each.own) for each in found)
