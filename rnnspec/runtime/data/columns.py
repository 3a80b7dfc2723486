"""Columns: the values of one input or target for all samples, padded or ragged, from which batches are cut."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.runtime.data.not_numbers import as_list, batches_problem, by_dlpack, problem, unreadable
from rnnspec.runtime.data.sample_errors import SampleError, sample_error
from rnnspec.runtime.data.shape_hints import hint_for_list

Rows: TypeAlias = slice | NDArray[np.intp]
"""The samples of a batch: a slice (no copy) or their numbers."""


PART = 2**18
"""Elements that are looked at, or converted, at once."""


@frozen
class PaddedArray:
    """A padded column: (samples, ...) or (samples, time, ...). `borrowed`: the array is the caller's own memory.

    `dtype`: what chosen samples are converted to, in a layout for native code; None where the array already is so.
    """

    array: Array
    borrowed: bool
    dtype: np.dtype[np.generic] | None = None

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.array.shape[0]

    def cut(self, rows: Rows) -> Array:
        """The chosen samples, converted."""
        chosen = self.array[rows]
        if self.dtype is None:
            return chosen
        with np.errstate(over="ignore", invalid="ignore"):
            return chosen.astype(self.dtype, order="C")

    def owned(self) -> PaddedArray:
        """The same values, converted, in memory that isn't the caller's."""
        return PaddedArray(self.array.copy() if self.dtype is None else self.cut(slice(None)), borrowed=False)

    @property
    def is_large(self) -> bool:
        """Whether the values are looked at and converted a part at a time, so that there is no second array as large."""
        return self.array.size > PART

    def parts(self) -> Iterator[slice]:
        """All samples, some at a time."""
        step = max(PART // max(self.array[:1].size, 1), 1)
        return (slice(start, start + step) for start in range(0, len(self.array), step))


@frozen(slots=False)
class RaggedArray:
    """A column of samples of different lengths, concatenated in `flat` (all steps, ...); `lengths`: int64 (samples,)."""

    flat: Array
    lengths: NDArray[np.int64]

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Each sample's first step in `flat`, int64 (samples,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def longest(self) -> int:
        """The longest sample's number of steps; 0 without samples."""
        return int(self.lengths.max(initial=0))

    def grid(self, rows: Rows, time: int) -> NDArray[np.bool_]:
        """The mask of the chosen samples padded to `time`: bool (rows, time), True where a sample has a step."""
        return np.arange(time) < self.lengths[rows][:, None]

    def padded(self, rows: Rows, time: int, values: Array | None = None) -> Array:
        """The chosen samples padded at the end with zeros, (rows, time, ...); of `values` laid out as `flat` if given."""
        values = self.flat if values is None else values
        lengths = self.lengths[rows]
        result = np.zeros((len(lengths), time, *values.shape[1:]), values.dtype)
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        result[self.grid(rows, time)] = values[np.repeat(self.starts[rows], lengths) + within]
        return result


Column: TypeAlias = PaddedArray | RaggedArray


def as_numbers(value: object, what: str, texts: str = "") -> Array:
    """The value as an array of bools, integers or floats; ValueError, naming `what`, for anything else.

    `texts`: advice for one of texts, of data: with it there is advice for other data, too. What gives items without being an
    array or a list is never read.
    """
    # Masked arrays exist only where numpy.ma was imported; importing it to ask would take a sixth of numpy's time.
    if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{what}: a masked array; give its data, and its steps' mask as mask=")
    if type(value) is not np.ndarray:
        try:
            value = by_dlpack(as_list(value))
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        if (foreign := unreadable(value)) is not None:
            raise ValueError(f"{what}: {batches_problem(foreign)}")
    try:
        array: Array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = "the lists in it have different lengths" if "inhomogeneous" in str(error) else error
        raise ValueError(f"{what}: not an array: {reason}") from None
    if array.dtype.kind in "biuf":
        return array
    raise ValueError(f"{what}: {problem(value, array, texts)}")


