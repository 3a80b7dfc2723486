"""The loop in which nests take turns, a few steps each time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import TimeBlock


@frozen
class Turns:
    """Registers: a scan's turns `start` .. `stop` - 1, and their tokens."""

    start: str
    stop: str
    first_token: str
    last_token: str


@contextmanager
def block_loop(vectors: Vectors, block: TimeBlock, offsets: str, steps: str) -> Generator[Turns]:
    """A loop over blocks of steps; with one empty block if there is no step."""
    writer = vectors.writer

    def at_least(least: int, value: str) -> str:
        fewer = writer.assign(f"icmp slt i64 {value}, {least}")
        return writer.assign(f"select i1 {fewer}, i64 {least}, i64 {value}")

    tokens = writer.load_index(offsets, steps)
    turns = writer.assign(f"sdiv i64 {writer.multiply(steps, block.tokens)}, {at_least(1, tokens)}")
    turns = at_least(2, writer.assign(f"and i64 {turns}, -2"))
    count = at_least(1, writer.assign(f"sdiv i64 {writer.subtract(writer.add(steps, turns), 1)}, {turns}"))
    with writer.loop("0", count, hint="block") as number:
        start = writer.multiply(number, turns)
        stop = vectors.smin(writer.add(start, turns), steps)
        edges = (start, stop) if not block.reverse else (writer.subtract(steps, stop), writer.subtract(steps, start))
        yield Turns(start, stop, *(writer.load_index(offsets, edge) for edge in edges))
