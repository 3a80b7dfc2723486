"""Forward, loss, backward, update: one step, an epoch, a fit, an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from rnnspec.contract.executable import Array, CallRequest, Executable
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.model.random_streams import draw_key
from rnnspec.runtime.model.weights import Parameters
from rnnspec.signals import ready_to_defer
from rnnspec.training.callbacks import Callback
from rnnspec.training.examples import ExampleBatch, Examples
from rnnspec.training.losses import value_and_gradient
from rnnspec.training.objectives import Objective
from rnnspec.training.penalties import Penalties
from rnnspec.training.sequence_losses import NativeLosses, Sequences
from rnnspec.training.updates import Updates


@dataclass(slots=True)
class Score:
    """Sums over the counted rows of one output, from which its means come."""

    objective: Objective
    rows: int = 0
    weight: float = 0.0
    loss: float = 0.0
    sums: list[float] = field(init=False)
    weighted_sums: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sums = [0.0] * len(self.objective.metrics)
        self.weighted_sums = [0.0] * len(self.objective.weighted_metrics)

    def add(self, loss: float, predictions: Array, targets: Array, weights: Array | None = None) -> None:
        """A batch: its mean loss, and its counted rows, with their weights, for the metrics."""
        self.rows += len(predictions)
        self.weight += len(predictions) if weights is None else float(weights.sum(dtype=np.float64))
        self.loss += loss * len(predictions)
        for number, metric in enumerate(self.objective.metrics):
            self.sums[number] += float(metric.rows(predictions, targets).sum(dtype=np.float64))
        for number, metric in enumerate(self.objective.weighted_metrics):
            values = metric.rows(predictions, targets)
            self.weighted_sums[number] += float((values if weights is None else values * weights).sum(dtype=np.float64))

    def add_samples(self, loss: float, samples: int) -> None:
        """A batch of a loss over whole sequences, which has no metrics of rows."""
        self.rows += samples
        self.loss += loss * samples

    @property
    def mean_loss(self) -> float:
        """0 if no row counted."""
        return self.loss / max(self.rows, 1)

    def metrics(self) -> dict[str, float]:
        """The means by name, 0 if no row counted."""
        pairs = zip(self.objective.metrics, self.sums, strict=True)
        return {self.objective.log_name(metric): total / max(self.rows, 1) for metric, total in pairs}

    def weighted_metrics(self) -> dict[str, float]:
        """The weighted means by name, Σ w·v / Σ w; 0 if the weights' sum is."""
        pairs = zip(self.objective.weighted_metrics, self.weighted_sums, strict=True)
        return {self.objective.log_name(metric, weighted=True): total / self.weight if self.weight else 0.0 for metric, total in pairs}


class Totals:
    """The totals of a run over batches."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.scores = [Score(objective) for objective in objectives]
        self._samples = 0
        self._penalty = 0.0

    def add_penalty(self, penalty: float, samples: int) -> None:
        """A batch's; the whole run's is the mean over its samples."""
        self._samples += samples
        self._penalty += penalty * samples

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The whole loss, then each output's own if there are several, then the metrics, then the weighted metrics."""
        total = sum(score.objective.weight * score.mean_loss for score in self.scores) + self._penalty / max(self._samples, 1)
        logs = {f"{prefix}loss": total}
        if len(self.scores) > 1:
            logs |= {f"{prefix}{score.objective.label}_loss": score.mean_loss for score in self.scores}
        for score in self.scores:
            logs |= {f"{prefix}{name}": value for name, value in score.metrics().items()}
        for score in self.scores:
            logs |= {f"{prefix}{name}": value for name, value in score.weighted_metrics().items()}
        return logs


