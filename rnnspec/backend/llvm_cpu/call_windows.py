"""A direct call's windows and pairs in native code: packing indices over others, and what is looked up by them.

Each function does what one of `contract.packing` does, for one row, window or pair after the other.
"""

from __future__ import annotations

from collections.abc import Callable

from rnnspec.backend.llvm_cpu.structures import Record, element_of, place_of
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.native_structs import PairedRecord, PairRecord, SeenRecord, WindowRecord


def emit_call_windows() -> str:
    """`rnnspec.call.windows`, `.pairs`, `.seen` and `.paired`: void, each of the address of its record."""
    return "\n".join(each.text() for each in (_windows(), _pairs(), _seen(), _paired()))


def _windows() -> FunctionWriter:
    """See `packing.window_mask`."""
    writer = FunctionWriter("rnnspec.call.windows", ["ptr %record"])
    record = Record(writer, WindowRecord, "%record")
    of, time, flip, count, real = (record.load(name) for name in ("of", "time", "flip", "count", "real"))
    stride, dilation = record.load("stride"), record.load("dilation")
    flips = writer.assign(f"icmp ne i64 {flip}, 0")

    def is_real(row: str, step: str) -> str:
        back = writer.subtract(writer.add(time, -1), step)
        there = writer.assign(f"select i1 {flips}, i64 {back}, i64 {step}")
        return writer.assign(f"icmp ne i8 {element_of(writer, 'i8', of, writer.add(writer.multiply(row, time), there))}, 0")

    with writer.loop("0", record.load("rows"), hint="row") as row:
        begin, end = _stretch(writer, time, lambda step: is_real(row, step))
        length = writer.subtract(end, begin)
        windows = _not_below_zero(writer, _ceiling(writer, writer.subtract(length, record.load("ahead")), stride))
        windows = writer.assign(f"select i1 {writer.assign(f'icmp sgt i64 {length}, 0')}, i64 {windows}, i64 0")
        earlier = _earlier(writer, length, stride, record.load("span"))
        skipped = writer.assign(f"sdiv i64 {begin}, {stride}")
        with writer.loop("0", count, hint="t") as t:
            number = writer.subtract(t, skipped)
            own = _is_within(writer, number, "0", windows)
            start = writer.subtract(writer.add(writer.add(begin, writer.multiply(number, stride)), record.load("start")), earlier)
            with writer.carrying_loop("0", record.load("size"), 1, [("i1", "false"), ("i1", "false")], "place") as (
                place,
                carried,
                following,
            ):
                step = writer.add(start, writer.multiply(place, dilation))
                inside = _is_within(writer, step, begin, end)
                nearest = writer.assign(f"select i1 {inside}, i64 {step}, i64 0")
                there = writer.assign(f"and i1 {inside}, {is_real(row, nearest)}")
                following.append(writer.assign(f"or i1 {carried[0]}, {inside}"))
                following.append(writer.assign(f"or i1 {carried[1]}, {there}"))
            counts = writer.assign(f"or i1 {carried[1]}, {writer.assign(f'xor i1 {carried[0]}, true')}")
            byte = writer.assign(f"zext i1 {writer.assign(f'and i1 {own}, {counts}')} to i8")
            writer.do(f"store i8 {byte}, ptr {place_of(writer, 'i8', real, writer.add(writer.multiply(row, count), t))}")
    return writer


def _pairs() -> FunctionWriter:
    """See `packing.pair`."""
    writer = FunctionWriter("rnnspec.call.pairs", ["ptr %record"])
    record = Record(writer, PairRecord, "%record")
    names = ("source", "time", "position", "steps", "real")
    source, time, position, steps, real = (record.load(name) for name in names)
    sees_all = writer.assign(f"icmp eq i64 {record.load('causal')}, 0")
    with writer.loop("0", writer.assign(f"load i64, ptr {record.load('tokens')}"), hint="query") as query:
        row, step = _place(writer, writer.load_index(source, query), time)
        first, here = writer.multiply(row, steps), writer.multiply(query, steps)
        with writer.loop("0", steps, hint="step") as other:
            token = writer.load_index(position, writer.add(first, other))
            is_before = writer.assign(f"or i1 {sees_all}, {writer.assign(f'icmp sle i64 {other}, {step}')}")
            seen = writer.assign(f"and i1 {is_before}, {writer.assign(f'icmp sge i64 {token}, 0')}")
            byte = writer.assign(f"zext i1 {seen} to i8")
            writer.do(f"store i8 {byte}, ptr {place_of(writer, 'i8', real, writer.add(here, other))}")
    return writer


