"""Targets and weights of one output: checked once, cut into batches of counted rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import assert_never, cast

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import ALL_ROWS, CallBatch, CheckedInputs, Mask
from rnnspec.runtime.data.columns import Column, PaddedArray, RaggedArray, Rows, as_numbers, entry_error, is_list, ragged
from rnnspec.runtime.data.not_numbers import CLASS_NAMES, as_written
from rnnspec.runtime.data.sample_errors import sample_error
from rnnspec.training.class_weights import ClassWeights
from rnnspec.training.target_hints import ONE_STEP, hint_for_classes, hint_for_probabilities, hint_for_shape
from rnnspec.training.target_rules import TargetRule


@frozen
class TargetBatch:
    """The targets of a batch for one output, counted rows only: samples, or real steps row by row.

    `counted`: the counted rows' places among all rows of the output, None where all count.
    `targets` and `weights`: of the counted rows, as the loss takes them. A weight is a row's factor in the loss and in weighted metrics:
    a row of weight 0 still is a row that the loss is divided by, one that isn't counted is none. None: all weigh 1.
    `shape`: of all rows, (samples,) or (samples, time). `flip`: the output shows its steps in reversed order.
    """

    counted: Array | None
    targets: Array
    weights: Array | None
    shape: tuple[int, ...]
    flip: bool = False

    @property
    def count(self) -> int:
        """The number of counted rows."""
        return len(self.targets)

    def weights_of_samples(self) -> Array | None:
        """The weight of each sample, (samples,): the mean of its counted steps', 0 without any; None: all weigh 1."""
        if self.weights is None:
            return None
        steps = math.prod(self.shape[1:])
        samples = (np.arange(len(self.weights)) if self.counted is None else self.counted) // steps
        counts = np.bincount(samples, minlength=self.shape[0])
        return np.bincount(samples, self.weights, self.shape[0]) / np.maximum(counts, 1)

    def placed(self, rows: Array, dtype: DTypeLike) -> Array:
        """Counted rows (rows, width) at their places, (samples, width) or (samples, time, width), the others 0.

        Steps are in the order of the output's own layer, also where it shows them reversed.
        """
        with np.errstate(over="ignore"):  # of weights beyond the dtype
            converted = rows.astype(dtype, copy=False)
        if self.counted is None:
            result: Array = np.ascontiguousarray(converted).reshape(*self.shape, rows.shape[1])
        else:
            result = np.zeros((math.prod(self.shape), rows.shape[1]), dtype)
            result[self.counted] = converted
            result = result.reshape(*self.shape, rows.shape[1])
        return np.ascontiguousarray(result[:, ::-1]) if self.flip else result

    def taken(self, placed: Array) -> Array:
        """The counted rows of what `placed` would place, (rows, width)."""
        return self.rows(placed[:, ::-1] if self.flip else placed)

    def rows(self, output: Array) -> Array:
        """The counted rows of the batch's output, (rows, width)."""
        flat = output.reshape(-1, output.shape[-1])
        return flat if self.counted is None else flat[self.counted]

    def spread(self, rows: Array, output: Array) -> Array:
        """Counted rows back in the output's shape, the others 0."""
        if self.counted is None:
            return rows.reshape(output.shape)
        result = np.zeros((output.size // output.shape[-1], output.shape[-1]), rows.dtype)
        result[self.counted] = rows
        return result.reshape(output.shape)


@frozen
class Targets:
    """One output's targets and sample weights, all checked.

    `weights`: of samples, padded (samples,), or of steps, padded (samples, time) or ragged. `class_weights` multiply in. `unlabelled`: the
    class number of rows that don't count.
    """

    output: OutputSignature
    column: Column
    weights: Column | None
    class_weights: ClassWeights | None = None
    unlabelled: int | None = None

    @property
    def class_numbers(self) -> Array | None:
        """The class of each sample, (samples,), of an output of rows that has classes; else None."""
        array = None if isinstance(self.column, RaggedArray) or self.output.is_sequence else self.column.array
        return array if array is not None and array.ndim == 1 and array.dtype == np.int64 else None

    def owned(self) -> Targets:
        """The same targets in memory of their own."""
        return replace(self, column=self.column.owned() if isinstance(self.column, PaddedArray) else self.column)

    def batch(self, rows: Rows, batch: CallBatch) -> TargetBatch:
        """Of the samples that the batch was cut for."""
        if not self.output.is_sequence:
            targets = self.column.cut(rows) if isinstance(self.column, PaddedArray) else self.column.flat[rows]
            return self._counted(None, targets, None if self.weights is None else _array(self.weights)[rows], targets.shape[:1])
        number = index_of(self.output)
        time = batch.indices[number].time
        targets = _steps(self.column, rows, time)
        targets = targets.reshape(batch.size * time, *targets.shape[2:])
        weights = None
        if self.weights is not None:
            weights = np.broadcast_to(_steps(self.weights, rows, time), (batch.size, time)).reshape(-1)
        return self._counted(_counted(self.output, batch.reals[number]), targets, weights, (batch.size, time))

    def chosen(self, rows: Rows, time: int) -> Targets:
        """Those of the chosen samples alone, of a sequence output, each `time` steps long."""
        weights = None if self.weights is None else PaddedArray(_steps(self.weights, rows, time), borrowed=False)
        return replace(self, column=PaddedArray(_steps(self.column, rows, time), borrowed=False), weights=weights)

    def between(self, start: int, stop: int) -> Targets:
        """These steps of targets that `chosen` gave."""
        weights = self.weights
        if weights is not None and _array(weights).shape[1] > 1:
            weights = PaddedArray(_array(weights)[:, start:stop], borrowed=False)
        return replace(self, column=PaddedArray(_array(self.column)[:, start:stop], borrowed=False), weights=weights)

    def _counted(self, real: Mask | None, targets: Array, weights: Array | None, shape: tuple[int, ...]) -> TargetBatch:
        """The batch of the rows that are real and have a label."""
        if self.unlabelled is not None:
            labelled: Mask = targets != self.unlabelled
            real = labelled if real is None else real.reshape(-1) & labelled
        if real is None:
            return self._weighted(None, targets, weights, shape)
        counted = np.flatnonzero(real)
        return self._weighted(counted, targets[counted], None if weights is None else weights[counted], shape)

    def _weighted(self, counted: Array | None, targets: Array, weights: Array | None, shape: tuple[int, ...]) -> TargetBatch:
        """A batch with the sample weights of its counted rows, times their class weights."""
        if self.class_weights is not None:
            of_classes = self.class_weights.of(targets)
            weights = of_classes if weights is None else weights * of_classes
        return TargetBatch(counted, targets, weights, shape, self.output.flip)


def check_targets(
    inputs: CheckedInputs, output: OutputSignature, dtype: str, rule: TargetRule, y: object, sample_weight: object = None, of: str = ""
) -> Targets:
    """The targets and sample weights of one output for checked inputs; `of` says in messages which, where there are several.

    `y`, for an output of width w: class numbers (samples,) or (samples, 1) if the loss takes classes,
    else values (samples, w), or (samples,) if w is 1; for a sequence output the same with a time axis
    after the samples, padded as the inputs are, or a list with one array a sample. `sample_weight`:
    (samples,), or (samples, time) for a sequence output, or a list with one array of steps a sample.
    Targets of steps that don't count aren't looked at. ValueError names the sample, the step, the value and what was expected.
    """
    width = output.shape[-1]
    if not isinstance(width, int) or len(output.shape) != 1 + output.is_sequence:
        raise InternalError(f"output {output.name} of shape {output.shape} can't be trained")
    what = f"targets{of}"
    if y is None:
        raise ValueError(f"{what}: none are given; a loss holds each sample's output against one")
    column = _column(inputs, output, width, rule, y, what)
    counted: Mask | None = None
    if output.is_sequence:
        number = index_of(output)
        counted = _counted(output, inputs.present_steps(number) if isinstance(column, RaggedArray) else inputs.real_steps(number))
    name = "" if isinstance(column, RaggedArray) else as_written("y", y)
    if rule.classes or isinstance(column, RaggedArray):
        values = (
            _classes(column, output, counted, rule, width, what, name)
            if rule.classes
            else _values(column, ALL_ROWS, output, counted, rule, dtype, what, name)
        )
        checked = RaggedArray(values, column.lengths) if isinstance(column, RaggedArray) else PaddedArray(values, borrowed=False)
    elif column.is_large:
        for part in column.parts():
            _values(column, part, output, counted, rule, dtype, what, name)
        checked = PaddedArray(column.array, column.borrowed, np.dtype(dtype))
    else:
        checked = PaddedArray(_values(column, ALL_ROWS, output, counted, rule, dtype, what, name), borrowed=False)
    weights = _sample_weight(inputs, output, sample_weight, f"sample_weight{of}")
    return Targets(output, checked, weights, unlabelled=rule.unlabelled)


def _column(inputs: CheckedInputs, output: OutputSignature, width: int, rule: TargetRule, y: object, what: str) -> Column:
    """The targets with one entry (classes) or `width` entries (values) a row, their values not looked at."""
    if output.is_sequence and is_list(y):
        column = _ragged_targets(inputs, output, width, rule, cast(list[object], y), what)
        if column is not None:
            return column
    array = as_numbers(y, what, CLASS_NAMES)
    lead = (inputs.samples, inputs.time_of(index_of(output))) if output.is_sequence else (inputs.samples,)
    if rule.classes:
        wanted, fits = f"{lead}", array.shape in (lead, (*lead, 1))
        shape = lead
    else:
        wanted, fits = f"{(*lead, width)}", array.shape == (*lead, width) or (width == 1 and array.shape == lead)
        shape = (*lead, width)
    if not fits:
        hint = hint_for_shape(rule, width, lead, output.is_sequence, array.shape, as_written("y", y))
        raise ValueError(f"{what}: expected shape {wanted}, got {array.shape}{hint}")
    return PaddedArray(array.reshape(shape), borrowed=True)


def _ragged_targets(
    inputs: CheckedInputs, output: OutputSignature, width: int, rule: TargetRule, y: list[object], what: str
) -> Column | None:
    """A list with one array a sample as a column laid out as the inputs; None for an empty list."""
    if len(y) != inputs.samples:
        raise ValueError(f"{what}: expected {inputs.samples} samples, got {len(y)}")
    if not y:
        return None
    shapes = (as_numbers(sample, f"{what}, sample {number}", CLASS_NAMES).shape for number, sample in enumerate(y))
    first, shape = next(((number, shape) for number, shape in enumerate(shapes) if shape != (0,)), (0, (0,)))
    single = len(shape) == 1
    if not shape:
        raise sample_error(what, first, f"expected a list or an array with a target for each step, got a number; {ONE_STEP}")
    if single and not rule.classes and width != 1 and shape != (0,):
        raise sample_error(what, first, f"expected shape (steps, {width}), got {shape}")
    tail = () if single else (1,) if rule.classes else (width,)
    column = ragged(y, tail, what, f"shape (steps{''.join(f', {extent}' for extent in tail)}{',' if not tail else ''})", "", CLASS_NAMES)
    flat = column.flat.reshape(-1) if rule.classes else column.flat.reshape(-1, width)
    return _in_step(inputs, output, RaggedArray(flat, column.lengths), what)


def _in_step(inputs: CheckedInputs, output: OutputSignature, column: RaggedArray, what: str) -> Column:
    """A ragged column laid out as the inputs; ValueError for a sample of another length than its input."""
    number = index_of(output)
    lengths, time = inputs.lengths_of(number), inputs.time_of(number)
    if lengths is not None and not output.flip:
        if (wrong := np.flatnonzero(column.lengths != lengths)).size:
            sample = int(wrong[0])
            raise sample_error(what, sample, f"expected {lengths[sample]} steps, got {column.lengths[sample]}")
        return column
    if (wrong := np.flatnonzero(column.lengths != time)).size:
        sample = int(wrong[0])
        raise sample_error(what, sample, f"expected {time} steps as in the padded inputs, got {column.lengths[sample]}")
    return PaddedArray(column.padded(ALL_ROWS, time), borrowed=False)


def _classes(column: Column, output: OutputSignature, counted: Mask | None, rule: TargetRule, width: int, what: str, y: str) -> Array:
    """Class numbers as int64, 0 where they don't count."""
    values = _array(column)
    wrong = (values < 0) | (values >= width)
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    if rule.unlabelled is not None:
        wrong &= values != rule.unlabelled
    wrong_and_counted = wrong if counted is None else wrong & counted
    hint = hint_for_classes(values if counted is None else values[counted], width, y) if wrong_and_counted.any() else ""
    _refuse(column, output, wrong_and_counted, f"a class in 0..{width - 1}", what, hint)
    return np.where(wrong, 0, values).astype(np.int64)


def _values(
    column: Column, part: slice, output: OutputSignature, counted: Mask | None, rule: TargetRule, dtype: str, what: str, y: str
) -> Array:
    """The values of some samples in the model's dtype, unchecked and unread where they don't count."""
    with np.errstate(over="ignore"):
        values: Array = _array(column)[part].astype(dtype, copy=False)
    counted = None if counted is None else counted[part]
    match rule.kind:
        case "probabilities":
            wrong, expected = ~((values >= 0) & (values <= 1)), "a probability in 0..1"
        case "binary":
            wrong, expected = (values != 0) & (values != 1), "0 or 1"
        case "values":
            wrong, expected = ~np.isfinite(values), f"a finite {dtype}"
        case "class":
            raise InternalError("class numbers aren't values")
        case _:
            assert_never(rule.kind)
    wrong = wrong if counted is None else wrong & counted[..., None]
    yes_and_no = rule.is_yes_or_no and wrong.any()
    hint = hint_for_probabilities(values if counted is None else values[counted], y) if yes_and_no else ""
    _refuse(column, output, wrong, expected, what, hint, part.start or 0)
    return values


def _sample_weight(inputs: CheckedInputs, output: OutputSignature, given: object, what: str) -> Column | None:
    """Finite weights as float64, (samples,), (samples, time) or ragged."""
    if given is None:
        return None
    column = _given_weights(inputs, output, given, what)
    array = _array(column)
    if (wrong := np.argwhere(~np.isfinite(array))).size:
        entry = tuple(int(number) for number in wrong[0])
        raise entry_error(what, column, entry, f"expected a finite number, got {array[entry]}", sequence=True)
    array = array.astype(np.float64)
    return RaggedArray(array, column.lengths) if isinstance(column, RaggedArray) else PaddedArray(array, borrowed=False)


def _given_weights(inputs: CheckedInputs, output: OutputSignature, given: object, what: str) -> Column:
    """Sample weights in the form in which they are given, their values not looked at."""
    if output.is_sequence and is_list(given):
        samples = cast(list[object], given)
        if samples and (is_list(samples[0]) or getattr(samples[0], "ndim", 0)):
            if len(samples) != inputs.samples:
                raise ValueError(f"{what}: expected {inputs.samples} samples, got {len(samples)}")
            return _in_step(inputs, output, ragged(samples, (), what, "shape (steps,)", ""), what)
    array = as_numbers(given, what)
    shapes = [(inputs.samples,), (inputs.samples, inputs.time_of(index_of(output)))] if output.is_sequence else [(inputs.samples,)]
    if array.shape not in shapes:
        raise ValueError(f"{what}: expected shape {' or '.join(map(str, shapes))}, got {array.shape}")
    return PaddedArray(array, borrowed=True)


def _steps(column: Column, rows: Rows, time: int) -> Array:
    """A column's chosen samples step by step, (rows, time, ...); (rows, 1) where it has one entry a sample."""
    if isinstance(column, RaggedArray):
        return column.padded(rows, time)
    chosen = column.cut(rows)
    return chosen[:, None] if chosen.ndim == 1 else chosen[:, :time]


def index_of(output: OutputSignature) -> int:
    """The packing index of a sequence output."""
    if output.index is None:
        raise InternalError(f"output {output.name} has no index")
    return output.index


def _counted(output: OutputSignature, real: Mask | None) -> Mask | None:
    """Which steps of a sequence output count in a loss; `real` (samples, time), or all steps one after the other."""
    if real is None:
        return None
    return real[:, ::-1] if output.flip else real


def _refuse(column: Column, output: OutputSignature, wrong: Mask, expected: str, what: str, hint: str = "", first: int = 0) -> None:
    """`wrong`: of the samples from `first` on."""
    if wrong.any():
        sample, *others = (int(number) for number in np.argwhere(wrong)[0])
        entry = (first + sample, *others)
        raise entry_error(what, column, entry, f"expected {expected}, got {_array(column)[entry]}{hint}", sequence=output.is_sequence)


def _array(column: Column) -> Array:
    return column.flat if isinstance(column, RaggedArray) else column.array
