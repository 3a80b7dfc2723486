"""Data files of the command, `.npz`: padded arrays, or sequences of different lengths one after the other.

A file holds one set, or one for each of `_train` and `_test` at the end of the keys:

- `x`, `y`, and optionally `mask` (samples, time): arrays with the samples in front; or
- `x`, `length`, `y`: all sequences one after the other, how long each is, and what is expected of each
  sample, or of each step.

Where several outputs have targets each has its own: `y.word` and `y.size` in place of `y`, with a set
`y_train.word`. A bool array `test` (samples,) cuts one set in two. `classes` may name the classes. Other
keys aren't looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.files import large_limit, open_file
from rnnspec.runtime.executable import Array
from rnnspec.runtime.inputs import whole_number

_KEY = re.compile(r"(x|length|mask)(_train|_test)?|y(_train|_test)?(\..+)?|test|classes")

Samples: TypeAlias = Array | list[Array]
"""Padded, or one array a sample."""

SampleTargets: TypeAlias = Samples | Mapping[str, Samples] | None
"""Of the one output that is trained, or of each by name; None if the file has none."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Inputs with their targets, as `Model.fit` takes them."""

    x: Samples
    y: SampleTargets
    mask: Array | None = None

    @property
    def samples(self) -> int:
        return len(self.x)

    def first(self, count: int) -> DataSet:
        """The first samples."""
        count = whole_number("count", count, 0)
        return DataSet(self.x[:count], _of_each(self.y, lambda y: y[:count]), None if self.mask is None else self.mask[:count])

    def targets_of(self, output: str) -> Samples | None:
        """Of the output of that name; those without a name are any output's."""
        return self.y.get(output) if isinstance(self.y, Mapping) else self.y


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file's sets: `train` and `test`, or `whole` where it doesn't tell them apart."""

    path: str
    sets: Mapping[str, DataSet]
    classes: tuple[str, ...] = ()

    @property
    def for_training(self) -> DataSet:
        """The training set; ValueError if the file has only a test set."""
        return self._named("train")

    @property
    def for_testing(self) -> DataSet:
        """The test set; ValueError if the file has only a training set."""
        return self._named("test")

    def _named(self, name: str) -> DataSet:
        chosen = self.sets.get(name, self.sets.get("whole"))
        if chosen is None:
            raise ValueError(f"{self.path}: there is no {name} set; it has {', '.join(self.sets)}")
        return chosen


def load_data(path: str | os.PathLike[str]) -> DataFile:
    """Read a data file; OSError if it can't be opened or isn't a regular one, ValueError that names the file and what is wrong with it.

    Nothing larger than the machine's memory is read or unpacked.
    """
    name = os.fspath(path)
    arrays, keys = _read(name)
    sets: dict[str, DataSet] = {}
    for suffix, key in (("", "whole"), ("_train", "train"), ("_test", "test")):
        if f"x{suffix}" in arrays:
            sets[key] = _data_set(name, arrays, suffix)
    if not sets:
        raise ValueError(f"{name}: expected the key x, or x_train and x_test; found {', '.join(keys) or 'none'}")
    if "whole" in sets and "test" in arrays:
        sets = _cut(name, sets["whole"], arrays["test"])
    classes = tuple(str(value) for value in arrays["classes"].reshape(-1)) if "classes" in arrays else ()
    return DataFile(name, sets, classes)


def _read(name: str) -> tuple[dict[str, Array], list[str]]:
    """The arrays of the keys that mean something here, and all keys. Nothing in the file is unpickled."""
    limit = large_limit()
    with open_file(name, limit) as file:
        try:
            start = file.read(6)
            if not start.startswith(b"PK"):
                raise ValueError("it is a single array" if start == b"\x93NUMPY" else "it is no archive of arrays")
            file.seek(0)
            content: Any = np.load(file, allow_pickle=False)
            size = sum(entry.file_size for entry in content.zip.infolist())
            if size > limit:
                raise ValueError(f"its arrays are {size / 2**20:,.0f} MiB, the most that is read here are {limit / 2**20:,.0f}")
            return {key: _array(content, key) for key in content.files if _KEY.fullmatch(key)}, list(content.files)
        except Exception as error:  # numpy and zipfile raise a dozen kinds for files that aren't sound
            raise ValueError(f"{name}: not a readable .npz file: {str(error) or type(error).__name__}") from None


def _array(content: Mapping[str, object], key: str) -> Array:
    try:
        found = content[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        advice = "with a dtype such as float32, one length for all rows" if key != "classes" else "as text, `np.array(names, dtype=str)`"
        raise ValueError(f"{key} holds Python objects: save it {advice}") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{key} isn't an array in numpy's format")
    return cast(Array, found)


def _data_set(name: str, arrays: Mapping[str, Array], suffix: str) -> DataSet:
    x, lengths, mask = (arrays.get(f"{key}{suffix}") for key in ("x", "length", "mask"))
    targets = _targets(name, arrays, f"y{suffix}")
    assert x is not None
    if x.ndim == 0:
        raise ValueError(f"{name}: x{suffix} is a single number")
    if lengths is None:
        for key, y in targets.items():
            if y.shape[:1] != x.shape[:1]:
                raise ValueError(f"{name}: x{suffix} has {len(x)} samples, {key} has shape {y.shape}")
        return DataSet(x, _by_output(targets), mask)
    if mask is not None:
        raise ValueError(f"{name}: mask{suffix} is for padded arrays, length{suffix} for sequences one after the other; it has both")
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        found = f"{lengths.dtype} of shape {lengths.shape}"
        raise ValueError(f"{name}: length{suffix} should be whole numbers from 0, one a sample; it is {found}")
    total = sum(lengths.tolist())  # Python's integers have no end where they would begin again
    if total != len(x):
        raise ValueError(f"{name}: length{suffix} adds up to {total} steps, x{suffix} has {len(x)}")
    ends = np.cumsum(lengths, dtype=np.int64)  # none is above the sum of all, which is an array's length
    for key, y in targets.items():
        if y.shape[:1] not in (lengths.shape, (total,)):
            raise ValueError(f"{name}: {key} has shape {y.shape}; expected {len(lengths)} samples or {total} steps in front")
    cut = {key: y if y.shape[:1] == lengths.shape else _pieces(y, ends) for key, y in targets.items()}
    return DataSet(_pieces(x, ends), _by_output(cut))


def _targets(name: str, arrays: Mapping[str, Array], key: str) -> dict[str, Array]:
    """A set's targets by their key in the file: `y` alone, or `y.` and an output's name for each."""
    found = {each: array for each, array in arrays.items() if each == key or each.startswith(f"{key}.")}
    if key in found and len(found) > 1:
        raise ValueError(f"{name}: {key} is for one output, {', '.join(each for each in found if each != key)} for several; it has both")
    return found


def _by_output(targets: Mapping[str, Samples]) -> SampleTargets:
    """What is under each key, by the output's name in it if it has one."""
    if not targets:
        return None
    named = {key.partition(".")[2]: values for key, values in targets.items()}
    return named.get("", named)


def _of_each(y: SampleTargets, of: Callable[[Samples], Samples]) -> SampleTargets:
    if y is None:
        return None
    return {output: of(values) for output, values in y.items()} if isinstance(y, Mapping) else of(y)


def _pieces(flat: Array, ends: NDArray[np.int64]) -> list[Array]:
    return [flat[start:stop] for start, stop in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)] if len(ends) else []


def _cut(name: str, whole: DataSet, test: Array) -> dict[str, DataSet]:
    if test.dtype != np.bool_ or test.shape != (whole.samples,):
        raise ValueError(f"{name}: test should be bool of shape ({whole.samples},); it is {test.dtype} of shape {test.shape}")
    return {"train": _chosen(whole, np.flatnonzero(~test)), "test": _chosen(whole, np.flatnonzero(test))}


def _chosen(data: DataSet, rows: NDArray[np.intp]) -> DataSet:
    def taken(values: Samples) -> Samples:
        return [values[row] for row in rows] if isinstance(values, list) else values[rows]

    return DataSet(taken(data.x), _of_each(data.y, taken), None if data.mask is None else data.mask[rows])
