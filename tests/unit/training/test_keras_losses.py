"""Losses and metrics against Keras 3.15: values, and gradients with regard to the predictions."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.training.losses import LOSSES, value_and_gradient
from rnnspec.training.metrics import metric
from tests.keras_cases import Case, load

METRIC_LOSS = {"sparse_categorical_accuracy": "sparse_categorical_crossentropy"}


def counted(case: Case, name: str, place: str = "") -> np.ndarray:
    """An array's counted rows: those of real steps, or all of them; class numbers as integers."""
    array = case.arrays[name + place]
    mask = case.arrays.get("mask" + place)
    kept = array[mask.astype(bool)] if mask is not None else array.reshape(-1, *array.shape[2:]) if array.ndim == 3 else array
    return kept if name != "y" or kept.ndim == 2 else kept.astype(np.int64)


@pytest.mark.parametrize("case", load("losses"), ids=lambda case: case.name)
def test_loss_and_gradient(case: Case) -> None:
    loss = LOSSES[case.about["loss"]](**case.about["options"])
    predictions = counted(case, "prediction")
    weights = case.arrays.get("sample_weight")
    if weights is not None and "mask" in case.arrays:
        weights = np.broadcast_to(weights[:, None], case.arrays["mask"].shape)[case.arrays["mask"].astype(bool)]
    value, gradient = value_and_gradient(loss, predictions, counted(case, "y"), weights)

    np.testing.assert_allclose(value, case.arrays["value"], rtol=1e-12)
    expected = counted(case, "gradient")
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(initial=0.0))
    if "mask" in case.arrays:
        assert not case.arrays["gradient"][~case.arrays["mask"].astype(bool)].any()


@pytest.mark.parametrize("case", load("metrics"), ids=lambda case: case.name)
@pytest.mark.parametrize("as_accuracy", [False, True])
def test_metric_over_two_batches(case: Case, as_accuracy: bool) -> None:
    name: str = case.about["metric"]
    loss = LOSSES[METRIC_LOSS.get(name, "categorical_crossentropy")]()
    width = case.arrays["prediction/0"].shape[-1]
    chosen = metric("accuracy" if as_accuracy and "categorical" in name else name, loss, width)
    values = [chosen.rows(counted(case, "prediction", f"/{batch}"), counted(case, "y", f"/{batch}")) for batch in (0, 1)]
    np.testing.assert_allclose(np.concatenate(values).mean(), case.arrays["value"], rtol=1e-12)
