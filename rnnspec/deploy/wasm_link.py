"""An object file for WebAssembly, linked into a module that imports nothing.

The memory begins with the stack: one that overflowed would leave the memory, which is an error at once, instead of overwriting weights.
Behind it lie the constants, then what callers put there, from the global `__heap_base` on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from enum import IntEnum

from rnnspec.deploy.wasm_format import PAGE, Reader, Section, SectionKind, listed, module, named, number, padded, sections, signed
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen

_FUNCTION, _DATA, _GLOBAL, _SECTION = 0, 1, 2, 3
"""Kinds of symbols; the first and third of imports and exports as well, where a memory is 2."""

_MEMORY_PORT, _GLOBAL_PORT = 2, 3
"""Kinds of imports and exports."""

_UNDEFINED, _EXPLICIT_NAME = 0x10, 0x40
"""Flags of a symbol."""

_SEGMENTS, _SYMBOLS = 5, 8
"""Parts of the section "linking"."""

_STACK_POINTER = "__stack_pointer"

_I32_CONST, _I32_SUB, _END, _I32 = 0x41, 0x6B, 0x0B, 0x7F


class _Relocation(IntEnum):
    """What is written at a place of the code."""

    FUNCTION_INDEX = 0
    MEMORY_ADDRESS = 3
    MEMORY_ADDRESS_SIGNED = 4
    GLOBAL_INDEX = 7


_RELOCATIONS = {kind.value: kind for kind in _Relocation}

_WITH_ADDEND = {_Relocation.MEMORY_ADDRESS, _Relocation.MEMORY_ADDRESS_SIGNED}


@frozen
class _Symbol:
    """`index`: of a function or global; of data, its segment. `offset`: in the segment."""

    kind: int
    name: str
    index: int
    offset: int = 0


@frozen
class _Fixup:
    """A relocation: what is to be written at `place` of the section."""

    kind: _Relocation
    place: int
    symbol: _Symbol
    addend: int


@frozen
class Linked:
    """A module. `stack`: the bytes of stack that its functions take at most, from the first call to the last."""

    content: bytes
    stack: int


def link_module(object_code: bytes, exports: Collection[str]) -> Linked:
    """The module of an object that LLVM made, with these functions, `memory` and `__heap_base` as its exports.

    InternalError for an object that needs functions of others, or has anything that the code of libraries has no use for.
    """
    found = sections(object_code)
    plain = {section.kind: section.content for section in found if section.kind is not SectionKind.CUSTOM}
    custom = {section.name: section.content for section in found if section.kind is SectionKind.CUSTOM}
    _refuse_imports(plain[SectionKind.IMPORT])
    alignments, symbols = _linking(custom["linking"])
    fixups = _fixups(custom, found, symbols)
    stack = _stack(plain[SectionKind.CODE], fixups)
    data, starts, end = _data(plain.get(SectionKind.DATA, number(0)), alignments, stack + -stack % 16)
    heap = end + -end % 16
    code = bytearray(plain[SectionKind.CODE])
    for fixup in fixups:
        code[fixup.place : fixup.place + 5] = padded(_value(fixup, starts))
    functions = {symbol.name: symbol.index for symbol in symbols if symbol.kind == _FUNCTION}
    ports = [named(name) + bytes([_FUNCTION]) + number(functions[name]) for name in exports]
    ports += [named("memory") + bytes([_MEMORY_PORT]) + number(0), named("__heap_base") + bytes([_GLOBAL_PORT]) + number(1)]
    pointer = bytes([_I32, 1, _I32_CONST]) + signed(stack + -stack % 16) + bytes([_END])
    base = bytes([_I32, 0, _I32_CONST]) + signed(heap) + bytes([_END])
    parts = {
        SectionKind.TYPE: plain[SectionKind.TYPE],
        SectionKind.FUNCTION: plain[SectionKind.FUNCTION],
        SectionKind.MEMORY: listed([b"\0" + number(-(-heap // PAGE))]),
        SectionKind.GLOBAL: listed([pointer, base]),
        SectionKind.EXPORT: listed(ports),
        SectionKind.CODE: bytes(code),
        SectionKind.DATA: data,
    }
    return Linked(module(parts.items()), stack)


def _refuse_imports(content: bytes) -> None:
    """Only the memory and the stack pointer may be others', and the linker makes both."""
    reader = Reader(content)
    for _ in range(reader.number()):
        owner, name, kind = reader.name(), reader.name(), reader.byte()
        if kind == _MEMORY_PORT:
            limited = reader.byte() & 1
            for _ in range(1 + limited):
                reader.number()
        elif kind == _GLOBAL_PORT and name == _STACK_POINTER:
            reader.place += 2
        else:
            raise InternalError(f"a library for WebAssembly imports {owner}.{name}")


