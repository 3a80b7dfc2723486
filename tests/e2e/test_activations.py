"""Activations that Keras's fixtures don't hold: against the numpy oracle, forward and by central differences."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from tests.reference_activations import ACTIVATIONS

X = np.array([[-3.0, -1.0, -0.4, 0.0, 0.21, 0.9, 1.0, 2.5]])
STEP = 1e-6


@pytest.mark.parametrize(
    ("written", "options"),
    [("threshold(0.2, -3)", {"threshold": 0.2, "default_value": -3.0}), ("sparse_plus", {}), ("sparse_sigmoid", {})],
)
def test_values_and_derivatives(written: str, options: dict[str, float]) -> None:
    function = ACTIVATIONS[written.partition("(")[0]]
    model = rnnspec.compile(f"model M {{ input x: float[8] Activation({written}) }}", dtype="float64")
    output, tape = model.forward(X, record=True)
    np.testing.assert_allclose(output, function(X, **options), rtol=0, atol=1e-15)
    smooth = ~np.isin(X, [-1.0, 1.0])
    expected = (function(X + STEP, **options) - function(X - STEP, **options)) / (2 * STEP)
    gradient = model.backward(tape, np.ones_like(X)).inputs["x"]
    np.testing.assert_allclose(gradient[smooth], expected[smooth], rtol=0, atol=1e-8)


def test_sparse_plus_has_keras_s_derivative_where_its_pieces_meet() -> None:
    model = rnnspec.compile("model M { input x: float[2] Activation(sparse_plus) }", dtype="float64")
    _, tape = model.forward([[-1.0, 1.0]], record=True)
    np.testing.assert_array_equal(model.backward(tape, [[1.0, 1.0]]).inputs["x"], [[0.0, 1.0]])
