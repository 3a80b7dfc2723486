"""Inputs with what the outputs are held against, checked once, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import ALL_ROWS, CallBatch, CheckedInputs
from rnnspec.runtime.data.class_names import ClassNames
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.held_out import kept_samples
from rnnspec.training.class_weights import ClassWeights
from rnnspec.training.labels import LabelTargets, check_labels
from rnnspec.training.objectives import Objective, by_objective, weights_by_objective
from rnnspec.training.sequence_losses import SequenceLoss, Sequences
from rnnspec.training.targets import TargetBatch, Targets, check_targets


@frozen
class ExampleBatch:
    """A batch, and what each output with a loss is held against."""

    inputs: CallBatch
    targets: tuple[TargetBatch | Sequences, ...]


@frozen
class Examples:
    """A data set: inputs, targets and sample weights, all checked.

    `whole`: the batch of all samples, in memory of its own, where it is known.
    """

    inputs: CheckedInputs
    targets: tuple[Targets | LabelTargets, ...]
    whole: ExampleBatch | None = None

    @property
    def samples(self) -> int:
        """The number of samples of every input and target."""
        return self.inputs.samples

    def weighted_by_class(self, weights: Sequence[ClassWeights | None]) -> Examples:
        """The same data with class weights, one entry for each output with a loss, which multiply with the sample weights."""
        if not any(weights):
            return self
        pairs = zip(self.targets, weights, strict=True)
        return Examples(self.inputs, tuple(replace(targets, class_weights=each) for targets, each in pairs))

    def owned(self) -> Examples:
        """The same data in memory of its own, so that the caller may overwrite theirs."""
        if self.whole is not None:
            return self
        return Examples(self.inputs.owned(), tuple(targets.owned() for targets in self.targets))

    def batch(self, rows: Rows) -> ExampleBatch:
        """The chosen samples, padded to the longest of them."""
        if self.whole is not None and rows is ALL_ROWS:
            return self.whole
        batch = self.inputs.batch(rows, full_time=any(targets.output.flip for targets in self.targets))
        return ExampleBatch(batch, tuple(targets.batch(rows, batch) for targets in self.targets))

    def parts(self, rows: Rows, steps: int) -> Iterator[ExampleBatch]:
        """The chosen samples in parts of so many steps, those without a real step left out; every output is a sequence of one length."""
        inputs = self.inputs.chosen(rows)
        time = next(iter(inputs.sequences.values())).time
        targets = [each.chosen(rows, time) for each in self.targets if isinstance(each, Targets)]
        for start in range(0, time, steps):
            part = inputs.between(start, start + steps)
            if part.has_real_steps:
                batch = part.batch()
                yield ExampleBatch(batch, tuple(each.between(start, start + steps).batch(ALL_ROWS, batch) for each in targets))


def check_examples(
    inputs: CheckedInputs,
    trained: Sequence[Objective],
    dtype: str,
    y: object,
    sample_weight: object = None,
    classes: ClassNames | None = None,
) -> Examples:
    """The targets and sample weights for checked inputs; see `check_targets`.

    Where several outputs have a loss, `y` is a list with one for each, in their order, or a mapping from
    their names; so may `sample_weight` be, with None or no name for an output without weights, which else is for all of them.
    Names of classes become the numbers that `classes` knows them by.
    """
    ys, weights = by_objective("targets", trained, y), weights_by_objective(trained, sample_weight)
    targets = [
        _checked(inputs, each, dtype, _numbers(each, one, classes), weight, f" of {each.label}" if each.label else "")
        for each, one, weight in zip(trained, ys, weights, strict=True)
    ]
    return Examples(inputs, tuple(targets))


def split_off(examples: Examples, fraction: object) -> tuple[range, tuple[Examples, range] | None]:
    """The samples to train on, and those to validate on: the last fraction, as Keras cuts it; ValueError for none on either side."""
    cut = kept_samples(examples.samples, fraction)
    return range(cut), None if cut == examples.samples else (examples, range(cut, examples.samples))


def _numbers(each: Objective, y: object, classes: ClassNames | None) -> object:
    """Targets, class names as numbers, or as the rows that a loss over probabilities takes."""
    if classes is None:
        return y
    rows = not isinstance(each.loss, SequenceLoss) and not each.rule.classes and each.output.width > 1
    return classes.numbers(each.output, y, f"targets of {each.label}" if each.label else "targets", rows=rows)


def _checked(inputs: CheckedInputs, each: Objective, dtype: str, y: object, weight: object, of: str) -> Targets | LabelTargets:
    if isinstance(each.loss, SequenceLoss):
        return check_labels(inputs, each.output, each.loss, y, weight, of)
    return check_targets(inputs, each.output, dtype, each.rule, y, weight, of)
