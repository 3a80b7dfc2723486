"""`axis = 1`, the steps of a sequence: what masks do to it, against the numpy oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests import reference
from tests.specs import Graph, Layer, bidirectional, chain, graph_spec, make

Array = NDArray[Any]

MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
GRU = make("GRU", units=2, return_sequences=True)
SOFTMAX = make("Softmax", axis=1)

SOFTMAXES: Mapping[str, Sequence[Layer]] = {
    "of an input": [SOFTMAX],
    "of what is held": [GRU, SOFTMAX],
    "in reversed order": [GRU | {"go_backwards": True}, SOFTMAX],
    "counted from the end": [make("Dense", units=3), make("Softmax", axis=-2), make("Dense", units=2)],
    "of large numbers": [make("ELU", alpha=900.0), SOFTMAX, GRU],
    "on to both directions": [SOFTMAX, bidirectional(make("LSTM", units=2))],
    "seen by windows": [SOFTMAX, make("Conv1D", filters=2, kernel_size=3, padding="same")],
}


def check(graph: Graph, inputs: Mapping[str, Array], masks: Mapping[str, Array]) -> None:
    """Outputs and every gradient of a model with random weights are the oracle's; masked steps of inputs hold 0."""
    random = np.random.default_rng(5)
    model = rnnspec.compile(graph_spec(graph), dtype="float64")
    weights: list[Array] = [random.normal(size=weight.shape) for weight in model.get_weights()]
    model.set_weights(weights)
    given, tape = model.forward(inputs, mask=masks or None, record=True)
    outputs = given if isinstance(given, tuple) else (given,)
    expected = reference.run_graph(graph, weights, inputs, masks).outputs
    for output, flow in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, flow.value, rtol=0, atol=1e-12)
    cotangents: list[Array] = [random.normal(size=output.shape) for output in outputs]
    by_weight, by_input = reference.graph_gradients(graph, weights, inputs, masks, cotangents)
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for actual, wanted in zip(gradients.weights.values(), by_weight, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-11)
    for name, wanted in by_input.items():
        real = np.ones(wanted.shape[:2], bool) if name not in masks else masks[name]
        np.testing.assert_allclose(gradients.inputs[name], np.where(real[..., None], wanted, 0.0), rtol=0, atol=1e-11)


@pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("layers", SOFTMAXES.values(), ids=SOFTMAXES)
def test_softmax_over_the_real_steps(layers: Sequence[Layer], masked: bool) -> None:
    x = np.random.default_rng(3).normal(size=(4, 5, 3))
    x = np.where(MASK[..., None], x, 0.0) if masked else x
    check(chain(list(layers), "float[time, 3]"), {"x": x}, {"x": MASK} if masked else {})


def test_a_softmax_over_steps_sums_to_one_where_a_step_is_real() -> None:
    model = rnnspec.compile("model Case { input x: float[time, 2] Softmax(axis = 1) }")
    y = model.forward(np.random.default_rng(3).normal(size=(4, 5, 2)), mask=MASK)
    assert not isinstance(y, tuple)
    np.testing.assert_allclose(y.sum(axis=1), [[1, 1], [1, 1], [1, 1], [0, 0]], rtol=1e-6)
    assert not y[~MASK].any()
    assert model.forward(np.zeros((3, 0, 2))).shape == (3, 0, 2)
