"""The time loop of a scan: rows enter, the step's nests run, rows leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rnnspec.codegen.vectors import Vectors
from rnnspec.kernel.nodes import ScanLoop, State


@dataclass(frozen=True, slots=True)
class StepCall:
    """The function of a nest of the step, and the buffers that it takes. `fixed`: what it takes behind them if that isn't the step's."""

    name: str
    buffers: Sequence[str]
    fixed: Sequence[str] | None


def emit_scan(
    vectors: Vectors,
    loop: ScanLoop,
    registers: Mapping[str, str],
    calls: Sequence[StepCall],
    timed: Callable[[str], AbstractContextManager[None]],
) -> None:
    """The rows from %start to %stop; `timed` stands around each function's call.

    Rows are sorted by their number of real steps, so the rows of a step are the first n. Those at
    `entered` .. n are new; those that have no further step leave.
    """
    writer = vectors.writer
    finals = [state for state in loop.states if state.final is not None]
    any_step = writer.assign("icmp sgt i64 %steps, 0")
    first_rows = writer.assign(f"select i1 {any_step}, i64 1, i64 0")
    stepped = _within(vectors, writer.load_index(registers[loop.offsets], first_rows))
    for state in finals:
        _enter(vectors, state, registers, str(registers[state.final or ""]), stepped, "%stop")
    doubled = [state for state in loop.states if state.current != state.following]
    carried = [
        ("i64", "%start"),
        *(pair for state in doubled for pair in (("ptr", registers[state.current]), ("ptr", registers[state.following]))),
    ]
    with writer.carrying_loop("0", "%steps", 1, carried, "turn") as (turn, held, following):
        entered, pointers = held[0], held[1:]
        step = writer.subtract(writer.subtract("%steps", 1), turn) if loop.reverse else turn
        token = writer.load_index(registers[loop.offsets], step)
        after = writer.load_index(registers[loop.offsets], writer.add(step, 1))
        rows = _within(vectors, writer.subtract(after, token, "rows"))
        now = dict(registers)
        for number, state in enumerate(doubled):
            now[state.current], now[state.following] = pointers[2 * number], pointers[2 * number + 1]
        for state in loop.states:
            _enter(vectors, state, registers, now[state.current], entered, rows)
        with writer.when(writer.assign(f"icmp slt i64 %start, {rows}")):
            for call in calls:
                sizes = ("i64 %start", f"i64 {rows}", f"i64 {token}") if call.fixed is None else call.fixed
                with timed(call.name):
                    writer.do(f"call void @{call.name}({', '.join([*(f'ptr {now[buffer]}' for buffer in call.buffers), *sizes])})")
        staying = _within(vectors, _staying(vectors, loop, registers[loop.offsets], step, after, rows))
        for state in finals:
            _copy(vectors, now[state.following], str(registers[state.final or ""]), staying, rows, state.width)
        following.append(_larger(vectors, entered, rows))
        for state in doubled:
            following.extend((now[state.following], now[state.current]))


def _within(vectors: Vectors, row: str) -> str:
    """The nearest of %start .. %stop."""
    least = vectors.writer.assign(f"call i64 @llvm.smax.i64(i64 {row}, i64 %start)")
    for name in ("smax", "smin"):
        vectors.library.declarations[f"declare i64 @llvm.{name}.i64(i64, i64)"] = None
    return vectors.writer.assign(f"call i64 @llvm.smin.i64(i64 {least}, i64 %stop)", "row")


def _staying(vectors: Vectors, loop: ScanLoop, offsets: str, step: str, after: str, rows: str) -> str:
    """How many rows go on to the next turn."""
    writer = vectors.writer
    if loop.reverse:
        return writer.assign(f"select i1 {writer.assign(f'icmp eq i64 {step}, 0')}, i64 0, i64 {rows}", "stay")
    next_step = writer.add(step, 1)
    last = writer.assign(f"icmp eq i64 {next_step}, %steps")
    beyond = writer.assign(f"select i1 {last}, i64 {next_step}, i64 {writer.add(step, 2)}")
    return writer.subtract(writer.load_index(offsets, beyond), after, "stay")


def _larger(vectors: Vectors, left: str, right: str) -> str:
    writer = vectors.writer
    return writer.assign(f"select i1 {writer.assign(f'icmp sgt i64 {left}, {right}')}, i64 {left}, i64 {right}")


def _enter(vectors: Vectors, state: State, registers: Mapping[str, str], to: str, start: str, stop: str) -> None:
    """Rows start .. stop - 1 take their initial value."""
    if state.init is not None:
        _copy(vectors, registers[state.init], to, start, stop, state.width)
        return
    writer = vectors.writer
    vectors.library.declarations["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"] = None
    with writer.when(writer.assign(f"icmp slt i64 {start}, {stop}")):
        size = writer.multiply(writer.subtract(stop, start), state.width * vectors.bytes)
        pointer = vectors.pointer(to, writer.multiply(start, state.width))
        writer.do(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {size}, i1 false)")


def _copy(vectors: Vectors, source: str, to: str, start: str, stop: str, width: int) -> None:
    """Rows start .. stop - 1 of one buffer to the same rows of another."""
    writer = vectors.writer
    vectors.library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
    with writer.when(writer.assign(f"icmp slt i64 {start}, {stop}")):
        size = writer.multiply(writer.subtract(stop, start), width * vectors.bytes)
        offset = writer.multiply(start, width)
        target, origin = vectors.pointer(to, offset), vectors.pointer(source, offset)
        writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {origin}, i64 {size}, i1 false)")
