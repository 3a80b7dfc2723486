"""ZeroPadding1D, Cropping1D and UpSampling1D: numbers by hand, dropped masks, lengths, streams; Keras's are in `test_keras_graphs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import MaskWarning, SpecWarning

Array = NDArray[Any]

LAYERS: dict[str, Callable[[Array], Array]] = {
    "ZeroPadding1D()": lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0))),
    "ZeroPadding1D(0)": lambda x: x,
    "ZeroPadding1D(padding = [0, 3])": lambda x: np.pad(x, ((0, 0), (0, 3), (0, 0))),
    "ZeroPadding1D([2, 1])": lambda x: np.pad(x, ((0, 0), (2, 1), (0, 0))),
    "Cropping1D()": lambda x: x[:, 1:-1],
    "Cropping1D(0)": lambda x: x,
    "Cropping1D(cropping = [3, 0])": lambda x: x[:, 3:],
    "Cropping1D([1, 2])": lambda x: x[:, 1:-2],
    "UpSampling1D()": lambda x: np.repeat(x, 2, axis=1),
    "UpSampling1D(size = 1)": lambda x: x,
    "UpSampling1D(5)": lambda x: np.repeat(x, 5, axis=1),
}


def adjoint(layer: Callable[[Array], Array], cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Of a layer that moves numbers: each gets what the places hold that it went to."""
    places = layer(np.arange(1, np.prod(shape) + 1).reshape(shape))
    return np.bincount(places.reshape(-1), cotangent.reshape(-1), int(np.prod(shape)) + 1)[1:].reshape(shape)


@pytest.mark.parametrize("length", ["time", "6"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", LAYERS)
def test_steps_and_gradients(layer: str, dtype: str, length: str) -> None:
    model = rnnspec.compile(f"model M {{ input x: float[{length}, 3]\n {layer} }}", dtype=dtype)
    random = np.random.default_rng(0)
    x = random.normal(size=(4, 6, 3)).astype(dtype)
    y, tape = model.forward(x, record=True)
    np.testing.assert_array_equal(y, LAYERS[layer](x))
    cotangent = random.normal(size=y.shape).astype(dtype)
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    expected = adjoint(LAYERS[layer], cotangent, x.shape)
    np.testing.assert_allclose(model.backward(tape, cotangent).inputs["x"], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_masked_steps_are_taken_with_what_they_hold(layer: str, backwards: bool) -> None:
    """The same as by a model that ends before the layer, and numpy; of a sequence in reversed order as it is shown."""
    before = f"model M {{ input x: float[time, 3]\n GRU(2, return_sequences = true, go_backwards = {str(backwards).lower()})"
    random = np.random.default_rng(0)
    x, mask = random.normal(size=(5, 6, 3)), random.random((5, 6)) < 0.5
    shown = rnnspec.compile(f"{before} }}", dtype="float64", seed=1).forward(x, mask=mask)
    y = rnnspec.compile(f"{before} {layer} }}", dtype="float64", seed=1).forward(x, mask=mask)
    np.testing.assert_array_equal(y, LAYERS[layer](shown))


def test_a_mask_that_is_dropped_is_told() -> None:
    spec = "model M { input x: float[time, 3]\n Masking(0.0) ZeroPadding1D() LSTM(2) }"
    with pytest.warns(SpecWarning, match="ZeroPadding1D"):
        rnnspec.compile(spec)
    model = rnnspec.compile("model M { input x: float[time, 3]\n UpSampling1D() LSTM(2) }")
    with pytest.warns(MaskWarning, match="UpSampling1D up_sampling1d"):
        model.forward(np.zeros((2, 3, 3)), lengths=[3, 2])


def test_a_call_with_too_few_steps_says_how_many_there_must_be() -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]\n Cropping1D([1, 2]) }")
    with pytest.raises(ValueError, match="4"):
        model.forward(np.zeros((2, 3, 3)))
    assert model.forward(np.zeros((2, 4, 3))).shape == (2, 1, 3)


def test_lengths_are_told() -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]\n ZeroPadding1D([2, 1]) Cropping1D(2) UpSampling1D(3) Cropping1D([0, 1]) }")
    assert [layer.output_shape for layer in model.source.rows] == [
        "(batch, time+3, 3)",
        "(batch, time-1, 3)",
        "(batch, time+time+time-3, 3)",
        "(batch, time+time+time-4, 3)",
    ]
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = np.repeat(np.pad(x, ((0, 0), (2, 1), (0, 0)))[:, 2:-2], 3, axis=1)[:, :-1]
    np.testing.assert_array_equal(model.forward(x), expected)
