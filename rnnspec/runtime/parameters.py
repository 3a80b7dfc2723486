"""A model's weights: one flat array, a version that rises with every change, and who may read it when."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import cast

import numpy as np

from rnnspec.runtime.columns import as_numbers
from rnnspec.runtime.executable import Array
from rnnspec.runtime.signature import WeightSignature, weight_ranges

_versions = count(1)
"""Versions are unique in the process: an executable or a tape can't take one model's weights for another's."""


class Parameters:
    """The weights one after the other, in the signature's order, as one flat array that stays at its address.

    Readers hold `reading()`, writers `updating()`; many readers or one writer at a time. Training may owe the weights
    a part of its updates (`owe`): who reads or writes without `settled = False` finds them made.
    """

    def __init__(self, signatures: Sequence[WeightSignature], dtype: str) -> None:
        self.signatures = tuple(signatures)
        self.ranges = weight_ranges(self.signatures)
        size = sum(math.prod(weight.shape) for weight in self.signatures)
        self._flat: Array = np.zeros(size, np.dtype(dtype))
        places = [self.ranges[weight.name] for weight in self.signatures if weight.updated]
        self._updated = np.array([place for taken in places for place in range(taken.start, taken.stop)], np.intp)
        """The places of the weights that a call in training updates, one after the other."""
        self._version = self._basis = next(_versions)
        self.version_now = np.array([self._version], np.int64)
        """`version`, for native code to look at."""
        self._turn = threading.Condition()
        self._readers = 0
        self._writing = False
        self._writers_waiting = 0
        self._owed: Callable[[Array], None] | None = None

    @property
    def size(self) -> int:
        return self._flat.size

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self._flat.dtype

    @property
    def version(self) -> int:
        return self._version

    @property
    def basis(self) -> int:
        """The version at the last change of more than the updated weights: what a tape of a call in training depends on."""
        return self._basis

    @contextmanager
    def reading(self, *, settled: bool = True) -> Generator[tuple[Array, int]]:
        """The flat array and its version; nothing changes them meanwhile. Not to be nested in one thread."""
        with self._turn:
            while self._writing or self._writers_waiting:
                self._turn.wait()
            owing = settled and self._owed is not None
            if owing:
                self._begin_writing()
            self._readers += 1
        if owing:
            self._settle_as_reader()
        try:
            yield self._flat, self._version
        finally:
            with self._turn:
                self._readers -= 1
                if not self._readers:
                    self._turn.notify_all()

    @contextmanager
    def updating(self, *, only_updated: bool = False, settled: bool = True) -> Generator[Array]:
        """The flat array, to be changed in place; the version rises, whatever happens inside. `only_updated`: the basis stays."""
        with self._turn:
            self._begin_writing()
        try:
            if settled:
                self._settle()
            yield self._flat
        finally:
            self._end_writing(only_updated)

    def owe(self, owed: Callable[[Array], None]) -> None:
        """What is still to be done to the flat array before anyone else looks at it; inside `updating`."""
        self._owed = owed

    def settle(self) -> None:
        """Do what is owed."""
        with self.reading():
            pass

    def _begin_writing(self) -> None:
        """Waits for the writer's turn; the lock is held."""
        self._writers_waiting += 1
        try:
            while self._writing or self._readers:
                self._turn.wait()
        finally:
            self._writers_waiting -= 1
        self._writing = True

    def _end_writing(self, only_updated: bool) -> None:
        with self._turn:
            self._version = self.version_now[0] = next(_versions)
            self._basis = self._basis if only_updated else self._version
            self._writing = False
            self._turn.notify_all()

    def _settle(self) -> None:
        """As the writer."""
        owed, self._owed = self._owed, None
        if owed is not None:
            owed(self._flat)

    def _settle_as_reader(self) -> None:
        """For a reader who has the writer's turn: it goes on reading, with no other writer between."""
        try:
            self._settle()
        except BaseException:
            with self._turn:
                self._readers -= 1
            raise
        finally:
            self._end_writing(only_updated=False)

    def put_updates(self, flat: Array, values: Sequence[Array]) -> None:
        """The new values that a call in training gave, in the weights' order, into the flat array: all of them or, interrupted, none."""
        flat[self._updated] = np.concatenate([np.empty(0, flat.dtype), *(value.reshape(-1) for value in values)])

    def split(self, flat: Array) -> dict[str, Array]:
        """Views of a flat array of this layout, by weight name, each in its weight's shape."""
        return {weight.name: flat[self.ranges[weight.name]].reshape(weight.shape) for weight in self.signatures}

    def copy_of(self, name: str) -> Array:
        """A copy of one weight in its shape; KeyError if there is none of that name."""
        taken = self.ranges[name]
        shape = next(weight.shape for weight in self.signatures if weight.name == name)
        with self.reading() as (flat, _):
            return flat[taken].reshape(shape).copy()

    def copies(self) -> dict[str, Array]:
        """Copies of all weights, of one moment."""
        with self.reading() as (flat, _):
            return self.split(flat.copy())

    def assign(self, values: Mapping[str, Array]) -> None:
        """Replace all weights; `values` as `checked_weights` returns them."""
        with self.updating() as flat:
            for name, value in values.items():
                flat[self.ranges[name]] = value.reshape(-1)


