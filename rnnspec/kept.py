"""Models whose spec was compiled before, taken from the cache without the compiler being loaded; all others it compiles and keeps.

What is kept is plain data: the signature, what the model was made from, and each native function once it was
needed. It is found again by the spec's text, its parameters and this very package.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import warnings as python_warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.diagnostics import SpecError, SpecWarning
from rnnspec.runtime import artifact
from rnnspec.runtime.cache import ObjectCache, default_folder
from rnnspec.runtime.direct import PythonCall
from rnnspec.runtime.executable import Executable, Formula, NativeUpdate
from rnnspec.runtime.jit import host_identity
from rnnspec.runtime.native import NativeExecutable, Wanted
from rnnspec.runtime.program import NativeFunction
from rnnspec.runtime.signature import Argument, Signature
from rnnspec.runtime.states import CarryingExecutable
from rnnspec.runtime.summary import ModelSource
from rnnspec.runtime.threads import default_threads
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.compiler import Compilation

Spec = str | os.PathLike[str]
Weights = Sequence[object] | Mapping[str, object] | None
PARTS = (".py", ".rnn", ".lark", ".json")
"""Files that the package is made of."""
PLAIN = (bool, int, float, str)
"""Types of parameters whose `repr` stands for them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A compiled spec without its native functions; `warnings`: what it was warned of, as it is shown."""

    signature: Signature
    source: ModelSource
    warnings: str


def compile(
    spec: Spec,
    *,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    weights: Weights = None,
    parameters: Mapping[str, Argument] | None = None,
    **named: Argument,
) -> Model:
    """The model of a spec: a path of a `.rnn` file, or a text with a brace or more than one line.

    `dtype`: float32 or float64, of every float input, weight and output. `seed`: what weights, dropout
    and shuffling are drawn from; None draws it from the system. `weights`: as for `set_weights`.
    `parameters` and all other keywords: the model's own parameters (`units=64`).
    SpecError for a spec that can't be read or compiled; ValueError for anything else that doesn't fit;
    MemoryError for weights that the machine has no room for.
    """
    given = {**(parameters or {}), **named}
    source = _source(spec)
    if source is None:
        from rnnspec import compiler

        source = compiler.read_spec(spec)
    return _model(source, given, dtype, seed, weights)


def load(path: str | os.PathLike[str]) -> Model:
    """The model that `Model.save` wrote, compiled for this machine, or taken from the cache.

    OSError if the file can't be read, ValueError if it is damaged, edited or from a newer version.
    """
    default_threads()  # a wrong variable isn't the file's fault
    saved = artifact.load(path)
    source = SourceFile(f"{os.fspath(path)}!{artifact.SPEC}", saved.text)
    try:
        return _model(source, saved.parameters, saved.dtype, None, saved.weights)
    except SpecError:
        raise
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _source(spec: Spec) -> SourceFile | None:
    """The spec's text, None if it can't be read: then the compiler says why."""
    if isinstance(spec, str) and ("{" in spec or "\n" in spec or not spec.strip()):
        return SourceFile.of_text(spec)
    path = os.fspath(spec)
    try:
        return SourceFile(path, Path(path).read_bytes().decode())
    except (OSError, ValueError):
        return None


def _name(dtype: DTypeLike) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return ""


def _key(source: SourceFile, parameters: Mapping[str, Any], dtype: str) -> str | None:
    """What a model is kept under; None if it isn't kept: other files may be a part of it, or a parameter has no sure name."""
    if "import" in source.text or not all(type(value) in PLAIN for value in parameters.values()):
        return None
    return ObjectCache.key("model", _package(), sys.version, source.path, source.text, dtype, repr(sorted(parameters.items())))


@cache
def _package() -> str:
    """This version, and for a package that is being worked on the state of its files."""
    root = str(Path(__file__).parent)
    files = sorted((path[len(root) :], size, changed) for path, size, changed in _files(root))
    return repr((__version__, files))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and time of change of all the package's files in a folder and below; walked at every start."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith(PARTS):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns


def _read(key: str) -> object:
    """What was kept; None for nothing, and for what no longer fits this package."""
    data = ObjectCache(default_folder()).read(key)
    try:
        return None if data is None else pickle.loads(data)
    except Exception:  # what is damaged is compiled anew, whatever is wrong with it
        return None


def _write(key: str, value: object) -> None:
    ObjectCache(default_folder()).write(key, pickle.dumps(value))


def _model(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike, seed: int | None, weights: Weights) -> Model:
    """The compiler comes in where the spec, or a function that is needed, isn't kept, or a stage is to be shown."""
    key = _key(source, parameters, _name(dtype))
    kept = None if key is None else _read(key)
    compilation = partial(_compilation, source, parameters, dtype)
    if not isinstance(kept, Kept):
        with _no_collections():
            from rnnspec import compiler

            compiled = compiler.build(source, parameters, dtype)
        kept, compilation = Kept(compiled.signature, compiled.source, compiled.warnings), lambda: compiled.compilation
        if key is not None:
            _write(key, kept)
    if kept.warnings:
        python_warnings.warn(SpecWarning(kept.warnings), stacklevel=3)

    def compile_native(wanted: Wanted) -> NativeFunction:
        with _no_collections():
            return compilation().native(wanted)

    def native(wanted: Wanted) -> NativeFunction:
        if key is None:
            return compile_native(wanted)
        own = ObjectCache.key(key, repr(wanted), host_identity())
        function = _read(own)
        if not isinstance(function, NativeFunction):
            function = compile_native(wanted)
            _write(own, function)
        return function

    def print_stage(stage: str, after: str | None) -> str:
        return compilation().print(stage, after)

    def update(formula: Formula, states: int, constants: int) -> NativeUpdate:
        return compilation().update(formula, states, constants)

    executable: Executable = NativeExecutable(kept.signature, native, print_stage, _python_call)
    if kept.signature.states:
        executable = CarryingExecutable(executable, kept.signature.states, kept.signature.dtype)
    return Model(kept.signature, executable, kept.source, seed=seed, weights=weights, compile_update=update)


def _python_call() -> PythonCall:
    """The same for all models."""
    key = ObjectCache.key("Python call", _package(), host_identity())
    kept = _read(key)
    if not isinstance(kept, PythonCall):
        from rnnspec import compiler

        kept = compiler.python_call()
        _write(key, kept)
    return kept


@contextmanager
def _no_collections() -> Generator[None]:
    """Python doesn't look for cyclic garbage: a compiler makes many objects that live on, and going through them is a tenth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compilation(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike) -> Compilation:
    from rnnspec import compiler

    return compiler.build(source, parameters, dtype).compilation
