"""Random small models, compiled, against the numpy oracle: any mask, any shape, outputs and gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from tests import reference
from tests.specs import Layer, bidirectional, make, spec

CELLS = st.sampled_from(["SimpleRNN", "LSTM", "GRU"])
UNITS = st.sampled_from([1, 2, 3, 5, 8, 16, 17])
"""Around what fills vectors of 2 to 16 lanes."""
SMOOTH = st.sampled_from(["linear", "tanh", "sigmoid", "softmax", "softplus", "silu", "gelu", "exponential"])
"""Activations without a kink that a complex step could straddle; relu and its kin have fixtures."""
VOCABULARY = 5


@st.composite
def cell(draw: st.DrawFn, sequences: bool) -> Layer:
    layer = make(draw(CELLS), units=draw(UNITS))
    if sequences:
        layer["return_sequences"] = True
    if draw(st.booleans()):
        layer["go_backwards"] = True
    if draw(st.booleans()):
        layer["zero_output_for_mask"] = True
    if draw(st.integers(0, 3)) == 0:
        layer["use_bias"] = False
    return layer


@st.composite
def recurrent(draw: st.DrawFn, sequences: bool) -> Layer:
    if draw(st.booleans()):
        return draw(cell(sequences))
    inner = {key: value for key, value in draw(cell(sequences)).items() if key not in ("go_backwards", "zero_output_for_mask")}
    return bidirectional(inner, merge_mode=draw(st.sampled_from(["concat", "sum", "mul", "ave"])))


DENSE = st.builds(lambda units, activation: make("Dense", units=units, activation=activation), UNITS, SMOOTH)


@dataclass(frozen=True)
class Drawn:
    """A model with a batch for it; `mask` is the caller's own, None for none: what it masks is 0 here, and NaN for the compiled model."""

    layers: list[Layer]
    of_input: str
    x: np.ndarray
    mask: np.ndarray | None
    seed: int


@st.composite
def drawn_models(draw: st.DrawFn) -> Drawn:
    batch, time, features = draw(st.integers(0, 5)), draw(st.integers(0, 6)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    masked = random.random((batch, time)) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    layers: list[Layer] = []
    if draw(st.booleans()):
        of_input, x = "int[time]", random.integers(1, VOCABULARY, (batch, time)).astype(np.int32)
        layers.append(make("Embedding", input_dim=VOCABULARY, output_dim=features, mask_zero=draw(st.booleans())))
        x[masked] = 0
    else:
        of_input, x = f"float[time, {features}]", random.normal(size=(batch, time, features))
        if draw(st.booleans()):
            layers.append(make("Masking", mask_value=0.0))
            x[masked] = 0.0
    mask = ~masked if draw(st.booleans()) else None
    if mask is not None and x.dtype.kind == "f":
        x[masked] = 0.0
    layers += draw(st.lists(st.one_of(recurrent(True), DENSE), max_size=2))
    layers += draw(st.lists(recurrent(False), min_size=0 if layers else 1, max_size=1))
    layers += draw(st.lists(DENSE, max_size=1))
    return Drawn(layers, of_input, x, mask, seed)


def near(actual: np.ndarray, expected: Any, scale: float = 1.0) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-9 * max(scale, float(np.abs(expected).max(initial=0.0))))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(drawn_models())
def test_outputs_and_gradients(drawn: Drawn) -> None:
    """The gradient is compared along one random direction through all weights and the input at once."""
    random = np.random.default_rng(drawn.seed)
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float64")
    weights = [random.normal(scale=0.5, size=weight.shape) for weight in model.weights.values()]
    model.set_weights(weights)
    given_x = drawn.x
    if drawn.mask is not None and given_x.dtype.kind == "f":
        given_x = np.where(drawn.mask[..., None], given_x, np.nan)

    (expected,) = reference.run(drawn.layers, weights, drawn.x, drawn.mask)
    output, tape = model.forward(given_x, mask=drawn.mask, record=True)
    assert output.shape == expected.shape
    near(output, expected)

    cotangent = random.normal(size=expected.shape)
    gradients = model.backward(tape, cotangent)
    along = [random.normal(size=weight.shape) for weight in weights]
    moved = [weight + 1j * reference.STEP * direction for weight, direction in zip(weights, along, strict=True)]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients.weights.values(), along, strict=True))
    moved_x = drawn.x
    if drawn.x.dtype.kind == "f":
        along_x = random.normal(size=drawn.x.shape)
        if drawn.mask is not None:
            along_x[~drawn.mask] = 0.0
            assert not gradients.inputs["x"][~drawn.mask].any()
        moved_x = drawn.x + 1j * reference.STEP * along_x
        slope += float(np.sum(gradients.inputs["x"] * along_x))
    (moved_output,) = reference.run(drawn.layers, moved, moved_x, drawn.mask)
    expected_slope = float(np.sum(np.imag(moved_output) * cotangent)) / reference.STEP
    near(np.float64(slope), expected_slope)
