"""A kernel module as LLVM text: one internal function for each loop nest, one entry point for each function."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import assert_never

from rnnspec.codegen.clocks import CLOCKS, Clocks
from rnnspec.codegen.math import math_definitions
from rnnspec.codegen.moves import emit_gather_ids, emit_pack_panels, emit_rearranged, emit_scatter
from rnnspec.codegen.nests import emit_column_reduce, emit_outer, emit_row_reduce, emit_stage
from rnnspec.codegen.rows import Places
from rnnspec.codegen.scan import emit_scan
from rnnspec.codegen.vectors import Library, Vectors
from rnnspec.codegen.writer import FunctionWriter, quoted
from rnnspec.diagnostics import InternalError
from rnnspec.ir.types import DType
from rnnspec.kernel.convention import Convention, convention
from rnnspec.kernel.memory import ALIGNMENT, Plan, buffers_of
from rnnspec.kernel.nests import nests_of
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    GatherIds,
    KernelFunction,
    KernelModule,
    Node,
    Outer,
    PackPanels,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
    Space,
    Stage,
)
from rnnspec.kernel.target import ELEMENT_BYTES, Target

FLUSH_DENORMALS = 0x8040
"""Flush-to-zero and denormals-are-zero, bits 15 and 6 of MXCSR."""


def emit_module(module: KernelModule, target: Target, *, timed: bool = False) -> str:
    """The LLVM text of a whole module. `timed`: each function takes one pointer more, to a clock for each of its nests."""
    library = Library()
    parts = [part for function in module.functions for part in _function(function, target, library, timed)]
    dtype = module.functions[0].dtype
    if dtype not in (DType.F32, DType.F64):
        raise InternalError(f"a module of {dtype.value}")
    name = "f32" if dtype is DType.F32 else "f64"
    lanes = target.lanes(dtype)
    if library.elementary and target.fused_multiply_add:
        kind = f"<{lanes} x {'float' if dtype is DType.F32 else 'double'}>"
        library.declarations[f"declare {kind} @llvm.fma.v{lanes}{name}({kind}, {kind}, {kind})"] = None
    header = [f'target triple = "{target.triple}"', *sorted(library.declarations)]
    elementary = math_definitions(library.elementary, name, [lanes], target.fused_multiply_add) if library.elementary else ""
    return "\n".join(["\n".join(header), *parts, elementary, attributes(target)])


def attributes(target: Target) -> str:
    width = f' "prefer-vector-width"="{target.vector_bytes * 8}"' if target.vector_bytes > 32 else ""
    return f"attributes #0 = {{ nounwind{width} }}\n"


def symbol(name: str) -> str:
    """The exported name of a kernel function."""
    return f"rnnspec_{name.replace('.', '_')}"


def _function(function: KernelFunction, target: Target, library: Library, timed: bool) -> list[str]:
    """The nests of a function, and its entry point, which finds every buffer and calls them in order."""
    calls = convention(function)
    entry = FunctionWriter(symbol(function.name), ["ptr %pointers", "ptr %dims"], linkage="dso_local")
    vectors = Vectors(entry, target, function.dtype, library)
    state = _flush(vectors)
    sizes = _dims(entry, calls)
    registers = _buffer_registers(vectors, function, calls, sizes)
    clocks = _clocks(vectors, function, len(calls.buffers) + len(calls.arenas)) if timed else None
    buffers = {buffer.name: buffer for buffer in function.buffers}
    parts: list[str] = []
    for number, node in enumerate(function.nodes):
        names = list(dict.fromkeys(buffers_of(node)))
        name = f"{function.name}.{number}"
        parts.extend(emit_node(name, node, {key: buffers[key] for key in names}, vectors, clocks))
        arguments = [*(f"ptr {registers[key]}" for key in names), *_size_arguments(node, buffers, sizes)]
        if clocks and isinstance(node, ScanLoop):
            arguments.append(f"ptr {CLOCKS}")
        with _timed(clocks, entry, name):
            entry.do(f"call void @{quoted(name)}({', '.join(arguments)})")
    _restore(vectors, state)
    return [*parts, entry.text()]


def _clocks(vectors: Vectors, function: KernelFunction, position: int) -> Clocks:
    """The clocks of a function, found behind all other pointers."""
    slot = vectors.writer.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {position}", "p")
    vectors.writer.do(f"{CLOCKS} = load ptr, ptr {slot}")
    return Clocks(vectors.target, vectors.library, {f"{function.name}.{nest.name}": place for place, nest in enumerate(nests_of(function))})


def _timed(clocks: Clocks | None, writer: FunctionWriter, nest: str) -> AbstractContextManager[None]:
    return clocks.around(writer, nest) if clocks else nullcontext()


def _dims(entry: FunctionWriter, calls: Convention) -> dict[str, str]:
    sizes: dict[str, str] = {}
    for position, name in enumerate(calls.dims):
        pointer = entry.assign(f"getelementptr inbounds i64, ptr %dims, i64 {position}", "p")
        sizes[name] = entry.assign(f"load i64, ptr {pointer}", "padded" if "*" in name else name)
    return sizes


def _buffer_registers(vectors: Vectors, function: KernelFunction, calls: Convention, sizes: Mapping[str, str]) -> dict[str, str]:
    entry = vectors.writer
    pointers: list[str] = []
    for position in range(len(calls.buffers) + len(calls.arenas)):
        slot = entry.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {position}", "p")
        pointers.append(entry.assign(f"load ptr, ptr {slot}", "pointer"))
    registers = {buffer.name: pointer for buffer, pointer in zip(calls.buffers, pointers, strict=False)}
    arenas = dict(zip(calls.arenas, pointers[len(calls.buffers) :], strict=True))
    plans = {Space.SCRATCH: calls.scratch, Space.TAPE: calls.tape, Space.PREPARED: calls.prepared}
    slots = {space: _slot_registers(entry, arenas[space], plan, sizes) for space, plan in plans.items() if space in arenas}
    for buffer in function.buffers:
        if buffer.space in slots and buffer.name in plans[buffer.space].slot_of:
            registers[buffer.name] = slots[buffer.space][plans[buffer.space].slot_of[buffer.name]]
        elif buffer.space in (Space.WEIGHT, Space.GRADIENT):
            offset = buffer.offset * ELEMENT_BYTES[buffer.dtype]
            registers[buffer.name] = entry.assign(f"getelementptr inbounds i8, ptr {arenas[buffer.space]}, i64 {offset}", "p")
    return registers


def _slot_registers(entry: FunctionWriter, arena: str, plan: Plan, sizes: Mapping[str, str]) -> list[str]:
    """Each slot's address: the sizes before it, as `Slot.size` counts them."""
    registers: list[str] = []
    offset = "0"
    for slot in plan.slots:
        registers.append(entry.assign(f"getelementptr inbounds i8, ptr {arena}, i64 {offset}", "slot"))
        if isinstance(slot.rows, int):
            size: str | int = slot.size({})
        else:
            rows = sizes[slot.rows]
            some = entry.assign(f"select i1 {entry.assign(f'icmp sgt i64 {rows}, 1')}, i64 {rows}, i64 1", "rows")
            bytes_ = entry.add(entry.multiply(some, slot.row_bytes), ALIGNMENT - 1)
            size = entry.assign(f"and i64 {bytes_}, {-ALIGNMENT}", "size")
        offset = entry.add(offset, size)
    return registers


