"""What callbacks do inside of each hook: a training isn't disturbed by what changes nothing, and is whole after anything else."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnspec.callbacks import Callback
from rnnspec.contract.signature import InputSignature
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD, Adam
from rnnspec.training.schedules import PiecewiseConstantDecay
from tests.unit.runtime.fake import model, signature

X = np.random.default_rng(5).normal(size=(12, 3))
Y = np.random.default_rng(6).normal(size=(12, 4))

HOOKS = [
    *("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end"),
    *("on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end"),
]

HARMLESS: dict[str, Callable[[Model], object]] = {
    "predict": lambda found: found.predict(X),
    "evaluate": lambda found: found.evaluate(X, Y),
    "save": lambda found: found.save(io.BytesIO()),
    "set the same weights": lambda found: found.set_weights(found.get_weights()),
    "set the same rate": lambda found: setattr(found, "learning_rate", found.learning_rate),
    "reset states": lambda found: found.reset_states(),
}


def made() -> Model:
    found = model(signature(inputs=(InputSignature("x", (3,)),)))
    found.configure(loss="mse", optimizer=Adam(0.05), metrics=["mae"])
    return found


def acting(hook: str, act: Callable[[Model], object], times: int = 1) -> Callback:
    """A callback that acts in a hook, the first time that it is called, or so many times."""
    left = [times]

    def acts(self: Callback, *given: Any) -> None:
        if left[0]:
            left[0] -= 1
            act(self.model)

    return type("Acting", (Callback,), {hook: acts})()


def fitted(found: Model, *callbacks: Callback) -> Any:
    return found.fit(X, Y, 4, 2, validation_split=0.25, verbose=False, callbacks=callbacks)


def bits(found: Model) -> list[bytes]:
    return [value.tobytes() for value in found.get_weights()]


@pytest.fixture(scope="module")
def undisturbed() -> tuple[Any, list[bytes]]:
    found = made()
    return fitted(found).history, bits(found)


@pytest.mark.parametrize("act", HARMLESS)
@pytest.mark.parametrize("hook", HOOKS)
def test_what_changes_nothing_disturbs_no_training(hook: str, act: str, undisturbed: tuple[Any, list[bytes]]) -> None:
    found = made()
    assert (fitted(found, acting(hook, HARMLESS[act], times=100)).history, bits(found)) == undisturbed


@pytest.mark.parametrize("hook", HOOKS)
def test_a_training_is_stopped_from_any_hook_with_its_history_kept(hook: str) -> None:
    """Behind the batch or the epoch at hand, the validation of which is whole, as in Keras."""
    found = made()
    history = fitted(found, acting(hook, lambda of: setattr(of, "stop_training", True)))
    assert history.epoch == ([0, 1] if hook == "on_train_end" else [0])
    assert sorted(history.history) == ["loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"]
    in_batch = hook in ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end")
    assert found.iterations == (6 if hook == "on_train_end" else 1 if in_batch else 3)
    assert fitted(found).epoch == [0, 1]


@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_in_any_hook_comes_through_and_the_model_trains_on(hook: str) -> None:
    found, closed = made(), []
    watching = acting("close", lambda of: None)
    watching.close = lambda: closed.append(True)  # type: ignore[method-assign]
    error = RuntimeError("mine")

    def fails(of: Model) -> None:
        raise error

    with pytest.raises(RuntimeError) as raised:
        fitted(found, watching, acting(hook, fails))
    assert raised.value is error and closed == [True]
    assert np.isfinite(fitted(found).history["loss"]).all()
    found.configure(loss="mae")


@pytest.mark.parametrize("hook", HOOKS)
def test_configure_in_any_hook_is_refused_and_changes_nothing(hook: str, undisturbed: tuple[Any, list[bytes]]) -> None:
    found, told = made(), []

    def configures(of: Model) -> None:
        with pytest.raises(ValueError, match="configure: a training is under way"):
            of.configure(loss="mae", optimizer="SGD", callbacks=[])
        told.append(True)

    assert (fitted(found, acting(hook, configures)).history, bits(found)) == undisturbed
    assert told == [True]


def test_a_rate_that_is_set_before_each_batch_has_the_bits_of_a_schedule() -> None:
    rates = [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]
    found, other = made(), made()
    found.configure(optimizer=SGD(0.1))
    other.configure(optimizer=SGD(PiecewiseConstantDecay([0, 1, 2, 3, 4], rates)))
    left = iter(rates)
    fitted(found, acting("on_train_batch_begin", lambda of: setattr(of, "learning_rate", next(left)), times=6))
    fitted(other)
    assert bits(found) == bits(other)
