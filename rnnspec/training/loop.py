"""Forward, loss, backward, update: one step, an epoch, a fit, an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from rnnspec.contract.executable import Array, CallRequest, Executable, NativeTape, Scores
from rnnspec.contract.objective import Objective as NativeObjective
from rnnspec.contract.objective import RowEquations, loss_name, metrics_name
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.prefetch import closing
from rnnspec.runtime.data.validate import true_or_false
from rnnspec.runtime.model.random_streams import draw_key
from rnnspec.runtime.model.weights import Parameters
from rnnspec.signals import ready_to_defer
from rnnspec.training.callback_list import NO_CALLBACKS, CallbackList
from rnnspec.training.examples import ExampleBatch, Examples
from rnnspec.training.exchange import Exchange
from rnnspec.training.feeds import Feed, warn_of_end
from rnnspec.training.losses import mean_of_rows, value_and_gradient
from rnnspec.training.metrics import values_of_rows
from rnnspec.training.not_finite import LARGE, NotFinite, check_gradient, check_loss, check_update, check_updated
from rnnspec.training.objectives import Objective, Tracked, directions
from rnnspec.training.penalties import Penalties
from rnnspec.training.ranks import meet
from rnnspec.training.sequence_losses import NativeLosses, Sequences
from rnnspec.training.sharding import Derived, WholeBatch, losses_in, sharded_step
from rnnspec.training.shards import Shards
from rnnspec.training.targets import TargetBatch
from rnnspec.training.updates import Rows as TableRows
from rnnspec.training.updates import Updates

Logs: TypeAlias = dict[str, Any]
"""Values by name: floats, and arrays of metrics with several numbers."""


@dataclass(slots=True)
class Score:
    """Sums over the counted rows of one output, from which its means come; all float64."""

    objective: Objective
    rows: int = 0
    weight: float = 0.0
    losses: int = 0
    loss: float = 0.0
    sums: list[Array] = field(init=False)

    def __post_init__(self) -> None:
        self.sums = [np.zeros(metric.of.columns if isinstance(metric.of, RowEquations) else 1) for metric in self.objective.metrics]

    def add(self, loss: float, losses: int, targets: TargetBatch, numbers: Sequence[Array]) -> None:
        """A batch: the sum of so many losses, and each counted row's numbers (rows, columns) for each metric."""
        count, weights = targets.count, targets.weights
        self.rows += count
        self.losses += losses
        self.loss += loss
        with np.errstate(all="ignore"):  # numbers that aren't finite are shown as they are
            self.weight += count if weights is None else float(weights.sum(dtype=np.float64))
            for metric, sums, rows in zip(self.objective.metrics, self.sums, numbers, strict=True):
                values = rows if weights is None or not metric.weighted else rows * weights[:, None]
                sums += values.sum(axis=0, dtype=np.float64)

    def add_samples(self, loss: float, samples: int) -> None:
        """A batch of a loss over whole sequences, which has no metrics of rows: the sum of its losses."""
        self.losses += samples
        self.loss += loss

    def numbers(self) -> Array:
        """All of the sums, float64, as `add_numbers` takes them."""
        return np.concatenate([np.array([self.rows, self.weight, self.losses, self.loss], np.float64), *self.sums])

    def add_numbers(self, numbers: Array) -> None:
        """The sums of others' batches."""
        rows, weight, losses, loss = map(float, numbers[:4])
        self.rows += int(rows)
        self.weight += weight
        self.losses += int(losses)
        self.loss += loss
        start = 4
        for sums in self.sums:
            sums += numbers[start : start + sums.size]
            start += sums.size

    @property
    def mean_loss(self) -> float:
        """0 if no row counted."""
        return self.loss / max(self.losses, 1)

    def metrics(self, scores: Scores) -> Iterator[tuple[Tracked, float | Array]]:
        """The metrics with their values: means over rows, or by their weights, 0 if there are none; or what is computed of totals."""
        for metric, sums in zip(self.objective.metrics, self.sums, strict=True):
            if isinstance(metric.of, RowEquations) and metric.of.totals:
                yield metric, scores.result(metric.of.config, self.objective.output.width, sums)
            else:
                whole = self.weight if metric.weighted else self.rows
                yield metric, float(sums[0]) / whole if whole else 0.0


