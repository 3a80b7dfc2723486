"""Tensor IR to native functions: scheduling, emission and assembly of object bytes with their calling convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rnnspec.backend.llvm_cpu.entry import shared_symbol, symbol
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.contract.native_function import NativeArgument, NativeFunction, ParallelCost, Space
from rnnspec.ir.ops import Function, Module
from rnnspec.kernel.calling_convention import CallingConvention, calling_convention
from rnnspec.kernel.cpu.prefetch import prefetch
from rnnspec.kernel.cpu.tape_aliasing import NO_ALIASES, BufferAliases, alias_tape, opaque_uses
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import Buffer, IndexArray, KernelFunction, KernelModule
from rnnspec.kernel.parallel_cost import parallel_cost
from rnnspec.kernel.schedule import schedule_function
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.jit import ObjectCode
from rnnspec.runtime.storage.object_cache import ObjectCache


@dataclass(frozen=True, slots=True)
class Kernels:
    """A tensor-IR function on a target: its kernels and how they are called."""

    prepare: KernelFunction
    function: KernelFunction
    target: Target

    @property
    def module(self) -> KernelModule:
        """The prepare function and the function as a kernel module, for emission and printing."""
        return KernelModule(self.function.name, (self.prepare, self.function))


def kernels(function: Function, target: Target, offsets: Mapping[str, int], moved: BufferAliases = NO_ALIASES) -> Kernels:
    """Schedules a function; `offsets`: elements before each weight in the flat array; `moved`: see `recording_kernels`."""
    return _fetching(Kernels(*schedule_function(function, target, offsets, moved), target))


def _fetching(kernels: Kernels) -> Kernels:
    function = kernels.function
    return replace(kernels, function=prefetch(function, kernels.target.lanes(function.dtype)))


def recording_kernels(module: Module, target: Target, offsets: Mapping[str, int]) -> tuple[Kernels, BufferAliases]:
    """The kernels of a module's `@forward`, and where they put what its `@backward` finds on the tape."""
    prepare, recording = schedule_function(module.function("forward"), target, offsets)
    function, moved = alias_tape(recording, opaque_uses(module.function("backward")))
    return _fetching(Kernels(prepare, function, target)), moved


def native_function(compiled: Kernels, machine: Machine, cache: ObjectCache, *, timed: bool = False, shared: bool = True) -> NativeFunction:
    """Emits, optimises and assembles, unless the cache has it. `timed`, `shared`: see `emit_module`."""
    shared = shared and not timed
    text = emit_module(compiled.module, compiled.target, timed=timed, shared=shared)
    code = assembled(text, (), compiled.target, machine, cache)
    preparing, calling = calling_convention(compiled.prepare), calling_convention(compiled.function)
    return NativeFunction(
        code.object_code,
        symbol(compiled.function.name),
        (*_arguments(calling), *(_clocks(compiled.function) if timed else ())),
        symbol(compiled.prepare.name),
        (*_arguments(preparing), *(_clocks(compiled.prepare) if timed else ())),
        calling.scratch.slots,
        preparing.scratch.slots,
        calling.tape.slots,
        calling.prepared.size({}),
        calling.dims,
        shared_symbol(compiled.function.name) if shared else "",
        shared_symbol(compiled.prepare.name) if shared else "",
        _work(compiled.function, compiled.target),
        _work(compiled.prepare, compiled.target),
        compiled.function.distinct,
        code.object_key,
    )


def assembled(text: str, symbols: tuple[str, ...], target: Target, machine: Machine, cache: ObjectCache) -> ObjectCode:
    """The object code of LLVM text, which defines `symbols`, from the cache if it has it."""
    key = cache.key(text, target.cpu, target.features, machine.identity)
    object_code = cache.read(key)
    if object_code is None:
        object_code = machine.object_code(text)
        cache.write(key, object_code)
    return ObjectCode(object_code, key, symbols)


def _arguments(calling: CallingConvention) -> tuple[NativeArgument, ...]:
    single = [_argument(buffer) for buffer in calling.buffers]
    return (*single, *(NativeArgument(space) for space in calling.arenas))


def _work(function: KernelFunction, target: Target) -> tuple[ParallelCost, ...]:
    work = parallel_cost(function, target.lanes(function.dtype)).items()
    return tuple(ParallelCost(parts.rows, amount.terms, parts.units, parts.waiting.terms) for parts, amount in work)


def _clocks(function: KernelFunction) -> tuple[NativeArgument, ...]:
    return (NativeArgument(Space.CLOCKS, symbol(function.name), len(nests_of(function))),)


def _argument(buffer: Buffer) -> NativeArgument:
    match buffer.space:
        case Space.INPUT | Space.OUTPUT | Space.COTANGENT:
            name = buffer.name.split(".", 1)[1]
        case Space.KEY:
            name = ""
        case _:
            name = buffer.name
    array = IndexArray(name) if buffer.array is None else buffer.array
    return NativeArgument(buffer.space, array.name, buffer.rows, buffer.width, array.index, array.parameters)
