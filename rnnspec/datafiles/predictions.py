"""A model's predictions as a file: text with commas, JSON lines, or numpy's own formats."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import product
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature
from rnnspec.datafiles.groups import Keys
from rnnspec.datafiles.parquet_predictions import ArrowColumns, parquet_parts
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import Mask
from rnnspec.runtime.data.class_names import chosen

CSV, JSONL, NPY, NPZ, PARQUET = ".csv", ".jsonl", ".npy", ".npz", ".parquet"

SAMPLE, STEP = "sample", "step"
"""The columns of numbers that tell lines of a table apart."""

CLASS = "class"
"""What stands behind an output's name for its predicted classes."""


@frozen
class Predictions:
    """A model's predictions: an array (samples, ...) for each output.

    `reals`: the steps of each output to write, (samples, time); None for all, and for one that is no sequence. `classes`: the names of
    the predicted classes by output, (samples,) or (samples, time), where an output's classes have names, "" where a prediction is NaN.
    `keys`: by which the file that the samples are from tells them apart.
    """

    outputs: tuple[OutputSignature, ...]
    arrays: tuple[Array, ...]
    reals: tuple[Mask | None, ...]
    classes: Mapping[str, Array]
    keys: Keys | None = None

    def columns(self) -> Iterator[tuple[str, Array, Mask | None]]:
        """Each output, and behind it the names of its classes if there are any, with its steps."""
        for output, array, real in zip(self.outputs, self.arrays, self.reals, strict=True):
            yield output.name, array, real
            if output.name in self.classes:
                yield f"{output.name}.{CLASS}", self.classes[output.name], real


def predictions_of(
    outputs: tuple[OutputSignature, ...],
    given: Any,
    reals: Sequence[Mask | None],
    names: Mapping[str, Any],
    thresholds: Mapping[str, float],
    keys: Keys | None = None,
) -> Predictions:
    """Predictions as a model gives them, with the steps that are real, and by output the names of the classes and `class_thresholds`.

    ValueError for a column of a key that is called as one of the predictions.
    """
    arrays = tuple(given) if len(outputs) > 1 else (given,)
    classes = {
        output.name: chosen(array, names[output.name], thresholds[output.name])
        for output, array in zip(outputs, arrays, strict=True)
        if output.name in names
    }
    found = Predictions(outputs, arrays, tuple(reals), classes, keys)
    if keys is not None:
        own = {name for name, array, _ in found.columns() for name in (name, *_columns(name, array.shape[1:] or (1,)))} | {STEP}
        if wrong := next((name for name in (*keys.names, keys.order) if name in own), None):
            raise ValueError(f"{keys.path}: the column {wrong} would stand beside the predictions, which have one of that name: rename it")
    return found


def check_format(ending: str, outputs: Sequence[OutputSignature]) -> None:
    """ValueError if a file with that ending can't hold these outputs."""
    names = ", ".join(output.name for output in outputs)
    if ending == NPY and len(outputs) > 1:
        raise ValueError(f"a {NPY} file holds one array, the model's outputs are {names}: write {NPZ} or {JSONL}")
    rows = {(output.is_sequence, output.index, output.flip, output.shape[0] if output.is_sequence else None) for output in outputs}
    if ending == CSV and len(rows) > 1:
        raise ValueError(f"a {CSV} file has one line for all outputs, and {names} don't have the same steps: write {NPZ} or {JSONL}")


def encode(ending: str, found: Predictions) -> bytes:
    """The bytes of a file with that ending; ValueError for Parquet without pyarrow."""
    return b"".join(encode_parts(ending, (found,)))


IN_PARTS = (CSV, JSONL, PARQUET)
"""The endings of files whose samples may come part by part."""


def encode_parts(ending: str, parts: Iterable[Predictions], types: Mapping[str, Any] = MappingProxyType({})) -> Iterator[bytes]:
    """The bytes of a file with that ending, of predictions whose samples stand one after the other; of `.npy` and `.npz` of one part.

    `types`: those of pyarrow, of the columns of keys by name.
    """
    first = 0
    match ending:
        case ".csv":
            for found in parts:
                yield as_csv(found, first, heading=first == 0).encode()
                first += len(found.arrays[0])
        case ".jsonl":
            for found in parts:
                yield "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in as_data(found)).encode()
        case ".parquet":
            yield from parquet_parts(map(arrow_columns, parts), types)
        case _:
            (found,) = parts
            yield _encode_arrays(ending, found)


def arrow_columns(found: Predictions) -> ArrowColumns:
    """What stands in the columns of a Parquet file: the keys, then each output and the names of its classes, a sample a row."""
    keys: dict[str, list[Any]] = {}
    if found.keys is not None:
        keys = dict(zip(found.keys.names, found.keys.of_samples, strict=True)) | order_of(found)
    return ArrowColumns(keys, tuple(found.columns()))


