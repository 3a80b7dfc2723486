"""Losses and metrics at their edges: logits beyond all reason, clipping, values that are no numbers, weights, losses of one's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature
from rnnspec.training.losses import mean_of_rows, value_and_gradient
from rnnspec.training.metrics import MetricNames
from rnnspec.training.objectives import objectives
from rnnspec.training.settings import make_loss, metrics_for
from tests.row_equations import loss_rows, metric_value
from tests.unit.runtime.fake import FakeExecutable, signature

EPSILON = 1e-7
BINARY, CATEGORICAL, SPARSE = "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
LOGITS = {"from_logits": True}


def rows_of(name: str, options: Mapping[str, Any], predictions: Array, targets: Array) -> tuple[Array, Array]:
    """Each row's loss and its gradient."""
    return loss_rows(name, options, predictions, targets, np.ones(len(predictions)))


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_finite_losses(size: float, dtype: str) -> None:
    size = min(size, float(np.finfo(dtype).max) / 4)
    logits = np.array([[size, -size, 0.0], [-size, size, -size], [size, size, size]], dtype)
    for name, targets in ((BINARY, np.eye(3)), (CATEGORICAL, np.eye(3)), (SPARSE, np.array([0, 0, 2]))):
        losses, gradient = rows_of(name, LOGITS, logits, targets)
        assert np.isfinite(losses).all(), name
        assert (losses >= 0).all(), name
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() <= 1, name


def test_right_logits_cost_nothing_and_wrong_ones_their_distance() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    assert rows_of(SPARSE, LOGITS, logits, np.array([0, 1]))[0].tolist() == [0, 0]
    assert rows_of(SPARSE, LOGITS, logits, np.array([1, 1]))[0].tolist() == [1000, 0]
    single = np.array([[1000.0], [-1000.0]])
    assert rows_of(BINARY, LOGITS, single, np.array([[1.0], [0.0]]))[0].tolist() == [0, 0]
    assert rows_of(BINARY, LOGITS, single, np.array([[0.0], [0.0]]))[0].tolist() == [1000, 0]


def test_logits_and_probabilities_agree() -> None:
    random = np.random.default_rng(11)
    logits = random.normal(size=(6, 4))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-logits))
    values, classes = random.random((6, 4)), random.integers(0, 4, 6)
    for name, targets, probabilities in ((BINARY, values, sigmoid), (CATEGORICAL, values, softmax), (SPARSE, classes, softmax)):
        from_probabilities, _ = rows_of(name, {}, probabilities, targets)
        np.testing.assert_allclose(rows_of(name, LOGITS, logits, targets)[0], from_probabilities, rtol=1e-12)
    for options, predictions in (({}, softmax), (LOGITS, logits)):
        sparse, dense = rows_of(SPARSE, options, predictions, classes), rows_of(CATEGORICAL, options, predictions, np.eye(4)[classes])
        np.testing.assert_allclose(sparse[0], dense[0], rtol=1e-13)
        np.testing.assert_allclose(sparse[1], dense[1], rtol=1e-12, atol=1e-14)


def test_probabilities_are_clipped_where_the_gradient_is_zero() -> None:
    certain = np.array([[0.0, 1.0]])
    for name, predictions, wrong in (
        (CATEGORICAL, certain, np.array([[1.0, 0.0]])),
        (SPARSE, certain, np.array([0])),
        (BINARY, np.array([[0.0]]), np.array([[1.0]])),
    ):
        losses, gradient = rows_of(name, {}, predictions, wrong)
        assert losses[0] == pytest.approx(-math.log(EPSILON))
        assert not gradient.any()


