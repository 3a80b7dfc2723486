"""Every metric of the library against Keras 3.15, after several batches, without and with sample weights; see `make_metrics`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.metric_names import COMPUTED
from rnnspec.frontend.catalogue.choices import METRICS
from rnnspec.frontend.syntax import standard_library
from tests.keras_cases import Case, load
from tests.row_equations import metric_value, written

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
CASES = load("every_metric")
OURS = {"perplexity", "confusion_matrix"}
"""Metrics that `keras.metrics` hasn't."""


def labelled(case: Case) -> NDArray[np.bool_]:
    """The rows that a metric looks at: those with another class than the ignored one, which stands for no label."""
    ignored = case.about["options"].get("ignore_class")
    rows = np.ones(len(case.arrays["y"]), bool)
    return rows if ignored is None or case.arrays["y"].ndim > 1 else rows & (case.arrays["y"] != ignored)


def of_classes(case: Case) -> bool:
    """Whether the targets are class numbers, of two classes at least: a train section refuses a single one."""
    return case.arrays["y"].ndim == 1 and case.arrays["prediction"].shape[1] > 1


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


@pytest.mark.every(6)
@pytest.mark.parametrize("case", [case for case in CASES if case.arrays["y"].ndim > 1 or of_classes(case)], ids=lambda case: case.name)
def test_a_model_evaluates_it(case: Case) -> None:
    """Over batches of four rows, the last of three."""
    arrays, metric = case.arrays, written(case.about["metric"], case.about["options"])
    width, classes = arrays["prediction"].shape[1], arrays["y"].ndim == 1
    ignored = case.about["options"].get("ignore_class")
    loss = written("sparse_categorical_crossentropy", {"from_logits": True, "ignore_class": ignored}) if classes else "mse"
    train = f"train {{ loss = {loss} weighted_metrics = [{metric}] }}"
    model = rnnspec.compile(f"model M {{ input p: float[{width}] Activation(linear) {train} }}", dtype="float64")
    y = arrays["y"].astype(int) if classes else arrays["y"]
    logs = model.evaluate(arrays["prediction"], y, 4, sample_weight=arrays.get("sample_weight"))
    (found,) = (value for name, value in logs.items() if name != "loss")
    np.testing.assert_allclose(np.ravel(found), np.ravel(arrays["value"]), rtol=1e-9, atol=1e-9)


def test_every_metric_of_the_library_has_cases() -> None:
    """A loss of rows is a metric, too; `accuracy` and `crossentropy` are one of three by the targets and the width."""
    held = {case.about["metric"] for case in CASES}
    metrics, all_ = {*standard_library.metrics({})}, {*standard_library.row_equations(True)} - {"crf"}
    assert metrics - OURS <= held <= all_ - OURS
    assert {entry.name for entry in METRICS.values()} == all_ | {*COMPUTED}


def test_perplexity_is_the_exponential_of_the_mean_crossentropy() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    found = metric_value("perplexity", {}, probabilities, np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [np.exp((3.0 * np.log(2.0) + np.log(8.0)) / 4.0)], rtol=1e-12)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    predictions = np.eye(3)[[0, 1, 1, 2]]
    found = metric_value("confusion_matrix", {}, predictions, np.array([0.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 1.0, 0.5]))
    np.testing.assert_array_equal(found.reshape(3, 3), [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.5]])
