"""Lists of texts as plain text, one a line: vocabularies and names of classes, in a model's file and in files of the user's.

A backslash, a line feed and a carriage return in a text are written as `\\\\`, `\\n` and `\\r`; before anything else a backslash stands
for itself, so that other programs' lists are read as they are meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WRITTEN = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_READ = {written: text for text, written in _WRITTEN.items()}
_SPECIAL, _ESCAPE = re.compile(r"[\\\n\r]"), re.compile(r"\\[\\nr]")


def encoded(texts: Iterable[str]) -> bytes:
    """A line for each text, in UTF-8. UnicodeEncodeError for half of a surrogate pair, which is no character."""
    return "".join(_SPECIAL.sub(lambda found: _WRITTEN[found[0]], text) + "\n" for text in texts).encode()


def decoded(content: bytes) -> list[str]:
    """The texts in a file's bytes; ValueError if it isn't UTF-8. The last line needs no end, and lines may end as on Windows."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it isn't UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02X}") from None
    if lines[-1] == "":
        lines.pop()
    return [_ESCAPE.sub(lambda found: _READ[found[0]], line.removesuffix("\r")) for line in lines]


def check_different(texts: Sequence[str], what: str, of: str = "line") -> None:
    """ValueError, with the number of the line, for a text that is empty, comes a second time or is no text."""
    first: dict[str, int] = {}
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{what}: {of} {number}: expected a text, got {type(text).__name__}")
        if not text:
            raise ValueError(f"{what}: {of} {number} is empty")
        if text in first:
            raise ValueError(f"{what}: {of} {number} is the same as {of} {first[text]}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what}: {of} {number} holds half of a surrogate pair, which is no character") from None
        first[text] = number