@pytest.mark.parametrize("options", [{}, LOGITS], ids=["probabilities", "logits"])
def test_nan_predictions_give_a_nan_loss_of_their_row_alone(options: Mapping[str, Any]) -> None:
    predictions = np.array([[0.5, 0.5], [np.nan, 0.5], [0.25, 0.75]])
    for name, targets in ((BINARY, np.eye(2)[[0, 1, 0]]), (CATEGORICAL, np.eye(2)[[0, 0, 1]]), (SPARSE, np.array([0, 0, 1]))):
        losses, gradient = rows_of(name, options, predictions, targets)
        assert np.isnan(losses).tolist() == [False, True, False], name
        assert np.isfinite(gradient[[0, 2]]).all(), name


def test_weights_multiply_rows_and_leave_the_divisor() -> None:
    loss, factors = mean_of_rows(np.array([1.0, 4.0, 9.0]), np.array([1.0, 0.0, -2.0]))
    assert loss == (1 + 0 - 18) / 3
    np.testing.assert_array_equal(factors, np.array([1.0, 0.0, -2.0]) / 3)
    assert mean_of_rows(np.array([1.0, 4.0]))[0] == 2.5
    nothing, none = mean_of_rows(np.zeros(0))
    assert (nothing, none.shape) == (0.0, (0,))


def test_sums_of_float32_are_taken_in_float64() -> None:
    assert mean_of_rows(np.full(20_000, 16777217.0 / 16, np.float32))[0] == float(np.float32(16777217.0 / 16))


class Steep:
    """A loss of a user's own in Python."""

    classes = False
    from_logits = False

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        return np.abs(predictions - targets).sum(axis=1), np.sign(predictions - targets)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_in_python_are_as_native_code_wants_them(dtype: str) -> None:
    """Of the predictions' shape and dtype and C-contiguous, whatever order the targets have in memory; rows are float64."""
    predictions = np.arange(6.0).reshape(2, 3).astype(dtype)
    value, gradient = value_and_gradient(Steep(), predictions, np.asfortranarray(np.ones((2, 3))), np.array([1.0, 3.0]))
    assert value == (2 + 3 * 9) / 2
    assert (gradient.shape, gradient.dtype) == (predictions.shape, predictions.dtype)
    assert gradient.flags.c_contiguous
    assert gradient.tolist() == [[-0.5, 0.0, 0.5], [1.5, 1.5, 1.5]]
    value, gradient = value_and_gradient(Steep(), predictions[:0], np.ones((0, 3)))
    assert (value, gradient.shape) == (0.0, (0, 3))


# Metrics


def test_binary_accuracy_counts_what_is_above_its_threshold() -> None:
    targets, one = np.array([[1.0], [0.0], [1.0], [0.0]]), np.ones(4)
    assert metric_value("binary_accuracy", {}, np.array([[0.6], [0.5], [0.5], [0.6]]), targets, one).tolist() == [0.5]
    assert metric_value("binary_accuracy", {"threshold": 0.0}, np.array([[0.1], [0.0], [0.0], [-0.1]]), targets, one).tolist() == [0.75]


def test_ties_go_to_the_first_class() -> None:
    found = metric_value("sparse_categorical_accuracy", {}, np.full((3, 3), 1 / 3), np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 5.0]))
    assert found.tolist() == [1 / 8]


def refusals() -> Iterator[tuple[str, str, str]]:
    yield "f1", "mean_squared_error", "no metric is called f1; "
    values, numbers = "one value for each output", "class numbers"
    yield (
        "sparse_categorical_accuracy", CATEGORICAL,
        f"metric sparse_categorical_accuracy needs targets that are {numbers}, the loss takes {values}",
    )  # fmt: skip
    for name in ("categorical_accuracy", "mean_squared_error", "binary_accuracy"):
        yield name, SPARSE, f"metric {name} needs targets that are {values}, the loss takes {numbers}"


@pytest.mark.parametrize(("name", "loss", "message"), list(refusals()))
def test_metric_that_does_not_fit(name: str, loss: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        objectives(
            [OutputSignature("dense", (3,))],
            [make_loss(loss)],
            [1.0],
            metrics_for(["dense"], [name]),
            MetricNames(((),)),
            FakeExecutable(signature()),
        )
    assert str(raised.value).startswith(message)
