"""Loop nests: how a row is divided into tiles changes no bit."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.objects import host_target
from rnnspec.kernel.target import Tile
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
