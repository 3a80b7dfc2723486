"""The fast path: a small native function as a builtin of CPython's, called on one array that needs no conversion."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array, FastPath
from rnnspec.contract.native_function import NativeFunction, operations
from rnnspec.contract.native_structs import CallRecord
from rnnspec.contract.tuning import Tuning
from rnnspec.frozen import frozen
from rnnspec.locks import cached_property, new_lock, renewed_after_fork
from rnnspec.runtime.native.jit import Jit, Loaded
from rnnspec.runtime.native.memory import address

ONE_OBJECT = 8
"""CPython's METH_O, of a function that takes one object."""


@frozen
class PythonCall:
    """Object code of `symbol`, see `llvm_cpu.python_call`. `imports`: CPython's functions in it. `object_key`: as `Assembled`'s."""

    object_code: bytes
    symbol: str
    imports: tuple[str, ...]
    object_key: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The one function that the object defines."""
        return (self.symbol,)


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


@frozen
class Callee:
    """The native call behind a fast path.

    | field | |
    |---|---|
    | `function` | address of `void step(void **table, int64_t *sizes)` |
    | `tables` | its pointers; steps of a stream alternate between two tables |
    | `sizes` | address of its numbers of rows and steps |
    | `place` | position of the input in each table |
    | `turn` | one number: the table of the next step |
    | `version` | one number: the version of the model's weights |
    | `made_for` | the version of the weights in the tables |
    | `outputs` | the arrays that the function writes, copied for the caller |
    """

    function: int
    tables: Sequence[ctypes.Array[ctypes.c_void_p]]
    sizes: int
    place: int
    turn: Array
    version: Array
    made_for: int
    outputs: Sequence[Array]


class FastPaths:
    """The maker of fast paths; the code that all of them share is built and loaded for the first one."""

    def __init__(self, build: Callable[[], PythonCall], jit: Callable[[], Jit]) -> None:
        self._build, self._jit = build, jit
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """A new lock in a forked child, whose parent's other threads may have held the old one."""
        self._lock = new_lock()

    def of(self, callee: Callee, shape: Sequence[int], dtype: np.dtype[np.generic], keep: object) -> FastPath:
        """For arrays of this shape and dtype. `keep` lives as long as the function does, and its last call."""
        copies = [output.copy for output in callee.outputs]
        extents = np.array(shape, np.int64)
        pointers = (ctypes.c_void_p * len(copies))(*map(id, copies))
        record = CallRecord(
            array_type=id(np.ndarray),
            none=id(None),
            version=address(callee.version),
            made_for=callee.made_for,
            function=callee.function,
            tables=(ctypes.c_void_p * 2)(*(ctypes.addressof(callee.tables[turn % len(callee.tables)]) for turn in range(2))),
            sizes=callee.sizes,
            turn=address(callee.turn),
            turned_by=len(callee.tables) - 1,
            place=callee.place,
            format=ord(dtype.char),
            rank=len(shape),
            shape=address(extents),
            copies=ctypes.addressof(pointers),
            outputs=len(copies),
        )
        with self._lock:
            method, loaded = self._method
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        owned = (ctypes.addressof(record), record, callee, copies, extents, pointers, method, loaded, keep)
        return new(ctypes.addressof(method), owned, None)

    @cached_property
    def _method(self) -> tuple[_Method, Loaded]:
        call, loaded = self._jit().load_built(self._build, _addresses)
        return _Method(b"direct", loaded.addresses[call.symbol], ONE_OBJECT, None), loaded


def _addresses(call: PythonCall) -> Mapping[str, int]:
    return {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in call.imports}


def fast_paths_are_possible() -> bool:
    """Whether this Python is CPython, gives out its functions, and has the lock that a fast path holds."""
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.implementation.name == "cpython" and has_lock and hasattr(ctypes.pythonapi, "PyCFunction_NewEx")


def is_small(function: NativeFunction, sizes: Mapping[Size, int], tuning: Tuning) -> bool:
    """Whether a function may hold the lock while it runs."""
    return operations(function.work, sizes) <= tuning.direct_operations


def no_fast_path(_: object) -> Any:
    """The fast path of a call that has none: always None."""
    return None
