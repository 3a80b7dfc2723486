"""A recorded call of a model, its gradient, and an update as functions of a C library, for losses that its user writes.

What backward reads lies in the workspace of the recorded call: tape, indices, the key. The sizes are kept there, too, and compared.
"""

from __future__ import annotations

from dataclasses import replace

from rnnspec.backend.llvm_cpu.forward_exports import checked_call, emit_bytes, emit_needed, in_workspace, size_kinds
from rnnspec.backend.llvm_cpu.forward_inputs import emit_take
from rnnspec.backend.llvm_cpu.forward_workspace import parameters_of, pointers_of, size_parameters
from rnnspec.backend.llvm_cpu.structures import element_of, place_of
from rnnspec.backend.llvm_cpu.train_calls import Code, Place
from rnnspec.backend.llvm_cpu.train_loss import all_below
from rnnspec.backend.llvm_cpu.train_update import UPDATE, is_rate
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import BAD_RATE, BAD_SIZE, NOT_FINITE, OK, GradientExport, LibraryExport, TrainExport
from rnnspec.contract.native_function import Space
from rnnspec.contract.update_rule import MOST
from rnnspec.kernel.target import ELEMENT_BYTES, Target
from rnnspec.kernel.train_memory import COUNTS


def gradient_symbols(prefix: str) -> tuple[str, str, str, str]:
    """The names of the recorded call, of backward, of the update, and of what says how large their workspace is."""
    return f"{prefix}_record", f"{prefix}_backward", f"{prefix}_update", f"{prefix}_gradient_bytes"


def gradient_parameters(export: LibraryExport, gradient: GradientExport, target: Target) -> dict[str, tuple[tuple[str, ...], str]]:
    """The types of each function's parameters and of its result, by its name."""
    record, backward, update, bytes_ = gradient_symbols(export.prefix)
    size = f"i{target.pointer_bits}"
    sizes = (size,) * (1 + len(gradient.record.lengths))
    pointers = ("ptr",) * len(pointers_of(export))
    given = ("ptr",) * (len(export.outputs) + 1 + len(gradient.inputs))
    return {
        record: (("ptr", "i32", *sizes, *pointers, "ptr", size), "i32"),
        backward: (("ptr", *sizes, *given, "ptr", size), "i32"),
        update: (("ptr", "ptr", "double", "ptr"), "i32"),
        bytes_: (sizes, size),
    }


def emit_gradient(export: LibraryExport, train: TrainExport, gradient: GradientExport, vectors: Vectors) -> list[str]:
    """The functions of `GradientExport`."""
    own, forward = replace(export, prefix=f"{export.prefix}.gradient"), gradient.record
    recorded = Code.of("gradient.record", forward.kernels, vectors)
    backward = Code.of("gradient.backward", gradient.backward, vectors)
    record_name, backward_name, update_name, bytes_name = gradient_symbols(export.prefix)
    return [
        *recorded.parts,
        *backward.parts,
        emit_take(own, forward, vectors),
        emit_needed(own, forward),
        emit_bytes(own, forward, vectors.target, bytes_name),
        _run_record(own, gradient, recorded, vectors),
        _record(own, gradient, record_name, vectors.target),
        _run_backward(own, train, gradient, backward, vectors),
        _backward(own, gradient, backward_name, vectors.target),
        _update(train, update_name, vectors),
    ]


def _kept(gradient: GradientExport) -> int:
    """The place of the batch and the lengths in the area of counts, behind those of the indices; the key follows."""
    return 2 * len(gradient.record.memory.indices)


def _sizes(gradient: GradientExport) -> list[str]:
    return [parameter.removeprefix("i64 ") for parameter in size_parameters(gradient.record)]


def _run_record(export: LibraryExport, gradient: GradientExport, code: Code, vectors: Vectors) -> str:
    parameters = [*parameters_of(export, gradient.record), "ptr %base", "ptr %weights", "i32 %key"]
    writer = FunctionWriter(f"{export.prefix}.record.run", parameters)
    key = writer.on_stack("i32", "key")
    writer.do(f"store i32 %key, ptr {key}")
    place = Place.of(writer, export, gradient.record, vectors.target, key)
    code.call(writer, place, place.workspace.of("prepared", "record"))
    sizes = [*_sizes(gradient), writer.assign("zext i32 %key to i64")]
    for number, size in enumerate(sizes, _kept(gradient)):
        writer.do(f"store i64 {size}, ptr {place_of(writer, 'i64', place.workspace.of(COUNTS), str(number))}")
    return writer.text()


