"""Last: the last real step, whatever the mask; gradients, reversed sequences, and sequences without a real step."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

import rnnspec
from rnnspec.diagnostics import SpecError
from tests import reference
from tests.specs import make, spec

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(5, 6, 3))
MASK = np.ones((5, 6), bool)
MASK[0, 4:], MASK[1, :3], MASK[2, [1, 3, 5]], MASK[3] = False, False, False, False
"""Padded at the end, padded at the beginning, with holes, without a real step, whole."""

LAST = np.array([3, 5, 4, 0, 5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", ["time", "6"])
def test_it_is_the_last_real_step(length: str, dtype: Literal["float32", "float64"]) -> None:
    """The gradient goes to that step alone, and to none where none is real; what masked steps hold doesn't matter."""
    model = rnnspec.compile(f"model M {{ input x: float[{length}, 3]\n Last() }}", dtype=dtype)
    x = np.where(MASK[..., None], X, np.nan).astype(dtype)
    y, tape = model.forward(x, mask=MASK, record=True)
    expected = np.where(MASK.any(axis=1)[:, None], X[np.arange(5), LAST], 0).astype(dtype)
    np.testing.assert_array_equal(y, expected)
    cotangent = RANDOM.normal(size=y.shape).astype(dtype)
    gradient = np.zeros_like(x)
    gradient[np.arange(5), LAST] = cotangent
    gradient[3] = 0
    np.testing.assert_array_equal(model.backward(tape, cotangent).inputs["x"], gradient)


@pytest.mark.parametrize("backwards", [False, True])
def test_of_a_cell_it_is_the_output_of_the_last_step(backwards: bool) -> None:
    """Forwards that is what the cell gives without `return_sequences`; backwards the last as shown, as numpy reads it."""
    cell = make("GRU", units=4, return_sequences=True, go_backwards=backwards)
    layers = [cell, make("Last"), make("Dense", units=2)]
    model = rnnspec.compile(spec(layers, "float[time, 3]"), dtype="float64", seed=0)
    weights = list(model.get_weights())
    y, tape = model.forward(X, mask=MASK, record=True)
    (expected,) = reference.run(layers, weights, X, MASK)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    short = rnnspec.compile(spec([make("GRU", units=4, go_backwards=backwards), layers[2]], "float[time, 3]"), dtype="float64", seed=0)
    np.testing.assert_array_equal(y, short.forward(X, mask=MASK))
    cotangent = RANDOM.normal(size=y.shape)
    found = model.backward(tape, cotangent)
    of_weights, of_input = reference.gradients(layers, weights, X, MASK, [cotangent])
    for name, wanted in zip(model.weights, of_weights, strict=True):
        np.testing.assert_allclose(found.weights[name], wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.inputs["x"], of_input, rtol=1e-9, atol=1e-12)


def test_steps_masked_by_their_values_are_left_out() -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]\n Masking(0.0) Last() }", dtype="float64")
    x = np.where(MASK[..., None], X, 0.0)
    np.testing.assert_array_equal(model.forward(x), np.where(MASK.any(axis=1)[:, None], X[np.arange(5), LAST], 0))


def test_a_row_has_no_last_step() -> None:
    with pytest.raises(SpecError, match="Last"):
        rnnspec.compile("model M { input x: float[3]\n Last() }")
    with pytest.raises(SpecError, match="Last"):
        rnnspec.compile("model M { input x: int[time]\n Last() }")
