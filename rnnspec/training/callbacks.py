"""Callbacks of `Model.fit`: objects whose methods are called as training goes on.

>>> import numpy as np
>>> import rnnspec
>>> from rnnspec.training.callbacks import Callback
>>> class Count(Callback):
...     updates = 0
...
...     def on_batch_end(self, batch, logs):
...         self.updates += 1
>>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
>>> model = rnnspec.compile(spec, seed=1)
>>> count = Count()
>>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), batch_size=4, epochs=3, verbose=False, callbacks=[count])
>>> count.updates, history.epoch
(6, [0, 1, 2])
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from rnnspec.training.constructors import absent


class Callback:
    """The hooks that `fit` calls; a subclass overrides the ones that it needs.

    Logs are means over the epoch so far: `loss`, the metrics by name, and at an epoch's end the same
    with `val_` in front if there is validation data. They are floats, and arrays for metrics of several numbers.
    """

    def on_train_begin(self, epochs: int, batches: int) -> None:
        """Before the first epoch; `batches` in each."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0."""

    def on_batch_end(self, batch: int, logs: Mapping[str, Any]) -> None:
        """After an update, counted from 0 in its epoch."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """After an epoch and its validation."""

    def on_train_end(self) -> None:
        """After the last epoch, and when training is broken off."""


class History(Callback):
    """The record that `fit` returns. `history`: for each log's name a list with one value an epoch. `epoch`: the epochs' numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Appends the epoch's number and its `logs`."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


_HOOKS: Mapping[str, tuple[str, ...]] = {
    "on_train_begin": ("epochs", "batches"),
    "on_epoch_begin": ("epoch",),
    "on_batch_end": ("batch", "logs"),
    "on_epoch_end": ("epoch", "logs"),
    "on_train_end": (),
}
"""The methods of a callback, and what each is called with."""

_A_CALLBACK = "a callback is an object of a class that inherits rnnspec.training.callbacks.Callback"


def checked_callbacks(given: object) -> tuple[Callback, ...]:
    """The callbacks of a call; None are none. ValueError for anything but a list of them whose methods can be called."""
    if given is None:
        return ()
    if isinstance(given, Callback):
        raise ValueError(f"callbacks: expected a list of callbacks, got one {type(given).__name__}: put it into a list, [...]")
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise ValueError(f"callbacks: expected a list of callbacks, got {given!r}; {_A_CALLBACK}")
    callbacks: list[Callback] = []
    for place, callback in enumerate(cast(Sequence[object], given)):
        if not isinstance(callback, Callback):
            if name := _class_name(callback):
                raise ValueError(f"callbacks, number {place}: {name} is a class: write {name}()")
            kind = "Keras's" if type(callback).__module__.partition(".")[0] == "keras" else "no callback"
            raise ValueError(f"callbacks, number {place}: {callback!r} is {kind}; {_A_CALLBACK}")
        for hook, arguments in _HOOKS.items():
            _check_hook(callback, hook, arguments)
        callbacks.append(callback)
    return tuple(callbacks)


def _class_name(given: object) -> str:
    """Of a class of callbacks; empty for anything else."""
    return given.__name__ if isinstance(given, type) and issubclass(given, Callback) else ""


def _check_hook(callback: Callback, hook: str, arguments: tuple[str, ...]) -> None:
    """Refuses a method that can't be called as `fit` calls it."""
    try:
        inspect.signature(getattr(callback, hook)).bind(*arguments)
    except TypeError:
        taken = ", ".join(("self", *arguments))
        raise ValueError(f"callbacks: {hook} of {type(callback).__name__} can't be called: it must take ({taken})") from None
    except ValueError:  # it has no signature to look at
        pass


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "callback", name)
