"""Static libraries: an object file in an archive, with the index of its symbols that linkers ask for.

The forms are those of GNU ar ("System V", also of COFF), and for Mach-O that of BSD, whose index is a member of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_MAGIC = b"!<arch>\n"


def archive(name: str, object_code: bytes, symbols: Sequence[str], *, bsd: bool = False) -> bytes:
    """The archive with one member, the same bytes each time: without times and owners."""
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    if not bsd:
        index_size = 4 + 4 * len(symbols) + len(names)
        place = len(_MAGIC) + 60 + index_size + index_size % 2
        index = struct.pack(f">{1 + len(symbols)}I", len(symbols), *[place] * len(symbols)) + names
        return _MAGIC + _member("/", index) + _member(f"{name}/", object_code)
    names += bytes(-len(names) % 8)
    title, member = b"__.SYMDEF\0\0\0\0\0\0\0", f"{name}\0".encode()
    member += bytes(-len(member) % 8)
    index_size = 4 + 8 * len(symbols) + 4 + len(names)
    place = len(_MAGIC) + 60 + len(title) + index_size
    starts = [0]
    for symbol in symbols:
        starts.append(starts[-1] + len(symbol) + 1)
    entries = b"".join(struct.pack("<II", start, place) for start, _ in zip(starts, symbols, strict=False))
    index = struct.pack("<I", 8 * len(symbols)) + entries + struct.pack("<I", len(names)) + names
    return _MAGIC + _member(f"#1/{len(title)}", title + index) + _member(f"#1/{len(member)}", member + object_code)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)