class Totals:
    """The totals of a run over batches."""

    def __init__(self, objectives: Sequence[Objective], known: Scores) -> None:
        self.scores = [Score(objective) for objective in objectives]
        self._known = known
        self._samples = 0
        self._penalty = 0.0

    def fresh(self) -> Totals:
        """Those of no batch."""
        return Totals([score.objective for score in self.scores], self._known)

    def numbers(self) -> Array:
        """The sums of all outputs, float64, as `add_numbers` takes them."""
        return np.concatenate([np.empty(0), *(score.numbers() for score in self.scores)])

    def add_numbers(self, numbers: Array) -> None:
        """The sums of a batch, its penalty left out."""
        start = 0
        for score in self.scores:
            size = score.numbers().size
            score.add_numbers(numbers[start : start + size])
            start += size

    def add_penalty(self, penalty: float, samples: int) -> None:
        """A batch's; the whole run's is the mean over its samples."""
        self._samples += samples
        self._penalty += penalty * samples

    def logs(self, prefix: str = "") -> Logs:
        """The whole loss, then each output's own if there are several, then the metrics, then the weighted metrics."""
        total = sum(score.objective.weight * score.mean_loss for score in self.scores) + self._penalty / max(self._samples, 1)
        logs: Logs = {f"{prefix}loss": total}
        if len(self.scores) > 1:
            logs |= {f"{prefix}{score.objective.label}_loss": score.mean_loss for score in self.scores}
        values = [(metric, value) for score in self.scores for metric, value in score.metrics(self._known)]
        logs |= {f"{prefix}{metric.name}": value for metric, value in values if not metric.weighted}
        logs |= {f"{prefix}{metric.name}": value for metric, value in values if metric.weighted}
        return logs


