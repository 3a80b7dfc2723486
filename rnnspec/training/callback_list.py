"""The callbacks of one training: what is taken for one, and who is called when."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from rnnspec.diagnostics import NotFiniteWarning, caller_level
from rnnspec.training.backup import Checkpoints
from rnnspec.training.callbacks import Callback, History, Logs
from rnnspec.training.monitors import LearningRateScheduler, Monitor, ReduceLROnPlateau, takes
from rnnspec.training.progress import Shown

if TYPE_CHECKING:
    import numpy as np

    from rnnspec.training.loop import Totals
    from rnnspec.training.model import Model

_A_CALLBACK = "a callback is an object of a class that inherits rnnspec.callbacks.Callback"

WEIGHTS_BEFORE = "the weights are those before this"

_HOOKS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("on_train_begin", "on_train_end", "on_test_begin", "on_test_end"), ("logs",)),
    **dict.fromkeys(("on_epoch_begin", "on_epoch_end"), ("epoch", "logs")),
    **dict.fromkeys(("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"), ("batch", "logs")),
    **dict.fromkeys(("on_test_batch_begin", "on_test_batch_end"), ("batch", "logs")),
    "set_model": ("model",),
    "set_params": ("params",),
    "close": (),
    "state_dict": (),
    "load_state_dict": ("state",),
}
"""The methods of a callback, and what each is called with."""


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
        if any(callback is other for other in callbacks):
            raise ValueError(f"callbacks, number {place}: {type(callback).__name__} is in the list twice")
        for hook, arguments in _HOOKS.items():
            _check_hook(callback, hook, arguments)
        callbacks.append(callback)
    return tuple(callbacks)


def _class_name(given: object) -> str:
    """Of a class of callbacks; empty for anything else."""
    return given.__name__ if isinstance(given, type) and issubclass(given, Callback) else ""


def _check_hook(callback: Callback, hook: str, arguments: tuple[str, ...]) -> None:
    """Refuses a method that can't be called as a training calls it."""
    if not takes(getattr(callback, hook), len(arguments)):
        taken = ", ".join(("self", *arguments))
        raise ValueError(f"callbacks: {hook} of {type(callback).__name__} can't be called: it must take ({taken})")


def _overrides(callback: Callback, *hooks: str) -> bool:
    """Whether a callback has one of the hooks of its own, by its class or as an attribute."""
    return any(getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook) for hook in hooks)


