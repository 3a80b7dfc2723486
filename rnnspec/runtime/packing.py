"""A mask as a packing index: which padded step each real token is, and which token each padded step shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnspec.locks import cached_property

Int32 = NDArray[np.int32]


@dataclass(frozen=True)
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
        return len(self.source)

    @property
    def steps(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def position(self) -> Int32:
        position = np.full(self.batch * self.time, -1, np.int32)
        position[self.source] = np.arange(self.tokens, dtype=np.int32)
        return position

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
    """The packing index of a mask, bool (batch, time), True for a real step."""
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


def window_ids(source: PackedIndex, index: PackedIndex, stride: int, offset: int, span: int, *, clamp: bool, at_end: bool) -> Int32:
    """For each token of `index` the token of `source` that a window sees, -1 for none; (tokens,). See `ir.ops.Window`."""
    rows, steps = np.divmod(index.source, np.int32(max(index.time, 1)))
    lacking = max((index.time - 1) * stride + span - source.time, 0) if span else 0
    before = index.time - source.time if at_end else 0
    seen = (steps.astype(np.int64) - before) * stride + offset - lacking // 2
    inside = (seen >= 0) & (seen < source.time)
    nearest = np.clip(seen, 0, max(source.time - 1, 0))
    if not source.time:
        return np.full(index.tokens, -1, np.int32)
    found = source.position[rows.astype(np.int64) * source.time + nearest]
    return found if clamp else np.where(inside, found, np.int32(-1))


def pair(queries: PackedIndex, keys: PackedIndex, *, causal: bool) -> PackedIndex:
    """What each token of `queries` may look at: a row a token, a step a step of `keys`. See `ir.ops.Pairs`."""
    rows, steps = np.divmod(queries.source, np.int32(max(queries.time, 1)))
    seen = keys.position.reshape(keys.batch, keys.time)[rows] >= 0
    return pack(seen & (np.arange(keys.time) <= steps[:, None]) if causal else seen)


def query_tokens(pairs: PackedIndex) -> Int32:
    """The query of each pair; (pairs,)."""
    return pairs.source // np.int32(max(pairs.time, 1))


def key_tokens(pairs: PackedIndex, queries: PackedIndex, keys: PackedIndex) -> Int32:
    """The token of each pair's key; (pairs,)."""
    query, step = np.divmod(pairs.source, np.int32(max(pairs.time, 1)))
    rows = queries.source[query] // np.int32(max(queries.time, 1))
    return keys.position[rows.astype(np.int64) * keys.time + step]
