"""Runs a model with and without clocks in its code, and puts times and counts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, thread_time
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import BATCH, Size, Sizes, value_of
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import Signature
from rnnspec.driver.compilation import Compilation
from rnnspec.ir.types import DType
from rnnspec.kernel.nodes import KernelFunction
from rnnspec.profile.inputs import draw_inputs
from rnnspec.profile.kernels import kernels
from rnnspec.profile.machine import Rates, measure
from rnnspec.profile.report import FunctionProfile, Kernel, MemoryProfile, Profile, Seconds
from rnnspec.profile.runner import Runner, update_of
from rnnspec.runtime.data.batches import CallBatch
from rnnspec.runtime.native.executable import Variant
from rnnspec.runtime.native.memory import call_sizes, with_distinct

LEAST_CALLS = 10
"""Calls that are timed, however long they take."""

Ticks: TypeAlias = dict[tuple[Variant, str], NDArray[np.int64]]
"""Of each nest, by the native function that was asked for and the symbol: its own or its prepare function's."""


def profile(compilation: Compilation, *, batch: int, time: int, real: float = 1.0, training: bool = False, seconds: float = 1.0) -> Profile:
    """The profile of a prediction, or of a training step's native code, with drawn inputs and weights.

    `time`: of every dynamic length. `real`: the fraction of unmasked steps. `seconds`: how long calls are timed.
    """
    given = draw_inputs(compilation.signature, batch, time, real)
    packed = given.batch()
    timed, plain = (Runner(compilation, packed, training=training, timed=clocks) for clocks in (True, False))
    rates = measure(DType.F32 if compilation.dtype == "float32" else DType.F64)
    once = _ticks_of(timed)
    plain.call()
    update = update_of(compilation, packed) if training else None
    taken = _Taken()
    start = perf_counter()
    while len(taken.calls) < LEAST_CALLS or perf_counter() - start < seconds:
        taken.add(timed, plain.call, given.batch, update)
    natives = [bound.function for bound in timed.functions.values()]
    sizes = sizes_of_calls(compilation.signature, packed, natives)
    return Profile(
        compilation.graph.model,
        compilation.tree.span.source.path,
        compilation.dtype,
        training,
        {str(dim): value_of(dim, sizes) for native in natives for dim in (BATCH, *native.dims)},
        tuple(_functions(compilation, timed, sizes, None if training else once, taken.ticks, rates)),
        planned_memory(natives, sizes),
        rates,
        len(taken.calls),
        Seconds(median(taken.calls), median(taken.packing), median(taken.updates) if taken.updates else None),
        min(median(taken.shares), 1.0),
    )


def sizes_of_calls(signature: Signature, batch: CallBatch, natives: Iterable[NativeFunction] = ()) -> Sizes:
    """See `call_sizes`: with the packing indices that native functions make themselves."""
    lengths = ((source.shape[0], batch.inputs[source.name].shape[1]) for source in signature.inputs if source.is_sequence)
    times: dict[Size, int] = {length: steps for length, steps in lengths if isinstance(length, Size)}
    made = {each: None for native in natives for each in native.distinct}
    return call_sizes(batch.size, times, with_distinct(batch.indices, tuple(made), batch.inputs))


def planned_memory(natives: Iterable[NativeFunction], sizes: Mapping[Size, int]) -> MemoryProfile:
    """What calls one after the other take at most; the workspace is taken up again by each."""
    natives = tuple(natives)
    workspace = max(arena_bytes(native.scratch, sizes) for native in natives)
    preparing = max(arena_bytes(native.prepare_scratch, {}) for native in natives)
    tape = max(arena_bytes(native.tape, sizes) for native in natives)
    return MemoryProfile(workspace + preparing, tape, sum(native.prepared_bytes for native in natives))


@dataclass
class _Taken:
    """What was measured, call by call: ticks of the timed build, seconds of the rest, and the share of a processor that there was."""

    ticks: list[Ticks] = field(default_factory=list[Ticks])
    calls: list[float] = field(default_factory=list[float])
    packing: list[float] = field(default_factory=list[float])
    updates: list[float] = field(default_factory=list[float])
    shares: list[float] = field(default_factory=list[float])

    def add(self, timed: Runner, call: Callable[[], object], pack: Callable[[], object], update: Callable[[], object] | None) -> None:
        """A round of measurements."""
        start, worked = perf_counter(), thread_time()
        self.ticks.append(_ticks_of(timed))
        self.calls.append(_seconds_of(call))
        self.packing.append(_seconds_of(pack))
        if update is not None:
            self.updates.append(_seconds_of(update))
        self.shares.append((thread_time() - worked) / (perf_counter() - start))


def _functions(
    compilation: Compilation, timed: Runner, sizes: Mapping[Size, int], once: Ticks | None, every: list[Ticks], rates: Rates
) -> Iterable[FunctionProfile]:
    """Each native function behind its prepare function, which runs in each call unless its only run was the one of `once`."""

    def measured(wanted: Variant, symbol: str, function: KernelFunction, runs: list[Ticks]) -> tuple[Kernel, ...]:
        seconds = np.array([run[wanted, symbol] for run in runs]) / rates.ticks
        return kernels(function, np.median(seconds, axis=0).tolist(), seconds.min(axis=0).tolist(), sizes, rates)

    for wanted, bound in timed.functions.items():
        compiled, native = compilation.kernels(wanted), bound.function
        preparing = measured(wanted, native.prepare_symbol, compiled.prepare, every if once is None else [once])
        yield FunctionProfile(f"{wanted.name}.prepare", preparing, once is None)
        yield FunctionProfile(wanted.name, measured(wanted, native.symbol, compiled.function, every), True)


def _ticks_of(timed: Runner) -> Ticks:
    """One call's."""
    for bound in timed.functions.values():
        for clocks in bound.clocks.values():
            clocks[:] = 0
    timed.call()
    return {(wanted, name): clocks.copy() for wanted, bound in timed.functions.items() for name, clocks in bound.clocks.items()}


def _seconds_of(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start
