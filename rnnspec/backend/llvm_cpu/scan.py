"""The time loop of a scan: rows enter, the step's nests run, rows leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import InitVar, dataclass

from rnnspec.backend.llvm_cpu.clocks import tick
from rnnspec.backend.llvm_cpu.parallel_rows import MOST_IDLE, even_range, place_of, wait
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import CarryBuffers, ScanLoop
from rnnspec.kernel.parallel_units import StepShare


@frozen
class StepCall:
    """A call of a step's loop nest: the function's name and its buffers. `fixed`: its sizes, if they don't depend on the step.

    `share`: each thread's part where several share the units. `fetches`: the function takes the number of the step's tokens, too.
    """

    name: str
    buffers: Sequence[str]
    fixed: Sequence[str] | None
    share: StepShare | None = None
    fetches: bool = False


SHARING = ("i64 %part", "i64 %parts", "ptr %shared")
"""The further parameters of a scan whose units threads can share: the thread's number, the number of threads, their `SharedNumbers`.

A thread that has the rows from %start to %stop for itself is the only part."""


def emit_scan(
    vectors: Vectors,
    loop: ScanLoop,
    registers: Mapping[str, str],
    calls: Sequence[StepCall],
    timed: Callable[[str], AbstractContextManager[None]],
) -> None:
    """The rows from %start to %stop, the turns from %from to %to, an even number of them before, of all %steps.

    `timed` stands around each function's call. Calls with shares: a part of them, see `SHARING`.

    Rows are sorted by their number of real steps, so the rows of a step are the first n. Those at
    `entered` .. n are new; those that have no further step leave.
    """
    writer = vectors.writer
    shares = [call.share for call in calls if call.share]
    part = _Part(vectors, shares) if shares else None
    finals = [state for state in loop.states if state.final is not None]
    any_step = writer.assign("icmp sgt i64 %steps, 0")
    first_rows = writer.assign(f"select i1 {any_step}, i64 1, i64 0")
    stepped = _within(vectors, writer.load_index(registers[loop.offsets], first_rows))
    for state in finals:
        start = part.led(stepped, "%stop") if part else stepped
        _enter(vectors, state, registers, str(registers[state.final or ""]), start, "%stop")
    doubled = [state for state in loop.states if state.current != state.following]
    carried = [
        ("i64", _entered_before(vectors, loop, registers[loop.offsets])),
        *(pair for state in doubled for pair in (("ptr", registers[state.current]), ("ptr", registers[state.following]))),
        *((("i64", part.parts_at_first()), ("i64", "0")) if part else ()),
    ]
    with writer.carrying_loop("%from", "%to", 1, carried, "turn") as (turn, held, following):
        entered, pointers = held[0], held[1:]
        if part:
            part.begin_step(*held[-2:])
        step = writer.subtract(writer.subtract("%steps", 1), turn) if loop.reverse else turn
        token = writer.load_index(registers[loop.offsets], step)
        after = writer.load_index(registers[loop.offsets], writer.add(step, 1))
        tokens = writer.subtract(after, token, "tokens")
        rows = _within(vectors, tokens)
        now = dict(registers)
        for number, state in enumerate(doubled):
            now[state.current], now[state.following] = pointers[2 * number], pointers[2 * number + 1]
        start = part.led(entered, rows) if part else entered
        for state in loop.states:
            _enter(vectors, state, registers, now[state.current], start, rows)
        any_row = writer.assign(f"icmp slt i64 %start, {rows}")
        if part:
            part.wait(writer.assign(f"icmp slt i64 {entered}, {rows}"))
            any_row = writer.assign(f"and i1 {any_row}, {part.works}")
        with writer.when(any_row):
            for call in calls:
                sizes = ("i64 %start", f"i64 {rows}", f"i64 {token}") if call.fixed is None else call.fixed
                if part and call.share:
                    if call.share.waits:
                        part.wait()
                    sizes = part.of(call.share, rows, token)
                if call.fetches:
                    sizes = (*sizes, f"i64 {tokens}")
                with timed(call.name):
                    writer.do(f"call void @{call.name}({', '.join([*(f'ptr {now[buffer]}' for buffer in call.buffers), *sizes])})")
        carried_on = part.end_step(turn) if part else ()
        staying = _within(vectors, _staying(vectors, loop, registers[loop.offsets], step, after, rows))
        start = part.led(staying, rows) if part else staying
        for state in finals:
            _copy(vectors, now[state.following], str(registers[state.final or ""]), start, rows, state.width)
        following.append(_larger(vectors, entered, rows))
        for state in doubled:
            following.extend((now[state.following], now[state.current]))
        following.extend(carried_on)


@dataclass
class _Part:
    """A thread's part of a scan whose units are shared, see `SHARING`. Rows enter and leave by the first of the threads, which leads.

    If it has to wait for too long it goes on alone from the next step on, and the others pass over the rest of the steps.
    """

    vectors: Vectors
    shares: InitVar[Sequence[StepShare]]

    def __post_init__(self, shares: Sequence[StepShare]) -> None:
        self._writer = writer = self.vectors.writer
        self._leads = writer.assign("icmp eq i64 %part, 0")
        blocks = sorted({share.blocks for share in shares if share.blocks > 1})
        self._blocks = {number: even_range(self.vectors, str(number), "%part", "%parts") for number in blocks}
        self._began = self._tick()

    def _tick(self) -> str:
        return tick(self._writer, self.vectors.target, self.vectors.library)

    def parts_at_first(self) -> str:
        """One if the leader went on alone in turns before these."""
        writer = self._writer
        known = writer.label
        with writer.when(writer.assign("icmp sgt i64 %parts, 1")):
            timed_out = writer.assign(f"load atomic i64, ptr {place_of(writer, 'timed_out')} monotonic, align 8", "dismissed")
            told, due = writer.assign(f"icmp sgt i64 {timed_out}, 0"), writer.assign(f"icmp sle i64 {timed_out}, %from")
            alone = writer.assign(f"and i1 {told}, {due}", "alone")
            parts = writer.assign(f"select i1 {alone}, i64 1, i64 %parts", "parts")
            loaded = writer.label
        return writer.assign(f"phi i64 [ {parts}, %{loaded} ], [ %parts, %{known} ]", "parts")

    def begin_step(self, parts: str, waited: str) -> None:
        """Begins a step that `parts` threads share; `waited`: the ticks that this one has waited so far."""
        self._parts, self._waited = parts, waited
        self._several = self._writer.assign(f"icmp sgt i64 {parts}, 1", "several")
        self.works = self._writer.assign(f"or i1 {self._several}, {self._leads}", "works")

    def led(self, start: str, stop: str) -> str:
        """The first row for a nest that the leader alone runs: `start` for the leader, `stop` for the others."""
        return self._writer.assign(f"select i1 {self._leads}, i64 {start}, i64 {stop}", "led")

    def wait(self, needed: str | None = None) -> None:
        """Emits a barrier, if there are several parts; `needed`: an i1, further condition."""
        both = self._several if needed is None else self._writer.assign(f"and i1 {needed}, {self._several}")
        with self._writer.when(both):
            wait(self._writer, self._parts)

    def of(self, share: StepShare, rows: str, token: str) -> tuple[str, ...]:
        """The arguments of a nest's function for the thread's part: all rows of some units, or all units of some rows."""
        writer = self._writer
        if share.blocks > 1:
            first, shared = self._blocks[share.blocks]
            last = writer.assign(f"select i1 {self._several}, i64 {shared}, i64 {share.blocks}", "last")
            return ("i64 %start", f"i64 {rows}", f"i64 {token}", f"i64 {first}", f"i64 {last}")
        first, last = even_range(self.vectors, writer.subtract(rows, "%start"), "%part", self._parts)
        return (f"i64 {writer.add(first, '%start')}", f"i64 {writer.add(last, '%start')}", f"i64 {token}")

    def end_step(self, turn: str) -> tuple[str, str]:
        """Waits; returns the threads that share the next step, and the ticks waited so far.

        To go on alone, the leader writes the number of steps done until then, since others may read it one step later.
        """
        writer = self._writer
        before = writer.label
        with writer.when(self._several):
            done = writer.add(turn, 1, "done")
            place = place_of(writer, "timed_out")
            came = self._tick()
            with writer.when(self._leads):
                barrier_budget = writer.assign(f"load i64, ptr {place_of(writer, 'barrier_budget')}, align 8", "idle")
                allowed = writer.add(barrier_budget, writer.subtract(came, self._began))
                with writer.when(writer.assign(f"icmp sgt i64 {writer.multiply(self._waited, MOST_IDLE)}, {allowed}")):
                    writer.do(f"store atomic i64 {done}, ptr {place} monotonic, align 8")
            wait(writer, self._parts)
            ticks = writer.add(self._waited, writer.subtract(self._tick(), came))
            timed_out = writer.assign(f"load atomic i64, ptr {place} monotonic, align 8", "dismissed")
            told, due = writer.assign(f"icmp sgt i64 {timed_out}, 0"), writer.assign(f"icmp sle i64 {timed_out}, {done}")
            alone = writer.assign(f"and i1 {told}, {due}", "alone")
            parts = writer.assign(f"select i1 {alone}, i64 1, i64 {self._parts}", "parts")
            waited = writer.label
        choice = f"[ {{}}, %{waited} ], [ {{}}, %{before} ]"
        return (
            writer.assign(f"phi i64 {choice.format(parts, self._parts)}", "parts"),
            writer.assign(f"phi i64 {choice.format(ticks, self._waited)}", "waited"),
        )


def _entered_before(vectors: Vectors, loop: ScanLoop, offsets: str) -> str:
    """How many rows have entered before turn %from: those of the turn before."""
    writer = vectors.writer
    begin = writer.label
    with writer.when(writer.assign("icmp sgt i64 %from, 0")):
        step = writer.subtract("%steps", "%from") if loop.reverse else writer.subtract("%from", 1)
        rows = writer.subtract(writer.load_index(offsets, writer.add(step, 1)), writer.load_index(offsets, step))
        before = _within(vectors, rows)
        end = writer.label
    return writer.assign(f"phi i64 [ {before}, %{end} ], [ %start, %{begin} ]", "entered")


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


def _enter(vectors: Vectors, state: CarryBuffers, registers: Mapping[str, str], to: str, start: str, stop: str) -> None:
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
