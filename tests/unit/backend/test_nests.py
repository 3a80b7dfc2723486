"""Loop nests: how a row is divided into tiles changes no bit."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.objects import host_target
from rnnspec.backend.llvm_cpu.outer import LEFT_BYTES, MOST_ROWS, parts_of
from rnnspec.ir.parser import parse_module
from rnnspec.kernel.target import CacheBlock, Tile
from tests.ir_arguments import random_arguments
from tests.unit.backend.native_calls import call, load
from tests.unit.kernel.scheduled import NORMED, compilation, model


@pytest.mark.parametrize("width", [3, 37, 70])
def test_tiles_of_any_number_of_vectors_give_the_same_bits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of masked rows, in and outside of a scan; 37 and 70 units leave a rest that fills no tile."""
    layers = (f"Normed({width}, return_sequences = true)", "LayerNormalization()", f"Dense({width}, activation = gelu)")
    spec = model(3, *layers, "GlobalAveragePooling1D()", f"Dense({width}, activation = softmax)", cell=NORMED)
    function = compilation(spec, host_target()).module("tensor", training=False).function("forward")
    arguments = random_arguments(function)

    def outputs() -> np.ndarray:
        (found,) = call(load(function, host_target()), function, arguments).values()
        return found

    expected = outputs()
    assert np.isfinite(expected).all() and expected.any()
    for vectors in (1, 2, 3, 4):
        monkeypatch.setattr("rnnspec.kernel.cpu.tiles.pointwise_tile", lambda *_, vectors=vectors: Tile((1,), vectors))
        np.testing.assert_array_equal(outputs(), expected, err_msg=str(vectors))


@pytest.mark.parametrize("layer", ["LSTM(21)", "GRU(21, return_sequences = true)", "Dense(37, activation = tanh)"])
def test_blocks_of_rows_units_and_depth_change_no_bit(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, tiles and turns, in and outside of a scan, each with a rest, from a bias or what is loaded."""
    spec = model(19, layer, "Dense(9, activation = sigmoid)")
    function = compilation(spec, host_target()).module("tensor", training=False).function("forward")
    arguments = random_arguments(function, {"batch": 17, "time": 7})

    def outputs() -> np.ndarray:
        (found,) = call(load(function, host_target()), function, arguments).values()
        return found

    expected = outputs()
    assert np.isfinite(expected).all() and expected.any()
    asked: list[CacheBlock] = []
    for block in (CacheBlock(6, 1, 2), CacheBlock(12, 2, 7), CacheBlock(60, 3, 8), CacheBlock(6, 2), CacheBlock(12, 1)):
        monkeypatch.setattr("rnnspec.kernel.cpu.tiles.deep_block", lambda *_, block=block: asked.append(block) or block)
        np.testing.assert_array_equal(outputs(), expected, err_msg=str(block))
    assert len(asked) >= 10, "no stage was given blocks"


OUTER = """module m
func @f(input %x: f32[batch, 205], input %y: f32[batch, 37]) {
  %out = matmul transpose %x, %y : f32[205, 37]
  return output "out" %out
}
"""


@pytest.mark.parametrize("batch", [0, 1, 300, 700])
def test_a_sum_of_outer_products_has_the_same_bits_in_any_parts(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of chunks of rows the first begins from zeros; without any row the sum is zero, and what was in memory before is gone."""
    (function,) = parse_module(OUTER).functions
    arguments = {name: array.astype(np.float32) for name, array in random_arguments(function, {"batch": batch}).items()}

    def sums() -> np.ndarray:
        (found,) = call(load(function, host_target()), function, arguments).values()
        return found

    expected = sums()
    np.testing.assert_allclose(expected, arguments["x"].astype(np.float64).T @ arguments["y"], atol=1e-3)
    for parts in ((7, 6), (100, 90), (1, 205)):
        monkeypatch.setattr("rnnspec.backend.llvm_cpu.outer.parts_of", lambda *_, parts=parts: parts)
        np.testing.assert_array_equal(sums(), expected, err_msg=str(parts))


@pytest.mark.parametrize(
    ("height", "parts"),
    [
        (3, (192, 6)),
        (128, (192, 132)),
        (192, (192, 192)),
        (200, (192, 204)),  # a second part of 8 rows would copy all of the right side for these alone
        (512, (190, 258)),
        (800, (182, 270)),
    ],
)
def test_parts_of_a_sum_of_outer_products_move_as_few_bytes_as_they_can(height: int, parts: tuple[int, int]) -> None:
    assert parts_of(height, 4) == parts


@pytest.mark.parametrize("element_bytes", [4, 8])
def test_parts_of_a_sum_of_outer_products_fit_on_the_stack(element_bytes: int) -> None:
    for height in (1, 5, 100, 1000, 10**5, 10**6):
        rows, at_once = parts_of(height, element_bytes)
        assert 1 <= rows <= MOST_ROWS and rows * at_once * element_bytes <= LEFT_BYTES
