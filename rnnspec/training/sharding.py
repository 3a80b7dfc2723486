"""One update by a batch that is cut into shards: each shard's call, and the sum of what they contribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.objective import RowEquations
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.training.examples import ExampleBatch, Examples
from rnnspec.training.exchange import STEP, summed
from rnnspec.training.objectives import Objective
from rnnspec.training.sequence_losses import Sequences
from rnnspec.training.shards import Contribution, cut

if TYPE_CHECKING:
    from rnnspec.training.loop import Totals, Trainer
    from rnnspec.training.updates import Updates


@frozen
class WholeBatch:
    """The batch that a shard is a part of: its samples, and of each objective the losses that its mean is of."""

    samples: int
    losses: tuple[int, ...]


@frozen(eq=False)
class Derived:
    """The loss of a batch, its penalty, the flat gradient of both, the new moving statistics, and the results by name."""

    loss: float
    penalty: float
    gradient: Array
    updated: Sequence[Array]
    outputs: Mapping[str, Array]


def losses_in(objectives: Sequence[Objective], batch: ExampleBatch) -> list[int]:
    """How many losses each objective has in a batch: of rows that count, or of samples."""

    def losses(objective: Objective, number: int) -> int:
        targets = batch.targets[number]
        if isinstance(targets, Sequences):
            return targets.size
        of_sequences = isinstance(objective.loss, RowEquations) and objective.loss.of_sequences
        return batch.inputs.size if of_sequences else targets.count

    return [losses(objective, number) for number, objective in enumerate(objectives)]


def rows_of_shards(examples: Examples, rows: Rows, count: int) -> list[Rows]:
    """The chosen samples of each shard, in their order."""
    if isinstance(rows, slice):
        chosen = range(*rows.indices(examples.samples))
        return [slice(chosen.start + part.start, chosen.start + part.stop) for part in cut(len(chosen), count)]
    return [rows[part.start : part.stop] for part in cut(len(rows), count)]


def shard_key(key: int, shard: int) -> int:
    """The key of a shard's dropout and noise, 0 .. 2³² - 1, from that of the update."""
    return int(np.random.SeedSequence([key, shard]).generate_state(1)[0])


def sharded_step(trainer: Trainer, examples: Examples, rows: Rows, updates: Updates, key: int, totals: Totals) -> float:
    """One update on the chosen samples, and the batch's loss before it, penalties included, which is also added to `totals`.

    The same bits on every rank, and for any number of them. Moving statistics become the mean of those after each shard, by its samples.
    """
    with trainer.shards.counted():
        return _update(trainer, examples, rows, updates, key, totals)


def _update(trainer: Trainer, examples: Examples, rows: Rows, updates: Updates, key: int, totals: Totals) -> float:
    shards = trainer.shards
    parts = rows_of_shards(examples, rows, shards.count)
    batches = {shard: examples.batch(parts[shard]) for shard in shards.owned if _length(parts[shard])}
    own = [0] * len(trainer.objectives)
    for batch in batches.values():
        own = [one + other for one, other in zip(own, losses_in(trainer.objectives, batch), strict=True)]
    samples = sum(map(_length, parts))
    losses = summed(shards.exchange, (STEP, updates.optimizer.batches, samples), own)
    whole = WholeBatch(samples, tuple(losses))
    moved = [trainer.parameters.ranges[name] for name in trainer.moved]
    sizes = [place.stop - place.start for place in moved]

    def contribution(shard: int) -> Contribution | None:
        if shard not in batches:
            return None
        return _contribution(trainer, batches[shard], updates, shard_key(key, shard), totals.fresh(), whole)

    updates.follow_settings()
    total = shards.summed(contribution, _nothing(trainer, updates, totals, sum(sizes)))
    loss, penalty = map(float, total.sums[:2])
    scores, statistics = np.split(total.sums[2:], [total.sums.size - 2 - sum(sizes)])
    totals.add_numbers(scores)
    gradient = updates.joined(total.gradient, total.tables)
    penalty += trainer.parameters.read(
        lambda weights, _: trainer.penalties.of_weights(weights, gradient if trainer.trains else None), flushed=False
    )
    totals.add_penalty(penalty, samples)
    dtype = trainer.parameters.dtype
    updated = [part.astype(dtype) for part in np.split(statistics, np.cumsum(sizes)[:-1])] if sizes else []
    found = Derived(loss, penalty, gradient, updated, {})
    trainer.make_update(found, updates, [read for read, _ in total.tables], {})
    return loss + penalty


def _length(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _nothing(trainer: Trainer, updates: Updates, totals: Totals, statistics: int) -> Contribution:
    """What no sample contributes."""
    rest, tables = updates.nothing()
    return Contribution(rest, np.zeros(2 + totals.numbers().size + statistics), tuple(tables))


def _contribution(trainer: Trainer, batch: ExampleBatch, updates: Updates, key: int, totals: Totals, whole: WholeBatch) -> Contribution:
    rows = updates.catch_up(batch.inputs.inputs)
    everything, tape = trainer.recorded(batch, key)
    found = trainer.derived(batch, updates, totals, everything, tape, whole)
    rest, tables = updates.parted(found.gradient, rows)
    share = batch.inputs.size / whole.samples
    statistics = [np.asarray(value, np.float64).reshape(-1) * share for value in found.updated]
    sums = np.concatenate([np.array([found.loss, found.penalty]), totals.numbers(), *statistics])
    return Contribution(rest, sums, tuple(tables))
