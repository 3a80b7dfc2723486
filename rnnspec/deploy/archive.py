"""Static libraries: object files in an archive, with the index of its symbols that linkers ask for.

The forms are those of GNU ar ("System V", also of COFF), and for Mach-O that of BSD, whose index is a member of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from rnnspec.frozen import frozen

_MAGIC = b"!<arch>\n"


@frozen
class Member:
    """An object file of an archive, and the names that it defines. Its own name, which no linker asks for, may be cut."""

    name: str
    object_code: bytes
    symbols: tuple[str, ...]


def archive(name: str, object_code: bytes, symbols: Sequence[str], *, bsd: bool = False) -> bytes:
    """The archive with one member, see `archive_of`."""
    return archive_of([Member(name, object_code, tuple(symbols))], bsd=bsd)


def archive_of(members: Sequence[Member], *, bsd: bool = False) -> bytes:
    """The archive with these members, the same bytes each time: without times and owners."""
    entries = [(symbol, number) for number, member in enumerate(members) for symbol in member.symbols]
    names = b"".join(symbol.encode() + b"\0" for symbol, _ in entries)
    names += bytes(-len(names) % 8) if bsd else b""
    title = b"__.SYMDEF\0\0\0\0\0\0\0"
    own = [_bsd_member(each) if bsd else _member(f"{each.name[:15]}/", each.object_code) for each in members]
    size = len(title) + 4 + 8 * len(entries) + 4 + len(names) if bsd else 4 + 4 * len(entries) + len(names)
    places = [len(_MAGIC) + 60 + size + size % 2]
    for member in own:
        places.append(places[-1] + len(member))
    if not bsd:
        index = struct.pack(f">{1 + len(entries)}I", len(entries), *(places[number] for _, number in entries)) + names
        return b"".join((_MAGIC, _member("/", index), *own))
    starts = [0]
    for symbol, _ in entries:
        starts.append(starts[-1] + len(symbol) + 1)
    table = b"".join(struct.pack("<II", start, places[number]) for start, (_, number) in zip(starts, entries, strict=False))
    index = struct.pack("<I", 8 * len(entries)) + table + struct.pack("<I", len(names)) + names
    return b"".join((_MAGIC, _member(f"#1/{len(title)}", title + index), *own))


def _bsd_member(member: Member) -> bytes:
    """With its name before its content."""
    name = f"{member.name}\0".encode()
    name += bytes(-len(name) % 8)
    return _member(f"#1/{len(name)}", name + member.object_code)


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)
