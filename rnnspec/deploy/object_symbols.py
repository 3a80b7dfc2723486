"""What an object asks of others: objects of ELF, COFF and Mach-O, little-endian."""

from __future__ import annotations

import struct
from typing import NamedTuple

from rnnspec.diagnostics import InternalError

_SYMBOLS = 2
"""The kind of a section of ELF, and of a command of Mach-O, that is a table of symbols."""

_MACHO_NARROW, _MACHO_WIDE = 0xFEEDFACE, 0xFEEDFACF
_MACHO_KIND, _MACHO_SEEN = 0xEE, 0x01
"""Bits of a symbol of Mach-O: what it is, 0 if it is elsewhere; and whether others see it."""

_COFF_SEEN = 2
"""The class of a symbol of COFF that others see."""


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def undefined_symbols(object_code: bytes, object_format: str) -> tuple[str, ...]:
    """The names of C that an object uses and doesn't define, sorted; `object_format`: see `kernel.target.Target`."""
    match object_format:
        case "ELF":
            found = _of_elf(object_code)
        case "COFF":
            found = _of_coff(object_code)
        case "MachO":
            found = {name.removeprefix("_") for name in _of_macho(object_code)}
        case _:
            raise InternalError(f"objects of {object_format} aren't read for symbols")
    return tuple(sorted(found - {""}))


def _of_elf(code: bytes) -> set[str]:
    wide = code[4] == 2
    section = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    start = struct.unpack_from("<Q" if wide else "<I", code, 40 if wide else 32)[0]
    size, count = struct.unpack_from("<HH", code, 58 if wide else 46)
    sections = [_Section(*section.unpack_from(code, start + number * size)[:7]) for number in range(count)]
    entry, where = (24, 6) if wide else (16, 14)
    found: set[str] = set()
    for each in sections:
        if each.kind != _SYMBOLS:
            continue
        names = sections[each.link].offset
        for place in range(each.offset + entry, each.offset + each.size, entry):  # the first one is none
            (name,) = struct.unpack_from("<I", code, place)
            (home,) = struct.unpack_from("<H", code, place + where)
            if home == 0:
                found.add(_text(code, names + name))
    return found


def _of_coff(code: bytes) -> set[str]:
    """https://learn.microsoft.com/windows/win32/debug/pe-format, "COFF symbol table"."""
    start, count = struct.unpack_from("<II", code, 8)
    symbol, names = struct.Struct("<8sIhHBB"), start + 18 * count
    found: set[str] = set()
    further = 0
    for number in range(count):
        if further:  # what belongs to the symbol before
            further -= 1
            continue
        name, value, home, _, seen, further = symbol.unpack_from(code, start + number * symbol.size)
        if (home, value, seen) == (0, 0, _COFF_SEEN):
            is_long = name[:4] == bytes(4)
            found.add(_text(code, names + int.from_bytes(name[4:], "little")) if is_long else name.rstrip(b"\0").decode())
    return found


def _of_macho(code: bytes) -> set[str]:
    """`mach-o/loader.h` and `mach-o/nlist.h`."""
    magic, _, _, _, commands = struct.unpack_from("<IIIII", code)
    if magic not in (_MACHO_NARROW, _MACHO_WIDE):
        raise InternalError("an object that isn't one of Mach-O")
    place, symbol = (32, struct.Struct("<IBBHQ")) if magic == _MACHO_WIDE else (28, struct.Struct("<IBBHI"))
    found: set[str] = set()
    for _ in range(commands):
        command, size = struct.unpack_from("<II", code, place)
        if command == _SYMBOLS:
            start, count, names, _ = struct.unpack_from("<IIII", code, place + 8)
            for number in range(count):
                name, kind, *_ = symbol.unpack_from(code, start + number * symbol.size)
                if kind & _MACHO_SEEN and not kind & _MACHO_KIND:
                    found.add(_text(code, names + name))
        place += size
    return found


def _text(code: bytes, start: int) -> str:
    return code[start : code.index(b"\0", start)].decode()
