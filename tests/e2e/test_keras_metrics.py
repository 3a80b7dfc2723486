"""Every metric of the library against Keras 3.15, after several batches, without and with sample weights; see `make_metrics`."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.frontend.catalogue.choices import METRICS
from rnnspec.frontend.syntax import standard_library
from tests.keras_cases import Case, load
from tests.row_equations import metric_value

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
CASES = load("every_metric")
OURS = {"perplexity", "confusion_matrix"}
"""Metrics that `keras.metrics` hasn't."""


def weights_of(case: Case) -> np.ndarray:
    """Of all rows: what isn't to be counted has none."""
    weights = case.arrays.get("sample_weight", np.ones(len(case.arrays["y"])))
    return weights


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_result(case: Case, dtype: str) -> None:
    arrays = case.arrays
    found = metric_value(case.about["metric"], case.about["options"], arrays["prediction"].astype(dtype), arrays["y"], weights_of(case))
    expected = np.ravel(arrays["value"])
    assert found.shape == expected.shape
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale)


def test_every_metric_of_the_library_has_cases() -> None:
    held = {case.about["metric"] for case in CASES}
    declared = {*standard_library.metrics({})}
    assert held <= declared
    assert declared - held - OURS <= {*standard_library.losses({})}
    assert {entry.name for entry in METRICS.values()} - {"accuracy"} == declared


def test_perplexity_is_the_exponential_of_the_mean_crossentropy() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    found = metric_value("perplexity", {}, probabilities, np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [np.exp((3.0 * np.log(2.0) + np.log(8.0)) / 4.0)], rtol=1e-12)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    predictions = np.eye(3)[[0, 1, 1, 2]]
    found = metric_value("confusion_matrix", {}, predictions, np.array([0.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 1.0, 0.5]))
    np.testing.assert_array_equal(found.reshape(3, 3), [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.5]])
