"""From kernels to object bytes, and how the native functions in them are called."""

from __future__ import annotations

from rnnspec.backend.protocol import Backend, Emitted
from rnnspec.contract.native_function import STATE, NativeArgument, NativeFunction, ParallelCost, Space
from rnnspec.kernel.calling_convention import CallingConvention, calling_convention
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import Buffer, IndexArray, KernelFunction
from rnnspec.kernel.parallel_cost import parallel_cost
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.jit import ObjectCode
from rnnspec.runtime.storage.object_cache import ObjectCache


def native_function(kernels: Kernels, backend: Backend, cache: ObjectCache, *, timed: bool = False, shared: bool = True) -> NativeFunction:
    """Emits and assembles kernels, unless the cache has them. `timed`, `shared`: see `Backend.emit`."""
    shared = shared and not timed
    prepare, function = kernels.prepare, kernels.function
    code = assembled(backend.emit(kernels, timed=timed, shared=shared), kernels.target, backend, cache)
    preparing, calling = calling_convention(prepare), calling_convention(function)
    symbol, prepare_symbol = backend.symbol(function.name), backend.symbol(prepare.name)
    return NativeFunction(
        code.object_code,
        symbol,
        (*_arguments(calling), *((_clocks(symbol, function),) if timed else ())),
        prepare_symbol,
        (*_arguments(preparing), *((_clocks(prepare_symbol, prepare),) if timed else ())),
        calling.scratch.slots,
        preparing.scratch.slots,
        calling.tape.slots,
        calling.prepared.size({}),
        calling.dims,
        backend.shared_symbol(function.name) if shared else "",
        backend.shared_symbol(prepare.name) if shared else "",
        _work(function, kernels.target),
        _work(prepare, kernels.target),
        function.distinct,
        code.object_key,
    )


def assembled(emitted: Emitted, target: Target, backend: Backend, cache: ObjectCache) -> ObjectCode:
    """The object code of a text, from the cache if it has it."""
    key = cache.key(emitted.text, *backend.identity(target))
    object_code = cache.read(key)
    if object_code is None:
        object_code = backend.assemble(emitted.text, target)
        cache.write(key, object_code)
    return ObjectCode(object_code, key, emitted.symbols)


def _arguments(calling: CallingConvention) -> tuple[NativeArgument, ...]:
    single = [_argument(buffer) for buffer in calling.buffers]
    return (*single, *(NativeArgument(space) for space in calling.arenas))


def _work(function: KernelFunction, target: Target) -> tuple[ParallelCost, ...]:
    work = parallel_cost(function, target.lanes(function.dtype)).items()
    return tuple(ParallelCost(parts.rows, operations, parts.units, parts.waiting) for parts, operations in work)


def _clocks(symbol: str, function: KernelFunction) -> NativeArgument:
    return NativeArgument(Space.CLOCKS, symbol, len(nests_of(function)))


def _argument(buffer: Buffer) -> NativeArgument:
    match buffer.space:
        case Space.OUTPUT if buffer.name.startswith(STATE):
            name = buffer.name
        case Space.INPUT | Space.OUTPUT | Space.COTANGENT:
            name = buffer.name.split(".", 1)[1]
        case Space.KEY:
            name = ""
        case _:
            name = buffer.name
    array = IndexArray(name) if buffer.array is None else buffer.array
    return NativeArgument(buffer.space, array.name, buffer.rows, buffer.width, array.index, array.parameters, buffer.time)