@frozen
class Trainer:
    """A model's native code and weights with what they are trained by; the caller keeps other writers of the weights out."""

    executable: Executable
    parameters: Parameters
    objectives: tuple[Objective, ...]
    penalties: Penalties
    sequence_losses: NativeLosses = field(default_factory=lambda: NativeLosses(None))

    def step(self, batch: ExampleBatch, updates: Updates, key: int, totals: Totals) -> float:
        """One forward, backward and update; the batch's loss before the update, penalties included, also added to `totals`."""
        return ready_to_defer(partial(self._step, batch, updates, key, totals))

    def _step(self, batch: ExampleBatch, updates: Updates, key: int, totals: Totals) -> float:
        inputs = batch.inputs
        rows = updates.catch_up(inputs.inputs)
        everything, tape = self.parameters.read(
            lambda weights, version: self.executable.record(
                CallRequest(inputs.inputs, inputs.indices, weights, version, training=True, key=key, activities=True)
            ),
            flushed=False,
        )
        count = len(everything) - sum(weight.updated for weight in self.parameters.signatures)
        given, updated = everything[:count], everything[count:]
        outputs, activities = self._parted(given)
        gradients: dict[int, Array] = {}
        loss = self._scored(outputs, batch, totals, gradients)
        cotangents = [gradients[place] if place in gradients else np.zeros_like(values) for place, values in enumerate(given)]
        penalty = self.penalties.of_activities(activities, cotangents[len(outputs) :])

        def derived(weights: Array, version: int) -> tuple[Array, float]:
            flat, _ = self.executable.backward(tape, cotangents, weights, version, input_gradients=False, gradient=updates.zeros())
            return flat, self.penalties.of_weights(weights, flat)

        flat, of_weights = self.parameters.read(derived, flushed=False)
        penalty += of_weights

        def updated_weights(weights: Array) -> None:
            updates.apply(weights, flat, rows)
            self.penalties.constrain(weights)
            self.parameters.put_updates(weights, updated)

        self.parameters.change(updated_weights, flushed=False)
        totals.add_penalty(penalty, inputs.size)
        return loss + penalty

    def evaluate(self, examples: Examples, rows: range, batch_size: int, prefix: str = "") -> dict[str, float]:
        """The means over the given samples: of all their counted rows, however they fall into batches."""
        totals = Totals(self.objectives)
        for start in range(rows.start, rows.stop, batch_size):
            batch = examples.batch(slice(start, min(start + batch_size, rows.stop)))
            given, penalty = self.parameters.read(partial(self._inferred, batch))
            outputs, activities = self._parted(given)
            self._scored(outputs, batch, totals, None)
            totals.add_penalty(penalty + self.penalties.of_activities(activities, None), batch.inputs.size)
        return totals.logs(prefix)

    def _inferred(self, batch: ExampleBatch, weights: Array, version: int) -> tuple[tuple[Array, ...], float]:
        """A batch's outputs and activities in inference, and the weights' penalty."""
        inputs = batch.inputs
        given = self.executable.forward(CallRequest(inputs.inputs, inputs.indices, weights, version, activities=True))
        return given, self.penalties.of_weights(weights, None)

    def _parted(self, given: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        """The outputs, then the outputs of layers with activity regularizers."""
        count = len(given) - len(self.penalties.activities)
        return given[:count], given[count:]

    def _scored(self, outputs: Sequence[Array], batch: ExampleBatch, totals: Totals, gradients: dict[int, Array] | None) -> float:
        """The weighted sum of the outputs' losses, which are added to `totals`; its gradients go by their outputs' places."""
        total = 0.0
        for objective, targets, score in zip(self.objectives, batch.targets, totals.scores, strict=True):
            output = outputs[objective.place]
            if isinstance(targets, Sequences):
                loss, gradient = self.sequence_losses.value_and_gradient(targets, output, objective.weight, derive=gradients is not None)
                score.add_samples(loss, targets.size)
            else:
                predictions = targets.rows(output)
                loss, gradient = value_and_gradient(objective.row_loss, predictions, targets.targets, targets.weights)
                score.add(loss, predictions, targets.targets, targets.weights)
                gradient = targets.spread(gradient * objective.weight, output)
            total += objective.weight * loss
            if gradients is not None and gradient is not None:
                gradients[objective.place] = gradient
        return total


@frozen
class Fit:
    """One fit's data and settings. `random` draws the shuffles and the dropout keys, in this order, epoch by epoch."""

    trainer: Trainer
    updates: Updates
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
        totals = Totals(self.trainer.objectives)
        for number, start in enumerate(starts):
            stop = min(start + self.batch_size, len(self.rows))
            rows: Rows = slice(self.rows.start + start, self.rows.start + stop) if order is None else order[start:stop]
            key = draw_key(self.random)
            self.trainer.step(self.examples.batch(rows), self.updates, key, totals)
            for callback in callbacks:
                callback.on_batch_end(number, totals.logs())
        logs = totals.logs()
        if self.validation is not None:
            examples, held_out = self.validation
            logs |= self.trainer.evaluate(examples, held_out, self.batch_size, "val_")
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
