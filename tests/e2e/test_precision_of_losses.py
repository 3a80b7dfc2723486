"""The loss that training reports stands within 1e-6 of what float64 computes from the same float32 predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.contract.signature import Config
from rnnspec.frontend.catalogue.choices import LOSSES
from rnnspec.training.losses import mean_of_rows
from tests.row_equations import handing_on, loss_rows

Array = NDArray[Any]
WIDTHS = (1, 2, 9, 100, 3000, 10_000)
ROW_LOSSES = sorted({each.name for each in LOSSES.values()} - {"ctc", "crf"})
POSITIVE = {"poisson", "mean_squared_logarithmic_error"}
"""Losses of values that aren't negative."""


def drawn(name: str, from_logits: bool, kind: str, rows: int, width: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Predictions and targets as the loss wants them."""
    if kind == "class":
        target = random.integers(0, width, rows).astype(np.float64)
    elif name.startswith("categorical"):
        target = np.eye(width)[random.integers(0, width, rows)]
    else:
        target = random.random((rows, width)) if kind != "values" else random.normal(size=(rows, width))
    prediction = random.normal(scale=2.0, size=(rows, width))
    if kind != "values" and not from_logits:
        prediction = random.uniform(0.01, 0.99, (rows, width))
        if not name.startswith("binary"):
            prediction /= prediction.sum(axis=1, keepdims=True)
    if name in POSITIVE:
        target, prediction = np.abs(target) + 0.1, np.abs(prediction) + 0.1
    return prediction, target


def errors(name: str, options: dict[str, Any], prediction: Array, target: Array) -> tuple[float, float]:
    """How far the mean of float32 is from that of float64, and the mean size of a row's loss."""
    single, double = (
        loss_rows(name, options, prediction.astype("float32").astype(of), target.astype("float32").astype(of), np.ones(len(prediction)))[0]
        for of in ("float32", "float64")
    )
    return abs(mean_of_rows(single)[0] - mean_of_rows(double)[0]), float(np.abs(double).mean())


@pytest.mark.every(4)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ROW_LOSSES)
def test_the_mean_of_drawn_rows(name: str, width: int) -> None:
    """Relative to the mean size of a row's loss, since rows of either sign cancel; of a probability near 1 float32 holds 6e-8."""
    equations = handing_on(width, "float32").equations("loss", Config(name), width)
    choices = (False, True) if "from_logits" in dict(equations.config.arguments) else (False,)
    for from_logits in choices:
        for seed in range(2):
            random = np.random.default_rng(seed)
            given = drawn(name, from_logits, equations.target, min(100_000, max(20, 100_000 // width)), width, random)
            error, size = errors(name, {"from_logits": True} if from_logits else {}, *given)
            held = 6e-8 if "crossentropy" in name and (not from_logits or "focal" in name) else 0.0
            assert error <= 1e-6 * size + held, f"{error} of {size}, from_logits={from_logits}, seed {seed}"


@pytest.mark.parametrize("width", WIDTHS[3:])
@pytest.mark.parametrize(
    "name", ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "binary_crossentropy", "poisson", "squared_hinge"]
)
def test_the_sum_of_a_row_of_equal_terms(name: str, width: int) -> None:
    """All roundings go the same way: a sum term by term would be off by several 1e-6."""
    for level in (0.1, 0.3, 0.37, 0.7):
        error, size = errors(name, {}, np.full((2, width), level), np.zeros((2, width)))
        assert error <= 1e-6 * size, f"{error / size} at {level}"


def test_small_errors_of_log_cosh() -> None:
    """The square of the error by 2, where an exponential by itself has lost all digits."""
    error = np.array([[1e-8], [1e-6], [1e-4], [1e-2]])
    losses, gradient = loss_rows("log_cosh", {}, error, np.zeros((4, 1)), np.ones(4))
    np.testing.assert_allclose(losses, error[:, 0] ** 2 / 2, rtol=2e-4, atol=1e-18)
    np.testing.assert_allclose(gradient, np.tanh(error), rtol=1e-7)
    far, slope = loss_rows("log_cosh", {}, np.array([[1e4], [-1.0], [1.0], [50.0]]), np.zeros((4, 1)), np.ones(4))
    np.testing.assert_allclose(far, np.array([1e4, 0.43378083, 0.43378083, 50.0]) - np.array([1, 0, 0, 1]) * np.log(2), rtol=1e-7)
    np.testing.assert_allclose(slope[:, 0], np.tanh([1e4, -1.0, 1.0, 50.0]), rtol=1e-12)
