"""Models whose spec was compiled before, taken from the cache without the compiler being loaded; all others it compiles and keeps.

What is kept is plain data, as JSON: the signature, what the model was made from, and how each native function that was
needed is called; their object code lies beside it. It is found again by the spec's text, what that imports, its parameters
and this very package.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import warnings as python_warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.contract.executable import Array, Executable, Formula, NativeUpdate
from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import Argument, Signature
from rnnspec.contract.thread_count import default_threads
from rnnspec.diagnostics import SpecError, SpecWarning
from rnnspec.file_kinds import kind_of, no_spec
from rnnspec.files import SPEC_LIMIT, read_file
from rnnspec.locks import LLVM
from rnnspec.runtime.model.weights import checked_weights
from rnnspec.runtime.native.executable import NativeExecutable, Wanted
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.native.jit import host_identity
from rnnspec.runtime.native.stateful import CarryingExecutable
from rnnspec.runtime.storage import model_file
from rnnspec.runtime.storage.dataclass_json import Unfit, from_json, to_json
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.compiler import Compilation, Compiled

Spec = str | os.PathLike[str]
Weights = Sequence[object] | Mapping[str, object] | None
PARTS = (".py", ".rnn", ".lark", ".json")
"""Files that the package is made of."""
PLAIN = (bool, int, float, str)
"""Types of parameters whose `repr` stands for them."""

LARGEST = 2**63
"""No integer as large as this is a parameter of any model; Python prints one of thousands of digits slowly, or not at all."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A compiled spec without its native functions.

    `warnings`: what it was warned of, as it is shown. `imported`: see `compiler.Compiled`.
    """

    signature: Signature
    source: ModelSource
    warnings: str
    imported: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a spec is kept under: `anywhere` if its path doesn't matter, `here` if it imports, or is warned with its path."""

    anywhere: str
    here: str


Coded = TypeVar("Coded", NativeFunction, PythonCall)
Made = TypeVar("Made")


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
        with LLVM:
            from rnnspec import compiler
        source = compiler.read_spec(spec)
    return _model(source, given, dtype, seed, weights)


def load(file: model_file.Source) -> Model:
    """The model that `Model.save` wrote, compiled for this machine, or taken from the cache.

    `file`: its path, its bytes, or a binary file that is read to its end. Nothing else is read: a spec in it
    that imports is refused. OSError if the file can't be read or isn't a regular one, ValueError if it is
    damaged, edited or from a newer version.
    """
    default_threads()  # a wrong variable isn't the file's fault
    return _loaded(file, warn_at=4)


def restored(content: bytes) -> Model:
    """`load`, for copies of models: they don't warn again."""
    return _loaded(content, warn_at=None)


def _loaded(file: model_file.Source, warn_at: int | None) -> Model:
    name, saved = model_file.name_of(file), model_file.load(file)
    source = SourceFile(f"{name}!{model_file.SPEC}", saved.text)
    try:
        return _model(source, saved.parameters, saved.dtype, None, saved.weights, saved=saved.weights, warn_at=warn_at)
    except SpecError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise model_file.ArtifactError(f"{name}: {error}") from None


def _source(spec: Spec) -> SourceFile | None:
    """The spec's text, None if it can't be read: then the compiler says why."""
    if isinstance(spec, str) and ("{" in spec or "\n" in spec or not spec.strip()):
        return SourceFile.of_text(spec) if len(spec) <= SPEC_LIMIT // 4 else None
    path = os.fspath(spec)
    try:
        content = read_file(path, SPEC_LIMIT)
        return None if no_spec(path, kind_of(path, content)) else SourceFile(path, content.decode())
    except (OSError, ValueError):
        return None


def _name(dtype: DTypeLike) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return ""


def _keys(source: SourceFile, parameters: Mapping[str, Any], dtype: str) -> Keys | None:
    """None if it isn't kept: a parameter has no sure name."""
    if not all(type(value) in PLAIN and (type(value) is not int or abs(value) < LARGEST) for value in parameters.values()):
        return None
    parts = ("model", _package(), sys.version, source.text, dtype, repr(sorted(parameters.items())))
    return Keys(ObjectCache.key(*parts), ObjectCache.key(*parts, source.path))


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


def _kept(keys: Keys, saved: bool) -> Kept | None:
    """What was kept, unless an imported file has changed since, or if there is one in what was `saved`."""
    cache = ObjectCache(default_folder())
    for key in (keys.anywhere, keys.here):
        data = cache.read(key)
        if data is None:
            continue
        try:
            found = from_json(Kept, data)
        except Unfit:
            cache.remove(key)
            continue
        if not found.imported or (not saved and all(_is(path, digest) for path, digest in found.imported)):
            return found
    return None


