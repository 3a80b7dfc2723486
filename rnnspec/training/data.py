"""Data files of the command, `.npz`: padded arrays, or sequences of different lengths one after the other.

A file holds one set, or one for each of `_train`, `_val` and `_test` at the end of the keys:

- `x`, `y`, and optionally `mask` (samples, time) or `length` (samples,): padded arrays with the samples in front; or
- `x`, `length`, `y`: all sequences one after the other, how long each is, and what is expected of each
  sample, or of each step.

`sample_weight` may give each sample, or each step, a weight, in the forms of `y`.

Where several outputs have targets each has its own: `y.word` and `y.size` in place of `y`, with a set
`y_train.word`; weights may be there for some of them, `sample_weight.word`. A bool array `test`
(samples,) cuts one set in two. `classes` may name the classes. Of other keys a warning tells that they
aren't used.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.diagnostics import nearest
from rnnspec.files import large_limit, open_file
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.validate import whole_number

_SETS = {"": "whole", "_train": "train", "_val": "val", "_test": "test"}
"""The sets by the ends of their keys."""

_MEANT = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"}
"""Other libraries' names of the sets, for hints."""

_MOST = 12
"""The most keys that a message lists."""

_LONGEST = 80
"""Letters that a message shows of a key."""

_KINDS = ("x", "y", "length", "mask", "sample_weight")

_KEY = re.compile(r"((x|length|mask)(_train|_val|_test)?|(?:y|sample_weight)(_train|_val|_test)?(\..+)?|test|classes)", re.DOTALL)

_READ = "what is read is x, y, length, mask and sample_weight, each also with _train, _val or _test, and test and classes"

Samples: TypeAlias = Array | list[Array]
"""Padded, or one array a sample."""

SampleTargets: TypeAlias = Samples | Mapping[str, Samples] | None
"""The targets of the one trained output, or of each by name; None if the file has no targets."""


@frozen
class DataSet:
    """Inputs with their targets and sample weights, as `Model.fit` takes them; `mask` and `lengths` are of padded inputs only."""

    x: Samples
    y: SampleTargets
    mask: Array | None = None
    lengths: Array | None = None
    weights: SampleTargets = None

    @property
    def samples(self) -> int:
        """The number of samples of `x`."""
        return len(self.x)

    def first(self, count: int) -> DataSet:
        """The first samples."""
        return self.only(slice(whole_number("count", count, 0)))

    def only(self, rows: Rows) -> DataSet:
        """The chosen samples."""

        def taken(values: Samples) -> Samples:
            if not isinstance(values, list):
                return values[rows]
            return values[rows] if isinstance(rows, slice) else [values[row] for row in rows]

        def of_outputs(given: SampleTargets) -> SampleTargets:
            if isinstance(given, Mapping):
                return {output: taken(values) for output, values in given.items()}
            return None if given is None else taken(given)

        mask, lengths = (None if values is None else values[rows] for values in (self.mask, self.lengths))
        return DataSet(taken(self.x), of_outputs(self.y), mask, lengths, of_outputs(self.weights))

    def steps_of(self, sample: int) -> int:
        """How many of a sample's steps are real by the file."""
        steps = len(cast(Array, self.x[sample])) if self.lengths is None else int(self.lengths[sample])
        return steps if self.mask is None else int(np.count_nonzero(self.mask[sample][:steps]))

    def targets_of(self, output: str) -> Samples | None:
        """The targets of one output; targets without names are every output's."""
        return self.y.get(output) if isinstance(self.y, Mapping) else self.y


@frozen
class DataFile:
    """A file's sets: `train`, `val` and `test`, or `whole` where it doesn't tell them apart. `keys`: all that it holds."""

    path: str
    sets: Mapping[str, DataSet]
    classes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def for_training(self) -> DataSet:
        """The training set; ValueError if the file has only others."""
        return self._named("train")

    @property
    def for_testing(self) -> DataSet:
        """The test set; ValueError if the file has only others."""
        return self._named("test")

    def with_targets(self, data: DataSet, outputs: Sequence[str] = ()) -> DataSet:
        """`data`, one of the sets; ValueError with the keys to add if targets are missing.

        `outputs`: the names of the outputs with targets, if there are several.
        """
        if data.y is None or (outputs and (not isinstance(data.y, Mapping) or set(data.y) != set(outputs))):
            end = next((end for end, name in _SETS.items() if self.sets.get(name) is data and f"x{end}" in self.keys), "")
            keys = ", ".join(f"y{end}.{output}" for output in outputs) or f"y{end}"
            raise ValueError(f"{self.path}: what is expected of x{end} should be in {keys}; found {_listed(self.keys)}")
        return data

    def _named(self, name: str) -> DataSet:
        chosen = self.sets.get(name, self.sets.get("whole"))
        if chosen is None:
            raise ValueError(f"{self.path}: there is no {name} set; it has {', '.join(self.sets)}")
        return chosen


