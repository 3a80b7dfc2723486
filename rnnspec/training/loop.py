"""Forward, loss, backward, update: one step, an epoch, a fit, an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnspec.runtime.columns import Rows
from rnnspec.runtime.executable import Array, Executable
from rnnspec.runtime.parameters import Parameters
from rnnspec.runtime.randomness import draw_key
from rnnspec.training.callbacks import Callback
from rnnspec.training.examples import ExampleBatch, Examples
from rnnspec.training.losses import Loss, value_and_gradient
from rnnspec.training.metrics import Metric
from rnnspec.training.optimizers import Optimizer


@dataclass(slots=True)
class Totals:
    """Sums over counted rows, from which the means come."""

    metrics: Sequence[Metric]
    rows: int = 0
    loss: float = 0.0
    sums: list[float] = field(default_factory=list[float])

    def add(self, loss: float, predictions: Array, targets: Array) -> None:
        """A batch: its mean loss, and its counted rows for the metrics."""
        self.rows += len(predictions)
        self.loss += loss * len(predictions)
        if not self.sums:
            self.sums = [0.0] * len(self.metrics)
        for number, metric in enumerate(self.metrics):
            self.sums[number] += float(metric.rows(predictions, targets).sum(dtype=np.float64))

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The means by name, 0 if no row counted."""
        count = max(self.rows, 1)
        sums = self.sums or [0.0] * len(self.metrics)
        logs = {f"{prefix}loss": self.loss / count}
        return logs | {f"{prefix}{metric.name}": total / count for metric, total in zip(self.metrics, sums, strict=True)}


@dataclass(frozen=True, slots=True)
class Trainer:
    """A model's native code and weights with what they are trained by; the caller keeps other writers of the weights out."""

    executable: Executable
    parameters: Parameters
    loss: Loss
    metrics: tuple[Metric, ...]

    def step(self, batch: ExampleBatch, optimizer: Optimizer, key: int, totals: Totals) -> float:
        """One forward, backward and update; the batch's mean loss before the update, also added to `totals`."""
        inputs = batch.inputs
        with self.parameters.reading() as (weights, version):
            (output, *updates), tape = self.executable.record(
                inputs.inputs, inputs.indices, weights, weights_version=version, training=True, key=key
            )
            predictions = batch.rows(output)
            loss, gradient = value_and_gradient(self.loss, predictions, batch.targets, batch.weights)
            flat, _ = self.executable.backward(
                tape,
                [batch.spread(gradient, output)],
                weights,
                weights_version=version,
                training=True,
                key=key,
                input_gradients=False,
            )
        with self.parameters.updating() as weights:
            optimizer.step(weights, flat)
            self.parameters.put_updates(weights, updates)
        totals.add(loss, predictions, batch.targets)
        return loss

    def evaluate(self, examples: Examples, rows: range, batch_size: int, prefix: str = "") -> dict[str, float]:
        """The means over the given samples: of all their counted rows, however they fall into batches."""
        totals = Totals(self.metrics)
        for start in range(rows.start, rows.stop, batch_size):
            batch = examples.batch(slice(start, min(start + batch_size, rows.stop)))
            inputs = batch.inputs
            with self.parameters.reading() as (weights, version):
                (output,) = self.executable.forward(inputs.inputs, inputs.indices, weights, weights_version=version, training=False, key=0)
            predictions = batch.rows(output)
            loss, _ = value_and_gradient(self.loss, predictions, batch.targets, batch.weights)
            totals.add(loss, predictions, batch.targets)
        return totals.logs(prefix)


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit's data and settings. `random` draws the shuffles and the dropout keys, in this order, epoch by epoch."""

    trainer: Trainer
    optimizer: Optimizer
    examples: Examples
    rows: range
    batch_size: int
    epochs: int
    shuffle: bool
    random: np.random.Generator
    validation: tuple[Examples, range] | None = None

    def run(self, callbacks: Sequence[Callback]) -> None:
        """All epochs; callbacks are called in their order."""
        starts = range(0, len(self.rows), self.batch_size)
        for callback in callbacks:
            callback.on_train_begin(self.epochs, len(starts))
        try:
            for epoch in range(self.epochs):
                self._epoch(epoch, starts, callbacks)
        finally:
            for callback in callbacks:
                callback.on_train_end()

    def _epoch(self, epoch: int, starts: range, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        order = self.random.permutation(np.arange(self.rows.start, self.rows.stop)) if self.shuffle else None
        totals = Totals(self.trainer.metrics)
        for number, start in enumerate(starts):
            stop = min(start + self.batch_size, len(self.rows))
            rows: Rows = slice(self.rows.start + start, self.rows.start + stop) if order is None else order[start:stop]
            key = draw_key(self.random)
            self.trainer.step(self.examples.batch(rows), self.optimizer, key, totals)
            for callback in callbacks:
                callback.on_batch_end(number, totals.logs())
        logs = totals.logs()
        if self.validation is not None:
            examples, held_out = self.validation
            logs |= self.trainer.evaluate(examples, held_out, self.batch_size, "val_")
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
