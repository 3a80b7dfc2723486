"""From names to losses, optimizers and metrics, and `configure`, which changes all it was asked for or nothing."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import Family
from rnnspec.contract.objective import RowEquations
from rnnspec.contract.signature import Config, OutputSignature, TrainSettings
from rnnspec.frontend.catalogue import choices
from rnnspec.training.losses import (
    LOSSES,
    BinaryCrossentropy,
    Huber,
    KLDivergence,
    Loss,
    MeanSquaredError,
    NamedLoss,
    SparseCategoricalCrossentropy,
)
from rnnspec.training.metrics import METRICS, BinaryAccuracy, MetricNames, Perplexity
from rnnspec.training.objectives import objectives
from rnnspec.training.optimizers import OPTIMIZERS, SGD, Adam
from rnnspec.training.sequence_losses import SEQUENCE_LOSSES, SequenceLoss
from rnnspec.training.settings import A_LOSS, loss_weights_for, losses_for, make_loss, make_optimizer, metrics_for
from tests.unit.runtime.fake import FakeExecutable, model, signature, trained

X, Y = np.random.default_rng(0).normal(size=(4, 5, 3)), np.random.default_rng(1).normal(size=(4, 4))

OWN = "in Python a loss of your own is a class with `rows`, for `model.configure(loss = ...)`: see docs/language.md"
LOSS_NAMES = ", ".join((*LOSSES, *SEQUENCE_LOSSES))
ALL_LOSSES = ", ".join(dict.fromkeys(entry.name for entry in choices.LOSSES.values()))
ALL_OPTIMIZERS = ", ".join(OPTIMIZERS)
ALL_METRICS = ", ".join(("accuracy", "crossentropy", *METRICS))
EXECUTABLE = FakeExecutable(signature())


def metrics_of_one(given: object) -> MetricNames:
    return metrics_for(["a"], given)


def loss_of(given: object, width: int = 4) -> RowEquations | Loss | SequenceLoss:
    """What an output of a width with this loss is trained by."""
    (objective,) = trained([OutputSignature("dense", (width,))], [make_loss(given)])
    return objective.loss


def metric_of(given: object, width: int = 4, *, loss: str = "mse") -> tuple[str, Config]:
    """The name in logs and the equations of the only metric."""
    none, outputs = MetricNames(((),)), [OutputSignature("dense", (width,))]
    (objective,) = objectives(outputs, [make_loss(loss)], [1.0], metrics_of_one([given]), none, EXECUTABLE)
    (tracked,) = objective.metrics
    assert isinstance(tracked.of, RowEquations)
    return tracked.name, tracked.of.config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mse", MeanSquaredError()),
        ("MSE", MeanSquaredError()),
        ("MeanSquaredError", MeanSquaredError()),
        ("mean_squared_error", MeanSquaredError()),
        ("kullback_leibler_divergence", KLDivergence()),
        (Config("Huber", (("delta", 2),)), Huber(delta=2.0)),
        (Config("binary_crossentropy", (("from_logits", True),)), BinaryCrossentropy(from_logits=True)),
        (SparseCategoricalCrossentropy(), SparseCategoricalCrossentropy()),
    ],
)
def test_loss(given: Any, expected: NamedLoss) -> None:
    found = loss_of(given)
    assert isinstance(found, RowEquations)
    assert found == loss_of(expected)
    assert found.config == expected.config


def test_every_spelling_of_a_spec() -> None:
    """What a train section accepts, `configure` does, and both mean the same."""
    for spelling, entry in choices.LOSSES.items():
        find = make_loss if entry.name in SEQUENCE_LOSSES else loss_of
        if entry.name != "crf":  # whose weights are a model's
            assert find(spelling) == find(entry.name)
    for spelling, entry in choices.OPTIMIZERS.items():
        assert make_optimizer(spelling) == make_optimizer(entry.name)
    for spelling, entry in choices.METRICS.items():
        assert name_or_refusal(spelling) == name_or_refusal(entry.name)


def name_or_refusal(name: str) -> object:
    """What a metric without arguments is called in logs, beside a loss of values or of classes; or what it lacks."""
    for loss in ("mse", "sparse_categorical_crossentropy"):
        try:
            return metric_of(name, 6, loss=loss)
        except ValueError as error:
            if "needs targets" not in str(error):
                return str(error).replace(name, "it")
    raise AssertionError(name)


@pytest.mark.parametrize("made", [each for each in (*LOSSES.values(), *METRICS.values()) if each.name != "crf"])
def test_objects_name_equations_with_all_their_arguments(made: Any) -> None:
    """Those of the declaration, in its order and with its defaults; all but those with weights, which are a model's."""
    needed = {name: 1 for name, each in inspect.signature(made).parameters.items() if each.default is each.empty}
    config = made(**(needed | ({"target_class_ids": [0]} if "target_class_ids" in needed else {}))).config
    family: Family = "loss" if made in LOSSES.values() else "metric"
    assert EXECUTABLE.equations(family, config, 6).config == config
    assert EXECUTABLE.equations(family, Config(made.__name__, tuple(config.arguments[: len(needed)])), 6).config == config


