"""The entry points of a function: each finds every buffer and calls the loop nests in order, for one thread or for several together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from rnnspec.backend.llvm_cpu.calls import NestCall
from rnnspec.backend.llvm_cpu.clocks import CLOCKS, Clocks
from rnnspec.backend.llvm_cpu.denormals import ControlState, begin_flushing, end_flushing
from rnnspec.backend.llvm_cpu.parallel_rows import OWN_ROWS, even_range, fewer_by_units, place_of, token_range, wait
from rnnspec.backend.llvm_cpu.segments import Segment, begin_sums, keep_states, restore_states, segment_buffers, segment_loop, turns_of
from rnnspec.backend.llvm_cpu.time_blocks import Turns, block_loop
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.contract.dimensions import Dim, Name, Size, Steps, Tokens
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import CallingConvention, calling_convention
from rnnspec.kernel.memory import Plan
from rnnspec.kernel.nodes import Block, Buffer, ColumnReduce, KernelFunction, Outer, ScanLoop, SegmentPhase, Segments, TimeBlock
from rnnspec.kernel.parallel_rows import Pending, is_divided, memory_of
from rnnspec.kernel.target import ELEMENT_BYTES, Target

ALONE = ("i64 0", "i64 1", "ptr null")
"""The further arguments of a scan on one thread, see `llvm_cpu.scan.SHARING`."""


def symbol(name: str) -> str:
    """The exported name of a kernel function."""
    return f"rnnspec_{name.replace('.', '_')}"


def shared_symbol(name: str) -> str:
    """The exported name of its entry point for several threads."""
    return f"{symbol(name)}_shared"


@dataclass
class _Entry:
    """An entry point under way: where its buffers are, and its sizes by name."""

    vectors: Vectors
    buffers: Mapping[str, str]
    sizes: Mapping[Size, str]
    state: ControlState | None

    @property
    def writer(self) -> FunctionWriter:
        return self.vectors.writer

    def size(self, rows: Dim) -> str:
        return str(rows) if isinstance(rows, int) else self.sizes[rows]

    def call(self, call: NestCall, part: tuple[str, str], further: Sequence[str] = ()) -> None:
        """Calls a nest for a part of it."""
        pointers = (f"ptr {self.buffers[name]}" for name in call.buffers)
        sizes = (f"i64 {each}" for each in (*part, *(self.size(rows) for rows in call.further)))
        self.writer.do(f"call void @{quoted(call.name)}({', '.join([*pointers, *sizes, *further])})")

    def turns(self, call: NestCall, turns: Turns | None) -> tuple[str, ...]:
        """The first and last + 1 of the turns that a scan does; none for other nests."""
        if not isinstance(call.node, ScanLoop):
            return ()
        return ("i64 0", f"i64 {self.size(call.node.steps)}") if turns is None else (f"i64 {turns.start}", f"i64 {turns.stop}")

    def block_loop(self, block: TimeBlock) -> AbstractContextManager[Turns]:
        return block_loop(self.vectors, block, self.buffers[block.offsets], self.size(block.steps))

    def in_segment(self, call: NestCall, block: Segments, buffers: Mapping[str, Buffer], segment: Segment) -> _Entry:
        """The entry point as a nest sees it that does one segment."""
        registers = {name: self.buffers[name] for name in call.buffers}
        moved = segment_buffers(self.vectors, block, call.node, buffers, registers, segment)
        tokens = self.writer.subtract(segment.last_token, segment.first_token)
        return replace(self, buffers=moved, sizes={**self.sizes, Tokens(block.steps.number): tokens})

    def end(self) -> str:
        end_flushing(self.writer, self.state)
        return self.writer.text()


CONSTANTS = "@constants"
"""The weights, and what is prepared of them, where they are in the module itself."""


@frozen
class Constants:
    """A library's weights, and what is prepared of them: each buffer's place behind one address.

    That is `CONSTANTS`, or if `passed` the last pointer of the table.
    """

    places: Mapping[str, int]
    passed: bool = False


def passed_arenas(calls: CallingConvention, constants: Constants | None) -> tuple[Space, ...]:
    """The arenas of which a table has the address: all, but for those that are a library's constants."""
    own = (Space.WEIGHT, Space.PREPARED) if constants is not None else ()
    return tuple(space for space in calls.arenas if space not in own)


