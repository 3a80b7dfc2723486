"""From what a user passes to arrays that native code may trust: every bad input ends here, with its place and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.diagnostics import InternalError
from rnnspec.runtime.columns import Column, Padded, Ragged, Rows, as_numbers, is_list, place, ragged
from rnnspec.runtime.executable import Array
from rnnspec.runtime.packing import PackedIndex, pack
from rnnspec.runtime.signature import InputSignature, Signature

Mask = NDArray[np.bool_]

STEP_LIMIT = 2**31
"""A batch has fewer padded steps than this: packing indices are int32."""

KEPT_STEPS = 2**18
"""A packing index of more steps isn't kept: a megabyte an array."""

ALL_ROWS = slice(None)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one native call takes.

    `real` (size, time): the steps that count, None where all do or there is no sequence input.
    `borrowed`: the inputs that are the caller's own memory.
    """

    size: int
    time: int
    inputs: Mapping[str, Array]
    index: PackedIndex | None
    real: Mask | None
    borrowed: frozenset[str] = frozenset()

    def owned(self) -> Batch:
        """The batch with copies of what is the caller's: it stays as it is whatever the caller does."""
        inputs = {name: array.copy() if name in self.borrowed else array for name, array in self.inputs.items()}
        return Batch(self.size, self.time, inputs, self.index, self.real)


@dataclass(frozen=True)
class CheckedInputs:
    """A data set's inputs, all checked: of the model's dtype, ids int32 and in range.

    `sequence`: the sequence input's name. `time`: the longest sample, or the padded length.
    `real`: its real steps, laid out as its column, (samples, time) or (all steps,); None where all are.
    """

    samples: int
    columns: Mapping[str, Column]
    sequence: str | None
    time: int
    real: Mask | None

    def batch(self, rows: Rows = ALL_ROWS, *, full_time: bool = True) -> Batch:
        """The chosen samples, padded to `time`, or to the longest chosen one unless `full_time`. See `Batch`."""
        if self.sequence is None:
            inputs = {name: _padded(column).array[rows] for name, column in self.columns.items()}
            size = len(next(iter(inputs.values())))
            return Batch(size, 0, inputs, None, None, self._borrowed(rows))
        column = self.columns[self.sequence]
        time = self.time
        if isinstance(column, Ragged) and not full_time:
            time = int(column.lengths[rows].max(initial=0))
        size = len(range(*rows.indices(self.samples))) if isinstance(rows, slice) else len(rows)
        check_step_count(size, time, self.sequence)
        real = self.real_steps(rows, time)
        inputs = {
            name: other.padded(rows, time) if isinstance(other, Ragged) else other.array[rows] for name, other in self.columns.items()
        }
        index = full_index(size, time) if real is None else pack(real)
        return Batch(size, time, inputs, index, real, self._borrowed(rows))

    def real_steps(self, rows: Rows, time: int) -> Mask | None:
        """The chosen samples' real steps, (rows, time); None where all are."""
        if self.sequence is None:
            return None
        column = self.columns[self.sequence]
        if isinstance(column, Ragged):
            real = column.grid(rows, time) if self.real is None else column.padded(rows, time, self.real)
        elif self.real is None:
            return None
        else:
            real = self.real[rows]
        return None if real.all() else real

    def _borrowed(self, rows: Rows) -> frozenset[str]:
        if not isinstance(rows, slice):
            return frozenset()
        return frozenset(name for name, column in self.columns.items() if isinstance(column, Padded) and column.borrowed)


def full_index(batch: int, time: int) -> PackedIndex:
    """The packing index of a mask that is all real: nothing to sort, so nothing to look at. Small ones are kept for next time."""
    return _kept_full_index(batch, time) if batch * time <= KEPT_STEPS else _full_index(batch, time)


def _full_index(batch: int, time: int) -> PackedIndex:
    rows = np.arange(batch, dtype=np.int32)
    offsets = np.arange(time + 1 if batch else 1, dtype=np.int32) * np.int32(batch)
    source = (rows[None, :] * np.int32(time) + np.arange(time, dtype=np.int32)[:, None]).reshape(-1)
    return PackedIndex(batch, time, rows, rows, offsets, source)


_kept_full_index = lru_cache(maxsize=16)(_full_index)


def check_step_count(samples: int, time: int, name: str) -> None:
    """ValueError if a batch has more samples, steps or padded steps than an index can count."""
    steps = samples * time
    if max(samples, time, steps) >= STEP_LIMIT:
        raise ValueError(f"input {name}: {samples} samples of {time} steps are too many, a call takes fewer than {STEP_LIMIT} steps in all")


