"""Objects for x86-64 in ELF, linked without LLVM: to load LLVM takes longer than all else that a cached start does.

Generated code needs little: its sections of code and constants side by side, the distances between them, and calls of a few C functions.
An object that needs more is LLVM's to link. The formats are the System V ABI's: gABI, chapter 4, and its AMD64 supplement, section 4.4.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.frozen import frozen


def _struct(**sizes: int) -> np.dtype[np.void]:
    return np.dtype([(name, f"<u{size}") for name, size in sizes.items()])


_SECTION = _struct(name=4, type=4, flags=8, address=8, offset=8, size=8, link=4, info=4, alignment=8, entry=8)
_SYMBOL = _struct(name=4, info=1, other=1, section=2, value=8, size=8)
_RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_HEADER = np.dtype(
    {
        "names": ["ident", "type", "machine", "sections", "section_size", "section_count"],
        "formats": ["<u8", "<u2", "<u2", "<u8", "<u2", "<u2"],
        "offsets": [0, 16, 18, 40, 58, 60],
        "itemsize": 64,
    }
)

_IDENT = int.from_bytes(b"\x7fELF\x02\x01\x01\x00", "little")
"""64 bits, little endian, version 1, System V."""
_RELOCATABLE, _X86_64 = 1, 62
_PROGRAM, _SYMBOLS, _ADDENDS, _NO_ADDENDS, _UNWIND = 1, 2, 4, 9, 0x70000001
_ALLOCATED, _EXECUTABLE, _WRITABLE_OR_OF_THREADS = 0x2, 0x4, 0x401
_DISTANCES = (2, 4)
"""R_X86_64_PC32 and R_X86_64_PLT32: the distance to a symbol, of 32 bits."""
_DISTANCES_TO_SLOTS = (9, 41, 42)
"""R_X86_64_GOTPCREL and its relaxable kinds: the distance to where a symbol's address is."""
_JUMP = b"\xff\x25\x02\x00\x00\x00\xcc\xcc"
"""`jmp *2(%rip)`, filled up to the address that follows."""
_LARGEST = 2**30


class _NotHere(Exception):
    """An object that isn't linked here."""


@frozen
class Image:
    """A linked object: where its functions are, as long as the memory is held."""

    memory: mmap.mmap
    addresses: Mapping[str, int]


def image_of(object_code: bytes, symbols: Sequence[str], imports: Mapping[str, int]) -> Image | None:
    """An object, linked with `imports` and the process's own C functions; None if that is to be LLVM's, or if it is damaged."""
    try:
        content, places = _linked(object_code, symbols, imports)
        memory, address = _executable(content)
    except (_NotHere, ValueError, IndexError, OverflowError, OSError):
        return None
    return Image(memory, {name: address + place for name, place in places.items()})