def _begin(
    name: str,
    parameters: Sequence[str],
    function: KernelFunction,
    calls: CallingConvention,
    target: Target,
    library: Library,
    constants: Constants | None = None,
    *,
    internal: bool = False,
) -> _Entry:
    linkage = "internal" if internal or constants is not None else "dso_local"
    writer = FunctionWriter(name, ["ptr %pointers", "ptr %dims", *parameters], linkage=linkage)
    vectors = Vectors(writer, target, function.dtype, library)
    state = begin_flushing(vectors)
    sizes = _dims(writer, calls)
    return _Entry(vectors, _buffer_registers(vectors, function, calls, sizes, constants), sizes, state)


def emit_entry(
    function: KernelFunction,
    calls: Sequence[NestCall],
    target: Target,
    library: Library,
    *,
    clocks: Clocks | None,
    constants: Constants | None = None,
    internal: bool = False,
) -> str:
    """The entry point for one thread, which calls the nests one after the other.

    `constants`: a library's; the function is its own alone then, or if `internal`.
    """
    passing = calling_convention(function)
    entry = _begin(symbol(function.name), (), function, passing, target, library, constants, internal=internal)
    if clocks:
        slot = entry.writer.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {len(passing.buffers) + len(passing.arenas)}", "p")
        entry.writer.do(f"{CLOCKS} = load ptr, ptr {slot}")

    def one(entry: _Entry, call: NestCall, turns: Turns | None = None) -> None:
        part = ("0", entry.size(call.size))
        if turns is not None and not isinstance(call.node, ScanLoop):
            part = turns.first_token, turns.last_token
        sharing = ALONE if call.shares else ()
        clock = (f"ptr {CLOCKS}",) if clocks and isinstance(call.node, ScanLoop) else ()
        with around(clocks, entry.writer, call.nest):
            entry.call(call, part, (*entry.turns(call, turns), *sharing, *clock))

    for block, several in grouped(function, calls):
        match block:
            case None:
                one(entry, several[0])
            case TimeBlock():
                with entry.block_loop(block) as turns:
                    for call in several:
                        one(entry, call, turns)
            case Segments():
                begin_sums(entry.vectors, block, {buffer.name: buffer for buffer in function.buffers}, entry.buffers)
                for phase, segment in _segments(entry, block):
                    for call in _of_phase(phase, several):
                        part = _SegmentPart.of(entry, function, block, phase, call, segment)
                        part.begin()
                        one(part.entry, call, part.turns)
                        part.end()
    return entry.end()


def _segments(entry: _Entry, block: Segments) -> Iterator[tuple[SegmentPhase, Segment]]:
    """The loops of all phases, one after the other: what is written until the next one is taken is inside."""
    for phase in block.phases:
        with segment_loop(entry.vectors, block, phase, entry.buffers[block.offsets], entry.size(block.steps)) as segment:
            yield phase, segment


def _of_phase(phase: SegmentPhase, calls: Sequence[NestCall]) -> Iterator[NestCall]:
    return (call for call in calls if call.number in phase.nodes)


@frozen
class _SegmentPart:
    """A nest's part of a segment. `whole`, `entry`: the entry point with the buffers of all segments, and of this one."""

    whole: _Entry
    entry: _Entry
    block: Segments
    call: NestCall
    segment: Segment
    keeps: bool
    turns: Turns | None

    @classmethod
    def of(
        cls, whole: _Entry, function: KernelFunction, block: Segments, phase: SegmentPhase, call: NestCall, segment: Segment
    ) -> _SegmentPart:
        buffers = {buffer.name: buffer for buffer in function.buffers}
        entry = whole.in_segment(call, block, buffers, segment)
        turns: Turns | None = None
        if isinstance(call.node, ScanLoop):
            turns = turns_of(whole.vectors, call.node, segment)
        elif not isinstance(call.node, Outer | ColumnReduce):
            turns = Turns("", "", segment.first_token, segment.last_token)
        return cls(whole, entry, block, call, segment, call.number in phase.keeps, turns)

    @property
    def _kept(self) -> tuple[str, ...]:
        return next(each.buffers for each in self.block.kept if each.node == self.call.number)

    def begin(self) -> None:
        """Restores the states of a scan."""
        if isinstance(self.call.node, ScanLoop):
            rows = self.whole.size(self.block.rows)
            restore_states(self.whole.vectors, self.call.node, self._kept, self.whole.buffers, self.segment, rows)

    def end(self) -> None:
        """Keeps the states of a scan, in a phase that does."""
        if isinstance(self.call.node, ScanLoop) and self.keeps:
            rows = self.whole.size(self.block.rows)
            keep_states(self.whole.vectors, self.call.node, self._kept, self.whole.buffers, self.segment, rows)


