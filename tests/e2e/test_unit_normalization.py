"""UnitNormalization by hand; Keras's numbers are in `test_keras_graphs`."""

from __future__ import annotations

import numpy as np

import rnnspec


def test_rows_of_zeros_have_no_unit_length() -> None:
    """Their gradient is that of a product with 1e12, where Keras's is NaN."""
    model = rnnspec.compile("model M { input x: float[3]\n UnitNormalization() }", dtype="float64")
    x = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    y, tape = model.forward(x, record=True)
    np.testing.assert_allclose(y, [[0.6, 0.0, 0.8], [0.0, 0.0, 0.0]], rtol=1e-15)
    gradient = model.backward(tape, np.ones_like(y)).inputs["x"]
    np.testing.assert_allclose(gradient, [[(1 - 0.6 * 1.4) / 5, 0.2, (1 - 0.8 * 1.4) / 5], [1e12] * 3], rtol=1e-12)