def _linking(content: bytes) -> tuple[list[int], list[_Symbol]]:
    """The alignments of the segments of data, and all symbols."""
    reader = Reader(content)
    if (version := reader.number()) != 2:
        raise InternalError(f"an object for WebAssembly in version {version} of its form")
    alignments: list[int] = []
    symbols: list[_Symbol] = []
    while reader.more:
        kind, part = reader.byte(), Reader(reader.bytes())
        if kind == _SEGMENTS:
            alignments = part.items(_alignment)
        elif kind == _SYMBOLS:
            symbols = part.items(_symbol)
    return alignments, symbols


def _alignment(reader: Reader) -> int:
    reader.name()
    alignment = 1 << reader.number()
    reader.number()  # flags
    return alignment


def _symbol(reader: Reader) -> _Symbol:
    kind, flags = reader.byte(), reader.number()
    match kind:
        case 1:
            name = reader.name()
            if flags & _UNDEFINED:
                raise InternalError(f"a library for WebAssembly needs {name}")
            index, offset, _size = reader.number(), reader.number(), reader.number()
            return _Symbol(_DATA, name, index, offset)
        case 3:
            return _Symbol(_SECTION, "", reader.number())
        case 0 | 2:
            index = reader.number()
            return _Symbol(kind, "" if flags & _UNDEFINED and not flags & _EXPLICIT_NAME else reader.name(), index)
        case _:
            raise InternalError(f"an object for WebAssembly with a symbol of kind {kind}")


def _fixups(custom: Mapping[str, bytes], found: list[Section], symbols: list[_Symbol]) -> list[_Fixup]:
    """The relocations of the code; InternalError for those of anything else."""
    fixups: list[_Fixup] = []
    for name, content in custom.items():
        if not name.startswith("reloc."):
            continue
        reader = Reader(content)
        if found[reader.number()].kind is not SectionKind.CODE:
            raise InternalError(f"an object for WebAssembly with {name}")
        for _ in range(reader.number()):
            number_of_kind, place, symbol = reader.byte(), reader.number(), symbols[reader.number()]
            kind = _RELOCATIONS.get(number_of_kind)
            if kind is None:
                raise InternalError(f"an object for WebAssembly with a relocation of kind {number_of_kind}")
            fixups.append(_Fixup(kind, place, symbol, reader.signed() if kind in _WITH_ADDEND else 0))
    return fixups


def _value(fixup: _Fixup, starts: list[int]) -> int:
    match fixup.kind:
        case _Relocation.FUNCTION_INDEX:
            return fixup.symbol.index
        case _Relocation.GLOBAL_INDEX:
            return 0  # the stack pointer is the only one
        case _Relocation.MEMORY_ADDRESS | _Relocation.MEMORY_ADDRESS_SIGNED:
            return starts[fixup.symbol.index] + fixup.symbol.offset + fixup.addend


def _data(content: bytes, alignments: list[int], begin: int) -> tuple[bytes, list[int], int]:
    """The section of data from an address on; each segment's address, and the end of all."""
    reader, starts, segments, end = Reader(content), list[int](), list[bytes](), begin
    for alignment, _ in zip(alignments, range(reader.number()), strict=True):
        if (reader.byte(), reader.byte()) != (0, _I32_CONST):
            raise InternalError("an object for WebAssembly with a segment that isn't the memory's")
        reader.signed()
        reader.byte()
        held = reader.bytes()
        end += -end % alignment
        starts.append(end)
        segments.append(bytes([0, _I32_CONST]) + signed(end) + bytes([_END]) + number(len(held)) + held)
        end += len(held)
    return listed(segments), starts, end


def _stack(code: bytes, fixups: list[_Fixup]) -> int:
    """The bytes of stack of the deepest chain of calls. A function takes its part by subtracting a number from the stack pointer."""
    reader = Reader(code)
    begins: list[int] = []
    for _ in range(reader.number()):
        size = reader.number()
        begins.append(reader.place)
        reader.place += size
    frames = [0] * len(begins)
    calls: list[set[int]] = [set() for _ in begins]
    for fixup in sorted(fixups, key=lambda fixup: fixup.place):
        home = bisect_right(begins, fixup.place) - 1
        if fixup.kind is _Relocation.FUNCTION_INDEX:
            calls[home].add(fixup.symbol.index)
        elif fixup.kind is _Relocation.GLOBAL_INDEX and not frames[home]:
            frames[home] = _frame(code, fixup.place + 5)

    def depth(function: int) -> int:
        return frames[function] + max((depth(each) for each in calls[function]), default=0)

    return max((depth(function) for function in range(len(begins))), default=0)


def _frame(code: bytes, place: int) -> int:
    reader = Reader(code, place)
    if reader.byte() == _I32_CONST:
        frame = reader.signed()
        if reader.byte() == _I32_SUB:
            return frame
    raise InternalError("an object for WebAssembly with a stack of no fixed size")
