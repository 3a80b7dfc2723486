"""A batch of whole sequences as functions of a C library: sizes are checked, inputs taken, packing indices made, nests called.

All memory is the caller's workspace and the stack. Nothing is written to an output before everything was checked.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from rnnspec.backend.llvm_cpu.call_packing import emit_index
from rnnspec.backend.llvm_cpu.call_windows import emit_call_windows
from rnnspec.backend.llvm_cpu.entry import Constants, emit_entry, passed_arenas, symbol
from rnnspec.backend.llvm_cpu.forward_indices import make_indices
from rnnspec.backend.llvm_cpu.forward_inputs import emit_take
from rnnspec.backend.llvm_cpu.forward_workspace import Workspace, parameters_of, pointers_of, size_parameters, sizes_given, take_name
from rnnspec.backend.llvm_cpu.module import emit_nests
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.weights_file import constants_behind, weights_pointers
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import BAD_SIZE, OK, WORKSPACE_TOO_SMALL, ForwardExport, LibraryExport
from rnnspec.contract.dimensions import BATCH, Steps, Tokens
from rnnspec.contract.native_function import STATE, Space
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.forward_memory import least_lengths
from rnnspec.kernel.nodes import Buffer, KernelFunction
from rnnspec.kernel.target import Target

MOST_STEPS = 2**31
"""A call has fewer padded steps than this, since packing indices are int32."""


def forward_symbols(prefix: str) -> tuple[str, str]:
    """The names of the call and of what says how large its workspace is."""
    return f"{prefix}_forward", f"{prefix}_forward_bytes"


def emit_forward(export: LibraryExport, forward: ForwardExport, vectors: Vectors) -> list[str]:
    """The functions of a forward call, see `ForwardExport`."""
    # Nests have the names of their function, which the step's kernels have, too.
    function = replace(forward.kernels.function, name=f"{forward.kernels.function.name}.batch")
    vectors.library.declarations["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"] = None
    vectors.library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
    target = vectors.target
    nests, calls = emit_nests(function, vectors)
    return [
        *nests,
        emit_entry(
            function, calls, target, vectors.library, clocks=None, constants=Constants(forward.places, passed=export.file is not None)
        ),
        emit_call_windows(),
        emit_index(),
        emit_take(export, forward, vectors),
        _run(export, forward, function, target),
        emit_needed(export, forward),
        emit_bytes(export, forward, target, forward_symbols(export.prefix)[1]),
        _forward(export, forward, target),
    ]


def _run(export: LibraryExport, forward: ForwardExport, function: KernelFunction, target: Target) -> str:
    """Makes the indices and calls the nests."""
    behind = [f"ptr {pointer}" for pointer in weights_pointers(export)]
    writer = FunctionWriter(f"{export.prefix}.forward.run", [*parameters_of(export, forward), "ptr %base", *behind])
    calls = calling_convention(function)
    passed = passed_arenas(calls, Constants(forward.places))
    table = writer.on_stack(f"[{max(1, len(calls.buffers) + len(passed) + len(behind))} x ptr]", "table")
    dims = writer.on_stack(f"[{max(1, len(calls.dims))} x i64]", "dims")
    counts = {number: writer.on_stack("[2 x i64]", "counts") for number in forward.memory.indices}
    sizes = sizes_given(writer, forward)
    workspace = Workspace(writer, sizes, forward.memory, target)
    looked_up = make_indices(writer, sizes, workspace, forward, counts)
    for number, count in counts.items():
        for place, size in enumerate((Tokens(number), Steps(number))):
            there = writer.assign(f"getelementptr inbounds i64, ptr {count}, i64 {place}", "p")
            sizes.known[size] = writer.assign(f"load i64, ptr {there}", "count")
    pointers = [_pointer(buffer, export, workspace, looked_up) for buffer in calls.buffers]
    for space in passed:
        if space is not Space.SCRATCH:
            raise InternalError(f"a library's call reads or writes {space.value}")
        pointers.append(workspace.scratch)
    if behind:
        pointers.append(constants_behind(writer))
    for place, pointer in enumerate(pointers):
        there = writer.assign(f"getelementptr inbounds ptr, ptr {table}, i64 {place}", "p")
        writer.do(f"store ptr {pointer}, ptr {there}")
    for place, dim in enumerate(calls.dims):
        there = writer.assign(f"getelementptr inbounds i64, ptr {dims}, i64 {place}", "p")
        writer.do(f"store i64 {sizes.of(dim)}, ptr {there}")
    writer.do(f"call void @{quoted(symbol(function.name))}(ptr {table}, ptr {dims})")
    return writer.text()


def _pointer(buffer: Buffer, export: LibraryExport, workspace: Workspace, looked_up: dict[str, str]) -> str:
    """The address of a buffer that is passed by itself."""
    _, _, name = buffer.name.partition(".")
    match buffer.space:
        case Space.INPUT if name in (given := {each.name: number for number, each in enumerate(export.inputs)}):
            number = given[name]
            return f"%in.{number}" if export.inputs[number].vocabulary is None else workspace.of("ids", name)
        case Space.OUTPUT if not buffer.name.startswith(STATE):
            return f"%out.{[each.name for each in export.outputs].index(name)}"
        case Space.INDEX if buffer.array is not None:
            return looked_up[buffer.name] if buffer.name in looked_up else workspace.of("index", buffer.array.index, buffer.array.name)
        case _:
            raise InternalError(f"a library's call reads or writes {buffer.name}: {buffer.space.value}")


def emit_needed(export: LibraryExport, forward: ForwardExport) -> str:
    """The bytes of the workspace; -1 for sizes that are too large, or too small for a window."""
    writer = FunctionWriter(f"{export.prefix}.forward.needed", size_parameters(forward), result="i64")
    found = writer.on_stack("i64", "found")
    writer.do(f"store i64 -1, ptr {found}")
    sizes = sizes_given(writer, forward)
    padded = (shape.padded for shape in forward.memory.indices.values())
    inputs = (BATCH * each.shape[0] for each in forward.signature.inputs if each.is_sequence)
    most = tuple(dict.fromkeys((BATCH, *forward.lengths, *inputs, *padded)))
    # One in the other, so that nothing is multiplied that is too large by itself.
    with ExitStack() as checks:
        for dim in most:
            checks.enter_context(writer.when(writer.assign(f"icmp ult i64 {sizes.of(dim)}, {MOST_STEPS}")))
        for length in least_lengths(forward.signature):
            checks.enter_context(writer.when(writer.assign(f"icmp sgt i64 {sizes.of(length)}, 0")))
        writer.do(f"store i64 {sizes.of(forward.memory.bytes)}, ptr {found}")
    return writer.text(writer.assign(f"load i64, ptr {found}", "bytes"))


def size_kinds(forward: ForwardExport, target: Target) -> list[str]:
    """The parameters of a function of the library for the batch and the lengths."""
    return [f"i{target.pointer_bits} %given.{number}" for number in range(1 + len(forward.lengths))]


def wide_sizes(writer: FunctionWriter, forward: ForwardExport, target: Target) -> list[str]:
    """The batch and the lengths as i64."""
    return [as_i64(writer, f"%given.{number}", target) for number in range(1 + len(forward.lengths))]


def as_i64(writer: FunctionWriter, size: str, target: Target) -> str:
    """A size as i64."""
    return size if target.pointer_bits == 64 else writer.assign(f"zext i{target.pointer_bits} {size} to i64")


def emit_bytes(export: LibraryExport, forward: ForwardExport, target: Target, name: str) -> str:
    """What says how large a workspace is: all ones where the sizes can't be, or where it is larger than addresses."""
    kind = f"i{target.pointer_bits}"
    writer = FunctionWriter(name, size_kinds(forward, target), linkage="dso_local", result=kind)
    needed = _call_needed(writer, export, wide_sizes(writer, forward, target))
    if target.pointer_bits == 64:
        return writer.text(needed)
    fits = writer.assign(f"icmp ult i64 {needed}, {2**target.pointer_bits}")
    return writer.text(writer.assign(f"trunc i64 {writer.assign(f'select i1 {fits}, i64 {needed}, i64 -1')} to {kind}"))


