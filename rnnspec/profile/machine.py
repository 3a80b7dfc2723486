"""What this machine can do, measured: arithmetic, reading, elementary functions, in about a second."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from rnnspec.backend.llvm_cpu.backend import LlvmCpu
from rnnspec.backend.llvm_cpu.probes import ARITHMETIC, CLOCK, READING, elementary_symbol, emit_probes, sums_at_once
from rnnspec.backend.protocol import Emitted
from rnnspec.contract.executable import Array
from rnnspec.driver.native import assembled
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import ELEMENTARY
from rnnspec.ir.types import DType
from rnnspec.kernel.target import ELEMENT_BYTES
from rnnspec.runtime.native.jit import Jit, Loaded
from rnnspec.runtime.native.memory import address, aligned_bytes
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder

SIZES = tuple(2**exponent for exponent in range(14, 27, 2))
"""Sizes in bytes of buffers that are read repeatedly: 16 KiB, which a first-level cache holds, to 64 MiB, which only memory does."""

LEAST_SECONDS = 0.002
"""A try takes at least so much of the processor's time; the best of `TRIES` counts: what else runs only ever makes one longer."""

TRIES = 8

APPLIED = 1024
"""Elements that an elementary function is measured on: the first-level cache holds them."""


@frozen
class Rates:
    """Rates of a single core.

    `peak`: floating-point operations a second, a multiply-add counted as two. `reading`: bytes a second, by the size in bytes of the
    buffer that is read repeatedly. `elementary`: seconds for an element, by function. `ticks`: the clock's ticks a second.
    """

    peak: float
    reading: Mapping[int, float]
    elementary: Mapping[str, float]
    ticks: float

    def reading_of(self, size: int) -> float:
        """Bytes a second of a buffer of `size` bytes."""
        return self.reading[min((each for each in self.reading if each >= size), default=max(self.reading))]


@cache
def measure(dtype: DType) -> Rates:
    """The rates of one type of float, measured once in a process."""
    backend, cache = LlvmCpu(), ObjectCache(default_folder())
    target = backend.host_target()
    symbols = (ARITHMETIC, READING, CLOCK, *(elementary_symbol(kind) for kind in ELEMENTARY))
    emitted = Emitted(emit_probes(target, dtype), symbols)
    _, loaded = Jit().load_built(lambda: assembled(emitted, target, backend, cache))
    probes = _Probes(loaded, dtype)
    lanes = target.lanes(dtype)
    before = probes.now()
    peak = probes.rate(ARITHMETIC, [probes.memory], [], 2 * sums_at_once(target) * lanes)
    reading = {size: probes.rate(READING, [probes.memory, probes.result], [size // ELEMENT_BYTES[dtype]], size) for size in SIZES}
    elementary = {
        kind.value: 1 / probes.rate(elementary_symbol(kind), [probes.values, probes.result], [APPLIED], APPLIED) for kind in ELEMENTARY
    }
    after = probes.now()
    return Rates(peak, reading, elementary, (after[0] - before[0]) / (after[1] - before[1]))


class _Probes:
    """The loaded probes and the memory that they work on."""

    def __init__(self, loaded: Loaded, dtype: DType) -> None:
        self._loaded = loaded
        kind = np.dtype(np.float32 if dtype is DType.F32 else np.float64)
        self.memory = aligned_bytes(max(SIZES))
        self.memory[:] = 0
        self.result = aligned_bytes(APPLIED * kind.itemsize)
        self.values = aligned_bytes(APPLIED * kind.itemsize)
        self.values.view(kind)[:] = np.linspace(0.1, 3.0, APPLIED)

    def call(self, symbol: str, pointers: Sequence[Array], dims: Sequence[int]) -> None:
        table = (ctypes.c_void_p * len(pointers))(*(address(pointer) for pointer in pointers))
        sizes = (ctypes.c_int64 * len(dims))(*dims)
        self._loaded.functions[symbol](ctypes.addressof(table), ctypes.addressof(sizes))

    def now(self) -> tuple[int, float]:
        """The clock's ticks and the system's seconds at one moment."""
        ticks = np.zeros(1, np.int64)
        start = time.perf_counter()
        self.call(CLOCK, [ticks], [])
        return int(ticks[0]), (start + time.perf_counter()) / 2

    def rate(self, symbol: str, pointers: Sequence[Array], dims: Sequence[int], work: int) -> float:
        """Units of work a second, a turn doing `work` of them: turns are doubled until they last long enough."""
        turns = 1
        while (taken := self.seconds(symbol, pointers, [turns, *dims])) < LEAST_SECONDS:
            turns *= 2
        return work * turns / min(taken, *(self.seconds(symbol, pointers, [turns, *dims]) for _ in range(TRIES)))

    def seconds(self, symbol: str, pointers: Sequence[Array], dims: Sequence[int]) -> float:
        """Of this thread: it may have to wait for the processor."""
        start = time.thread_time()
        self.call(symbol, pointers, dims)
        return time.thread_time() - start
