"""Calls native functions: arenas, pointer tables, prepared weights."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rnnspec.runtime.executable import Array
from rnnspec.runtime.jit import Loaded
from rnnspec.runtime.native_memory import Memory, address, aligned_bytes
from rnnspec.runtime.packing import PackedIndex
from rnnspec.runtime.plan import Plans
from rnnspec.runtime.program import Kind, NativeFunction, arena_bytes, operations_saved
from rnnspec.runtime.team import SharedCall, call_together
from rnnspec.runtime.threads import CALLS_ALONE, ThreadCount

NO_BYTES = aligned_bytes(0)


class Lent:
    """Memory of a tape, given back when nobody holds this any more."""

    def __init__(self, memory: Memory, spare: list[Memory]) -> None:
        self.bytes = memory.bytes
        self._memory, self._spare = memory, spare

    def __del__(self) -> None:
        if not self._spare:
            self._spare.append(self._memory)


class Tapes:
    """Memory for tapes. That of the last one that nobody needed any more is kept: new pages cost as much as a part of the work."""

    def __init__(self) -> None:
        self._spare: list[Memory] = []

    def lend(self, size: int) -> Lent:
        """At least `size` bytes, nobody else's until they are given back."""
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = Memory.of(size)
        return Lent(memory if len(memory.bytes) >= size else Memory.of(size), self._spare)


class Scratch:
    """Memory for calls under way, kept for the next ones."""

    def __init__(self) -> None:
        self._free: list[Memory] = []

    @contextmanager
    def taken(self, size: int) -> Generator[Memory]:
        """At least `size` bytes, nobody else's until the block ends."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = Memory.of(size)
        if len(memory.bytes) < size:
            memory = Memory.of(size)
        try:
            yield memory
        finally:
            self._free.append(memory)


@dataclass
class _Prepared:
    """`weights`: a copy of the flat weights, for those that use them after they may have changed."""

    version: int
    memory: Memory
    users: int = 0
    weights: Array | None = None


@dataclass
class BoundFunction:
    """A loaded native function with the prepared form of the weights it was last called with."""

    function: NativeFunction
    loaded: Loaded
    scratch: Scratch
    tapes: Tapes = field(default_factory=Tapes)
    threads: ThreadCount = field(default_factory=ThreadCount)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _prepared: _Prepared | None = None
    _alone: int = 0
    """Calls to come that one thread does, however much there is to do."""

    def __post_init__(self) -> None:
        self._plans = Plans(self.function)

    @cached_property
    def clocks(self) -> Mapping[str, Array]:
        """Of a timed build, the ticks of each loop nest by the function's symbol; calls add to them."""
        arguments = (*self.function.prepare_arguments, *self.function.arguments)
        return {each.name: np.zeros(int(each.rows), np.int64) for each in arguments if each.kind is Kind.CLOCKS}

    @contextmanager
    def prepared(self, weights: Array, version: int) -> Generator[Memory]:
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

        return prepared.memory.bytes, prepared.weights, give_back

    def _prepared_for(self, weights: Array, version: int) -> _Prepared:
        """With one user more; the lock is held."""
        prepared = self._prepared
        if prepared is None or prepared.version != version:
            if prepared is None or prepared.users:
                memory = Memory.of(self.function.prepared_bytes)
                memory.bytes[:] = 0
            else:
                memory = prepared.memory
            self._prepared = None
            self._prepare(weights, memory)
            prepared = self._prepared = _Prepared(version, memory)
        prepared.users += 1
        return prepared

    def _prepare(self, weights: Array, memory: Memory) -> None:
        with self.scratch.taken(arena_bytes(self.function.prepare_scratch, {})) as scratch:
            known = {Kind.WEIGHTS: weights, Kind.PREPARED: memory.bytes, Kind.SCRATCH: scratch.bytes}
            if self.clocks:
                known[Kind.CLOCKS] = self.clocks[self.function.prepare_symbol]
            function = self.function
            pointers = [address(known[argument.kind]) for argument in function.prepare_arguments]
            table, sizes = (ctypes.c_void_p * len(pointers))(*pointers), (ctypes.c_int64 * 0)()
            threads = self._paying(function.prepare_shared_symbol, lambda threads: operations_saved(function.prepare_work, {}, threads))
            self._call(function.prepare_symbol, function.prepare_shared_symbol, table, sizes, threads)

    def _paying(self, shared: str, saved: Callable[[int], int]) -> int:
        """How many threads to use: one where several would save too little."""
        threads = self.threads.number
        return threads if threads > 1 and shared and saved(threads) >= self.threads.least_saved else 1

    def _call(self, symbol: str, shared: str, table: Any, sizes: Any, threads: int) -> None:
        alone = self.loaded.functions[symbol]
        if threads > 1 and self._alone:
            self._alone, threads = self._alone - 1, 1
        if threads > 1:
            call = SharedCall(self.loaded.functions[shared], table, sizes, self.loaded)
            took_part = call_together(call, alone, threads, self.threads.patience, self.threads.idle)
            self.threads.took_part = took_part.threads
            self._alone = CALLS_ALONE if took_part.dismissed else 0
        else:
            alone(ctypes.addressof(table), ctypes.addressof(sizes))

    def call(
        self,
        given: Mapping[tuple[str, str], Array],
        indices: Sequence[PackedIndex],
        batch: int,
        times: Mapping[str, int],
        dtype: np.dtype,
        weights: Array,
        weights_version: int,
        tape: Array | None = None,
    ) -> tuple[dict[str, Array], Lent | None]:
        """Runs the function; its outputs by name, and the tape that it has written, if it writes one. `tape`: the one that it reads.

        `given`: by `Kind` and name, see `plan.GIVEN`. `times`: padded lengths by their names.
        """
        function, plan = self.function, self._plans.of(batch, times, indices)
        outputs: dict[str, Array] = {}
        lent = self.tapes.lend(plan.tape) if tape is None and plan.tape else None
        kept = tape if tape is not None else NO_BYTES if lent is None else lent.bytes
        with self.scratch.taken(plan.scratch) as scratch, self.prepared(weights, weights_version) as prepared:
            table = plan.table()
            for place, name, shape in plan.outputs:
                array = outputs[name] = np.empty(shape, dtype)
                table[place] = address(array)
            for place, key in plan.given:
                table[place] = address(given[key])
            for place, argument in plan.arenas:
                match argument.kind:
                    case Kind.WEIGHTS:
                        table[place] = address(weights)
                    case Kind.PREPARED:
                        table[place] = prepared.address
                    case Kind.SCRATCH:
                        table[place] = scratch.address
                    case Kind.TAPE:
                        table[place] = address(kept)
                    case _:
                        table[place] = address(self.clocks[argument.name])
            self._call(function.symbol, function.shared_symbol, table, plan.dims, self._paying(function.shared_symbol, plan.saved_by))
        return outputs, lent
