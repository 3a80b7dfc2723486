"""What `fit` and the classes of training are given by mistake: a clear error before the first step, and nothing has changed."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.optimizer_arguments import EXCLUDED
from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.frontend.catalogue.argument_types import REQUIRED
from rnnspec.frontend.catalogue.choices import LOSSES as SPECS_LOSSES
from rnnspec.frontend.catalogue.choices import OPTIMIZERS as SPECS_OPTIMIZERS
from rnnspec.frontend.syntax import standard_library
from rnnspec.keras_names import names
from rnnspec.runtime.data.validate import finite_number
from rnnspec.training.callbacks import Callback, History
from rnnspec.training.losses import LOSSES, BinaryCrossentropy, MeanSquaredError
from rnnspec.training.metrics import METRICS, Precision
from rnnspec.training.model import Model
from rnnspec.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, RMSprop
from rnnspec.training.sequence_losses import SEQUENCE_LOSSES
from rnnspec.training.settings import loss_weights_for, make_loss, make_optimizer, metrics_for
from tests.unit.runtime.fake import model, signature

X, Y = np.random.default_rng(0).normal(size=(6, 5, 3)), np.random.default_rng(1).normal(size=(6, 4))

TRAIN = TrainSettings(Config("mean_squared_error"), Config("SGD", (("learning_rate", 0.1),)))


class Old(Callback):
    """Without the logs."""

    def on_epoch_end(self, epoch: int) -> None:  # type: ignore[override]
        raise AssertionError("called")


class Batches:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Any:
        raise AssertionError("read")


def trained() -> Model:
    return model(signature(train=TRAIN))


FIT: dict[str, tuple[dict[str, Any], str]] = {
    "one callback": ({"callbacks": History()}, "callbacks: expected a list of callbacks, got one History: put it into a list, [...]"),
    "a function": ({"callbacks": [print]}, "callbacks, number 0: <built-in function print> is no callback; a callback is an object of"),
    "a function alone": ({"callbacks": print}, "callbacks: expected a list of callbacks, got <built-in function print>; a callback is"),
    "a class": ({"callbacks": [History(), History]}, "callbacks, number 1: History is a class: write History()"),
    "a number": ({"callbacks": 3}, "callbacks: expected a list of callbacks, got 3; a callback is an object of a class"),
    "a text": ({"callbacks": "early"}, "callbacks: expected a list of callbacks, got 'early'; a callback is"),
    "nothing in a list": ({"callbacks": [None]}, "callbacks, number 0: None is no callback; a callback is an object of a class"),
    "without logs": ({"callbacks": [Old()]}, "callbacks: on_epoch_end of Old can't be called: it must take (self, epoch, logs)"),
    "shuffle": ({"shuffle": "no"}, "shuffle: expected True or False, got 'no'"),
    "shuffle, a number": ({"shuffle": 2}, "shuffle: expected True or False, got 2"),
    "verbose": ({"verbose": "x"}, "verbose: expected True, False, 0, 1 or 2, got 'x'"),
    "epochs": ({"epochs": 1.5}, "epochs: expected a whole number of at least 0, got 1.5"),
    "batch size": ({"batch_size": "8"}, "batch_size: expected a whole number of at least 1, got '8'"),
    "seed": ({"seed": "a"}, "seed: expected a whole number of at least 0, got 'a'"),
    "seed below": ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
    "split": ({"validation_split": "0.1"}, "validation_split: expected a number from 0 to below 1, got '0.1'"),
    "validation": ({"validation_data": X}, "validation_data: expected (x, y) or (x, y, sample_weight), got ndarray"),
    "validation without targets": ({"validation_data": (X, None)}, "validation, targets: none are given"),
    "validation of batches": ({"validation_data": (Batches(), Y)}, "validation, input x: expected numbers, got objects (Batches)"),
}


@pytest.mark.parametrize("name", FIT)
def test_fit_refuses_before_the_first_step(name: str) -> None:
    options, message = FIT[name]
    made = trained()
    before = made.get_weights()
    with pytest.raises(ValueError) as raised:
        made.fit(X, Y, **({"epochs": 1, "verbose": False} | options))
    assert str(raised.value).startswith(message)
    for one, other in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "x", [Batches(), [Batches()], (value for value in X), map(float, [1.0])], ids=["batches", "list", "generator", "map"]
)
def test_data_in_parts_is_not_read_with_targets_beside_it(x: Any) -> None:
    for call in (lambda: trained().fit(x, Y, verbose=False), lambda: trained().evaluate(x, Y)):
        with pytest.raises(ValueError, match=r"expected numbers, got objects \("):
            call()


def test_values_that_mean_the_same_are_taken() -> None:
    made = trained()
    made.fit(X, Y, callbacks=None, shuffle=np.bool_(False), verbose=0, epochs=np.int64(1), seed=np.uint8(3))
    made.fit(X, Y, callbacks=(), shuffle=0, verbose=False)
    assert made.fit(X, Y, callbacks=[History()], verbose=False).epoch == [0]


class Loss:
    """Of one's own; `gives` is what its rows are."""

    classes = False
    from_logits = False

    def __init__(self, gives: Any = None) -> None:
        self._gives = gives

    def rows(self, predictions: np.ndarray, targets: np.ndarray) -> Any:
        return self._gives(predictions - targets) if callable(self._gives) else self._gives


