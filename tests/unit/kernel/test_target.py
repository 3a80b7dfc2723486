"""Tiles: what each target's registers allow."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from rnnspec.contract.target_names import TARGET_NAMES
from rnnspec.ir.types import DType
from rnnspec.kernel.cpu.register_pressure import COEFFICIENTS
from rnnspec.kernel.cpu.tiles import (
    BLOCK_DEPTH,
    BLOCK_SUMS,
    MOST_ROWS,
    WIDEST,
    CpuTiling,
    contraction_tile,
    deep_block,
    flat_block,
    for_panels,
    pointwise_tile,
    row_counts,
    turn_cycles,
    turn_registers,
    turn_slack,
)
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, TARGETS, CacheBlock, NarrowType, Target, Tile, machine_target

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)

TILES: list[tuple[Target, int, int, DType, Tile]] = [
    # LSTM: four gates side by side.
    (AVX512, 4, 64, DType.F32, Tile((6, 2, 1), 1, 2)),
    (NEON, 4, 64, DType.F32, Tile((6, 2, 1), 1, 2)),
    (AVX2, 4, 64, DType.F32, Tile((3, 2, 1), 1, 2)),
    (SSE42, 4, 64, DType.F32, Tile((2, 1), 1, 2)),
    # GRU: three.
    (AVX512, 3, 64, DType.F32, Tile((6, 2, 1), 1, 3)),
    (AVX2, 3, 64, DType.F32, Tile((4, 2, 1), 1, 3)),
    # Six gates of two rows: with both rows' elements each vector of weights may come in turn.
    (AVX2, 6, 64, DType.F32, Tile((2, 1), 1, 2)),
    # SimpleRNN, Dense, projections: one gate, several vectors of units.
    (AVX512, 1, 64, DType.F32, Tile((6, 2, 1), 4)),
    (AVX2, 1, 64, DType.F32, Tile((6, 2, 1), 2, 4)),
    (AVX2, 1, 64, DType.F64, Tile((6, 2, 1), 2, 4)),
    (SSE42, 2, 64, DType.F32, Tile((6, 2, 1), 1, 4)),
    # Few units: no vector is left empty.
    (AVX512, 1, 17, DType.F32, Tile((6, 2, 1), 2)),
    (AVX512, 1, 16, DType.F32, Tile((6, 2, 1), 1)),
    (AVX2, 1, 1, DType.F32, Tile((6, 2, 1), 1)),
    (AVX2, 1, 9, DType.F64, Tile((4, 2, 1), 3)),
    # More gates than registers for rows.
    (AVX2, 7, 64, DType.F32, Tile((1,), 1, 2)),
    (SSE42, 20, 64, DType.F32, Tile((1,), 1)),
]


@pytest.mark.parametrize(
    ("target", "gates", "units", "dtype", "tile"),
    TILES,
    ids=[f"{t.name}-{gates}x{units}-{dtype.value}" for t, gates, units, dtype, _ in TILES],
)
def test_contraction_tile(target: Target, gates: int, units: int, dtype: DType, tile: Tile) -> None:
    assert contraction_tile(target, gates, units, target.lanes(dtype)) == tile


def test_narrow_weights_need_registers_of_their_own() -> None:
    """Else a sum would lie on the stack, and each turn over the depth wait for it there."""
    for target, wide, narrow in ((AVX2, (3, 2, 1), (2, 1)), (AVX512, (6, 2, 1), (6, 2, 1))):
        tiling = CpuTiling(target)
        assert tiling.contraction(4, 64, DType.F32, DType.F32).rows == wide
        assert all(tiling.contraction(4, 64, DType.F32, each).rows == narrow for each in NarrowType)


@pytest.mark.parametrize(
    ("units", "depth", "wide"),
    [
        (20, 20, 2),  # all weights fit the first-level cache
        (40, 40, 2),
        (64, 64, 1),  # 64 KB of weights, 16 KB a tile
        (128, 32, 2),  # 64 KB of weights, 8 KB a tile
        (512, 512, 1),
    ],
)
def test_a_single_row_takes_as_many_tiles_as_stay_in_the_cache_until_the_next_step(units: int, depth: int, wide: int) -> None:
    tile = contraction_tile(AVX512, 4, units, 16)
    assert tile.wide == 2
    assert for_panels(tile, 4, 4 * depth * 16 * 4, -(-units // 16), AVX512) == replace(tile, wide=wide)


def test_a_single_row_has_enough_sums_to_keep_up_with_the_second_level_cache() -> None:
    """Three gates of eight units are 24 bytes a cycle, where each sum takes four."""
    tile = contraction_tile(AVX2, 3, 128, 8)
    assert (tile.vectors, tile.wide) == (1, 3)
    assert for_panels(tile, 3, 3 * 128 * 8 * 4, 16, AVX2).wide == 2


@pytest.mark.parametrize(
    ("target", "gates", "depth", "units", "block"),
    [
        (AVX512, 1, 10_000, 200, CacheBlock(192, 4, 256)),  # what a large vocabulary gives back to 200 units
        (AVX2, 1, 10_000, 200, CacheBlock(234, 13, 256)),
        (AVX2, 1, 10_000, 8000, CacheBlock(192, 16, 256)),
        (AVX512, 1, 200, 10_000, None),  # 50 KB of weights a tile
        (AVX512, 4, 1024, 1024, None),
        (AVX512, 4, 4096, 1024, CacheBlock(192, 4, 256)),
        (AVX2, 7, 10_000, 64, None),  # a single row reads all weights once as it is
    ],
)
def test_weights_of_a_tile_that_fill_half_of_the_second_level_cache_come_in_blocks(
    target: Target, gates: int, depth: int, units: int, block: CacheBlock | None
) -> None:
    lanes = target.lanes(DType.F32)
    assert deep_block(contraction_tile(target, gates, units, lanes), depth, gates, units, lanes, target) == block


@pytest.mark.parametrize(
    ("target", "gates", "depth", "units", "block"),
    [
        (AVX2, 1, 256, 1024, CacheBlock(60, 16)),
        (AVX512, 1, 256, 1024, CacheBlock(126, 8)),
        (AVX2, 1, 200, 10_000, CacheBlock(78, 20)),
        (AVX2, 1, 80, 512, CacheBlock(204, 32)),  # all weights fit
        (AVX2, 1, 80, 16, None),  # a single tile
        (AVX2, 1, 3000, 512, None),  # of which one fits half of the cache
        (AVX2, 7, 80, 512, None),  # single rows
    ],
)
def test_rows_and_units_come_in_blocks_that_the_second_level_cache_holds(
    target: Target, gates: int, depth: int, units: int, block: CacheBlock | None
) -> None:
    lanes = target.lanes(DType.F32)
    assert flat_block(contraction_tile(target, gates, units, lanes), depth, gates, units, lanes, target) == block


@every_target
def test_a_block_s_sums_fit_on_the_stack_and_its_parts_are_several(target: Target) -> None:
    for gates, depth, units, dtype in itertools.product((1, 2, 4, 6), (16, 3000, 10**5), (1, 17, 300, 10**5), (DType.F32, DType.F64)):
        lanes = target.lanes(dtype)
        tile = contraction_tile(target, gates, units, lanes)
        block = deep_block(tile, depth, gates, units, lanes, target)
        if block is not None:
            sums = block.rows * block.tiles * tile.vectors * gates * target.vector_bytes
            assert sums <= BLOCK_SUMS
            assert block.rows % tile.rows[0] == 0 and block.depth == BLOCK_DEPTH < depth


@every_target
def test_a_turn_s_registers_are_all_there(target: Target) -> None:
    for gates, units, dtype in itertools.product(range(1, 13), (1, 3, 17, 64, 1000), (DType.F32, DType.F64)):
        tile = contraction_tile(target, gates, units, target.lanes(dtype))
        assert tile.rows[0] == 1 or turn_registers(tile.rows[0], gates * tile.vectors, target) <= target.registers
        assert tile.rows[0] <= MOST_ROWS
        assert 1 <= tile.vectors <= -(-units // target.lanes(dtype))


@pytest.mark.parametrize("most", range(1, 13))
def test_row_counts_make_up_any_number_of_rows(most: int) -> None:
    counts = row_counts(most)
    assert counts[0] == most and counts[-1] == 1
    assert list(counts) == sorted(set(counts), reverse=True)
    for rows in range(40):
        left = rows
        for count in counts:
            left -= left // count * count
        assert left == 0


@every_target
def test_no_tile_has_less_slack_at_the_same_cost(target: Target) -> None:
    """What a turn waits for beside its arithmetic may come that much later."""
    for gates in range(1, 7):
        tile = contraction_tile(target, gates, 1024, target.lanes(DType.F32))
        chosen = tile.rows[0], gates * tile.vectors
        for rows, vectors in itertools.product(range(1, MOST_ROWS + 1), range(1, max(1, WIDEST // gates) + 1)):
            other = rows, gates * vectors
            if turn_registers(*other, target) <= target.registers:
                cost, least = (turn_cycles(*turn) / math.prod(turn) for turn in (other, chosen))
                assert least <= cost
                assert least < cost or turn_slack(*other) <= turn_slack(*chosen)


def test_slack_of_the_tiles_that_were_measured() -> None:
    """docs/kernels.md has the measurement."""
    assert turn_slack(2, 4) == 0
    assert turn_slack(3, 4) == pytest.approx(1 / 3)
    assert turn_slack(6, 2) == pytest.approx(1 / 3)
    assert turn_slack(6, 4) == pytest.approx(7 / 12)


@pytest.mark.parametrize("most", [2, 4, 6])
def test_an_even_number_of_rows_has_no_single_one(most: int) -> None:
    """A batch has one more often than not, and a single row reads all weights for itself."""
    for rows in range(0, 130, 2):
        left = rows
        for count in row_counts(most)[:-1]:
            left %= count
        assert left == 0


@pytest.mark.parametrize(("units", "vectors"), [(1, 1), (7, 1), (8, 1), (16, 2), (31, 3), (32, 4), (1000, 4)])
def test_pointwise_tile(units: int, vectors: int) -> None:
    """Full vectors only: the rest gets a tile of its own."""
    assert pointwise_tile(AVX2, units, 8, alive=1, shared=0) == Tile((1,), vectors)


@pytest.mark.parametrize(
    ("target", "alive", "shared", "vectors"),
    [
        (AVX2, 4, 0, 4),
        (AVX2, 4, 1, 2),
        (AVX2, 5, 0, 2),
        (AVX2, 8, 0, 2),
        (AVX2, 8, 1, 1),
        (AVX2, 40, 0, 1),
        (AVX512, 4, 16, 4),
        (AVX512, 5, 16, 2),
        (AVX512, 8, 17, 1),
        (NEON, 8, 0, 4),
        (SSE42, 1, COEFFICIENTS, 1),
    ],
)
def test_a_pointwise_tile_fits_the_registers(target: Target, alive: int, shared: int, vectors: int) -> None:
    assert pointwise_tile(target, 1000, 8, alive, shared) == Tile((1,), vectors)


def test_lanes() -> None:
    lanes = {target.name: (target.lanes(DType.F32), target.lanes(DType.F64)) for target in TARGETS.values()}
    assert lanes == {"avx512": (16, 8), "avx2": (8, 4), "sse4.2": (4, 2), "neon": (4, 2)}


def test_targets_are_known_by_their_names() -> None:
    assert {name: target.name for name, target in TARGETS.items()} == {name: name for name in ("avx512", "avx2", "sse4.2", "neon")}
    assert tuple(TARGETS) == TARGET_NAMES


@pytest.mark.parametrize(
    ("architecture", "features", "name"),
    [
        ("x86_64", {"avx2", "f16c", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"}, "avx512"),
        ("x86_64", {"avx2", "f16c", "fma", "avx512f"}, "avx2"),
        ("x86_64", {"avx2"}, "sse4.2"),
        ("x86_64", set(), "sse4.2"),
        ("aarch64", {"neon", "sve"}, "neon"),
    ],
)
def test_a_machine_is_the_target_that_needs_most_of_what_it_has(architecture: str, features: set[str], name: str) -> None:
    assert machine_target(architecture, features) is TARGETS[name]


def test_a_machine_without_a_target() -> None:
    with pytest.raises(ValueError, match=r"its processor is a riscv64, and there are targets for x86_64, aarch64$"):
        machine_target("riscv64", {"v"})


@every_target
def test_a_target_says_all_that_differs(target: Target) -> None:
    assert target.triple.partition("-")[0] == target.architecture
    own = [target.pause.name, *([target.denormals.read, target.denormals.write] if target.denormals else [])]
    prefix = {"x86_64": "llvm.x86.", "aarch64": "llvm.aarch64."}[target.architecture]
    assert all(name.startswith(prefix) for name in own)
    assert (target.pointer_bits, target.object_format) == (64, "ELF")
