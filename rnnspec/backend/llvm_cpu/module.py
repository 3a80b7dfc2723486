"""A kernel module as LLVM text: an internal function for each loop nest, alike ones in one, an entry point for each function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from rnnspec.backend.llvm_cpu.calls import NestCall, calls_of, needs_zeros, zeros_name
from rnnspec.backend.llvm_cpu.clocks import CLOCKS, Clocks
from rnnspec.backend.llvm_cpu.data_movement import emit_gather_ids, emit_pack_panels, emit_rearranged, emit_scatter, emit_zeros
from rnnspec.backend.llvm_cpu.entry import around, emit_entry, emit_shared_entry
from rnnspec.backend.llvm_cpu.loop_nests import emit_column_reduce, emit_row_reduce, emit_stage
from rnnspec.backend.llvm_cpu.math import math_declarations, math_definitions
from rnnspec.backend.llvm_cpu.merge_functions import merge_functions
from rnnspec.backend.llvm_cpu.narrow_panels import emit_narrow_panels
from rnnspec.backend.llvm_cpu.outer import emit_outer
from rnnspec.backend.llvm_cpu.parallel_rows import thread_runtime
from rnnspec.backend.llvm_cpu.rows import RowAddresses
from rnnspec.backend.llvm_cpu.scan import SHARING, StepCall, emit_scan
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.dimensions import ROWS, Size
from rnnspec.diagnostics import InternalError
from rnnspec.ir.types import DType
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    FusedLoop,
    GatherIds,
    KernelFunction,
    KernelModule,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Prefetch,
    Rearranged,
    RowReduce,
    ScanLoop,
    Scatter,
)
from rnnspec.kernel.parallel_units import StepShare, unit_shares
from rnnspec.kernel.target import Target


def emit_module(module: KernelModule, target: Target, *, timed: bool = False, shared: bool = True) -> str:
    """The LLVM text of a whole module.

    `timed`: each function takes one pointer more, to a clock for each of its nests. `shared`: with entry points for several
    threads; a timed one has none.
    """
    library, shared, dtype = Library(), shared and not timed, module.functions[0].dtype
    if dtype not in (DType.F32, DType.F64):
        raise InternalError(f"a module of {dtype.value}")
    parts = merge_functions([part for function in module.functions for part in _function(function, target, library, timed, shared)])
    return module_text([*parts, thread_runtime(target.pause) if shared else ""], target, dtype, library)


def module_text(parts: Sequence[str], target: Target, dtype: DType, library: Library) -> str:
    """A module of these definitions, with the elementary functions and the declarations that they use."""
    name, lanes = "f32" if dtype is DType.F32 else "f64", [target.lanes(dtype)]
    library.declarations |= dict.fromkeys(math_declarations(library.elementary, name, lanes, target.fused_multiply_add))
    elementary = math_definitions(library.elementary, name, lanes, target.fused_multiply_add) if library.elementary else ""
    return "\n".join([f'target triple = "{target.triple}"', *sorted(library.declarations), *parts, elementary, attributes(target)])


def attributes(target: Target) -> str:
    """Attribute group 0 of all functions; LLVM uses vectors above 32 bytes only if told to."""
    width = f' "prefer-vector-width"="{target.vector_bytes * 8}"' if target.vector_bytes > 32 else ""
    return f"attributes #0 = {{ nounwind{width} }}\n"


def _function(function: KernelFunction, target: Target, library: Library, timed: bool, shared: bool) -> list[str]:
    """The nests of a function, and its entry points."""
    vectors = Vectors(FunctionWriter("", ()), target, function.dtype, library)
    names = {f"{function.name}.{nest.name}": place for place, nest in enumerate(nests_of(function))}
    clocks = Clocks(target, library, names) if timed else None
    parts, calls = emit_nests(function, vectors, clocks, shared=shared)
    parts.append(emit_entry(function, calls, target, library, clocks=clocks))
    return [*parts, emit_shared_entry(function, calls, target, library)] if shared else parts


def emit_nests(
    function: KernelFunction, vectors: Vectors, clocks: Clocks | None = None, *, shared: bool = False
) -> tuple[list[str], list[NestCall]]:
    """The definitions for all loop nests of a function, and the calls of them in order.

    `shared`: with entries for several threads that share a scan's units.
    """
    buffers = {buffer.name: buffer for buffer in function.buffers}
    parts: list[str] = []
    calls: list[NestCall] = []
    for number, node in enumerate(function.nodes):
        name = f"{function.name}.{number}"
        shares = unit_shares(node, function, vectors.lanes) if shared and isinstance(node, ScanLoop) else ()
        parts.extend(emit_node(name, node, {key: buffers[key] for key in buffers_of(node)}, vectors, clocks, shares))
        calls.extend(replace(call, shares=shares, number=number) for call in calls_of(name, node, buffers, vectors))
    return parts, calls


def emit_node(
    name: str,
    node: Node,
    buffers: Mapping[str, Buffer],
    vectors: Vectors,
    clocks: Clocks | None = None,
    shares: Sequence[StepShare] = (),
    blocks: bool = False,
) -> list[str]:
    """The definitions for a loop nest: its callees, then its function, which does the part from %start to %stop.

    `shares`: for a scan whose units threads may share. `blocks`: for a loop over blocks of units, from %first to %last.
    """
    parameters = [*(f"ptr %buffer.{number}" for number in range(len(buffers))), "i64 %start", "i64 %stop"]
    registers = {key: f"%buffer.{number}" for number, key in enumerate(buffers)}
    part = ("%start", "%stop")

    def begin(*further: str) -> tuple[Vectors, RowAddresses]:
        return replace(vectors, writer=FunctionWriter(name, [*parameters, *further])), RowAddresses(buffers, registers)

    match node:
        case ScanLoop():
            further = ["i64 %steps", "i64 %from", "i64 %to", *(SHARING if shares else ()), *([f"ptr {CLOCKS}"] if clocks else [])]
            return _emit_scan(name, node, buffers, begin(*further)[0], clocks, shares)
        case PackPanels():
            inner, places = begin()
            emit_pack_panels(inner, places, node, part)
        case NarrowPanels():
            inner, places = begin()
            emit_narrow_panels(inner, places, node, part)
        case Scatter():
            inner, places = begin("i64 %rows")
            emit_scatter(inner, places, node, part, "%rows")
            if not needs_zeros(node, buffers):
                return [inner.writer.text()]
            zeros = FunctionWriter(zeros_name(name), ["ptr %buffer", "i64 %start", "i64 %stop"])
            emit_zeros(replace(vectors, writer=zeros), "%buffer", node.units, part)
            return [zeros.text(), inner.writer.text()]
        case GatherIds():
            inner, places = begin("i64 %token")
            emit_gather_ids(inner, places, node, part)
        case Rearranged():
            inner, places = begin("i64 %token")
            emit_rearranged(inner, places, node, part)
        case FusedLoop():
            further = (*(("i64 %first", "i64 %last") if blocks else ()), *(("i64 %tokens",) if _fetches(node) else ()))
            inner, places = begin("i64 %token", *further)
            units = ("%first", "%last") if blocks else None
            emit_stage(inner, replace(places, token="%token", tokens="%tokens"), node, ("0", "1") if node.rows == 1 else part, units)
        case RowReduce():
            inner, places = begin("i64 %token")
            emit_row_reduce(inner, replace(places, token="%token"), node, ("0", "1") if node.rows == 1 else part)
        case ColumnReduce():
            inner, places = begin("i64 %rows")
            emit_column_reduce(inner, places, node, part, "%rows")
        case Outer():
            inner, places = begin("i64 %rows")
            emit_outer(inner, places, node, part, "%rows")
        case _:
            assert_never(node)
    return [inner.writer.text()]


def _emit_scan(
    name: str, loop: ScanLoop, buffers: Mapping[str, Buffer], vectors: Vectors, clocks: Clocks | None, shares: Sequence[StepShare]
) -> list[str]:
    registers = {key: f"%buffer.{number}" for number, key in enumerate(buffers)}
    parts: list[str] = []
    calls: list[StepCall] = []
    for number, step in enumerate(loop.body):
        share = shares[number] if shares else None
        inner = {key: buffers[key] for key in buffers_of(step)}
        parts.extend(emit_node(f"{name}.{number}", step, inner, vectors, blocks=share is not None and share.blocks > 1))
        for call in calls_of(f"{name}.{number}", step, buffers, vectors):
            calls.append(StepCall(call.name, call.buffers, _fixed(call), share, _fetches(step)))
    emit_scan(vectors, loop, registers, calls, lambda nest: around(clocks, vectors.writer, nest))
    return [*parts, vectors.writer.text()]


def _fetches(node: Node) -> bool:
    """Whether a nest takes the number of its step's tokens."""
    return isinstance(node, FusedLoop) and any(isinstance(statement, Prefetch) for statement in node.body)


def _fixed(call: NestCall) -> tuple[str, ...] | None:
    """The sizes that a nest of a step takes, if none depends on the step; else None."""
    sizes = (call.size, *call.further)
    if any(isinstance(size, Size) and size != ROWS for size in sizes):
        raise InternalError(f"a step's loop nest over {', '.join(map(str, sizes))}")
    if isinstance(call.size, Size):
        return None
    if ROWS in sizes:
        raise InternalError("a sum over a step's rows")
    return ("i64 0", *(f"i64 {size}" for size in sizes))
