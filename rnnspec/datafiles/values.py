"""The values of columns as a model's inputs, targets and weights take them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, InputSignature, Signature
from rnnspec.datafiles.table import (
    Column,
    Samples,
    is_list,
    is_textual,
    lists_of,
    number_of,
    numbers_of,
    shown,
    texts_of,
    words_of,
)
from rnnspec.frozen import frozen


def input_of(spec: InputSignature, columns: Sequence[Column]) -> Samples:
    """The values of an input: an array, texts, or one array a sample. ValueError with the place of what is none."""
    column = columns[0]
    if len(columns) > 1:
        return beside(columns, spec.shape)
    if spec.text is not None and is_textual(column):
        return texts_of(column)
    if (array := column.array) is not None:
        return array.reshape(-1, 1) if spec.shape == (1,) and array.ndim == 1 else array
    if spec.is_sequence:
        tail = spec.shape[1:]
        sequences = lists_of(column)
        return [each.reshape(-1, 1) if tail == (1,) and each.ndim == 1 else each for each in sequences]
    made = numbers_of(column)
    if not made.size and made.ndim == 1:
        return made.reshape(0, *(extent for extent in spec.shape if isinstance(extent, int)))  # no row says the shape
    return made.reshape(-1, 1) if spec.shape == (1,) and made.ndim == 1 else made


def beside(columns: Sequence[Column], shape: tuple[Any, ...]) -> Array:
    """Columns side by side, (samples, columns), in the shape of an input that has so many numbers."""
    parts = [numbers_of(column) for column in columns]
    for column, part in zip(columns, parts, strict=True):
        if part.ndim != 1 or len(part) != len(parts[0]):
            raise ValueError(
                f"{column.path}: {column.name} should be {len(parts[0])} numbers, as {columns[0].name}; it has shape {part.shape}"
            )
    together: Array = np.stack(parts, axis=1)
    fixed = [extent for extent in shape if isinstance(extent, int)]
    if len(fixed) == len(shape) > 1 and math.prod(fixed) == len(columns):
        return together.reshape(-1, *fixed)
    return together[..., None] if len(shape) == 2 and shape[1] == 1 else together


def mask_of(column: Column) -> Array:
    """Which steps are real, (samples, time); the flags of sequences that were put together end where these do."""
    if column.steps is None:
        return numbers_of(column)
    longest = max(map(len, column.values), default=0)
    made = np.zeros((len(column.values), longest), np.bool_)
    for sample, flags in enumerate(column.values):
        made[sample, : len(flags)] = flags
    return made


def checked_lengths(path: str, columns: Sequence[Column]) -> Array:
    """The lengths of sequences, whole numbers from 0; ValueError for anything else."""
    column = columns[0]
    lengths = numbers_of(column)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        found = f"{lengths.dtype} of shape {lengths.shape}"
        raise ValueError(f"{path}: {column.name} should be whole numbers from 0, one a sample; it is {found}")
    if (wrong := np.flatnonzero(lengths < 0)).size:
        raise ValueError(f"{path}: {column.name} should be whole numbers from 0; sample {wrong[0]} has {lengths[wrong[0]]}")
    return lengths


def is_padded(x: Array, lengths: Array, spec: InputSignature) -> bool:
    """Whether an array with lengths has the samples in front; otherwise it is all sequences one after the other."""
    axes = 1 + len(spec.shape)
    if x.ndim in (axes - 1, axes):
        return x.ndim == axes
    fits = x.ndim > 1 and len(x) == len(lengths) and bool((lengths <= x.shape[1]).all())
    return fits and sum(lengths.tolist()) != len(x)


def check_padded(path: str, key: str, x: Array, lengths: Array, length: str) -> None:
    """ValueError for lengths that padded sequences can't have."""
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"{path}: {key} is padded, of {len(x)} samples; {length} has {len(lengths)}")
    if (wrong := np.flatnonzero(lengths > x.shape[1])).size:
        found = f"sample {wrong[0]} has {lengths[wrong[0]]}"
        raise ValueError(f"{path}: {key} is padded to {x.shape[1]} steps; in {length} {found}")


