"""Loop nests of the kernel IR that compute: stages and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from rnnspec.backend.llvm_cpu.rows import DepthPart, RowAddresses, RowValues, TileEmitter, UnitTile
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.ir.ops import ReduceKind
from rnnspec.kernel.nodes import ColumnReduce, Contract, FusedLoop, RowReduce, Store, panel_bytes
from rnnspec.kernel.target import ELEMENT_BYTES, CacheBlock

Range: TypeAlias = tuple[str, str]
"""The first and last + 1."""


def tile_count(vectors: Vectors, units: int, per_tile: int) -> int:
    """The number of tiles of `per_tile` vectors over `units`, the last one perhaps partly filled."""
    return -(-units // (per_tile * vectors.lanes))


def column_tile(vectors: Vectors, units: int) -> int:
    """Vectors of units side by side in a nest that adds up over rows."""
    return max(1, min(2, units // vectors.lanes))


def unit_tiles_within(
    vectors: Vectors,
    units: int,
    per_tile: int,
    tiles: Range,
    body: Callable[[UnitTile], object],
    *,
    beside: Sequence[int] = (1,),
    back: str | None = None,
) -> None:
    """As `unit_tiles`, for some of the tiles. `beside`: as many full tiles are taken as one while they fit, 1 at last."""
    writer, lanes = vectors.writer, vectors.lanes
    first, stop = tiles
    full, rest = divmod(units, per_tile * lanes)
    if full:
        start, least = first, vectors.smin(stop, str(full))
        for count in beside:
            with writer.loop(start, least, count, hint="tile") as turn:
                number = _turned(vectors, back, start, least, turn, count)
                body(UnitTile(writer.multiply(number, per_tile * lanes), number, per_tile * count, lanes))
            start = turn
    if rest:
        begun, reached = writer.assign(f"icmp sle i64 {first}, {full}"), writer.assign(f"icmp sgt i64 {stop}, {full}")
        with writer.when(writer.assign(f"and i1 {begun}, {reached}")):
            used = -(-rest // lanes)
            body(UnitTile(str(full * per_tile * lanes), str(full), used, rest - (used - 1) * lanes))


def unit_tiles(vectors: Vectors, units: int, per_tile: int, body: Callable[[UnitTile], object], back: str | None = None) -> None:
    """Runs `body` for every tile of units: a loop over full ones, then the rest. `back`: an i1, whether the loop goes from the last one."""
    lanes = vectors.lanes
    columns = per_tile * lanes
    full, rest = divmod(units, columns)
    if full == 1:
        body(UnitTile("0", "0", per_tile, lanes))
    elif full:
        with vectors.writer.loop("0", str(full), hint="tile") as turn:
            number = _turned(vectors, back, "0", str(full), turn)
            body(UnitTile(vectors.writer.multiply(number, columns), number, per_tile, lanes))
    if rest:
        used = -(-rest // lanes)
        body(UnitTile(str(full * columns), str(full), used, rest - (used - 1) * lanes))


def _turned(vectors: Vectors, back: str | None, start: str, stop: str, turn: str, count: int = 1) -> str:
    """The turn of a loop by `count` that goes from the last one to the first if `back`."""
    if back is None:
        return turn
    writer = vectors.writer
    size = writer.subtract(stop, start)
    if count > 1:
        size = writer.subtract(size, writer.assign(f"srem i64 {size}, {count}"))
    last = writer.subtract(writer.add(size, start), count)
    other = writer.subtract(writer.add(last, start), turn)
    return writer.assign(f"select i1 {back}, i64 {other}, i64 {turn}", "tile")


def row_tiles(vectors: Vectors, rows: Range, counts: Sequence[int], body: Callable[[str, int], None]) -> None:
    """Runs `body(first row, count)` over the rows, by the largest count that fits and leaves no single row, see `_stop_of_tallest`."""
    start, stop = rows
    for number, count in enumerate(counts):
        with vectors.writer.loop(start, stop if number else _stop_of_tallest(vectors, rows, counts), count, "r") as row:
            body(row, count)
        start = row


def _stop_of_tallest(vectors: Vectors, rows: Range, counts: Sequence[int]) -> str:
    """Where the tiles of the first count end.

    A single row reads all weights for itself. So if an odd count would leave an odd number of rows, there is a tile less of it, and what
    is left is even: 4 rows are 2 and 2, not 3 and 1.
    """
    start, stop = rows
    if not _leaves_an_even_rest(counts):
        return stop
    writer = vectors.writer
    left = writer.assign(f"srem i64 {writer.subtract(stop, start)}, {counts[0]}", "left")
    odd = writer.assign(f"and i64 {left}, 1", "odd")
    return writer.subtract(stop, writer.multiply(odd, counts[0]))


def _leaves_an_even_rest(counts: Sequence[int]) -> bool:
    return bool(counts) and counts[0] % 2 == 1 and 2 in counts[1:]


def emit_stage(vectors: Vectors, places: RowAddresses, stage: FusedLoop, rows: Range, blocks: Range | None = None) -> None:
    """Contractions: panels outside, so that one stays in the first-level cache, rows inside. Others, and single rows: along the memory.

    `blocks`: which units, see `kernel.unit_shards.blocks_of`; all of them if None.
    """
    if not any(isinstance(statement, Contract) for statement in stage.body):
        _emit_along_rows(vectors, places, stage, rows, blocks)
        return
    tall = tuple(count for count in stage.tile.rows[:-1] if not isinstance(stage.rows, int) or count <= stage.rows)
    width = stage.tile.vectors
    back = _goes_back(vectors, places, stage)

    def over_units(wide: int, body: Callable[[UnitTile], None]) -> None:
        if blocks is None:
            unit_tiles(vectors, stage.units, width * wide, body, back)
        else:
            unit_tiles_within(vectors, stage.units, width, blocks, body, beside=(wide, 1) if wide > 1 else (1,), back=back)

    def tile(row: str, count: int, units: UnitTile) -> None:
        TileEmitter(vectors, places, row, count, units, width).run(stage.body)

    def single_rows(start: str) -> None:
        wide = stage.tile.wide
        row_tiles(vectors, (start, rows[1]), (1,), lambda row, count: over_units(wide, lambda units: tile(row, count, units)))

    if tall and stage.tile.block is not None and blocks is None:
        _emit_cache_blocks(vectors, places, stage, (rows[0], _rest(vectors, rows, tall)), tall, stage.tile.block, back)
    elif tall:
        over_units(1, lambda units: row_tiles(vectors, rows, tall, lambda row, count: tile(row, count, units)))
    single_rows(_rest(vectors, rows, tall))


def _emit_cache_blocks(
    vectors: Vectors,
    places: RowAddresses,
    stage: FusedLoop,
    rows: Range,
    counts: Sequence[int],
    block: CacheBlock,
    back: str | None,
) -> None:
    """Some tiles of units for all rows, before the next ones; of these some rows, which stay in the caches, before the next ones."""
    writer, width = vectors.writer, stage.tile.vectors
    all_tiles = tile_count(vectors, stage.units, width)
    if block.depth is None:
        body = _whole_depth(vectors, places, stage, counts, back)
    else:
        body = _parts_of_the_depth(vectors, places, stage, counts, block, block.depth, back)
    stop = str(-(-all_tiles // block.tiles) * block.tiles)
    last = writer.add(rows[1], block.rows - 1)
    with (
        writer.loop("0", stop, block.tiles, "beside") as turn,
        writer.loop(rows[0], last, block.rows, "block") as begin,
    ):
        tile = _turned(vectors, back, "0", stop, turn, block.tiles)
        tiles = tile, vectors.smin(writer.add(tile, block.tiles), str(all_tiles))
        body((begin, vectors.smin(writer.add(begin, block.rows), rows[1])), tiles)


def _whole_depth(
    vectors: Vectors, places: RowAddresses, stage: FusedLoop, counts: Sequence[int], back: str | None
) -> Callable[[Range, Range], None]:
    """Emits some rows of some tiles of units."""
    width = stage.tile.vectors

    def body(rows: Range, tiles: Range) -> None:
        def down(units: UnitTile) -> None:
            row_tiles(vectors, rows, counts, lambda row, count: TileEmitter(vectors, places, row, count, units, width).run(stage.body))

        unit_tiles_within(vectors, stage.units, width, tiles, down, back=back)

    return body


def _parts_of_the_depth(
    vectors: Vectors, places: RowAddresses, stage: FusedLoop, counts: Sequence[int], block: CacheBlock, depth: int, back: str | None
) -> Callable[[Range, Range], None]:
    """Emits a part of the depth after the other for some rows of some tiles of units: the part's weights come into the caches once.

    Each sum adds up in the same order as without parts, only that it waits in memory between two of them.
    """
    writer, width = vectors.writer, stage.tile.vectors
    (contract,) = (statement for statement in stage.body if isinstance(statement, Contract))
    columns = width * vectors.lanes * len(contract.names)
    row_width = block.tiles * columns
    waiting = writer.assign(f"alloca [{block.rows * row_width} x {vectors.element}], align {vectors.target.vector_bytes}", "sums")
    last = (-(-contract.depth // depth) - 1) * depth

    def part(rows: Range, tiles: Range, turns: Range, first: str | None) -> None:
        def tile(units: UnitTile, row: str, count: int) -> None:
            place = writer.multiply(writer.subtract(row, rows[0]), row_width)
            beside = writer.multiply(writer.subtract(units.number, tiles[0]), columns)
            sums = vectors.pointer(waiting, writer.add(place, beside))
            TileEmitter(vectors, places, row, count, units, width).run(stage.body, DepthPart(*turns, sums, row_width, first))

        def down(units: UnitTile) -> None:
            row_tiles(vectors, rows, counts, lambda row, count: tile(units, row, count))

        unit_tiles_within(vectors, stage.units, width, tiles, down, back=back)

    def body(rows: Range, tiles: Range) -> None:
        with writer.loop("0", str(last), depth, "part") as start:
            part(rows, tiles, (start, writer.add(start, depth)), writer.assign(f"icmp eq i64 {start}, 0", "first"))
        part(rows, tiles, (str(last), str(contract.depth)), None)

    return body


def _goes_back(vectors: Vectors, places: RowAddresses, stage: FusedLoop) -> str | None:
    """An i1, whether a step traverses its tiles in reverse; None where the weights of all tiles fit into the first-level cache.

    Steps alternate in direction (boustrophedon), so that each begins with the weights that the one before has left in the cache:

        step 0: tiles 0 1 2 3
        step 1: tiles 3 2 1 0
        step 2: tiles 0 1 2 3

    Odd and even steps differ in the order of a state's two buffers, the one read whole and the one written, which are swapped.
    """
    contracts = [statement for statement in stage.body if isinstance(statement, Contract)]
    bytes_of = max((ELEMENT_BYTES[places.buffers[contract.panels].dtype] for contract in contracts), default=vectors.bytes)
    if panel_bytes(contracts, stage.units, bytes_of) <= vectors.target.first_level_bytes:
        return None
    written = [statement.access.buffer for statement in stage.body if isinstance(statement, Store)]
    for left in dict.fromkeys(statement.left.buffer for statement in contracts):
        for right in written:
            if right != left and places.buffers[left].width == places.buffers[right].width == stage.units:
                return vectors.writer.assign(f"icmp ugt ptr {places.registers[left]}, {places.registers[right]}", "back")
    return None


def _emit_along_rows(vectors: Vectors, places: RowAddresses, stage: FusedLoop, rows: Range, blocks: Range | None) -> None:
    with vectors.writer.loop(*rows, hint="r") as row:
        same = RowValues.emit(vectors, places, row, stage.body)
        if blocks is None:
            unit_tiles(vectors, stage.units, stage.tile.vectors, same.run)
        else:
            unit_tiles_within(vectors, stage.units, stage.tile.vectors, blocks, same.run)


def _rest(vectors: Vectors, rows: Range, counts: Sequence[int]) -> str:
    """The first row after the largest number of rows that tiles of the given heights cover."""
    if not counts:
        return rows[0]
    writer = vectors.writer
    left = writer.subtract(rows[1], rows[0])
    if _leaves_an_even_rest(counts):
        few, odd = writer.assign(f"icmp slt i64 {left}, {counts[0]}", "few"), writer.assign(f"and i64 {left}, 1", "odd")
        return writer.subtract(rows[1], writer.assign(f"select i1 {few}, i64 {odd}, i64 0", "left"))
    for count in counts:
        left = writer.assign(f"srem i64 {left}, {count}", "left")
    return writer.subtract(rows[1], left)


PARTIAL_RESULTS = 4

LONGEST_CHAIN = 16
"""The most terms that a wide row's sum adds one after the other to a partial result; of more, sums of about as many as their own number
are added, so that an error grows with the root of the row's width."""


