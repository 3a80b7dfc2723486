"""From what a user passes to arrays that native code may trust: every bad input ends here, with its place and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.runtime.columns import Column, Padded, Ragged, Rows, as_numbers, is_list, place, ragged
from rnnspec.runtime.executable import Array
from rnnspec.runtime.lengths import Length, length_of, name_in, shortfall
from rnnspec.runtime.packing import PackedIndex, pack, pair
from rnnspec.runtime.signature import IndexSignature, InputSignature, PairSignature, Signature

Mask = NDArray[np.bool_]

STEP_LIMIT = 2**31
"""A batch has fewer padded steps than this: packing indices are int32."""

KEPT_STEPS = 2**18
"""A packing index of more steps isn't kept: a megabyte an array."""

ALL_ROWS = slice(None)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one native call takes.

    `indices`: those of the signature. `reals`: for each the steps that count, (size, time), None where
    all do. `borrowed`: the inputs that are the caller's own memory.
    """

    size: int
    inputs: Mapping[str, Array]
    indices: tuple[PackedIndex, ...]
    reals: tuple[Mask | None, ...]
    borrowed: frozenset[str] = frozenset()

    def owned(self) -> Batch:
        """The batch with copies of what is the caller's: it stays as it is whatever the caller does."""
        inputs = {name: array.copy() if name in self.borrowed else array for name, array in self.inputs.items()}
        return Batch(self.size, inputs, self.indices, self.reals)


@dataclass(frozen=True, slots=True)
class SequenceInput:
    """A checked sequence input: `extent` names its length, `time` is the longest sample's or the padded one.

    `present`: for each set of values that some index masks, the steps that are left, laid out as the
    input's column, (samples, time) or (all steps,); None where all are.
    """

    extent: str
    time: int
    present: Mapping[tuple[float, ...], Mask | None]


