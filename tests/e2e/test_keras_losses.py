"""Every loss of the library against Keras 3.15: each row's, their weighted mean, and its gradient; see `make_losses`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.frontend.catalogue.choices import LOSSES
from rnnspec.frontend.syntax import standard_library
from tests.keras_cases import Case, load
from tests.row_equations import loss_rows

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
CASES = load("every_loss")
OURS = {"pinball"}
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