def emit_row_reduce(vectors: Vectors, places: RowAddresses, node: RowReduce, rows: Range) -> None:
    """Up to four vectors of partial results for each row, so that none waits for its last addition, joined at the row's end.

    A long sum falls into blocks of tiles, each added up by itself.
    """
    writer, lanes = vectors.writer, vectors.lanes
    beside = max(1, min(PARTIAL_RESULTS, node.units // lanes))
    full, rest = divmod(node.units, beside * lanes)

    def part(same: RowValues, units: UnitTile, partial: Sequence[str]) -> list[str]:
        emitter = same.run(units)
        combined = list(partial)
        for vector in range(units.vectors):
            value = emitter.value(node.value, 0, vector)
            if units.lanes(vector, lanes) < lanes:
                value = vectors.select(vectors.mask(units.last), value, vectors.identity(node.kind))
            combined[vector] = vectors.combine(node.kind, partial[vector], value)
        return combined

    def over(same: RowValues, first: str, stop: str) -> list[str]:
        """Partial results of whole tiles."""
        start = [(vectors.type, vectors.identity(node.kind))] * beside
        with writer.carrying_loop(first, stop, 1, start, "tile") as (number, registers, following):
            following.extend(part(same, UnitTile(writer.multiply(number, beside * lanes), number, beside, lanes), registers))
        return list(registers)

    with writer.loop(*rows, hint="r") as row:
        same = RowValues.emit(vectors, places, row, node.body)
        partial = [vectors.identity(node.kind)] * beside
        if node.kind is ReduceKind.SUM and full > LONGEST_CHAIN:
            block = math.isqrt(full - 1) + 1
            blocks = -(-full // block)
            start = [(vectors.type, register) for register in partial]
            with writer.carrying_loop("0", str(blocks * block), block, start, "block") as (first, totals, following):
                sums = over(same, first, _smaller(vectors, writer.add(first, block), full))
                following.extend(vectors.combine(node.kind, total, each) for total, each in zip(totals, sums, strict=True))
            partial = list(totals)
        elif full:
            partial = over(same, "0", str(full))
        if rest:
            used = -(-rest // lanes)
            partial = part(same, UnitTile(str(full * beside * lanes), str(full), used, rest - (used - 1) * lanes), partial)
        scalar = vectors.reduce_lanes(node.kind, reduce(lambda left, right: vectors.combine(node.kind, left, right), partial))
        emitter = TileEmitter(vectors, places, row, 1, UnitTile("0", "0", 1, 1), 1)
        writer.do(f"store {vectors.element} {scalar}, ptr {emitter.row_pointer(node.target, 0)}, align {vectors.bytes}")


def _smaller(vectors: Vectors, number: str, bound: int) -> str:
    vectors.library.declarations["declare i64 @llvm.smin.i64(i64, i64)"] = None
    return vectors.writer.assign(f"call i64 @llvm.smin.i64(i64 {number}, i64 {bound})", "stop")


def emit_column_reduce(vectors: Vectors, places: RowAddresses, node: ColumnReduce, tiles: Range, rows: str) -> None:
    """Rows are added one after the other, each for all units: the memory is read in one direction.

    Going down, each row would be a new page; and of a few rows side by side a processor fetches nothing ahead.
    """
    per_tile = column_tile(vectors, node.units)

    def sums(units: UnitTile) -> list[tuple[str, int]]:
        """Where the tile's sums are, and their lanes."""
        target = TileEmitter(vectors, places, "0", 1, units, 1).row_pointer(node.target, 0)
        places_of = (vectors.writer.add(units.start, vector * vectors.lanes) for vector in range(units.vectors))
        return [(vectors.pointer(target, place), units.lanes(vector, vectors.lanes)) for vector, place in enumerate(places_of)]

    def begin(units: UnitTile) -> None:
        for address, lanes in sums(units):
            vectors.store(vectors.identity(node.kind), address, lanes)

    def add(same: RowValues, units: UnitTile) -> None:
        emitter = same.run(units)
        for vector, (address, lanes) in enumerate(sums(units)):
            total = vectors.combine(node.kind, vectors.load(address, lanes), emitter.value(node.value, 0, vector))
            vectors.store(total, address, lanes)

    def within(body: Callable[[UnitTile], None]) -> None:
        unit_tiles_within(vectors, node.units, per_tile, tiles, body)

    if not node.adds:
        within(begin)
    with vectors.writer.loop("0", rows, hint="r") as row:
        same = RowValues.emit(vectors, places, row, node.body)
        within(lambda units: add(same, units))