class WeightView(Mapping[str, Array]):
    """The weights by name, in Keras's order, layout and shapes, as they are at the moment of each look-up.

    Every array is a copy that can't be written to; `Model.set_weights` changes weights.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def __getitem__(self, name: str) -> Array:
        value = self._parameters.copy_of(name)
        value.flags.writeable = False
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters.ranges)

    def __len__(self) -> int:
        return len(self._parameters.ranges)

    def __reduce__(self) -> tuple[type[dict[str, Array]], tuple[dict[str, Array]]]:
        """Pickled and copied as what it shows at that moment."""
        return dict, (self._parameters.copies(),)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{weight.name!r}: {weight.shape}" for weight in self._parameters.signatures)
        return f"<weights {{{shapes}}}>"


class WeightsError(ValueError):
    """Weights that don't fit the model."""


def checked_weights(signatures: Sequence[WeightSignature], dtype: np.dtype[np.generic], given: object) -> dict[str, Array]:
    """The given values by weight name, of the model's dtype.

    `given`: arrays in the signature's order, or a mapping from weight names. `WeightsError` names the
    weight and says what was expected: a missing or unknown one, a wrong shape, not numbers.
    """
    try:
        return _checked(signatures, dtype, given)
    except ValueError as error:
        raise WeightsError(str(error)) from None


def _checked(signatures: Sequence[WeightSignature], dtype: np.dtype[np.generic], given: object) -> dict[str, Array]:
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        missing = [weight.name for weight in signatures if weight.name not in named]
        unknown = sorted(map(str, set(named) - {weight.name for weight in signatures}))
        if missing or unknown:
            said = [f"missing: {', '.join(missing)}"] if missing else []
            said += [f"unknown: {', '.join(unknown)}"] if unknown else []
            raise ValueError(f"the weights don't fit the model; {'; '.join(said)}")
        values = [named[weight.name] for weight in signatures]
    elif not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise ValueError(f"the weights: expected a list of arrays or a mapping from weight names, got {type(given).__name__}")
    else:
        values = list(cast(Iterable[object], given))
        if len(values) != len(signatures):
            expected = ", ".join(f"{weight.name} {weight.shape}" for weight in signatures)
            raise ValueError(f"the model has {len(signatures)} weights, {len(values)} were given; expected {expected}")
    return {weight.name: _checked_weight(weight, dtype, value) for weight, value in zip(signatures, values, strict=True)}


def _checked_weight(weight: WeightSignature, dtype: np.dtype[np.generic], value: object) -> Array:
    array = as_numbers(value, f"weight {weight.name}")
    if array.shape != weight.shape:
        raise ValueError(f"weight {weight.name}: expected shape {weight.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        converted: Array = array.astype(dtype)
    if (wrong := np.argwhere(np.isinf(converted) & np.isfinite(array))).size:
        entry = tuple(int(number) for number in wrong[0])
        raise ValueError(f"weight {weight.name}, entry {entry}: expected a value that {dtype} holds, got {array[entry]}")
    return converted
