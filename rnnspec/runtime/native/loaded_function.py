"""Calls native functions: arenas, pointer tables, prepared weights."""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import Size, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import NativeFunction, Space, operations_saved
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.thread_count import ThreadCount
from rnnspec.locks import cached_property, new_lock, renewed_after_fork
from rnnspec.runtime.native.call_plan import Plans
from rnnspec.runtime.native.jit import Loaded
from rnnspec.runtime.native.memory import Memory, address, aligned_bytes
from rnnspec.runtime.native.thread_pool import SharedCall, call_together

NO_BYTES = aligned_bytes(0)


class PooledBuffer:
    """Memory of a pool, used by nobody else while a reference to this object lives. `fresh`: never used before."""

    def __init__(self, memory: Memory, *, fresh: bool) -> None:
        self.bytes, self.address = memory.bytes, memory.address
        self.memory, self.fresh = memory, fresh


class BufferPool:
    """Memory that is used again once its `PooledBuffer` is gone, since new pages cost as much as a part of the work.

    Nothing is given back by a call, which an interrupt could prevent: a weak reference tells that a buffer is free.
    """

    def __init__(self, most: int) -> None:
        """`most`: the number of pieces of memory kept, in use or free."""
        self._known: deque[tuple[Memory, weakref.ref[PooledBuffer]]] = deque(maxlen=most)

    def lease(self, size: int) -> PooledBuffer:
        """A buffer of at least `size` bytes."""
        lease = self._free(size) or PooledBuffer(Memory.of(size), fresh=True)
        self._known.append((lease.memory, weakref.ref(lease)))
        return lease

    def _free(self, size: int) -> PooledBuffer | None:
        for _ in range(len(self._known)):
            try:
                memory, lease = self._known.popleft()
            except IndexError:  # other threads have them
                return None
            if lease() is not None:
                self._known.append((memory, lease))
            elif len(memory.bytes) >= size:
                return PooledBuffer(memory, fresh=False)
        return None


MOST_SCRATCH = 8
"""Pieces of scratch memory kept, one for each call at the same time."""


@dataclass
class Prepared:
    """The prepared form of one version of the weights, valid while a reference to it lives.

    `weights`: a copy of the flat weights, for a `PreparedCall`, which outlives their version.
    """

    version: int
    memory: PooledBuffer
    weights: Array | None = None


