"""The binary form of WebAssembly: numbers, names and sections, of modules and of LLVM's object files.

The forms are those of the WebAssembly core specification, "Binary Format", and for objects of LLVM's tool conventions, "WebAssembly Object
File Linking".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TypeVar

from rnnspec.frozen import frozen

Item = TypeVar("Item")

MAGIC = b"\0asm\1\0\0\0"
"""How a file begins, with the version."""

PAGE = 65536
"""The bytes that a memory grows by."""


class SectionKind(IntEnum):
    """What a section has."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


@frozen
class Section:
    """A section. `name`: of a custom one, else empty."""

    kind: SectionKind
    name: str
    content: bytes


class Reader:
    """Reads a section from a place on."""

    def __init__(self, content: bytes, place: int = 0) -> None:
        self.content = content
        self.place = place

    @property
    def more(self) -> bool:
        """Whether something is left."""
        return self.place < len(self.content)

    def byte(self) -> int:
        """A byte."""
        self.place += 1
        return self.content[self.place - 1]

    def number(self) -> int:
        """A number of no sign, in groups of seven bits (LEB128)."""
        return self._groups()[0]

    def signed(self) -> int:
        """A number with a sign, in groups of seven bits."""
        value, bits = self._groups()
        return value - (1 << bits) if value >> (bits - 1) else value

    def _groups(self) -> tuple[int, int]:
        """The bits as a number, and how many there are."""
        value, bits = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << bits
            bits += 7
            if not byte & 0x80:
                return value, bits

    def bytes(self) -> bytes:
        """A run of bytes behind its length."""
        size = self.number()
        self.place += size
        return self.content[self.place - size : self.place]

    def name(self) -> str:
        """A name behind its length."""
        return self.bytes().decode()

    def items(self, item: Callable[[Reader], Item]) -> list[Item]:
        """A list behind its length."""
        return [item(self) for _ in range(self.number())]


def number(value: int) -> bytes:
    """A number of no sign, in as few bytes as can be."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def signed(value: int) -> bytes:
    """A number with a sign, in as few bytes as can be."""
    groups = bytearray()
    while not -0x40 <= value < 0x40:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value & 0x7F])


def padded(value: int) -> bytes:
    """A number below 2^31, with a sign or without, in the five bytes that objects leave room for."""
    return bytes([*(value >> 7 * place & 0x7F | 0x80 for place in range(4)), value >> 28 & 0x7F])


def named(name: str) -> bytes:
    """A name with its length."""
    return number(len(name.encode())) + name.encode()


def listed(items: Iterable[bytes]) -> bytes:
    """A list with its length."""
    parts = list(items)
    return number(len(parts)) + b"".join(parts)


def sections(content: bytes) -> list[Section]:
    """The sections of a module or an object, in their order."""
    found: list[Section] = []
    reader = Reader(content, len(MAGIC))
    while reader.more:
        kind = SectionKind(reader.byte())
        inner = Reader(reader.bytes())
        name = inner.name() if kind is SectionKind.CUSTOM else ""
        found.append(Section(kind, name, inner.content[inner.place :]))
    return found


def module(parts: Iterable[tuple[SectionKind, bytes]]) -> bytes:
    """A module of sections, which are given in the order that the specification asks for."""
    return MAGIC + b"".join(bytes([kind]) + number(len(content)) + content for kind, content in parts)