def grouped(function: KernelFunction, calls: Sequence[NestCall]) -> Iterator[tuple[Block | None, Sequence[NestCall]]]:
    """The calls in order, those of a block together, all others alone."""
    place = 0
    while place < len(calls):
        number = calls[place].number
        block = next((block for block in function.blocks if block.first == number), None)
        end = place + 1
        while block is not None and end < len(calls) and calls[end].number < block.last:
            end += 1
        yield block, calls[place:end]
        place = end


def emit_shared_entry(function: KernelFunction, calls: Sequence[NestCall], target: Target, library: Library) -> str:
    """Each thread does its part of each nest, and waits where the next one needs what others do.

    `%shared`: see `llvm_cpu.parallel_rows`. `%follows`: 0 of the thread that leads, 1 of the others.
    """
    passing = calling_convention(function)
    entry = _begin(shared_symbol(function.name), ("ptr %shared", "i64 %follows"), function, passing, target, library)
    writer = entry.writer
    number = writer.assign("call i64 @rnnspec.join(ptr %shared, i64 %follows)", "number")
    with writer.when(writer.assign(f"icmp sge i64 {number}, 0")):
        shards = writer.assign(f"load i64, ptr {place_of(writer, 'joined')}", "shards")
        parts = _Parts(entry, number, shards)
        first = writer.assign(f"icmp eq i64 {number}, 0")
        pending = Pending(memory_of(function, passing))

        def one(entry: _Entry, call: NestCall, turns: Turns | None = None) -> None:
            if not is_divided(call.node):
                with writer.when(first):
                    entry.call(call, ("0", entry.size(call.size)), entry.turns(call, turns))
                return
            if turns is not None and not isinstance(call.node, ScanLoop):
                entry.call(call, parts.of_tokens(turns))
                return
            part = parts.of(call)
            entry.call(call, part.range, (*entry.turns(call, turns), *part.further))

        def together(calls: Sequence[NestCall], turns: Turns) -> None:
            """Some steps of a block of time, whose tokens all threads divide."""
            inner = Pending(memory_of(function, passing))
            for call in calls:
                if inner.must_wait(call.touches):
                    wait(writer, shards)
                one(entry, call, turns)

        for block, several in grouped(function, calls):
            if block is None:
                if pending.must_wait(several[0].touches):
                    wait(writer, shards)
                one(entry, several[0])
                continue
            # Its tokens are divided block by block, so that nobody finds his own again behind it.
            if pending.must_wait(replace(touch, own=None) for call in several for touch in call.touches):
                wait(writer, shards)
            for call in several:
                if isinstance(call.node, ScanLoop | Outer | ColumnReduce):
                    parts.of(call)  # before the loop, so that it is known in each turn
            if isinstance(block, Segments):
                with writer.when(first):
                    begin_sums(entry.vectors, block, {buffer.name: buffer for buffer in function.buffers}, entry.buffers)
                wait(writer, shards)
                for phase, segment in _segments(entry, block):
                    inner = Pending(memory_of(function, passing))
                    for call in _of_phase(phase, several):
                        part = _SegmentPart.of(entry, function, block, phase, call, segment)
                        if isinstance(call.node, ScanLoop):
                            with writer.when(first):
                                part.begin()
                            wait(writer, shards)
                        elif inner.must_wait(call.touches):
                            wait(writer, shards)
                        one(part.entry, call, part.turns)
                        if isinstance(call.node, ScanLoop):
                            wait(writer, shards)
                            with writer.when(first):
                                part.end()
                    wait(writer, shards)
                continue
            own = parts.own_rows(several)
            with entry.block_loop(block) as turns:
                if own is None:
                    together(several, turns)
                    continue
                with writer.when(own.apart):
                    for call in several:
                        if isinstance(call.node, ScanLoop):
                            one(entry, call, turns)
                        else:
                            for tokens in parts.of_steps(own.rows, block, turns):
                                entry.call(call, tokens)
                with writer.when(writer.assign(f"xor i1 {own.apart}, true")):
                    together(several, turns)
        wait(writer, shards)
    return entry.end()


