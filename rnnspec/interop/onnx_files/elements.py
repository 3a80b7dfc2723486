"""Elements of values that aren't known yet: where each element of a tensor comes from, as a number.

A value has a row for each sample, or a sequence of them: (batch, steps, features). Its elements have consecutive numbers in a pool. A
tensor of the source is an array of such numbers, so that whatever moves elements (transposing, reshaping, slicing) is done by numpy on
numbers, and what came of it is read off. The batch and lengths that may differ have sizes of their own while a file is read.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.onnx_files.moving import Unfit

Numbers = NDArray[np.int64]

TENSOR_LIMIT = 2**24
"""Elements of one tensor."""

TOTAL_LIMIT = 2**29
"""Elements of all tensors together."""


def listed(numbers: Numbers) -> list[int]:
    """Numbers as Python's."""
    return [int(each) for each in numbers.ravel()]


def distinct(numbers: Numbers) -> list[int]:
    """The different numbers among some, in their order."""
    return listed(np.unique(numbers))


@frozen
class Entry:
    """A value: `key` names it in the graph, its elements are numbered from `base` on. `steps`: 1 for a row.

    `open`: a sequence whose number of steps may differ. `constant`: numbers that are known, the same for each sample.
    `uniform`: all features of a row are the same.
    """

    key: str
    base: int
    steps: int
    features: int
    batch: int
    is_open: bool = False
    constant: bool = False
    uniform: bool = False

    @property
    def size(self) -> int:
        """The number of one sample's elements."""
        return self.steps * self.features

    @property
    def end(self) -> int:
        """The number behind its last element's."""
        return self.base + self.size * self.batch


@frozen(eq=False)
class Elements:
    """A tensor of the source, element by element."""

    numbers: Numbers

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape, with the sizes that the batch and lengths have while the file is read."""
        return self.numbers.shape


@frozen(eq=False)
class Origin:
    """The origin of each element: the entry's place in the pool, the step and the feature. All of the first sample."""

    entry: Numbers
    step: Numbers
    feature: Numbers


