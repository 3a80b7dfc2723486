"""Who is told how a training goes."""

from __future__ import annotations

from collections.abc import Mapping


class Callback:
    """What `fit` calls; a subclass overrides what it needs.

    Logs are means over the epoch so far: `loss`, the metrics by name, and at an epoch's end the same
    with `val_` in front if there is validation data.
    """

    def on_train_begin(self, epochs: int, batches: int) -> None:
        """Before the first epoch; `batches` in each."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0."""

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """After an update, counted from 0 in its epoch."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """After an epoch and its validation."""

    def on_train_end(self) -> None:
        """After the last epoch, and when training is broken off."""


class History(Callback):
    """What `fit` returns: `history`, a list with one value an epoch under each log's name; `epoch`, their numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