def whole_number(what: str, value: object, least: int) -> int:
    """The value as an int; ValueError, naming `what`, if it isn't a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{what}: expected a whole number of at least {least}, got {value!r}")
    return int(cast(int, value))


def check_inputs(signature: Signature, x: object, mask: object = None, lengths: object = None, *, at_once: bool = True) -> CheckedInputs:
    """The user's inputs, checked against the signature.

    `x`: for each input a padded array (batch, ...), or for a sequence a list of arrays of different
    lengths; a mapping from input names if there are several. Float inputs take bools, integers and
    floats; ids take integers, and floats without a fraction. `mask` (batch, time), bool or 0 and 1,
    and `lengths` (batch,), integers up to time, are the sequence input's, or mappings from input
    names; given both, a step is real if both say so. What masked steps hold isn't looked at.
    `at_once`: all samples go into one call, which bounds their number of steps.
    ValueError names the input, the sample, the step, the value found and what was expected.
    """
    named = _by_name(signature, x)
    columns = {spec.name: _column(spec, named[spec.name], at_once) for spec in signature.inputs}
    _check_agreement(signature, columns)
    dtype = np.dtype(signature.dtype)
    sequences = [spec for spec in signature.inputs if spec.is_sequence]
    if len(sequences) > 1:
        raise InternalError(f"model {signature.model} has several sequence inputs, a call has one packing index")
    checked = {spec.name: _floats(spec, columns[spec.name], dtype, None) for spec in signature.inputs if not spec.is_sequence}
    samples = columns[signature.inputs[0].name].samples
    if not sequences:
        for what, given in (("mask", mask), ("lengths", lengths)):
            if given is not None:
                raise ValueError(f"{what}: model {signature.model} has no sequence input that it could apply to")
        return CheckedInputs(samples, checked, None, 0, None)
    spec = sequences[0]
    column = columns[spec.name]
    time = column.longest if isinstance(column, Ragged) else column.array.shape[1]
    real = _given_steps(spec.name, column, time, _for_input(spec.name, "mask", mask), _for_input(spec.name, "lengths", lengths))
    if spec.integer:
        real = _unmasked(spec, column, real)
        checked[spec.name] = _ids(spec, column, real)
    else:
        checked[spec.name] = _floats(spec, column, dtype, real)
        real = _unmasked(spec, checked[spec.name], real)
    return CheckedInputs(samples, {spec.name: checked[spec.name] for spec in signature.inputs}, spec.name, time, real)


def _by_name(signature: Signature, x: object) -> Mapping[str, object]:
    names = [spec.name for spec in signature.inputs]
    if not isinstance(x, Mapping):
        if len(names) > 1:
            raise ValueError(f"model {signature.model} has {len(names)} inputs: pass a mapping with the keys {', '.join(names)}")
        return {names[0]: x}
    given = cast(Mapping[str, object], x)
    missing = [name for name in names if name not in given]
    unknown = [str(name) for name in given if name not in names]
    if missing or unknown:
        said = [f"missing: {', '.join(missing)}"] if missing else []
        said += [f"unknown: {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"the inputs of model {signature.model} are {', '.join(names)}; {'; '.join(said)}")
    return given


def _for_input(name: str, what: str, given: object) -> object:
    if not isinstance(given, Mapping):
        return given
    named = cast(Mapping[str, object], given)
    unknown = [str(other) for other in named if other != name]
    if unknown:
        raise ValueError(f"{what}: {', '.join(unknown)} isn't a sequence input; {name} is")
    return named.get(name)


def _column(spec: InputSignature, value: object, at_once: bool) -> Column:
    """The value as a column of the right shape, its dtype not looked at beyond being numbers."""
    what = f"input {spec.name}"
    tail = tuple(extent for extent in spec.shape[1 if spec.is_sequence else 0 :] if isinstance(extent, int))
    shown = f"({', '.join(str(extent) for extent in ('batch', *spec.shape))})"
    if spec.is_sequence and is_list(value):
        axes = ", ".join(str(extent) for extent in spec.shape)
        column = ragged(cast(list[object], value), tail, what, f"shape ({axes}{',' if not tail else ''})")
        fixed = spec.shape[0]
        if isinstance(fixed, int) and (wrong := np.flatnonzero(column.lengths != fixed)).size:
            raise ValueError(f"{what}, sample {wrong[0]}: expected {fixed} steps, got {column.lengths[wrong[0]]}")
        return column
    array = as_numbers(value, what)
    if array.ndim != 1 + len(spec.shape):
        hint = "; a single sample needs a batch axis: x[None]" if array.ndim == len(spec.shape) else ""
        raise ValueError(f"{what}: expected shape {shown}, got {array.shape}{hint}")
    for axis, extent in enumerate(spec.shape, 1):
        if isinstance(extent, int) and array.shape[axis] != extent:
            kind = "steps" if spec.is_sequence and axis == 1 else "features"
            raise ValueError(f"{what}: expected {extent} {kind}, got {array.shape[axis]} (expected shape {shown}, got {array.shape})")
    if spec.is_sequence and at_once:
        check_step_count(array.shape[0], array.shape[1], spec.name)
    return Padded(array, borrowed=True)


def _check_agreement(signature: Signature, columns: Mapping[str, Column]) -> None:
    """All inputs have the same number of samples, and dimensions of one name the same length."""
    first = signature.inputs[0].name
    known: dict[str, tuple[int, str]] = {}
    for spec in signature.inputs:
        column = columns[spec.name]
        if column.samples != columns[first].samples:
            raise ValueError(f"input {spec.name} has {column.samples} samples, input {first} has {columns[first].samples}")
        sizes = (column.longest,) if isinstance(column, Ragged) else column.array.shape[1:]
        for extent, size in zip(spec.shape, sizes, strict=False):
            if isinstance(extent, str):
                other, where = known.setdefault(extent, (size, spec.name))
                if other != size:
                    raise ValueError(f"dimension {extent} is {other} in input {where} and {size} in input {spec.name}")


def _given_steps(name: str, column: Column, time: int, mask: object, lengths: object) -> Mask | None:
    """The steps that `mask` and `lengths` leave real, laid out as the column; None where they say nothing."""
    real: Mask | None = None
    if mask is not None:
        array = as_numbers(mask, "mask")
        if array.shape != (column.samples, time):
            raise ValueError(f"mask: expected shape {(column.samples, time)} for input {name}, got {array.shape}")
        real = array != 0
        if array.dtype.kind != "b" and (wrong := np.argwhere(real & (array != 1))).size:
            sample, step = wrong[0]
            raise ValueError(f"mask: expected 0 or 1 at sample {sample}, step {step}, got {array[sample, step]}")
    if lengths is not None:
        array = as_numbers(lengths, "lengths")
        if array.dtype.kind not in "iu" and array.size:
            raise ValueError(f"lengths: expected integers, got dtype {array.dtype}")
        if array.shape != (column.samples,):
            raise ValueError(f"lengths: expected shape {(column.samples,)} for input {name}, got {array.shape}")
        most = column.lengths if isinstance(column, Ragged) else np.full(column.samples, time)
        if (wrong := np.flatnonzero((array < 0) | (array > most))).size:
            raise ValueError(f"lengths: expected 0 to {most[wrong[0]]} for sample {wrong[0]} of input {name}, got {array[wrong[0]]}")
        within = np.arange(time) < array[:, None]
        real = within if real is None else real & within
    if real is not None and isinstance(column, Ragged):
        real = real[column.grid(ALL_ROWS, time)]
    return real


def _unmasked(spec: InputSignature, column: Column, real: Mask | None) -> Mask | None:
    """The real steps less those that Masking or mask_zero mask; None where none is masked."""
    values = _values(column)
    with np.errstate(over="ignore"):
        masks = [int(masked) if spec.integer else values.dtype.type(masked) for masked in spec.mask_values]
    for masked in masks:
        present: Mask = values != masked if spec.integer else (values != masked).any(axis=-1)
        real = present if real is None else real & present
    return None if real is None or real.all() else real


def _floats(spec: InputSignature, column: Column, dtype: np.dtype[np.generic], real: Mask | None) -> Column:
    """The column in the model's dtype; the very same array where it already is and native code can read it."""
    values = _values(column)
    if values.dtype == dtype and values.flags.c_contiguous and values.flags.aligned:
        return column
    with np.errstate(over="ignore"):
        converted: Array = values.astype(dtype, order="C")
    too_large = np.isinf(converted)
    if too_large.any():
        too_large &= np.isfinite(values)
        if real is not None:
            too_large &= real[..., None]
        _refuse(spec, column, too_large, f"a value that {dtype} holds")
    return Ragged(converted, column.lengths) if isinstance(column, Ragged) else Padded(converted, borrowed=False)


