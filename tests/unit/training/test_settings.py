"""From names to losses, optimizers and metrics, and `configure`, which changes all it was asked for or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.frontend.catalogue import choices
from rnnspec.training.losses import LOSSES, BinaryCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy
from rnnspec.training.metrics import METRICS, MetricNames
from rnnspec.training.optimizers import OPTIMIZERS, SGD, Adam
from rnnspec.training.sequence_losses import SEQUENCE_LOSSES
from rnnspec.training.settings import A_LOSS, loss_weights_for, losses_for, make_loss, make_optimizer, metrics_for
from tests.unit.runtime.fake import model, signature

X, Y = np.random.default_rng(0).normal(size=(4, 5, 3)), np.random.default_rng(1).normal(size=(4, 4))

OWN = "in Python a loss of your own is a class with `rows`, for `model.configure(loss = ...)`: see docs/language.md"
LOSS_NAMES = "mean_squared_error, mean_absolute_error, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy, ctc"


def metrics_of_one(given: object) -> MetricNames:
    return metrics_for(["a"], given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mse", MeanSquaredError()),
        ("MSE", MeanSquaredError()),
        ("MeanSquaredError", MeanSquaredError()),
        ("mean_squared_error", MeanSquaredError()),
        (Config("binary_crossentropy", (("from_logits", True),)), BinaryCrossentropy(from_logits=True)),
        (SparseCategoricalCrossentropy(), SparseCategoricalCrossentropy()),
    ],
)
def test_loss(given: Any, expected: object) -> None:
    assert make_loss(given) == expected


def test_every_spelling_of_a_spec() -> None:
    """What a train section accepts, `configure` does, and both mean the same."""
    for spelling, entry in choices.LOSSES.items():
        assert make_loss(spelling) == make_loss(entry.name)
    for spelling, entry in choices.OPTIMIZERS.items():
        assert make_optimizer(spelling) == make_optimizer(entry.name)
    for spelling, entry in choices.METRICS.items():
        assert metrics_for(["a"], [spelling]).each == ((entry.name,),)


@pytest.mark.parametrize("name", [*LOSSES, *SEQUENCE_LOSSES])
def test_losses_by_name(name: str) -> None:
    assert make_loss(name) == {**LOSSES, **SEQUENCE_LOSSES}[name]()


@pytest.mark.parametrize("name", [*OPTIMIZERS, "sgd", "ADAM", "adamw"])
def test_optimizers_by_name(name: str) -> None:
    made = make_optimizer(name)
    assert type(made).__name__.lower() == name.lower()
    assert made.iterations == 0


def test_an_optimizer_is_copied() -> None:
    given = Adam(learning_rate=0.5)
    made = make_optimizer(given)
    assert made == given
    assert made is not given


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (make_loss, "hinge", f"Keras has the loss hinge, this version doesn't: {OWN}; there are {LOSS_NAMES}"),
        (make_loss, "MeanSqaredError", f"no loss is called MeanSqaredError; did you mean `mean_squared_error`? there are {LOSS_NAMES}"),
        (make_optimizer, "Adan", "no optimizer is called Adan; did you mean `Adam`? there are SGD, RMSprop, Adam, AdamW"),
        (make_loss, 5, f"loss: expected a name or a loss, got 5; the names are {LOSS_NAMES}. {A_LOSS}"),
        (make_loss, None, f"loss: expected a name or a loss, got None; the names are {LOSS_NAMES}. {A_LOSS}"),
        (make_optimizer, "Lion", "Keras has the optimizer Lion, this version doesn't; there are SGD, RMSprop, Adam, AdamW"),
        (make_optimizer, 0.1, "optimizer: expected a name or an optimizer, got 0.1; the names are SGD, RMSprop, Adam, AdamW"),
        (make_optimizer, Config("SGD", (("momentum", 2.0),)), "SGD: momentum: expected a finite number from 0 to 1, got 2.0"),
        (metrics_of_one, "accuracy", "metrics: expected a list of names, got 'accuracy': write ['accuracy']"),
        (metrics_of_one, [5], f"metrics: expected names, got 5; there are accuracy, {', '.join(METRICS)}"),
        (
            metrics_of_one, (Config("accuracy", (("threshold", 0.5),)),), "metric accuracy takes no arguments, got {'threshold': 0.5}",
        ),
    ],
)  # fmt: skip
def test_refusal(make: Any, given: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        make(given)
    assert str(raised.value) == message


def test_classes_are_no_losses_and_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="loss: MeanSquaredError is a class: write MeanSquaredError"):
        make_loss(MeanSquaredError)
    with pytest.raises(ValueError, match="optimizer: SGD is a class: write SGD"):
        make_optimizer(SGD)
    with pytest.raises(ValueError, match=r"optimizer SGD: SGD has no argument beta; it has learning_rate"):
        make_optimizer(Config("SGD", (("beta", 1.0),)))


MSE, MAE = "mean_squared_error", "mean_absolute_error"


@pytest.mark.parametrize(
    ("outputs", "given", "expected"),
    [
        ("a", ["mse", "acc", Config(MAE)], [(MSE, "accuracy", MAE)]),
        ("a", (), [()]),
        ("a", [["mse", "mae"]], [(MSE, MAE)]),
        ("a", {"a": "mse"}, [(MSE,)]),
        ("ab", [], [(), ()]),
        ("ab", ["mse"], [(MSE,), (MSE,)]),
        ("ab", [["mse", "mae"]], [(MSE, MAE), (MSE, MAE)]),
        ("ab", ["mse", "mae"], [(MSE,), (MAE,)]),
        ("ab", [["mse", "mae"], None], [(MSE, MAE), ()]),
        ("ab", {"b": ["mae"]}, [(), (MAE,)]),
    ],
)
def test_metrics_by_output(outputs: str, given: object, expected: object) -> None:
    """Keras's rule: a list as long as there are outputs has one entry for each."""
    assert metrics_for(list(outputs), given).each == tuple(map(tuple, expected))


