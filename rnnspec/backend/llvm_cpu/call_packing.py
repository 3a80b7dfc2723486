"""A direct call's packing indices in native code, as `contract.packing.pack` makes them, the call itself, and its outputs.

All of it is arithmetic in memory of the call's own, whose sizes the record has.
"""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.structures import Record, element_of, place_of
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.native_structs import (
    CallRecord,
    ClockRecord,
    ElementKind,
    HeldRecord,
    IndexRecord,
    InputRecord,
    OutputRecord,
    PairedRecord,
    SeenRecord,
    SourceRecord,
    WindowRecord,
)

_TYPES = {ElementKind.FLOAT32: "float", ElementKind.FLOAT64: "double", ElementKind.INT32: "i32"}
"""What functions read."""


def emit_call_packing() -> str:
    """`void rnnspec.call.pack(ptr record)` makes a `CallRecord`'s indices, `void rnnspec.call.run(ptr record)` calls its function.

    `void rnnspec.call.value(ptr output, ptr absent, ptr place)` puts a new reference to an `OutputRecord`'s value in a place, or to
    the object `absent` where it has none.
    """
    functions = (_source(), _held(), _clock(), _pack(), _run(), _value())
    return "\n".join((emit_index(), *(each.text() for each in functions)))


def emit_index() -> str:
    """`void rnnspec.call.index(ptr record)` makes the index of an `IndexRecord`, with what `emit_call_windows` has."""
    return "\n".join(each.text() for each in (_index(), _shown()))


def _source() -> FunctionWriter:
    """The real steps of a source: a step counts if it is given, and if for each value one of its elements is another."""
    writer = FunctionWriter("rnnspec.call.source", ["ptr %source"])
    source = Record(writer, SourceRecord, "%source")
    taken = Record(writer, InputRecord, source.load("input"))
    kind, data, given, real = taken.load("kind"), taken.load("data"), taken.load("given"), source.load("real")
    width, values, masked = source.load("width"), source.load("values"), source.load("masked")
    different = writer.assign("alloca i1", "different")
    with writer.loop("0", source.load("count"), hint="step") as step:
        here = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', given, step)}, 0")
        first = writer.multiply(step, width)
        with writer.carrying_loop("0", masked, 1, [("i1", here)], "value") as (number, carried, following):
            value = element_of(writer, "double", values, number)
            writer.do(f"store i1 false, ptr {different}")
            for each, name in _TYPES.items():
                with writer.when(writer.assign(f"icmp eq i64 {kind}, {int(each)}")):
                    with writer.carrying_loop("0", width, 1, [("i1", "false")], "u") as (unit, found, after):
                        element = element_of(writer, name, data, writer.add(first, unit))
                        if name != "double":
                            element = writer.assign(f"{'fpext' if name == 'float' else 'sitofp'} {name} {element} to double")
                        after.append(writer.assign(f"or i1 {found[0]}, {writer.assign(f'fcmp une double {element}, {value}')}"))
                    writer.do(f"store i1 {found[0]}, ptr {different}")
            following.append(writer.assign(f"and i1 {carried[0]}, {writer.assign(f'load i1, ptr {different}')}"))
        _store(writer, "i8", writer.assign(f"zext i1 {carried[0]} to i8"), real, step)
    return writer