SHORT = 2**12
"""Numbers of a list that is short."""


def array_of_short_list(value: object) -> Array | None:
    """A short list of lists of numbers as the array that the checks make of it, too; None for all else, which they look at.

    What is in the lists behind the first number is for those who take the array.
    """
    count, part = 1, value
    while type(part) is list:
        entries = cast(list[object], part)
        count *= len(entries)
        if not 0 < count <= SHORT:
            return None
        part = entries[0]
    if (type(part) is not float and type(part) is not int) or any(type(entry) is not list for entry in cast(list[object], value)):
        return None
    with suppress(ValueError, TypeError, OverflowError):
        return np.array(value)
    return None


def is_list(value: object) -> bool:
    """Whether the value is a Python list or tuple: one entry a sample."""
    return isinstance(value, (list, tuple))


def ragged(
    samples: Sequence[object], tail: tuple[int, ...], what: str, described: str, variable: str = "x", texts: str = ""
) -> RaggedArray:
    """Samples of shape (steps, *tail) as one column, their dtypes brought together.

    `described` says in words what a sample should look like. ValueError names the sample, with advice on its shape in which the list
    is called `variable`, if that isn't empty.
    """
    arrays: list[Array] = []
    for number, sample in enumerate(samples):
        array = as_numbers(sample, f"{what}, sample {number}", texts)
        if array.shape == (0,):
            array = array.reshape(0, *tail)
        if array.ndim != 1 + len(tail) or array.shape[1:] != tail:
            hint = hint_for_list(_shapes(samples, what), tail, variable) if variable else ""
            raise sample_error(what, number, f"expected {described}, got shape {array.shape}{hint}")
        arrays.append(array)
    lengths = np.array([len(array) for array in arrays], np.int64)
    filled = [array for array in arrays if len(array)]
    flat = np.concatenate(filled) if filled else np.zeros((0, *tail), np.int32)
    return RaggedArray(flat, lengths)


def _shapes(samples: Sequence[object], what: str) -> list[tuple[int, ...]]:
    """The shapes of the samples that are arrays of numbers."""
    shapes: list[tuple[int, ...]] = []
    for sample in samples:
        with suppress(ValueError):
            shapes.append(as_numbers(sample, what).shape)
    return shapes


def values_of(column: Column) -> Array:
    """The values of all samples, as they were given."""
    return column.flat if isinstance(column, RaggedArray) else column.array


def first_wrong(column: Column, wrong: NDArray[np.bool_], *, first: int = 0) -> tuple[tuple[int, ...], Any] | None:
    """The first wrong entry, as `place` and `entry_error` take it, and its value; None if there is none.

    `wrong`: of the samples, or of the steps of `flat`, from `first` on.
    """
    if not wrong.any():
        return None
    row, *others = (int(number) for number in np.argwhere(wrong)[0])
    entry = (first + row, *others)
    return entry, values_of(column)[entry]


def place(column: Column, entry: tuple[int, ...], *, sequence: bool) -> str:
    """The place of an entry in the caller's terms: sample, step, feature. `entry` indexes `array` or `flat`."""
    return ", ".join(f"{axis} {number}" for axis, number in _numbers(column, entry, sequence=sequence).items())


def entry_error(what: str, column: Column, entry: tuple[int, ...], problem: str, *, sequence: bool) -> SampleError:
    """The error of an entry, at the place that `place` tells."""
    numbers = _numbers(column, entry, sequence=sequence)
    return sample_error(what, numbers["sample"], problem, step=numbers.get("step"), feature=numbers.get("feature"))


def _numbers(column: Column, entry: tuple[int, ...], *, sequence: bool) -> dict[str, int]:
    if isinstance(column, RaggedArray):
        ends = np.cumsum(column.lengths)
        sample = int(np.searchsorted(ends, entry[0], side="right"))
        entry = (sample, entry[0] - int(column.starts[sample]), *entry[1:])
    return dict(zip(("sample", "step", "feature") if sequence else ("sample", "feature"), entry, strict=False))
