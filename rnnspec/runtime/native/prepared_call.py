"""One native function called step after step with memory of its own, so that a step passes two addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import Size, value_of
from rnnspec.contract.executable import Array, FastPath
from rnnspec.contract.native_function import STATE, Space
from rnnspec.contract.packing import PackedIndex
from rnnspec.runtime.native.fast_call import Callee, FastPaths, is_small, no_fast_path
from rnnspec.runtime.native.loaded_function import LoadedFunction, Prepared
from rnnspec.runtime.native.memory import address, aligned_bytes, index_array, output_shape


class NativePreparedCall:
    """Implements `contract.executable.PreparedCall`. Two sets of state arrays change places at each step, one read and one written."""

    def __init__(
        self,
        bound: LoadedFunction,
        indices: Sequence[PackedIndex],
        sizes: Mapping[Size, int],
        inputs: Mapping[str, Array],
        states: Mapping[str, Array],
        dtype: np.dtype[np.generic],
        fast_paths: FastPaths | None,
    ) -> None:
        """`inputs`, `states`: examples, for their shapes and dtypes. `dtype`: the outputs'. `fast_paths`: the fast path's maker, if any."""
        function = bound.function
        self._bound, self._indices = bound, indices
        self.inputs = {name: np.zeros_like(value) for name, value in inputs.items()}
        self._states = tuple({name: np.zeros_like(value) for name, value in states.items()} for _ in range(2))
        self.outputs = {
            argument.name: np.zeros(output_shape(argument, sizes), dtype)
            for argument in function.arguments
            if argument.space is Space.OUTPUT and not argument.name.startswith(STATE)
        }
        self._arenas = {
            Space.SCRATCH: aligned_bytes(arena_bytes(function.scratch, sizes)),
            Space.TAPE: aligned_bytes(arena_bytes(function.tape, sizes)),
            Space.KEY: np.zeros(1, np.uint32),
        }
        self._dims = (ctypes.c_int64 * len(function.dims))(*(value_of(dim, sizes) for dim in function.dims))
        self.sizes = ctypes.addressof(self._dims)
        self._call = bound.loaded.functions[function.symbol]
        self._turn = np.zeros(1, np.int64)
        self._prepared: Prepared | None = None
        self._version = -1
        # On two sets of states or, without states, on one table again and again.
        self._turns = 2 if states else 1
        self._fast_paths = fast_paths if len(inputs) == 1 and is_small(function, sizes, bound.threads.tuning) else None

    def set_weights(self, weights: Array, version: int) -> None:
        """Takes these from now on, as they are now."""
        self._prepared = None  # whose memory the next ones take if nobody else holds them
        prepared = self._prepared = self._bound.hold(weights, version)
        arenas = {
            **self._arenas,
            Space.PREPARED: prepared.memory.bytes,
            Space.WEIGHT: weights[:0] if prepared.weights is None else prepared.weights,
        }
        self._kept = tuple(self._arrays(arenas, turn) for turn in range(self._turns))
        self.tables = self._new_tables()
        self._version = version

    @property
    def function(self) -> int:
        """The address of `void step(void **table, int64_t *sizes)`; `tables` take turns, `sizes` is an address too."""
        return self._bound.loaded.addresses[self._bound.function.symbol]

    def _new_tables(self) -> tuple[ctypes.Array[ctypes.c_void_p], ...]:
        return tuple((ctypes.c_void_p * len(arrays))(*map(address, arrays)) for arrays in self._kept)

    def _arrays(self, arenas: Mapping[Space, Array], turn: int) -> list[Array]:
        """The function's arguments when it reads state set number `turn`."""
        arrays: list[Array] = []
        for argument in self._bound.function.arguments:
            match argument.space:
                case Space.INPUT:
                    array = self._states[turn].get(argument.name)
                    arrays.append(self.inputs[argument.name] if array is None else array)
                case Space.OUTPUT:
                    state = argument.name.startswith(STATE)
                    following = self._states[self._turns - 1 - turn]
                    arrays.append(following[argument.name.removeprefix(STATE)] if state else self.outputs[argument.name])
                case Space.INDEX:
                    arrays.append(index_array(self._indices, argument))
                case kind:
                    arrays.append(arenas[kind])
        return arrays

    @property
    def states(self) -> Mapping[str, Array]:
        """The states after the last step, which the next one reads; writable."""
        return self._states[int(self._turn[0])]

    def run(self) -> None:
        """One step: reads `inputs` and `states`, writes `outputs` and `states`."""
        turn = int(self._turn[0])
        self._call(ctypes.addressof(self.tables[turn]), self.sizes)
        self._turn[0] = turn ^ self._turns - 1

    def fast_path(self, shape: Sequence[int], shown: Sequence[Array], version: Array) -> FastPath:
        """See `PreparedCall.fast_path`; `no_fast_path` if the function is too large to hold the GIL, or reads no array of floats."""
        (name, value), *_ = self.inputs.items()
        read = [argument.name if argument.space is Space.INPUT else "" for argument in self._bound.function.arguments]
        if self._fast_paths is None or value.dtype.kind != "f" or name not in read:
            return no_fast_path
        place = read.index(name)
        called = Callee(self.function, self._new_tables(), self.sizes, place, self._turn, version, self._version, shown)
        return self._fast_paths.of(called, shape, value.dtype, self)