def _index() -> FunctionWriter:
    """A packing index: rows sorted by their real steps, the most first, equal ones in their order; tokens step by step."""
    writer = FunctionWriter("rnnspec.call.index", ["ptr %index"])
    index = Record(writer, IndexRecord, "%index")
    _sources_of(writer, index)
    time, real, sources = (index.load(name) for name in ("time", "real", "sources"))
    batch = writer.assign(f"load i64, ptr {index.load('batch')}", "batch")
    order, rank, offsets, source, position, lengths, starts = (
        index.load(name) for name in ("order", "rank", "offsets", "source", "position", "lengths", "starts")
    )
    padded = writer.multiply(batch, time)
    writer.do(f"call void @llvm.memset.p0.i64(ptr {real}, i8 0, i64 {padded}, i1 false)")
    with writer.loop("0", index.load("count"), hint="n") as number:
        steps = element_of(writer, "ptr", sources, number)
        with writer.loop("0", padded, hint="step") as step:
            one, other = element_of(writer, "i8", steps, step), element_of(writer, "i8", real, step)
            _store(writer, "i8", writer.assign(f"or i8 {one}, {other}"), real, step)
    bytes_ = writer.multiply(writer.add(time, 1), 4)
    writer.do(f"call void @llvm.memset.p0.i64(ptr {starts}, i8 0, i64 {bytes_}, i1 false)")
    with writer.loop("0", batch, hint="row") as row:
        first = writer.multiply(row, time)
        with writer.carrying_loop("0", time, 1, [("i64", "0")], "step") as (step, carried, following):
            byte = writer.assign(f"zext i8 {element_of(writer, 'i8', real, writer.add(first, step))} to i64")
            following.append(writer.add(carried[0], byte))
        length = carried[0]
        _store_number(writer, length, lengths, row)
        _store_number(writer, writer.add(writer.load_index(starts, length), 1), starts, length)
    with writer.carrying_loop("0", writer.add(time, 1), 1, [("i64", "0")], "back") as (back, carried, following):
        length = writer.subtract(time, back)
        several = writer.load_index(starts, length)
        _store_number(writer, carried[0], starts, length)
        following.append(writer.add(carried[0], several))
    with writer.loop("0", batch, hint="row") as row:
        length = writer.load_index(lengths, row)
        place = writer.load_index(starts, length)
        _store_number(writer, row, order, place)
        _store_number(writer, place, rank, row)
        _store_number(writer, writer.add(place, 1), starts, length)
    # Now `starts` has for each length how many rows are as long or longer.
    _store_number(writer, "0", offsets, "0")
    with writer.carrying_loop("0", time, 1, [("i64", "0"), ("i64", "0")], "step") as (step, carried, following):
        rows = writer.load_index(starts, writer.add(step, 1))
        total = writer.add(carried[0], rows)
        _store_number(writer, total, offsets, writer.add(step, 1))
        some = writer.assign(f"zext i1 {writer.assign(f'icmp sgt i64 {rows}, 0')} to i64")
        following.extend([total, writer.add(carried[1], some)])
    writer.do(f"store i64 {carried[0]}, ptr {index.load('tokens')}")
    writer.do(f"store i64 {carried[1]}, ptr {index.load('steps')}")
    with writer.loop("0", batch, hint="place") as place:
        first = writer.multiply(writer.load_index(order, place), time)
        with writer.carrying_loop("0", time, 1, [("i64", "0")], "step") as (step, carried, following):
            there = writer.add(first, step)
            byte = element_of(writer, "i8", real, there)
            is_real = writer.assign(f"icmp ne i8 {byte}, 0")
            _store_number(writer, "-1", position, there)
            with writer.when(is_real):
                token = writer.add(writer.load_index(offsets, carried[0]), place)
                _store_number(writer, there, source, token)
                _store_number(writer, token, position, there)
            following.append(writer.add(carried[0], writer.assign(f"zext i1 {is_real} to i64")))
    for hold in (0, 1):
        for flip in (0, 1):
            shown = index.load("shown", hold + 2 * flip)
            with writer.when(writer.assign(f"icmp ne ptr {shown}, null")):
                writer.do(f"call void @rnnspec.call.shown(ptr {position}, ptr {shown}, i64 {batch}, i64 {time}, i1 {hold}, i1 {flip})")
    return writer


def _sources_of(writer: FunctionWriter, index: Record) -> None:
    """Makes those sources of an index that come from other indices."""
    windows = Record(writer, WindowRecord, index.load("windows"))
    with writer.loop("0", index.load("window_count"), hint="n") as number:
        writer.do(f"call void @rnnspec.call.windows(ptr {windows.item(number).address})")
    pairs = index.load("pairs")
    with writer.when(writer.assign(f"icmp ne ptr {pairs}, null")):
        writer.do(f"call void @rnnspec.call.pairs(ptr {pairs})")


def _shown() -> FunctionWriter:
    """The token that each step shows, see `PackedIndex.shown`."""
    parameters = ["ptr %position", "ptr %shown", "i64 %batch", "i64 %time", "i1 %hold", "i1 %flip"]
    writer = FunctionWriter("rnnspec.call.shown", parameters)
    with writer.loop("0", "%batch", hint="row") as row:
        first = writer.multiply(row, "%time")
        with writer.carrying_loop("0", "%time", 1, [("i64", "-1")], "step") as (step, carried, following):
            from_end = writer.subtract(writer.add("%time", -1), step)
            seen = writer.assign(f"select i1 %flip, i64 {from_end}, i64 {step}")
            token = writer.load_index("%position", writer.add(first, seen))
            held = writer.assign(f"and i1 %hold, {writer.assign(f'icmp slt i64 {token}, 0')}")
            shown = writer.assign(f"select i1 {held}, i64 {carried[0]}, i64 {token}")
            _store_number(writer, shown, "%shown", writer.add(first, step))
            following.append(shown)
    return writer


def _held() -> FunctionWriter:
    """Rows of a stream's output that are masked show what they showed last."""
    writer = FunctionWriter("rnnspec.call.held", ["ptr %held"])
    held = Record(writer, HeldRecord, "%held")
    rows, width, real, output, shown, started = (held.load(name) for name in ("rows", "bytes", "real", "output", "shown", "started"))
    with writer.loop("0", rows, hint="row") as row:
        first = writer.multiply(row, width)
        now, then = (writer.assign(f"getelementptr inbounds i8, ptr {each}, i64 {first}", "p") for each in (output, shown))
        is_real = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', real, row)}, 0")
        has_started = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', started, row)}, 0")
        with writer.when(is_real):
            writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {then}, ptr {now}, i64 {width}, i1 false)")
            _store(writer, "i8", "1", started, row)
        repeats = writer.assign(f"and i1 {has_started}, {writer.assign(f'xor i1 {is_real}, true')}")
        with writer.when(repeats):
            writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {now}, ptr {then}, i64 {width}, i1 false)")
    return writer


