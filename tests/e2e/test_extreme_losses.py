"""Losses and metrics at their ends: logits beyond all reason, probabilities of 0 and 1, nothing that counts, what isn't a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.executable import CallRequest
from rnnspec.contract.objective import OutputObjective
from rnnspec.contract.signature import Config
from rnnspec.frontend.catalogue.choices import LOSSES
from rnnspec.frontend.syntax import standard_library
from rnnspec.training.losses import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from rnnspec.training.metrics import SparseTopKCategoricalAccuracy
from rnnspec.training.model import Model
from tests.row_equations import config, handing_on, loss_rows, metric_value

Array = NDArray[Any]
DTYPES = ("float32", "float64")
EPSILON = 1e-7
ROW_LOSSES = sorted({each.name for each in LOSSES.values()} - {"ctc", "crf"})


def model(layer: str, loss: Any, metrics: list[Any] | None = None, dtype: str = "float32", learning_rate: float = 1.0) -> Model:
    """One layer over masked steps of three features, with SGD."""
    made = rnnspec.compile(f"model M {{ input x: float[time, 3] Masking() {layer} }}", dtype=dtype, seed=1)
    made.configure(loss=loss, optimizer=Config("sgd", (("learning_rate", learning_rate),)), metrics=metrics)
    return made


def of_logits(layer: str, loss: Any, logits: Array, targets: Array, dtype: str) -> tuple[float, Array]:
    """The loss of given logits and its gradient by them: behind a kernel that hands them on, whose bias moves by the gradient's sum."""
    width = logits.shape[-1]
    made = rnnspec.compile(f"model M {{ input x: float[{width}] {layer} }}", dtype=dtype)
    made.configure(loss=loss, optimizer=Config("sgd", (("learning_rate", 1.0),)))
    made.set_weights([np.eye(width), np.zeros(width)])
    value = made.train_on_batch(logits.astype(dtype), targets)
    assert isinstance(value, float)
    return value, -made.get_weights()[1]


LOGITS = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [1e4, 1e4, 1e4]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dense", [False, True])
def test_logits_of_ten_thousand(dtype: str, dense: bool) -> None:
    """A softmax's crossentropy is their distance to the largest one, and its gradient what the softmax is too much."""
    classes = np.array([1, 0, 2, 0])
    one_hot = np.eye(3)[classes]
    loss = CategoricalCrossentropy(from_logits=True) if dense else SparseCategoricalCrossentropy(from_logits=True)
    value, gradient = of_logits("Dense(3)", loss, LOGITS, one_hot if dense else classes, dtype)
    rows = [2e4, 2e4 + math.log(2), math.log(3), math.log(3)]
    assert value == pytest.approx(np.mean(rows), rel=1e-6)
    softmax = np.array([[1, 0, 0], [0, 0.5, 0.5], [1 / 3] * 3, [1 / 3] * 3])
    np.testing.assert_allclose(gradient, (softmax - one_hot).sum(axis=0) / 4, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dense", [False, True])
def test_a_softmax_of_logits_of_ten_thousand(dtype: str, dense: bool) -> None:
    """Keras keeps its probabilities within 1e-7 of 0 and 1: beyond there the gradient is 0."""
    classes = np.array([1, 0, 2, 0])
    loss = "categorical_crossentropy" if dense else "sparse_categorical_crossentropy"
    value, gradient = of_logits("Dense(3, activation = softmax)", loss, LOGITS, np.eye(3)[classes] if dense else classes, dtype)
    assert value == pytest.approx(np.mean([-math.log(EPSILON)] * 2 + [math.log(3)] * 2), rel=1e-6)
    expected = (np.array([1 / 3, 1 / 3, -2 / 3]) + np.array([-2 / 3, 1 / 3, 1 / 3])) / 4
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("from_logits", [False, True])
def test_sigmoids_of_logits_of_ten_thousand(dtype: str, from_logits: bool) -> None:
    targets = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 0.5], [1.0, 0.0, 1.0]])
    layer = "Dense(3)" if from_logits else "Dense(3, activation = sigmoid)"
    value, gradient = of_logits(layer, BinaryCrossentropy(from_logits=from_logits), LOGITS, targets, dtype)
    highest = 1e4 if from_logits else -math.log(EPSILON)
    wrong = [highest * 2 + math.log(2), 0.0, 3 * math.log(2), highest]
    # The bound 1 - 1e-7 is the nearest number that the type has.
    assert value == pytest.approx(np.sum(wrong) / 12, rel=1e-6 if from_logits or dtype == "float64" else 1e-2)
    sigmoids = np.array([[1, 0, 0.5], [0, 1, 1], [0.5] * 3, [1, 1, 1]])
    counts = np.ones((4, 3)) if from_logits else np.abs(LOGITS) < 1
    np.testing.assert_allclose(gradient, (counts * (sigmoids - targets)).sum(axis=0) / 12, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROW_LOSSES)
