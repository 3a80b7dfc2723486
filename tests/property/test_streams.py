"""Cells that nobody wrote before, and layers of windows, step by step: the bits of the whole sequence, and of fewer rows and steps."""

from __future__ import annotations

import itertools
from typing import Any

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


STEPS = 24
WINDOWED = [
    *(
        f"Conv1D(4, {size}, {more})"
        for size in (1, 2, 3)
        for more in ("", "strides = 2", "padding = causal", "strides = 3, padding = causal")
    ),
    "Conv1D(3, 2, dilation_rate = 3)",
    "Conv1D(5, 3, dilation_rate = 2, padding = causal, use_bias = false)",
    "Conv1D(4, 1, strides = 2, padding = same)",
    "Conv1D(4, 2, strides = 2, carry_mask = true)",
    *(f"{kind}Pooling1D({size}, strides = {stride})" for kind in ("Max", "Average") for size, stride in ((2, 1), (2, 3), (3, 2))),
    "ZeroPadding1D(0)",
    *(f"Cropping1D([{start}, {end}])" for start, end in ((2, 0), (0, 2), (1, 1))),
]
BETWEEN = ["LSTM(3, return_sequences = true)", "Dense(4, tanh)", "LayerNormalization()", "GRU(2, return_sequences = true)"]
ENDS = [
    "GRU(3)",
    "Last()",
    "Dense(2)",
    "p = LSTM(3, return_sequences = true)\n q = p -> MaxPooling1D(2)\n r = q -> GRU(2)\n output r, p, q",
]


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@settings(max_examples=4)
@given(
    layers=st.lists(st.sampled_from([*WINDOWED, *WINDOWED, *BETWEEN]), min_size=1, max_size=3),
    end=st.sampled_from(ENDS),
    ids=st.booleans(),
    dtype=st.sampled_from(["float32", "float32", "float64"]),
    batch=st.sampled_from([1, 3]),
    parts=st.lists(st.integers(1, 7), min_size=8, max_size=8),
    anew=st.lists(st.tuples(st.integers(0, STEPS // 3), st.integers(0, 2)), max_size=3),
)
def test_what_falls_due_is_the_bits_of_the_whole(
    layers: list[str], end: str, ids: bool, dtype: str, batch: int, parts: list[int], anew: list[tuple[int, int]]
) -> None:
    """Step by step with rows that start anew, each of which then counts for itself; and in parts of any length."""
    start = ["Embedding(5, 3, mask_zero = true)", "Dense(3)"] if ids else []
    stack = "\n ".join([*start, *layers, end.replace("p = ", "p = x -> ") if not layers else end])
    if end.startswith("p = "):
        stack = "\n ".join(["v = x -> " + " -> ".join([*start, *layers]), end.replace("p = ", "p = v -> ")])
    model = rnnspec.compile(f"model Case {{\n input x: {'int[time]' if ids else 'float[time, 3]'}\n {stack}\n}}\n", dtype=dtype, seed=0)
    random = np.random.default_rng(0)
    x = random.integers(0, 5, (batch, STEPS)) if ids else random.normal(size=(batch, STEPS, 3)).astype(dtype)
    outputs = model.signature.outputs
    if model.signature.stream.refusal:
        assert ids and "of which some may be masked" in model.signature.stream.refusal
        return
    first = max(clock.first for clock in model.signature.stream.clocks)
    if first > STEPS // 2:
        return

    stream = model.stream(batch)
    starts = [0] * batch
    seen: list[list[list[Any]]] = [[[] for _ in outputs] for _ in range(batch)]
    for step in range(STEPS):
        for row in {row for when, row in anew if when == step and row < batch}:
            stream.reset(row)
            starts[row], seen[row] = step, [[] for _ in outputs]
        values = stream.step(x[:, step])
        due = stream.due
        for place, (output, value) in enumerate(zip(outputs, values if len(outputs) > 1 else [values], strict=True)):
            assert (value is None) == (not due[output.name].any())
            for row in range(batch):
                if value is not None and due[output.name][row]:
                    seen[row][place].append(value[row])
                else:
                    assert value is None or np.isnan(value[row]).all()
    for row in range(batch):
        if STEPS - starts[row] >= first:
            whole = model.forward(x[row : row + 1, starts[row] :])
            for place, (output, value) in enumerate(zip(outputs, whole if len(outputs) > 1 else [whole], strict=True)):
                shown = seen[row][place]
                assert np.array_equal(np.stack(shown) if output.is_sequence else shown[-1], value[0])

    undisturbed, whole = model.stream(batch), model.forward(x)
    ends = [min(sum(parts[:count]), STEPS) for count in range(len(parts))] + [STEPS]
    pieces = [undisturbed.steps(x[:, start:stop]) for start, stop in itertools.pairwise(ends)]
    for place, output in enumerate(outputs):
        joined = np.concatenate([piece[place] if len(outputs) > 1 else piece for piece in pieces], axis=1)
        value = whole[place] if len(outputs) > 1 else whole
        assert np.array_equal(joined if output.is_sequence else joined[:, -1], value)
