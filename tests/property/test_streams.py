"""Cells that nobody wrote before, step by step: the bits of the whole sequence, of fewer rows and steps, and of a recorded call."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from tests.property.cells import Cell, drawn_cells
from tests.property.drawing import UNITS

AROUND = ["{}", "LayerNormalization()\n {}", "{}\n Dense(1, use_bias = false)", "Dense(1)\n {}\n Dense(3, activation = softmax)"]


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@settings(max_examples=8)
@given(
    cells=st.lists(drawn_cells(), min_size=1, max_size=2),
    units=st.tuples(UNITS, UNITS),
    features=st.sampled_from([1, 2, 3, 9]),
    sequences=st.booleans(),
    around=st.sampled_from(AROUND),
    dtype=st.sampled_from(["float32", "float32", "float64"]),
    batch=st.sampled_from([3, 1, 7]),
)
def test_steps_are_the_bits_of_the_whole(
    cells: list[Cell], units: tuple[int, int], features: int, sequences: bool, around: str, dtype: str, batch: int
) -> None:
    layers = [f"Drawn{place}({units[place]}, return_sequences = true)" for place in range(len(cells))]
    if not sequences:
        layers[-1] = layers[-1].replace(", return_sequences = true", "")
    texts = [cell.text(f"Drawn{place}") for place, cell in enumerate(cells)]
    stack = around.format("\n ".join(layers))
    spec = "\n".join([*texts, f"model Case {{\n input x: float[time, {features}]\n {stack}\n}}\n"])
    model = rnnspec.compile(spec, dtype=dtype, seed=0)
    random = np.random.default_rng(0)
    model.set_weights({name: random.normal(scale=0.4, size=weight.shape) for name, weight in model.weights.items()})
    x = random.normal(size=(batch, 5, features)).astype(dtype)

    whole = model.forward(x)
    stream = model.stream(batch)
    steps = [stream.step(x[:, step]) for step in range(x.shape[1])]
    assert np.array_equal(np.stack(steps, axis=1) if sequences else steps[-1], whole)
    assert np.array_equal(model.forward(x[:1]), whole[:1])
    assert np.array_equal(model.forward(x[:, :1]), steps[0][:, None] if sequences else steps[0])
    assert np.array_equal(model.forward(x, record=True)[0], whole)