def load_data(path: str | os.PathLike[str], axes: int | None = None) -> DataFile:
    """Read a data file; OSError if it can't be opened or isn't a regular one, ValueError that names the file and what is wrong with it.

    `axes`: how many the model's input has with the samples in front, so that padded arrays with lengths are told
    from sequences one after the other; without it the numbers of rows have to tell. Nothing
    larger than the machine's memory is read or unpacked.
    """
    name = os.fspath(path)
    arrays, keys = _read(name)
    sets = {_SETS[end]: _data_set(name, arrays, end, axes) for end in _SETS if f"x{end}" in arrays}
    if not sets:
        raise ValueError(f"{name}: expected the key x, or x_train and x_test; found {_listed(keys) or 'none'}")
    if "test" in arrays and "whole" in sets:
        if others := [f"x{end}" for end, key in _SETS.items() if end and key in sets and key != "val"]:
            raise ValueError(f"{name}: test cuts x in two, and there is {' and '.join(others)} as well")
        sets |= _cut(name, sets.pop("whole"), arrays["test"])
    elif "train" in sets and "test" in sets:
        sets.pop("whole", None)
    _tell_unused(name, keys, "" if "whole" in sets or "test" in arrays else "x_train and x_test")
    return DataFile(name, sets, _classes(name, arrays.get("classes")), tuple(keys))


def _tell_unused(name: str, keys: Sequence[str], instead: str) -> None:
    """Warns of unused keys; `instead`: the keys that are read in place of a set without an ending, if any."""
    there = set(keys)
    unused = [key[:_LONGEST] for key in keys if not _is_used(key, there, instead)]
    if unused:
        told = [f"{key} ({reason})" if (reason := _why_unused(key, there, instead)) else key for key in unused[:_MOST]]
        warnings.warn(f"{name}: not used: {_listed([*told, *unused[_MOST:]])}; {_READ}", stacklevel=3)


def _is_used(key: str, there: Set[str], instead: str) -> bool:
    return _KEY.fullmatch(key) is not None and (key == "classes" or (_needed(key) in there and not (instead and _needed(key) == "x")))


def _why_unused(key: str, there: Set[str], instead: str) -> str:
    """A few words about a key that isn't used, none where nothing is known."""
    if _KEY.fullmatch(key) is None:
        kind, under, end = key.rpartition("_")
        meant = f"{kind}_{_MEANT.get(end, end)}" if under else key
        known = {f"{kind}{end}" for kind in _KINDS for end in _SETS} - there | {"classes"} - there
        return f"did you mean `{meant}`?" if meant in known else nearest(meant, known)
    return f"there are {instead}" if _needed(key) in there else f"there is no {_needed(key)}"


def _needed(key: str) -> str:
    """The x of the set that a key is of."""
    found = _KEY.fullmatch(key)
    return f"x{found[3] or found[4] or ''}" if found else ""


