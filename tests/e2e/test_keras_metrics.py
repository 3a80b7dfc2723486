"""Every metric of the library against Keras 3.15, after several batches, without and with sample weights; see `make_metrics`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.frontend.catalogue.choices import METRICS
from rnnspec.frontend.syntax import standard_library
from tests.keras_cases import Case, load
from tests.row_equations import metric_value

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
CASES = load("every_metric")
OURS = {"perplexity", "confusion_matrix"}
"""Metrics that `keras.metrics` hasn't."""


def labelled(case: Case) -> NDArray[np.bool_]:
    """The rows that a metric looks at: those with another class than the ignored one, which stands for no label."""
    ignored = case.about["options"].get("ignore_class")
    rows = np.ones(len(case.arrays["y"]), bool)
    return rows if ignored is None or case.arrays["y"].ndim > 1 else rows & (case.arrays["y"] != ignored)


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_result(case: Case, dtype: str) -> None:
    arrays, rows = case.arrays, labelled(case)
    weights = arrays.get("sample_weight", np.ones(len(rows)))[rows]
    prediction = arrays["prediction"][rows].astype(dtype)
    found = metric_value(case.about["metric"], case.about["options"], prediction, arrays["y"][rows], weights)
    expected = np.ravel(arrays["value"])
    assert found.shape == expected.shape
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale)


def test_every_metric_of_the_library_has_cases() -> None:
    """A loss is a metric, too; `accuracy` is one of three by the targets and the width."""
    held = {case.about["metric"] for case in CASES}
    metrics, all_ = {*standard_library.metrics({})}, {*standard_library.row_equations(True)}
    assert metrics - OURS <= held <= all_ - OURS
    assert {entry.name for entry in METRICS.values()} == all_ | {"accuracy"}


def test_perplexity_is_the_exponential_of_the_mean_crossentropy() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    found = metric_value("perplexity", {}, probabilities, np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [np.exp((3.0 * np.log(2.0) + np.log(8.0)) / 4.0)], rtol=1e-12)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    predictions = np.eye(3)[[0, 1, 1, 2]]
    found = metric_value("confusion_matrix", {}, predictions, np.array([0.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 1.0, 0.5]))
    np.testing.assert_array_equal(found.reshape(3, 3), [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.5]])
