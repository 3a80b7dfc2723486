"""The bytes of a data file, or of standard input, and the text in them; nothing larger than the machine's memory is read or unpacked."""

from __future__ import annotations

import errno
import gzip
import io
import sys
import zlib
from typing import BinaryIO

from rnnspec.files import large_limit, open_file, read_at_most

STANDARD_INPUT = "-"

GZIP = ".gz"

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def opened(path: str) -> BinaryIO:
    """A data file, or standard input as a whole; OSError, naming it, if it can't be read or isn't a regular file."""
    if path != STANDARD_INPUT:
        return open_file(path, large_limit())
    content = read_at_most(sys.stdin.buffer.read, large_limit())
    if content is None:
        raise OSError(errno.EFBIG, "it has more bytes than the machine's memory", name_of(path))
    return io.BytesIO(content)


def name_of(path: str) -> str:
    """How messages call it."""
    return "standard input" if path == STANDARD_INPUT else path


def text_of(name: str, file: BinaryIO, *, packed: bool) -> str:
    """The text in a file, UTF-8 with or without a mark in front; ValueError with the line of a byte that is no text.

    `packed`: by gzip.
    """
    content = _unpacked(name, file) if packed else read_at_most(file.read, large_limit())
    if content is None:
        raise ValueError(f"{name}: it has more bytes than the machine's memory")
    if not content.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{name}: it is empty")
    if (place := content.find(0)) >= 0:
        kind = _MARKS.get(content[:2])
        raise ValueError(
            f"{name}: " + (f"it is {kind}: save it as UTF-8" if kind else f"line {_line(content, place)}: a NUL byte, it is no text")
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        raise ValueError(f"{name}: line {_line(content, start)}: it isn't UTF-8 text: byte 0x{content[start]:02X}") from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, which end in a line feed, as on Windows behind a carriage return, and nowhere else."""
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def _unpacked(name: str, file: BinaryIO) -> bytes | None:
    try:
        with gzip.GzipFile(fileobj=file) as unpacking:
            return read_at_most(unpacking.read, large_limit())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: not a readable {GZIP} file: {str(error) or type(error).__name__}") from None
