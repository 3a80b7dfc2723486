"""Callbacks that watch a value in the logs of epochs, by Keras's rules (keras.src.callbacks, 3.15)."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.runtime.data.validate import finite_number, shows, true_or_false, whole_number
from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.constructors import clear_arguments

MODES = ("auto", "min", "max")


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments; one without a signature can."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def number(what: str, value: object) -> float:
    """The value as a float; ValueError, naming `what`, if it isn't a finite number."""
    if (found := finite_number(value)) is None:
        raise ValueError(f"{what}: expected a finite number, got {value!r}")
    return found


class Monitor(Callback):
    """What watches one value, `monitor`, and knows which way is better: `mode`, of which "auto" asks the model's metrics.

    NaN is never better.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, verbose: int = 0) -> None:
        name = type(self).__name__
        if not isinstance(monitor, str) or not monitor:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name}: monitor: expected a name in the logs, such as 'val_loss', got {monitor!r}")
        if mode not in MODES:
            raise ValueError(f"{name}: mode: expected one of {', '.join(MODES)}, got {mode!r}")
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(number(f"{name}: min_delta", min_delta))
        self.verbose = shows(f"{name}: verbose", verbose)
        self.best: float | None = None
        self._told = False

    @property
    def watches(self) -> bool:
        """Whether the value is needed."""
        return True

    def check(self) -> None:
        """ValueError if the logs won't have the value, or if nobody knows which way it is better; before the first step."""
        names: Mapping[str, str | None] = self.params.get("metrics", {})
        if not self.watches:
            return
        if self.monitor not in names:
            hint = (
                "; there is no validation data" if self.monitor.startswith("val_") and not any(n.startswith("val_") for n in names) else ""
            )
            raise ValueError(f"{type(self).__name__}: there is no {self.monitor} in the logs, which have {', '.join(names)}{hint}")
        self._sign()

    def value_in(self, logs: Logs | None) -> float | None:
        """The watched value; None, with one warning, where there is none. ValueError for several numbers."""
        found = (logs or {}).get(self.monitor)
        if found is None:
            if not self._told:
                self._told = True
                there = ", ".join(logs or {}) or "nothing"
                warnings.warn(f"{type(self).__name__}: there is no {self.monitor} in the logs, which have {there}", stacklevel=2)
            return None
        if np.ndim(found):
            raise ValueError(
                f"{type(self).__name__}: {self.monitor} is {np.size(found)} numbers, and can't be watched: choose another value"
            )
        return float(found)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another by more than `min_delta`; anything but NaN is better than None."""
        if math.isnan(value):
            return False
        sign = self._sign()
        return than is None or math.isnan(than) or sign * value - self.min_delta > sign * than

    def _sign(self) -> int:
        mode = self.params.get("metrics", {}).get(self.monitor) if self.mode == "auto" else self.mode
        if mode is None and self.monitor.removeprefix("val_") == "loss":
            mode = "min"
        if mode is None:
            raise ValueError(
                f"{type(self).__name__}: nothing is known of which way {self.monitor} is better: give mode='min' or mode='max'"
            )
        return 1 if mode == "max" else -1

    def say(self, text: str) -> None:
        """Prints a line, if it is verbose."""
        if self.verbose:
            print(text)


@clear_arguments("callback")
class EarlyStopping(Monitor):
    """Stops the training when a value hasn't become better for `patience` epochs, as Keras's EarlyStopping.

    argument              type                  meaning                                                            default
    --------------------  --------------------  -----------------------------------------------------------------  ----------
    monitor               str                   name of a value in the logs                                        "val_loss"
    min_delta             float                 better is better by more than this                                 0
    patience              int from 0            epochs without a better value that are waited for                  0
    verbose               bool, 0 or 1          whether it says that it has stopped                                0
    mode                  "auto", "min", "max"  which way is better; "auto" knows it of losses and metrics         "auto"
    baseline              float                 value to be reached: epochs that are better than the last best     None
                                                but not than this go on being counted
    restore_best_weights  bool                  whether the weights of the best epoch are set at the end           False
    start_from_epoch      int from 0            epoch, from 0, before which nothing is looked at                   0

    The optimizer's state isn't set back with the weights. ValueError for arguments that aren't of these types, and in `fit`, before the
    first step, if the logs won't have the value or nobody knows which way it is better.

    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import EarlyStopping
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam(0.1) } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> x, y = np.random.default_rng(0).normal(size=(2, 32, 5, 3))
    >>> stopping = EarlyStopping(patience=3, restore_best_weights=True)
    >>> history = model.fit(x, y[:, 0, 0], epochs=200, validation_split=0.5, verbose=False, callbacks=[stopping])
    >>> len(history.epoch) < 200, min(history.history["val_loss"]) == stopping.best
    (True, True)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, verbose)
        self.patience = whole_number("EarlyStopping: patience", patience, 0)
        self.baseline = None if baseline is None else number("EarlyStopping: baseline", baseline)
        self.restore_best_weights = true_or_false("EarlyStopping: restore_best_weights", restore_best_weights)
        self.start_from_epoch = whole_number("EarlyStopping: start_from_epoch", start_from_epoch, 0)
        self._start_anew()

    def _start_anew(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier training."""
        self._start_anew()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the value."""
        value = self.value_in(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Sets the best weights, if that is asked for."""
        if self.stopped_epoch > 0:
            self.say(f"epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            self.say(f"the weights are those after epoch {self.best_epoch + 1}, the best")
            self.model.set_weights(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """The count of epochs, and the best."""
        names = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self.wait, self.stopped_epoch, self.best_epoch = state["wait"], state["stopped_epoch"], state["best_epoch"]
        self.best, self.best_weights = state["best"], state["best_weights"]


def _refuse_schedule(callback: Callback) -> None:
    """Tells before the first step that a schedule sets the learning rate, which the callback would set."""
    schedule = callback.model.optimizer.schedule
    if not isinstance(schedule, float):
        name, theirs = type(callback).__name__, type(schedule).__name__
        raise ValueError(f"{name}: the schedule {theirs} sets the learning rate: leave one of the two out")


def _learning_rate(callback: Callback, logs: Logs | None) -> float:
    """The model's learning rate, which is also put into the logs of an epoch's end."""
    rate = float(callback.model.learning_rate)
    if logs is not None:
        logs["learning_rate"] = rate
    return rate


@clear_arguments("callback")
class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` when a value hasn't become better for `patience` epochs, as Keras's ReduceLROnPlateau.

    argument   type                  meaning                                                           default
    ---------  --------------------  ----------------------------------------------------------------  ----------
    monitor    str                   name of a value in the logs                                       "val_loss"
    factor     float, 0 to below 1   factor of the learning rate                                       0.1
    patience   int from 0            epochs without a better value that are waited for                 10
    verbose    bool, 0 or 1          whether it says what it does                                      0
    mode       "auto", "min", "max"  which way is better; "auto" knows it of losses and metrics        "auto"
    min_delta  float                 better is better by more than this                                0.0001
    cooldown   int from 0            epochs after a reduction in which nothing is counted              0
    min_lr     float from 0          least learning rate                                               0.0

    The logs get `learning_rate`. ValueError as for `EarlyStopping`, and for an optimizer whose learning rate is a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, verbose)
        self.factor = number("ReduceLROnPlateau: factor", factor)
        if not 0.0 <= self.factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor: expected a number from 0 to below 1, got {factor!r}")
        self.patience = whole_number("ReduceLROnPlateau: patience", patience, 0)
        self.cooldown = whole_number("ReduceLROnPlateau: cooldown", cooldown, 0)
        self.min_lr = number("ReduceLROnPlateau: min_lr", min_lr)
        if self.min_lr < 0:
            raise ValueError(f"ReduceLROnPlateau: min_lr: expected a number from 0, got {min_lr!r}")
        self._start_anew()

    def _start_anew(self) -> None:
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier training."""
        _refuse_schedule(self)
        self._start_anew()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the value."""
        rate = _learning_rate(self, logs)
        value = self.value_in(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                reduced = max(rate * self.factor, self.min_lr)
                self.model.learning_rate = reduced
                self.say(f"epoch {epoch + 1}: the learning rate is now {reduced:g}")
                self.cooldown_counter, self.wait = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The counts, and the best."""
        return {"best": self.best, "cooldown_counter": self.cooldown_counter, "wait": self.wait}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self.best, self.cooldown_counter, self.wait = state["best"], state["cooldown_counter"], state["wait"]


@clear_arguments("callback")
class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch, as Keras's LearningRateScheduler.

    argument  type      meaning                                                                                   default
    --------  --------  ----------------------------------------------------------------------------------------  --------
    schedule  function  gives the rate, a finite number from 0, of the epoch, from 0, and the rate so far; or of   required
                        the epoch alone
    verbose   bool      whether it says what it sets                                                              0

    The logs get `learning_rate`. ValueError for an optimizer whose learning rate is a schedule.

    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import LearningRateScheduler
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = SGD(0.5) } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=3, verbose=False, callbacks=[halve]).history["learning_rate"]
    [0.25, 0.125, 0.0625]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise ValueError(f"LearningRateScheduler: schedule: expected a function of the epoch and the rate, got {schedule!r}")
        self.schedule = schedule
        self.verbose = shows("LearningRateScheduler: verbose", verbose)
        self._takes_rate = takes(schedule, 2)
        if not self._takes_rate and not takes(schedule, 1):
            raise ValueError("LearningRateScheduler: schedule: it must take (epoch, rate) or (epoch)")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Looks at the optimizer."""
        _refuse_schedule(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets the rate."""
        given = self.schedule(epoch, float(self.model.learning_rate)) if self._takes_rate else self.schedule(epoch)
        rate = finite_number(given)
        if rate is None or rate < 0:
            raise ValueError(f"LearningRateScheduler: schedule gave {given!r} for epoch {epoch}; expected a finite number from 0")
        self.model.learning_rate = rate
        if self.verbose:
            print(f"epoch {epoch + 1}: the learning rate is now {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Puts the rate into the logs."""
        _learning_rate(self, logs)