@dataclass(frozen=True)
class CheckedInputs:
    """A data set's inputs, all checked: of the model's dtype, ids int32 and in range."""

    samples: int
    columns: Mapping[str, Column]
    sequences: Mapping[str, SequenceInput]
    indices: tuple[IndexSignature | PairSignature, ...]

    def batch(self, rows: Rows = ALL_ROWS, *, full_time: bool = True) -> Batch:
        """The chosen samples, padded to the longest of all, or of the chosen ones unless `full_time`. See `Batch`."""
        size = len(range(*rows.indices(self.samples))) if isinstance(rows, slice) else len(rows)
        times = self._times(rows, full_time or self._shows_padding)
        for name, time in times.items():
            check_step_count(size, time, name)
        lengths = self._lengths(times)
        for index in self.indices:
            if isinstance(index, IndexSignature):
                check_step_count(size, length_of(index.length, lengths), self._named(index.length))
        inputs = {
            name: column.padded(rows, times[name]) if isinstance(column, Ragged) else column.array[rows]
            for name, column in self.columns.items()
        }
        reals = tuple(self._real_steps(index, rows, times) for index in self.indices)
        indices: list[PackedIndex] = []
        for index, real in zip(self.indices, reals, strict=True):
            indices.append(self._packed(index, real, size, times, indices))
        return Batch(size, inputs, tuple(indices), reals, self._borrowed(rows))

    def _packed(
        self, index: IndexSignature | PairSignature, real: Mask | None, size: int, times: Mapping[str, int], known: Sequence[PackedIndex]
    ) -> PackedIndex:
        if isinstance(index, PairSignature):
            queries, keys = known[index.queries], known[index.keys]
            check_step_count(queries.tokens, keys.time, next(iter(self.columns)))
            return pair(queries, keys, causal=index.causal)
        if real is not None:
            return pack(real)
        return full_index(size, times[index.sources[0][0]] if index.sources else length_of(index.length, self._lengths(times)))

    @property
    def _shows_padding(self) -> bool:
        """Whether a layer looks at all steps of a dynamic length: what it gives then depends on how far a sample is padded."""
        return any(isinstance(index, IndexSignature) and isinstance(index.length, str) for index in self.indices)

    def _lengths(self, times: Mapping[str, int]) -> Mapping[str, int]:
        """The dynamic lengths by their names, checked for what windows need of them."""
        lengths = {self.sequences[name].extent: time for name, time in times.items()}
        for index in self.indices:
            if isinstance(index, IndexSignature) and (least := shortfall(index.length, lengths)):
                source = self._named(index.length)
                problem = f"expected at least {least} steps, a window needs them, got {times[source]}"
                raise ValueError(f"input {source}: {problem}")
        return lengths

    def time_of(self, index: int) -> int:
        """The padded length of an index's sequences, over all samples."""
        signature = self._of_steps(index)
        if signature.sources:
            return self.sequences[signature.sources[0][0]].time
        return length_of(signature.length, self._lengths(self._times(ALL_ROWS, True)))

    def lengths_of(self, index: int) -> NDArray[np.int64] | None:
        """How long each sample of an index's sequences is, its longest source; None where they are padded to one length."""
        columns = [self.columns[name] for name, _ in self._of_steps(index).sources]
        lengths = [column.lengths for column in columns if isinstance(column, Ragged)]
        return np.maximum.reduce(lengths) if lengths and len(lengths) == len(columns) else None

    def real_steps(self, index: int) -> Mask | None:
        """The real steps of all samples by an index, (samples, time); None where all are."""
        return self._real_steps(self.indices[index], ALL_ROWS, self._times(ALL_ROWS, True))

    def present_steps(self, index: int) -> Mask | None:
        """The real steps of all samples, one sample after the other, each as long as `lengths_of` says; None where all are."""
        sources, lengths = self._of_steps(index).sources, self.lengths_of(index)
        if len(sources) == 1:
            ((name, values),) = sources
            return self.sequences[name].present[values]
        real = self.real_steps(index)
        return None if real is None or lengths is None else real[np.arange(real.shape[1]) < lengths[:, None]]

    def _named(self, length: Length) -> str:
        """The input that a length comes from; the first for a fixed one."""
        named = (name for name, sequence in self.sequences.items() if sequence.extent == name_in(length))
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
        longest: dict[str, int] = {}
        for name, sequence in self.sequences.items():
            column = self.columns[name]
            time = int(column.lengths[rows].max(initial=0)) if isinstance(column, Ragged) else sequence.time
            longest[sequence.extent] = max(longest.get(sequence.extent, 0), time)
        return {name: longest[sequence.extent] for name, sequence in self.sequences.items()}

    def _real_steps(self, index: IndexSignature | PairSignature, rows: Rows, times: Mapping[str, int]) -> Mask | None:
        real: Mask | None = None
        for name, values in () if isinstance(index, PairSignature) else index.sources:
            column, present = self.columns[name], self.sequences[name].present[values]
            if isinstance(column, Ragged):
                time = times[name]
                own = column.grid(rows, time) if present is None else column.padded(rows, time, present)
            elif present is None:
                return None
            else:
                own = present[rows]
            real = own if real is None else real | own
        return None if real is None or real.all() else real

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
    names = [spec.name for spec in signature.inputs if spec.is_sequence]
    masks, lists = _for_inputs(signature.model, names, "mask", mask), _for_inputs(signature.model, names, "lengths", lengths)
    checked: dict[str, Column] = {}
    sequences: dict[str, SequenceInput] = {}
    for spec in signature.inputs:
        column = columns[spec.name]
        if not spec.is_sequence:
            checked[spec.name] = _floats(spec, column, dtype, None)
            continue
        time = column.longest if isinstance(column, Ragged) else column.array.shape[1]
        given = _given_steps(spec.name, column, time, masks.get(spec.name), lists.get(spec.name))
        masked = dict.fromkeys(values for name, values in signature.sources() if name == spec.name) or {(): None}
        if spec.integer:
            present = {values: _unmasked(spec, values, column, given) for values in masked}
            checked[spec.name] = _ids(spec, column, _in_any(present.values()))
        else:
            checked[spec.name] = _floats(spec, column, dtype, given)
            present = {values: _unmasked(spec, values, checked[spec.name], given) for values in masked}
        sequences[spec.name] = SequenceInput(str(spec.shape[0]), time, present)
    return CheckedInputs(columns[signature.inputs[0].name].samples, checked, sequences, signature.indices)


def _in_any(masks: Iterable[Mask | None]) -> Mask | None:
    """The steps that are real in any of the masks; None where all are."""
    real: Mask | None = None
    for mask in masks:
        if mask is None:
            return None
        real = mask if real is None else real | mask
    return real


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


def _for_inputs(model: str, sequences: Sequence[str], what: str, given: object) -> Mapping[str, object]:
    """A mask or lengths by sequence input: of the only one, or a mapping from their names."""
    if given is None:
        return {}
    if not sequences:
        raise ValueError(f"{what}: model {model} has no sequence input that it could apply to")
    if not isinstance(given, Mapping):
        if len(sequences) > 1:
            raise ValueError(
                f"{what}: model {model} has {len(sequences)} sequence inputs: pass a mapping with some of the keys {', '.join(sequences)}"
            )
        return {sequences[0]: given}
    named = cast(Mapping[str, object], given)
    unknown = [str(other) for other in named if other not in sequences]
    if unknown:
        verb = "is" if len(sequences) == 1 else "are"
        none = "isn't a sequence input" if len(unknown) == 1 else "aren't sequence inputs"
        raise ValueError(f"{what}: {', '.join(unknown)} {none}; {', '.join(sequences)} {verb}")
    return named


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
            raise ValueError(f"mask: expected 0 or 1 at sample {sample}, step {step} of input {name}, got {array[sample, step]}")
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


def _unmasked(spec: InputSignature, masked_values: tuple[float, ...], column: Column, real: Mask | None) -> Mask | None:
    """The real steps less those whose features all equal one of the values; None where none is masked."""
    values = _values(column)
    with np.errstate(over="ignore"):
        masks = [int(masked) if spec.integer else values.dtype.type(masked) for masked in masked_values]
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
