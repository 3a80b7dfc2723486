"""How an arena is laid out: slots one after the other, which the compiler plans and the runtime has memory for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rnnspec.contract.dimensions import Dim, Size, value_of
from rnnspec.frozen import frozen

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""

SLOT_GAP = 13 * ALIGNMENT
"""Bytes between slots. Rows of many buffers are read side by side, and if all of them began a power of two apart, as the sizes of layers
often are, they would push each other out of the few lines that a cache has for such addresses. 13 steps a line aside are 64 places."""


@frozen
class Slot:
    """A part of an arena: `row_bytes` for each of `rows` rows (at least one), rounded up to a cache line, and `SLOT_GAP` behind it."""

    rows: Dim
    row_bytes: int

    def size(self, dims: Mapping[Size, int]) -> int:
        """Bytes, for a call's sizes (see `NativeFunction.dims`)."""
        return aligned(max(value_of(self.rows, dims), 1) * self.row_bytes) + SLOT_GAP


def aligned(size: int) -> int:
    """Bytes, rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def arena_bytes(slots: Iterable[Slot], dims: Mapping[Size, int]) -> int:
    """Bytes of an arena, for a call's sizes."""
    return sum(slot.size(dims) for slot in slots)
