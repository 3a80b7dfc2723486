"""What becomes of a weight, by hand; Keras's own numbers are in `tests/e2e/test_keras_regularized.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.training.constraints import constraint

W = np.array([[3.0, -0.3, 0.0], [4.0, 0.4, 0.0]])
"""Columns of norm 5, 0.5 and 0."""


def constrained(name: str, **arguments: Any) -> np.ndarray:
    weight = W.copy()
    constraint(Config(name, tuple(arguments.items())))(weight)
    return weight


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("NonNeg", {}, [[3.0, 0.0, 0.0], [4.0, 0.4, 0.0]]),
        ("UnitNorm", {}, [[0.6, -0.6, 0.0], [0.8, 0.8, 0.0]]),
        ("MaxNorm", {}, [[1.2, -0.3, 0.0], [1.6, 0.4, 0.0]]),
        ("MaxNorm", {"max_value": 2.5, "axis": (0, 1)}, W * 2.5 / np.sqrt(25.25)),
        ("MaxNorm", {"max_value": 2.0, "axis": -1}, [W[0] * 2 / np.sqrt(9.09), W[1] * 2 / np.sqrt(16.16)]),
        ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0}, [[1.2, -0.6, 0.0], [1.6, 0.8, 0.0]]),
        ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "rate": 0.5}, [[2.1, -0.45, 0.0], [2.8, 0.6, 0.0]]),
    ],
)
def test_a_weight_in_place(name: str, arguments: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(constrained(name, **arguments), expected, rtol=1e-6)


def test_a_weight_within_its_limit_shrinks_a_little_as_in_keras() -> None:
    np.testing.assert_allclose(
        constrained("MaxNorm", max_value=9.0)[:, :2], W[:, :2] * np.array([5, 0.5]) / np.array([5 + 1e-7, 0.5 + 1e-7])
    )


def test_an_unknown_name_is_the_compilers_fault() -> None:
    with pytest.raises(InternalError):
        constraint(Config("MeanNorm"))
