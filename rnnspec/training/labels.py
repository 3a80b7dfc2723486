"""Sequences of labels: the targets of losses of whole sequences, checked once, cut into batches."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import ALL_ROWS, CallBatch, CheckedInputs, Mask
from rnnspec.runtime.data.columns import RaggedArray, Rows, as_numbers, is_list, ragged
from rnnspec.runtime.data.not_numbers import CLASS_NAMES
from rnnspec.runtime.data.sample_errors import sample_error
from rnnspec.training.sequence_losses import SequenceLoss, Sequences
from rnnspec.training.targets import index_of

_PADDING = -1
"""What padded labels may end in, beside the blank."""


@frozen
class LabelTargets:
    """One output's sequences of labels, int32, and its sample weights, (samples,) or None, all checked."""

    output: OutputSignature
    loss: SequenceLoss
    labels: RaggedArray
    weights: Array | None

    def owned(self) -> LabelTargets:
        """These targets, whose memory is their own."""
        return self

    def batch(self, rows: Rows, batch: CallBatch) -> Sequences:
        """Of the samples that the batch was cut for."""
        number = index_of(self.output)
        real, time = _counted(self.output, batch.reals[number]), batch.indices[number].time
        if real is None:
            places, steps = np.arange(batch.size * time), np.full(batch.size, time, np.int64)
        else:
            places, steps = np.flatnonzero(real), np.count_nonzero(real, axis=1)
        lengths = self.labels.lengths[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        labels = self.labels.flat[np.repeat(self.labels.starts[rows], lengths) + within]
        weights = None if self.weights is None else self.weights[rows]
        return Sequences(self.loss, places, _starts(steps), labels, _starts(lengths), weights)


def check_labels(
    inputs: CheckedInputs, output: OutputSignature, loss: SequenceLoss, y: object, sample_weight: object = None, of: str = ""
) -> LabelTargets:
    """The labels and sample weights of one output for checked inputs; `of` says in messages which, where there are several.

    `y`: a list with the class numbers of each sample's labels, or an array (samples, labels) that ends in the blank, or in -1, where a
    sample has fewer. `sample_weight`: (samples,). ValueError names the sample, the label, the value and what was expected; also
    for a sample with fewer real steps than any path for its labels has, unless the loss makes its infinity 0.
    """
    what, width = f"targets{of}", cast(int, output.shape[-1])
    if y is None:
        raise ValueError(f"{what}: none are given; the loss {loss.name} holds each sample's output against a sequence of labels")
    labels = _labels(_padded(inputs, y, what), loss, width, what)
    if not loss.zero_infinity:
        _check_steps(inputs, output, labels, what)
    return LabelTargets(output, loss, labels, _weights(inputs, sample_weight, f"sample_weight{of}"))


def _padded(inputs: CheckedInputs, y: object, what: str) -> Array:
    """The labels as (samples, labels), padded with -1 where they were a list; their values not looked at."""
    if is_list(y):
        samples = cast(list[object], y)
        if len(samples) != inputs.samples:
            raise ValueError(f"{what}: expected {inputs.samples} samples, got {len(samples)}")
        column = ragged(samples, (), what, "the numbers of the labels, shape (labels,)", "", CLASS_NAMES)
        kept = column.flat if column.flat.dtype.kind == "f" else column.flat.astype(np.int64)
        values = np.full((column.samples, column.longest), _PADDING, kept.dtype)
        values[column.grid(ALL_ROWS, column.longest)] = kept
        return values
    array = as_numbers(y, what, CLASS_NAMES)
    if array.ndim != 2 or len(array) != inputs.samples:
        raise ValueError(f"{what}: expected shape ({inputs.samples}, labels), or a list with the labels of each sample, got {array.shape}")
    return array if array.dtype.kind == "f" else array.astype(np.int64)


def _labels(values: Array, loss: SequenceLoss, width: int, what: str) -> RaggedArray:
    """The labels before each sample's padding, all of them classes but the blank."""
    longest = int(values.shape[1])
    padding = (values == loss.blank) | (values == _PADDING)
    last = np.where(padding, -1, np.arange(longest)).max(axis=1, initial=-1)
    lengths: NDArray[np.int64] = last.astype(np.int64) + 1
    there = np.arange(longest) < lengths[:, None]
    wrong = there & ~((values >= 0) & (values < width) & (values == np.floor(values)) & (values != loss.blank))
    if wrong.any():
        sample, label = (int(number) for number in np.argwhere(wrong)[0])
        found = values[sample, label]
        hint = ", with labels behind it" if padding[sample, label] else ""
        expected = f"a class in 0..{width - 1} but the blank, {loss.blank}"
        raise sample_error(what, sample, f"expected {expected}, got {found}{hint}", step=label, steps="label")
    return RaggedArray(values[there].astype(np.int32), lengths)


def _check_steps(inputs: CheckedInputs, output: OutputSignature, labels: RaggedArray, what: str) -> None:
    """ValueError if a sample's real steps are too few: each label takes one, and one that equals the label before it a blank between."""
    number = index_of(output)
    real = inputs.real_steps(number)
    steps = np.full(inputs.samples, inputs.time_of(number)) if real is None else np.count_nonzero(real, axis=1)
    firsts = np.zeros(len(labels.flat) + 1, np.bool_)
    firsts[labels.starts] = True
    repeats = np.zeros(len(labels.flat), np.int64)
    repeats[1:] = labels.flat[1:] == labels.flat[:-1]
    repeats[firsts[:-1]] = 0
    repeated = np.diff(np.concatenate([[0], np.cumsum(repeats)])[_starts(labels.lengths)])
    if (short := np.flatnonzero(labels.lengths + repeated > steps)).size:
        sample = int(short[0])
        count, again, there = int(labels.lengths[sample]), int(repeated[sample]), int(steps[sample])
        blanks = f", of which {again} equal the one before," if again else ""
        advice = "`zero_infinity = true` of the loss leaves such samples out"
        raise sample_error(what, sample, f"{count} labels{blanks} need {count + again} steps, and {there} are real; {advice}")


def _weights(inputs: CheckedInputs, given: object, what: str) -> Array | None:
    if given is None:
        return None
    array = as_numbers(given, what)
    if array.shape != (inputs.samples,):
        raise ValueError(f"{what}: expected shape ({inputs.samples},), one for each sequence of labels, got {array.shape}")
    if (wrong := np.flatnonzero(~np.isfinite(array))).size:
        raise sample_error(what, int(wrong[0]), f"expected a finite number, got {array[wrong[0]]}")
    return array.astype(np.float64)


def _counted(output: OutputSignature, real: Mask | None) -> Mask | None:
    """The real steps in the output's order."""
    return real[:, ::-1] if real is not None and output.flip else real


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
