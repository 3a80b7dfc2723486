"""Checks a kernel function's own rules: what only a bug in the scheduler, or in a pass, can break."""

from __future__ import annotations

from collections.abc import Container

from rnnspec.contract.location import told_with
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import Block, KernelFunction, ScanLoop, Segments, TimeBlock


def verify_kernel(function: KernelFunction) -> None:
    """InternalError unless buffers have names of their own, nests touch declared ones, and blocks lie in order around scans."""
    declared: set[str] = set()
    for buffer in function.buffers:
        if buffer.name in declared:
            raise InternalError(f"@{function.name}: two buffers are named {buffer.name}")
        declared.add(buffer.name)
    for number, node in enumerate(function.nodes):
        unknown = next((name for name in buffers_of(node) if name not in declared), None)
        if unknown is not None:
            with told_with(node.location):
                raise InternalError(f"@{function.name}: nest {number} touches {unknown}, which is no buffer")
    end = 0
    for block in function.blocks:
        _verify_block(function, block, end)
        end = block.last
        if isinstance(block, Segments):
            _verify_segments(function, block, declared)


def _verify_block(function: KernelFunction, block: Block, end: int) -> None:
    what = f"@{function.name}: the block of nests {block.first} to {block.last}"
    if not end <= block.first < block.last <= len(function.nodes):
        raise InternalError(f"{what} overlaps with another one, or has no nests")
    scans = [node for node in function.nodes[block.first : block.last] if isinstance(node, ScanLoop)]
    if not scans:
        raise InternalError(f"{what} has no scan")
    if any((scan.steps, scan.offsets) != (block.steps, block.offsets) for scan in scans):
        raise InternalError(f"{what} has a scan over other steps than its own")
    if isinstance(block, TimeBlock) and any(scan.reverse != block.reverse for scan in scans):
        raise InternalError(f"{what} has a scan over other steps than its own")


def _verify_segments(function: KernelFunction, block: Segments, declared: Container[str]) -> None:
    """Every nest runs in the last phase, with the states of its scan kept in declared buffers."""
    what = f"@{function.name}: the segments of nests {block.first} to {block.last}"
    kept = {each.node: each.buffers for each in block.kept}
    if not block.phases or set(block.phases[-1].nodes) != set(range(block.first, block.last)):
        raise InternalError(f"{what} leave nests out")
    for number in range(block.first, block.last):
        node = function.nodes[number]
        if isinstance(node, ScanLoop) and len(kept.get(number, ())) != len(node.states):
            raise InternalError(f"{what} don't keep the states of nest {number}")
    if any(name not in declared for names in (block.local, *kept.values()) for name in names):
        raise InternalError(f"{what} name no buffer")
