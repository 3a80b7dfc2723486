"""Checked inputs, cut into batches for native calls: padded arrays, which steps are real, packing indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import Dim, Size, names_in, shortfall, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.packing import PackedIndex, pack, pair, window_count, window_mask
from rnnspec.contract.shape_cache import ShapeCache
from rnnspec.contract.signature import IndexSignature, PairSignature
from rnnspec.frozen import frozen
from rnnspec.locks import cached_property
from rnnspec.runtime.data.columns import Column, PaddedArray, RaggedArray, Rows

Mask = NDArray[np.bool_]

STEP_LIMIT = 2**31
"""A batch has fewer padded steps than this: packing indices are int32."""

KEPT_STEPS = 2**18
"""A packing index of more steps isn't kept: a megabyte an array."""

ALL_ROWS = slice(None)


@frozen
class CallBatch:
    """The inputs of one native call.

    `indices`: the signature's packing indices. `reals`: for each, the unmasked steps, (size, time); None where all are. `borrowed`: names
    of inputs in the caller's own memory.
    """

    size: int
    inputs: Mapping[str, Array]
    indices: tuple[PackedIndex, ...]
    reals: tuple[Mask | None, ...]
    borrowed: frozenset[str] = frozenset()

    def owned(self) -> CallBatch:
        """The batch with borrowed inputs copied, so that the caller may overwrite theirs."""
        inputs = {name: array.copy() if name in self.borrowed else array for name, array in self.inputs.items()}
        return CallBatch(self.size, inputs, self.indices, self.reals)


@frozen
class SequenceInput:
    """A checked sequence input: `extent` names its length, `time` is the longest sample's or the padded one.

    `given`: the steps that the caller's mask and lengths leave, laid out as the input's column; None without them.
    `present`: for each set of values that some index masks, the steps that are left, (samples, time) or
    (all steps,), laid out so, too; None where all are.
    """

    extent: Dim
    time: int
    given: Mask | None
    present: Mapping[tuple[float, ...], Mask | None]


