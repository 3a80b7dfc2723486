"""How a kernel function is called: `void f(void **pointers, int64_t *dims)`.

The pointers are those of `buffers`, then the arenas; the dims are those of `dims`. Scratch, tape and
prepared memory are one arena each, laid out by their plans; all weights are one flat array, and so are
their gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.contract.dimensions import ROWS, Dim, Size
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.kernel.memory import Plan, buffers_of, plan_apart, plan_scratch
from rnnspec.kernel.nodes import Buffer, KernelFunction, NarrowPanels, Node, PackPanels, ScanLoop, Scatter

ARENAS = (Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT)


@frozen
class CallingConvention:
    """`buffers`: passed one by one. `arenas`: the spaces in use, one pointer each. `dims`: numbers of rows and steps."""

    buffers: tuple[Buffer, ...]
    arenas: tuple[Space, ...]
    dims: tuple[Size, ...]
    scratch: Plan
    tape: Plan
    prepared: Plan


def calling_convention(function: KernelFunction) -> CallingConvention:
    """The calling convention of a function."""
    used = {name for node in function.nodes for name in buffers_of(node)}
    single = tuple(
        buffer for buffer in function.buffers if buffer.space not in ARENAS and (buffer.name in used or buffer.space is Space.COTANGENT)
    )
    arenas = tuple(space for space in ARENAS if any(buffer.space is space for buffer in function.buffers))
    rows = [*(buffer.rows for buffer in function.buffers), *(each for node in function.nodes for each in sizes_of(node))]
    dims = dict.fromkeys(each for each in rows if isinstance(each, Size) and each != ROWS)
    plans = plan_scratch(function), plan_apart(function, Space.TAPE), plan_apart(function, Space.PREPARED)
    return CallingConvention(single, arenas, tuple(dims), *plans)


def sizes_of(node: Node) -> Iterator[Dim]:
    """The numbers of rows and steps that a loop nest runs over, and of rows that it makes."""
    match node:
        case ScanLoop():
            yield from (node.rows, node.steps)
        case Scatter():
            yield from (node.rows, node.target_rows)
        case PackPanels() | NarrowPanels():
            pass
        case _:
            yield node.rows
