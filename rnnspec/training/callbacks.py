"""The base of all callbacks, and the record that `fit` returns; the callbacks themselves are in `rnnspec.callbacks`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from rnnspec.files import write_atomically
from rnnspec.locks import LLVM

if TYPE_CHECKING:
    from rnnspec.svg import Svg
    from rnnspec.training.model import Model

Logs = dict[str, Any]
"""Values by name: floats, and arrays of metrics with several numbers."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Callback:
    """The hooks of a training, with Keras's names and arguments; a subclass overrides the ones that it needs.

    `model`: the model that is trained; a hook may stop the training by `self.model.stop_training = True`, which ends it behind the batch
    or epoch at hand, and may predict, evaluate, save, and change weights or the learning rate. `params`: "epochs", "steps" of an epoch
    (None where that isn't known), "verbose", and "metrics", a mapping from the names that logs have to "min", "max" or None: which way
    is better. Of a training in shards also "shards", "rank", "ranks" (the number of processes) and "sent": there every process
    calls its own callbacks, which must do the same to the model on each; one whose class has `writes = True` is called on rank 0 alone.

    Epochs and batches are counted from 0. `logs` of batches and epochs are means over the epoch so far, `loss` and the metrics by name;
    at an epoch's end the same with `val_` in front if there is validation. They are floats, and arrays for metrics of several numbers.
    What a hook adds to an epoch's logs is seen by the callbacks behind it, and by the history.

    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import Callback
    >>> class Enough(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.model.stop_training = logs["loss"] < 1.0
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> x, y = np.ones((8, 5, 3)), np.ones((8, 1))
    >>> history = model.fit(x, y, epochs=500, verbose=False, callbacks=[Enough()])
    >>> len(history.epoch) < 500, history.history["loss"][-1] < 1.0
    (True, True)
    """

    writes: ClassVar[bool] = False
    """Whether it only writes or shows something, and does nothing to the model: of several processes the first alone calls it."""
    params: Mapping[str, Any] = NOTHING
    arguments: Mapping[str, Any] = NOTHING
    """By name what one of `rnnspec.callbacks` was made with."""
    _model: Model | None = None

    @property
    def model(self) -> Model:
        """The model of the training; RuntimeError for a callback that no training has had yet."""
        if self._model is None:
            raise RuntimeError(f"{type(self).__name__} has no model: it gets one from fit or evaluate")
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no model, which would be copied with it."""
        return {name: value for name, value in vars(self).items() if name != "_model"}

    def set_model(self, model: Model) -> None:
        """Takes the model, before the first hook."""
        self._model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Takes `params`, before the first hook."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs, also where a callback has stopped the training; not after an exception, see `close`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Keras's other name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Keras's other name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch's update."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch's update."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before a validation or an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After a validation or an evaluation; its logs have no `val_` in front."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a validation or an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a validation or an evaluation."""

    def close(self) -> None:
        """Gives back files, a terminal and the like: behind `on_train_end`, and after an exception, a Ctrl-C for one, without it."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it between two epochs, by name: numbers, texts, None, and arrays, or lists and dicts of these."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave; called behind `on_train_begin`."""


class History(Callback):
    """The record that `fit` returns. `history`: for each log's name a list with one value an epoch. `epoch`: the epochs' numbers.

    A notebook shows it as the training's curves.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.not_finite = ""
        """The reason why the training ended at a number that isn't finite; empty otherwise."""
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Appends the epoch's number and its `logs`."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """The record so far."""
        return {"epoch": self.epoch, "history": self.history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with a record."""
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}

    def plot(self, path: str | os.PathLike[str] | None = None, names: Sequence[str] | None = None) -> Svg:
        """The training's curves as an SVG: a panel for the loss and for each metric, with that of validation, over the epochs from 1.

        argument  type            meaning                                                                   default
        --------  --------------  ------------------------------------------------------------------------  -------
        path      path            file to write, a `.svg`; an older one stays until the new one is whole    None
        names     list of names   values to draw, such as `["loss"]`, each with its `val_`                  all

        The SVG is a text, which a notebook shows as a picture. Values that aren't finite are gaps; of a metric of several numbers the first
        ten are drawn. ValueError for a history without epochs, for an unknown name, for values that aren't a number an epoch, and for
        another ending; OSError for a file that can't be written.

        >>> import numpy as np
        >>> import rnnspec
        >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
        >>> model = rnnspec.compile(spec, seed=1)
        >>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=3, verbose=False)
        >>> history.plot().startswith("<svg")  # history.plot("curves.svg") writes it as well
        True
        """
        with LLVM:  # a fork waits for who imports
            from rnnspec.training import curves
        place = None if path is None else curves.check_ending(path)
        drawn = curves.draw(self.epoch, self.history, names)
        if place is not None:
            write_atomically(place, drawn.encode())
        return drawn

    def _repr_svg_(self) -> str | None:
        """What a notebook shows, None for a history that can't be drawn."""
        try:
            return str(self.plot())
        except ValueError:
            return None
