"""Small functions that show what a machine can do: its arithmetic, its memory, its elementary functions, its clock.

Each has the form of all native functions, `void f(void **pointers, int64_t *dims)`.
"""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.clocks import tick
from rnnspec.backend.llvm_cpu.elementwise import emit_elementwise
from rnnspec.backend.llvm_cpu.module import module_text
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.ir.elementwise import ELEMENTARY, BinaryKind, UnaryKind
from rnnspec.ir.ops import ReduceKind
from rnnspec.ir.types import DType
from rnnspec.kernel.target import Target

ARITHMETIC, READING, CLOCK = "rnnspec_probe_arithmetic", "rnnspec_probe_reading", "rnnspec_probe_clock"

READ_AT_ONCE = 16
"""Vectors that one turn of the reading loop takes."""


def elementary_symbol(kind: UnaryKind | BinaryKind) -> str:
    """The name of the probe of an elementary function."""
    return f"rnnspec_probe_{kind.value}"


def sums_at_once(target: Target) -> int:
    """Independent sums, as many as leave room for the factors: more than the multiply-add units need to keep busy."""
    return target.registers * 3 // 4


def emit_probes(target: Target, dtype: DType) -> str:
    """The LLVM text of all probes."""
    library = Library()
    parts = [_arithmetic(target, dtype, library), _reading(target, dtype, library), _clock(target, library)]
    parts += [_elementary(target, dtype, library, kind) for kind in ELEMENTARY]
    return module_text(parts, target, dtype, library)


def _writer(symbol: str) -> FunctionWriter:
    return FunctionWriter(symbol, ["ptr %pointers", "ptr %dims"], linkage="dso_local")


def _pointer(writer: FunctionWriter, position: int) -> str:
    slot = writer.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {position}", "p")
    return writer.assign(f"load ptr, ptr {slot}", "pointer")


def _dim(writer: FunctionWriter, position: int) -> str:
    pointer = writer.assign(f"getelementptr inbounds i64, ptr %dims, i64 {position}", "p")
    return writer.assign(f"load i64, ptr {pointer}", "n")


def _store_total(vectors: Vectors, registers: list[str], to: str) -> None:
    """A store of the result, so that LLVM keeps the work."""
    total = registers[0]
    for register in registers[1:]:
        total = vectors.combine(ReduceKind.SUM, total, register)
    vectors.store(total, to)


def _arithmetic(target: Target, dtype: DType, library: Library) -> str:
    """dims[0] turns of one multiply-add to each of many sums; pointers[0]: two vectors of factors, then the total."""
    writer = _writer(ARITHMETIC)
    vectors = Vectors(writer, target, dtype, library)
    memory, turns = _pointer(writer, 0), _dim(writer, 0)
    left = vectors.load(memory)
    right = vectors.load(vectors.pointer(memory, str(vectors.lanes)))
    start = [(vectors.type, vectors.vector(float(number))) for number in range(sums_at_once(target))]
    with writer.carrying_loop("0", turns, 1, start, "turn") as (_, registers, following):
        following.extend(vectors.multiply_add(left, right, register) for register in registers)
    _store_total(vectors, registers, vectors.pointer(memory, str(2 * vectors.lanes)))
    return writer.text()


def _reading(target: Target, dtype: DType, library: Library) -> str:
    """dims[0] times over dims[1] elements of pointers[0], those that fill turns; the total goes to pointers[1]."""
    writer = _writer(READING)
    vectors = Vectors(writer, target, dtype, library)
    memory, to, times, elements = _pointer(writer, 0), _pointer(writer, 1), _dim(writer, 0), _dim(writer, 1)
    sums = READ_AT_ONCE // 2
    zeros = [(vectors.type, "zeroinitializer")] * sums
    with writer.carrying_loop("0", times, 1, zeros, "time") as (_, held, kept):
        step = READ_AT_ONCE * vectors.lanes
        with writer.carrying_loop("0", elements, step, [(vectors.type, each) for each in held], "i") as (i, registers, following):
            totals = registers
            for half in range(2):
                values = [
                    vectors.load(vectors.pointer(memory, writer.add(i, (half * sums + number) * vectors.lanes))) for number in range(sums)
                ]
                totals = [vectors.combine(ReduceKind.SUM, total, value) for total, value in zip(totals, values, strict=True)]
            following.extend(totals)
        kept.extend(registers)
    _store_total(vectors, held, to)
    return writer.text()


def _elementary(target: Target, dtype: DType, library: Library, kind: UnaryKind | BinaryKind) -> str:
    """dims[0] times a function of each of dims[1] elements of pointers[0], to pointers[1], four vectors at a time."""
    writer = _writer(elementary_symbol(kind))
    vectors = Vectors(writer, target, dtype, library)
    memory, to, times, elements = _pointer(writer, 0), _pointer(writer, 1), _dim(writer, 0), _dim(writer, 1)
    with writer.loop("0", times, hint="time"), writer.loop("0", elements, 4 * vectors.lanes) as i:
        places = [writer.add(i, number * vectors.lanes) for number in range(4)]
        loaded = [vectors.load(vectors.pointer(memory, place)) for place in places]
        values = [emit_elementwise(vectors, kind, [value] if isinstance(kind, UnaryKind) else [value, value]) for value in loaded]
        for place, value in zip(places, values, strict=True):
            vectors.store(value, vectors.pointer(to, place))
    return writer.text()


def _clock(target: Target, library: Library) -> str:
    """Stores the clock's ticks to pointers[0]."""
    writer = _writer(CLOCK)
    pointer = _pointer(writer, 0)
    writer.do(f"store i64 {tick(writer, target, library)}, ptr {pointer}")
    return writer.text()
