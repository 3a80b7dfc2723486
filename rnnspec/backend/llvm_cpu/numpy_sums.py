"""Sums of float64 with numpy's bits: pairwise, eight at a time, as `numpy.sum` adds what lies side by side.

Of float32 numbers numpy makes float64 in pieces of `PIECE`, each of which is a pairwise sum.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rnnspec.backend.llvm_cpu.structures import element_of
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.templates import render

SUM, SQUARES, NORM = "rnnspec.sum", "rnnspec.squares", "rnnspec.norm"

PIECE = 8192
"""numpy's buffer, in elements."""

CHUNK = 1 << 15
"""The elements of a gradient that one sum of squares is of, `training.optimizer.CHUNK`."""

_LANES = 8


def emit_sum(name: str, element: str, *, squared: bool) -> list[str]:
    """`double name(values, count)`: the sum of numbers of a type, or of their squares, which are rounded to the type.

    Halves are added, and halves of them, until there are 128 numbers at most: without recursion, whose stack nobody could count.
    """
    return [_block(f"{name}.block", element, squared=squared), render("pairwise_sum.ll.j2", {"name": name, "element": element})]


def _block(name: str, element: str, *, squared: bool) -> str:
    """The sum of a few numbers, or of their squares."""
    writer = FunctionWriter(name, ["ptr %values", "i64 %count"], result="double")
    result = writer.on_stack("double", "sum")

    def value(number: str) -> str:
        found = element_of(writer, element, "%values", number)
        found = writer.assign(f"fmul {element} {found}, {found}") if squared else found
        return found if element == "double" else writer.assign(f"fpext float {found} to double")

    def added(first: str, start: str) -> str:
        with writer.carrying_loop(start, "%count", 1, [("double", first)], "i") as (number, (total,), following):
            following.append(writer.assign(f"fadd double {total}, {value(number)}"))
        return total

    def store(total: str) -> None:
        writer.do(f"store double {total}, ptr {result}")

    with writer.when(writer.assign(f"icmp slt i64 %count, {_LANES}")):
        store(added("-0.0", "0"))
    some = writer.assign(f"icmp sge i64 %count, {_LANES}")
    with writer.when(some):
        end = writer.assign(f"and i64 %count, {-_LANES}")
        first = [("double", value(str(lane))) for lane in range(_LANES)]
        with writer.carrying_loop(str(_LANES), end, _LANES, first, "block") as (number, sums, following):
            for lane, total in enumerate(sums):
                following.append(writer.assign(f"fadd double {total}, {value(writer.add(number, lane))}"))
        while len(sums) > 1:
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [writer.assign(f"fadd double {left}, {right}") for left, right in pairs]
        store(added(sums[0], end))
    return writer.text(writer.assign(f"load double, ptr {result}", "sum"))


def emit_norm(element: str) -> str:
    """`double NORM(values, count)`: the sum of squares of a weight's gradient, chunk by chunk."""
    writer = FunctionWriter(NORM, ["ptr %values", "i64 %count"], result="double")
    with _pieces(writer, "0", "%count", CHUNK, "0.0", "chunk") as (chunk, end, total, following):
        if element == "double":
            following.append(_plus(writer, element, total, chunk, end))
        else:
            with _pieces(writer, chunk, end, PIECE, "0.0", "piece") as (piece, stop, so_far, then):
                then.append(_plus(writer, element, so_far, piece, stop))
            following.append(writer.assign(f"fadd double {total}, {so_far}"))
    return writer.text(total)


def _plus(writer: FunctionWriter, element: str, total: str, start: str, end: str) -> str:
    place = writer.assign(f"getelementptr inbounds {element}, ptr %values, i64 {start}", "p")
    part = writer.assign(f"call double @{quoted(SQUARES)}(ptr {place}, i64 {writer.subtract(end, start)})")
    return writer.assign(f"fadd double {total}, {part}")


@contextmanager
def _pieces(
    writer: FunctionWriter, start: str, stop: str, size: int, initial: str, hint: str
) -> Generator[tuple[str, str, str, list[str]]]:
    """A loop over pieces of a range: yields the first place and last + 1 of each, the sum so far, and the list for the next one."""
    with writer.carrying_loop(start, writer.add(stop, size - 1), size, [("double", initial)], hint) as (place, (total,), following):
        end = writer.add(place, size)
        within = writer.assign(f"icmp slt i64 {end}, {stop}")
        yield place, writer.assign(f"select i1 {within}, i64 {end}, i64 {stop}"), total, following
