"""A builtin of CPython's that calls a native function on an array: most of a small network's step is the cost of the call itself.

It uses CPython's stable ABI (PEP 384, and PEP 3118's buffers, stable since 3.11) and is the same for all models.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from rnnspec.backend.templates import render
from rnnspec.contract.native_structs import CallRecord, field_numbers
from rnnspec.kernel.target import Target

SYMBOL = "rnnspec_python_call"

_DECLARED = re.compile(r"^declare .*@(\w+)\(", re.MULTILINE)

_TYPES: dict[Any, str] = {ctypes.c_void_p: "ptr", ctypes.c_int64: "i64"}


def emit_python_call(target: Target) -> str:
    """`PyObject *rnnspec_python_call(PyObject *self, PyObject *x)` as LLVM text; `self`: a tuple, first a `CallRecord`'s address."""
    values = {"triple": target.triple, "symbol": SYMBOL, "record_type": struct_type(CallRecord), "record": field_numbers(CallRecord)}
    return render("python_call.ll.j2", values)


def imported_functions(text: str) -> tuple[str, ...]:
    """The functions of CPython's that the text calls, in the order of their names."""
    return tuple(_DECLARED.findall(text))


def struct_type(structure: type[ctypes.Structure]) -> str:
    """The LLVM type of a structure of addresses, int64 and arrays of them."""
    return f"{{ {', '.join(_type(field[1]) for field in structure._fields_)} }}"


def _type(kind: Any) -> str:
    return f"[{kind._length_} x {_type(kind._type_)}]" if issubclass(kind, ctypes.Array) else _TYPES[kind]
