"""Targets: a machine's registers and caches, and the tiles that suit them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnnspec.ir.types import DType

CACHE_LINE = 64
"""Bytes that come from memory together, on all targets."""

ELEMENT_BYTES = {DType.F32: 4, DType.F64: 8, DType.I32: 4, DType.I1: 1}


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to generate code for: bytes of a vector register, number of vector registers, bytes of a core's caches."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fused_multiply_add: bool
    first_level_bytes: int = 2**15
    second_level_bytes: int = 2**19

    def lanes(self, dtype: DType) -> int:
        """Elements of that type in a vector register."""
        return self.vector_bytes // ELEMENT_BYTES[dtype]


AVX512 = Target("avx512", "x86_64-unknown-linux-gnu", "skylake-avx512", "", 64, 32, True, second_level_bytes=2**20)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "haswell", "", 32, 16, True)
SSE42 = Target("sse4.2", "x86_64-unknown-linux-gnu", "nehalem", "", 16, 16, False)
NEON = Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32, True)

TARGETS = {target.name: target for target in (AVX512, AVX2, SSE42, NEON)}


@dataclass(frozen=True, slots=True)
class Tile:
    """`rows`: the row counts that code is made for, largest first, 1 last; `vectors` of units side by side.

    `wide`: how many tiles of units a single row takes at once, where one alone has too few sums to keep the processor busy.
    """

    rows: tuple[int, ...]
    vectors: int
    wide: int = 1


MOST_ROWS = 6
WIDEST = 4
"""Vectors side by side: more would only help where rows are few."""

ARITHMETIC_A_CYCLE, LOADS_A_CYCLE, LATENCY = 2, 2, 4
"""Of vector instructions, on the cores of the last ten years; `LATENCY` of a multiply-add, in cycles."""

SECOND_LEVEL_BYTES_A_CYCLE = 32
"""What a core reads from its second-level cache."""


def turn_cycles(rows: int, columns: int) -> float:
    """Cycles of one turn over the depth: each sum waits for its last turn, each column and each row is loaded once."""
    return max(rows * columns / ARITHMETIC_A_CYCLE, (rows + columns) / LOADS_A_CYCLE, LATENCY)


def contraction_tile(target: Target, gates: int, units: int, lanes: int) -> Tile:
    """The cheapest tile whose sums, weights and element of the left side all stay in registers.

    Of tiles that cost the same, the one with more rows reads its weights less often, the one with more vectors the left side.
    """
    spare = 1 if target.fused_multiply_add else 2
    needed = -(-units // lanes)
    best, least = Tile((1,), 1), float("inf")
    for vectors in range(1, max(1, min(WIDEST // gates, needed)) + 1):
        columns = gates * vectors
        rows = max(1, min(MOST_ROWS, (target.registers - spare - columns) // columns))
        full, rest = divmod(needed, vectors)
        cycles = (full * turn_cycles(rows, columns) + (turn_cycles(rows, gates * rest) if rest else 0)) / rows
        if (cycles, -rows, -vectors) < (least, -best.rows[0], -best.vectors):
            wide = min(-(-LATENCY * ARITHMETIC_A_CYCLE // columns), -(-needed // vectors))
            best, least = Tile(row_counts(rows), vectors, wide), cycles
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


COEFFICIENTS = 16
"""Registers that the coefficients of a body's elementary functions stay in, about."""


def pointwise_tile(target: Target, units: int, lanes: int, alive: int, shared: int) -> Tile:
    """The tile of a stage without a contraction: rows one by one, units along the memory.

    As many vectors side by side, 4, 2 or 1, as the registers hold: each vector has `alive` values at once, all together `shared` ones.
    """
    fitting = (vectors for vectors in (4, 2) if vectors * alive + shared <= target.registers)
    return Tile((1,), max(1, min(next(fitting, 1), units // lanes)))


def row_counts(most: int) -> tuple[int, ...]:
    """Row counts, largest first, from which any number of rows is put together: 6 gives 6, 2, 1.

    Two rows of four columns have just as many sums as keep the processor busy, so that a count between costs code and saves no time.
    """
    return (most, *(count for count in (2, 1) if count < most))
