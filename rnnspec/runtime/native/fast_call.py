"""The fast path: a small native function as a builtin of CPython's, called on arguments that native code checks and takes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import NOTHING_DUE, Array, FastPath
from rnnspec.contract.native_function import NativeFunction, operations
from rnnspec.contract.native_structs import (
    CallRecord,
    ClockRecord,
    HeldRecord,
    IndexRecord,
    InputRecord,
    OutputRecord,
    PairedRecord,
    SeenRecord,
    SourceRecord,
)
from rnnspec.contract.tuning import Tuning
from rnnspec.frozen import frozen
from rnnspec.locks import cached_property, new_lock, renewed_after_fork
from rnnspec.runtime.native.jit import Jit, Loaded
from rnnspec.runtime.native.memory import address

Structure = TypeVar("Structure", bound=ctypes.Structure)

ShownOutput: TypeAlias = tuple[Array, Array | None]
"""An output of a call, and which of its rows have a value, bool (rows, 1); None for all."""

ARRAY_OF_OBJECTS = 0x80
"""CPython's METH_FASTCALL, of a function that takes its arguments' addresses and their number."""


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


@frozen(slots=False)
class Callee:
    """The native call behind a fast path.

    | field | |
    |---|---|
    | `function` | address of `void step(void **table, int64_t *sizes)` |
    | `tables` | its pointers; steps of a stream alternate between two tables |
    | `sizes` | address of its numbers of rows and steps |
    | `turn` | one number: the table of the next step |
    | `guard` | one number: anything but 0 while somebody else has the states |
    | `version` | one number: the version of the model's weights |
    | `made_for` | the version of the weights in the tables |
    | `outputs` | the arrays that the function writes, copied for the caller, each with the rows that have a value |
    | `inputs`, `sources`, `indices`, `held` | records of what is taken and made before the call, and put right behind it |
    | `clocks` | records of a stream's clocks, which make a step before indices are made |
    | `seen`, `paired` | records of what is looked up by the indices, once they are made |
    | `packs` | whether calls make packing indices, and may have masks and lengths |
    """

    function: int
    tables: Sequence[ctypes.Array[ctypes.c_void_p]]
    sizes: int
    turn: Array
    guard: Array
    version: Array
    made_for: int
    outputs: Sequence[ShownOutput]
    inputs: Sequence[InputRecord]
    sources: Sequence[SourceRecord] = ()
    indices: Sequence[IndexRecord] = ()
    held: Sequence[HeldRecord] = ()
    clocks: Sequence[ClockRecord] = ()
    seen: Sequence[SeenRecord] = ()
    paired: Sequence[PairedRecord] = ()
    packs: bool = False


class FastPaths:
    """The maker of fast paths; the code that all of them share is built and loaded for the first one."""

    def __init__(self, build: Callable[[], PythonCall], jit: Callable[[], Jit]) -> None:
        self._build, self._jit = build, jit
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """A new lock in a forked child, whose parent's other threads may have held the old one."""
        self._lock = new_lock()

    def of(self, callee: Callee, keep: object) -> FastPath:
        """A builtin of the call. `keep` lives as long as the function does, and its last call."""
        copies = [array.copy for array, _ in callee.outputs]
        outputs = _array(OutputRecord, [_output(id(copy), *shown) for copy, shown in zip(copies, callee.outputs, strict=True)])
        clocks = _array(ClockRecord, callee.clocks)
        seen, paired = _array(SeenRecord, callee.seen), _array(PairedRecord, callee.paired)
        inputs, sources = _array(InputRecord, callee.inputs), _array(SourceRecord, callee.sources)
        for source in sources:
            source.input = ctypes.addressof(inputs[source.input or 0])
        indices, held = _array(IndexRecord, callee.indices), _array(HeldRecord, callee.held)
        types = {"array": np.ndarray, "list": list, "tuple": tuple, "dict": dict, "int": int, "int64": np.int64}
        record = CallRecord(
            none=id(None),
            nothing=id(NOTHING_DUE),
            **{f"{name}_type": id(kind) for name, kind in types.items()},
            version=address(callee.version),
            made_for=callee.made_for,
            function=callee.function,
            tables=(ctypes.c_void_p * 2)(*(ctypes.addressof(callee.tables[turn % len(callee.tables)]) for turn in range(2))),
            sizes=callee.sizes,
            turn=address(callee.turn),
            guard=address(callee.guard),
            turned_by=len(callee.tables) - 1,
            inputs=ctypes.addressof(inputs),
            input_count=len(inputs),
            sequences=sum(each.sequence for each in callee.inputs),
            packs=callee.packs,
            sources=ctypes.addressof(sources),
            source_count=len(sources),
            indices=ctypes.addressof(indices),
            index_count=len(indices),
            held=ctypes.addressof(held),
            held_count=len(held),
            clocks=ctypes.addressof(clocks),
            clock_count=len(clocks),
            seen=ctypes.addressof(seen),
            seen_count=len(seen),
            paired=ctypes.addressof(paired),
            paired_count=len(paired),
            outputs=ctypes.addressof(outputs),
            output_count=len(outputs),
        )
        with self._lock:
            method, loaded = self._method
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        kept = (outputs, clocks, inputs, sources, indices, held, seen, paired)
        owned = (ctypes.addressof(record), record, callee, copies, kept, method, loaded, keep)
        return new(ctypes.addressof(method), owned, None)

    @cached_property
    def _method(self) -> tuple[_Method, Loaded]:
        call, loaded = self._jit().load_built(self._build, _addresses)
        return _Method(b"direct", loaded.addresses[call.symbol], ARRAY_OF_OBJECTS, None), loaded


def _output(copy: int, array: Array, due: Array | None) -> OutputRecord:
    rows = len(array)
    return OutputRecord(
        copy=copy, due=0 if due is None else address(due), rows=rows, bytes=array.nbytes // max(rows, 1), data=address(array)
    )


def _array(kind: type[Structure], records: Sequence[Structure]) -> ctypes.Array[Structure]:
    return (kind * len(records))(*records)


def _addresses(call: PythonCall) -> Mapping[str, int]:
    return {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in call.imports}


def fast_paths_are_possible() -> bool:
    """Whether this Python is CPython, gives out its functions, and has the lock that a fast path holds."""
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return sys.implementation.name == "cpython" and has_lock and hasattr(ctypes.pythonapi, "PyCFunction_NewEx")


def is_small(function: NativeFunction, sizes: Mapping[Size, int], tuning: Tuning) -> bool:
    """Whether a function may hold the lock while it runs."""
    return operations(function.work, sizes) <= tuning.direct_operations


def no_fast_path(*_: object) -> Any:
    """The fast path of a call that has none: always None."""
    return None