def _listed(names: Sequence[str]) -> str:
    """Some of them, where there are many."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(name[: 2 * _LONGEST] for name in names[:_MOST]) + more


def _classes(name: str, given: Array | None) -> tuple[str, ...]:
    """The names of the classes, in the order of their numbers."""
    if given is None:
        return ()
    if given.ndim != 1 or given.dtype.kind not in "USiu":
        found = f"{given.dtype} of shape {given.shape}"
        raise ValueError(f"{name}: classes should be names as text or whole numbers, one a class; it is {found}")
    return tuple(value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in given.tolist())


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
            keys: list[str] = list(content.files)
            if twice := [key for key, times in Counter(keys).items() if times > 1]:
                raise ValueError(f"it has {twice[0]} twice")
            return {key: _array(content, key) for key in keys if _KEY.fullmatch(key)}, keys
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


def _data_set(name: str, arrays: Mapping[str, Array], end: str, axes: int | None) -> DataSet:
    x, lengths, mask = (arrays.get(f"{key}{end}") for key in ("x", "length", "mask"))
    targets, weights = (_targets(name, arrays, f"{key}{end}") for key in ("y", "sample_weight"))
    assert x is not None
    if x.ndim == 0:
        raise ValueError(f"{name}: x{end} is a single number")
    if lengths is not None:
        _check_lengths(name, lengths, end)
        if not _is_padded(x, lengths, axes):
            return _one_after_the_other(name, x, lengths, mask, targets, weights, end)
        if lengths.shape != x.shape[:1]:
            raise ValueError(f"{name}: x{end} is padded, of {len(x)} samples; length{end} has {len(lengths)}")
        if (wrong := np.flatnonzero(lengths > x.shape[1])).size:
            found = f"sample {wrong[0]} has {lengths[wrong[0]]}"
            raise ValueError(f"{name}: x{end} is padded to {x.shape[1]} steps; in length{end} {found}")
    for key, y in (targets | weights).items():
        if y.shape[:1] != x.shape[:1]:
            flat = lengths is None and x.ndim == (2 if axes is None else axes - 1)
            advice = f"; sequences one after the other need length{end}" if flat else ""
            raise ValueError(f"{name}: x{end} has {len(x)} samples, {key} has shape {y.shape}{advice}")
    return DataSet(x, _by_output(targets), mask, lengths, _by_output(weights))


def _check_lengths(name: str, lengths: Array, end: str) -> None:
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        found = f"{lengths.dtype} of shape {lengths.shape}"
        raise ValueError(f"{name}: length{end} should be whole numbers from 0, one a sample; it is {found}")
    if (wrong := np.flatnonzero(lengths < 0)).size:
        raise ValueError(f"{name}: length{end} should be whole numbers from 0; sample {wrong[0]} has {lengths[wrong[0]]}")


def _is_padded(x: Array, lengths: Array, axes: int | None) -> bool:
    """Whether x has the samples in front; otherwise it is all sequences one after the other."""
    if axes is not None and x.ndim in (axes - 1, axes):
        return x.ndim == axes
    fits = x.ndim > 1 and len(x) == len(lengths) and bool((lengths <= x.shape[1]).all())
    return fits and sum(lengths.tolist()) != len(x)


def _one_after_the_other(
    name: str, x: Array, lengths: Array, mask: Array | None, targets: Mapping[str, Array], weights: Mapping[str, Array], end: str
) -> DataSet:
    if mask is not None:
        raise ValueError(f"{name}: mask{end} is for padded arrays; by its length{end}, x{end} is sequences one after the other")
    total = sum(lengths.tolist())
    if total != len(x):
        raise ValueError(f"{name}: length{end} adds up to {total} steps, x{end} has {len(x)}")
    ends = np.cumsum(lengths, dtype=np.int64)  # none is above the sum of all, which is an array's length

    def cut(given: Mapping[str, Array]) -> SampleTargets:
        for key, y in given.items():
            if y.shape[:1] not in (lengths.shape, (total,)):
                raise ValueError(f"{name}: {key} has shape {y.shape}; expected {len(lengths)} samples or {total} steps in front")
        return _by_output({key: y if y.shape[:1] == lengths.shape else _pieces(y, ends) for key, y in given.items()})

    return DataSet(_pieces(x, ends), cut(targets), weights=cut(weights))


def _targets(name: str, arrays: Mapping[str, Array], key: str) -> dict[str, Array]:
    """A set's targets, or their weights, by their key in the file: `y` alone, or `y.` and an output's name for each."""
    found = {each: array for each, array in arrays.items() if each == key or each.startswith(f"{key}.")}
    if key in found and len(found) > 1:
        raise ValueError(f"{name}: {key} is for one output, {', '.join(each for each in found if each != key)} for several; it has both")
    return found


def _by_output(targets: Mapping[str, Samples]) -> SampleTargets:
    """The targets under each key: one array, or arrays by the output's name in the key."""
    if not targets:
        return None
    named = {key.partition(".")[2]: values for key, values in targets.items()}
    return named.get("", named)


def _pieces(flat: Array, ends: NDArray[np.int64]) -> list[Array]:
    return [flat[start:stop] for start, stop in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)] if len(ends) else []


def _cut(name: str, whole: DataSet, test: Array) -> dict[str, DataSet]:
    if test.dtype != np.bool_ or test.shape != (whole.samples,):
        raise ValueError(f"{name}: test should be bool of shape ({whole.samples},); it is {test.dtype} of shape {test.shape}")
    return {"train": whole.only(np.flatnonzero(~test)), "test": whole.only(np.flatnonzero(test))}