@dataclass
class LoadedFunction:
    """A loaded native function with the prepared form of the weights it was last called with."""

    function: NativeFunction
    loaded: Loaded
    scratch: BufferPool
    tapes: BufferPool = field(default_factory=lambda: BufferPool(2))
    threads: ThreadCount = field(default_factory=ThreadCount)
    _prepared: Prepared | None = None
    _alone: int = 0
    """Calls to come that one thread does, however much there is to do."""

    def __post_init__(self) -> None:
        self._plans = Plans(self.function)
        self._prepared_memory = BufferPool(1)
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """A new lock in a forked child, whose parent's other threads may have held the old one."""
        self._lock = new_lock()

    @cached_property
    def clocks(self) -> Mapping[str, Array]:
        """Of a timed build, the ticks of each loop nest by the function's symbol; calls add to them."""
        arguments = (*self.function.prepare_arguments, *self.function.arguments)
        return {each.name: np.zeros(value_of(each.rows, {}), np.int64) for each in arguments if each.space is Space.CLOCKS}

    def prepared(self, weights: Array, version: int) -> Prepared:
        """The prepared weights; made again when the weights' version is another, in the same memory if nobody holds the last ones."""
        with self._lock:
            prepared = self._prepared
            if prepared is None or prepared.version != version:
                prepared = self._prepared = None  # which leaves their memory to the next
                memory = self._prepared_memory.lease(self.function.prepared_bytes)
                if memory.fresh:
                    memory.bytes[:] = 0
                self._prepare(weights, memory)
                prepared = self._prepared = Prepared(version, memory)
            return prepared

    def hold(self, weights: Array, version: int) -> Prepared:
        """The prepared weights and a copy of the flat ones, for all who hold this version."""
        with self._lock:
            prepared = self.prepared(weights, version)
            if prepared.weights is None:
                read = any(argument.space is Space.WEIGHT for argument in self.function.arguments)
                prepared.weights = weights.copy() if read else weights[:0]
            return prepared

    def _prepare(self, weights: Array, memory: PooledBuffer) -> None:
        function = self.function
        scratch = self.scratch.lease(arena_bytes(function.prepare_scratch, {}))
        known = {Space.WEIGHT: weights, Space.PREPARED: memory.bytes, Space.SCRATCH: scratch.bytes}
        if self.clocks:
            known[Space.CLOCKS] = self.clocks[function.prepare_symbol]
        pointers = [address(known[argument.space]) for argument in function.prepare_arguments]
        table, sizes = (ctypes.c_void_p * len(pointers))(*pointers), (ctypes.c_int64 * 0)()
        threads = self._paying(function.prepare_shared_symbol, lambda threads: operations_saved(function.prepare_work, {}, threads))
        self._call(function.prepare_symbol, function.prepare_shared_symbol, table, sizes, threads)

    def _paying(self, shared: str, saved: Callable[[int], int]) -> int:
        """The number of threads to use: one where several would save fewer than `Tuning.least_saved_operations`."""
        threads = self.threads.number
        return threads if threads > 1 and shared and saved(threads) >= self.threads.tuning.least_saved_operations else 1

    def _call(self, symbol: str, shared: str, table: Any, sizes: Any, threads: int) -> None:
        alone = self.loaded.functions[symbol]
        if threads > 1 and self._alone:
            self._alone, threads = self._alone - 1, 1
        if threads > 1:
            call = SharedCall(self.loaded.functions[shared], table, sizes, self.loaded)
            tuning = self.threads.tuning
            participants = call_together(call, alone, threads, tuning.spin_limit, tuning.barrier_ticks)
            self.threads.participants = participants.threads
            self._alone = tuning.calls_alone if participants.timed_out else 0
        else:
            alone(ctypes.addressof(table), ctypes.addressof(sizes))

    def call(
        self,
        given: Mapping[tuple[str, str], Array],
        indices: Sequence[PackedIndex],
        batch: int,
        times: Mapping[Size, int],
        dtype: np.dtype,
        weights: Array,
        weights_version: int,
        tape: Array | None = None,
    ) -> tuple[dict[str, Array], PooledBuffer | None]:
        """Runs the function; returns its outputs by name, and the tape that it wrote, if any. `tape`: the tape that it reads.

        `given`: by `Kind` and name, see `plan.GIVEN`. `times`: padded lengths by their names.
        """
        function, plan = self.function, self._plans.of(batch, times, indices)
        outputs: dict[str, Array] = {}
        lent = self.tapes.lease(plan.tape) if tape is None and plan.tape else None
        kept = tape if tape is not None else NO_BYTES if lent is None else lent.bytes
        scratch, prepared = self.scratch.lease(plan.scratch), self.prepared(weights, weights_version)
        table = plan.table()
        for place, name, shape in plan.outputs:
            array = outputs[name] = np.empty(shape, dtype)
            table[place] = address(array)
        for place, key in plan.given:
            table[place] = address(given[key])
        for place, argument in plan.arenas:
            match argument.space:
                case Space.WEIGHT:
                    table[place] = address(weights)
                case Space.PREPARED:
                    table[place] = prepared.memory.address
                case Space.SCRATCH:
                    table[place] = scratch.address
                case Space.TAPE:
                    table[place] = address(kept)
                case _:
                    table[place] = address(self.clocks[argument.name])
        self._call(function.symbol, function.shared_symbol, table, plan.dims, self._paying(function.shared_symbol, plan.saved_by))
        return outputs, lent
