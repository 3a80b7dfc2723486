"""Activations beyond what Keras's fixtures hold."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from tests.reference_activations import sparsemax

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("width", [1, 2, 3, 33, 300])
def test_sparsemax_of_any_width_sums_to_1(width: int) -> None:
    """However many elements are left, of rows that are flat, steep, equal, and such that one element after the other leaves."""
    rows = [RANDOM.normal(size=width) * scale for scale in (1e-3, 0.1, 1.0, 1e3)]
    rows += [np.full(width, 7.0), 1e6 + np.arange(width) % 2, -np.log1p(np.arange(width)) / 5, -np.sqrt(np.arange(width)) / 7]
    x = np.array([*rows, -(2.0 ** -np.arange(width))])
    for dtype, tolerance in (("float64", 1e-14), ("float32", 1e-6)):
        model = rnnspec.compile(f"model M {{ input x: float[{width}] Activation(sparsemax) }}", dtype=dtype)
        y, tape = model.forward(x, record=True)
        np.testing.assert_allclose(y, sparsemax(x.astype(dtype).astype(np.float64)), rtol=0, atol=tolerance)
        np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=0, atol=20 * tolerance)
        cotangent = RANDOM.normal(size=x.shape).astype(dtype)
        support = y > 0
        mean = (cotangent * support).sum(axis=1, keepdims=True) / support.sum(axis=1, keepdims=True)
        gradient = model.backward(tape, cotangent).inputs["x"]
        np.testing.assert_allclose(gradient, np.where(support, cotangent - mean, 0.0), rtol=0, atol=20 * tolerance)


def test_sparsemax_of_what_is_no_number_is_none() -> None:
    model = rnnspec.compile("model M { input x: float[3] Activation(sparsemax) }")
    assert np.isnan(model.forward([[0.0, np.nan, 1.0]])).all()


def test_sparsemax_in_a_cell() -> None:
    """Its equations run in the step: with packed rows, and as the activation of one that ships with the package."""
    cell = """cell Chooses(units) {
        weight kernel [features, units] = glorot_uniform
        state h [units]
        h' = sparsemax(x @ kernel + h)
        return h'
    }
    model M { input x: float[time, 2] Chooses(3, return_sequences = true) }"""
    model = rnnspec.compile(cell, dtype="float64", seed=0)
    x, mask = RANDOM.normal(size=(2, 4, 2)) * 3, np.array([[True, True, False, True], [False, True, True, False]])
    kernel, h = model.weights["chooses/kernel"], np.zeros((2, 3))
    outputs = model.forward(x, mask=mask)
    for step in range(4):
        h = np.where(mask[:, step, None], sparsemax(x[:, step] @ kernel + h), h)
        np.testing.assert_allclose(outputs[:, step], h, rtol=0, atol=1e-14)
    shipped = rnnspec.compile("model M { input x: float[time, 2] GRU(3, activation = sparsemax) }", dtype="float64", seed=0)
    assert np.isfinite(shipped.forward(x)).all()


def test_sparse_plus_has_keras_s_derivative_where_its_pieces_meet() -> None:
    model = rnnspec.compile("model M { input x: float[2] Activation(sparse_plus) }", dtype="float64")
    _, tape = model.forward([[-1.0, 1.0]], record=True)
    np.testing.assert_array_equal(model.backward(tape, [[1.0, 1.0]]).inputs["x"], [[0.0, 1.0]])