@frozen
class _Part:
    """A thread's part of a nest. `further`: what else the nest's function takes because of the division.

    `by_units`: an i1, whether the threads share the units of a scan; None of a scan or another nest whose units they never share.
    """

    range: tuple[str, str]
    further: tuple[str, ...] = ()
    by_units: str | None = None


@frozen
class _OwnRows:
    """A thread's rows in a block of time, first and last + 1. `apart`: an i1, whether it does all nests for them and waits for nobody."""

    apart: str
    rows: tuple[str, str]


@dataclass
class _Parts:
    """A thread's part of each nest, found once for all that are divided alike."""

    entry: _Entry
    number: str
    shards: str

    def __post_init__(self) -> None:
        self._known: dict[tuple[object, ...], _Part] = {}

    def of(self, call: NestCall) -> _Part:
        """The part that is a range of what the nest is divided by."""
        key = (call.size, call.node.offsets if isinstance(call.node, ScanLoop) else "", call.shares)
        if key not in self._known:
            self._known[key] = self._part(call)
        return self._known[key]

    def own_rows(self, calls: Sequence[NestCall]) -> _OwnRows | None:
        """See `_OwnRows`; None where some nest of the block isn't divided by its scans' rows."""
        scans = {(call.size, call.node.offsets, call.node.steps): call for call in calls if isinstance(call.node, ScanLoop)}
        if len(scans) != 1 or not all(is_divided(call.node) for call in calls):
            return None
        writer, ((_, offsets, steps),) = self.entry.writer, scans
        tokens = writer.load_index(self.entry.buffers[offsets], self.entry.size(steps))
        least = writer.multiply(writer.multiply(self.entry.size(steps), self.shards), OWN_ROWS)
        apart = writer.assign(f"icmp sge i64 {tokens}, {least}", "apart")
        parts = [self.of(call) for call in calls if isinstance(call.node, ScanLoop)]
        for by_units in dict.fromkeys(part.by_units for part in parts):
            if by_units is not None:
                apart = writer.assign(f"select i1 {by_units}, i1 false, i1 {apart}", "apart")
        return _OwnRows(apart, parts[0].range)

    def of_tokens(self, turns: Turns) -> tuple[str, str]:
        """The thread's part of some steps' tokens."""
        writer = self.entry.writer
        size = writer.subtract(turns.last_token, turns.first_token)
        first, last = even_range(self.entry.vectors, size, self.number, self.shards)
        return writer.add(turns.first_token, first), writer.add(turns.first_token, last)

    def of_steps(self, rows: tuple[str, str], block: TimeBlock, turns: Turns) -> Iterator[tuple[str, str]]:
        """A loop over some steps, each with the tokens of these rows: what is written until the next one is taken is inside."""
        entry, writer = self.entry, self.entry.writer
        with writer.loop(turns.start, turns.stop, hint="turn") as turn:
            step = writer.subtract(writer.subtract(entry.size(block.steps), turn), 1) if block.reverse else turn
            first, end = (writer.load_index(entry.buffers[block.offsets], each) for each in (step, writer.add(step, 1)))
            start, stop = (entry.vectors.smin(writer.add(first, row), end) for row in rows)
            yield start, stop

    def _part(self, call: NestCall) -> _Part:
        vectors, size = self.entry.vectors, self.entry.size(call.size)
        if not isinstance(call.node, ScanLoop):
            return _Part(even_range(vectors, size, self.number, self.shards))
        steps, offsets = self.entry.size(call.node.steps), self.entry.buffers[call.node.offsets]
        rows = token_range(vectors, offsets, steps, size, self.number, self.shards)
        if not call.shares:
            return _Part(rows)
        by_units = fewer_by_units(vectors, call.shares, offsets, steps, size, self.shards)
        chosen = [
            vectors.writer.assign(f"select i1 {by_units}, i64 {one}, i64 {other}")
            for one, other in (("0", rows[0]), (size, rows[1]), (self.number, "0"), (self.shards, "1"))
        ]
        return _Part((chosen[0], chosen[1]), (f"i64 {chosen[2]}", f"i64 {chosen[3]}", "ptr %shared"), by_units)


