"""Checks a kernel function's own rules: what only a bug in the scheduler, or in a pass, can break."""

from __future__ import annotations

from rnnspec.contract.location import told_with
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import KernelFunction, ScanLoop, TimeBlock


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


def _verify_block(function: KernelFunction, block: TimeBlock, end: int) -> None:
    what = f"@{function.name}: the block of nests {block.first} to {block.last}"
    if not end <= block.first < block.last <= len(function.nodes):
        raise InternalError(f"{what} overlaps with another one, or has no nests")
    scans = [node for node in function.nodes[block.first : block.last] if isinstance(node, ScanLoop)]
    if not scans:
        raise InternalError(f"{what} has no scan")
    if any((scan.steps, scan.offsets, scan.reverse) != (block.steps, block.offsets, block.reverse) for scan in scans):
        raise InternalError(f"{what} has a scan over other steps than its own")
