"""Weights in the loop: what they multiply, what they don't, which rows count at all, and the forms of a batch's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.training.model import Model
from tests.unit.runtime.fake import model, signature

RANDOM = np.random.default_rng(17)
X = RANDOM.normal(size=(10, 6, 3))
Y = RANDOM.integers(0, 4, 10)
VALUES = RANDOM.normal(size=(10, 6, 4))
LENGTHS = np.array([6, 1, 4, 0, 3, 6, 2, 5, 1, 4])
REAL = np.arange(6) < LENGTHS[:, None]
OF_SAMPLES = RANDOM.integers(0, 9, 10) / 4.0
OF_STEPS = RANDOM.integers(0, 9, (10, 6)) / 4.0
LISTS = [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
CLASSES = {0: 0.5, 3: 2.0}
OF_CLASSES = np.array([0.5, 1.0, 1.0, 2.0])
MAE, ACCURACY = "mean_absolute_error", "accuracy"


def classifier(metrics: tuple[str, ...] = (ACCURACY,), weighted: tuple[str, ...] = (ACCURACY,), rate: float = 0.0, **train: Any) -> Model:
    settings = TrainSettings(
        Config("sparse_categorical_crossentropy"),
        Config("SGD", (("learning_rate", rate),)),
        tuple(map(Config, metrics)),
        weighted_metrics=tuple(map(Config, weighted)),
        **train,
    )
    return model(signature(train=settings), softmax=True, seed=0)


def sequences(metrics: tuple[str, ...] = (MAE,), weighted: tuple[str, ...] = (MAE,)) -> Model:
    settings = TrainSettings(
        Config("mean_squared_error"),
        Config("SGD", (("learning_rate", 0.0),)),
        tuple(map(Config, metrics)),
        weighted_metrics=tuple(map(Config, weighted)),
    )
    return model(signature(sequence=True, train=settings))


# Means


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 10, 32])
def test_weighted_means_do_not_depend_on_how_samples_fall_into_batches(batch_size: int) -> None:
    """Whatever the last batch's size: the loss over rows, metrics over rows, weighted metrics by weights."""
    made = classifier()
    y = made.predict(X)
    losses, right = -np.log(y[np.arange(10), Y]), y.argmax(axis=1) == Y
    logs = made.evaluate(X, Y, batch_size, sample_weight=OF_SAMPLES)
    assert list(logs) == ["loss", "accuracy", "weighted_accuracy"]
    assert logs["loss"] == pytest.approx((losses * OF_SAMPLES).sum() / 10, rel=1e-12)
    assert logs["accuracy"] == pytest.approx(right.mean(), rel=1e-15)
    assert logs["weighted_accuracy"] == pytest.approx((right * OF_SAMPLES).sum() / OF_SAMPLES.sum(), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
@pytest.mark.parametrize("form", ["padded", "lists"])
def test_masked_steps_are_out_of_losses_and_metrics_alike(batch_size: int, form: str) -> None:
    """Neither their loss nor their weight, which may be anything finite, enters a mean or its divisor."""
    made = sequences()
    outputs = made.predict(X, lengths=LENGTHS)
    squares, sizes = np.square(outputs - VALUES).mean(axis=2)[REAL], np.abs(outputs - VALUES).mean(axis=2)[REAL]
    weights = OF_STEPS[REAL]
    if form == "padded":
        y, w = np.where(REAL[..., None], VALUES, np.nan), np.where(REAL, OF_STEPS, 1e9)
        logs = made.evaluate(X, y, batch_size, sample_weight=w, lengths=LENGTHS)
    else:
        y, w = ([row[:length] for row, length in zip(of, LENGTHS, strict=True)] for of in (VALUES, OF_STEPS))
        logs = made.evaluate(LISTS, y, batch_size, sample_weight=w)
    assert logs["loss"] == pytest.approx((squares * weights).sum() / REAL.sum(), rel=1e-12)
    assert logs[MAE] == pytest.approx(sizes.mean(), rel=1e-12)
    assert logs[f"weighted_{MAE}"] == pytest.approx((sizes * weights).sum() / weights.sum(), rel=1e-12)


def test_a_weight_of_0_is_not_a_masked_step() -> None:
    """The row is gone from the loss's sum and from weighted metrics, and still counts in the loss's divisor and in metrics."""
    made = sequences()
    masked = made.evaluate(X, VALUES, mask=REAL)
    zeros = made.evaluate(X, VALUES, sample_weight=REAL.astype(float))
    outputs = made.predict(X)
    squares, sizes = np.square(outputs - VALUES).mean(axis=2), np.abs(outputs - VALUES).mean(axis=2)
    assert masked["loss"] == pytest.approx(squares[REAL].mean(), rel=1e-12)
    assert zeros["loss"] == pytest.approx(squares[REAL].sum() / REAL.size, rel=1e-12)
    assert masked[MAE] == masked[f"weighted_{MAE}"] == pytest.approx(sizes[REAL].mean(), rel=1e-12)
    assert zeros[MAE] == pytest.approx(sizes.mean(), rel=1e-12)
    assert zeros[f"weighted_{MAE}"] == pytest.approx(sizes[REAL].mean(), rel=1e-12)


def test_without_weights_weighted_metrics_are_metrics() -> None:
    logs = sequences((MAE, "mean_squared_error"), ("mean_squared_error", MAE)).evaluate(X, VALUES, 3, lengths=LENGTHS)
    assert list(logs) == ["loss", MAE, "mean_squared_error", "weighted_mean_squared_error", f"weighted_{MAE}"]
    assert logs[f"weighted_{MAE}"] == pytest.approx(logs[MAE], rel=1e-12)


def test_weights_that_add_up_to_nothing() -> None:
    """As in Keras, 0 / 0 is 0; no row at all is the same."""
    made = classifier(metrics=())
    assert made.evaluate(X, Y, sample_weight=np.zeros(10)) == {"loss": 0.0, "accuracy": 0.0}
    nothing = sequences().evaluate(X, VALUES, lengths=np.zeros(10, int), sample_weight=OF_SAMPLES)
    assert nothing == {"loss": 0.0, MAE: 0.0, f"weighted_{MAE}": 0.0}


def test_a_weighted_metric_has_its_own_name_where_no_other_has_it() -> None:
    assert list(classifier(()).evaluate(X, Y)) == ["loss", "accuracy"]
    assert list(classifier(("sparse_categorical_accuracy",)).evaluate(X, Y)) == ["loss", "sparse_categorical_accuracy", "accuracy"]


# Class weights


def test_class_weights_are_sample_weights_by_class() -> None:
    """In updates, in an epoch's logs, and together with sample weights; the two forms of naming a class are one."""
    for given in (CLASSES, OF_CLASSES, OF_CLASSES.tolist(), {"dense": CLASSES}):
        by_class, by_sample = classifier(rate=0.1), classifier(rate=0.1)
        options: dict[str, Any] = {"batch_size": 4, "epochs": 2, "seed": 3, "verbose": False}
        histories = (
            by_class.fit(X, Y, sample_weight=OF_SAMPLES, class_weight=given, **options).history,
            by_sample.fit(X, Y, sample_weight=OF_SAMPLES * OF_CLASSES[Y], **options).history,
        )
        assert histories[0] == histories[1]
        assert by_class.train_on_batch(X, Y, OF_SAMPLES, given) == by_sample.train_on_batch(X, Y, OF_SAMPLES * OF_CLASSES[Y])
        np.testing.assert_array_equal(by_class.weights["dense/kernel"], by_sample.weights["dense/kernel"])


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.ClassWarning")  # few samples, of which one class is held out
def test_class_weights_are_of_training_alone() -> None:
    """Samples held out by `validation_split` and `validation_data` are evaluated without them, as in Keras."""
    made = classifier()
    split = made.fit(X, Y, class_weight=CLASSES, validation_split=0.3, verbose=False).history
    assert split["val_loss"] == [pytest.approx(made.evaluate(X[7:], Y[7:])["loss"], rel=1e-12)]
    apart = made.fit(X[:7], Y[:7], class_weight=CLASSES, validation_data=(X[7:], Y[7:]), verbose=False).history
    assert apart["val_weighted_accuracy"] == apart["val_accuracy"] == split["val_accuracy"]


def test_class_weights_of_the_train_section() -> None:
    """They are the default of both ways to train; evaluation doesn't know them, and an empty mapping takes them away."""
    made, plain = classifier(class_weight=(0.5, 1.0, 1.0, 2.0)), classifier()
    for call in (
        lambda of, **given: of.fit(X, Y, seed=1, verbose=False, **given).history,
        lambda of, **given: of.train_on_batch(X, Y, **given),
    ):
        made, plain = classifier(class_weight=(0.5, 1.0, 1.0, 2.0)), classifier()
        assert call(made) == call(plain, class_weight=CLASSES)
        assert call(made, class_weight={}) == call(plain)
        assert call(made, class_weight={1: 3.0}) == call(plain, class_weight={1: 3.0})
    assert made.evaluate(X, Y) == plain.evaluate(X, Y)


def test_class_weights_are_refused_before_the_first_step() -> None:
    made = classifier(rate=0.1)
    before = made.get_weights()[0]
    for call in (made.fit, made.train_on_batch):
        with pytest.raises(ValueError, match=r"class_weight: there is no class 4: output dense has the classes 0\.\.3"):
            call(X, Y, class_weight={4: 1.0})
    np.testing.assert_array_equal(made.get_weights()[0], before)


# Validation data


def test_validation_data_has_weights_of_any_form() -> None:
    made = sequences()
    y, w = ([row[:length] for row, length in zip(of, LENGTHS, strict=True)] for of in (VALUES, OF_STEPS))
    expected = made.evaluate(X, VALUES, sample_weight=OF_STEPS, lengths=LENGTHS)
    for weights in (w, {"dense": w}, OF_STEPS):
        history = made.fit(X[:2], VALUES[:2], validation_data=(LISTS, y, w if weights is OF_STEPS else weights), verbose=False).history
        assert {name: values[0] for name, values in history.items() if name.startswith("val_")} == {
            f"val_{name}": pytest.approx(value, rel=1e-12) for name, value in expected.items()
        }
    with pytest.raises(ValueError, match="sample_weight, sample 1: expected 1 steps, got 6"):
        made.fit(X, VALUES, validation_data=(LISTS, y, [row[:6] for row in OF_STEPS]), verbose=False)


# One batch


def test_a_batch_gives_the_loss_or_a_list_or_a_dict() -> None:
    """Keras's forms: the loss alone is a float."""
    for call in ("train_on_batch", "test_on_batch"):
        alone, listed = classifier((), ()), classifier()
        loss = getattr(alone, call)(X, Y)
        assert type(loss) is float
        assert getattr(classifier((), ()), call)(X, Y, return_dict=True) == {"loss": loss}
        values = getattr(listed, call)(X, Y)
        assert list(getattr(classifier(), call)(X, Y, return_dict=True).values()) == values
        assert len(values) == 3 and values[0] == loss
        with pytest.raises(ValueError, match="return_dict: expected True or False, got 'no'"):
            getattr(listed, call)(X, Y, return_dict="no")


def test_a_batchs_means_are_of_it_alone() -> None:
    """No call adds to the one before, and a batch that is tested changes nothing."""
    made = classifier(rate=0.1)
    before = made.test_on_batch(X, Y, OF_SAMPLES)
    assert made.test_on_batch(X, Y, OF_SAMPLES) == before
    made.test_on_batch(X[:3], Y[:3])
    assert made.test_on_batch(X, Y, OF_SAMPLES) == before == list(made.evaluate(X, Y, 10, sample_weight=OF_SAMPLES).values())


def test_testing_a_batch_needs_no_optimizer() -> None:
    made = model()
    with pytest.raises(ValueError, match="model Fake has no loss"):
        made.test_on_batch(X, VALUES[:, 0])
    made.configure(loss="mse")
    assert made.test_on_batch(X, VALUES[:, 0], lengths=LENGTHS) == made.evaluate(X, VALUES[:, 0], lengths=LENGTHS)["loss"]
    with pytest.raises(ValueError, match="there are no samples"):
        made.test_on_batch(X[:0], VALUES[:0, 0])


# Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("accuracy", "weighted_metrics: expected a list of names, got 'accuracy': write ['accuracy']"),
        ([5], "weighted_metrics: expected names, or objects with `name` and `rows`, got 5; there are accuracy, "),
        ({"a": "mae"}, "weighted_metrics: the outputs are dense; unknown: a"),
        (["f1"], "no metric is called f1"),
        (["mse"], "metric mse needs targets that are one value for each output, the loss takes class numbers"),
    ],
)
def test_weighted_metrics_that_are_refused_change_nothing(given: Any, message: str) -> None:
    made = classifier()
    before = made.evaluate(X, Y)
    with pytest.raises(ValueError) as raised:
        made.configure(weighted_metrics=given)
    assert str(raised.value).startswith(message)
    assert made.evaluate(X, Y) == before
    made.configure(weighted_metrics=[])
    assert list(made.evaluate(X, Y)) == ["loss", "accuracy"]
    made.configure(metrics=[], weighted_metrics={"dense": "acc"})
    assert list(made.evaluate(X, Y)) == ["loss", "accuracy"]
