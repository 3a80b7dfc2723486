"""One native function called step after step with memory of its own, so that a step passes two addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.runtime.executable import Array
from rnnspec.runtime.jit import Loaded
from rnnspec.runtime.native_memory import CallSizes, address, aligned_bytes, index_array, output_shape
from rnnspec.runtime.packing import PackedIndex
from rnnspec.runtime.program import Argument, Kind, NativeFunction, arena_bytes


class NativeStepper:
    """Implements `runtime.executable.Stepper`. The states of one step are the next one's inputs: two sets of arrays change places."""

    def __init__(
        self,
        function: NativeFunction,
        loaded: Loaded,
        indices: Sequence[PackedIndex],
        sizes: CallSizes,
        inputs: Mapping[str, Array],
        states: Mapping[str, Array],
        weights: int,
    ) -> None:
        """Of `inputs` and `states` the shapes and dtypes are taken; there are as many as `weights` numbers in the flat array."""
        self.inputs = {name: np.zeros_like(value) for name, value in inputs.items()}
        self._states = tuple({name: np.zeros_like(value) for name, value in states.items()} for _ in range(2))
        dtype = next(value.dtype for value in (*states.values(), *inputs.values()) if value.dtype.kind == "f")
        self._weights = np.zeros(weights, dtype)
        self._prepared = aligned_bytes(function.prepared_bytes)
        self._prepared[:] = 0
        scratch = aligned_bytes(max(arena_bytes(function.scratch, sizes), arena_bytes(function.prepare_scratch, {})))
        tape = aligned_bytes(arena_bytes(function.tape, sizes))
        arenas = {Kind.WEIGHTS: self._weights, Kind.PREPARED: self._prepared, Kind.SCRATCH: scratch, Kind.TAPE: tape}
        arenas[Kind.KEY] = np.zeros(1, np.uint32)
        self.outputs = {
            argument.name: np.zeros(output_shape(argument, sizes), dtype)
            for argument in function.arguments
            if argument.kind is Kind.OUTPUT and argument.name not in states
        }
        self._alive: list[object] = [loaded, scratch, tape, arenas]
        self._tables = tuple(self._table(function.arguments, arenas, indices, turn) for turn in range(2))
        self._addresses = tuple(ctypes.addressof(table) for table in self._tables)
        self._dims = (ctypes.c_int64 * len(function.dims))(*(sizes[name] for name in function.dims))
        self._dims_address = ctypes.addressof(self._dims)
        self._prepare_table = _addresses([arenas[argument.kind] for argument in function.prepare_arguments])
        self._prepare = loaded.functions[function.prepare_symbol]
        self._call = loaded.functions[function.symbol]
        self._turn = 0

    def _table(
        self, arguments: Sequence[Argument], arenas: Mapping[Kind, Array], indices: Sequence[PackedIndex], turn: int
    ) -> ctypes.Array[ctypes.c_void_p]:
        """What the function takes when the states lie in set number `turn`."""
        arrays: list[Array] = []
        for argument in arguments:
            match argument.kind:
                case Kind.INPUT:
                    array = self._states[turn].get(argument.name)
                    arrays.append(self.inputs[argument.name] if array is None else array)
                case Kind.OUTPUT:
                    array = self._states[1 - turn].get(argument.name)
                    arrays.append(self.outputs[argument.name] if array is None else array)
                case Kind.INDEX:
                    arrays.append(index_array(indices, argument))
                case kind:
                    arrays.append(arenas[kind])
        self._alive.append(arrays)
        return _addresses(arrays)

    @property
    def states(self) -> Mapping[str, Array]:
        """As the last step left them; what is written to them the next one starts from."""
        return self._states[self._turn]

    def set_weights(self, weights: Array) -> None:
        """Copies the flat weights, and prepares them."""
        self._weights[:] = weights
        self._prepare(ctypes.addressof(self._prepare_table), self._dims_address)

    def run(self) -> None:
        """From `inputs` and `states` to `outputs` and `states`."""
        self._call(self._addresses[self._turn], self._dims_address)
        self._turn = 1 - self._turn


def _addresses(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*map(address, arrays))
