"""What an ELF object asks of others."""

from __future__ import annotations

import struct
from typing import NamedTuple

_SYMBOLS = 2
"""The kind of a section that is a table of symbols."""


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def undefined_symbols(object_code: bytes) -> tuple[str, ...]:
    """The names that an ELF object of 32 or 64 bits, little-endian, uses and doesn't define, sorted."""
    wide = object_code[4] == 2
    section = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    start = struct.unpack_from("<Q" if wide else "<I", object_code, 40 if wide else 32)[0]
    size, count = struct.unpack_from("<HH", object_code, 58 if wide else 46)
    sections = [_Section(*section.unpack_from(object_code, start + number * size)[:7]) for number in range(count)]
    entry, where = (24, 6) if wide else (16, 14)
    found: set[str] = set()
    for each in sections:
        if each.kind != _SYMBOLS:
            continue
        names = sections[each.link].offset
        for place in range(each.offset + entry, each.offset + each.size, entry):  # the first one is none
            (name,) = struct.unpack_from("<I", object_code, place)
            (home,) = struct.unpack_from("<H", object_code, place + where)
            if home == 0:
                found.add(object_code[names + name : object_code.index(b"\0", names + name)].decode())
    return tuple(sorted(found - {""}))