@frozen
class Trainer:
    """A model's native code and weights with what they are trained by; the caller keeps other writers of the weights out."""

    executable: Executable
    parameters: Parameters
    objectives: tuple[Objective, ...]
    penalties: Penalties
    dtype: str
    names: tuple[str, ...]
    """The results of a call, the activities left out."""
    native: NativeObjective
    sequence_losses: NativeLosses = field(default_factory=lambda: NativeLosses(None))
    truncate: int = 0
    """The steps of a part of a sequence, behind which gradients are cut; 0: sequences are whole."""
    checkpoint: int = 0
    """See `CallRequest`."""
    allow_nan: bool = False
    """Whether inputs may have numbers that aren't finite in steps that aren't masked."""
    frozen: tuple[str, ...] = ()
    """The weights that aren't trained although they could be, and moving statistics that stay."""
    shards: Shards = field(default_factory=Shards)

    @property
    def trains(self) -> bool:
        """Whether any weight is trained."""
        return any(weight.trainable and weight.name not in self.frozen for weight in self.parameters.signatures)

    def apart(self) -> Trainer:
        """The same with states of its own, from zeros: for a validation that training's states take no part in."""
        return replace(self, executable=self.executable.apart())

    def among(self, exchange: Exchange) -> Trainer:
        """The same, one of several processes that train the model together."""
        return self if exchange is self.shards.exchange else replace(self, shards=self.shards.among(exchange))

    def allowing(self, nan: bool | None) -> Trainer:
        """The same with `allow_nan` as a call has it, None for as it is; ValueError for what is neither true nor false."""
        return self if nan is None else replace(self, allow_nan=true_or_false("allow_nan", nan))

    def train(self, examples: Examples, rows: Rows, updates: Updates, draw: Callable[[], int], totals: Totals) -> None:
        """An update on the chosen samples, or one on each part of their sequences, which goes on with the states of the part before.

        `draw`: draws the key of an update. NotFinite, the batch being in `totals`, instead of an update that would spoil the weights.
        """
        if self.shards.count > 1:
            ready_to_defer(partial(sharded_step, self, examples, rows, updates, draw(), totals))
            return
        if not self.truncate:
            self.step(examples.batch(rows), updates, draw(), totals)
            return
        carrying = self.executable.carrying()
        apart = replace(self, executable=carrying)
        for part in examples.parts(rows, self.truncate):
            apart.step(part, updates, draw(), totals)
        self.executable.go_on_from(carrying)

    def step(self, batch: ExampleBatch, updates: Updates, key: int, totals: Totals) -> float:
        """One forward, backward and update; the batch's loss before the update, penalties included, also added to `totals`.

        Without the update, whatever the reason, carried states are those before the batch.
        """
        return ready_to_defer(partial(self._step, batch, updates, key, totals))

    def _step(self, batch: ExampleBatch, updates: Updates, key: int, totals: Totals) -> float:
        rows = updates.catch_up(batch.inputs.inputs)
        everything, tape = self.recorded(batch, key)
        made = [False]
        try:
            return self._updated(batch, updates, rows, totals, everything, tape, made)
        finally:
            if not made[0]:
                self.executable.undo()

    def _updated(
        self,
        batch: ExampleBatch,
        updates: Updates,
        rows: list[TableRows],
        totals: Totals,
        everything: tuple[Array, ...],
        tape: NativeTape,
        made: list[bool],
    ) -> float:
        """The update of a recorded call, and the batch's loss; `made` becomes true with the update."""
        found = self.derived(batch, updates, totals, everything, tape)
        totals.add_penalty(found.penalty, batch.inputs.size)
        self.make_update(found, updates, rows, batch.inputs.inputs, made)
        return found.loss + found.penalty

    @property
    def moved(self) -> list[str]:
        """The weights that a call in training gives new values for: moving statistics."""
        return [weight.name for weight in self.parameters.signatures if weight.updated and weight.name not in self.frozen]

    def recorded(self, batch: ExampleBatch, key: int) -> tuple[tuple[Array, ...], NativeTape]:
        """The results of a call in training, and its tape. The rows of large tables that it reads must have been brought up to date."""
        return self.parameters.read(
            lambda weights, version: self.executable.record(self._request(batch, weights, version, training=True, key=key)),
            flushed=False,
        )

    def derived(
        self,
        batch: ExampleBatch,
        updates: Updates,
        totals: Totals,
        everything: tuple[Array, ...],
        tape: NativeTape,
        whole: WholeBatch | None = None,
    ) -> Derived:
        """The loss and the gradient of a recorded call. With `whole` it is a part of that batch, without the penalty of weights."""
        moved = self.moved
        count = len(everything) - len(moved)
        given, updated = everything[:count], everything[count:]
        outputs, activities = self._parted(given)
        gradients: dict[str, Array] = {}
        loss = self._scored(outputs, batch, totals, gradients, whole)
        cotangents = [
            gradients[name] if name in gradients else np.zeros_like(value) for name, value in zip(self.names, outputs, strict=True)
        ]
        cotangents += [np.zeros_like(value) for value in activities]
        of_batch = None if whole is None else whole.samples
        penalty = self.penalties.of_activities(activities, cotangents[len(outputs) :], of_batch)

        def derived(weights: Array, version: int) -> tuple[Array, float]:
            if not self.trains:
                return updates.zeros(), self.penalties.of_weights(weights, None) if whole is None else 0.0
            flat, _ = self.executable.backward(tape, cotangents, weights, version, input_gradients=False, gradient=updates.zeros())
            return flat, self.penalties.of_weights(weights, flat) if whole is None else 0.0

        flat, of_weights = self.parameters.read(derived, flushed=False)
        return Derived(loss, penalty + of_weights, flat, updated, dict(zip(self.names, outputs, strict=True)))

    def make_update(
        self, found: Derived, updates: Updates, rows: list[TableRows], inputs: Mapping[str, Array], made: list[bool] | None = None
    ) -> None:
        """The update by a batch's gradient; NotFinite instead of one that would spoil the weights. `rows`: see `Updates.apply`."""
        moved, updated, flat, loss = self.moved, found.updated, found.gradient, found.loss + found.penalty
        if not math.isfinite(loss):
            unknown = inputs if self.allow_nan else dict[str, Array]()
            check_loss(loss, self.parameters.copies(), unknown, found.outputs, self.executable.began_with)
        low, high = updates.bounds(flat, rows)
        usual = max(-low, high) < LARGE and updates.optimizer.stays_finite(LARGE)
        if max(-low, high) < LARGE:
            check_updated(moved, updated)
        else:
            check_gradient((low, high), self.parameters.split(flat), clipped=updates.optimizer.clipvalue is not None)

        def updated_weights(weights: Array) -> None:
            def update() -> None:
                if self.trains:
                    updates.apply(weights, flat, rows)
                self.penalties.constrain(weights)
                self.parameters.put_updates(weights, updated, self.frozen)

            if usual:
                update()
            else:
                check_update(self.parameters, weights, update, updates)
            if made is not None:
                made[0] = True

        self.parameters.change(updated_weights, flushed=False)

    def evaluate(self, feed: Feed, prefix: str = "", callbacks: CallbackList = NO_CALLBACKS) -> Logs:
        """The means over the samples of an epoch, of all their counted rows, however they fall into batches. ValueError for no batch."""
        taken, logs = self.evaluation(feed, prefix, callbacks)
        feed.is_spent(taken)
        return logs

    def evaluation(self, feed: Feed, prefix: str, callbacks: CallbackList) -> tuple[int, Logs]:
        """As `evaluate`: the number of batches, which may be 0, and the means."""
        totals = Totals(self.objectives, self.executable)
        callbacks.test_begin()
        with closing(feed.epoch(None)) as portions:
            taken = 0
            for examples, rows in portions:
                callbacks.test_batch_begin(taken)
                self.evaluated(examples.batch(rows), totals)
                callbacks.test_batch_end(taken, totals)
                taken += 1
        callbacks.test_end(totals)
        return taken, totals.logs(prefix)

    def evaluated(self, batch: ExampleBatch, totals: Totals) -> dict[str, Array]:
        """Adds a batch to the totals; what was computed for it, by the names of results."""
        given, penalty = self.parameters.read(partial(self._inferred, batch))
        outputs, activities = self._parted(given)
        self._scored(outputs, batch, totals, None)
        totals.add_penalty(penalty + self.penalties.of_activities(activities, None), batch.inputs.size)
        return dict(zip(self.names, outputs, strict=True))

    def _inferred(self, batch: ExampleBatch, weights: Array, version: int) -> tuple[tuple[Array, ...], float]:
        """A batch's results and activities in inference, and the weights' penalty."""
        given = self.executable.forward(self._request(batch, weights, version))
        return given, self.penalties.of_weights(weights, None)

    def _parted(self, given: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        """The outputs, then the outputs of layers with activity regularizers."""
        count = len(given) - len(self.penalties.activities)
        return given[:count], given[count:]

    def _request(self, batch: ExampleBatch, weights: Array, version: int, *, training: bool = False, key: int = 0) -> CallRequest:
        inputs, targets = batch.inputs, dict[str, Array]()
        for objective, each in zip(self.objectives, batch.targets, strict=True):
            if isinstance(each, TargetBatch) and (objective.native.loss is not None or objective.native.metrics):
                rows = each.targets[:, None] if objective.rule.classes else each.targets
                targets[objective.output.name] = each.placed(rows, self.dtype)
        asked = training, key, True, self.native, targets
        frozen = self.frozen if training else ()
        return CallRequest(inputs.inputs, inputs.indices, weights, version, *asked, checkpoint=self.checkpoint, frozen=frozen)

    def _scored(
        self,
        results: Sequence[Array],
        batch: ExampleBatch,
        totals: Totals,
        gradients: dict[str, Array] | None,
        whole: WholeBatch | None = None,
    ) -> float:
        """The weighted sum of the outputs' losses, added to `totals`; its gradients by the results' names. `whole`: see `derived`."""
        total = 0.0
        found = dict(zip(self.names, results, strict=True))
        counts = losses_in(self.objectives, batch)
        divisors = counts if whole is None else whole.losses
        for objective, targets, score, count, divisor in zip(self.objectives, batch.targets, totals.scores, counts, divisors, strict=True):
            output = objective.output.name
            if isinstance(targets, Sequences):
                loss, gradient = self.sequence_losses.value_and_gradient(
                    targets, found[output], objective.weight, derive=gradients is not None, of_batch=divisor
                )
                score.add_samples(loss * divisor, count)
            elif isinstance(objective.loss, RowEquations):
                output = loss_name(output)
                if objective.loss.of_sequences:
                    losses = found[output][:, 0]
                    loss, rows = mean_of_rows(losses, targets.weights_of_samples(), divisor)
                    gradient = (rows[:, None] * objective.weight).astype(self.dtype)
                else:
                    losses = targets.taken(found[output])[:, 0]
                    loss, rows = mean_of_rows(losses, targets.weights, divisor)
                    gradient = None if gradients is None else targets.placed(rows[:, None] * objective.weight, self.dtype)
                score.add(loss * divisor, count, targets, self._numbers(objective, targets, found))
            else:
                loss, rows = value_and_gradient(objective.row_loss, targets.rows(found[output]), targets.targets, targets.weights, divisor)
                gradient = targets.spread(rows * objective.weight, found[output])
                score.add(loss * divisor, count, targets, self._numbers(objective, targets, found))
            total += objective.weight * loss
            if gradients is not None and gradient is not None:
                gradients[output] = gradient
        return total

    def _numbers(self, objective: Objective, targets: TargetBatch, found: Mapping[str, Array]) -> list[Array]:
        """Each counted row's numbers for each metric, (rows, columns)."""
        name, start = metrics_name(objective.output.name), 0
        columns = targets.taken(found[name]) if name in found else np.zeros((targets.count, 0))
        numbers: list[Array] = []
        for metric in objective.metrics:
            if isinstance(metric.of, RowEquations):
                numbers.append(columns[:, start : start + metric.of.columns])
                start += metric.of.columns
            else:
                numbers.append(values_of_rows(metric.of, targets.rows(found[objective.output.name]), targets.targets))
        return numbers


@frozen
class Fit:
    """One fit's data and settings. `random` draws the shuffles and the dropout keys, in this order, epoch by epoch."""

    trainer: Trainer
    updates: Updates
    feed: Feed
    epochs: int
    random: np.random.Generator
    validation: Feed | None = None

    @property
    def params(self) -> dict[str, Any]:
        """What callbacks are told of the training, see `Callback.params`."""
        names, shards = directions(self.trainer.objectives), self.trainer.shards
        held_out = {f"val_{name}": mode for name, mode in names.items()} if self.validation is not None else {}
        return {"epochs": self.epochs, "steps": self.feed.batches, "metrics": names | held_out} | shards.params

    def run(self, callbacks: CallbackList) -> None:
        """All epochs, or those until a callback stops them."""
        logs: Logs = {}
        with callbacks:
            callbacks.train_begin()
            stopped = callbacks.begin and callbacks.stopped  # a training that had ended already when it was broken off
            for epoch in range(self.epochs if stopped else callbacks.begin, self.epochs):
                taken, logs, goes_on = self._epoch(epoch, callbacks, logs)
                if callbacks.stopped or not goes_on:
                    break
                if self.feed.is_spent(taken):
                    warn_of_end(epoch, taken, self.epochs)
                    break
            if not callbacks.not_finite:  # which has told that the weights are those before the batch
                self.updates.finish()
            callbacks.train_end(logs)

    def _epoch(self, epoch: int, callbacks: CallbackList, before: Logs) -> tuple[int, Logs, bool]:
        """Trains on an epoch's batches, and evaluates after them; their number, the logs, and whether there is validation for the next.

        If there is no batch there is no epoch either: 0, and the logs `before`. Nor is an epoch one that nothing could be validated on.
        """
        callbacks.epoch_begin(epoch)
        totals = Totals(self.trainer.objectives, self.trainer.executable)
        taken = 0
        with closing(self.feed.epoch(self.random)) as portions:
            for examples, rows in portions:
                callbacks.batch_begin(taken)
                try:
                    self.trainer.train(examples, rows, self.updates, partial(draw_key, self.random), totals)
                except NotFinite as found:
                    reason = f"training ended in epoch {epoch + 1} of {self.epochs}, batch {taken + 1}: {found}"
                    callbacks.end(reason, "part of the batch" if self.trainer.truncate else "batch")
                callbacks.batch_end(taken, totals)
                taken += 1
                if callbacks.stopped:
                    break
        if not taken:
            return taken, before, True
        logs, goes_on = totals.logs(), True
        if self.validation is not None:
            seen, found = self.trainer.apart().evaluation(self.validation, "val_", callbacks)
            if self.validation.is_spent(seen):
                warn_of_end(epoch, seen, self.epochs, "validation, ")
                goes_on = False
            if not seen:
                return taken, before, False
            logs |= found
        callbacks.epoch_end(epoch, logs)
        meet(self, epoch, callbacks.stopped)
        return taken, logs, goes_on
