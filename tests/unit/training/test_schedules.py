"""Learning-rate schedules: Keras's and PyTorch's rates, what can't be, and the model whose rate moves."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import optimizers, schedules
from rnnspec.callbacks import LambdaCallback, LearningRateScheduler, ReduceLROnPlateau
from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.optimizers import SGD, Adam
from rnnspec.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule, OneCycle, PiecewiseConstantDecay
from rnnspec.training.model import Model
from rnnspec.training.schedules import SCHEDULES, MissingSchedule, schedule_config, schedule_of
from rnnspec.training.settings import make_optimizer
from tests.keras_cases import FOLDER
from tests.unit.runtime.fake import model, signature

RECORDED: dict[str, Any] = json.loads((FOLDER / "optimizer_runs.json").read_text(encoding="utf-8"))

X, Y = np.random.default_rng(0).normal(size=(6, 5, 3)), np.random.default_rng(1).normal(size=(6, 4))


@pytest.mark.parametrize("case", RECORDED["schedules"], ids=lambda case: f"{case['name']}-{'-'.join(case['options'])}")
def test_rates(case: dict[str, Any]) -> None:
    schedule = SCHEDULES[case["name"]](**case["options"])
    rates = case["rates"]
    np.testing.assert_allclose([schedule(step) for step in range(len(rates))], rates, rtol=1e-12, atol=1e-17)
    assert schedule_of(schedule_config(schedule)) == schedule


def test_every_schedule_is_public_and_stays_for_ever() -> None:
    """A rate behind any number of steps is a finite number, one of the last kind."""
    assert set(schedules.__all__) == {*SCHEDULES, "LearningRateSchedule"}
    for case in RECORDED["schedules"]:
        schedule = SCHEDULES[case["name"]](**case["options"])
        assert all(math.isfinite(schedule(step)) and schedule(step) >= 0 for step in (10**4, 10**9))
    assert OneCycle(1.0, 1)(0) == 1 / 25 / 1e4


WRONG: list[tuple[Any, str]] = [
    (lambda: ExponentialDecay(-1, 10, 0.5), "ExponentialDecay: initial_learning_rate: expected a finite number from 0, got -1"),
    (lambda: ExponentialDecay(math.nan, 10, 0.5), "ExponentialDecay: initial_learning_rate: expected a finite number from 0, got nan"),
    (lambda: ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay: decay_steps: expected a finite number above 0, got 0"),
    (lambda: ExponentialDecay(0.1, 1, "a"), "ExponentialDecay: decay_rate: expected a finite number from 0, got 'a'"),
    (lambda: ExponentialDecay(0.1, 1, 0.5, 2), "ExponentialDecay: staircase: expected True or False, got 2"),
    (lambda: CosineDecay(0.1, 1, 1.5), "CosineDecay: alpha: expected a finite number from 0 to 1, got 1.5"),
    (lambda: CosineDecay(0.1, 1, warmup_steps=3), "CosineDecay: warmup_steps needs a warmup_target, the rate at the end of the warm-up"),
    (lambda: PiecewiseConstantDecay([3], 0.1), "PiecewiseConstantDecay: values: expected a list of finite numbers, got 0.1"),
    (lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "PiecewiseConstantDecay: there is a value more than boundaries, 3 for 2, got 2"),
    (lambda: PiecewiseConstantDecay([2, 2], [1, 2, 3]), "PiecewiseConstantDecay: each boundary is above the one before it"),
    (lambda: PiecewiseConstantDecay([2.5], [1, 2]), "PiecewiseConstantDecay: boundaries are whole numbers from 0, at least one"),
    (lambda: PiecewiseConstantDecay([2], [1, -2]), "PiecewiseConstantDecay: values are learning rates from 0, got -2"),
    (lambda: OneCycle(0.1, 10.5), "OneCycle: total_steps: expected a whole number of at least 1, got 10.5"),  # type: ignore[arg-type]
    (lambda: OneCycle(0.1, 10, 0.3, "cosine"), "OneCycle: anneal_strategy: expected 'cos' or 'linear', got 'cosine'"),
    (lambda: OneCycle(0.1, 10, 0.6, three_phase=True), "OneCycle: with three_phase two of the phases take pct_start each"),
    (lambda: SGD("0.1"), "SGD: learning_rate: expected a finite number from 0, got '0.1'"),
    (lambda: SGD(CosineDecay), "SGD: learning_rate: expected a finite number from 0, got .*CosineDecay.*: write CosineDecay(...), with"),
    (lambda: SGD(lambda: 0.1), "SGD: learning_rate: .* a schedule of your own is an object of a class that inherits"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message.partition(", got")[0][:70] for _, message in WRONG])
def test_what_no_schedule_can_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        make()
    for part in message.split(".*"):
        assert part in str(raised.value)


def test_names_that_there_are_not() -> None:
    with pytest.raises(TypeError, match=r"CosineDecay has no argument warm_up; it has initial_learning_rate, decay_steps"):
        CosineDecay(0.1, 10, warm_up=3)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="CosineDecay: Keras has the argument name, this version doesn't; leave it out"):
        CosineDecay(0.1, 10, name="a")  # pyright: ignore[reportCallIssue]
    with pytest.raises(AttributeError, match="no attribute 'Cosine'"):
        schedules.Cosine  # noqa: B018  # pyright: ignore[reportUnusedExpression]
    assert "Adam" in optimizers.__all__


class Falling(LearningRateSchedule):
    """Of one's own: the third step has no rate."""

    def __call__(self, step: int) -> float:
        return [0.5, 0.25, math.nan][step]


