"""Packing indices: from padded steps, (batch, time), to tokens without masked steps, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import Windows
from rnnspec.frozen import frozen
from rnnspec.locks import cached_property

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]


@frozen(slots=False)
class PackedIndex:
    """The packing of a mask, bool (batch, time).

    `order` (batch,): the caller's row of each sorted row; rows with more real steps first, stable.
    `rank` (batch,): its inverse. `offsets` (steps + 1,): tokens before each packed step; the rows
    at step k are `offsets[k + 1] - offsets[k]`. `source` (tokens,): the padded step `row * time + t`
    of each token. `position` (batch * time,): the token of each padded step, -1 where masked.
    `kept`: calls of the same sizes get this very object again.
    """

    batch: int
    time: int
    order: Int32
    rank: Int32
    offsets: Int32
    source: Int32
    kept: bool = False

    @property
    def tokens(self) -> int:
        """The number of unmasked steps of all rows."""
        return len(self.source)

    @property
    def steps(self) -> int:
        """The number of packed steps: the most unmasked steps of any row."""
        return len(self.offsets) - 1

    @cached_property
    def position(self) -> Int32:
        """The token of each padded step, -1 where masked; int32 (batch * time,)."""
        position = np.full(self.batch * self.time, -1, np.int32)
        position[self.source] = np.arange(self.tokens, dtype=np.int32)
        return position

    @cached_property
    def stretches(self) -> tuple[Int64, Int64]:
        """Each row's first unmasked step and the length up to its last one; see the function `stretches`."""
        return stretches(self.position.reshape(self.batch, self.time) >= 0)

    def shown(self, hold: bool, flip: bool) -> Int32:
        """The token that each step of an unpacked sequence shows, -1 for its fill; (batch * time,). See `ir.ops.Unpack`."""
        return self._shown[hold, flip]

    @cached_property
    def _shown(self) -> dict[tuple[bool, bool], Int32]:
        shown: dict[tuple[bool, bool], Int32] = {}
        for flip in (False, True):
            grid = self.position.reshape(self.batch, self.time)
            grid = np.ascontiguousarray(grid[:, ::-1] if flip else grid)
            shown[False, flip] = grid.reshape(-1)
            steps = np.where(grid >= 0, np.arange(self.time, dtype=np.int32), np.int32(-1))
            latest = np.maximum.accumulate(steps, axis=1) if self.time else steps
            held = np.take_along_axis(grid, np.maximum(latest, 0), axis=1)
            shown[True, flip] = np.where(latest >= 0, held, np.int32(-1)).astype(np.int32).reshape(-1)
        return shown


def pack(mask: NDArray[np.bool_]) -> PackedIndex:
    """The packing index of a mask, bool (batch, time), True for an unmasked step."""
    batch, time = mask.shape
    lengths = np.count_nonzero(mask, axis=1)
    order = np.argsort(-lengths, kind="stable").astype(np.int32)
    rank = np.empty(batch, np.int32)
    rank[order] = np.arange(batch, dtype=np.int32)
    steps = int(lengths.max(initial=0))
    real = np.arange(steps) < lengths[order, None]
    offsets = np.zeros(steps + 1, np.int32)
    np.cumsum(np.count_nonzero(real, axis=0), out=offsets[1:])
    padded = order[:, None] * np.int32(time) + np.arange(time, dtype=np.int32)
    packed = np.empty(real.shape, np.int32)
    packed[real] = padded[mask[order]]
    return PackedIndex(batch, time, order, rank, offsets, packed.T[real.T])


def distinct(ids: Int32, rows: int) -> PackedIndex:
    """The packing of which of a table's `rows` the ids name: one row, a step for each row of the table. See `ir.ops.Distinct`."""
    named = np.zeros(rows, np.bool_)
    named[ids] = True
    found = np.flatnonzero(named).astype(np.int32)
    return PackedIndex(1, rows, _ONLY_ROW, _ONLY_ROW, np.arange(len(found) + 1, dtype=np.int32), found)


_ONLY_ROW = np.zeros(1, np.int32)