def _ids(spec: InputSignature, column: Column, real: Mask | None) -> Column:
    """The column as int32 ids in range; masked steps that hold anything else become 0."""
    values = _values(column)
    if values.dtype.kind == "b" and values.size:
        raise ValueError(f"input {spec.name}: expected token ids, got dtype {values.dtype}")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    limit = STEP_LIMIT if spec.vocabulary is None else spec.vocabulary
    if values.size and (values.dtype.kind == "f" or values.min() < 0 or values.max() >= limit):
        wrong = (values < 0) | (values >= limit)
        if values.dtype.kind == "f":
            wrong |= values != np.floor(values)
        expected = f"a whole number in 0..{limit - 1}" + ("" if spec.vocabulary is None else f" (vocabulary size {limit})")
        _refuse(spec, column, wrong if real is None else wrong & real, expected)
        values = np.where(wrong, 0, values)
    if values.dtype != np.int32 or not (values.flags.c_contiguous and values.flags.aligned):
        values = values.astype(np.int32, order="C")
    if values is _values(column):
        return column
    return Ragged(values, column.lengths) if isinstance(column, Ragged) else Padded(values, borrowed=False)


def _refuse(spec: InputSignature, column: Column, wrong: Mask, expected: str) -> None:
    if wrong.any():
        entry = tuple(int(number) for number in np.argwhere(wrong)[0])
        where = place(column, entry, sequence=spec.is_sequence)
        raise ValueError(f"input {spec.name}, {where}: expected {expected}, got {_values(column)[entry]}")


def _values(column: Column) -> Array:
    return column.flat if isinstance(column, Ragged) else column.array


def _padded(column: Column) -> Padded:
    if isinstance(column, Ragged):
        raise InternalError("a row input can't be ragged")
    return column
