"""Inputs with what the outputs are held against, checked once, cut into batches."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import Batch, CheckedInputs
from rnnspec.runtime.data.columns import Rows
from rnnspec.training.labels import LabelTargets, check_labels
from rnnspec.training.objectives import Objective, by_objective, weights_by_objective
from rnnspec.training.sequence_losses import SequenceLoss, Sequences
from rnnspec.training.targets import TargetBatch, Targets, check_targets


@frozen
class ExampleBatch:
    """A batch, and what each output with a loss is held against."""

    inputs: Batch
    targets: tuple[TargetBatch | Sequences, ...]


@frozen
class Examples:
    """A data set: inputs, targets and sample weights, all checked."""

    inputs: CheckedInputs
    targets: tuple[Targets | LabelTargets, ...]

    @property
    def samples(self) -> int:
        """The number of samples of every input and target."""
        return self.inputs.samples

    def batch(self, rows: Rows) -> ExampleBatch:
        """The chosen samples, padded to the longest of them."""
        batch = self.inputs.batch(rows, full_time=any(targets.output.flip for targets in self.targets))
        return ExampleBatch(batch, tuple(targets.batch(rows, batch) for targets in self.targets))


def check_examples(inputs: CheckedInputs, trained: Sequence[Objective], dtype: str, y: object, sample_weight: object = None) -> Examples:
    """The targets and sample weights for checked inputs; see `check_targets`.

    Where several outputs have a loss, `y` is a list with one for each, in their order, or a mapping from
    their names; so may `sample_weight` be, which else is for all of them.
    """
    ys, weights = by_objective("targets", trained, y), weights_by_objective(trained, sample_weight)
    targets = [
        _checked(inputs, each, dtype, one, weight, f" of {each.label}" if each.label else "")
        for each, one, weight in zip(trained, ys, weights, strict=True)
    ]
    return Examples(inputs, tuple(targets))


def _checked(inputs: CheckedInputs, each: Objective, dtype: str, y: object, weight: object, of: str) -> Targets | LabelTargets:
    if isinstance(each.loss, SequenceLoss):
        return check_labels(inputs, each.output, each.loss, y, weight, of)
    return check_targets(inputs, each.output, dtype, each.loss, y, weight, of)