@pytest.mark.parametrize(
    ("loss", "width", "accuracy", "crossentropy"),
    [
        ("binary_crossentropy", 1, "binary_accuracy", "binary_crossentropy"),
        ("mean_squared_error", 1, "binary_accuracy", "binary_crossentropy"),
        ("binary_crossentropy", 3, "categorical_accuracy", "categorical_crossentropy"),
        ("categorical_crossentropy", 3, "categorical_accuracy", "categorical_crossentropy"),
        ("mean_squared_error", 3, "categorical_accuracy", "categorical_crossentropy"),
        ("sparse_categorical_crossentropy", 3, "sparse_categorical_accuracy", "sparse_categorical_crossentropy"),
    ],
)
def test_names_that_stand_for_one_of_several_metrics(loss: str, width: int, accuracy: str, crossentropy: str) -> None:
    """As Keras resolves them, by the width and the targets."""
    for spelling in ("accuracy", "acc", "Accuracy"):
        name, config = metric_of(spelling, width, loss=loss)
        assert (name, config.name) == ("accuracy", accuracy)
    for spelling in ("crossentropy", "ce"):
        name, config = metric_of(spelling, width, loss=loss)
        assert (name, config.name) == ("crossentropy", crossentropy)
        assert dict(config.arguments)["from_logits"] is False


def test_metrics_beside_a_loss_of_logits() -> None:
    """A threshold of even odds is 0, and `crossentropy` is one of logits; a metric that says what it is stays as it is."""
    logits = Config("binary_crossentropy", (("from_logits", True),))
    for name, given, argument in (
        ("accuracy", "accuracy", ("threshold", 0.0)),
        ("binary_accuracy", "binary_accuracy", ("threshold", 0.0)),
        ("binary_accuracy", BinaryAccuracy(threshold=0.7), ("threshold", 0.7)),
        ("crossentropy", "ce", ("from_logits", True)),
        ("binary_crossentropy", "bce", ("from_logits", False)),
    ):
        none, outputs = MetricNames(((),)), [OutputSignature("dense", (1,))]
        (objective,) = objectives(outputs, [make_loss(logits)], [1.0], metrics_of_one([given]), none, EXECUTABLE)
        (tracked,) = objective.metrics
        assert isinstance(tracked.of, RowEquations)
        assert tracked.name == name
        assert argument in tracked.of.config.arguments


@pytest.mark.parametrize("name", [*OPTIMIZERS, "sgd", "ADAM", "adamw"])
def test_optimizers_by_name(name: str) -> None:
    made = make_optimizer(name)
    assert type(made).__name__.lower() == name.lower()
    assert made.iterations == 0


