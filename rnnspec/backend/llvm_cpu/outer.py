"""The loop nest of a sum of outer products over rows: a weight's gradient."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.loop_nests import Range, row_tiles, unit_tiles
from rnnspec.backend.llvm_cpu.rows import RowAddresses, TileEmitter, UnitTile
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import Outer
from rnnspec.kernel.target import CACHE_LINE

MOST_ROWS, LEFT_BYTES = 192, 2**17 + 2**16
"""Rows of both sides, and bytes of the left one, that are copied at once at most: the left side's stay in the second-level cache, a tile of
the right side's in the first-level one, with the next tile, which is fetched meanwhile. Where they lie their distance is often a power of
two, and then caches keep few of them."""

ROW_COUNTS = (6, 2, 1)
"""Rows of the result in a tile: few are left for the smaller ones, in which each sum waits for its last turn."""


FEW_ROWS, FEW_BYTES = 16, 2**10
"""The same where memory is dear, as on a microcontroller with some kilobytes of stack."""


def parts_of(height: int, element_bytes: int, most_rows: int = MOST_ROWS, left_bytes: int = LEFT_BYTES) -> tuple[int, int]:
    """Rows of both sides, and rows of the result, that are copied at once.

    For each part of the result's rows the right side is copied anew; for each chunk of the sides' rows the result is loaded and stored.
    """
    held, tall = left_bytes // element_bytes, ROW_COUNTS[0]
    best, least = (1, height), float("inf")
    for parts in range(1, -(-height // tall) + 1):
        at_once = -(-height // (parts * tall)) * tall
        rows = min(most_rows, held // at_once)
        moved = parts + height / rows if rows else float("inf")
        if moved < least:
            best, least = (rows, at_once), moved
    return best


def emit_outer(vectors: Vectors, places: RowAddresses, node: Outer, height: Range, rows: str) -> None:
    """Rows `height` of `left^T @ right`, in chunks of rows: each tile of the result is loaded, added to in registers, stored."""
    writer, target = vectors.writer, vectors.target
    per_tile = max(1, min(4 if target.registers >= 32 else 2, node.units // vectors.lanes))
    counts = tuple(count for count in ROW_COUNTS if count <= node.height)
    limits = (MOST_ROWS, LEFT_BYTES) if target.slot_gap else (FEW_ROWS, FEW_BYTES)
    chunk_rows, at_once = parts_of(node.height, vectors.bytes, *limits)
    left = writer.assign(f"alloca [{chunk_rows * at_once} x {vectors.element}], align {target.vector_bytes}", "left")
    right = writer.assign(f"alloca [{chunk_rows * per_tile} x {vectors.type}], align {target.vector_bytes}", "right")
    zeros = writer.assign(f"alloca {vectors.type}, align {target.vector_bytes}", "zeros")
    vectors.store("zeroinitializer", zeros)
    if not node.adds:
        with writer.when(writer.assign(f"icmp sle i64 {rows}, 0")):
            row_tiles(vectors, height, (1,), lambda row, _: _zero_row(vectors, places, node, row))
    # A loop goes on while a whole step fits: the last one may be smaller here.
    chunks, parts = writer.add(rows, chunk_rows - 1), writer.add(height[1], at_once - 1)
    with writer.loop("0", chunks, chunk_rows, "chunk") as first, writer.loop(height[0], parts, at_once, "part") as part:
        copied = vectors.smin(writer.subtract(rows, first), str(chunk_rows))
        chunk = _Chunk(vectors, places, node, first, copied, chunk_rows, part, left, right, zeros)
        heights = part, vectors.smin(writer.add(part, at_once), height[1])
        row_tiles(vectors, heights, counts, chunk.copy_left)

        def columns(units: UnitTile) -> None:
            chunk.copy_right(units)
            row_tiles(vectors, heights, counts, lambda row, count: chunk.add(units, row, count))

        unit_tiles(vectors, node.units, per_tile, columns)


def _zero_row(vectors: Vectors, places: RowAddresses, node: Outer, row: str) -> None:
    def zero(units: UnitTile) -> None:
        pointer = TileEmitter(vectors, places, row, 1, units, 1).row_pointer(node.target, 0)
        vectors.store("zeroinitializer", vectors.pointer(pointer, units.start), units.lanes(0, vectors.lanes))

    unit_tiles(vectors, node.units, 1, zero)


@frozen(slots=False)
class _Chunk:
    """`rows` rows of both sides from `first` on, `most` at most, for the rows of the result from `part` on, and where they are copied to.

    `left`: tile by tile of the result's rows, each row's elements of a tile next to each other. `right`: row by row of a tile of units.
    """

    vectors: Vectors
    places: RowAddresses
    node: Outer
    first: str
    rows: str
    most: int
    part: str
    left: str
    right: str
    zeros: str

    def copy_left(self, height: str, count: int) -> None:
        vectors, writer = self.vectors, self.vectors.writer
        to = self._left_of(height)
        with writer.loop("0", self.rows, hint="r") as row:
            number = writer.add(self.first, row)
            start = TileEmitter(vectors, self.places, number, 1, UnitTile("0", "0", 1, 1), 1).row_pointer(self.node.left, 0)
            source = vectors.pointer(start, height)
            place = vectors.pointer(to, writer.multiply(row, count))
            elements = f"<{count} x {vectors.element}>"
            copied = writer.assign(f"load {elements}, ptr {source}, align {vectors.bytes}")
            writer.do(f"store {elements} {copied}, ptr {place}, align {vectors.bytes}")

    def copy_right(self, units: UnitTile) -> None:
        vectors, writer = self.vectors, self.vectors.writer
        with writer.loop("0", self.rows, hint="r") as row:
            source = TileEmitter(vectors, self.places, writer.add(self.first, row), 1, units, 1).row_pointer(self.node.right, 0)
            for vector in range(units.vectors):
                start = writer.add(units.start, vector * vectors.lanes)
                column = vectors.load(vectors.pointer(source, start), units.lanes(vector, vectors.lanes))
                vectors.store(column, self._right_of(row, units, vector))

    def add(self, units: UnitTile, height: str, count: int) -> None:
        """All rows of the chunk to one tile of the result, from zeros in the first chunk; meanwhile the next tile's sums come."""
        vectors, writer, target = self.vectors, self.vectors.writer, self.vectors.target
        keys = [(offset, vector) for offset in range(count) for vector in range(units.vectors)]
        result = TileEmitter(vectors, self.places, height, count, units, 1)
        addresses = {
            (offset, vector): vectors.pointer(result.row_pointer(self.node.target, offset), writer.add(units.start, vector * vectors.lanes))
            for offset, vector in keys
        }
        lanes = {vector: units.lanes(vector, vectors.lanes) for vector in range(units.vectors)}
        kept = addresses
        if not self.node.adds:
            is_first = writer.assign(f"icmp eq i64 {self.first}, 0")
            kept = {key: writer.assign(f"select i1 {is_first}, ptr {self.zeros}, ptr {addresses[key]}", "p") for key in keys}
        start = [(vectors.type, vectors.load(kept[key], lanes[key[1]])) for key in keys]
        further = count * self.places.buffers[self.node.target.buffer].width
        line = max(1, CACHE_LINE // target.vector_bytes)
        for offset, vector in keys:
            if vector % line == 0:
                vectors.prefetch(vectors.pointer(addresses[offset, vector], str(further)), written=True)
        left = self._left_of(height)
        fetched, width = self._fetched(units, height, count), self.places.buffers[self.node.right.buffer].width
        with writer.carrying_loop("0", self.rows, 1, start, "r") as (row, registers, following):
            vectors.prefetch(vectors.pointer(fetched, writer.multiply(row, width)))
            columns = [vectors.load(self._right_of(row, units, vector)) for vector in range(units.vectors)]
            place = vectors.pointer(left, writer.multiply(row, count))
            elements = [vectors.load_splat(vectors.pointer(place, str(offset))) for offset in range(count)]
            for (offset, vector), register in zip(keys, registers, strict=True):
                following.append(vectors.multiply_add(elements[offset], columns[vector], register))
        for key, register in zip(keys, registers, strict=True):
            vectors.store(register, addresses[key], lanes[key[1]])

    def _fetched(self, units: UnitTile, height: str, count: int) -> str:
        """Where the right side's next tile of units begins, the next chunk's first one behind the last: it comes while the sums are added.

        Each tile of the result fetches one line of each row, and the next tile the next line.
        """
        vectors, writer = self.vectors, self.vectors.writer
        width = self.places.buffers[self.node.right.buffer].width
        following = writer.add(units.start, units.vectors * vectors.lanes)
        is_last = writer.assign(f"icmp sge i64 {following}, {self.node.units}")
        place = writer.assign(f"select i1 {is_last}, i64 {self.most * width}, i64 {following}")
        line = CACHE_LINE // vectors.bytes
        lines = -(-units.vectors * vectors.lanes // line)
        if lines > 1:
            turn = writer.assign(f"urem i64 {writer.assign(f'udiv i64 {height}, {count}')}, {lines}")
            place = writer.add(place, writer.multiply(turn, line))
        start = TileEmitter(vectors, self.places, self.first, 1, units, 1).row_pointer(self.node.right, 0)
        return vectors.pointer(start, place)

    def _left_of(self, height: str) -> str:
        """Where a tile of the result's rows begins."""
        writer = self.vectors.writer
        return self.vectors.pointer(self.left, writer.multiply(writer.subtract(height, self.part), self.most))

    def _right_of(self, row: str, units: UnitTile, vector: int) -> str:
        writer, lanes = self.vectors.writer, self.vectors.lanes
        place = self.vectors.pointer(self.right, writer.multiply(row, units.vectors * lanes))
        return self.vectors.pointer(place, str(vector * lanes))
