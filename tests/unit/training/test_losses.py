"""Losses and metrics at their edges: gradients against differences, logits beyond all reason, clipping, which accuracy is meant."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from rnnspec.contract.metric_names import CLASS_LOSSES
from rnnspec.training.losses import EPSILON, LOSSES, Loss, value_and_gradient
from rnnspec.training.metrics import METRICS, metric

RANDOM = np.random.default_rng(11)

CASES = [
    (name, from_logits)
    for name in LOSSES
    for from_logits in (False, True)
    if not (from_logits and name in ("mean_squared_error", "mean_absolute_error"))
]


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What a test draws doesn't depend on which tests ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(2).bit_generator.state


def made(name: str, from_logits: bool = False) -> Loss:
    return LOSSES[name](**({"from_logits": True} if from_logits else {}))


def targets_for(loss: Loss, name: str, rows: int, width: int) -> np.ndarray:
    if loss.classes:
        return RANDOM.integers(0, width, rows)
    return RANDOM.normal(size=(rows, width)) if name.startswith("mean") else RANDOM.random((rows, width))


def predictions_for(name: str, from_logits: bool, rows: int, width: int) -> np.ndarray:
    if from_logits or name.startswith("mean"):
        return RANDOM.normal(size=(rows, width))
    values = RANDOM.random((rows, width)) + 0.1
    return values / (1.3 if name.startswith("binary") else values.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(("name", "from_logits"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_derivative(name: str, from_logits: bool, weighted: bool) -> None:
    loss = made(name, from_logits)
    p, t = predictions_for(name, from_logits, 4, 3), targets_for(loss, name, 4, 3)
    weights = RANDOM.random(4) if weighted else None
    _, gradient = value_and_gradient(loss, p, t, weights)
    step = 1e-6
    for entry in np.ndindex(p.shape):
        there, back = p.copy(), p.copy()
        there[entry] += step
        back[entry] -= step
        change = (value_and_gradient(loss, there, t, weights)[0] - value_and_gradient(loss, back, t, weights)[0]) / (2 * step)
        assert gradient[entry] == pytest.approx(change, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("name", "from_logits"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_as_native_code_wants_them(name: str, from_logits: bool, dtype: str) -> None:
    """Of the predictions' shape and dtype and C-contiguous, whatever order the targets have in memory."""
    loss = made(name, from_logits)
    p = predictions_for(name, from_logits, 5, 3).astype(dtype)
    targets = np.asfortranarray(targets_for(loss, name, 5, 3))
    value, gradient = value_and_gradient(loss, p, targets)
    assert type(value) is float
    assert (gradient.shape, gradient.dtype) == (p.shape, p.dtype)
    assert gradient.flags.c_contiguous
    value, gradient = value_and_gradient(loss, p[:0], targets[:0])
    assert value == 0.0
    assert gradient.shape == (0, 3)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_finite_losses(size: float, dtype: str) -> None:
    size = min(size, float(np.finfo(dtype).max) / 4)
    logits = np.array([[size, -size, 0.0], [-size, size, -size], [size, size, size]], dtype)
    for name, targets in (
        ("binary_crossentropy", np.eye(3)),
        ("categorical_crossentropy", np.eye(3)),
        ("sparse_categorical_crossentropy", np.array([0, 0, 2])),
    ):
        value, gradient = value_and_gradient(made(name, True), logits, targets)
        assert math.isfinite(value), name
        assert value >= 0, name
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() <= 1, name


def test_right_logits_cost_nothing_and_wrong_ones_their_distance() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    sparse = made("sparse_categorical_crossentropy", True)
    assert value_and_gradient(sparse, logits, np.array([0, 1]))[0] == 0.0
    assert value_and_gradient(sparse, logits, np.array([1, 1]))[0] == 500.0
    binary = made("binary_crossentropy", True)
    assert value_and_gradient(binary, np.array([[1000.0], [-1000.0]]), np.array([[1.0], [0.0]]))[0] == 0.0
    assert value_and_gradient(binary, np.array([[1000.0], [-1000.0]]), np.array([[0.0], [0.0]]))[0] == 500.0


def test_logits_and_probabilities_agree() -> None:
    logits = RANDOM.normal(size=(6, 4))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-logits))
    values, classes = RANDOM.random((6, 4)), RANDOM.integers(0, 4, 6)
    for name, targets, probabilities in (
        ("binary_crossentropy", values, sigmoid),
        ("categorical_crossentropy", values, softmax),
        ("sparse_categorical_crossentropy", classes, softmax),
    ):
        from_probabilities = value_and_gradient(made(name), probabilities, targets)[0]
        assert value_and_gradient(made(name, True), logits, targets)[0] == pytest.approx(from_probabilities, rel=1e-12)
    one_hot = np.eye(4)[classes]
    for from_logits, predictions in ((False, softmax), (True, logits)):
        sparse = value_and_gradient(made("sparse_categorical_crossentropy", from_logits), predictions, classes)
        dense = value_and_gradient(made("categorical_crossentropy", from_logits), predictions, one_hot)
        assert sparse[0] == pytest.approx(dense[0], rel=1e-14)
        np.testing.assert_allclose(sparse[1], dense[1], rtol=1e-12, atol=1e-15)


