"""Functions and comparisons of equations against `keras.ops` (3.15): values and gradients, in a cell."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from tests.keras_cases import Case, load

TOLERANCE = 3e-6
"""Of the value, 1 at least: Keras computes these in float32, whatever it is given."""

CASES = load("functions")


def spec(expression: str) -> str:
    return f"""
        cell Case(units) {{
            weight one [features, 1] = zeros
            state h [1]
            a, b = split(x, 2)
            h' = {expression} + 0 * (h + b) + x @ one
            return h'
        }}
        model M {{ input x: float[time, 2] Case(1, return_sequences = true) }}
    """


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_gradients(case: Case, dtype: str) -> None:
    arrays = case.arrays
    model = rnnspec.compile(spec(case.name), dtype=dtype, seed=0)
    x = np.stack([arrays["a"], arrays["b"]], axis=-1)[:, None].astype(dtype)
    value, tape = model.forward(x, record=True)
    gradient = model.backward(tape, np.ones_like(value)).inputs["x"]
    expected = np.stack([arrays["gradient_a"], arrays["gradient_b"]], axis=-1)[:, None]
    for found, wanted in ((value[:, 0, 0], arrays["value"]), (gradient, expected)):
        assert found.dtype == dtype
        finite = np.isfinite(wanted)
        assert np.array_equal(found[~finite], wanted[~finite])
        error = np.abs(found[finite] - wanted[finite]) / np.maximum(1.0, np.abs(wanted[finite]))
        assert error.max() <= TOLERANCE


def test_every_new_function_is_compared() -> None:
    names = " ".join(case.name for case in CASES)
    for name in ("sin", "cos", "floor", "round", "pow", "erf", "log1p", "expm1", "where", "<", "<=", ">", ">=", "==", "!="):
        assert name in names