def _encode_arrays(ending: str, found: Predictions) -> bytes:
    match ending:
        case ".npy":
            buffer = io.BytesIO()
            np.save(buffer, found.arrays[0], allow_pickle=False)
            return buffer.getvalue()
        case _:
            keys = {} if found.keys is None else dict(zip(found.keys.names, map(_array, found.keys.of_samples), strict=True))
            return _archive(keys | {name: array for name, array, _ in found.columns()})


def _array(values: list[Any]) -> Array:
    """The values of a key as numbers, or as texts."""
    return np.array(values) if all(isinstance(each, (bool, int, float)) for each in values) else np.array([*map(str, values)])


def _archive(arrays: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, array, allow_pickle=False)
    return buffer.getvalue()


def order_of(found: Predictions) -> dict[str, list[Any]]:
    """For each sample a list of what its real steps are sorted by, under the column's name; nothing where there is none."""
    keys = found.keys
    for output, real in zip(found.outputs, found.reals, strict=True):
        if keys is not None and keys.has_order_of(output):
            return {
                keys.order: [
                    each if real is None else [value for value, there in zip(each, real[sample], strict=False) if there]
                    for sample, each in enumerate(keys.of_steps)
                ]
            }
    return {}


def as_data(found: Predictions) -> list[dict[str, Any]]:
    """For JSON, of each sample each output under its name: a number, or a list of numbers, or one of these for each step.

    A step that isn't real isn't there. Numbers have all their digits; one that isn't finite is None, as JSON has none, and so is the class
    of NaN. In front are the sample's keys, and a list of what its steps are sorted by.
    """
    columns: dict[str, list[Any]] = {}
    if (keys := found.keys) is not None:
        columns |= dict(zip(keys.names, keys.of_samples, strict=True)) | order_of(found)
    for name, array, real in found.columns():
        if array.dtype.kind == "U":
            values: Array = array.astype(object)
            values[array == ""] = None
        else:
            values = (array[..., 0] if array.shape[-1] == 1 else array).astype(np.float64)
        columns[name] = values.tolist() if real is None else [each[real[sample]].tolist() for sample, each in enumerate(values)]
    return [plain(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def not_finite(found: Predictions) -> Mask:
    """Whether a number of a real step in the predictions isn't finite, (samples,)."""
    wrong = np.zeros(len(found.arrays[0]), np.bool_)
    for array, real in zip(found.arrays, found.reals, strict=True):
        faulty = ~np.isfinite(array)
        wrong |= (faulty if real is None else faulty & real[..., None]).any(axis=tuple(range(1, array.ndim)))
    return wrong


def plain(value: object) -> Any:
    """A value for JSON: arrays as lists, and None in the place of numbers that aren't finite."""
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(cast(object, value.tolist()))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in cast(Mapping[object, object], value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in cast(Sequence[object], value)]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_csv(found: Predictions, first: int = 0, *, heading: bool = True) -> str:
    """A line a sample, in their order, or one a real step of a sample with the two's numbers in front; a heading above.

    With keys these are in the place of the sample's number, and what sorts the steps in that of the step's. A column is an output's
    number of that name, of several numbers `name.0`, `name.1` and so on; `name.class` is the name of the class.
    Each number is written with all digits that a float64 needs, so that reading gives the same number back. `first`: the number of the
    first sample; `heading`: whether the heading stands above.
    """
    real, steps = found.reals[0], found.outputs[0].is_sequence
    places: Any = np.nonzero(np.ones(found.arrays[0].shape[:2], bool) if real is None else real) if steps else slice(None)
    samples: list[int] = places[0].tolist() if steps else [*range(len(found.arrays[0]))]
    numbers: list[int] = places[1].tolist() if steps else []
    names: list[str] = [SAMPLE] if steps else []
    columns: list[list[Any]] = [[first + sample for sample in samples]] if steps else []
    keys = found.keys
    if keys is not None:
        names, columns = [*keys.names], [[each[sample] for sample in samples] for each in keys.of_samples]
    if keys is not None and keys.has_order_of(found.outputs[0]):
        names.append(keys.order)
        columns.append([keys.of_steps[sample][step] for sample, step in zip(samples, numbers, strict=True)])
    elif steps:
        names.append(STEP)
        columns.append(numbers)
    for name, array, _ in found.columns():
        rows = array[places]
        if array.dtype.kind == "U":
            names.append(name)
            columns.append(rows.tolist())
        else:
            tail = rows.shape[1:]
            names += _columns(name, tail)
            columns += rows.reshape(len(rows), math.prod(tail)).astype(np.float64).T.tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _columns(name: str, tail: tuple[int, ...]) -> Iterator[str]:
    """The headings of one output, whose samples or steps have that shape."""
    if math.prod(tail) == 1:
        yield name
        return
    for place in product(*map(range, tail)):
        yield ".".join([name, *map(str, place)])