def test_an_optimizer_is_the_one_that_trains() -> None:
    given = Adam(learning_rate=0.5)
    assert make_optimizer(given) is given
    first, second = model(), model()
    first.configure(loss="mse", optimizer=given)
    assert first.optimizer is given
    with pytest.raises(ValueError, match="optimizer: this Adam is another model's: give each model one of its own"):
        second.configure(loss="mse", optimizer=given)
    first.configure(optimizer="sgd")
    second.configure(loss="mse", optimizer=given)
    assert second.optimizer is given


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (loss_of, "Circle", f"Keras has the loss Circle, this version doesn't: {OWN}; there are {ALL_LOSSES}"),
        (loss_of, "MeanSqaredError", f"no loss is called MeanSqaredError; did you mean `mean_squared_error`? there are {ALL_LOSSES}"),
        (loss_of, Config("Huber", (("dleta", 2.0),)), "loss Huber: no argument dleta; it has delta"),
        (metric_of, "precision_at_recall", "metric precision_at_recall: recall is missing"),
        (make_optimizer, "Adan", f"no optimizer is called Adan; did you mean `Adam`? there are {ALL_OPTIMIZERS}"),
        (make_loss, 5, f"loss: expected a name or a loss, got 5; the names are {LOSS_NAMES}. {A_LOSS}"),
        (make_loss, None, f"loss: expected a name or a loss, got None; the names are {LOSS_NAMES}. {A_LOSS}"),
        (
            make_optimizer, "ScheduleFreeAdamW",
            f"Keras has the optimizer ScheduleFreeAdamW, this version doesn't; there are {ALL_OPTIMIZERS}",
        ),
        (make_optimizer, 0.1, f"optimizer: expected a name or an optimizer, got 0.1; the names are {ALL_OPTIMIZERS}"),
        (make_optimizer, Config("SGD", (("momentum", 2.0),)), "SGD: momentum: expected a finite number from 0 to 1, got 2.0"),
        (metrics_of_one, "accuracy", "metrics: expected a list of names, got 'accuracy': write ['accuracy']"),
        (metrics_of_one, [5], f"metrics: expected names, or objects with `name` and `rows`, got 5; there are {ALL_METRICS}"),
        (
            metric_of, Config("accuracy", (("threshold", 0.5),)), "metric accuracy takes no arguments, got {'threshold': 0.5}",
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


@pytest.mark.parametrize(
    ("outputs", "given", "expected"),
    [
        ("a", ["mse", "acc", Config("mae")], [("mse", "acc", "mae")]),
        ("a", (), [()]),
        ("a", [["mse", "mae"]], [("mse", "mae")]),
        ("a", {"a": "mse"}, [("mse",)]),
        ("ab", [], [(), ()]),
        ("ab", ["mse"], [("mse",), ("mse",)]),
        ("ab", [["mse", "mae"]], [("mse", "mae"), ("mse", "mae")]),
        ("ab", ["mse", "mae"], [("mse",), ("mae",)]),
        ("ab", [["mse", "mae"], None], [("mse", "mae"), ()]),
        ("ab", {"b": ["mae"]}, [(), ("mae",)]),
    ],
)
def test_metrics_by_output(outputs: str, given: object, expected: object) -> None:
    """Keras's rule: a list as long as there are outputs has one entry for each."""
    found = metrics_for(list(outputs), given).each
    assert [tuple(each.name for each in metrics) for metrics in found] == expected


def test_losses_and_their_weights_by_output() -> None:
    both = ["a", "b"]
    mse = MeanSquaredError()
    assert losses_for(both, mse) == (mse, mse)
    assert losses_for(both, [mse, None]) == losses_for(both, {"b": None, "a": mse}) == (mse, None)
    assert losses_for(both, "mse") == (make_loss("mse"), make_loss("mse"))
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
        {"loss": "circle"},
        {"loss": "mae", "optimizer": "ScheduleFreeAdamW"},
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
        (TrainSettings(loss=Config("circle")), "Keras has the loss circle"),
        (TrainSettings(Config("mean_squared_error"), metrics=(Config("f1"),)), "no metric is called f1"),
        (TrainSettings(optimizer=Config("ScheduleFreeAdamW")), "Keras has the optimizer ScheduleFreeAdamW"),
    ):
        with pytest.raises(ValueError, match=message):
            model(signature(train=train))


@pytest.mark.parametrize("yes", [np.True_, 1, np.int64(1)])
def test_flags_of_losses_and_metrics_become_bools(yes: Any) -> None:
    """A flag that is true is told by its being `True` further on."""
    assert BinaryCrossentropy(from_logits=yes).from_logits is True
    assert dict(Perplexity(from_logits=yes).config.arguments)["from_logits"] is True
    found = model(signature(width=1))
    found.configure(loss=BinaryCrossentropy(from_logits=yes))
    assert found.class_thresholds == {"dense": 0.0}


@pytest.mark.parametrize("loss", ["hinge", "Hinge", "SquaredHinge", "squared_hinge"])
def test_the_threshold_of_a_class_is_that_of_a_loss_in_any_spelling(loss: str) -> None:
    found = model(signature(width=1))
    assert found.class_thresholds == {"dense": 0.5}
    found.configure(loss=loss)
    assert found.class_thresholds == {"dense": 0.0}
    found.configure(loss="mse")
    assert found.class_thresholds == {"dense": 0.5}