def test_probabilities_of_zero_and_one(name: str, dtype: str) -> None:
    """Every loss is a number, and its gradient, but where the mathematics has none: q < 1 of generalized crossentropies at 0."""
    predictions = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype)
    equations = handing_on(3, dtype).equations("loss", Config(name), 3)
    targets = np.array([0, 1, 2, 1]) if equations.target == "class" else np.eye(3)[[0, 1, 2, 1]]
    losses, gradient = loss_rows(name, {}, predictions, targets, np.ones(4))
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all() or (name == "categorical_generalized_cross_entropy" and not np.isnan(gradient).any())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROW_LOSSES)
def test_what_is_no_number_stays_in_its_row(name: str, dtype: str) -> None:
    random = np.random.default_rng(3)
    predictions = random.uniform(0.1, 0.9, (5, 3)).astype(dtype)
    equations = handing_on(3, dtype).equations("loss", Config(name), 3)
    targets = random.integers(0, 3, 5) if equations.target == "class" else random.uniform(0.1, 0.9, (5, 3))
    expected, slopes = loss_rows(name, {}, predictions, targets, np.ones(5))
    predictions[2] = math.nan
    losses, gradient = loss_rows(name, {}, predictions, targets, np.ones(5))
    others = [0, 1, 3, 4]
    assert np.array_equal(losses[others], expected[others])
    assert np.array_equal(gradient[others], slopes[others])
    assert math.isnan(losses[2])


NEEDED: Mapping[str, Mapping[str, Any]] = {
    "sensitivity_at_specificity": {"specificity": 0.5},
    "specificity_at_sensitivity": {"sensitivity": 0.5},
    "precision_at_recall": {"recall": 0.5},
    "recall_at_precision": {"precision": 0.5},
    "iou": {"num_classes": 3, "target_class_ids": [0]},
    "one_hot_iou": {"num_classes": 3, "target_class_ids": [0]},
    "mean_iou": {"num_classes": 3},
    "one_hot_mean_iou": {"num_classes": 3},
    "top_k_categorical_accuracy": {"k": 2},
    "sparse_top_k_categorical_accuracy": {"k": 2},
}


@pytest.mark.parametrize("name", sorted({*standard_library.metrics({})}))
def test_a_metric_of_what_is_no_number_has_a_value(name: str) -> None:
    """Which may be none; it never fails."""
    options = NEEDED.get(name, {})
    equations = handing_on(3, "float64").equations("metric", config(name, options), 3)
    targets = np.zeros(2) if equations.target == "class" else np.eye(3)[:2]
    value = metric_value(name, options, np.full((2, 3), math.nan), targets, np.ones(2))
    assert value.dtype == np.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vocabulary_of_one(dtype: str) -> None:
    """Nothing can be learned: its probability is 1, the crossentropy what Keras's bound leaves, or 0."""
    x, classes = np.array([[3.0], [-1e4]]), np.zeros(2, int)
    for targets, loss in ((classes, "sparse_categorical_crossentropy"), (np.ones((2, 1)), "categorical_crossentropy")):
        value, gradient = of_logits("Dense(1, activation = softmax)", loss, x, targets, dtype)
        assert value == pytest.approx(-math.log(np.dtype(dtype).type(1 - EPSILON)), rel=1e-6)
        assert gradient == 0.0
    for targets, loss in (
        (classes, SparseCategoricalCrossentropy(from_logits=True)),
        (np.ones((2, 1)), CategoricalCrossentropy(from_logits=True)),
    ):
        value, gradient = of_logits("Dense(1)", loss, x, targets, dtype)
        assert value == 0.0
        assert gradient == 0.0


def test_steps_that_are_all_masked_change_nothing() -> None:
    metrics = ["accuracy", SparseTopKCategoricalAccuracy(k=2)]
    made = model("Dense(3, activation = softmax)", "sparse_categorical_crossentropy", metrics)
    before = made.get_weights()
    for time in (4, 0):
        found = made.train_on_batch(np.zeros((2, time, 3)), np.zeros((2, time), int), return_dict=True)
        assert found == {"loss": 0.0, "accuracy": 0.0, "sparse_top_k_categorical_accuracy": 0.0}
    assert all(np.array_equal(one, other) for one, other in zip(before, made.get_weights(), strict=True))


def test_a_batch_without_samples_is_refused() -> None:
    made = model("Dense(3, activation = softmax)", "sparse_categorical_crossentropy")
    x, y = np.zeros((0, 4, 3)), np.zeros((0, 4), int)
    for call in (made.train_on_batch, made.test_on_batch, made.evaluate):
        with pytest.raises(ValueError, match="no samples"):
            call(x, y)