def _linked(code: bytes, wanted: Sequence[str], imports: Mapping[str, int]) -> tuple[bytes, dict[str, int]]:
    """The bytes of an image that may be anywhere, and the places of the functions in it."""
    header = _records(code, _HEADER, 0, 1)[0]
    _expect(tuple(header[["ident", "type", "machine", "section_size"]]) == (_IDENT, _RELOCATABLE, _X86_64, _SECTION.itemsize))
    sections = _records(code, _SECTION, int(header["sections"]), int(header["section_count"]))
    _expect(not np.any(sections["type"] == _NO_ADDENDS))
    starts, end = _laid_out(sections)
    (table,) = sections[sections["type"] == _SYMBOLS]
    listed = _contained(code, table, _SYMBOL)
    names = _names(code, sections[table["link"]], listed)
    values = _values(listed, sections, starts)
    outside = [number for number, symbol in enumerate(listed) if symbol["section"] == 0 and names[number]]
    slots = -(-end // len(_JUMP)) * len(_JUMP)
    image = np.zeros(slots + 2 * len(_JUMP) * len(outside), np.uint8)
    for start, section in zip(starts, sections, strict=True):
        if start >= 0:
            image[start : start + int(section["size"])] = _contained(code, section, np.dtype(np.uint8))
    for place, number in enumerate(outside):
        values[number] = slots + 2 * len(_JUMP) * place
        jump = _JUMP + _address(names[number], imports).to_bytes(8, "little")
        image[values[number] : values[number] + len(jump)] = np.frombuffer(jump, np.uint8)
    for section in sections[sections["type"] == _ADDENDS]:
        if starts[int(section["info"])] >= 0:
            number = int(section["info"])
            size = int(sections[number]["size"])
            _relocate(image, starts[number], size, _contained(code, section, _RELOCATION), values, outside)
    return image.tobytes(), _functions(wanted, names, listed, sections, values)


def _expect(condition: bool) -> None:
    if not condition:
        raise _NotHere


def _records(code: bytes, kind: np.dtype[Any], offset: int, count: int) -> NDArray[Any]:
    """So many records at an offset; ValueError if the object ends before."""
    return np.frombuffer(code, kind, count, offset)


def _contained(code: bytes, section: Any, kind: np.dtype[Any]) -> NDArray[Any]:
    size = int(section["size"])
    return _records(code, kind, int(section["offset"]), size // kind.itemsize) if size else np.zeros(0, kind)


def _laid_out(sections: NDArray[Any]) -> tuple[list[int], int]:
    """Where each section begins in the image, -1 for one that isn't in it; and where the last one ends."""
    starts: list[int] = []
    end = 0
    for section in sections:
        flags, size, alignment = (int(section[name]) for name in ("flags", "size", "alignment"))
        if not flags & _ALLOCATED or not size:
            starts.append(-1)
            continue
        _expect(not flags & _WRITABLE_OR_OF_THREADS and section["type"] in (_PROGRAM, _UNWIND))
        _expect(0 < alignment <= mmap.PAGESIZE and not alignment & alignment - 1)
        starts.append(-(-end // alignment) * alignment)
        end = starts[-1] + size
        _expect(end < _LARGEST)
    return starts, end


def _names(code: bytes, table: Any, listed: NDArray[Any]) -> list[str]:
    text = _contained(code, table, np.dtype(np.uint8)).tobytes()
    return [text[start : text.index(b"\0", start)].decode() for start in map(int, listed["name"])]


def _values(listed: NDArray[Any], sections: NDArray[Any], starts: Sequence[int]) -> NDArray[np.int64]:
    """Where each symbol is in the image, -1 if it isn't in it."""
    values = np.full(len(listed), -1, np.int64)
    for number, symbol in enumerate(listed):
        section, value = int(symbol["section"]), int(symbol["value"])
        if 0 < section < len(sections) and starts[section] >= 0:
            _expect(value <= int(sections[section]["size"]))
            values[number] = starts[section] + value
    return values


def _address(name: str, imports: Mapping[str, int]) -> int:
    """Of a function outside of the object."""
    if name in imports:
        return imports[name]
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    except AttributeError:
        raise _NotHere from None


def _relocate(
    image: NDArray[np.uint8], start: int, size: int, entries: NDArray[Any], values: NDArray[np.int64], outside: Sequence[int]
) -> None:
    """Fills in the distances of one section, which begins at `start`; `outside`: the symbols that have a slot."""
    to_slots = np.isin(entries["type"], _DISTANCES_TO_SLOTS)
    _expect(bool(np.all(to_slots | np.isin(entries["type"], _DISTANCES))))
    _expect(bool(np.all(np.isin(entries["symbol"][to_slots], outside))))
    _expect(size >= 4 and bool(np.all(entries["offset"] <= size - 4)))
    there = values[entries["symbol"]]
    _expect(bool(np.all(there >= 0) and np.all((entries["addend"] > -_LARGEST) & (entries["addend"] < _LARGEST))))
    at = start + entries["offset"].astype(np.int64)
    distances = there + np.where(to_slots, len(_JUMP), 0) + entries["addend"] - at
    image[at[:, None] + np.arange(4)] = distances.astype("<i4").view(np.uint8).reshape(-1, 4)


def _functions(
    wanted: Sequence[str], names: Sequence[str], listed: NDArray[Any], sections: NDArray[Any], values: NDArray[np.int64]
) -> dict[str, int]:
    """Where the exported functions are."""
    found: dict[str, int] = {}
    for name in wanted:
        _expect(name in names)
        number = names.index(name)
        _expect(values[number] >= 0 and 0 < listed[number]["section"] < len(sections))
        _expect(bool(sections[listed[number]["section"]]["flags"] & _EXECUTABLE))
        found[name] = int(values[number])
    return found


def _executable(content: bytes) -> tuple[mmap.mmap, int]:
    """Memory with these bytes, which nobody may write to any more, and its address; OSError if the system doesn't allow it."""
    memory = mmap.mmap(-1, len(content), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    memory.write(content)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None).mprotect
    if protect(ctypes.c_void_p(address), ctypes.c_size_t(len(content)), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError("this memory may not become executable")
    return memory, address
