"""The tiles that fused loops are divided into on a processor: what its vector registers and its first-level cache hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.contract.dimensions import ROWS, Dim
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType
from rnnspec.kernel.cpu.register_pressure import registers_of
from rnnspec.kernel.nodes import Contract, Statement, panel_bytes
from rnnspec.kernel.target import ELEMENT_BYTES, CacheBlock, Element, Target, Tile

MOST_ROWS = 6
WIDEST = 4
"""Vectors side by side: more would only help where rows are few."""

ARITHMETIC_A_CYCLE, LOADS_A_CYCLE, LATENCY = 2, 2, 4
"""Of vector instructions, on the cores of the last ten years; `LATENCY` of a multiply-add, in cycles."""

SECOND_LEVEL_BYTES_A_CYCLE = 32
"""What a core reads from its second-level cache."""


WIDENED = 2
"""The registers that narrow weights need besides: a multiplication takes wide ones from memory, those are widened before."""


def turn_cycles(rows: int, columns: int) -> float:
    """The cycles of one turn over the depth: each sum waits for its last turn, each column and each row is loaded once."""
    return max(rows * columns / ARITHMETIC_A_CYCLE, _cycles_beside_arithmetic(rows, columns))


def turn_slack(rows: int, columns: int) -> float:
    """The part of a turn's cycles, 0 to 1, by which all but its arithmetic may be late for nothing."""
    return 1 - _cycles_beside_arithmetic(rows, columns) / turn_cycles(rows, columns)


def _cycles_beside_arithmetic(rows: int, columns: int) -> float:
    return max((rows + columns) / LOADS_A_CYCLE, LATENCY)


def turn_registers(rows: int, columns: int, target: Target) -> int:
    """The registers of a turn: its sums, the vectors of the side that has fewer, and one of the other side in turn."""
    return rows * columns + min(rows, columns) + (1 if target.fused_multiply_add else 2)


