"""A builtin of CPython's that calls a native function on arrays: most of a small network's step is the cost of the call itself.

It uses CPython's stable ABI (PEP 384, and PEP 3118's buffers, stable since 3.11) and is the same for all models.
"""

from __future__ import annotations

import re

from rnnspec.backend.llvm_cpu.call_arguments import emit_call_arguments
from rnnspec.backend.llvm_cpu.call_packing import emit_call_packing
from rnnspec.backend.llvm_cpu.call_windows import emit_call_windows
from rnnspec.backend.llvm_cpu.structures import struct_type
from rnnspec.backend.templates import render
from rnnspec.contract.native_structs import CallRecord, OutputRecord, field_numbers
from rnnspec.kernel.target import Target

SYMBOL = "rnnspec_python_call"

_DECLARED = re.compile(r"^declare .*@(Py\w+)\(", re.MULTILINE)


def emit_python_call(target: Target) -> str:
    """`PyObject *rnnspec_python_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count)` as LLVM text.

    `self`: a tuple, first a `CallRecord`'s address. `arguments`: x, or x, a mask and lengths.
    """
    values = {
        "triple": target.triple,
        "symbol": SYMBOL,
        "record_type": struct_type(CallRecord),
        "output_type": struct_type(OutputRecord),
        "record": field_numbers(CallRecord),
    }
    return "\n".join([render("python_call.ll.j2", values), emit_call_arguments(), emit_call_packing(), emit_call_windows()])


def imported_functions(text: str) -> tuple[str, ...]:
    """The functions of CPython's that the text calls, in the order of their names."""
    return tuple(_DECLARED.findall(text))