def _record(export: LibraryExport, gradient: GradientExport, name: str, target: Target) -> str:
    pointers = [f"ptr {pointer}" for pointer in pointers_of(export)]
    workspace = ["ptr %workspace", f"i{target.pointer_bits} %bytes.given"]
    parameters = ["ptr %weights", "i32 %key", *size_kinds(gradient.record, target), *pointers, *workspace]
    writer = FunctionWriter(name, parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    with checked_call(writer, export, gradient.record, target, result) as passed:
        writer.do(f"call void @{quoted(f'{export.prefix}.record.run')}({', '.join((*passed, 'ptr %weights', 'i32 %key'))})")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def _given(export: LibraryExport, gradient: GradientExport) -> list[str]:
    """The pointers that backward gets beside weights and workspace."""
    shown = (f"ptr %out.{number}" for number in range(len(export.outputs)))
    return [*shown, "ptr %gradient", *(f"ptr %gradient.{number}" for number in gradient.inputs)]


def _run_backward(export: LibraryExport, train: TrainExport, gradient: GradientExport, code: Code, vectors: Vectors) -> str:
    """Nothing but a code, if the workspace has been recorded in with other sizes."""
    parameters = [*size_parameters(gradient.record), "ptr %base", "ptr %weights", *_given(export, gradient)]
    writer = FunctionWriter(f"{export.prefix}.backward.run", parameters, result="i32")
    result, key = writer.on_stack("i32", "result"), writer.on_stack("i32", "key")
    place = Place.again(writer, export, gradient.record, vectors.target, key)
    kept, first, same = place.workspace.of(COUNTS), _kept(gradient), "true"
    sizes = _sizes(gradient)
    for number, size in enumerate(sizes, first):
        equal = writer.assign(f"icmp eq i64 {element_of(writer, 'i64', kept, str(number))}, {size}")
        same = writer.assign(f"and i1 {same}, {equal}")
    drawn = writer.assign(f"trunc i64 {element_of(writer, 'i64', kept, str(first + len(sizes)))} to i32")
    writer.do(f"store i32 {drawn}, ptr {key}")
    writer.do(f"store i32 {BAD_SIZE}, ptr {result}")
    with writer.when(same):
        size = train.weights * ELEMENT_BYTES[vectors.dtype]
        writer.do(f"call void @llvm.memset.p0.i64(ptr %gradient, i8 0, i64 {size}, i1 false)")
        code.call(writer, replace(place, arenas={**place.arenas, Space.GRADIENT: "%gradient"}), place.workspace.of("prepared", "backward"))
        writer.do(f"store i32 {OK}, ptr {result}")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def _backward(export: LibraryExport, gradient: GradientExport, name: str, target: Target) -> str:
    given = _given(export, gradient)
    workspace = ["ptr %workspace", f"i{target.pointer_bits} %bytes.given"]
    parameters = ["ptr %weights", *size_kinds(gradient.record, target), *given, *workspace]
    writer = FunctionWriter(name, parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    with in_workspace(writer, export, gradient.record, target, result) as passed:
        called = f"{quoted(f'{export.prefix}.backward.run')}({', '.join((*passed, 'ptr %weights', *given))})"
        writer.do(f"store i32 {writer.assign(f'call i32 @{called}', 'code')}, ptr {result}")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def _update(train: TrainExport, name: str, vectors: Vectors) -> str:
    """An update by a gradient that is looked at first."""
    parameters = ["ptr %weights", "ptr %optimizer", "double %rate", "ptr %gradient"]
    writer = FunctionWriter(name, parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    writer.do(f"store i32 {BAD_RATE}, ptr {result}")
    with writer.when(is_rate(writer, train.rule)):
        writer.do(f"store i32 {NOT_FINITE}, ptr {result}")
        with writer.when(all_below(writer, vectors, "%gradient", train.weights, MOST, "true")):
            writer.do(f"call void @{UPDATE}(ptr %weights, ptr %optimizer, ptr %gradient, double %rate)")
            writer.do(f"store i32 {OK}, ptr {result}")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))