def _call_needed(writer: FunctionWriter, export: LibraryExport, sizes: Sequence[str]) -> str:
    passed = ", ".join(f"i64 {size}" for size in sizes)
    return writer.assign(f"call i64 @{quoted(f'{export.prefix}.forward.needed')}({passed})", "needed")


def _forward(export: LibraryExport, forward: ForwardExport, target: Target) -> str:
    """The call itself: checks sizes, the workspace and the inputs, then runs."""
    pointers = pointers_of(export)
    further = ["ptr %workspace", f"i{target.pointer_bits} %bytes.given"]
    weights = [f"ptr {pointer}" for pointer in weights_pointers(export)]
    parameters = [*weights, *size_kinds(forward, target), *(f"ptr {pointer}" for pointer in pointers), *further]
    writer = FunctionWriter(forward_symbols(export.prefix)[0], parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    with checked_call(writer, export, forward, target, result) as passed:
        writer.do(f"call void @{quoted(f'{export.prefix}.forward.run')}({', '.join((*passed, *weights))})")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


@contextmanager
def in_workspace(
    writer: FunctionWriter, export: LibraryExport, forward: ForwardExport, target: Target, result: str
) -> Generator[tuple[str, ...]]:
    """What is done if sizes and workspace are right; yields the sizes and the workspace's first address as inner functions take them.

    `result`: the address of the code, which is filled in.
    """
    writer.do(f"store i32 {BAD_SIZE}, ptr {result}")
    sizes = wide_sizes(writer, forward, target)
    needed = _call_needed(writer, export, sizes)
    with writer.when(writer.assign(f"icmp sge i64 {needed}, 0")):
        enough = writer.assign(f"icmp uge i64 {as_i64(writer, '%bytes.given', target)}, {needed}")
        writer.do(f"store i32 {WORKSPACE_TOO_SMALL}, ptr {result}")
        with writer.when(enough):
            address = writer.assign("ptrtoint ptr %workspace to i64", "address")
            aligned = writer.assign(f"and i64 {writer.assign(f'sub i64 0, {address}')}, {target.slot_alignment - 1}")
            base = writer.assign(f"getelementptr inbounds i8, ptr %workspace, i64 {aligned}", "base")
            yield (*(f"i64 {size}" for size in sizes), f"ptr {base}")


@contextmanager
def checked_call(
    writer: FunctionWriter, export: LibraryExport, forward: ForwardExport, target: Target, result: str
) -> Generator[tuple[str, ...]]:
    """What is done if, besides, the inputs were taken; yields what the call's inner functions take."""
    with in_workspace(writer, export, forward, target, result) as behind:
        passed = (*(f"ptr {pointer}" for pointer in pointers_of(export)), *behind)
        taken = writer.assign(f"call i32 @{quoted(take_name(export))}({', '.join(passed)})", "taken")
        writer.do(f"store i32 {taken}, ptr {result}")
        with writer.when(writer.assign(f"icmp eq i32 {taken}, {OK}")):
            yield passed