def around(clocks: Clocks | None, writer: FunctionWriter, nest: str) -> AbstractContextManager[None]:
    """Times the code written inside for a nest, in a timed function."""
    return clocks.around(writer, nest) if clocks else nullcontext()


def _dims(entry: FunctionWriter, calls: CallingConvention) -> dict[Size, str]:
    sizes: dict[Size, str] = {}
    for position, size in enumerate(calls.dims):
        pointer = entry.assign(f"getelementptr inbounds i64, ptr %dims, i64 {position}", "p")
        hint = str(size) if isinstance(size, Name | Tokens | Steps) else "padded"
        sizes[size] = entry.assign(f"load i64, ptr {pointer}", hint)
    return sizes


def _buffer_registers(
    vectors: Vectors,
    function: KernelFunction,
    calls: CallingConvention,
    sizes: Mapping[Size, str],
    constants: Constants | None,
) -> dict[str, str]:
    entry = vectors.writer
    passed = passed_arenas(calls, constants)
    pointers: list[str] = []
    for position in range(len(calls.buffers) + len(passed) + (constants is not None and constants.passed)):
        slot = entry.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {position}", "p")
        pointers.append(entry.assign(f"load ptr, ptr {slot}", "pointer"))
    registers = {buffer.name: pointer for buffer, pointer in zip(calls.buffers, pointers, strict=False)}
    arenas = dict(zip(passed, pointers[len(calls.buffers) :], strict=False))
    plans = {Space.SCRATCH: calls.scratch, Space.TAPE: calls.tape, Space.PREPARED: calls.prepared}
    slots = {space: _slot_registers(vectors, arenas[space], plan, sizes) for space, plan in plans.items() if space in arenas}
    for buffer in function.buffers:
        if constants is not None and buffer.name in constants.places:
            base, place = pointers[-1] if constants.passed else CONSTANTS, constants.places[buffer.name]
            registers[buffer.name] = entry.assign(f"getelementptr inbounds i8, ptr {base}, i64 {place}", "p")
        elif buffer.space in slots and buffer.name in plans[buffer.space].slot_of:
            registers[buffer.name] = slots[buffer.space][plans[buffer.space].slot_of[buffer.name]]
        elif buffer.space in (Space.WEIGHT, Space.GRADIENT) and buffer.space in arenas:
            offset = buffer.offset * ELEMENT_BYTES[buffer.dtype]
            registers[buffer.name] = entry.assign(f"getelementptr inbounds i8, ptr {arenas[buffer.space]}, i64 {offset}", "p")
    return registers


def _slot_registers(vectors: Vectors, arena: str, plan: Plan, sizes: Mapping[Size, str]) -> list[str]:
    """Each slot's address: the sizes before it, as `Slot.size` counts them, with the target's alignment and gap."""
    entry, align, gap = vectors.writer, vectors.target.slot_alignment, vectors.target.slot_gap
    registers: list[str] = []
    offset = "0"
    for slot in plan.slots:
        registers.append(entry.assign(f"getelementptr inbounds i8, ptr {arena}, i64 {offset}", "slot"))
        if isinstance(slot.rows, int):
            size: str | int = -(-max(slot.rows, 1) * slot.row_bytes // align) * align + gap
        else:
            rows = sizes[slot.rows]
            some = entry.assign(f"select i1 {entry.assign(f'icmp sgt i64 {rows}, 1')}, i64 {rows}, i64 1", "rows")
            bytes_ = entry.add(entry.multiply(some, slot.row_bytes), align - 1)
            size = entry.add(entry.assign(f"and i64 {bytes_}, {-align}"), gap, "size")
        offset = entry.add(offset, size)
    return registers
