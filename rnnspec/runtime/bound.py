"""Calls native functions: arenas, pointer tables, prepared weights."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rnnspec.runtime.executable import Array
from rnnspec.runtime.jit import Loaded
from rnnspec.runtime.native_memory import CallSizes, address, aligned_bytes, index_array, output_shape
from rnnspec.runtime.packing import PackedIndex
from rnnspec.runtime.program import Kind, NativeFunction, Work, arena_bytes, operations_saved
from rnnspec.runtime.team import SharedCall, call_together
from rnnspec.runtime.threads import ThreadCount


class Scratch:
    """Memory for calls under way, kept for the next ones."""

    def __init__(self) -> None:
        self._free: list[Array] = []

    @contextmanager
    def taken(self, size: int) -> Generator[Array]:
        """At least `size` bytes, nobody else's until the block ends."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = aligned_bytes(size)
        if len(memory) < size:
            memory = aligned_bytes(size)
        try:
            yield memory
        finally:
            self._free.append(memory)


@dataclass
class _Prepared:
    """`weights`: a copy of the flat weights, for those that use them after they may have changed."""

    version: int
    memory: Array
    users: int = 0
    weights: Array | None = None


@dataclass
class BoundFunction:
    """A loaded native function with the prepared form of the weights it was last called with."""

    function: NativeFunction
    loaded: Loaded
    scratch: Scratch
    threads: ThreadCount = field(default_factory=ThreadCount)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _prepared: _Prepared | None = None

    @cached_property
    def clocks(self) -> Mapping[str, Array]:
        """Of a timed build, the ticks of each loop nest by the function's symbol; calls add to them."""
        arguments = (*self.function.prepare_arguments, *self.function.arguments)
        return {each.name: np.zeros(int(each.rows), np.int64) for each in arguments if each.kind is Kind.CLOCKS}

    @contextmanager
    def prepared(self, weights: Array, version: int) -> Generator[Array]:
        """The prepared weights; made again when the weights' version is another, in place if no other call reads them."""
        with self._lock:
            prepared = self._prepared_for(weights, version)
        try:
            yield prepared.memory
        finally:
            with self._lock:
                prepared.users -= 1

    def hold(self, weights: Array, version: int) -> tuple[Array, Array, Callable[[], None]]:
        """The prepared weights and a copy of the flat ones, shared by all who hold this version; the third gives them back."""
        with self._lock:
            prepared = self._prepared_for(weights, version)
            if prepared.weights is None:
                read = any(argument.kind is Kind.WEIGHTS for argument in self.function.arguments)
                prepared.weights = weights.copy() if read else weights[:0]

        def give_back() -> None:
            with self._lock:
                prepared.users -= 1

        return prepared.memory, prepared.weights, give_back

    def _prepared_for(self, weights: Array, version: int) -> _Prepared:
        """With one user more; the lock is held."""
        prepared = self._prepared
        if prepared is None or prepared.version != version:
            if prepared is None or prepared.users:
                memory = aligned_bytes(self.function.prepared_bytes)
                memory[:] = 0
            else:
                memory = prepared.memory
            self._prepared = None
            self._prepare(weights, memory)
            prepared = self._prepared = _Prepared(version, memory)
        prepared.users += 1
        return prepared

    def _prepare(self, weights: Array, memory: Array) -> None:
        with self.scratch.taken(arena_bytes(self.function.prepare_scratch, {})) as scratch:
            known = {Kind.WEIGHTS: weights, Kind.PREPARED: memory, Kind.SCRATCH: scratch}
            if self.clocks:
                known[Kind.CLOCKS] = self.clocks[self.function.prepare_symbol]
            pointers = [address(known[argument.kind]) for argument in self.function.prepare_arguments]
            function = self.function
            threads = self._paying(function.prepare_shared_symbol, function.prepare_work, {})
            self._call(function.prepare_symbol, function.prepare_shared_symbol, pointers, (), threads)

    def _paying(self, shared: str, work: tuple[Work, ...], sizes: Mapping[str, int]) -> int:
        """How many threads to use: one where several would save too little."""
        threads = self.threads.number
        return threads if threads > 1 and shared and operations_saved(work, sizes, threads) >= self.threads.least_saved else 1

    def _call(self, symbol: str, shared: str, pointers: Sequence[int], dims: Sequence[int], threads: int) -> None:
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        sizes = (ctypes.c_int64 * len(dims))(*dims)
        if threads > 1:
            call = SharedCall(self.loaded.functions[shared], table, sizes, self.loaded)
            self.threads.took_part = call_together(call, self.loaded.functions[symbol], threads, self.threads.patience)
        else:
            self.loaded.functions[symbol](ctypes.addressof(table), ctypes.addressof(sizes))

    def call(
        self,
        given: Mapping[tuple[Kind, str], Array],
        indices: Sequence[PackedIndex],
        sizes: CallSizes,
        dtype: np.dtype,
        weights: Array,
        weights_version: int,
        tape: Array | None = None,
    ) -> tuple[dict[str, Array], Array]:
        """Runs the function; its outputs by name, and the tape (newly made unless given). `sizes`: see `NativeFunction`."""
        outputs: dict[str, Array] = {}
        kept = aligned_bytes(arena_bytes(self.function.tape, sizes)) if tape is None else tape
        with self.scratch.taken(arena_bytes(self.function.scratch, sizes)) as scratch, self.prepared(weights, weights_version) as prepared:
            arenas = {Kind.WEIGHTS: weights, Kind.PREPARED: prepared, Kind.TAPE: kept, Kind.SCRATCH: scratch}
            alive: list[Array] = []
            for argument in self.function.arguments:
                array = arenas.get(argument.kind)
                if array is None:
                    match argument.kind:
                        case Kind.OUTPUT:
                            array = outputs[argument.name] = np.empty(output_shape(argument, sizes), dtype)
                        case Kind.INDEX:
                            array = index_array(indices, argument)
                        case Kind.CLOCKS:
                            array = self.clocks[argument.name]
                        case _:
                            array = given[argument.kind, argument.name]
                alive.append(array)
            threads = self._paying(self.function.shared_symbol, self.function.work, sizes)
            pointers, dims = [address(array) for array in alive], [sizes[name] for name in self.function.dims]
            self._call(self.function.symbol, self.function.shared_symbol, pointers, dims, threads)
        return outputs, kept
