"""Inference looks rows up in a product that is made once; training multiplies the rows that it looked up. Both give the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.dimensions import TOKENS
from rnnspec.frontend.model.lower import Precision
from rnnspec.kernel.accesses import accesses
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import FusedLoop, GatherIds, RowMap
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import AVX2
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import compilation


def kernels_of(spec: str, dtype: Precision = "float32") -> Kernels:
    """Of inference."""
    return compilation(spec, AVX2, dtype).kernels(Variant("forward", False))


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
    kernels = kernels_of(spec, dtype)
    assert [nest.node.rows for nest in nests_of(kernels.function) if isinstance(nest.node, GatherIds)] == [TOKENS]
    assert 11 in [nest.node.rows for nest in nests_of(kernels.prepare) if isinstance(nest.node, FusedLoop)], "the table's product"
    ids = np.random.default_rng(0).integers(0, 11, (6, 7)).astype(np.int32)
    for _ in range(2):
        folded = model.forward(ids)
        plain, _ = model.forward(ids, record=True)
        assert np.array_equal(folded, plain)
        model.set_weights([weight * np.asarray(0.5, dtype) for weight in model.get_weights()])


def test_no_step_copies_the_rows_that_it_looks_up() -> None:
    """The scan reads the table by the ids of its tokens."""
    function = kernels_of("model Words {\n    input x: int[time]\n    Embedding(11, 5)\n    SimpleRNN(4)\n}\n").function
    stages = [nest for nest in nests_of(function) if isinstance(nest.node, FusedLoop)]
    assert stages and all(nest.node.rows != TOKENS for nest in stages if isinstance(nest.node, FusedLoop))
    looked_up = [access for nest in stages if nest.scan for access in accesses(nest.node) if access.via is not None]
    assert [access.rows for access in looked_up] == [RowMap.TOKEN]


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