class Pool:
    """All values so far. `batch`: the size that the batch has while the file is read."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.entries: list[Entry] = []
        self.known: dict[str, Array] = {}
        self._bases: list[int] = []
        self._total = 0

    def add(self, key: str, steps: int, features: int, *, is_open: bool = False, uniform: bool = False) -> Entry:
        """A new value."""
        return self._put(Entry(key, self._next, steps, features, self.batch, is_open, uniform=uniform))

    def constant(self, array: Array) -> Elements:
        """Numbers that are known, as elements."""
        key = f"constant {len(self.entries)}"
        self.known[key] = np.asarray(array).ravel()
        entry = self._put(Entry(key, self._next, 1, array.size, 1, constant=True))
        return Elements(np.arange(entry.base, entry.end, dtype=np.int64).reshape(array.shape))

    @property
    def _next(self) -> int:
        return self.entries[-1].end if self.entries else 0

    def _put(self, entry: Entry) -> Entry:
        if entry.size * entry.batch > TENSOR_LIMIT:
            raise Unfit(f"a value of {entry.steps} steps of {entry.features} features is larger than what is followed")
        self.entries.append(entry)
        self._bases.append(entry.base)
        return entry

    def count(self, numbers: Numbers) -> Elements:
        """A tensor, counted against the limits."""
        self._total += numbers.size
        if numbers.size > TENSOR_LIMIT or self._total > TOTAL_LIMIT:
            raise Unfit("the tensors have more elements than are followed")
        return Elements(numbers)

    def whole(self, entry: Entry) -> Numbers:
        """All of a value's numbers, (batch, steps, features)."""
        return np.arange(entry.base, entry.end, dtype=np.int64).reshape(entry.batch, entry.steps, entry.features)

    def first(self, entry: Entry) -> Numbers:
        """The first sample's numbers of a value, (steps, features)."""
        return np.arange(entry.base, entry.base + entry.size, dtype=np.int64).reshape(entry.steps, entry.features)

    def place(self, numbers: Numbers) -> Numbers:
        """The places of the entries that elements belong to."""
        return np.searchsorted(np.asarray(self._bases, np.int64), numbers, "right").astype(np.int64) - 1

    def entries_in(self, numbers: Numbers) -> list[Entry]:
        """The values that elements belong to."""
        return [self.entries[place] for place in distinct(self.place(numbers))]

    def _sizes(self, place: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """The first number, the size of a sample and the features of each element's entry."""
        chosen, inverse = np.unique(place, return_inverse=True)
        own = [self.entries[each] for each in listed(chosen)]
        table = np.asarray([(each.base, each.size, each.features) for each in own], np.int64).reshape(-1, 3)[inverse.reshape(place.shape)]
        return table[..., 0], table[..., 1], table[..., 2]

    def samples(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """The sample of each element, -1 for one that is the same in all, and its number in the first sample."""
        place = self.place(numbers)
        base, size, _ = self._sizes(place)
        sample = (numbers - base) // np.maximum(size, 1)
        constant = self.constants[place]
        return np.where(constant, -1, sample), np.where(constant, numbers, numbers - sample * size)

    def of_sample(self, first: Numbers, sample: int) -> Numbers:
        """The elements of another sample that stand where those of the first one do."""
        return first + sample * self._sizes(self.place(first))[1] * ~self.constants[self.place(first)]

    @property
    def constants(self) -> NDArray[np.bool_]:
        """Whether each value's numbers are known."""
        return np.asarray([each.constant for each in self.entries], np.bool_)

    def origin(self, first: Numbers) -> Origin:
        """Where elements of the first sample come from."""
        place = self.place(first)
        base, _, features = self._sizes(place)
        inner = first - base
        return Origin(place, inner // features, inner % features)


@frozen(eq=False)
class Layout:
    """A tensor as a value: `first` its elements in the first sample, (steps, features), and the way back to the tensor's shape.

    `sample` and `step`: of each row of the tensor, which are its axes but those of the features, `shape`; `order`: the tensor's axes,
    the features' last; `inner`: these axes' sizes.
    """

    first: Numbers
    sample: Numbers
    step: Numbers
    order: tuple[int, ...]
    inner: tuple[int, ...]

    def back(self, entry: Entry, inner: tuple[int, ...] | None = None) -> Numbers:
        """The tensor of another value with the same rows; `inner`: its axes of features, those of before by default."""
        inner = self.inner if inner is None else inner
        rows = entry.base + (self.sample * entry.steps + self.step) * entry.features
        whole = (rows[..., None] + np.arange(entry.features)).reshape(*rows.shape, *inner)
        if len(inner) == len(self.inner):
            return whole.transpose(np.argsort(self.order).tolist())
        kept = [axis for axis in sorted(range(len(self.order))) if axis in self.order[: rows.ndim]]
        places = [self.order.index(axis) for axis in kept]
        return whole.transpose([*places, *range(rows.ndim, whole.ndim)])


def layout_of(pool: Pool, elements: Elements, axes: tuple[int, ...] | None = None) -> Layout:
    """How a tensor's axes are samples, steps and features; `axes`: those of the features, None to find them out.

    `Unfit` where samples are mixed, or not the same.
    """
    numbers = elements.numbers
    sample, first = pool.samples(numbers)
    if axes is None:
        axes = _features_of(pool, sample, first)
    order = (*(axis for axis in range(numbers.ndim) if axis not in axes), *axes)
    outer, inner = tuple(numbers.shape[axis] for axis in order[: len(order) - len(axes)]), tuple(numbers.shape[axis] for axis in axes)
    first = first.transpose(order).reshape(prod(outer), prod(inner))
    rows = _samples_of_rows(pool, sample.transpose(order).reshape(first.shape), outer)
    if pool.batch == 1:
        steps = np.arange(len(first), dtype=np.int64)
        return Layout(first, np.zeros(outer, np.int64), steps.reshape(outer), order, inner)
    each = [np.flatnonzero(rows == number) for number in range(pool.batch)]
    if len({len(places) for places in each}) != 1:
        raise Unfit("samples of a batch are mixed: it isn't the same for each of them")
    one = first[each[0]]
    step = np.empty(len(first), np.int64)
    for places in each:
        if not np.array_equal(first[places], one):
            raise Unfit("samples of a batch are mixed: it isn't the same for each of them")
        step[places] = np.arange(len(places))
    return Layout(one, rows.reshape(outer), step.reshape(outer), order, inner)


def _samples_of_rows(pool: Pool, sample: Numbers, outer: tuple[int, ...]) -> Numbers:
    """The sample that each row belongs to."""
    if not sample.size:
        raise Unfit("it has no elements")
    rows = sample.max(axis=1)
    if not ((sample == rows[:, None]) | (sample < 0)).all():
        raise Unfit("samples of a batch are mixed in one row")
    if (rows < 0).any():
        rows = _with_constants(pool, rows.reshape(outer)).ravel()
    return rows


def _with_constants(pool: Pool, rows: Numbers) -> Numbers:
    """Rows of constants belong to the sample at whose place on the batch's axis they stand."""
    for axis in range(rows.ndim):
        others = rows.max(axis=tuple(each for each in range(rows.ndim) if each != axis))
        if rows.shape[axis] == pool.batch and (others == np.arange(pool.batch)).all():
            shape = [1] * rows.ndim
            shape[axis] = pool.batch
            full = np.broadcast_to(others.reshape(shape), rows.shape)
            if ((rows == full) | (rows < 0)).all():
                return np.ascontiguousarray(full)
    if pool.batch == 1:
        return np.zeros_like(rows)
    raise Unfit("constants stand beside samples in a way that isn't the same for each of them")


def _features_of(pool: Pool, sample: Numbers, first: Numbers) -> tuple[int, ...]:
    """The axes along which only features differ; the last one if there are none."""
    origin = pool.origin(first)
    found: list[int] = []
    for axis in range(first.ndim):
        if first.shape[axis] == 1:
            continue
        same = [bool((np.diff(each, axis=axis) == 0).all()) for each in (sample, origin.entry, origin.step)]
        if same[0] and same[2] and (same[1] or not _steps_differ(pool, origin)):
            found.append(axis)
    if not found:
        units = [axis for axis in range(first.ndim) if first.shape[axis] == 1]
        if units or not first.ndim:
            return tuple(units[-1:])
        of_samples = bool((np.diff(sample, axis=-1) != 0).any())
        of_steps = not np.diff(origin.feature, axis=-1).any() and any(pool.entries[place].is_open for place in distinct(origin.entry))
        return () if of_samples or of_steps else (first.ndim - 1,)  # () for a number at each sample, or at each step
    return tuple(found)


def _steps_differ(pool: Pool, origin: Origin) -> bool:
    return len({pool.entries[place].steps for place in distinct(origin.entry)}) > 1
