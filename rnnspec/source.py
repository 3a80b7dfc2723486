"""The text of a spec, and spans in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import field

from rnnspec.frozen import frozen


def _line_starts(text: str) -> tuple[int, ...]:
    starts = [0]
    position = text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return tuple(starts)


@frozen
class SourceFile:
    """A spec's text under the path that diagnostics show (`<spec>` for a text that has none)."""

    path: str
    text: str
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", _line_starts(self.text))

    @classmethod
    def of_text(cls, text: str) -> SourceFile:
        """A text that isn't in a file, under the path `<spec>`."""
        return cls("<spec>", text)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line (numbered from 1) without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].removesuffix("\r")

    def end(self) -> Span:
        """The empty place after the last character that isn't layout."""
        offset = len(self.text.rstrip())
        return Span(self, offset, offset)


@frozen
class Span:
    """Characters `start` to `stop` (exclusive) of a source."""

    source: SourceFile
    start: int
    stop: int

    def to(self, other: Span) -> Span:
        """The span from this one's beginning to the other's end, in the same source."""
        return Span(self.source, self.start, other.stop)

    @property
    def text(self) -> str:
        """The characters of the span."""
        return self.source.text[self.start : self.stop]
