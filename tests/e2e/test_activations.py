"""Activations beyond what Keras's fixtures hold."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from rnnspec.frontend.catalogue.choices import ACTIVATIONS
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


EVERY = [
    *(name for name in ACTIVATIONS if name not in ("threshold", "exponential", "softmax", "log_softmax", "sparsemax")),
    "threshold(threshold = 0.5, default_value = 2.0)",
    "gelu(approximate = true)",
    "squareplus(b = 0.0)",
    "squareplus(b = 1e-6)",
    "squareplus(b = 1e6)",
    "celu(alpha = 0.1)",
]
"""All that go element by element and stay finite, with other arguments too."""
OVER_ALL = np.concatenate([np.exp2(np.arange(-126, 128, 0.5)), np.linspace(0, 100, 401), [3.4e38, 2e19]])


def test_no_activation_overflows_or_loses_its_digits_in_float32() -> None:
    """Over all that float32 holds, values and slopes are those of float64, as far as float32 can tell them from what they are made of."""
    lines = "\n".join(f"a{place} = x -> Activation({call})" for place, call in enumerate(EVERY))
    spec = f"model M {{ input x: float[1]\n {lines}\n output {', '.join(f'a{place}' for place in range(len(EVERY)))} }}"
    x = np.concatenate([OVER_ALL, -OVER_ALL]).astype(np.float32)[:, None]
    single, double = rnnspec.compile(spec), rnnspec.compile(spec, dtype="float64")
    found, tape = single.forward(x, record=True)
    right, exact_tape = double.forward(x.astype(np.float64), record=True)
    for place, call in enumerate(EVERY):
        real = np.abs(right[place]) < 3e38
        assert np.isfinite(found[place][real]).all(), call
        scale = np.maximum.reduce([np.minimum(np.abs(x), 1.0), np.abs(right[place]), np.full_like(right[place], 1e-30)])
        assert (np.abs(found[place] - right[place])[real] <= 1e-6 * scale[real]).all(), call
        only = [np.full_like(x, place == other) for other in range(len(EVERY))]
        slope = single.backward(tape, only).inputs["x"]
        exact = double.backward(exact_tape, [each.astype(np.float64) for each in only]).inputs["x"]
        real &= np.abs(exact) < 3e38
        np.testing.assert_allclose(slope[real], exact[real], rtol=0, atol=2e-6, err_msg=call)


def test_squareplus_keeps_its_digits_far_below_0() -> None:
    """b / (4 |x|) there: a difference of two large numbers would be 0, or of two infinite ones no number."""
    model = rnnspec.compile("model M { input x: float[1] Activation(squareplus) }")
    x = np.float32([2e19, 1e38, 0.0, -1.0, -746.0, -1e4, -1e19, -1e30])[:, None]
    y, tape = model.forward(x, record=True)
    right = [2e19, 1e38, 1.0, 0.6180339887, 1.340480e-3, 1e-4, 1e-19, 1e-30]
    np.testing.assert_allclose(y[:, 0], right, rtol=1e-6)
    slopes = [1.0, 1.0, 0.5, 0.2763932023, 1.7968867e-6, 1e-8, 0.0, 0.0]
    np.testing.assert_allclose(model.backward(tape, np.ones_like(y)).inputs["x"][:, 0], slopes, rtol=1e-5, atol=1e-30)


def test_shrinking_what_is_no_number_gives_0_as_in_keras() -> None:
    model = rnnspec.compile(
        "model M { input x: float[1]\n a = x -> Activation(soft_shrink)\n b = x -> Activation(hard_shrink)\n output a, b }"
    )
    assert [float(output[0, 0]) for output in model.forward(np.float32([[np.nan]]))] == [0.0, 0.0]
    assert [float(output[0, 0]) for output in model.forward(np.float32([[-2.0]]))] == [-1.5, -2.0]
