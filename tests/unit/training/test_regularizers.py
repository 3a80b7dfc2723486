"""Penalties by hand, and their gradients against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.training.optimizers import CHUNK
from rnnspec.training.regularizers import penalty

W = np.random.default_rng(4).normal(size=(3, 4))


def of(name: str, **arguments: Any) -> Any:
    return penalty(Config(name, tuple(arguments.items())))


def cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.abs(unit @ unit.T)[np.triu_indices(len(rows), 1)]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("L1", {"l1": 0.1}, 0.1 * np.abs(W).sum()),
        ("L2", {"l2": 0.1}, 0.1 * np.square(W).sum()),
        ("L1L2", {"l1": 0.1, "l2": 0.2}, 0.1 * np.abs(W).sum() + 0.2 * np.square(W).sum()),
        ("L1L2", {}, 0.0),
        ("OrthogonalRegularizer", {"factor": 0.1}, 0.1 * cosines(W).mean()),
        ("OrthogonalRegularizer", {"factor": 0.1, "mode": "columns"}, 0.1 * cosines(W.T).mean()),
    ],
)
def test_value_and_gradient(name: str, arguments: dict[str, Any], expected: float) -> None:
    """Both times the scale; the gradient is added to what is there."""
    run, gradient = of(name, **arguments), np.ones_like(W)
    assert run(W, None, 1.0) == pytest.approx(expected)
    assert run(W, gradient, 0.5) == pytest.approx(0.5 * expected)
    for place in np.ndindex(*W.shape):
        moved = np.zeros_like(W)
        moved[place] = 1e-6
        slope = (run(W + moved, None, 0.5) - run(W - moved, None, 0.5)) / 2e-6
        assert gradient[place] - 1.0 == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_the_size_of_zero_has_no_slope() -> None:
    """So a weight at 0 stays there; Keras's backends disagree."""
    gradient = np.zeros(3)
    assert of("L1", l1=1.0)(np.array([-2.0, 0.0, 3.0]), gradient, 1.0) == 5.0
    assert gradient.tolist() == [-1.0, 0.0, 1.0]


def test_rows_of_zeros_and_single_rows_have_no_direction() -> None:
    run = of("OrthogonalRegularizer", factor=1.0)
    for values in (np.zeros((2, 3)), np.ones((1, 3)), np.array([[0.0, 0.0], [1.0, 2.0]])):
        gradient = np.zeros_like(values)
        assert run(values, gradient, 1.0) == 0.0
        assert np.isfinite(gradient).all()


def test_sums_are_float64_over_any_number_of_weights() -> None:
    """Millions of float32 weights, taken a piece at a time, don't lose the small ones."""
    weights = np.full((5, CHUNK + 7), np.float32(0.1))
    gradient = np.zeros_like(weights)
    each = float(np.float32(0.1))
    assert of("L1L2", l1=1.0, l2=2.0)(weights, gradient, 1.0) == pytest.approx(weights.size * (each + 2 * each**2), rel=1e-12)
    assert gradient.dtype == np.float32
    assert np.unique(gradient).tolist() == pytest.approx([1.4])


def test_an_unknown_name_is_the_compilers_fault() -> None:
    with pytest.raises(InternalError):
        of("L3")