def test_probabilities_are_clipped_where_the_gradient_is_zero() -> None:
    certain = np.array([[0.0, 1.0]])
    for name, wrong in (("categorical_crossentropy", np.array([[1.0, 0.0]])), ("sparse_categorical_crossentropy", np.array([0]))):
        value, gradient = value_and_gradient(made(name), certain, wrong)
        assert value == pytest.approx(-math.log(EPSILON))
        assert not gradient.any()
    value, gradient = value_and_gradient(made("binary_crossentropy"), np.array([[0.0]]), np.array([[1.0]]))
    assert value == pytest.approx(-math.log(EPSILON))
    assert not gradient.any()


def test_nan_predictions_give_a_nan_loss_and_no_warning() -> None:
    for name, from_logits in CASES:
        loss = made(name, from_logits)
        predictions = predictions_for(name, from_logits, 3, 2)
        predictions[1, 0] = np.nan
        assert math.isnan(value_and_gradient(loss, predictions, targets_for(loss, name, 3, 2))[0]), name


def test_weights_multiply_rows() -> None:
    predictions, targets = np.array([[1.0], [2.0], [3.0]]), np.zeros((3, 1))
    value, gradient = value_and_gradient(made("mean_squared_error"), predictions, targets, np.array([1.0, 0.0, -2.0]))
    assert value == (1 + 0 - 18) / 3
    np.testing.assert_allclose(gradient[:, 0], [2 / 3, 0, -4], rtol=1e-15)


def test_sums_of_float32_are_taken_in_float64() -> None:
    predictions = np.full((20_000, 1), 1e4, np.float32)
    value, _ = value_and_gradient(made("mean_absolute_error"), predictions, np.full((20_000, 1), 1e4 - 1, np.float32))
    assert value == 1.0


# Metrics


@pytest.mark.parametrize(
    ("loss", "width", "expected"),
    [
        ("binary_crossentropy", 1, "binary_accuracy"),
        ("mean_squared_error", 1, "binary_accuracy"),
        ("binary_crossentropy", 3, "categorical_accuracy"),
        ("categorical_crossentropy", 3, "categorical_accuracy"),
        ("mean_squared_error", 3, "categorical_accuracy"),
        ("sparse_categorical_crossentropy", 3, "sparse_categorical_accuracy"),
    ],
)
def test_which_accuracy_is_meant(loss: str, width: int, expected: str) -> None:
    made_loss = made(loss)
    predictions = RANDOM.random((50, width))
    targets = RANDOM.integers(0, width, 50) if made_loss.classes else (RANDOM.random((50, width)) > 0.5).astype(float)
    chosen = metric("accuracy", made_loss, width)
    assert chosen.name == "accuracy"
    np.testing.assert_array_equal(chosen.rows(predictions, targets), METRICS[expected](predictions, targets))


def test_binary_accuracy_has_its_threshold_at_even_odds() -> None:
    targets = np.array([[1.0], [0.0], [1.0], [0.0]])
    by_probability = metric("binary_accuracy", made("binary_crossentropy"), 1)
    assert by_probability.rows(np.array([[0.6], [0.5], [0.5], [0.6]]), targets).tolist() == [1, 1, 0, 0]
    by_logit = metric("accuracy", made("binary_crossentropy", True), 1)
    assert by_logit.rows(np.array([[0.1], [0.0], [0.0], [0.1]]), targets).tolist() == [1, 1, 0, 0]


def test_ties_go_to_the_first_class() -> None:
    sparse = metric("accuracy", made("sparse_categorical_crossentropy"), 3)
    assert sparse.rows(np.full((3, 3), 1 / 3), np.array([0, 1, 2])).tolist() == [1, 0, 0]


def test_specs_and_training_agree_on_which_targets_are_class_numbers() -> None:
    assert {name for name, make in LOSSES.items() if make().classes} == CLASS_LOSSES


def refusals() -> Iterator[tuple[str, str, str]]:
    known = "accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, mean_squared_error, mean_absolute_error"
    yield "f1", "mean_squared_error", f"no metric is called f1; there are {known}"
    values, numbers = "one value for each output", "class numbers"
    yield (
        "sparse_categorical_accuracy", "categorical_crossentropy",
        f"metric sparse_categorical_accuracy needs targets that are {numbers}, the loss takes {values}",
    )  # fmt: skip
    for name in ("categorical_accuracy", "mean_squared_error", "binary_accuracy"):
        yield name, "sparse_categorical_crossentropy", f"metric {name} needs targets that are {values}, the loss takes {numbers}"


@pytest.mark.parametrize(("name", "loss", "message"), list(refusals()))
def test_metric_that_does_not_fit(name: str, loss: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        metric(name, made(loss), 3)
    assert str(raised.value) == message
