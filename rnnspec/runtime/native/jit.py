"""Object bytes to callable functions: linked by `elf`, or through LLVM's LLJIT where it can't be."""

from __future__ import annotations

import ctypes
import itertools
import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from rnnspec.contract.target_names import TARGET_VARIABLE
from rnnspec.frozen import frozen
from rnnspec.locks import LLVM, in_llvm
from rnnspec.runtime.native.elf import image_of
from rnnspec.runtime.native.processor import processor_of_linux
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder

NativeCall = Callable[..., None]
"""Takes the addresses of the pointer table and of the dims; releases the GIL while it runs.

One for several threads takes the address of what they share too, and whether the caller follows.
"""

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_SHARED_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

SHARED = "_shared"
"""How the names of functions for several threads end."""


class Unloadable(RuntimeError):
    """Object code that can't be linked, or that lacks a symbol."""


class Assembled(Protocol):
    """Object code with its functions' names and its key in the object cache, "" if it isn't there."""

    @property
    def object_code(self) -> bytes:
        """An object file for this machine."""
        ...

    @property
    def object_key(self) -> str:
        """The key in the object cache; "" if it isn't there."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """The functions that it defines for callers."""
        ...


@frozen
class ObjectCode:
    """Object code alone, as `Assembled` describes it."""

    object_code: bytes
    object_key: str
    symbols: tuple[str, ...]


Code = TypeVar("Code", bound=Assembled)


class Jit:
    """A linker; each loaded object is a library of its own, unloaded some time after its `Loaded` is gone.

    LLVM is imported, and its one LLJIT instance made, for the first object that `elf` leaves to it.
    """

    def __init__(self) -> None:
        self._lljit: Any = None

    def load(self, object_code: bytes, symbols: Sequence[str], imports: Mapping[str, int] | None = None) -> Loaded:
        """Links an object, with `imports` and their addresses, and looks its symbols up; `Unloadable` if that can't be done."""
        return in_llvm(lambda: self._loaded(object_code, symbols, imports or {}))

    def _loaded(self, object_code: bytes, symbols: Sequence[str], imports: Mapping[str, int]) -> Loaded:
        while _gone:
            _kept.pop(_gone.popleft(), None)
        image = image_of(object_code, symbols, imports)
        if image is None:
            return self._linked(object_code, symbols, imports)
        loaded = Loaded(image.addresses)
        _kept[weakref.ref(loaded, _gone.append)] = image
        return loaded

    def _linked(self, object_code: bytes, symbols: Sequence[str], imports: Mapping[str, int]) -> Loaded:
        """By LLVM; `Unloadable` where it isn't installed, as in a package for numpy alone."""
        try:
            import llvmlite.binding as llvm
        except ModuleNotFoundError:
            raise Unloadable("native code can't be linked or made executable here without LLVM, and llvmlite isn't installed") from None

        if self._lljit is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            self._lljit = llvm.create_lljit_compiler(machine, suppress_errors=True)
            _kept[weakref.ref(self, _gone.append)] = self._lljit
        builder = llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        for name, place in imports.items():
            builder.import_symbol(name, place)
        for symbol in symbols:
            builder.export_symbol(symbol)
        try:
            tracker = builder.link(self._lljit, f"rnnspec.{next(_numbers)}")
        except RuntimeError as error:
            raise Unloadable(str(error)) from None
        loaded = Loaded({symbol: tracker[symbol] for symbol in symbols})
        _kept[weakref.ref(loaded, _gone.append)] = tracker, self._lljit
        return loaded

    def load_built(self, build: Callable[[], Code], imports: Callable[[Code], Mapping[str, int]] | None = None) -> tuple[Code, Loaded]:
        """The linked result of `build`. A cached object that can't be linked is removed from the cache and built anew."""
        code = build()
        try:
            return code, self.load(code.object_code, code.symbols, imports and imports(code))
        except Unloadable:
            ObjectCache(default_folder()).remove(code.object_key)
            code = build()
        return code, self.load(code.object_code, code.symbols, imports and imports(code))


_numbers = itertools.count()
_kept: dict[weakref.ref[Any], object] = {}
"""The code of each `Loaded`, and LLVM's side of it. It goes when another one is made: destructors may run anywhere, and LLVM's swallow
interrupts."""
_gone: deque[weakref.ref[Any]] = deque()


def _prototype(symbol: str) -> Callable[[int], NativeCall]:
    return _SHARED_PROTOTYPE if symbol.endswith(SHARED) else _PROTOTYPE


class Loaded:
    """Functions of one object, by their symbols, and where they are; they live as long as this does."""

    def __init__(self, addresses: Mapping[str, int]) -> None:
        self.addresses = addresses
        self.functions = {symbol: _prototype(symbol)(address) for symbol, address in addresses.items()}


def host_identity() -> str:
    """The facts that object code depends on beside the compiler: this machine's processor, the target that `RNNSPEC_TARGET` names,
    and the version of LLVM."""
    return f"{os.environ.get(TARGET_VARIABLE, '')} {_processor_and_llvm()}"


@cache
def _processor_and_llvm() -> str:
    processor = processor_of_linux()
    if processor is not None:
        with LLVM:  # a fork waits for who imports
            import llvmlite
        return f"{llvmlite.__version__} {processor}"
    import llvmlite.binding as llvm

    return in_llvm(
        lambda: " ".join([".".join(map(str, llvm.llvm_version_info)), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()])
    )


def calling(loaded: Loaded, symbol: str) -> Callable[[Sequence[int], Sequence[int]], None]:
    """A function of an object, to be called with a list of addresses and one of dims; it keeps the object loaded."""

    def call(pointers: Sequence[int], dims: Sequence[int]) -> None:
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        sizes = (ctypes.c_int64 * len(dims))(*dims)
        loaded.functions[symbol](ctypes.addressof(table), ctypes.addressof(sizes))

    return call
