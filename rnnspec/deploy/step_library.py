"""The object code of a model's step for any machine, and the same code run by this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnspec.backend.protocol import StepExport, StepInput, StepOutput
from rnnspec.contract.dimensions import ROWS, Name, Size, names_in
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import Space
from rnnspec.contract.signature import weight_ranges
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.step_layout import StepLayout
from rnnspec.driver.compilation import Compilation
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import calling_convention, sizes_of
from rnnspec.kernel.fixed_sizes import with_sizes
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import KernelFunction
from rnnspec.kernel.target import Target
from rnnspec.runtime.model.stream import Stream
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.executable import NativeExecutable, Variant
from rnnspec.runtime.native.jit import Jit
from rnnspec.runtime.native.loaded_function import BufferPool, LoadedFunction

STREAM = Variant("stream", False)


@frozen
class StepLibrary:
    """A step's object code for a target. `constants`: the bytes of weights and of what is prepared of them, in the object."""

    target: Target
    object_code: bytes
    symbols: tuple[str, ...]
    constants: int


def step_library(
    model: Compilation,
    weights: Mapping[str, Array],
    layout: StepLayout,
    target: Target,
    storage: WeightStorage = WeightStorage.FULL,
) -> StepLibrary:
    """The step of a model with these weights, whose matrices are kept as `storage` says, as code for a target."""
    target = _fitting(target, layout)
    made = Compilation(model.tree, model.graph, model.dtype, target, model.backend)
    kernels = made.kernels(replace(STREAM, storage=storage))
    function = with_sizes(kernels.function, _ones(kernels.function))
    prepare = with_sizes(kernels.prepare, _ones(kernels.prepare))
    constants, places = _constants(made, function, weights, target, storage)
    starts = np.cumsum([0, *(state.width * layout.bytes for state in layout.states)]).tolist()
    export = StepExport(
        layout.prefix,
        {state.source: start for state, start in zip(layout.states, starts, strict=False)},
        layout.state_bytes,
        tuple(StepInput(source.source, source.width, source.vocabulary) for source in layout.inputs),
        tuple(StepOutput(output.source, output.width) for output in layout.outputs),
        constants,
        places,
    )
    emitted = made.backend.emit_step(replace(kernels, prepare=prepare, function=function), export)
    return StepLibrary(target, made.backend.assemble(emitted.text, target), emitted.symbols, len(constants))


def reference(
    model: Compilation,
    weights: Mapping[str, Array],
    layout: StepLayout,
    target: Target,
    steps: Mapping[str, Array],
    storage: WeightStorage = WeightStorage.FULL,
) -> list[Array]:
    """What the target's library gives, bit for bit, computed here: each output's values, (steps, width).

    `steps`: each input, (steps, width) or, of ids, (steps,).
    """
    host = Compilation(model.tree, model.graph, model.dtype, _on_host(model, _fitting(target, layout)), model.backend)
    parameters = Parameters(host.signature.weights, host.signature.dtype)
    parameters.change(lambda flat: np.copyto(flat, _flat(host, weights)))
    executable = NativeExecutable(host.signature, host.native, host.print, storage=storage)
    stream = Stream(host.signature, executable, parameters, 1)
    count = len(next(iter(steps.values())))
    shown = [stream.step({name: values[place : place + 1] for name, values in steps.items()}) for place in range(count)]
    several = len(layout.outputs) > 1
    return [np.concatenate([one[number] if several else one for one in shown]) for number in range(len(layout.outputs))]


def _fitting(target: Target, layout: StepLayout) -> Target:
    """A target of which a vector has two elements at least."""
    return replace(target, vector_bytes=2 * layout.bytes) if target.vector_bytes < 2 * layout.bytes else target


def _on_host(model: Compilation, target: Target) -> Target:
    """The same lanes, tiles and roundings, for this machine: LLVM makes vectors of any width of those that there are."""
    host = model.backend.host_target()
    own = replace(target, triple=host.triple, cpu=host.cpu, features=host.features, architecture=host.architecture)
    own = replace(own, widens_half=target.widens_half and host.widens_half)  # either way gives the same
    return replace(own, object_format=host.object_format, pointer_bits=host.pointer_bits, relocation=host.relocation, abi=host.abi)


def _ones(function: KernelFunction) -> Mapping[Size, int]:
    """One for each size of a function: a sequence, a step."""
    dims = [*(buffer.rows for buffer in function.buffers), *(size for node in function.nodes for size in sizes_of(node))]
    return {name: 1 for dim in dims for name in names_in(dim) if name != ROWS and isinstance(name, Name)}


def _flat(model: Compilation, weights: Mapping[str, Array]) -> Array:
    """All weights in one array, as native code takes them."""
    dtype = np.dtype(model.signature.dtype)
    places = weight_ranges(model.signature.weights)
    flat = np.zeros(max((place.stop for place in places.values()), default=0), dtype)
    for name, place in places.items():
        flat[place] = np.asarray(weights[name], dtype).ravel()
    return flat


def _constants(
    model: Compilation, function: KernelFunction, weights: Mapping[str, Array], target: Target, storage: WeightStorage
) -> tuple[bytes, Mapping[str, int]]:
    """The bytes that a step reads, each buffer's aligned to a vector, and their places; what is prepared is made by this machine."""
    host = Compilation(model.tree, model.graph, model.dtype, _on_host(model, target), model.backend)
    flat = _flat(host, weights)
    native = host.native(replace(STREAM, storage=storage))
    loaded = LoadedFunction(native, Jit().load(native.object_code, native.symbols), BufferPool(1))
    prepared = loaded.prepared(flat, 0).memory.bytes
    plan = calling_convention(host.kernels(replace(STREAM, storage=storage)).function).prepared
    starts = np.cumsum([0, *(slot.size({}) for slot in plan.slots)]).tolist()
    content, places, align = bytearray(), dict[str, int](), max(16, target.vector_bytes)
    for name in dict.fromkeys(name for node in function.nodes for name in buffers_of(node)):
        buffer = function.buffer(name)
        match buffer.space:
            case Space.WEIGHT:
                part = flat[buffer.offset :][: buffer.width * _rows(buffer.rows)].tobytes()
            case Space.PREPARED:
                slot = plan.slots[plan.slot_of[name]]
                part = prepared[starts[plan.slot_of[name]] :][: slot.row_bytes * max(1, _rows(slot.rows))].tobytes()
            case _:
                continue
        content += bytes(-len(content) % align)
        places[name] = len(content)
        content += part
    return bytes(content), places


def _rows(rows: int | Size) -> int:
    assert isinstance(rows, int)  # of weights, and of what is prepared
    return rows
