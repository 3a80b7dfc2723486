"""How a kernel function is called: `void f(void **pointers, int64_t *dims)`.

The pointers are those of `buffers`, then the index's offsets if it scans, then the arenas; the dims are batch, time, tokens and steps.
Scratch, tape and prepared memory are one arena each, laid out by their plans; all weights are one
flat array, and so are their gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.kernel.memory import Plan, buffers_of, plan_apart, plan_scratch
from rnnspec.kernel.nodes import Buffer, KernelFunction, Node, ScanLoop, Space

DIMS = ("batch", "time", "tokens", "steps")

ARENAS = (Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT)

OFFSETS = "index.offsets"
"""The index's array of tokens before each step (see `runtime.packing`), an argument of functions that scan."""


@dataclass(frozen=True, slots=True)
class Convention:
    """`arguments`: the buffers that are passed one by one, then the arenas that are used, by space."""

    buffers: tuple[Buffer, ...]
    scans: bool
    arenas: tuple[Space, ...]
    scratch: Plan
    tape: Plan
    prepared: Plan


def convention(function: KernelFunction) -> Convention:
    """The calling convention of a function."""
    used = {name for node in function.nodes for name in buffers_of(node)}
    single = tuple(
        buffer for buffer in function.buffers if buffer.space not in ARENAS and (buffer.name in used or buffer.space is Space.COTANGENT)
    )
    arenas = tuple(space for space in ARENAS if any(buffer.space is space for buffer in function.buffers))
    return Convention(
        single,
        _scans(function.nodes),
        arenas,
        plan_scratch(function),
        plan_apart(function, Space.TAPE),
        plan_apart(function, Space.PREPARED),
    )


def _scans(nodes: tuple[Node, ...]) -> bool:
    return any(isinstance(node, ScanLoop) for node in nodes)
