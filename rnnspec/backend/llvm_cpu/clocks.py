"""A timed build: each loop nest adds the ticks that it takes to its place in an array."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rnnspec.backend.llvm_cpu.vectors import Library
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target

CLOCKS = "%clocks"
"""The parameter, or the register, of the array."""


def tick(writer: FunctionWriter, target: Target, library: Library) -> str:
    """The processor's cycle counter, which runs at one rate at any clock frequency."""
    library.declarations[f"declare i64 @{target.cycle_counter}()"] = None
    return writer.assign(f"call i64 @{target.cycle_counter}()", "tick")


@frozen(slots=False)
class Clocks:
    """`places`: by the names of the nests' functions."""

    target: Target
    library: Library
    places: Mapping[str, int]

    @contextmanager
    def around(self, writer: FunctionWriter, nest: str) -> Generator[None]:
        """Times the code written inside for a nest."""
        start = tick(writer, self.target, self.library)
        yield
        taken = writer.subtract(tick(writer, self.target, self.library), start)
        place = writer.assign(f"getelementptr inbounds i64, ptr {CLOCKS}, i64 {self.places[nest]}", "p")
        total = writer.assign(f"load i64, ptr {place}")
        writer.do(f"store i64 {writer.add(total, taken)}, ptr {place}")
