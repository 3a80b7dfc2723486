"""A model's weights: a flat array, its version, and the order of readers and writers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TypeVar, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import WeightSignature, weight_ranges
from rnnspec.diagnostics import name_faults
from rnnspec.frozen import frozen
from rnnspec.locks import ReadersWriter
from rnnspec.runtime.data.columns import as_numbers
from rnnspec.signals import deferred

Result = TypeVar("Result")

_versions = count(1)
"""Versions are unique in the process: an executable or a tape can't take one model's weights for another's."""


class Parameters:
    """The weights as one flat array at a fixed address, in the signature's order.

    `read` and `change` run functions on it: many readers or one writer at a time. Training may defer a part of its updates (`defer`);
    they are made before anyone reads or changes the array, but with `flushed = False`. A change is whole or hasn't begun, whatever
    interrupts it; see `rnnspec.locks`.
    """

    def __init__(self, signatures: Sequence[WeightSignature], dtype: str) -> None:
        self.signatures = tuple(signatures)
        self.ranges = weight_ranges(self.signatures)
        size = sum(math.prod(weight.shape) for weight in self.signatures)
        self._flat: Array = np.zeros(size, np.dtype(dtype))
        places = [self.ranges[weight.name] for weight in self.signatures if weight.updated]
        self._updated = np.array([place for taken in places for place in range(taken.start, taken.stop)], np.intp)
        """The places of the weights that a call in training updates, one after the other."""
        self.version_now = np.array([next(_versions)], np.int64)
        """`version`, for native code to look at."""
        self._basis = self.version
        self._turns = ReadersWriter()
        self._pending: Callable[[Array], None] | None = None
        self.shared = False
        """Whether others write to the array, see `share`."""

    @property
    def size(self) -> int:
        """The number of elements of all weights."""
        return self._flat.size

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The element type, float32 or float64."""
        return self._flat.dtype

    @property
    def version(self) -> int:
        """A number that rises at the beginning of every change."""
        return self.version_now.item()

    @property
    def basis(self) -> int:
        """The version of the last change of more than the moving statistics, on which a training call's tape depends."""
        return self._basis

    def read(self, work: Callable[[Array, int], Result], *, flushed: bool = True) -> Result:
        """The result of `work` on the flat array and its version, with no writer meanwhile.

        Without `flushed` a part of the updates may be deferred still. No signal's handler runs in `work` then: it would read the weights
        as they are.
        """

        def working() -> Result:
            if self.shared:
                self.version_now[0] = next(_versions)
            return work(self._flat, self.version)

        if not flushed:
            return self._turns.read(working) if self._pending is None else deferred(lambda: self._turns.read(working))
        while True:
            if self._pending is not None:
                return self._turns.write_and_read(self._flushed_as_writer, working)
            given = self._turns.read(lambda: (working(),) if self._pending is None else None)
            if given is not None:
                return given[0]

    def change(self, work: Callable[[Array], Result], *, only_updated: bool = False, flushed: bool = True) -> Result:
        """The result of `work`, which changes the flat array in place after the version has risen. `only_updated`: the basis stays."""

        def changing() -> Result:
            self._new_version(only_updated)
            if flushed:
                self._flush()
            return work(self._flat)

        return self._turns.write(changing)

    def share(self) -> dict[str, Array]:
        """Views of the array by weight name, for others to write to, who say nothing of it.

        From now on every reader gets another version: whatever was prepared of the weights is prepared again.
        """

        def sharing(flat: Array) -> dict[str, Array]:
            self.shared = True
            return self.split(flat)

        return self.change(sharing)

    def defer(self, update: Callable[[Array], None]) -> None:
        """Defers `update`, a change of the flat array, until someone else reads or changes it; call it inside `change`."""
        self._pending = update

    def flush(self) -> None:
        """Makes the deferred updates."""
        self.read(lambda _flat, _version: None)

    def _new_version(self, only_updated: bool) -> None:
        self.version_now[0] = next(_versions)
        if not only_updated:
            self._basis = self.version

    def _flush(self) -> None:
        """Makes the deferred updates, as the writer."""
        if self._pending is not None:
            self._pending(self._flat)
            self._pending = None

    def _flushed_as_writer(self) -> None:
        self._new_version(only_updated=False)
        self._flush()

    def put_updates(self, flat: Array, values: Sequence[Array], frozen: Collection[str] = ()) -> None:
        """Writes a training call's new values, in the weights' order, into the flat array: all of them or, interrupted, none.

        `frozen`: weights that the call gave none for.
        """
        places = self._updated
        if frozen:
            taken = [self.ranges[weight.name] for weight in self.signatures if weight.updated and weight.name not in frozen]
            places = np.array([place for each in taken for place in range(each.start, each.stop)], np.intp)
        flat[places] = np.concatenate([np.empty(0, flat.dtype), *(value.reshape(-1) for value in values)])

    def split(self, flat: Array) -> dict[str, Array]:
        """Views of a flat array of this layout, by weight name, each in its weight's shape."""
        return {weight.name: flat[self.ranges[weight.name]].reshape(weight.shape) for weight in self.signatures}

    def copy_of(self, name: str) -> Array:
        """A copy of one weight in its shape; KeyError if there is none of that name."""
        taken = self.ranges[name]
        shape = next(weight.shape for weight in self.signatures if weight.name == name)
        return self.read(lambda flat, _: flat[taken].reshape(shape).copy())

    def copies(self) -> dict[str, Array]:
        """Copies of all weights, of one moment."""
        return self.read(lambda flat, _: self.split(flat.copy()))

    def assign(self, values: Mapping[str, Array]) -> None:
        """Replace all weights; `values` as `checked_weights` returns them."""

        def assigned(flat: Array) -> None:
            for name, value in values.items():
                flat[self.ranges[name]] = value.reshape(-1)

        self.change(assigned)


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
        """Pickles and copies as a dict of the weights of that moment."""
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


