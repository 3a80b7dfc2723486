"""Plans of native calls: the arguments that calls of the same sizes and packing indices share."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import Size, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import NativeArgument, NativeFunction, Space, operations_saved
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.shape_cache import ShapeCache
from rnnspec.frozen import frozen
from rnnspec.runtime.native.memory import address, call_sizes, index_array, output_shape

GIVEN = frozenset({Space.INPUT, Space.KEY, Space.COTANGENT, Space.GRADIENT})
"""The spaces of arrays from the caller, each found by its space's value and its name."""

ARENAS = frozenset({Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.CLOCKS})

MOST_PLANS = 8
"""Plans that a function keeps: one for each shape of batches whose indices are kept."""


@frozen(slots=False)
class CallPlan:
    """The arguments shared by calls of one function with the same sizes and packing indices.

    | field | |
    |---|---|
    | `pointers` | an address for each argument: index arrays filled in, 0 where each call puts its own |
    | `kept` | the index arrays, kept alive |
    | `outputs` | position, name and shape of each output, allocated anew by each call |
    | `given` | position, and space and name, of each array from the caller |
    | `arenas` | position and argument of weights, tape, scratch and clocks |
    | `dims` | the numbers of rows and steps, as the function takes them |
    | `scratch`, `tape` | the arenas' sizes in bytes |
    """

    function: NativeFunction
    indices: tuple[PackedIndex, ...]
    sizes: Mapping[Size, int]
    pointers: tuple[int, ...]
    kept: tuple[Array, ...]
    outputs: tuple[tuple[int, str, tuple[int, ...]], ...]
    given: tuple[tuple[int, tuple[str, str]], ...]
    arenas: tuple[tuple[int, NativeArgument], ...]
    dims: ctypes.Array[ctypes.c_int64]
    scratch: int
    tape: int
    _saved: dict[int, int] = field(default_factory=dict[int, int])

    def saved_by(self, threads: int) -> int:
        """The operations that so many threads save, see `operations_saved`."""
        if threads not in self._saved:
            self._saved[threads] = operations_saved(self.function.work, self.sizes, threads)
        return self._saved[threads]

    def table(self) -> Any:
        """The pointers, for one call to fill in."""
        return (ctypes.c_void_p * len(self.pointers))(*self.pointers)


class Plans:
    """The plans of one function, cached for packing indices that are cached themselves."""

    def __init__(self, function: NativeFunction) -> None:
        self._function = function
        self._known = ShapeCache[tuple[int, ...], CallPlan](MOST_PLANS)
        places = tuple(enumerate(function.arguments))
        self._indices = tuple((place, each) for place, each in places if each.space is Space.INDEX)
        self._outputs = tuple((place, each) for place, each in places if each.space is Space.OUTPUT)
        self._given = tuple((place, (each.space.value, each.name)) for place, each in places if each.space in GIVEN)
        self._arenas = tuple((place, each) for place, each in places if each.space in ARENAS)

    def of(self, batch: int, times: Mapping[Size, int], indices: Sequence[PackedIndex]) -> CallPlan:
        """The plan of a call; `times`: the padded lengths of the sequences, by their names."""
        key = (batch, *times.values(), *map(id, indices))
        found = self._known.get(key)
        if found is None:
            found = self._made(tuple(indices), call_sizes(batch, times, indices))
            if all(index.kept for index in indices):
                self._known.keep(key, found)
        return found

    def _made(self, indices: tuple[PackedIndex, ...], sizes: Mapping[Size, int]) -> CallPlan:
        function = self._function
        kept = tuple(index_array(indices, each) for _, each in self._indices)
        pointers = [0] * len(function.arguments)
        for (place, _), array in zip(self._indices, kept, strict=True):
            pointers[place] = address(array)
        return CallPlan(
            function,
            indices,
            sizes,
            tuple(pointers),
            kept,
            tuple((place, each.name, output_shape(each, sizes)) for place, each in self._outputs),
            self._given,
            self._arenas,
            (ctypes.c_int64 * len(function.dims))(*(value_of(dim, sizes) for dim in function.dims)),
            arena_bytes(function.scratch, sizes),
            arena_bytes(function.tape, sizes),
        )