def test_losses_and_their_weights_by_output() -> None:
    both = ["a", "b"]
    assert losses_for(both, "mse") == (MeanSquaredError(), MeanSquaredError())
    assert losses_for(both, ["mse", None]) == losses_for(both, {"b": None, "a": "mse"}) == (MeanSquaredError(), None)
    assert loss_weights_for(both, 2) == (2.0, 2.0)
    assert loss_weights_for(both, [1, 0.5]) == loss_weights_for(both, {"b": 0.5}) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("of", "given", "message"),
    [
        (losses_for, ["mse"], "loss: expected one for each of the outputs a, b, got 1"),
        (losses_for, {"a": "mse", "c": "mse"}, "loss: the outputs are a, b; missing: b; unknown: c"),
        (losses_for, [None, None], "loss: expected one for at least one output, got None for all"),
        (loss_weights_for, [1, 2, 3], "loss_weights: expected one for each of the outputs a, b, got 3"),
        (loss_weights_for, {"c": 1}, "loss_weights: the outputs are a, b; unknown: c"),
        (loss_weights_for, [1, "2"], "loss_weights: expected finite numbers, got '2'"),
        (loss_weights_for, float("inf"), "loss_weights: expected finite numbers, got inf"),
        (metrics_for, ["mse", "mae", "acc"], "metrics: expected one for each of the outputs a, b, got 3"),
        (metrics_for, {"c": "mse"}, "metrics: the outputs are a, b; unknown: c"),
        (metrics_for, "mse", "metrics: expected a list of names, got 'mse': write ['mse']"),
    ],
)
def test_refusal_for_several_outputs(of: Any, given: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        of(["a", "b"], given)
    assert str(raised.value) == message


class Squares:
    """A loss of a user's own."""

    classes = False
    from_logits = False

    def rows(self, predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.square(predictions - targets).sum(axis=1), 2 * (predictions - targets)


def test_configure() -> None:
    made = model()
    made.configure("mse", "SGD", ["mae"])
    logs = made.evaluate(X, Y)
    assert sorted(logs) == ["loss", "mean_absolute_error"]
    made.configure(loss=Squares())
    squares = made.evaluate(X, Y)
    assert squares["loss"] == pytest.approx(4 * logs["loss"])
    assert squares["mean_absolute_error"] == logs["mean_absolute_error"]
    made.configure(metrics=[])
    assert sorted(made.evaluate(X, Y)) == ["loss"]
    assert made.train_on_batch(X, Y) > 0


def test_metrics_may_come_before_the_loss() -> None:
    made = model()
    made.configure(metrics=["accuracy"])
    made.configure(loss="mse")
    assert "accuracy" in made.evaluate(X, Y)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "hinge"},
        {"loss": "mae", "optimizer": "Lion"},
        {"loss": "mae", "metrics": ["f1"]},
        {"optimizer": "Adam", "metrics": "accuracy"},
        {"metrics": [], "optimizer": 5},
        {"loss": "sparse_categorical_crossentropy", "optimizer": "Adam"},
    ],
)
def test_configure_changes_nothing_if_anything_is_wrong(wrong: dict[str, Any]) -> None:
    made, reference = model(), model()
    for each in (made, reference):
        each.configure("mse", SGD(momentum=0.9), ["mean_squared_error"])
        each.train_on_batch(X, Y)
    with pytest.raises(ValueError):
        made.configure(**wrong)
    assert made.evaluate(X, Y) == reference.evaluate(X, Y)
    assert made.train_on_batch(X, Y) == reference.train_on_batch(X, Y)
    assert made.get_weights()[0].tobytes() == reference.get_weights()[0].tobytes()


def test_a_new_optimizer_starts_anew_and_a_new_loss_leaves_it() -> None:
    """Momentum is kept when the loss changes and lost when the optimizer does."""
    kept, restarted, reference = model(), model(), model()
    for each in (kept, restarted, reference):
        each.configure("mse", SGD(momentum=0.9))
        each.train_on_batch(X, Y)
    kept.configure(loss="mean_squared_error", metrics=["mse"])
    restarted.configure(optimizer=SGD(momentum=0.9))
    for each in (kept, restarted, reference):
        each.train_on_batch(X, Y)
    assert kept.get_weights()[0].tobytes() == reference.get_weights()[0].tobytes()
    assert restarted.get_weights()[0].tobytes() != reference.get_weights()[0].tobytes()


def test_the_train_section_is_checked_when_the_model_is_made() -> None:
    for train, message in (
        (TrainSettings(loss=Config("hinge")), "Keras has the loss hinge"),
        (TrainSettings(Config("mean_squared_error"), metrics=(Config("f1"),)), "no metric is called f1"),
        (TrainSettings(optimizer=Config("Lion")), "Keras has the optimizer Lion"),
    ):
        with pytest.raises(ValueError, match=message):
            model(signature(train=train))