def _flush(vectors: Vectors) -> str | None:
    """Flushes denormals on machines that have the switch; what must be put back."""
    if not vectors.target.triple.startswith("x86_64"):
        return None
    for name in ("stmxcsr", "ldmxcsr"):
        vectors.library.declarations[f"declare void @llvm.x86.sse.{name}(ptr)"] = None
    entry = vectors.writer
    saved, changed = entry.assign("alloca i32", "state"), entry.assign("alloca i32", "state")
    entry.do(f"call void @llvm.x86.sse.stmxcsr(ptr {saved})")
    flags = entry.assign(f"or i32 {entry.assign(f'load i32, ptr {saved}')}, {FLUSH_DENORMALS}")
    entry.do(f"store i32 {flags}, ptr {changed}")
    entry.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {changed})")
    return saved


def _restore(vectors: Vectors, state: str | None) -> None:
    if state is not None:
        vectors.writer.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {state})")


def _size_arguments(node: Node, buffers: Mapping[str, Buffer], sizes: Mapping[str, str]) -> list[str]:
    """What a nest's function takes behind its buffers: its rows, the first token, and for some one size more."""
    match node:
        case ScanLoop():
            return [f"i64 {_rows(node.rows, sizes)}", f"i64 {sizes[node.steps]}"]
        case Scatter():
            return [f"i64 {_rows(node.rows, sizes)}", f"i64 {_rows(node.target_rows, sizes)}"]
        case PackPanels():
            return []
        case Stage() | RowReduce() | ColumnReduce() | Outer() | GatherIds() | Rearranged():
            return [f"i64 {_rows(node.rows, sizes)}", "i64 0"]
    assert_never(node)


