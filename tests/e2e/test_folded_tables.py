"""Inference looks rows up in a product that is made once; training multiplies the rows that it looked up. Both give the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from rnnspec.frontend.model.lower import Precision

SPECS = {
    "one direction": "LSTM(9, return_sequences = true)",
    "two directions": "Bidirectional(GRU(5))\n    Dense(3)",
    "a sum behind it": "Dense(6)\n    SimpleRNN(4)",
    "without a bias": "SimpleRNN(17, use_bias = false)",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", SPECS.values(), ids=SPECS)
def test_the_folded_table_gives_the_same_bits(layers: str, dtype: Precision) -> None:
    spec = f"model Words {{\n    input x: int[time]\n    Embedding(11, 5, mask_zero = true)\n    {layers}\n}}\n"
    model = rnnspec.compile(spec, dtype=dtype, seed=3)
    assert model.inspect("kernel").count("gather_ids tokens rows") == 1
    assert "stage 11 rows" in model.inspect("kernel"), "the product of the table isn't made by the prepare function"
    ids = np.random.default_rng(0).integers(0, 11, (6, 7)).astype(np.int32)
    for _ in range(2):
        folded = model.forward(ids)
        plain, _ = model.forward(ids, record=True)
        assert np.array_equal(folded, plain)
        model.set_weights([weight * np.asarray(0.5, dtype) for weight in model.get_weights()])


def test_no_step_copies_the_rows_that_it_looks_up() -> None:
    """The scan reads the table by the ids of its tokens."""
    model = rnnspec.compile("model Words {\n    input x: int[time]\n    Embedding(11, 5)\n    SimpleRNN(4)\n}\n")
    kernels = model.inspect("kernel").split("kernel @forward :")[1]
    assert "stage tokens rows" not in kernels
    assert "[t+r]" in kernels


@pytest.mark.parametrize(
    "layers", ["GlobalMaxPooling1D()", "SimpleRNN(3)", "inner = words -> Dense(3)\n    [words, inner] -> Add()\n    GlobalMaxPooling1D()"]
)
def test_rows_that_are_stored_as_well_are_looked_up_all_the_same(layers: str) -> None:
    """A recorded call keeps what was looked up, after the scan that reads it: the scan once read what wasn't stored yet."""
    spec = f"model Words {{\n    input x: int[time]\n    words = Embedding(11, 3, mask_zero = true)\n    {layers}\n}}\n"
    model = rnnspec.compile(spec, dtype="float64", seed=3)
    ids = np.random.default_rng(0).integers(0, 11, (6, 7)).astype(np.int32)
    recorded, _ = model.forward(ids, record=True)
    assert np.array_equal(model.forward(ids), recorded)
    if layers == "GlobalMaxPooling1D()":
        table = model.weights["embedding/embeddings"]
        expected = [table[row[row > 0]].max(axis=0) if (row > 0).any() else np.zeros(3) for row in ids]
        assert np.array_equal(recorded, expected)
