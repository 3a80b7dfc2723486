"""Weights of a model with branches: in the order of the statements, and Keras's own taken over by name."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.model import Model

SPEC = """\
model Branches {
    input i: float[5, 3], j: float[5, 3]

    a = i -> GRU(4)
    b = j -> Dense(6, name = "first") -> Bidirectional(LSTM(2), name = "second")
    [a, b] -> Add() -> Dense(2)
}
"""

KERAS_PATHS = [
    "first/kernel",
    "first/bias",
    *(f"gru/gru_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")),
    *(f"second/{way}_lstm/lstm_cell/{name}" for way in ("forward", "backward") for name in ("kernel", "recurrent_kernel", "bias")),
    "dense/kernel",
    "dense/bias",
]
"""Of the same model in Keras 3.15, by depth from the output."""

KERAS_OUTPUT = [[-1.2700500139655047, -0.3676260468552534], [-1.09247987021068, -0.277768568718303]]
"""What Keras gives with waves for weights, in its order, and for inputs."""


def wave(shape: tuple[int, ...], start: float) -> NDArray[np.float64]:
    return np.sin(start + 0.7 * np.arange(np.prod(shape))).reshape(shape)


def own_name(path: str) -> str:
    """The name here of one of Keras's weights."""
    return re.sub(r"/\w+_cell/", "/", path)


def keras_weights(model: Model) -> dict[str, NDArray[np.float64]]:
    """In Keras's order, by Keras's paths."""
    return {path: wave(model.weights[own_name(path)].shape, place) for place, path in enumerate(KERAS_PATHS)}


@pytest.fixture
def model() -> Model:
    return rnnspec.compile(SPEC, dtype="float64")


def test_weights_are_in_the_order_of_the_statements(model: Model) -> None:
    layers = list(dict.fromkeys(name.partition("/")[0] for name in model.weights))
    assert layers == ["gru", "first", "second", "dense"]
    assert sorted(map(own_name, KERAS_PATHS)) == sorted(model.weights)


def test_weights_of_keras_by_name_give_the_output_of_keras(model: Model) -> None:
    model.set_weights({own_name(path): value for path, value in keras_weights(model).items()})
    output = model.forward({"i": wave((2, 5, 3), 0.5), "j": wave((2, 5, 3), 1.5)})
    np.testing.assert_allclose(output, KERAS_OUTPUT, rtol=1e-9)


def test_weights_in_the_order_of_keras_do_not_fit(model: Model) -> None:
    with pytest.raises(ValueError, match="gru/kernel"):
        model.set_weights(list(keras_weights(model).values()))
