"""A library's step of one sequence, without tables of pointers and with no memory but the caller's and the stack.

Where masks, or windows, leave steps out, a packing index has one token or none, and all its arrays follow from that number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from rnnspec.backend.llvm_cpu.calls import NestCall
from rnnspec.backend.llvm_cpu.entry import CONSTANTS
from rnnspec.backend.llvm_cpu.forward_inputs import differs, literal
from rnnspec.backend.llvm_cpu.module import emit_nests
from rnnspec.backend.llvm_cpu.step_buffers import alignment, home_of, step_pointers
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.weights_file import constants_behind
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import HeldPlaces, LibraryExport, StepExport
from rnnspec.contract.dimensions import Dim, Size, Steps, Tokens, names_in
from rnnspec.contract.native_function import Space
from rnnspec.contract.signature import EVERY_STEP, Clock, IndexSignature
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType
from rnnspec.kernel.calling_convention import sizes_of
from rnnspec.kernel.fixed_sizes import with_sizes
from rnnspec.kernel.forward_memory import SHOWN_ARRAYS, array_of
from rnnspec.kernel.memory import Plan, buffers_of, plan_scratch
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    KernelFunction,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    ScanLoop,
    Scatter,
)
from rnnspec.kernel.target import ELEMENT_BYTES

NAN = {DType.F32: ("i32", 0x7FC00000), DType.F64: ("i64", 0x7FF8000000000000)}
"""numpy's NaN as an integer, whose bits no machine changes."""


def emit_one_step(export: LibraryExport, step: StepExport, vectors: Vectors) -> list[str]:
    """The nests of a step, and the function that calls one after the other. New states lie on the stack until all old ones were read.

    Nests over tokens are those of one token, and aren't called where there is none.
    """
    packed = step.kernels.function
    function = _of_one_token(packed)
    nests, calls = emit_nests(function, vectors)
    writer = FunctionWriter(f"{export.prefix}.step", [f"ptr noalias {pointer}" for pointer in step_pointers(export)])
    here, element = replace(vectors, writer=writer), ELEMENT_BYTES[function.dtype]
    due = {EVERY_STEP: "true", **{clock: _is_due(here, clock, place) for clock, place in step.clocks.items()}}
    tokens = {number: _tokens(here, export, step, due, number) for number in _indices(packed)}
    stack, registers = _buffers(here, function, export, step, _IndexArrays(writer, tokens))
    for call in calls:
        with ExitStack() as guard:
            if (number := _index_of(packed.nodes[call.number])) is not None:
                guard.enter_context(writer.when(writer.assign(f"icmp ne i64 {tokens[number]}, 0")))
            _call(writer, call, registers, tokens)
    if step.state_bytes:
        _copy(here, "%state", stack, step.state_bytes, element)
    for held in step.held:
        _hold(here, export, held, tokens[held.index])
    for number, clock in enumerate(step.signature.stream.outputs):
        if clock != EVERY_STEP:
            with writer.when(writer.assign(f"xor i1 {due[clock]}, true")):
                _blank(here, export, number)
    return [*nests, writer.text()]


def _of_one_token(function: KernelFunction) -> KernelFunction:
    """The kernels with one token in each index. The loops are short enough for no blocks of time."""
    dims = [*(buffer.rows for buffer in function.buffers), *(size for node in function.nodes for size in sizes_of(node))]
    tokens: dict[Size, Dim] = {size: 1 for dim in dims for size in names_in(dim) if isinstance(size, Tokens)}
    return with_sizes(replace(function, blocks=()), tokens)


def _index_of(node: Node) -> int | None:
    """The number of the index over whose tokens a nest runs, None for one that runs anyway."""
    if isinstance(node, PackPanels | NarrowPanels | ScanLoop):
        return None
    match node.rows:
        case Tokens() as tokens if not isinstance(node, ColumnReduce | Outer | Scatter):
            return tokens.number
        case rows if any(isinstance(size, Tokens | Steps) for size in names_in(rows)):
            raise InternalError(f"a library's step over {rows}")
        case _:
            return None


