"""Validation of the user's inputs: faults end here, with their place and values, and native code can trust the arrays that leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import cast

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature, Signature
from rnnspec.diagnostics import name_faults
from rnnspec.runtime.data.batches import ALL_ROWS, STEP_LIMIT, CheckedInputs, Mask, SequenceInput, check_step_count
from rnnspec.runtime.data.columns import Column, PaddedArray, RaggedArray, as_numbers, entry_error, first_wrong, is_list, ragged, values_of
from rnnspec.runtime.data.not_numbers import TEXTS, as_written
from rnnspec.runtime.data.sample_errors import sample_error
from rnnspec.runtime.data.shape_hints import hint_for_array


def whole_number(what: str, value: object, least: int) -> int:
    """The value as an int; ValueError, naming `what`, if it isn't a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{what}: expected a whole number of at least {least}, got {value!r}")
    return int(cast(int, value))


def finite_number(value: object) -> float | None:
    """The value as a Python float; None for what is no real number, or too large for a float."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def true_or_false(what: str, value: object) -> bool:
    """The value as a bool; ValueError, naming `what`, if it isn't True, False, 1 or 0."""
    kind = type(value).__name__
    if kind in ("bool", "bool_") or (kind.rstrip("0123456789") in ("int", "uint") and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{what}: expected True or False, got {value!r}")


def shows(what: str, value: object) -> bool:
    """Whether progress is shown; ValueError, naming `what`, for another value than True, False, 0, 1, 2 and "auto", Keras's."""
    match value:
        case str() if value == "auto":
            return True
        case bool() | int() if value in (0, 1, 2):
            return bool(value)
        case _:
            raise ValueError(f"{what}: expected True, False, 0, 1 or 2, got {value!r}")


def check_inputs(signature: Signature, x: object, mask: object = None, lengths: object = None, *, at_once: bool = True) -> CheckedInputs:
    """The user's inputs, checked against the signature.

    `x`: for each input a padded array (batch, ...), or for a sequence a list of arrays of different
    lengths; if there are several, a list of them or a mapping from input names. Float inputs take bools, integers and
    floats; ids take integers, and floats without a fraction. `mask` (batch, time), bool or 0 and 1,
    and `lengths` (batch,), integers up to time, are the sequence input's, or mappings from input
    names; given both, a step is real if both say so. What masked steps hold isn't looked at.
    `at_once`: all samples go into one call, which bounds their number of steps.
    ValueError names the input, the sample, the step, the value found and what was expected.
    """
    named = inputs_by_name(signature, x)
    single = len(signature.inputs) == 1
    columns = {spec.name: _column(spec, named[spec.name], at_once, "x" if single else spec.name) for spec in signature.inputs}
    _check_agreement(signature, columns)
    dtype = np.dtype(signature.dtype)
    names = [spec.name for spec in signature.inputs if spec.is_sequence]
    masks, lists = _for_inputs(signature.model, names, "mask", mask), _for_inputs(signature.model, names, "lengths", lengths)
    checked: dict[str, Column] = {}
    sequences: dict[str, SequenceInput] = {}
    for spec in signature.inputs:
        column = columns[spec.name]
        if not spec.is_sequence:
            checked[spec.name] = _ids(spec, column, None) if spec.integer else _floats(spec, column, dtype, None)
            continue
        time = column.longest if isinstance(column, RaggedArray) else column.array.shape[1]
        given = _given_steps(spec.name, column, time, masks.get(spec.name), lists.get(spec.name))
        masked = dict.fromkeys(values for name, values in signature.sources() if name == spec.name) or {(): None}
        if spec.integer:
            if (
                any(masked) and isinstance(column, PaddedArray) and not column.is_large
            ):  # which steps are masked, and what they hold, is looked at once
                column = PaddedArray(column.array.copy(), borrowed=False)
            present = {values: _unmasked(spec, values, column, given) for values in masked}
            checked[spec.name] = _ids(spec, column, in_any(present.values()))
        else:
            checked[spec.name] = _floats(spec, column, dtype, given)
            present = {values: _unmasked(spec, values, checked[spec.name], given) for values in masked}
        sequences[spec.name] = SequenceInput(spec.shape[0], time, given, present)
    ids = {spec.name: _id_limit(spec) for spec in signature.inputs if spec.integer}
    return CheckedInputs(columns[signature.inputs[0].name].samples, checked, sequences, signature.indices, ids)


def in_any(masks: Iterable[Mask | None]) -> Mask | None:
    """The steps that are real in any of the masks; None where all are."""
    real: Mask | None = None
    for mask in masks:
        if mask is None:
            return None
        real = mask if real is None else real | mask
    return real


def inputs_by_name(signature: Signature, x: object) -> Mapping[str, object]:
    """Each input under its name; ValueError where some are missing or unknown."""
    names = [spec.name for spec in signature.inputs]
    if not isinstance(x, Mapping):
        if len(names) > 1 and is_list(x) and len(cast(Sequence[object], x)) == len(names):
            return dict(zip(names, cast(Sequence[object], x), strict=True))
        if len(names) > 1:
            raise ValueError(
                f"model {signature.model} has {len(names)} inputs: pass a list of them, or a mapping with the keys {', '.join(names)}"
            )
        return {names[0]: x}
    given = cast(Mapping[str, object], x)
    if faults := name_faults(names, given):
        raise ValueError(f"the inputs of model {signature.model} are {', '.join(names)}; {faults}")
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


def _column(spec: InputSignature, value: object, at_once: bool, variable: str) -> Column:
    """The value as a column of the right shape, its dtype not looked at beyond being numbers; `variable`: what advice calls it."""
    what = f"input {spec.name}"
    tail = tuple(extent for extent in spec.shape[1 if spec.is_sequence else 0 :] if isinstance(extent, int))
    shown = f"({', '.join(str(extent) for extent in ('batch', *spec.shape))}{'' if spec.shape else ','})"
    if spec.is_sequence and is_list(value):
        axes = ", ".join(str(extent) for extent in spec.shape)
        column = ragged(cast(list[object], value), tail, what, f"shape ({axes}{',' if not tail else ''})", variable, TEXTS)
        fixed = spec.shape[0]
        if isinstance(fixed, int) and (wrong := np.flatnonzero(column.lengths != fixed)).size:
            raise sample_error(what, int(wrong[0]), f"expected {fixed} steps, got {column.lengths[wrong[0]]}")
        return column
    array = as_numbers(value, what, TEXTS)
    variable = as_written(variable, value)
    if array.ndim != 1 + len(spec.shape):
        raise ValueError(f"{what}: expected shape {shown}, got {array.shape}{hint_for_array(spec.shape, array.shape, variable)}")
    for axis, extent in enumerate(spec.shape, 1):
        if isinstance(extent, int) and array.shape[axis] != extent:
            kind = "steps" if spec.is_sequence and axis == 1 else "features"
            found = f"expected {extent} {kind}, got {array.shape[axis]} (expected shape {shown}, got {array.shape})"
            raise ValueError(f"{what}: {found}{hint_for_array(spec.shape, array.shape, variable)}")
    if spec.is_sequence and at_once:
        check_step_count(array.shape[0], array.shape[1], spec.name)
    return PaddedArray(array.view(), borrowed=True)  # whose shape and dtype nobody else changes


def _check_agreement(signature: Signature, columns: Mapping[str, Column]) -> None:
    """All inputs have the same number of samples, and dimensions of one name the same length, in each sample of lists."""
    first = signature.inputs[0].name
    known: dict[Size, tuple[int, str]] = {}
    lists: dict[Size, tuple[RaggedArray, str]] = {}
    for spec in signature.inputs:
        column = columns[spec.name]
        if column.samples != columns[first].samples:
            raise ValueError(f"input {spec.name} has {column.samples} samples, input {first} has {columns[first].samples}")
        sizes = (column.longest,) if isinstance(column, RaggedArray) else column.array.shape[1:]
        for extent, size in zip(spec.shape, sizes, strict=False):
            if isinstance(extent, Size):
                other, where = known.setdefault(extent, (size, spec.name))
                if other != size:
                    raise ValueError(f"dimension {extent} is {other} in input {where} and {size} in input {spec.name}")
        if isinstance(column, RaggedArray) and isinstance(extent := spec.shape[0], Size):
            alike, where = lists.setdefault(extent, (column, spec.name))
            if (wrong := np.flatnonzero(alike.lengths != column.lengths)).size:
                steps, others = column.lengths[wrong[0]], alike.lengths[wrong[0]]
                raise ValueError(f"dimension {extent} of sample {wrong[0]} is {others} in input {where} and {steps} in input {spec.name}")


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
        most = column.lengths if isinstance(column, RaggedArray) else np.full(column.samples, time)
        if (wrong := np.flatnonzero((array < 0) | (array > most))).size:
            raise ValueError(f"lengths: expected 0 to {most[wrong[0]]} for sample {wrong[0]} of input {name}, got {array[wrong[0]]}")
        within = np.arange(time) < array[:, None]
        real = within if real is None else real & within
    if real is not None and isinstance(column, RaggedArray):
        real = real[column.grid(ALL_ROWS, time)]
    return real


def _unmasked(spec: InputSignature, masked_values: tuple[float, ...], column: Column, real: Mask | None) -> Mask | None:
    """The real steps less those whose features all equal one of the values; None where none is masked."""
    values = values_of(column)
    kind = values.dtype.type if not isinstance(column, PaddedArray) or column.dtype is None else column.dtype.type
    with np.errstate(over="ignore"):
        masks = [int(masked) if spec.integer else kind(masked) for masked in masked_values]
    for masked in masks:
        present = values != masked if spec.integer else _differing_steps(column, masked)
        real = present if real is None else real & present
    return None if real is None or real.all() else real


def _differing_steps(column: Column, masked: object) -> Mask:
    """The steps of floats with a feature that isn't the value, laid out as the column."""
    if isinstance(column, RaggedArray):
        return (column.flat != masked).any(axis=-1)
    present = np.empty(column.array.shape[:2], np.bool_)
    for part in column.parts():
        present[part] = (column.cut(part) != masked).any(axis=-1)
    return present


def _floats(spec: InputSignature, column: Column, dtype: np.dtype[np.generic], real: Mask | None) -> Column:
    """The column in the model's dtype; the very same array where it already is and native code can read it."""
    values = values_of(column)
    if values.dtype == dtype and values.flags.c_contiguous and values.flags.aligned:
        return column
    if isinstance(column, PaddedArray) and column.is_large:
        later = PaddedArray(values, column.borrowed, dtype)
        if values.dtype.kind == "f" and values.dtype.itemsize > dtype.itemsize:
            for part in later.parts():
                _refuse_too_large(spec, column, later.cut(part), part, real)
        return later
    with np.errstate(over="ignore"):
        converted: Array = values.astype(dtype, order="C")
    _refuse_too_large(spec, column, converted, ALL_ROWS, real)
    return RaggedArray(converted, column.lengths) if isinstance(column, RaggedArray) else PaddedArray(converted, borrowed=False)


def _refuse_too_large(spec: InputSignature, column: Column, converted: Array, part: slice, real: Mask | None) -> None:
    """Refuses samples with a finite value that the model's dtype doesn't hold, unless it is masked."""
    too_large: Mask = np.isinf(converted)
    if too_large.any():
        too_large &= np.isfinite(values_of(column)[part])
        if real is not None:
            too_large &= real[part][..., None]
        _refuse(spec, column, too_large, f"a value that {converted.dtype} holds", part.start or 0)


def _ids(spec: InputSignature, column: Column, real: Mask | None) -> Column:
    """The column as int32 ids in range; masked steps that hold anything else become 0."""
    values = values_of(column)
    if values.dtype.kind == "b" and values.size:
        raise ValueError(f"input {spec.name}: expected token ids, got dtype {values.dtype}")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    limit = _id_limit(spec)
    if isinstance(column, PaddedArray) and column.is_large and not any(_wrong_ids(values[part], limit).any() for part in column.parts()):
        is_ready = values.dtype == np.int32 and values.flags.c_contiguous and values.flags.aligned
        return column if is_ready else PaddedArray(values, column.borrowed, np.dtype(np.int32))
    if values.size and (values.dtype.kind == "f" or values.min() < 0 or values.max() >= limit):
        wrong = _wrong_ids(values, limit)
        expected = f"a whole number in 0..{limit - 1}" + ("" if spec.vocabulary is None else f" (vocabulary size {limit})")
        _refuse(spec, column, wrong if real is None else wrong & real, expected)
        values = np.where(wrong, 0, values)
    if values.dtype != np.int32 or not (values.flags.c_contiguous and values.flags.aligned):
        values = values.astype(np.int32, order="C")
    if values is values_of(column):
        return column
    return RaggedArray(values, column.lengths) if isinstance(column, RaggedArray) else PaddedArray(values, borrowed=False)


def _wrong_ids(values: Array, limit: int) -> Mask:
    wrong: Mask = (values < 0) | (values >= limit)
    return wrong | (values != np.floor(values)) if values.dtype.kind == "f" else wrong


def _id_limit(spec: InputSignature) -> int:
    """The number of ids."""
    return STEP_LIMIT if spec.vocabulary is None else spec.vocabulary


def _refuse(spec: InputSignature, column: Column, wrong: Mask, expected: str, first: int = 0) -> None:
    """`wrong`: of the samples from `first` on."""
    if (found := first_wrong(column, wrong, first=first)) is not None:
        entry, value = found
        raise entry_error(f"input {spec.name}", column, entry, f"expected {expected}, got {value}", sequence=spec.is_sequence)
