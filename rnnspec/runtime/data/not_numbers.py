"""Diagnosis of values that aren't arrays of numbers, with advice."""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence, Sized
from numbers import Number
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array

TEXTS = "turn texts into numbers first, such as ids counted from 0"
CLASS_NAMES = "`np.unique(y, return_inverse=True)` gives the classes' names, and a number for each target"

_ITERATOR = (
    "it isn't read: make an array of all that it gives, or a list of arrays; "
    "what gives batches (x, y) is given alone, without targets: `model.fit(batches)`"
)
_BATCHES = f"what gives one batch after the other isn't an array: {_ITERATOR}"

_LEAVES: tuple[type[object], ...] = (np.ndarray, np.generic, Number, str, bytes, bytearray, memoryview, array.array, range, type(None))
_ARRAYS = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")
_DEEPEST = 64


def as_list(value: object) -> object:
    """Another sequence than a list or a tuple as a list of what it holds, of the length that it says it has; all else as it is."""
    plain = isinstance(value, (list, tuple, _LEAVES)) or is_array(value)
    if plain or not isinstance(value, Sequence):
        return cast(object, value)
    items = cast(Sequence[object], value)
    return [items[place] for place in range(len(items))]


def is_leaf(value: object) -> bool:
    """Whether a value is one number, text or array, or nothing."""
    return isinstance(value, _LEAVES)


def unreadable(value: object) -> object | None:
    """The first value that numpy would read item by item, without a sure end; None if there is none, in lists either."""
    if isinstance(value, (list, tuple)):
        return _in_list(cast(Sequence[object], value), 1)
    return value if _is_foreign(value) else None


def _in_list(values: Sequence[object], depth: int) -> object | None:
    kinds: set[type[object]] = set(map(type, values))
    if all(issubclass(kind, _LEAVES) for kind in kinds) or depth > _DEEPEST:
        return None
    for value in values:
        if isinstance(value, (list, tuple)):
            found = _in_list(cast(Sequence[object], value), depth + 1)
            if found is not None:
                return found
        elif _is_foreign(value):
            return value
    return None


def _is_foreign(value: object) -> bool:
    """Whether something has items and a length, without being an array or a list: numpy reads until there is an IndexError."""
    if isinstance(value, (_LEAVES, dict, set, frozenset, type)) or is_array(value):
        return False
    return hasattr(value, "__getitem__") and isinstance(value, Sized)


def is_array(value: object) -> bool:
    """Whether numpy takes the value as an array, of its own accord or by DLPack."""
    return any(hasattr(value, name) for name in _ARRAYS)


def by_dlpack(value: object) -> object:
    """An array of another library that has DLPack alone, as a view of its memory; all else as it is. ValueError for memory of a device."""
    if not hasattr(value, "__dlpack__") or any(hasattr(value, name) for name in _ARRAYS[:-1]):
        return value
    try:
        return np.from_dlpack(cast(Any, value))
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{type(value).__name__} can't be read by DLPack: {error}") from None


def batches_problem(value: object) -> str:
    """The diagnosis of a value found by `unreadable`, in words."""
    return f"expected numbers, got objects ({type(value).__name__}); {_BATCHES}"


def problem(value: object, made: Array, texts: str) -> str:
    """The diagnosis of a value from which numpy made an array of other things than numbers, in words.

    `texts`: advice for texts, where the value is data; without it there is no advice on other data either.
    """
    if (column := _column_of_others(value)) is not None:
        name, kind = column
        return f"expected numbers, got {kind} in column {name!r}: leave the column out, or make numbers of it"
    found = f"objects ({type(value).__name__})" if made.dtype.kind == "O" and made.ndim == 0 else f"dtype {made.dtype}"
    hint = _hint(value, made, texts) if texts or (made.dtype.kind == "O" and made.ndim) else ""
    return f"expected numbers, got {found}{f'; {hint}' if hint else ''}"


def _hint(value: object, made: Array, texts: str) -> str:
    match made.dtype.kind:
        case "O" if made.ndim == 0:
            return _ITERATOR if isinstance(value, Iterable) and not isinstance(value, (set, frozenset, dict)) else ""
        case "O":
            return _of_objects(made, texts)
        case "U" | "S":
            return texts
        case "M":
            x = as_written("x", value)
            return f'make numbers of dates: `({x} - np.min(x)) / np.timedelta64(1, "D")` are days from the first'
        case "m":
            return f'make numbers of times: `{as_written("x", value)} / np.timedelta64(1, "s")` are seconds'
        case "c":
            return "give the real and the imaginary part as numbers of their own"
        case "V":
            return "`numpy.lib.recfunctions.structured_to_unstructured(x)` makes an axis of the fields"
        case _:
            return ""


def as_written(name: str, value: object) -> str:
    """What advice calls a value under this name, so that it can be used as an array."""
    return name if isinstance(value, np.ndarray) else f"np.asarray({name})"


def _column_of_others(value: object) -> tuple[object, object] | None:
    """The first column of a table (pandas, polars) that doesn't hold numbers, and what it holds."""
    table = cast(Any, value)
    if not hasattr(value, "columns") or not hasattr(value, "dtypes"):
        return None
    for name, kind in zip(table.columns, table.dtypes, strict=False):
        numeric = kind.kind in "biuf" if hasattr(kind, "kind") else not hasattr(kind, "is_numeric") or kind.is_numeric()
        if not numeric:
            return name, kind
    return None


def _of_objects(made: Array, texts: str) -> str:
    """The type of the first element that isn't a number, with advice."""
    items: Sequence[object] = made.reshape(-1).tolist()
    for place, item in enumerate(items):
        scalar = isinstance(item, Number)
        if isinstance(item, (list, tuple)) or (is_array(item) and not scalar):
            return "arrays of different lengths go into a list"
        if isinstance(item, (str, bytes)):
            return f"{item!r} is a text{f': {texts}' if texts else ''}"
        if isinstance(item, int) and not isinstance(item, bool) and not -(2**63) <= item < 2**64:
            return f"the number at place {place} is larger than 64 bits hold"
        if not scalar:
            shown = repr(item)
            return f"{shown if len(shown) <= 60 else type(item).__name__} isn't a number: leave it out, or put a number in its place"
    return "`np.asarray(x, float)` makes numbers of them"
