"""Blocks of time: loop nests that run together for a few steps at a time, so that the values between them stay in a cache.

The projection of all tokens is written by one nest and read by the next. For a long sequence that is more than any cache holds. Tokens
lie step by step, so that a nest over tokens can do those of a few steps, and the scan the same steps, before the next ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rnnspec.contract.dimensions import Steps, Tokens
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.kernel.accesses import accesses
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Access,
    Block,
    Buffer,
    FusedLoop,
    GatherIds,
    Node,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    TimeBlock,
)
from rnnspec.kernel.parallel_rows import Touch, touches
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import ELEMENT_BYTES, Target

FEWEST_TOKENS = 64
"""Of a block: with fewer, the weights are read too often."""


@frozen
class TimeBlocks:
    """Lets loop nests that hand tokens to each other take turns; see the module."""

    name: ClassVar[str] = "time-blocks"

    def run(self, kernels: Kernels) -> Kernels:
        """Groups loop nests into blocks of time."""
        function = kernels.function
        buffers = {buffer.name: buffer for buffer in function.buffers}
        return replace(kernels, function=replace(function, blocks=time_blocks(function.nodes, buffers, kernels.target, function.blocks)))


def time_blocks(nodes: Sequence[Node], buffers: Mapping[str, Buffer], target: Target, known: Sequence[Block] = ()) -> tuple[Block, ...]:
    """The longest runs of nests that can be blocked, each a scan with nests that make its tokens or read them; between `known` blocks."""
    blocks: list[Block] = []
    taken = {block.first: block for block in known}
    first = 0
    while first < len(nodes):
        if first in taken:
            blocks.append(taken[first])
            first = taken[first].last
            continue
        run, last = _Run(), first
        while last < len(nodes) and last not in taken and run.takes(nodes[last]):
            last += 1
        block = _block(nodes, first, last, buffers, target)
        if block is not None:
            blocks.append(block)
        first = max(last, first + 1)
    return tuple(blocks)


@dataclass
class _Run:
    """A run of nests that can all do the same steps before any does the next. `touched`: their accesses, by buffer."""

    steps: Steps | None = None
    reverse: bool | None = None
    touched: dict[str, set[Touch]] = field(default_factory=dict[str, set[Touch]])

    def takes(self, node: Node) -> bool:
        """Adds a nest; returns whether it fits the run."""
        steps = _steps(node)
        reverse = node.reverse if isinstance(node, ScanLoop) else self.reverse
        if steps is None or self.steps not in (None, steps) or self.reverse not in (None, reverse):
            return False
        found = set(token_touches(node))
        if any(_collide(one, other) for one in found for other in self.touched.get(one.buffer, ())):
            return False
        for touch in found:
            self.touched.setdefault(touch.buffer, set()).add(touch)
        self.steps, self.reverse = steps, reverse
        return True


def _block(nodes: Sequence[Node], first: int, last: int, buffers: Mapping[str, Buffer], target: Target) -> TimeBlock | None:
    members = nodes[first:last]
    scans = [node for node in members if isinstance(node, ScanLoop)]
    if not scans or len(members) < 2:
        return None
    passed = _passed_on(members)
    token_bytes = sum(buffers[name].width * ELEMENT_BYTES[buffers[name].dtype] for name in passed)
    used = {name for node in members for name in buffers_of(node)}
    weight_bytes = sum(buffers[name].width * ELEMENT_BYTES[buffers[name].dtype] for name in used if buffers[name].space is Space.PREPARED)
    tokens = target.second_level_bytes // 2 // token_bytes if token_bytes else 0
    if tokens < FEWEST_TOKENS or weight_bytes > target.second_level_bytes // 2:
        return None
    return TimeBlock(first, last, tokens, scans[0].steps, scans[0].offsets, scans[0].reverse)


def _collide(one: Touch, other: Touch) -> bool:
    return one.buffer == other.buffer and (one.written or other.written) and (one.own is None or other.own is None)


def _passed_on(members: Sequence[Node]) -> set[str]:
    """The buffers that one nest writes and another accesses."""
    writers: dict[str, int] = {}
    passed: set[str] = set()
    for number, node in enumerate(members):
        found = tuple(token_touches(node))
        passed |= {touch.buffer for touch in found if writers.get(touch.buffer, number) != number}
        for touch in found:
            if touch.written:
                writers.setdefault(touch.buffer, number)
    return passed


def _steps(node: Node) -> Steps | None:
    """The steps whose tokens a nest runs over."""
    match node:
        case ScanLoop():
            return node.steps
        case FusedLoop(rows=Tokens(number)) | RowReduce(rows=Tokens(number)) | GatherIds(rows=Tokens(number)):
            return Steps(number)
        case Rearranged(rows=Tokens(number)):
            return Steps(number)
        case _:
            return None


def token_touches(node: Node) -> Iterator[Touch]:
    """The buffers that a nest accesses; `own`: only at its own token, or its own step."""
    if not isinstance(node, ScanLoop):
        yield from touches(node)
        return
    tokens = Tokens(node.steps.number)
    apart = set(buffers_of(node)) - _by_token(node)
    for touch in touches(node):
        yield Touch(touch.buffer, touch.written, None if touch.buffer in apart else tokens)


def _by_token(scan: ScanLoop) -> set[str]:
    """The buffers that a scan touches at its steps' own tokens alone."""
    found: set[str] = set()
    other = {scan.offsets}
    for state in scan.states:
        other |= {name for name in (state.current, state.following, state.init, state.final) if name is not None}
    for node in scan.body:
        own: set[str] = set()
        for access in accesses(node):
            (own if _is_of_token(access) else other).add(access.buffer)
            if access.via is not None:
                (own if access.rows is RowMap.TOKEN else other).add(access.via)
            if access.fill is not None:
                other.add(access.fill)
        other |= set(buffers_of(node)) - own
        found |= own
    return found - other


def _is_of_token(access: Access) -> bool:
    return access.rows is RowMap.TOKEN and access.via is None and not access.row