@frozen
class Flat:
    """Sequences one after the other, under their key; `lengths` of each sample, under the key `length`."""

    path: str
    key: str
    x: Array
    lengths: Array
    length: str

    @property
    def total(self) -> int:
        """The number of all steps: none of them begins again where a type ends."""
        return sum(self.lengths.tolist())

    def pieces(self) -> list[Array]:
        """The sequences; ValueError if the lengths don't add up to the steps that there are."""
        if self.total != len(self.x):
            raise ValueError(f"{self.path}: {self.length} adds up to {self.total} steps, {self.key} has {len(self.x)}")
        return self.cut(self.x)

    def cut(self, steps: Array) -> list[Array]:
        """An array of all steps, cut in samples."""
        ends = np.cumsum(self.lengths, dtype=np.int64).tolist()  # none is above the sum of all, which is an array's length
        return [steps[start:stop] for start, stop in zip([0, *ends[:-1]], ends, strict=True)] if ends else []


@frozen
class Layout:
    """The samples of a set, which targets and weights have to fit: `samples` of the first input, under its key.

    `classes`: the names of classes that are known, by output. `flat`: the first input, if it is sequences one after the other; `advice`:
    if it may be meant so.
    """

    path: str
    signature: Signature
    classes: Mapping[str, tuple[str, ...]]
    samples: int
    key: str
    flat: Flat | None
    advice: str

    @property
    def only_output(self) -> str:
        """The output that targets without a name are of: the first with a loss."""
        outputs, loss = self.signature.outputs, self.signature.train.loss
        trained = [output.name for place, output in enumerate(outputs) if not isinstance(loss, tuple) or loss[place] is not None]
        return trained[0] if trained else outputs[0].name

    def targets(self, columns: Sequence[Column], name: str) -> Samples:
        """The targets of an output: numbers, names of classes, or a list of either for each sample."""
        place, output = next((place, each) for place, each in enumerate(self.signature.outputs) if each.name == name)
        if len(columns) > 1:
            return self._fitting(columns, beside(columns, output.shape))
        column = columns[0]
        if column.array is not None:
            return self._fitting(columns, column.array)
        self._check_rows(column)
        if output.is_sequence:
            return words_of(column)
        if is_list(column):
            return words_of(column) if self._has_labels(place) else self._fitting(columns, numbers_of(column))
        if self._has_labels(place):
            return words_of(column)
        return numbers_or_names(column, self.classes.get(name))

    def weights(self, columns: Sequence[Column]) -> Samples:
        """The weights of samples, or of their steps."""
        column = columns[0]
        self._check_rows(column)
        if column.array is None and is_list(column):
            return lists_of(column)
        return self._fitting(columns, numbers_of(column))

    def _check_rows(self, column: Column) -> None:
        """ValueError for a column without arrays that has another number of rows than the inputs."""
        if column.array is None and len(column.values) != self.samples:
            raise ValueError(f"{column.path}: {column.name} has {len(column.values)} rows, {self.key} has {self.samples}")

    def _has_labels(self, place: int) -> bool:
        return takes_labels(self.signature, place)

    def _fitting(self, columns: Sequence[Column], y: Array) -> Samples:
        """An array of samples, or of all steps, as many as the inputs'; ValueError for another number."""
        key = columns[0].name
        if (flat := self.flat) is not None:
            shape = flat.lengths.shape
            if y.shape[:1] not in (shape, (flat.total,)):
                raise ValueError(f"{self.path}: {key} has shape {y.shape}; expected {shape[0]} samples or {flat.total} steps in front")
            return y if y.shape[:1] == shape else flat.cut(y)
        if y.shape[:1] != (self.samples,):
            raise ValueError(f"{self.path}: {self.key} has {self.samples} samples, {key} has shape {y.shape}{self.advice}")
        return y


def takes_labels(signature: Signature, place: int) -> bool:
    """Whether the loss of an output, by its place, takes a sequence of labels for each sample."""
    loss = signature.train.loss
    chosen = loss[place] if isinstance(loss, tuple) else loss
    return isinstance(chosen, Config) and chosen.name == "ctc"


def numbers_or_names(column: Column, known: tuple[str, ...] | None) -> Samples:
    """Numbers, or names of classes: what most values are, and all have to be. `known`: the classes that have names already."""
    if column.array is not None:
        return texts_of(column) if is_textual(column) else numbers_of(column)
    given: list[Any] = list(column.values)
    names = sum(isinstance(value, str) and value != "" and number_of(value) is None for value in given)
    if (known is not None and any(value in known for value in given)) or 2 * names > len(given):
        for row, value in enumerate(given):
            if value in ("", None):
                raise column.fault(row, "it is empty, the name of a class is expected")
    if known is not None and any(value in known for value in given):
        for row, value in enumerate(given):
            if value not in known:
                raise column.fault(
                    row, f"no class is called {shown(value)}; they are {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
                )
        return given
    return texts_of(column) if 2 * names > len(given) else numbers_of(column)