@frozen(slots=False)
class CheckedInputs:
    """A data set's inputs, all checked: of the model's dtype, ids int32 and in range."""

    samples: int
    columns: Mapping[str, Column]
    sequences: Mapping[str, SequenceInput]
    indices: tuple[IndexSignature | PairSignature, ...]
    ids: Mapping[str, int] = field(default_factory=dict[str, int])
    """The inputs of ids, with the number that is too large for each."""

    def batch(self, rows: Rows = ALL_ROWS, *, full_time: bool = True) -> CallBatch:
        """The chosen samples, padded to the longest of all, or of the chosen ones unless `full_time`. See `CallBatch`."""
        size = len(range(*rows.indices(self.samples))) if isinstance(rows, slice) else len(rows)
        times = self._times(rows, full_time or self._shows_padding)
        for name, time in times.items():
            check_step_count(size, time, name)
        lengths = self._lengths(times)
        for index in self.indices:
            if isinstance(index, IndexSignature):
                check_step_count(size, self._time(index, times, lengths), self._named(index.length))
        inputs = {
            name: column.padded(rows, times[name]) if isinstance(column, RaggedArray) else self._cut(name, column, rows)
            for name, column in self.columns.items()
        }
        reals = self._reals(rows, times, size, len(self.indices))
        indices: list[PackedIndex] = []
        for index, real in zip(self.indices, reals, strict=True):
            indices.append(self._packed(index, real, size, times, indices))
        return CallBatch(size, inputs, tuple(indices), tuple(reals), self._borrowed(rows))

    def chosen(self, rows: Rows) -> CheckedInputs:
        """The chosen samples alone, padded to the longest of them."""
        times = self._times(rows, False)
        columns: dict[str, Column] = {}
        sequences: dict[str, SequenceInput] = {}
        for name, column in self.columns.items():
            own = column.padded(rows, times[name]) if isinstance(column, RaggedArray) else column.cut(rows)
            columns[name] = PaddedArray(own, borrowed=False)
        for name, sequence in self.sequences.items():
            column, time = self.columns[name], times[name]
            present = {values: _padded_steps(column, real, rows, time) for values, real in sequence.present.items()}
            sequences[name] = SequenceInput(sequence.extent, time, None, present)
        samples = len(range(*rows.indices(self.samples))) if isinstance(rows, slice) else len(rows)
        return CheckedInputs(samples, columns, sequences, self.indices, self.ids)

    def between(self, start: int, stop: int) -> CheckedInputs:
        """These steps of each sequence, of padded inputs of one length, as `chosen` gives them."""
        columns: dict[str, Column] = {}
        sequences: dict[str, SequenceInput] = {}
        for name, column in self.columns.items():
            array = column.flat if isinstance(column, RaggedArray) else column.cut(ALL_ROWS)
            columns[name] = PaddedArray(np.ascontiguousarray(array[:, start:stop]) if name in self.sequences else array, borrowed=False)
        for name, sequence in self.sequences.items():
            present = {values: None if real is None else _unless_all(real[:, start:stop]) for values, real in sequence.present.items()}
            sequences[name] = SequenceInput(sequence.extent, min(stop, sequence.time) - start, None, present)
        return CheckedInputs(self.samples, columns, sequences, self.indices, self.ids)

    @property
    def has_real_steps(self) -> bool:
        """Whether any step of any sample counts in any of the sequences."""
        masks = [real for sequence in self.sequences.values() for real in sequence.present.values()]
        return any(real is None or real.any() for real in masks)

    def owned(self) -> CheckedInputs:
        """The same inputs, what is the caller's memory copied, so that they may overwrite theirs."""
        columns: dict[str, Column] = {
            name: column.owned() if isinstance(column, PaddedArray) and column.borrowed else column for name, column in self.columns.items()
        }
        return CheckedInputs(self.samples, columns, self.sequences, self.indices, self.ids)

    def _cut(self, name: str, column: PaddedArray, rows: Rows) -> Array:
        """The chosen samples. Ids, which name places in memory, are native code's own, and were looked at since they are."""
        chosen = column.cut(rows)
        if name not in self.ids:
            return chosen
        ids = chosen.copy() if isinstance(rows, slice) and column.borrowed and column.dtype is None else chosen
        limit = self.ids[name]
        if ids.size and (ids.min() < 0 or ids.max() >= limit):
            sample, *step = (int(number) for number in np.argwhere((ids < 0) | (ids >= limit))[0])
            raise ValueError(
                f"input {name}: its ids were changed while they were in use: expected a whole number in 0..{limit - 1}, "
                f"got {ids[(sample, *step)]}"
            )
        return ids

    def _packed(
        self, index: IndexSignature | PairSignature, real: Mask | None, size: int, times: Mapping[str, int], known: Sequence[PackedIndex]
    ) -> PackedIndex:
        if isinstance(index, PairSignature):
            queries, keys = known[index.queries], known[index.keys]
            check_step_count(queries.tokens, keys.time, next(iter(self.columns)))
            return pair(queries, keys, causal=index.causal)
        if real is not None:
            return pack(real)
        return full_index(size, self._time(index, times, self._lengths(times)))

    def _time(self, index: IndexSignature, times: Mapping[str, int], lengths: Mapping[Size, int]) -> int:
        """The padded length of an index's sequences."""
        if index.sources:
            return times[index.sources[0][0]]
        if index.joins:
            return sum(self._time(part, times, lengths) for part in index.joins[0])
        return max(value_of(index.windows[0].length if index.windows else index.length, lengths), 0)

    @property
    def _shows_padding(self) -> bool:
        """Whether a layer looks at all steps of a dynamic length, or from the end: what it gives then depends on the padding."""
        indices = [index for index in self.indices if isinstance(index, IndexSignature)]
        return any(isinstance(index.length, Size) or index.joins or any(each.flip for each in index.windows) for index in indices)

    def _lengths(self, times: Mapping[str, int]) -> Mapping[Size, int]:
        """The dynamic lengths by their names, checked for what windows need of them."""
        extents = ((self.sequences[name].extent, time) for name, time in times.items())
        lengths: dict[Size, int] = {extent: time for extent, time in extents if isinstance(extent, Size)}
        for length in self._lengths_needed:
            if least := shortfall(length, lengths):
                source = self._named(length)
                problem = f"expected at least {least} steps, a window needs them, got {times[source]}"
                raise ValueError(f"input {source}: {problem}")
        return lengths

    @cached_property
    def _lengths_needed(self) -> tuple[Dim, ...]:
        """The lengths that must not be below 0: of sequences of which no step is masked, and of parts of longer ones."""
        indices = [index for index in self.indices if isinstance(index, IndexSignature)]
        parts = [part for index in indices for join in index.joins for part in join]
        lengths = [index.length for index in (*indices, *parts)]
        return tuple(dict.fromkeys((*lengths, *(each.length for part in parts for each in part.windows))))

    def time_of(self, index: int) -> int:
        """The padded length of an index's sequences, over all samples."""
        times = self._times(ALL_ROWS, True)
        return self._time(self._of_steps(index), times, self._lengths(times))

    def lengths_of(self, index: int) -> NDArray[np.int64] | None:
        """How long each sample of an index's sequences is, its longest source; None where they are padded to one length."""
        known: list[NDArray[np.int64] | None] = []
        for each in self.indices[: index + 1]:
            known.append(self._own_lengths(each, known) if isinstance(each, IndexSignature) else None)
        return known[index]

    def _own_lengths(self, index: IndexSignature, known: Sequence[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
        """See `lengths_of`; `known`: of the indices before. What begins at a padded sequence's end isn't known."""
        columns = [self.columns[name] for name, _ in index.sources]
        lengths = [column.lengths if isinstance(column, RaggedArray) else None for column in columns]
        for each in index.windows:
            of = known[each.of]
            lengths.append(None if of is None or each.flip else window_count(of, each.windows))
        found = [each for each in lengths if each is not None]
        return np.maximum.reduce(found) if found and len(found) == len(lengths) and not index.joins else None

    def real_steps(self, index: int) -> Mask | None:
        """The real steps of all samples by an index, (samples, time); None where all are."""
        return self._reals(ALL_ROWS, self._times(ALL_ROWS, True), self.samples, index + 1)[index]

    def present_steps(self, index: int) -> Mask | None:
        """The real steps of all samples, one sample after the other, each as long as `lengths_of` says; None where all are."""
        signature, lengths = self._of_steps(index), self.lengths_of(index)
        if len(signature.sources) == 1 and not signature.windows:
            ((name, values),) = signature.sources
            return self.sequences[name].present[values]
        real = self.real_steps(index)
        return None if real is None or lengths is None else real[np.arange(real.shape[1]) < lengths[:, None]]

    def _named(self, length: Dim) -> str:
        """The input that a length comes from; the first for a fixed one."""
        named = (name for name, sequence in self.sequences.items() if sequence.extent in names_in(length)[:1])
        return next(named, next(iter(self.columns)))

    def _of_steps(self, index: int) -> IndexSignature:
        signature = self.indices[index]
        if isinstance(signature, PairSignature):
            raise TypeError(f"index {index} is of pairs")
        return signature

    def _times(self, rows: Rows, full_time: bool) -> dict[str, int]:
        """The padded length of each sequence input; one length is one for all inputs that share its name."""
        if full_time:
            return {name: sequence.time for name, sequence in self.sequences.items()}
        longest: dict[Dim, int] = {}
        for name, sequence in self.sequences.items():
            column = self.columns[name]
            time = int(column.lengths[rows].max(initial=0)) if isinstance(column, RaggedArray) else sequence.time
            longest[sequence.extent] = max(longest.get(sequence.extent, 0), time)
        return {name: longest[sequence.extent] for name, sequence in self.sequences.items()}

    def _reals(self, rows: Rows, times: Mapping[str, int], size: int, count: int) -> list[Mask | None]:
        """The real steps of the first `count` indices, (size, time), None where all are; of pairs always None."""
        reals: list[Mask | None] = []
        for index in self.indices[:count]:
            reals.append(self._real_steps(index, rows, times, size, reals) if isinstance(index, IndexSignature) else None)
        return reals

    def _real_steps(
        self, index: IndexSignature, rows: Rows, times: Mapping[str, int], size: int, reals: Sequence[Mask | None]
    ) -> Mask | None:
        """The unmasked steps of one index, (size, time); None where all are. `reals`: of the indices before it."""
        real: Mask | None = None
        for name, values in index.sources:
            column, present = self.columns[name], self.sequences[name].present[values]
            if isinstance(column, RaggedArray):
                time = times[name]
                own = column.grid(rows, time) if present is None else column.padded(rows, time, present)
            elif present is None:
                return None
            else:
                own = present[rows]
            real = own if real is None else real | own
        for join in index.joins:
            own = self._joined_steps(join, rows, times, size, reals)
            if own is None:
                return None
            real = own if real is None else real | own
        for each in index.windows:
            of = reals[each.of]
            if of is None and self._time(self._of_steps(each.of), times, self._lengths(times)):
                return None
            of = np.zeros((size, 0), bool) if of is None else of  # without a step there is no window, as for a masked sample
            own = window_mask(of, each.windows, max(value_of(each.length, self._lengths(times)), 0), flip=each.flip)
            real = own if real is None else real | own
        return None if real is None or real.all() else real

    def _joined_steps(
        self, join: Sequence[IndexSignature], rows: Rows, times: Mapping[str, int], size: int, reals: Sequence[Mask | None]
    ) -> Mask | None:
        """The real steps of sequences one after the other; None where all are."""
        lengths = self._lengths(times)
        parts = [(self._real_steps(part, rows, times, size, reals), self._time(part, times, lengths)) for part in join]
        if all(real is None for real, _ in parts):
            return None
        return np.concatenate([np.ones((size, time), bool) if real is None else real for real, time in parts], axis=1)

    def _borrowed(self, rows: Rows) -> frozenset[str]:
        if not isinstance(rows, slice):
            return frozenset()
        return frozenset(
            name
            for name, column in self.columns.items()
            if isinstance(column, PaddedArray) and column.borrowed and column.dtype is None and name not in self.ids
        )


def _padded_steps(column: Column, real: Mask | None, rows: Rows, time: int) -> Mask | None:
    """The real steps of the chosen samples, (rows, time); None where all are."""
    if isinstance(column, RaggedArray):
        return _unless_all(column.grid(rows, time) if real is None else column.padded(rows, time, real))
    return None if real is None else _unless_all(real[rows])


def _unless_all(real: Mask) -> Mask | None:
    return None if real.all() else real


def full_index(batch: int, time: int) -> PackedIndex:
    """The packing index of a mask that is all real: nothing to sort, so nothing to look at. Small ones are kept for next time."""
    if batch * time > KEPT_STEPS:
        return _full_index(batch, time, kept=False)
    found = _full_indices.get((batch, time))
    return _full_indices.keep((batch, time), _full_index(batch, time, kept=True)) if found is None else found


def _full_index(batch: int, time: int, *, kept: bool) -> PackedIndex:
    rows = np.arange(batch, dtype=np.int32)
    offsets = np.arange(time + 1 if batch else 1, dtype=np.int32) * np.int32(batch)
    source = (rows[None, :] * np.int32(time) + np.arange(time, dtype=np.int32)[:, None]).reshape(-1)
    return PackedIndex(batch, time, rows, rows, offsets, source, kept)


_full_indices = ShapeCache[tuple[int, int], PackedIndex](16)


def check_step_count(samples: int, time: int, name: str) -> None:
    """ValueError if a batch has more samples, steps or padded steps than an index can count."""
    steps = samples * time
    if max(samples, time, steps) >= STEP_LIMIT:
        raise ValueError(f"input {name}: {samples} samples of {time} steps are too many, a call takes fewer than {STEP_LIMIT} steps in all")