def contraction_tile(target: Target, gates: int, units: int, lanes: int, beside: int = 0) -> Tile:
    """The cheapest tile whose turn finds all of its registers; `beside`: those that it needs besides.

    Of tiles that cost the same, the one with more slack loses less by what no model knows; the one with more rows reads its weights less
    often, the one with more vectors the left side.
    """
    needed = -(-units // lanes)
    best, least = Tile((1,), 1), (float("inf"),) * 4
    for vectors in range(1, max(1, min(WIDEST // gates, needed)) + 1):
        columns = gates * vectors
        free = target.registers - beside
        rows = max(rows for rows in range(1, MOST_ROWS + 1) if rows == 1 or turn_registers(rows, columns, target) <= free)
        full, rest = divmod(needed, vectors)
        cycles = (full * turn_cycles(rows, columns) + (turn_cycles(rows, gates * rest) if rest else 0)) / rows
        cost = cycles, -turn_slack(rows, columns), -rows, -vectors
        if cost < least:
            wide = min(-(-LATENCY * ARITHMETIC_A_CYCLE // columns), -(-needed // vectors))
            best, least = Tile(row_counts(rows), vectors, wide), cost
    return best


def for_panels(tile: Tile, gates: int, bytes_of_a_vector: int, vectors: int, target: Target) -> Tile:
    """The tile of a stage that has so many vectors of units, and so many bytes of weights for each.

    A single row takes several tiles at once where the first-level cache has the weights. If it can't have all of them, a step that
    goes through them the other way finds the last ones there (see `llvm_cpu.loop_nests`): as many as half of the cache has room for. But
    there must be enough sums to keep up with the second-level cache.
    """
    if bytes_of_a_vector * vectors <= target.first_level_bytes:
        return tile
    fitting = target.first_level_bytes // 2 // (bytes_of_a_vector * tile.vectors)
    keeping_up = -(-LATENCY * SECOND_LEVEL_BYTES_A_CYCLE // (target.vector_bytes * gates * tile.vectors))
    return replace(tile, wide=min(tile.wide, max(fitting, keeping_up)))


BLOCK_DEPTH, BLOCK_COLUMNS, BLOCK_SUMS = 256, 256, 2**17 + 2**16
"""Of a part: turns over the depth, beside which loading and storing the sums takes a hundredth of the time; sums of a row, and bytes of
all of them, which leave room in the second-level cache for the weights and the left side."""


def flat_block(tile: Tile, depth: int, sums: int, units: int, lanes: int, target: Target) -> CacheBlock | None:
    """The block of which half of the second-level cache holds the weights, and an eighth of it the left side.

    All rows go through a tile of units before the next one: where they don't fit that cache, they would come from beyond it for each.
    None where a single tile has all units, or more weights than that.
    """
    tall, a_row = tile.rows[0], depth * (target.vector_bytes // lanes)
    all_tiles = -(-units // (tile.vectors * lanes))
    tiles = min(all_tiles, target.second_level_bytes // 2 // (a_row * sums * tile.vectors * lanes))
    if tall == 1 or tiles < 2:
        return None
    return CacheBlock(max(1, target.second_level_bytes // 8 // (a_row * tall)) * tall, tiles)


def deep_block(tile: Tile, depth: int, sums: int, units: int, lanes: int, target: Target) -> CacheBlock | None:
    """The block for a contraction of which a single tile's weights fill half of the second-level cache; None for any other.

    Each tile of rows would read them from beyond that cache. A block of more rows reads the weights less often, one of more units the
    left side.
    """
    columns = sums * tile.vectors * lanes
    element = target.vector_bytes // lanes
    if tile.rows[0] == 1 or depth <= BLOCK_DEPTH or depth * columns * element <= target.second_level_bytes // 2:
        return None
    tiles = min(-(-units // (tile.vectors * lanes)), max(1, BLOCK_COLUMNS // columns))
    rows = max(1, BLOCK_SUMS // (element * tiles * columns * tile.rows[0])) * tile.rows[0]
    return CacheBlock(rows, tiles, BLOCK_DEPTH)


def pointwise_tile(target: Target, units: int, lanes: int, alive: int, shared: int) -> Tile:
    """The tile of a stage without a contraction: rows one by one, units along the memory.

    As many vectors side by side, 4, 2 or 1, as the registers hold: each vector has `alive` values at once, all together `shared` ones.
    """
    fitting = (vectors for vectors in (4, 2) if vectors * alive + shared <= target.registers)
    return Tile((1,), max(1, min(next(fitting, 1), units // lanes)))


def row_counts(most: int) -> tuple[int, ...]:
    """Row counts, largest first, from which any number of rows is put together: 6 gives 6, 2, 1.

    Each is a loop more to compile. An even number of rows, which most batches have, is put together without a single one, see
    `llvm_cpu.loop_nests.row_tiles`.
    """
    return (most, *(count for count in (2, 1) if count < most))


@frozen
class CpuTiling:
    """Tiles for a processor; implements `kernel.tiling.Tiling`."""

    target: Target

    def contraction(self, sums: int, units: int, dtype: DType, panels: Element) -> Tile:
        """The tile of a contraction of `sums` products for `units` columns, see `contraction_tile`."""
        return contraction_tile(self.target, sums, units, self.target.lanes(dtype), 0 if panels is dtype else WIDENED)

    def beside_weights(
        self, tile: Tile, contracts: Sequence[Contract], sums: int, rows: Dim, units: int, dtype: DType, panels: Element
    ) -> Tile:
        """The tile for the weights' panels, see `for_panels`, and its blocks. A step's left side is in a cache: it was just written."""
        lanes = self.target.lanes(dtype)
        weights = panel_bytes(contracts, lanes, ELEMENT_BYTES[dtype])
        # Narrow weights come fast enough that sums wait for each other first, as many as a single row has.
        fitting = for_panels(tile, sums, weights, -(-units // lanes), self.target) if panels is dtype else tile
        block = deep_block(tile, contracts[0].depth, sums, units, lanes, self.target) if len(contracts) == 1 else None
        if block is None and rows != ROWS:
            block = flat_block(tile, sum(contract.depth for contract in contracts), sums, units, lanes, self.target)
        return replace(fitting, block=block)

    def pointwise(self, units: int, body: Sequence[Statement], dtype: DType) -> Tile:
        """The tile of a body without contractions, see `pointwise_tile`."""
        return pointwise_tile(self.target, units, self.target.lanes(dtype), *registers_of(body))
