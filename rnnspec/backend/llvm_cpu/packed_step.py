"""A library's step of a model whose masks, or whose windows, leave steps out: the kernels of whole sequences over one step or none.

A packing index of one sequence's one step has one token or none, and all its arrays follow from that number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnspec.backend.llvm_cpu.calls import NestCall
from rnnspec.backend.llvm_cpu.entry import Constants, emit_entry, passed_arenas, symbol
from rnnspec.backend.llvm_cpu.forward_inputs import differs, literal
from rnnspec.backend.llvm_cpu.size_values import SizeValues
from rnnspec.backend.llvm_cpu.step_buffers import alignment, home_of, step_pointers
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.weights_file import constants_behind
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import HeldPlaces, LibraryExport, StepExport
from rnnspec.contract.dimensions import Size, Steps, Tokens, names_in, value_of
from rnnspec.contract.native_function import Space
from rnnspec.contract.signature import EVERY_STEP, Clock, IndexSignature
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType
from rnnspec.kernel.calling_convention import CallingConvention, calling_convention
from rnnspec.kernel.forward_memory import SHOWN_ARRAYS, array_of
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import Buffer, KernelFunction
from rnnspec.kernel.target import ELEMENT_BYTES, Target

NAN = {DType.F32: ("i32", 0x7FC00000), DType.F64: ("i64", 0x7FF8000000000000)}
"""numpy's NaN as an integer, whose bits no machine changes."""


def reads_indices(function: KernelFunction) -> bool:
    """Whether a step's kernels read packing indices, which those of a model that leaves no step out don't."""
    used = {name for node in function.nodes for name in buffers_of(node)}
    return any(buffer.space is Space.INDEX and buffer.name in used for buffer in function.buffers)


def emit_packed_step(
    function: KernelFunction, calls: Sequence[NestCall], export: LibraryExport, step: StepExport, vectors: Vectors
) -> list[str]:
    """The nests' entry point, and the step: it makes the indices, calls that, and has outputs show what they show at such a step."""
    target, library = vectors.target, vectors.library
    library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
    constants = Constants(step.places, passed=export.file is not None)
    entry = emit_entry(function, calls, target, library, clocks=None, constants=constants)
    writer = FunctionWriter(f"{export.prefix}.step", [f"ptr noalias {pointer}" for pointer in step_pointers(export)])
    here = replace(vectors, writer=writer)
    due = {EVERY_STEP: "true", **{clock: _is_due(here, clock, place) for clock, place in step.clocks.items()}}
    passing = calling_convention(function)
    tokens = {number: _tokens(here, export, step, due, number) for number in _indices(passing)}
    states = writer.on_stack(_bytes(step.state_bytes), "states", alignment(target))
    pointers = _pointers(here, passing, export, step, tokens, states, constants)
    sizes = SizeValues(writer, _sizes(passing, tokens))
    table = _array(writer, "ptr", pointers)
    dims = _array(writer, "i64", [sizes.of(dim) for dim in passing.dims])
    writer.do(f"call void @{quoted(symbol(function.name))}(ptr {table}, ptr {dims})")
    _copy(writer, "%state", states, step.state_bytes)
    for held in step.held:
        _hold(here, export, held, tokens[held.index])
    for number, clock in enumerate(step.signature.stream.outputs):
        if clock != EVERY_STEP:
            with writer.when(writer.assign(f"xor i1 {due[clock]}, true")):
                _blank(here, export, number)
    return [entry, writer.text()]


def _is_due(vectors: Vectors, clock: Clock, place: int) -> str:
    """An i1: whether a clock's sequence has a step now. The number of steps is counted on, in the model's own element."""
    writer, element = vectors.writer, vectors.element
    counted = _behind(writer, "%state", place)
    first, after = literal(clock.first, vectors.dtype), literal(clock.first + clock.period, vectors.dtype)
    before = writer.assign(f"load {element}, ptr {counted}, align {ELEMENT_BYTES[vectors.dtype]}")
    now = writer.assign(f"fadd {element} {before}, {literal(1, vectors.dtype)}")
    now = writer.assign(f"select i1 {writer.assign(f'fcmp oeq {element} {now}, {after}')}, {element} {first}, {element} {now}")
    writer.do(f"store {element} {now}, ptr {counted}, align {ELEMENT_BYTES[vectors.dtype]}")
    return writer.assign(f"fcmp oeq {element} {now}, {first}", "due")


def _tokens(vectors: Vectors, export: LibraryExport, step: StepExport, due: Mapping[Clock, str], number: int) -> str:
    """The tokens of an index in this step, 0 or 1, as an i64."""
    writer, index, clock = vectors.writer, step.signature.indices[number], step.signature.stream.clocks[number]
    if clock != EVERY_STEP:
        return writer.assign(f"zext i1 {due[clock]} to i64", "tokens")
    if not isinstance(index, IndexSignature) or not index.sources:
        return "1"
    rows = {row.name: place for place, row in enumerate(export.inputs)}
    real = "false"
    for name, values in index.sources:
        of_source = "true"
        for value in values:
            one = differs(writer, vectors, export.inputs[rows[name]], f"%in.{rows[name]}", "0", value)
            of_source = writer.assign(f"and i1 {of_source}, {one}")
        real = writer.assign(f"or i1 {real}, {of_source}")
    return writer.assign(f"zext i1 {real} to i64", "tokens")


def _indices(passing: CallingConvention) -> list[int]:
    """The numbers of the indices that a function needs."""
    sizes = {size.number for dim in passing.dims for size in names_in(dim) if isinstance(size, Tokens | Steps)}
    return sorted(sizes | {array_of(buffer).index for buffer in passing.buffers if buffer.space is Space.INDEX})


