"""Names that mean something inside the compiler mean nothing special in a spec."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec

NAMES = [
    "source",
    "order",
    "rank",
    "offsets",
    "shown_hold",
    "zeros",
    "panels",
    "tape",
    "gradient",
    "h",
    "x",
    "rows_1",
    "key",
    "mask",
    "time",
]
LENGTHS = ["time", "steps", "tokenss", "padded", "steps_1", "batch_1", "x", "features"]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_of_any_name(name: str) -> None:
    spec = "model M {{ input {}: float[time, 3] LSTM(4, return_sequences = true) Dense(2) }}"
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    model, plain = rnnspec.compile(spec.format(name), seed=0), rnnspec.compile(spec.format("plain"), seed=0)
    output, tape = model.forward(x, lengths=[5, 2, 0], record=True)
    expected, plain_tape = plain.forward(x, lengths=[5, 2, 0], record=True)
    np.testing.assert_array_equal(output, expected)
    gradients, others = model.backward(tape, output), plain.backward(plain_tape, output)
    np.testing.assert_array_equal(gradients.inputs[name], others.inputs["plain"])


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_of_any_name(name: str) -> None:
    spec = "model M {{ input a: float[{0}, 3], b: float[other, 3] c = a -> GRU(2) d = b -> GRU(2, return_sequences = true) output c, d }}"
    random = np.random.default_rng(0)
    inputs = {"a": random.normal(size=(3, 5, 3)), "b": random.normal(size=(3, 4, 3))}
    outputs = [rnnspec.compile(spec.format(each), seed=0, dtype="float64").forward(inputs) for each in (name, "plain")]
    for given, expected in zip(*outputs, strict=True):
        np.testing.assert_array_equal(given, expected)


def test_a_named_layer_of_any_name() -> None:
    """The same with layers' and states' names: they become values' names too."""
    spec = """
        cell Order(units) {
            weight source [features, units] = glorot_uniform
            weight rank   [units, units]    = orthogonal
            state zeros [units], offsets [units]
            panels = zeros @ rank
            offsets' = tanh(x @ source + panels)
            zeros' = offsets' * 0.5 + offsets
            return zeros'
        }
        model M { input rows_1: float[time, 3] Order(4, name = "tape", return_sequences = true) Dense(2, name = "gradient") }
    """
    model = rnnspec.compile(spec, seed=0)
    assert list(model.weights) == ["tape/source", "tape/rank", "gradient/kernel", "gradient/bias"]
    output, tape = model.forward(np.ones((2, 3, 3)), record=True)
    assert all(np.isfinite(gradient).all() for gradient in model.backward(tape, output).weights.values())