EXPECTED = "expected two arrays, each row's loss, shape (6,), and its gradient by the predictions, shape (6, 4)"

ROWS: dict[str, tuple[Any, str]] = {
    "nothing": (None, f"loss Loss: rows gave NoneType; {EXPECTED}"),
    "the loss alone": (lambda d: np.square(d).mean(axis=1), f"loss Loss: rows gave ndarray; {EXPECTED}"),
    "three": (lambda d: (d, d, d), f"loss Loss: rows gave 3 values; {EXPECTED}"),
    "one number": (lambda d: (np.square(d).mean(), d), f"loss Loss: rows gave losses of shape (); {EXPECTED}"),
    "a float": (lambda d: (0.5, d), f"loss Loss: rows gave losses of shape (); {EXPECTED}"),
    "losses of units": (lambda d: (np.square(d), d), f"loss Loss: rows gave losses of shape (6, 4); {EXPECTED}"),
    "gradient of rows": (lambda d: (d.mean(axis=1), d.mean(axis=1)), f"loss Loss: rows gave a gradient of shape (6,); {EXPECTED}"),
    "texts": (lambda d: (["a"] * 6, d), f"loss Loss: rows gave losses of dtype <U1; {EXPECTED}"),
    "objects": (lambda d: (d.mean(axis=1), np.full(d.shape, None)), f"loss Loss: rows gave a gradient of dtype object; {EXPECTED}"),
    "complex": (lambda d: (d.mean(axis=1), d * 1j), f"loss Loss: rows gave a gradient of dtype complex128; {EXPECTED}"),
    "lists of lengths": (
        lambda d: (d.mean(axis=1), [[1.0], [1.0, 2.0]]),
        f"loss Loss: what rows gave as gradient is no array; {EXPECTED}",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_a_loss_of_ones_own_must_give(name: str) -> None:
    gives, message = ROWS[name]
    made = trained()
    made.configure(loss=Loss(gives))
    before = made.get_weights()
    for call in (lambda: made.fit(X, Y, verbose=False), lambda: made.train_on_batch(X, Y), lambda: made.evaluate(X, Y)):
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == message
    for one, other in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loss_of_ones_own_may_give_lists() -> None:
    made = trained()
    made.configure(loss=Loss(lambda d: (np.square(d).mean(axis=1).tolist(), (2 * d / 4).tolist())))
    own = made.evaluate(X, Y)
    made.configure(loss="mse")
    assert own == made.evaluate(X, Y)


class WithoutFlags:
    def rows(self, predictions: np.ndarray, targets: np.ndarray) -> Any:
        return predictions, targets


class WrongFlag(Loss):
    classes: Any = "no"


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (make_loss, WithoutFlags(), "It lacks classes, from_logits. A loss of your own is an object with a method rows"),
        (make_loss, print, "A loss of your own is an object with a method rows"),
        (make_loss, MeanSquaredError, "loss: MeanSquaredError is a class: write MeanSquaredError()"),
        (make_loss, WrongFlag(), "loss WrongFlag: classes: expected True or False, got 'no'"),
        (make_optimizer, Adam, "optimizer: Adam is a class: write Adam()"),
        (make_optimizer, print, "optimizer: expected a name or an optimizer, got <built-in function print>"),
        (lambda given: metrics_for(["a"], given), "mse", "metrics: expected a list of names, got 'mse': write ['mse']"),
        (
            lambda given: metrics_for(["a"], given),
            [print],
            "metrics: expected names, or objects with `name` and `rows`, got <built-in function print>; there are accuracy",
        ),
        (lambda given: metrics_for(["a"], given), [MeanSquaredError], "metrics: MeanSquaredError is a class"),
    ],
)
def test_what_is_no_loss_optimizer_or_metric(make: Any, given: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        make(given)
    assert message in str(raised.value)


def test_what_is_keras_own_is_told() -> None:
    class Huber:
        pass

    Huber.__module__ = "keras.src.losses.losses"
    with pytest.raises(ValueError, match="loss: Huber is of keras, and can't be used here"):
        make_loss(Huber())
    with pytest.raises(ValueError, match="loss: Huber is of keras, and can't be used here"):
        make_loss(Huber)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_what_a_spec_does_in_its_order(name: str) -> None:
    """Those that need no name in a spec need none here."""
    entry = SPECS_OPTIMIZERS[name]
    ordered = [each.name for each in entry.arguments if each.positional]
    kinds = inspect.signature(OPTIMIZERS[name]).parameters.values()
    assert [each.name for each in kinds if each.kind is each.POSITIONAL_OR_KEYWORD] == ordered
    defaults = {each.name: each.default for each in entry.arguments if each.default is not REQUIRED and each.name != EXCLUDED}
    assert {each.name: each.default for each in kinds} == defaults


def test_optimizers_by_position() -> None:
    assert Adam(0.003) == Adam(learning_rate=0.003)
    assert Adam(0.1, 0.5, 0.6, 1e-3, True) == Adam(learning_rate=0.1, beta_1=0.5, beta_2=0.6, epsilon=1e-3, amsgrad=True)
    assert AdamW(0.1, 0.2, 0.3) == AdamW(learning_rate=0.1, weight_decay=0.2, beta_1=0.3)
    assert vars(SGD)["__init__"](made := SGD(), 0.1, 0.9, True, 0.2, 1.0) is None  # pyright: ignore[reportUnknownVariableType]
    assert (made.weight_decay, made.clipnorm) == (0.2, 1.0)
    assert SGD(0.1, 0.9, True) == SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    assert RMSprop(0.1, 0.8) == RMSprop(learning_rate=0.1, rho=0.8)


@pytest.mark.parametrize("made", [*LOSSES.values(), *METRICS.values()])
def test_losses_and_metrics_take_what_their_text_does_in_its_order(made: Any) -> None:
    """Keras's order where it has them."""
    family = "loss" if made in LOSSES.values() else "metric"
    of_text = standard_library.row_equations(family == "metric")[made.name].parameters
    assert list(inspect.signature(made).parameters) == [each.name.text for each in of_text]
    of_keras = names.keras_name(family, made.__name__)
    assert of_keras is None or {each.name.text for each in of_text} - {"ignore_class"} <= of_keras.arguments


@pytest.mark.parametrize("name", SEQUENCE_LOSSES)
def test_losses_of_sequences_take_what_a_spec_does_in_its_order(name: str) -> None:
    assert list(inspect.signature(SEQUENCE_LOSSES[name]).parameters) == [each.name for each in SPECS_LOSSES[name].arguments]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(lr=0.1), "Adam has no argument lr: it is called learning_rate here"),
        (lambda: Adam(name="a"), "Adam: Keras has the argument name, this version doesn't; leave it out: only layers have names"),
        (lambda: Adam(learning_rat=0.1), "Adam has no argument learning_rat; did you mean `learning_rate`? it has learning_rate"),
        (lambda: SGD(colour=1), "SGD has no argument colour; it has learning_rate, momentum"),
        (lambda: SGD(*[0.1] * 20), "SGD: too many arguments without a name, 20; those that need none: learning_rate, momentum"),
        (lambda: Adam(0.1, learning_rate=0.2), "Adam: learning_rate is given twice, by its place and by its name"),
        (lambda: MeanSquaredError("sum"), "MeanSquaredError: too many arguments without a name, 1; those that need none: none"),
        (lambda: MeanSquaredError(reduction="sum"), "MeanSquaredError: Keras has the argument reduction, this version doesn't; a loss is"),
        (lambda: BinaryCrossentropy(False, 0.1, 1), "BinaryCrossentropy: too many arguments without a name, 3"),
        (
            lambda: BinaryCrossentropy(axis=1),
            "BinaryCrossentropy: Keras has the argument axis, this version doesn't; the last axis is taken",
        ),
        (lambda: Precision(name="p"), "Precision: Keras has the argument name, this version doesn't; leave it out"),
        (lambda: Precision(tresholds=0.1), "Precision has no argument tresholds; did you mean `thresholds`? it has thresholds, top_k"),
    ],
)
def test_arguments_that_there_are_not(make: Any, message: str) -> None:
    with pytest.raises(TypeError) as raised:
        make()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(amsgrad="no"), "Adam: amsgrad: expected True or False, got 'no'"),
        (lambda: SGD(0.1, nesterov=None), "SGD: nesterov: expected True or False, got None"),
        (lambda: BinaryCrossentropy("yes"), "BinaryCrossentropy: from_logits: expected True or False, got 'yes'"),
    ],
)
def test_flags_are_flags(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        make()
    assert str(raised.value) == message


NOT_HERE = {"loss": {"Circle", "Loss"}, "metric": {"Mean", "MeanMetricWrapper", "Metric", "Sum"}, "optimizer": {"ScheduleFreeAdamW"}}
"""Of losses and metrics all that Keras has and this version doesn't."""


@pytest.mark.parametrize("family", ["loss", "optimizer", "metric"])
def test_every_name_of_keras_is_taken_or_told(family: str) -> None:
    """As `configure` finds them: whatever the capitals and underscores."""
    makers: dict[str, Any] = {
        "loss": lambda name: trained().configure(loss=name),
        "optimizer": make_optimizer,
        "metric": lambda name: trained().configure(metrics=[name]),
    }
    told: set[str] = set()
    for spelling in names.spellings(family):
        try:
            makers[family](spelling)
        except ValueError as error:
            if re.search("needs targets|needs a sequence|is missing|of at most 4", str(error)):  # there is one, for another output
                continue
            assert str(error).startswith(f"Keras has the {family} {spelling}, this version doesn't"), spelling
            assert "did you mean" not in str(error)
            told.add(names.spellings(family)[spelling])
    assert told >= NOT_HERE[family]
    assert family == "optimizer" or told == NOT_HERE[family]


def test_a_name_of_another_kind_is_told() -> None:
    with pytest.raises(ValueError, match=r"^adam is an optimizer and no loss; there are"):
        trained().configure(loss="adam")
    with pytest.raises(ValueError, match=r"^relu is an activation and no optimizer; there are"):
        make_optimizer("relu")


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("training.losses", "Circle", "Keras has the loss Circle, this version doesn't: in Python a loss of your own"),
        ("training.optimizers", "ScheduleFreeAdamW", "Keras has the optimizer ScheduleFreeAdamW, this version doesn't"),
        ("training.metrics", "Sum", "Keras has the metric Sum, this version doesn't: compute it"),
        ("losses", "mse", "Keras has the loss mse; here it is the class MeanSquaredError"),
        ("metrics", "MeanSquaredError", "Keras has the metric MeanSquaredError; here the loss rnnspec.losses.MeanSquaredError is a"),
        ("metrics", "Accuracy", "Keras has the metric Accuracy; here metrics=['Accuracy'] stands for one of several by the targets"),
        ("optimizers", "adam", "Keras has the optimizer adam; here it is the class Adam"),
        ("callbacks", "RemoteMonitor", "Keras has the callback RemoteMonitor, this version doesn't: in Python a class"),
    ],
)
def test_an_import_of_what_keras_has_is_told(module: str, name: str, message: str) -> None:
    with pytest.raises(ImportError) as raised:
        exec(f"from rnnspec.{module} import {name}")
    assert str(raised.value).startswith(message)
    with pytest.raises(ImportError, match=r"cannot import name 'Nothing'"):
        exec(f"from rnnspec.{module} import Nothing")
    found = importlib.import_module(f"rnnspec.{module}")
    assert not hasattr(found, "__wrapped__")
    assert not hasattr(found, name)
    with pytest.raises(AttributeError) as missing:
        getattr(found, name)
    assert str(missing.value) == str(raised.value)


def test_every_public_module_answers_whether_it_has_a_name() -> None:
    """Who looks through a module, pydoc for one, asks with `hasattr`, and gets no other error, whatever the name."""
    spellings = {spelling for family in names.FAMILIES for spelling in names.spellings(family)}
    for module in ("callbacks", "data", "decoding", "losses", "metrics", "optimizers", "schedules"):
        found = getattr(rnnspec, module)
        assert all(hasattr(found, name) for name in getattr(found, "__all__", ()))
        assert {name for name in spellings if hasattr(found, name)} <= {*vars(found)}


@pytest.mark.parametrize("number", [10**400, float("inf"), float("nan"), True, "1", None])
def test_what_is_no_finite_number(number: object) -> None:
    assert finite_number(number) is None
    if number is not None:
        with pytest.raises(ValueError, match="learning_rate: expected a finite number"):
            Adam(number)
        with pytest.raises(ValueError, match="loss_weights: expected finite numbers"):
            loss_weights_for(["y"], number)