def trained(optimizer: Any = None) -> Model:
    found = model(signature(train=TrainSettings(Config("mean_squared_error"), Config("SGD", (("learning_rate", 0.5),)))))
    if optimizer is not None:
        found.configure(optimizer=optimizer)
    return found


def test_a_schedule_sets_the_rate_of_each_update() -> None:
    """The bits of as many updates with the rates set by hand."""
    moving, by_hand = trained(SGD(PiecewiseConstantDecay([0, 1], [0.5, 0.25, 0.125]), momentum=0.5)), trained(SGD(momentum=0.5))
    for rate in (0.5, 0.25, 0.125, 0.125):
        assert moving.learning_rate == rate
        by_hand.learning_rate = rate
        moving.train_on_batch(X, Y)
        by_hand.train_on_batch(X, Y)
    for one, other in zip(moving.get_weights(), by_hand.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_schedule_from_a_spec() -> None:
    config = Config(
        "Adam",
        (("learning_rate", Config("ExponentialDecay", (("initial_learning_rate", 0.5), ("decay_steps", 1.0), ("decay_rate", 0.5)))),),
    )
    made = make_optimizer(config)
    assert made.schedule == ExponentialDecay(0.5, 1, 0.5)
    assert made.learning_rate == 0.5


def test_a_schedule_of_ones_own_without_a_rate_ends_the_training_before_its_update() -> None:
    found = trained(SGD(Falling()))
    for _ in range(2):
        found.train_on_batch(X, Y)
    before = found.get_weights()
    with pytest.raises(ValueError, match="the schedule Falling gave nan for step 2; expected a finite number from 0"):
        found.train_on_batch(X, Y)
    assert found.iterations == 2
    for one, other in zip(found.get_weights(), before, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_number_beside_a_schedule_is_refused_and_another_schedule_is_not() -> None:
    found = trained(Adam(CosineDecay(0.5, 10)))
    with pytest.raises(ValueError, match="Adam: learning_rate: the schedule CosineDecay sets it, and it can't be set besides"):
        found.learning_rate = 0.1
    found.learning_rate = ExponentialDecay(0.25, 10, 0.5)
    assert found.optimizer.learning_rate == 0.25
    assert found.optimizer.fresh().schedule == found.optimizer.schedule


@pytest.mark.parametrize("callback", [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("loss")])
def test_callbacks_that_set_the_rate_refuse_a_schedule_before_the_first_step(callback: Any) -> None:
    found = trained(SGD(CosineDecay(0.5, 10)))
    before = found.get_weights()
    with pytest.raises(ValueError, match=f"{type(callback).__name__}: the schedule CosineDecay sets the learning rate: leave one"):
        found.fit(X, Y, verbose=False, callbacks=[callback])
    assert [each.tobytes() for each in found.get_weights()] == [each.tobytes() for each in before]


def test_the_rate_acts_at_the_next_update_inside_of_fit() -> None:
    found, by_hand = trained(), trained()

    def halved(batch: int, logs: Any) -> None:
        found.learning_rate /= 2
        found.optimizer.weight_decay = 0.25

    found.fit(X, Y, batch_size=3, shuffle=False, verbose=False, callbacks=[LambdaCallback(on_train_batch_end=halved)])
    by_hand.train_on_batch(X[:3], Y[:3])
    by_hand.configure(optimizer=SGD(0.25, weight_decay=0.25))
    by_hand.train_on_batch(X[3:], Y[3:])
    for one, other in zip(found.get_weights(), by_hand.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_configure_inside_of_fit_is_refused() -> None:
    found = trained()
    callback = LambdaCallback(on_epoch_begin=lambda epoch, logs: found.configure(optimizer="adam"))
    with pytest.raises(ValueError, match=r"configure: a training is under way: set model\.learning_rate, or settings of model\.optimizer"):
        found.fit(X, Y, verbose=False, callbacks=[callback])
    found.configure(optimizer="adam")
    assert isinstance(found.optimizer, Adam)


def test_settings_that_would_need_another_state_are_refused_once_a_model_trains() -> None:
    optimizer = SGD(0.5)
    found = trained(optimizer)
    with pytest.raises(ValueError, match=r"SGD: momentum: from 0\.0 to 0\.9 the state would be another"):
        optimizer.momentum = 0.9
    with pytest.raises(ValueError, match="SGD: clipnorm: expected a finite number above 0, got -1"):
        optimizer.clipnorm = -1
    optimizer.clipnorm = 1.0
    with pytest.raises(ValueError, match="only one of clipnorm, clipvalue and global_clipnorm can be set"):
        optimizer.clipvalue = 1.0
    assert (optimizer.momentum, optimizer.clipnorm, optimizer.clipvalue) == (0.0, 1.0, None)
    found.train_on_batch(X, Y)


def test_a_model_without_an_optimizer_has_no_rate() -> None:
    with pytest.raises(ValueError, match="has no optimizer"):
        model().learning_rate  # noqa: B018  # pyright: ignore[reportUnusedExpression]


def test_the_place_of_a_schedule_that_was_not_saved() -> None:
    found = trained(SGD(MissingSchedule("Falling")))
    with pytest.raises(ValueError, match="the model was saved with the schedule Falling, which its file can't hold"):
        found.train_on_batch(X, Y)
    found.learning_rate = 0.5
    found.train_on_batch(X, Y)


def test_a_fit_ends_with_the_averages_of_the_weights() -> None:
    """By hand: average = momentum * average + (1 - momentum) * weight after each update, from the weights after the first one on."""
    averaged, plain = trained(SGD(0.5, use_ema=True, ema_momentum=0.75)), trained(SGD(0.5))
    averaged.fit(X, Y, batch_size=2, shuffle=False, verbose=False)
    averages: list[Any] = []
    for begin in range(0, 6, 2):
        plain.train_on_batch(X[begin : begin + 2], Y[begin : begin + 2])
        weights = plain.get_weights()
        averages = [0.75 * mean + 0.25 * weight for mean, weight in zip(averages, weights, strict=True)] if averages else weights
    for one, other in zip(averaged.get_weights(), averages, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_weights_without_decay_are_named_before_a_model_has_the_optimizer() -> None:
    optimizer = SGD(0.5, weight_decay=0.1)
    with pytest.raises(ValueError, match=r"SGD: exclude_from_weight_decay: var_names: expected a list of different texts, got 'bias'"):
        optimizer.exclude_from_weight_decay(var_names="bias")
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        optimizer.exclude_from_weight_decay(var_names=["("])
    found = trained()
    held, name = found.optimizer, found.signature.weights[0].name
    optimizer.exclude_from_weight_decay(var_list=[f"{name}s"])
    with pytest.raises(ValueError, match=f"exclude_from_weight_decay: there is no weight {name}s; did you mean `{name}`"):
        found.configure(optimizer=optimizer)
    assert found.optimizer is held
    optimizer.exclude_from_weight_decay(var_list=[name])
    found.configure(optimizer=optimizer)
    with pytest.raises(ValueError, match=r"a model has this optimizer already: call it before model\.configure"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_a_schedule_is_asked_once_for_each_batch() -> None:
    asked: list[int] = []

    class Counting(LearningRateSchedule):
        def __call__(self, step: int) -> float:
            asked.append(step)
            return 0.01

    model = rnnspec.compile("model M { input x: float[time, 2]\n LSTM(2)\n Dense(1) }", seed=0)
    model.configure(loss="mse", optimizer=Adam(Counting()))
    model.fit(np.zeros((12, 3, 2)), np.zeros(12), batch_size=4, epochs=2, verbose=False)
    assert asked == sorted(set(asked))
    assert set(asked) >= set(range(6))