def _seen() -> FunctionWriter:
    """See `packing.window_ids`."""
    writer = FunctionWriter("rnnspec.call.seen", ["ptr %record"])
    record = Record(writer, SeenRecord, "%record")
    names = ("source", "time", "position", "steps", "stride", "result")
    source, time, position, steps, stride, result = (record.load(name) for name in names)
    clamps, owns = (writer.assign(f"icmp ne i64 {record.load(name)}, 0") for name in ("clamp", "own"))
    some = writer.assign(f"icmp sgt i64 {steps}, 0")
    bounds = record.load("bounds")
    with writer.loop("0", record.load("rows"), hint="row") as row:
        first = writer.multiply(row, steps)
        looked_at = writer.assign(f"select i1 {owns}, i64 {steps}, i64 0")
        begin, end = _stretch(
            writer, looked_at, lambda step: writer.assign(f"icmp sge i64 {writer.load_index(position, writer.add(first, step))}, 0")
        )
        pair = writer.multiply(row, 2)
        writer.do(f"store i64 {begin}, ptr {place_of(writer, 'i64', bounds, pair)}")
        whole = writer.assign(f"select i1 {owns}, i64 {end}, i64 {steps}")
        writer.do(f"store i64 {whole}, ptr {place_of(writer, 'i64', bounds, writer.add(pair, 1))}")
    with writer.loop("0", writer.assign(f"load i64, ptr {record.load('tokens')}"), hint="window") as window:
        row, number = _place(writer, writer.load_index(source, window), time)
        first, pair = writer.multiply(row, steps), writer.multiply(row, 2)
        begin, end = (element_of(writer, "i64", bounds, each) for each in (pair, writer.add(pair, 1)))
        earlier = _earlier(writer, writer.subtract(end, begin), stride, record.load("span"))
        skipped = writer.add(record.load("before"), writer.assign(f"sdiv i64 {begin}, {stride}"))
        moved = writer.multiply(writer.subtract(number, skipped), stride)
        step = writer.subtract(writer.add(writer.add(begin, moved), record.load("offset")), earlier)
        inside = _is_within(writer, step, begin, end)
        nearest = _smaller(writer, _larger(writer, step, begin), writer.add(end, -1))
        nearest = writer.assign(f"select i1 {some}, i64 {_not_below_zero(writer, nearest)}, i64 0")
        counts = writer.assign(f"and i1 {some}, {writer.assign(f'or i1 {clamps}, {inside}')}")
        place = place_of(writer, "i32", result, window)
        writer.do(f"store i32 -1, ptr {place}")
        with writer.when(counts):
            token = writer.load_index(position, writer.add(first, nearest))
            writer.do(f"store i32 {writer.assign(f'trunc i64 {token} to i32')}, ptr {place}")
    return writer


def _paired() -> FunctionWriter:
    """See `packing.query_tokens` and `packing.key_tokens`."""
    writer = FunctionWriter("rnnspec.call.paired", ["ptr %record"])
    record = Record(writer, PairedRecord, "%record")
    names = ("source", "time", "queries", "query_time", "position", "result")
    source, time, queries, query_time, position, result = (record.load(name) for name in names)
    of_keys = writer.assign(f"icmp ne ptr {position}, null")
    with writer.loop("0", writer.assign(f"load i64, ptr {record.load('tokens')}"), hint="pair") as pair:
        query, step = _place(writer, writer.load_index(source, pair), time)
        place = place_of(writer, "i32", result, pair)
        writer.do(f"store i32 {writer.assign(f'trunc i64 {query} to i32')}, ptr {place}")
        with writer.when(of_keys):
            row, _ = _place(writer, writer.load_index(queries, query), query_time)
            token = writer.load_index(position, writer.add(writer.multiply(row, time), step))
            writer.do(f"store i32 {writer.assign(f'trunc i64 {token} to i32')}, ptr {place}")
    return writer


def _stretch(writer: FunctionWriter, steps: str, is_real: Callable[[str], str]) -> tuple[str, str]:
    """The first real step and the one behind the last, both 0 where none is; see `packing.stretches`."""
    with writer.carrying_loop("0", steps, 1, [("i64", "0"), ("i64", "0")], "step") as (step, carried, following):
        real = is_real(step)
        is_first = writer.assign(f"and i1 {real}, {writer.assign(f'icmp eq i64 {carried[1]}, 0')}")
        following.append(writer.assign(f"select i1 {is_first}, i64 {step}, i64 {carried[0]}"))
        following.append(writer.assign(f"select i1 {real}, i64 {writer.add(step, 1)}, i64 {carried[1]}"))
    return carried[0], carried[1]


def _earlier(writer: FunctionWriter, count: str, stride: str, span: str) -> str:
    """The number of steps by which windows begin before the sequence under "same" padding, 0 if the span is."""
    last = writer.multiply(writer.add(_ceiling(writer, count, stride), -1), stride)
    lacking = _not_below_zero(writer, writer.subtract(writer.add(last, span), count))
    half = writer.assign(f"sdiv i64 {lacking}, 2")
    return writer.assign(f"select i1 {writer.assign(f'icmp eq i64 {span}, 0')}, i64 0, i64 {half}")


def _ceiling(writer: FunctionWriter, dividend: str, divisor: str) -> str:
    """The quotient, rounded up, of a number from 0 on; of another one a number that isn't above 0."""
    return writer.assign(f"sdiv i64 {writer.add(dividend, writer.add(divisor, -1))}, {divisor}")


def _place(writer: FunctionWriter, number: str, time: str) -> tuple[str, str]:
    """The row and the step of a padded step."""
    return writer.assign(f"sdiv i64 {number}, {time}"), writer.assign(f"srem i64 {number}, {time}")


def _is_within(writer: FunctionWriter, number: str, start: str, stop: str) -> str:
    above = writer.assign(f"icmp sge i64 {number}, {start}")
    return writer.assign(f"and i1 {above}, {writer.assign(f'icmp slt i64 {number}, {stop}')}")


def _larger(writer: FunctionWriter, one: str, other: str) -> str:
    return writer.assign(f"select i1 {writer.assign(f'icmp sgt i64 {one}, {other}')}, i64 {one}, i64 {other}")


def _smaller(writer: FunctionWriter, one: str, other: str) -> str:
    return writer.assign(f"select i1 {writer.assign(f'icmp slt i64 {one}, {other}')}, i64 {one}, i64 {other}")


def _not_below_zero(writer: FunctionWriter, number: str) -> str:
    return _larger(writer, number, "0")