def _call(writer: FunctionWriter, call: NestCall, registers: Mapping[str, str], tokens: Mapping[int, str]) -> None:
    turns: tuple[str, ...] = ()
    sizes = [str(_number(call.size))]
    match call.node:
        case ScanLoop(steps=Steps(number)):
            turns = (tokens[number], "0", tokens[number])
        case _:
            sizes += [str(_number(size)) for size in call.further]
    arguments = [*(f"ptr {registers[name]}" for name in call.buffers), "i64 0", *(f"i64 {size}" for size in (*sizes, *turns))]
    writer.do(f"call void @{quoted(call.name)}({', '.join(arguments)})")


def _buffers(
    vectors: Vectors, function: KernelFunction, export: LibraryExport, step: StepExport, arrays: _IndexArrays
) -> tuple[str, Mapping[str, str]]:
    """The address of the new states, and that of each buffer that is used."""
    writer, buffers = vectors.writer, {buffer.name: buffer for buffer in function.buffers}
    align, plan = alignment(vectors.target), plan_scratch(function)
    places, size = _stack(plan, step.state_bytes, align)
    stack = writer.on_stack(f"[{max(size, 1)} x i8]", "stack", align)
    scratch = {name: places[slot] for name, slot in plan.slot_of.items()}
    constants = CONSTANTS if export.file is None else constants_behind(writer)
    registers: dict[str, str] = {}
    for buffer in (buffers[name] for name in dict.fromkeys(name for node in function.nodes for name in buffers_of(node))):
        if buffer.space is Space.INDEX:
            registers[buffer.name] = arrays.of(buffer)
        else:
            base, place = home_of(buffer, export, step, stack, scratch, constants)
            registers[buffer.name] = writer.assign(f"getelementptr inbounds i8, ptr {base}, i64 {place}", "b")
    return stack, registers


def _number(size: int | Size) -> int:
    if not isinstance(size, int):
        raise InternalError(f"a library's step over {size}")
    return size


def _stack(plan: Plan, state_bytes: int, align: int) -> tuple[list[int], int]:
    """The places of the slots behind the new states, and the bytes of all."""
    places: list[int] = []
    end = state_bytes
    for slot in plan.slots:
        end += -end % align
        places.append(end)
        end += slot.row_bytes * max(1, _number(slot.rows))
    return places, end


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


def _indices(function: KernelFunction) -> list[int]:
    """The numbers of the indices that a function needs."""
    dims = [*(buffer.rows for buffer in function.buffers), *(size for node in function.nodes for size in sizes_of(node))]
    sizes = {size.number for dim in dims for size in names_in(dim) if isinstance(size, Tokens | Steps)}
    return sorted(sizes | {array_of(buffer).index for buffer in function.buffers if buffer.space is Space.INDEX})


@frozen
class _IndexArrays:
    """The arrays of indices, of `tokens` by the index's number."""

    writer: FunctionWriter
    tokens: Mapping[int, str]

    def of(self, buffer: Buffer) -> str:
        """The address of an index's array."""
        array = array_of(buffer)
        tokens = self.tokens[array.index]
        match array.name:
            case "order" | "rank" | "source":
                return _array(self.writer, "i32", ["0"])
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
        _copy(vectors, shown, f"%out.{number}", size, align)
        writer.do(f"store {element} {literal(1, vectors.dtype)}, ptr {started}, align {align}")
    with writer.when(writer.assign(f"and i1 {has_begun}, {writer.assign(f'xor i1 {is_real}, true')}")):
        _copy(vectors, f"%out.{number}", shown, size, align)


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


def _behind(writer: FunctionWriter, base: str, place: int) -> str:
    return base if place == 0 else writer.assign(f"getelementptr inbounds i8, ptr {base}, i64 {place}", "p")


def _copy(vectors: Vectors, to: str, of: str, size: int, align: int) -> None:
    vectors.library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
    vectors.writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr align {align} {to}, ptr align {align} {of}, i64 {size}, i1 false)")
