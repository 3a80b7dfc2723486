"""Every loss of the library against Keras 3.15: each row's, their weighted mean, and its gradient; see `make_losses`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.frontend.catalogue.choices import LOSSES
from rnnspec.frontend.syntax import standard_library
from tests.keras_cases import Case, load
from tests.row_equations import loss_rows, written

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
CASES = load("every_loss")
OURS = {"pinball", "crf"}
"""Losses that Keras hasn't."""


def counted(case: Case) -> NDArray[np.bool_]:
    """The rows that a loss looks at: unmasked ones, whose class isn't the ignored one."""
    rows = case.arrays["mask"].astype(bool) if "mask" in case.arrays else np.ones(case.arrays["rows"].shape, bool)
    ignored = case.about["options"].get("ignore_class")
    return rows if ignored is None else rows & (case.arrays["y"] != ignored)


def near(found: NDArray[np.floating], expected: NDArray[np.float64], dtype: str, least: float) -> None:
    """To the tolerance of the largest number, or of `least` if that is larger."""
    scale = max(np.abs(expected).max(initial=0.0), least)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rows_mean_and_gradient(case: Case, dtype: str) -> None:
    arrays, rows = case.arrays, counted(case)
    prediction, count = arrays["prediction"][rows].astype(dtype), rows.sum()
    if not count:
        assert arrays["value"] == 0.0
        return
    weights = arrays["sample_weight"][rows] if "sample_weight" in arrays else np.ones(count)
    losses, slopes = loss_rows(case.about["loss"], case.about["options"], prediction, arrays["y"][rows], weights)
    near(losses, arrays["rows"][rows], dtype, 1e-2)
    near((losses.astype(np.float64) * weights).sum() / count, arrays["value"], dtype, np.abs(arrays["rows"]).max(initial=1e-2))
    assert np.isfinite(slopes).all()
    if "gradient" in arrays:
        near(slopes / count, arrays["gradient"][rows], dtype, 0.1 / count)


@pytest.mark.every(3)
@pytest.mark.filterwarnings("ignore:warning.W0401.")  # Dense gives any numbers; here they are probabilities
@pytest.mark.parametrize("case", [case for case in CASES if "mask" in case.arrays], ids=lambda case: case.name)
def test_a_model_trains_by_it(case: Case) -> None:
    """Through a Dense that is the identity: its bias moves by the sum of the gradients of all rows, its kernel by their products."""
    arrays = case.arrays
    prediction, mask = arrays["prediction"], arrays["mask"].astype(bool)
    width = prediction.shape[-1]
    loss = written(case.about["loss"], case.about["options"])
    train = f"train {{ loss = {loss} optimizer = SGD(learning_rate = 1) }}"
    model = rnnspec.compile(f"model M {{ input p: float[time, {width}] Dense({width}) {train} }}", dtype="float64")
    model.set_weights([np.eye(width), np.zeros(width)])
    y = arrays["y"].astype(int) if arrays["y"].ndim == 2 else arrays["y"]
    found = model.train_on_batch(prediction, y, sample_weight=arrays.get("sample_weight"), mask=mask)
    near(np.asarray(found), arrays["value"], "float64", 1e-2)
    kernel, bias = model.weights.values()
    slopes = arrays["gradient"].reshape(-1, width)
    near(-bias, slopes.sum(axis=0), "float64", 0.1)
    near(np.eye(width) - kernel, prediction.reshape(-1, width).T @ slopes, "float64", 0.1)


def test_every_loss_of_the_library_has_cases() -> None:
    held = {case.about["loss"] for case in CASES}
    assert held | OURS == {*standard_library.losses({})} == {entry.name for entry in LOSSES.values()} - {"ctc"}
    assert not held & OURS


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_pinball_is_least_at_the_quantile(quantile: float) -> None:
    """Koenker and Bassett's definition: of all constant predictions the quantile of the targets has the least mean loss."""
    targets = np.random.default_rng(3).normal(size=(101, 1))
    guesses = np.sort(targets, axis=None)
    one = np.ones(len(targets))
    means = [loss_rows("pinball", {"quantile": quantile}, np.full_like(targets, guess), targets, one)[0].mean() for guess in guesses]
    assert np.isclose(guesses[np.argmin(means)], np.quantile(targets, quantile), atol=1e-12)


def test_alpha_may_be_a_list_with_one_for_each_class() -> None:
    prediction, targets, one = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), np.eye(3)[[2, 0]], np.ones(2)
    plain, _ = loss_rows("categorical_focal_crossentropy", {"alpha": 1.0}, prediction, targets, one)
    each, _ = loss_rows("categorical_focal_crossentropy", {"alpha": [0.25, 0.5, 2.0]}, prediction, targets, one)
    np.testing.assert_allclose(each, plain * [2.0, 0.25], rtol=1e-12)