def test_rows_without_a_label_alone_change_nothing() -> None:
    made = model("Dense(3, activation = softmax)", SparseCategoricalCrossentropy(ignore_class=-1), ["accuracy"])
    before = made.get_weights()
    assert made.train_on_batch(np.ones((2, 4, 3)), np.full((2, 4), -1), return_dict=True) == {"loss": 0.0, "accuracy": 0.0}
    assert all(np.array_equal(one, other) for one, other in zip(before, made.get_weights(), strict=True))


@pytest.mark.parametrize("wrong", [3, -1, 0.5, 1e30, math.nan, math.inf])
def test_a_target_outside_is_told_where(wrong: float) -> None:
    made = model("Dense(3, activation = softmax)", "sparse_categorical_crossentropy")
    y = np.zeros((2, 4))
    y[1, 2] = wrong
    with pytest.raises(ValueError, match=r"targets, sample 1, step 2: expected a class in 0\.\.2, got"):
        made.train_on_batch(np.ones((2, 4, 3)), y)
    # Where a step is masked nobody looks.
    x = np.ones((2, 4, 3))
    x[1, 2] = 0
    made.train_on_batch(x, y)


def test_weights_of_zero_and_of_any_size() -> None:
    """A row of weight 0 counts as a row, and moves nothing; huge weights are factors as any other."""
    made = model("Dense(3, activation = softmax)", "sparse_categorical_crossentropy", ["accuracy"], learning_rate=1e-30)
    x, y = np.random.default_rng(2).normal(size=(2, 4, 3)), np.zeros((2, 4), int)
    before = made.get_weights()
    whole = made.test_on_batch(x, y, return_dict=True)["loss"]
    assert made.train_on_batch(x, y, np.zeros(2), return_dict=True)["loss"] == 0.0
    assert all(np.array_equal(one, other) for one, other in zip(before, made.get_weights(), strict=True))
    half = made.test_on_batch(x, y, np.array([1.0, 0.0]), return_dict=True)["loss"]
    assert half == pytest.approx(made.test_on_batch(x[:1], y[:1], return_dict=True)["loss"] / 2, rel=1e-12)
    assert made.test_on_batch(x, y, np.full(2, 1e300), return_dict=True)["loss"] == pytest.approx(whole * 1e300, rel=1e-12)
    assert made.train_on_batch(x, y, np.full(2, 1e30), return_dict=True)["loss"] == pytest.approx(whole * 1e30, rel=1e-12)
    assert all(np.isfinite(weight).all() for weight in made.get_weights())
    assert not np.array_equal(before[0], made.get_weights()[0])


def test_ties_are_the_first_class() -> None:
    """The largest prediction is the first of equal ones; in the k largest is a class with fewer than k above it, as Keras counts."""
    predictions = np.array([[0.5, 0.5, 0.0], [0.2, 0.4, 0.4], [1.0, 1.0, 1.0]])
    for classes, accuracy, top in (([0, 1, 0], 1.0, 1.0), ([1, 2, 2], 0.0, 1.0), ([2, 0, 1], 0.0, 1 / 3)):
        targets, weights = np.array(classes), np.ones(3)
        assert metric_value("sparse_categorical_accuracy", {}, predictions, targets, weights) == accuracy
        assert metric_value("categorical_accuracy", {}, predictions, np.eye(3)[targets], weights) == accuracy
        assert metric_value("sparse_top_k_categorical_accuracy", {"k": 2}, predictions, targets, weights) == pytest.approx(top)
        assert metric_value("top_k_categorical_accuracy", {"k": 2}, predictions, np.eye(3)[targets], weights) == pytest.approx(top)


def test_a_hundred_thousand_classes() -> None:
    """One row of classes is kept for each token, and the loss is that of float64."""
    classes, rows = 100_000, 6
    made = rnnspec.compile(f"model M {{ input x: float[3] Dense({classes}) }}", seed=1)
    x, y = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32), np.array([0, 1, 99_999, 5_000, 77_777, 12])
    chosen: Any = SparseCategoricalCrossentropy(from_logits=True)
    made.configure(loss=chosen, optimizer="sgd", metrics=["accuracy"])
    forward: Any = made.forward
    logits: NDArray[np.float64] = forward(x).astype(np.float64)
    expected = float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(rows), y]).mean())
    before = made.get_weights()[1]
    assert made.train_on_batch(x, y, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-6)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    softmax[np.arange(rows), y] -= 1
    np.testing.assert_allclose(before - made.get_weights()[1], 0.01 * softmax.mean(axis=0), atol=1e-9)

    loss = Config("sparse_categorical_crossentropy", (("from_logits", True), ("ignore_class", None)))
    native = made._executable  # pyright: ignore[reportPrivateUsage]
    flat = np.concatenate([weight.ravel() for weight in made.get_weights()])
    objective, targets = (OutputObjective("dense", 1, loss),), {"dense": y[:, None].astype(np.float32)}
    _, tape = native.record(CallRequest({"x": x}, (), flat, 1, True, objective=objective, targets=targets))
    assert tape.residuals.nbytes < 4 * rows * classes + 10_000