def _clock() -> FunctionWriter:
    """One step of a stream's clock: rows of which no step is left are due, and then wait for a period."""
    writer = FunctionWriter("rnnspec.call.clock", ["ptr %clock"])
    clock = Record(writer, ClockRecord, "%clock")
    rows, period, left, due = (clock.load(name) for name in ("rows", "period", "left", "due"))
    with writer.loop("0", rows, hint="row") as row:
        before = element_of(writer, "i64", left, row)
        is_due = writer.assign(f"icmp eq i64 {before}, 0")
        _store(writer, "i8", writer.assign(f"zext i1 {is_due} to i8"), due, row)
        wait = writer.assign(f"select i1 {is_due}, i64 {period}, i64 {before}")
        _store(writer, "i64", writer.add(wait, -1), left, row)
    return writer


def _value() -> FunctionWriter:
    """A copy of an output, with NaN, whose bits may all be ones, in rows that have no value; `%absent` if no row has one."""
    writer = FunctionWriter("rnnspec.call.value", ["ptr %output", "ptr %absent", "ptr %place"])
    output = Record(writer, OutputRecord, "%output")
    rows, width, due, data = (output.load(name) for name in ("rows", "bytes", "due", "data"))
    waits = writer.assign(f"icmp ne ptr {due}, null")
    looked_at = writer.assign(f"select i1 {waits}, i64 {rows}, i64 0")
    none = writer.assign(f"xor i1 {waits}, true")
    with writer.carrying_loop("0", looked_at, 1, [("i1", none)], "row") as (row, carried, following):
        is_due = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', due, row)}, 0")
        with writer.when(writer.assign(f"xor i1 {is_due}, true")):
            there = writer.assign(f"getelementptr inbounds i8, ptr {data}, i64 {writer.multiply(row, width)}", "p")
            writer.do(f"call void @llvm.memset.p0.i64(ptr {there}, i8 -1, i64 {width}, i1 false)")
        following.append(writer.assign(f"or i1 {carried[0]}, {is_due}"))
    with writer.when(carried[0]):
        copied = writer.assign(f"call ptr @PyObject_CallNoArgs(ptr {output.load('copy')})")
        writer.do(f"store ptr {copied}, ptr %place")
    with writer.when(writer.assign(f"xor i1 {carried[0]}, true")):
        writer.do("call void @Py_IncRef(ptr %absent)")
        writer.do("store ptr %absent, ptr %place")
    return writer


def _pack() -> FunctionWriter:
    writer = FunctionWriter("rnnspec.call.pack", ["ptr %record"])
    record = Record(writer, CallRecord, "%record")
    for array, count, structure, function in (
        ("clocks", "clock_count", ClockRecord, "rnnspec.call.clock"),
        ("sources", "source_count", SourceRecord, "rnnspec.call.source"),
        ("indices", "index_count", IndexRecord, "rnnspec.call.index"),
        ("seen", "seen_count", SeenRecord, "rnnspec.call.seen"),
        ("paired", "paired_count", PairedRecord, "rnnspec.call.paired"),
    ):
        first = Record(writer, structure, record.load(array))
        with writer.loop("0", record.load(count), hint="n") as number:
            writer.do(f"call void @{function}(ptr {first.item(number).address})")
    return writer


def _run() -> FunctionWriter:
    """Puts the inputs into the table whose turn it is, calls the function, and gives the turn to the other table."""
    writer = FunctionWriter("rnnspec.call.run", ["ptr %record"])
    record = Record(writer, CallRecord, "%record")
    turn_place = record.load("turn")
    turn = writer.assign(f"load i64, ptr {turn_place}", "turn")
    table, inputs = record.load("tables", turn), Record(writer, InputRecord, record.load("inputs"))
    with writer.loop("0", record.load("input_count"), hint="n") as number:
        each = inputs.item(number)
        place = each.load("place")
        with writer.when(writer.assign(f"icmp sge i64 {place}, 0")):
            _store(writer, "ptr", each.load("data"), table, place)
    writer.do(f"call void {record.load('function')}(ptr {table}, ptr {record.load('sizes')})")
    writer.do(f"store i64 {writer.assign(f'xor i64 {turn}, ' + record.load('turned_by'))}, ptr {turn_place}")
    held = Record(writer, HeldRecord, record.load("held"))
    with writer.loop("0", record.load("held_count"), hint="n") as number:
        writer.do(f"call void @rnnspec.call.held(ptr {held.item(number).address})")
    return writer


def _store(writer: FunctionWriter, kind: str, value: str, array: str, number: str) -> None:
    writer.do(f"store {kind} {value}, ptr {place_of(writer, kind, array, number)}")


def _store_number(writer: FunctionWriter, value: str, array: str, number: str) -> None:
    """Stores an i64 as an i32."""
    _store(writer, "i32", writer.assign(f"trunc i64 {value} to i32"), array, number)