def _is(path: str, digest: str) -> bool:
    """Whether a file's content has that SHA-256."""
    try:
        return hashlib.sha256(read_file(path, SPEC_LIMIT)).hexdigest() == digest
    except (OSError, ValueError):
        return False


def _code(kind: type[Coded], key: str, build: Callable[[], Coded]) -> Coded:
    """A function that was kept under that key, whose object code is kept beside it; else what `build` gives, which is kept."""
    cache = ObjectCache(default_folder())
    data = cache.read(key)
    if data is not None:
        try:
            found = from_json(kind, data)
            object_code = cache.read(found.object_key)
            if object_code is not None:
                return replace(found, object_code=object_code)
        except Unfit:
            cache.remove(key)
    made = build()
    cache.write(key, to_json(replace(made, object_code=b"")))
    return made


def _model(
    source: SourceFile,
    parameters: Mapping[str, Any],
    dtype: DTypeLike,
    seed: int | None,
    weights: Weights,
    *,
    saved: Mapping[str, Array] | None = None,
    warn_at: int | None = 3,
) -> Model:
    """The compiler comes in where the spec, or a function that is needed, isn't kept, or a stage is to be shown.

    `saved`: the weights beside the spec in a model file, if it is from one. `warn_at`: the frame that doubts are told to, None for nobody.
    """
    keys = _keys(source, parameters, _name(dtype))
    kept = None if keys is None else _kept(keys, saved is not None)
    if kept is None:
        compiled = _uncollected(lambda: _built(source, parameters, dtype, imports=saved is None))
        kept, compilation = (
            Kept(compiled.signature, compiled.source, compiled.warnings, compiled.imported),
            lambda: compiled.compilation,
        )
        if keys is not None:
            key = keys.here if kept.warnings or kept.imported else keys.anywhere
            ObjectCache(default_folder()).write(key, to_json(kept))
    else:
        compilation = partial(_compilation, SourceFile(source.path, kept.source.text), parameters, dtype)
    if kept.warnings and warn_at is not None:
        python_warnings.warn(SpecWarning(kept.warnings), stacklevel=warn_at)
    if saved is not None:
        _check_shapes(kept.signature, saved)
    key = None if keys is None else ObjectCache.key(keys.anywhere, repr(kept.imported))

    def compile_native(wanted: Wanted) -> NativeFunction:
        return _uncollected(lambda: compilation().native(wanted))

    def native(wanted: Wanted) -> NativeFunction:
        build = partial(compile_native, wanted)
        return build() if key is None else _code(NativeFunction, ObjectCache.key(key, repr(wanted), host_identity()), build)

    def print_stage(stage: str, after: str | None) -> str:
        return compilation().print(stage, after)

    def update(formula: Formula, states: int, constants: int) -> NativeUpdate:
        return compilation().update(formula, states, constants)

    executable: Executable = NativeExecutable(kept.signature, native, print_stage, _python_call)
    if kept.signature.states:
        executable = CarryingExecutable(executable, kept.signature.states, kept.signature.dtype)
    return Model(kept.signature, executable, kept.source, seed=seed, weights=weights, compile_update=update, restore=restored)


def _check_shapes(signature: Signature, weights: Mapping[str, Array]) -> None:
    """ValueError for weights of other names or shapes than the spec's, before memory is taken for those."""
    if {name: value.shape for name, value in weights.items()} != {weight.name: weight.shape for weight in signature.weights}:
        checked_weights(signature.weights, np.dtype(signature.dtype), weights)


def _python_call() -> PythonCall:
    """The same for all models."""

    def build() -> PythonCall:
        with LLVM:
            from rnnspec import compiler
        return compiler.python_call()

    return _code(PythonCall, ObjectCache.key("Python call", _package(), host_identity()), build)


def _uncollected(work: Callable[[], Made]) -> Made:
    """`work`, while Python doesn't look for cyclic garbage.

    A compiler makes many objects that live on, and going through them is a tenth of its time.
    """
    enabled = gc.isenabled()
    try:
        gc.disable()
        return work()
    finally:
        if enabled:
            gc.enable()


def _built(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike, *, imports: bool) -> Compiled:
    # A fork waits for who imports: of what another thread has begun to import, the lock would stay taken in the child.
    with LLVM:
        from rnnspec import compiler
    return compiler.build(source, parameters, dtype, imports=imports)


def _compilation(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike) -> Compilation:
    """Of a text that imports nothing."""
    return _built(source, parameters, dtype, imports=False).compilation