@frozen
class PartialWeights:
    """The result of setting weights by name where some may be absent.

    `taken`: the names of those that were set. `missing`: the model's names that weren't given, which stay as they are. `unknown`: given
    names that the model doesn't have. `misfits`: by name the given shape of those that have another one than the model's, which stay.
    """

    taken: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misfits: Mapping[str, tuple[int, ...]]


def fitting_weights(
    signatures: Sequence[WeightSignature], dtype: np.dtype[np.generic], given: object
) -> tuple[dict[str, Array], PartialWeights]:
    """Those of the given values that the model has under their names and in their shapes, of its dtype, and what becomes of all others.

    `WeightsError` for anything but a mapping from names, and for a value that isn't an array of numbers that the dtype holds.
    """
    try:
        if not isinstance(given, Mapping):
            raise ValueError(f"the weights: strict=False goes by names: expected a mapping from them, got {type(given).__name__}")
        named = cast(Mapping[str, object], given)
        found = {weight.name: as_numbers(named[weight.name], f"weight {weight.name}") for weight in signatures if weight.name in named}
        fits = [weight for weight in signatures if weight.name in found and found[weight.name].shape == weight.shape]
        values = {weight.name: _checked_weight(weight, dtype, found[weight.name]) for weight in fits}
    except ValueError as error:
        raise WeightsError(str(error)) from None
    known = [weight.name for weight in signatures]
    misfits = {name: array.shape for name, array in found.items() if name not in values}
    unknown = tuple(str(name) for name in named if name not in known)
    return values, PartialWeights(tuple(values), tuple(name for name in known if name not in found), unknown, misfits)


def _checked(signatures: Sequence[WeightSignature], dtype: np.dtype[np.generic], given: object) -> dict[str, Array]:
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        if faults := name_faults([weight.name for weight in signatures], sorted(named, key=str)):
            raise ValueError(f"the weights don't fit the model; {faults}")
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
