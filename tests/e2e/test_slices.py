"""Slice of steps and of features: numpy's slices, gradients, masks, lengths, streams; where too few steps are, the call is refused."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import SpecWarning
from tests import reference
from tests.specs import call, make, spec

Array = NDArray[Any]

RANDOM = np.random.default_rng(9)
X = RANDOM.normal(size=(4, 7, 5))
MASK = np.ones((4, 7), bool)
MASK[0, 4:], MASK[1, :3], MASK[2, [1, 3, 6]] = False, False, False

SLICES: dict[str, tuple[Any, int]] = {
    "Slice()": (np.s_[:, :], 0),
    "Slice(2)": (np.s_[:, 2:], 3),
    "Slice(stop = -3)": (np.s_[:, :-3], 4),
    "Slice(1, -2)": (np.s_[:, 1:-2], 4),
    "Slice(0, 1)": (np.s_[:, :1], 1),
    "Slice(2, 5, axis = -2)": (np.s_[:, 2:5], 5),
    "Slice(-1)": (np.s_[:, -1:], 1),
    "Slice(-4, -1)": (np.s_[:, -4:-1], 4),
    "Slice(1, 3, axis = -1)": (np.s_[..., 1:3], 0),
    "Slice(-2, axis = 2)": (np.s_[..., -2:], 0),
    "TimeDistributed(Slice(stop = 2))": (np.s_[..., :2], 0),
}
"""What numpy says, and how many steps there must be."""


@pytest.mark.parametrize("length", ["time", "7"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", SLICES)
def test_numpys_slices_and_their_gradients(layer: str, dtype: Literal["float32", "float64"], length: str) -> None:
    model = rnnspec.compile(f"model M {{ input x: float[{length}, 5]\n {layer} }}", dtype=dtype)
    chosen, least = SLICES[layer]
    x = X.astype(dtype)
    y, tape = model.forward(x, record=True)
    np.testing.assert_array_equal(y, x[chosen])
    cotangent, expected = RANDOM.normal(size=y.shape).astype(dtype), np.zeros_like(x)
    expected[chosen] = cotangent
    np.testing.assert_array_equal(model.backward(tape, cotangent).inputs["x"], expected)
    if length == "time":
        np.testing.assert_array_equal(model.predict(x[:, : max(least, 1)]), x[:, : max(least, 1)][chosen])
        if least:
            with pytest.raises(ValueError, match=f"input x: expected at least {least} steps"):
                model.predict(x[:, : least - 1])


def test_features_of_a_row() -> None:
    model = rnnspec.compile("model M { input x: float[5]\n Slice(-3, -1)\n Dense(1) }", dtype="float64", seed=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(X[:, 0]), X[:, 0, 2:4] @ kernel + bias, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("layer", SLICES)
def test_masked_steps_are_taken_with_what_they_hold(layer: str, backwards: bool) -> None:
    """The same as by a model that ends before the layer, and numpy; of a sequence in reversed order as it is shown."""
    before = f"model M {{ input x: float[time, 3]\n GRU(5, return_sequences = true, go_backwards = {str(backwards).lower()})"
    shown = rnnspec.compile(f"{before} }}", dtype="float64", seed=1).forward(X[..., :3], mask=MASK)
    y = rnnspec.compile(f"{before} {layer} }}", dtype="float64", seed=1).forward(X[..., :3], mask=MASK)
    np.testing.assert_array_equal(y, shown[SLICES[layer][0]])


CARRIED = {"start": make("Slice", start=2), "stop": make("Slice", stop=-1), "both": make("Slice", start=1, stop=-2)}


@pytest.mark.parametrize("name", CARRIED)
def test_a_mask_is_carried_on(name: str) -> None:
    """Each sample loses steps of its own ends, so that it is the same alone and in company."""
    layers = [CARRIED[name] | {"carry_mask": True}, make("GRU", units=2)]
    model = rnnspec.compile(spec(layers, "float[time, 5]"), dtype="float64", seed=0)
    y, tape = model.forward(X, mask=MASK, record=True)
    (expected,) = reference.run(layers, list(model.get_weights()), X, MASK)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-13)
    cotangent = RANDOM.normal(size=y.shape)
    _, of_input = reference.gradients(layers, list(model.get_weights()), X, MASK, [cotangent])
    np.testing.assert_allclose(model.backward(tape, cotangent).inputs["x"], of_input, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(y[0], model.forward(X[:1, :4])[0])
    cropping = [layers[0].get("start", 0), -(layers[0].get("stop") or 0)]
    cropped = [make("Cropping1D", cropping=cropping, carry_mask=True), layers[1]]
    np.testing.assert_array_equal(y, rnnspec.compile(spec(cropped, "float[time, 5]"), dtype="float64", seed=0).forward(X, mask=MASK))


def test_a_mask_that_is_dropped_is_told() -> None:
    with pytest.warns(SpecWarning, match="Slice"):
        rnnspec.compile("model M { input x: float[time, 3]\n Masking(0.0) Slice(-2) LSTM(2) }")


def test_a_batch_does_not_decide_where_the_end_is() -> None:
    """Arrays of different lengths are padded to the longest of the call, whatever the batches."""
    model = rnnspec.compile("model M { input x: float[time, 5]\n Slice(-2) Flatten() }", dtype="float64")
    samples = [X[row, :length] for row, length in enumerate([7, 3, 5, 6])]
    with pytest.warns(Warning, match="slice"):
        whole = model.predict(samples)
    np.testing.assert_array_equal(whole, model.predict(samples, batch_size=1))


STREAMS = {"Slice(2)": True, "Slice(1, -2)": True, "Slice(1, 3, axis = -1)": True, "Slice(0, 3)": False, "Slice(-3)": False}


@pytest.mark.parametrize("layer", STREAMS)
def test_streams(layer: str) -> None:
    """Steps that are taken off the end make the others wait; a fixed number of steps can't stream."""
    model = rnnspec.compile(f"model M {{ input x: float[time, 5]\n GRU(4, return_sequences = true)\n {layer}\n GRU(3) }}", seed=0)
    x = X.astype(np.float32)
    if not STREAMS[layer]:
        with pytest.raises(ValueError, match="slice gives a fixed number of steps, counted from"):
            model.stream()
        return
    stream = model.stream(4)
    outputs = [stream.step(x[:, step]) for step in range(7)]
    np.testing.assert_array_equal(outputs[-1], model.predict(x))


def test_it_is_written_as_it_was_meant() -> None:
    assert call(make("Slice", start=-6, stop=None, axis=-1)) == "Slice(start = -6, stop = none, axis = -1)"
    model = rnnspec.compile("model M { input x: float[time, 5]\n Slice(-6)\n Slice(1, 3, axis = -1)\n Flatten() }")
    assert [row.output_shape for row in model.source.rows] == ["(batch, 6, 5)", "(batch, 6, 2)", "(batch, 12)"]