class CallbackList:
    """All callbacks of one training or evaluation, called in their order. As a context it closes them, whatever happens.

    Whoever has no hook of batches isn't called at batches, and without any the means of a batch aren't computed.
    """

    def __init__(
        self,
        callbacks: Sequence[Callback],
        model: Model | None,
        params: Mapping[str, Any],
        begin: int = 0,
        random: np.random.Generator | None = None,
    ) -> None:
        """`params`: see `Callback`. `begin`: the first epoch; `random`: what a training draws from. Checkpoints come last.

        ValueError for callbacks that look at a value which no logs will have.
        """
        self.model = model
        self.begin = begin
        self.not_finite = ""
        """The reason why the training ended at a number that isn't finite."""
        self._random = random
        self._params = params
        self.leads = params.get("rank", 0) == 0
        """Whether this process writes what the training writes."""
        ordered = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoints))
        self._kept = [callback for callback in ordered if not isinstance(callback, Checkpoints | Shown)]
        self._all = tuple(callback for callback in ordered if self.leads or not callback.writes)
        for callback in self._all:
            if isinstance(callback, Checkpoints):
                callback.attach(self)
        if any(isinstance(callback, LearningRateScheduler | ReduceLROnPlateau) for callback in self._all):
            params = {**params, "metrics": {**params["metrics"], "learning_rate": None}}
        for callback in self._all:
            if model is not None:
                callback.set_model(model)
            callback.set_params(params)
        known = all(type(callback).__module__.startswith("rnnspec.") for callback in self._all)  # others may add to the logs
        for callback in self._all:
            if known and isinstance(callback, Monitor):
                callback.check()
        batches = {name: (f"on_train_batch_{name}", f"on_batch_{name}") for name in ("begin", "end")}
        self._batch_begin, self._batch_end = ([each for each in self._all if _overrides(each, *hooks)] for hooks in batches.values())
        tests = ("on_test_batch_begin", "on_test_batch_end")
        self._test_batch_begin, self._test_batch_end = ([each for each in self._all if _overrides(each, hook)] for hook in tests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as stack:
            for callback in reversed(self._all):
                stack.callback(callback.close)

    @property
    def stopped(self) -> bool:
        """Whether a callback has stopped the training."""
        return self.model is not None and self.model.stop_training

    def end(self, reason: str, update: str = "batch") -> None:
        """Ends the training behind this batch, whose epoch isn't whole: a warning tells that the weights are those before an `update`."""
        self.not_finite = reason
        for callback in self._all:
            if isinstance(callback, History):
                callback.not_finite = reason
        if self.model is not None:
            self.model.stop_training = True
        warnings.warn(f"{reason}; {WEIGHTS_BEFORE} {update}", NotFiniteWarning, stacklevel=caller_level())

    def train_begin(self) -> None:
        """Before the first epoch."""
        for callback in self._all:
            callback.on_train_begin({})

    def train_end(self, logs: Logs) -> None:
        """After the last epoch."""
        for callback in self._all:
            callback.on_train_end(logs)

    def epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""
        for callback in self._all:
            callback.on_epoch_begin(epoch, {})

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch; the logs are for all of them to change."""
        for callback in self._all:
            callback.on_epoch_end(epoch, logs)

    def batch_begin(self, batch: int) -> None:
        """Before an update."""
        for callback in self._batch_begin:
            callback.on_train_batch_begin(batch, {})

    def batch_end(self, batch: int, totals: Totals) -> None:
        """After an update."""
        if self._batch_end:
            logs = totals.logs()
            for callback in self._batch_end:
                callback.on_train_batch_end(batch, logs)

    def test_begin(self) -> None:
        """Before an evaluation."""
        for callback in self._all:
            callback.on_test_begin({})

    def test_end(self, totals: Totals) -> None:
        """After an evaluation."""
        if watching := [callback for callback in self._all if _overrides(callback, "on_test_end")]:
            logs = totals.logs()
            for callback in watching:
                callback.on_test_end(logs)

    def test_batch_begin(self, batch: int) -> None:
        """Before a batch of an evaluation."""
        for callback in self._test_batch_begin:
            callback.on_test_batch_begin(batch, {})

    def test_batch_end(self, batch: int, totals: Totals) -> None:
        """After a batch of an evaluation."""
        if self._test_batch_end:
            logs = totals.logs()
            for callback in self._test_batch_end:
                callback.on_test_batch_end(batch, logs)

    def place(self, epoch: int) -> dict[str, Any]:
        """The place of the run before an epoch, as plain data: what it draws from, the callbacks' states, whether it was stopped."""
        return {
            "epoch": epoch,
            "steps": self._params["steps"],
            "shards": self._params.get("shards", 1),
            "stopped": self.stopped,
            "random": None if self._random is None else dict(self._random.bit_generator.state),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self._kept],
        }

    def go_on_from(self, place: Mapping[str, Any]) -> None:
        """Goes on from what `place` gave; ValueError for a run of other callbacks, or of epochs of other lengths."""
        before, now = [name for name, _ in place["callbacks"]], [type(callback).__name__ for callback in self._kept]
        if before != now:
            raise ValueError(f"the training that was broken off had the callbacks {', '.join(before)}, this one has {', '.join(now)}")
        if place["steps"] != self._params["steps"]:
            raise ValueError(
                f"the training that was broken off had {place['steps']} batches an epoch, this one has {self._params['steps']}"
            )
        if (shards := place.get("shards", 1)) != (now_in := self._params.get("shards", 1)):
            raise ValueError(f"the training that was broken off had {shards} shards, this one has {now_in}: the sums would be others")
        for callback, (_, state) in zip(self._kept, place["callbacks"], strict=True):
            callback.load_state_dict(state)
        if self._random is not None:
            self._random.bit_generator.state = place["random"]
        self.begin = place["epoch"]
        if self.model is not None:
            self.model.stop_training = place["stopped"]


NO_CALLBACKS = CallbackList((), None, {"metrics": {}})
