"""Where in specs something comes from: the lines that an operation or a loop nest was made of.

What is fused comes from all its parts' lines, as MLIR's fused locations have it. Locations take no part in equality, hashes and
keys of caches: what is computed doesn't depend on where it was written.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from rnnspec.diagnostics import InternalError
from rnnspec.source import Span


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """A line of a spec, numbered from 1; `path` as diagnostics show it."""

    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


Location: TypeAlias = tuple[Line, ...]
"""Lines in their order, each once; none if nobody knows."""

UNKNOWN: Location = ()


def location_of_span(span: Span) -> Location:
    """The line that a span begins in."""
    return (Line(span.source.path, span.source.position(span.start)[0]),)


def fused(locations: Iterable[Location]) -> Location:
    """The lines of all locations."""
    different = list(dict.fromkeys(locations))
    if len(different) == 1:
        return different[0]
    return tuple(sorted({line for location in different for line in location}))


@contextmanager
def told_with(location: Location) -> Generator[None]:
    """An internal error names the lines that were being compiled; the innermost place wins."""
    try:
        yield
    except InternalError as error:
        if location and not error.located:
            error.located = True
            error.args = (f"{error.args[0]}, in what comes from {shown(location)}",)
        raise


def shown(location: Location) -> str:
    """Lines as people read them, those of one file together: `model.rnn:4,7 LSTM.rnn:12`."""
    numbers: dict[str, list[int]] = {}
    for line in location:
        numbers.setdefault(line.path, []).append(line.number)
    return " ".join(f"{path}:{','.join(map(str, of_path))}" for path, of_path in numbers.items())