def _rows(rows: int | str, sizes: Mapping[str, str]) -> str:
    return str(rows) if isinstance(rows, int) else sizes[rows]


def emit_node(name: str, node: Node, buffers: Mapping[str, Buffer], vectors: Vectors, clocks: Clocks | None = None) -> list[str]:
    """The function of a loop nest, behind those that it calls."""
    parameters = [f"ptr %buffer.{number}" for number in range(len(buffers))]
    registers = {key: f"%buffer.{number}" for number, key in enumerate(buffers)}
    match node:
        case ScanLoop():
            timing = [f"ptr {CLOCKS}"] if clocks else []
            writer = FunctionWriter(name, [*parameters, "i64 %batch", "i64 %steps", *timing])
            inner = replace(vectors, writer=writer)
            parts: list[str] = []
            calls: list[tuple[str, list[str]]] = []
            for number, step in enumerate(node.body):
                keys = list(dict.fromkeys(buffers_of(step)))
                parts.extend(emit_node(f"{name}.{number}", step, {key: buffers[key] for key in keys}, vectors))
                calls.append((f"{name}.{number}", keys))
            emit_scan(inner, node, registers, calls, lambda step: _timed(clocks, writer, step))
            return [*parts, writer.text()]
        case PackPanels():
            writer = FunctionWriter(name, parameters)
            emit_pack_panels(replace(vectors, writer=writer), Places(buffers, registers), node)
        case Scatter():
            writer = FunctionWriter(name, [*parameters, "i64 %rows", "i64 %target.rows"])
            emit_scatter(replace(vectors, writer=writer), Places(buffers, registers), node, "%rows", "%target.rows")
        case GatherIds():
            writer = FunctionWriter(name, [*parameters, "i64 %rows", "i64 %token"])
            emit_gather_ids(replace(vectors, writer=writer), Places(buffers, registers), node, "%rows")
        case Rearranged():
            writer = FunctionWriter(name, [*parameters, "i64 %rows", "i64 %token"])
            emit_rearranged(replace(vectors, writer=writer), Places(buffers, registers), node, "%rows")
        case Stage() | RowReduce() | ColumnReduce() | Outer():
            writer = FunctionWriter(name, [*parameters, "i64 %rows", "i64 %token"])
            _emit_computing(replace(vectors, writer=writer), Places(buffers, registers, "%token"), node)
        case _:
            assert_never(node)
    return [writer.text()]


def _emit_computing(vectors: Vectors, places: Places, node: Stage | RowReduce | ColumnReduce | Outer) -> None:
    rows = str(node.rows) if isinstance(node.rows, int) else "%rows"
    match node:
        case Stage():
            emit_stage(vectors, places, node, rows)
        case RowReduce():
            emit_row_reduce(vectors, places, node, rows)
        case ColumnReduce():
            emit_column_reduce(vectors, places, node, rows)
        case Outer():
            emit_outer(vectors, places, node, rows)
