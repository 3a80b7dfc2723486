"""What a machine offers, and the tiles that are chosen from it."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.ir.types import DType

ELEMENT_BYTES = {DType.F32: 4, DType.F64: 8, DType.I32: 4, DType.I1: 1}


@dataclass(frozen=True, slots=True)
class Target:
    """A description that code is generated from: `vector_bytes` a register, `registers` vector registers."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fused_multiply_add: bool

    def lanes(self, dtype: DType) -> int:
        return self.vector_bytes // ELEMENT_BYTES[dtype]


AVX512 = Target("avx512", "x86_64-unknown-linux-gnu", "skylake-avx512", "", 64, 32, True)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "haswell", "", 32, 16, True)
SSE42 = Target("sse4.2", "x86_64-unknown-linux-gnu", "nehalem", "", 16, 16, False)
NEON = Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32, True)

TARGETS = {target.name: target for target in (AVX512, AVX2, SSE42, NEON)}


@dataclass(frozen=True, slots=True)
class Tile:
    """`rows`: the row counts that code is made for, largest first, 1 last; `vectors` of units side by side."""

    rows: tuple[int, ...]
    vectors: int


MOST_ROWS = 6
"""Seven and eight rows of four accumulators spill on 32 registers, and gain little with fewer accumulators."""


def contraction_tile(target: Target, gates: int, units: int, lanes: int) -> Tile:
    """The tile of a contraction: about three quarters of the registers are accumulators, the rest holds weights and the left side.

    With few gates several vectors of units stand side by side, so that each element of the left
    side, once loaded, feeds about four of them.
    """
    accumulators = target.registers * 3 // 4
    needed = -(-units // lanes)
    vectors = max(1, min(4 // gates if gates <= 4 else 1, needed))
    rows = max(1, min(MOST_ROWS, accumulators // (gates * vectors)))
    return Tile(row_counts(rows), vectors)


def pointwise_tile(units: int, lanes: int) -> Tile:
    """The tile of a stage without a contraction: rows one by one, units along the memory."""
    return Tile((1,), max(1, min(4, units // lanes)))


def row_counts(most: int) -> tuple[int, ...]:
    """Row counts, largest first, from which any number of rows is put together: 6 gives 6, 3, 1."""
    counts = [most]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return tuple(counts)
