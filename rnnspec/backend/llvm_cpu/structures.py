"""Fields of structures that Python fills in, and elements of arrays, read and written by native code."""

from __future__ import annotations

import ctypes
from typing import Any

from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.native_structs import field_numbers
from rnnspec.frozen import frozen

_TYPES: dict[Any, str] = {ctypes.c_void_p: "ptr", ctypes.c_int64: "i64"}


def struct_type(structure: type[ctypes.Structure]) -> str:
    """The LLVM type of a structure of addresses, int64 and arrays of them."""
    return f"{{ {', '.join(_type(field[1]) for field in structure._fields_)} }}"


def _type(kind: Any) -> str:
    return f"[{kind._length_} x {_type(kind._type_)}]" if issubclass(kind, ctypes.Array) else _TYPES[kind]


@frozen
class Record:
    """A structure at an address, in the function that `writer` writes."""

    writer: FunctionWriter
    structure: type[ctypes.Structure]
    address: str

    def place(self, name: str, element: int | str | None = None) -> str:
        """The address of a field, or of an element of an array in it."""
        further = "" if element is None else f", i64 {element}"
        number = field_numbers(self.structure)[name]
        return self.writer.assign(
            f"getelementptr inbounds {struct_type(self.structure)}, ptr {self.address}, i64 0, i32 {number}{further}", name
        )

    def load(self, name: str, element: int | str | None = None) -> str:
        """The value of a field, or of an element of an array in it."""
        kind: Any = dict(field[:2] for field in self.structure._fields_)[name]
        return self.writer.assign(f"load {_type(kind if element is None else kind._type_)}, ptr {self.place(name, element)}", name)

    def store(self, name: str, value: int | str, element: int | str | None = None) -> None:
        """Gives a field, or an element of an array in it, its value; of an address, 0 is none."""
        kind: Any = dict(field[:2] for field in self.structure._fields_)[name]
        own = _type(kind if element is None else kind._type_)
        value = "null" if own == "ptr" and value == 0 else value
        self.writer.do(f"store {own} {value}, ptr {self.place(name, element)}")

    def item(self, number: str) -> Record:
        """The structure so many behind this one."""
        address = self.writer.assign(f"getelementptr inbounds {struct_type(self.structure)}, ptr {self.address}, i64 {number}", "p")
        return Record(self.writer, self.structure, address)


def place_of(writer: FunctionWriter, kind: str, array: str, number: str) -> str:
    """The address of an array's element; `kind`: its LLVM type."""
    return writer.assign(f"getelementptr inbounds {kind}, ptr {array}, i64 {number}", "p")


def element_of(writer: FunctionWriter, kind: str, array: str, number: str) -> str:
    """The value of an array's element."""
    return writer.assign(f"load {kind}, ptr {place_of(writer, kind, array, number)}")