def window_ids(
    source: PackedIndex, index: PackedIndex, stride: int, offset: int, span: int, *, clamp: bool, at_end: bool, own: bool
) -> Int32:
    """The token of `source` under a window's place, for each token of `index`; int32 (tokens,), -1 for none. See `ir.ops.Window`."""
    if not source.time:
        return np.full(index.tokens, -1, np.int32)
    rows, steps = np.divmod(index.source, np.int32(max(index.time, 1)))
    first, count = np.zeros(1, np.int64), np.full(1, source.time, np.int64)
    if own:
        first, count = (each[rows] for each in source.stretches)
    before = index.time - source.time if at_end else 0
    seen = first + (steps.astype(np.int64) - before - first // stride) * stride + offset - _earlier(count, stride, span)
    inside = (seen >= first) & (seen < first + count)
    nearest = np.clip(seen, first, first + count - 1)
    found = source.position[rows.astype(np.int64) * source.time + nearest]
    return found if clamp else np.where(inside, found, np.int32(-1))


def _earlier(count: Int64, stride: int, span: int) -> Int64:
    """The number of steps by which windows begin before the sequence under "same" padding, half of the padding; see `Windows.same`."""
    return np.maximum((-(-count // stride) - 1) * stride + span - count, 0) // 2 if span else np.zeros_like(count)


def stretches(mask: Mask) -> tuple[Int64, Int64]:
    """Each row's first unmasked step, and the number of steps from it to the last one; both 0 for none; int64 (batch,)."""
    time = mask.shape[1]
    if not time:
        return np.zeros(len(mask), np.int64), np.zeros(len(mask), np.int64)
    first: Int64 = np.argmax(mask, axis=1)
    behind: Int64 = np.argmax(mask[:, ::-1], axis=1)
    count: Int64 = np.where(mask.any(axis=1), time - behind - first, 0)
    return first, count


def window_count(count: Int64, windows: Windows) -> Int64:
    """The number of windows over so many steps: over none none, also where windows begin before the first step."""
    return np.where(count > 0, np.maximum(-(-(count - windows.ahead) // windows.stride), 0), 0)


def window_mask(mask: Mask, windows: Windows, time: int, *, flip: bool) -> Mask:
    """The unmasked windows over a mask's rows, bool (batch, `time`), `time` being the number of windows. See `ir.ops.WindowMask`."""
    mask = mask[:, ::-1] if flip else mask
    first, count = (each[:, None] for each in stretches(mask))
    number = np.arange(time) - first // windows.stride
    own = (number >= 0) & (number < window_count(count, windows))
    if np.array_equal(np.count_nonzero(mask, axis=1), count[:, 0]):
        return own
    start = first + number * windows.stride + windows.start - _earlier(count, windows.stride, windows.span if windows.same else 0)
    seen, real = np.zeros(own.shape, np.bool_), np.zeros(own.shape, np.bool_)
    for place in range(windows.size):
        step = start + place * windows.dilation
        inside = (step >= first) & (step < first + count)
        seen |= inside
        real |= inside & np.take_along_axis(mask, np.clip(step, 0, mask.shape[1] - 1), axis=1)
    return own & (real | ~seen)


def pair(queries: PackedIndex, keys: PackedIndex, *, causal: bool) -> PackedIndex:
    """The packing index of attention: a row for each token of `queries`, with the steps of `keys` that it may see. See `ir.ops.Pairs`."""
    rows, steps = np.divmod(queries.source, np.int32(max(queries.time, 1)))
    seen = keys.position.reshape(keys.batch, keys.time)[rows] >= 0
    return pack(seen & (np.arange(keys.time) <= steps[:, None]) if causal else seen)


def query_tokens(pairs: PackedIndex) -> Int32:
    """The query's token of each pair; int32 (pairs,)."""
    return pairs.source // np.int32(max(pairs.time, 1))


def key_tokens(pairs: PackedIndex, queries: PackedIndex, keys: PackedIndex) -> Int32:
    """The key's token of each pair; int32 (pairs,)."""
    query, step = np.divmod(pairs.source, np.int32(max(pairs.time, 1)))
    rows = queries.source[query] // np.int32(max(queries.time, 1))
    return keys.position[rows.astype(np.int64) * keys.time + step]
