"""Decides which carried values of a scan can be updated in place."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.kernel.accesses import accesses, with_accesses
from rnnspec.kernel.nodes import Access, Buffer, CarryBuffers, Contract, FusedLoop, Load, ScanLoop, Store


def settle_states(loop: ScanLoop, buffers: dict[str, Buffer]) -> ScanLoop:
    """Drops the second buffer of each carried value that no one reads, whole or at another unit, once it is overwritten."""
    states: list[CarryBuffers] = []
    renamed: dict[str, str] = {}
    for state in loop.states:
        if _in_place(loop, state):
            renamed[state.following] = state.current
            del buffers[state.following]
            states.append(replace(state, following=state.current))
        else:
            states.append(state)

    def rename(old: Access) -> Access:
        return replace(old, buffer=renamed.get(old.buffer, old.buffer))

    return replace(loop, states=tuple(states), body=tuple(with_accesses(node, rename) for node in loop.body))


def _in_place(loop: ScanLoop, state: CarryBuffers) -> bool:
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
    if not isinstance(node, FusedLoop) or any(number != writer for number in writes):
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