def _sizes(passing: CallingConvention, tokens: Mapping[int, str]) -> dict[Size, str]:
    """The names, tokens and steps of a function: one sequence, one step."""
    names = {size for dim in passing.dims for size in names_in(dim)}
    return {size: tokens[size.number] if isinstance(size, Tokens | Steps) else "1" for size in names}


def _pointers(
    vectors: Vectors,
    passing: CallingConvention,
    export: LibraryExport,
    step: StepExport,
    tokens: Mapping[int, str],
    states: str,
    constants: Constants,
) -> list[str]:
    """The addresses of all buffers, of the scratch memory, and of the constants where they are in a file."""
    writer, made = vectors.writer, _IndexArrays(vectors.writer, tokens, vectors.writer.on_stack("i32", "zero"))
    writer.do(f"store i32 0, ptr {made.zero}")
    pointers: list[str] = []
    for buffer in passing.buffers:
        if buffer.space is Space.INDEX:
            pointers.append(made.of(buffer))
        else:
            base, place = home_of(buffer, export, step, states, {}, "")
            pointers.append(_behind(writer, base, place))
    for space in passed_arenas(passing, constants):
        if space is not Space.SCRATCH:
            raise InternalError(f"a library's step reads or writes {space.value}")
        pointers.append(writer.on_stack(_bytes(_scratch_bytes(passing, vectors.target)), "scratch", vectors.target.slot_alignment))
    return [*pointers, constants_behind(writer)] if constants.passed else pointers


@frozen
class _IndexArrays:
    """The arrays of indices; `zero`: the address of a 0, the only row, or the only token."""

    writer: FunctionWriter
    tokens: Mapping[int, str]
    zero: str

    def of(self, buffer: Buffer) -> str:
        """The address of an index's array."""
        array = array_of(buffer)
        tokens = self.tokens[array.index]
        match array.name:
            case "order" | "rank" | "source":
                return self.zero
            case "offsets":
                return _array(self.writer, "i32", ["0", self._as_i32(tokens)])
            case "position":
                return self._last(tokens)
            case name if name in SHOWN_ARRAYS:
                return self._last(tokens)
            case other:
                raise InternalError(f"a library's step makes no index's array named {other}")

    def _last(self, tokens: str) -> str:
        """The token, or -1."""
        return _array(self.writer, "i32", [self._as_i32(self.writer.assign(f"sub nsw i64 {tokens}, 1"))])

    def _as_i32(self, number: str) -> str:
        return self.writer.assign(f"trunc i64 {number} to i32")


def _scratch_bytes(passing: CallingConvention, target: Target) -> int:
    """The bytes of the scratch memory, each slot as large as one sequence and one step need it."""
    ones = {size: 1 for slot in passing.scratch.slots for size in names_in(slot.rows)}
    align, gap = target.slot_alignment, target.slot_gap
    return sum(-(-max(1, value_of(slot.rows, ones)) * slot.row_bytes // align) * align + gap for slot in passing.scratch.slots)


def _hold(vectors: Vectors, export: LibraryExport, held: HeldPlaces, tokens: str) -> None:
    """An output of a real step is kept; at a masked one it shows what was kept, if anything was."""
    writer, element, align = vectors.writer, vectors.element, ELEMENT_BYTES[vectors.dtype]
    number = [row.name for row in export.outputs].index(held.output)
    size = export.outputs[number].width * align
    shown, started = _behind(writer, "%state", held.shown), _behind(writer, "%state", held.started)
    is_real = writer.assign(f"icmp ne i64 {tokens}, 0")
    begun = writer.assign(f"load {element}, ptr {started}, align {align}")
    has_begun = writer.assign(f"fcmp une {element} {begun}, {literal(0, vectors.dtype)}")
    with writer.when(is_real):
        _copy(writer, shown, f"%out.{number}", size)
        writer.do(f"store {element} {literal(1, vectors.dtype)}, ptr {started}, align {align}")
    with writer.when(writer.assign(f"and i1 {has_begun}, {writer.assign(f'xor i1 {is_real}, true')}")):
        _copy(writer, f"%out.{number}", shown, size)


def _blank(vectors: Vectors, export: LibraryExport, number: int) -> None:
    """Writes NaN to an output."""
    kind, bits = NAN[vectors.dtype]
    with vectors.writer.loop("0", str(export.outputs[number].width), hint="u") as unit:
        there = vectors.writer.assign(f"getelementptr inbounds {kind}, ptr %out.{number}, i64 {unit}", "p")
        vectors.writer.do(f"store {kind} {bits}, ptr {there}, align {ELEMENT_BYTES[vectors.dtype]}")


def _array(writer: FunctionWriter, kind: str, values: Sequence[str]) -> str:
    """The address of an array on the stack with these values."""
    array = writer.on_stack(f"[{max(1, len(values))} x {kind}]", "array")
    for place, value in enumerate(values):
        there = writer.assign(f"getelementptr inbounds {kind}, ptr {array}, i64 {place}", "p")
        writer.do(f"store {kind} {value}, ptr {there}")
    return array


def _bytes(size: int) -> str:
    return f"[{max(1, size)} x i8]"


def _behind(writer: FunctionWriter, base: str, place: int) -> str:
    return base if place == 0 else writer.assign(f"getelementptr inbounds i8, ptr {base}, i64 {place}", "p")


def _copy(writer: FunctionWriter, to: str, of: str, size: int) -> None:
    if size:
        writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {of}, i64 {size}, i1 false)")
