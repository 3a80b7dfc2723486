"""Specs and native functions that were compiled before, in the cache folder.

What is kept is plain data, as JSON: the signature, what the model was made from, and how each native function that was
needed is called; their object code lies beside it. It is found again by the spec's text, what that imports, its parameters
and this very package.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import Signature
from rnnspec.files import SPEC_LIMIT, read_file
from rnnspec.frozen import frozen
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.storage.dataclass_json import Unfit, from_json, to_json
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder
from rnnspec.source import SourceFile
from rnnspec.version import __version__

PARTS = (".py", ".rnn", ".lark", ".json", ".j2")
"""Files that the package is made of."""
TEXT_FOLDERS = ("grammar", "templates")
"""Folders of them that lie beside the package in a checkout, see `resources.read_resource`."""
PLAIN = (bool, int, float, str)
"""Types of parameters whose `repr` stands for them."""

LARGEST = 2**63
"""No integer as large as this is a parameter of any model; Python prints one of thousands of digits slowly, or not at all."""


@frozen
class CachedSpec:
    """A compiled spec without its native functions.

    `warnings`: what it was warned of, as it is shown. `imported`: see `driver.compilation.Compiled`.
    """

    signature: Signature
    source: ModelSource
    warnings: str
    imported: tuple[tuple[str, str], ...]


@frozen
class Keys:
    """Keys of a cached spec: `here` includes the spec's path, for specs with imports or warnings; `anywhere` doesn't."""

    anywhere: str
    here: str


Data = TypeVar("Data")
Coded = TypeVar("Coded", NativeFunction, PythonCall)


def keys_of(source: SourceFile, parameters: Mapping[str, Any], dtype: str) -> Keys | None:
    """The keys of a spec; None for a spec that can't be cached, since a parameter's `repr` doesn't stand for it."""
    if not all(type(value) in PLAIN and (type(value) is not int or abs(value) < LARGEST) for value in parameters.values()):
        return None
    parts = ("model", package_state(), sys.version, source.text, dtype, repr(sorted(parameters.items())))
    return Keys(ObjectCache.key(*parts), ObjectCache.key(*parts, source.path))


@cache
def package_state() -> str:
    """This version, and for a package that is being worked on the state of its files."""
    package = Path(__file__).parent
    beside = [package.parent / name for name in TEXT_FOLDERS if not (package / name).is_dir()]
    above = len(str(package.parent))
    found = (file for folder in (package, *beside) if folder.is_dir() for file in _files(str(folder)))
    return repr((__version__, sorted((path[above:], size, changed) for path, size, changed in found)))


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, bytes and time of change of all the package's files in a folder and below; walked at every start."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith(PARTS):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns


def find(keys: Keys, saved: bool) -> CachedSpec | None:
    """The cached spec; None if there is none, an imported file has changed since, or a `saved` model's spec has imports."""
    cache = ObjectCache(default_folder())
    for key in (keys.anywhere, keys.here):
        data = cache.read(key)
        if data is None:
            continue
        try:
            found = from_json(CachedSpec, data)
        except Unfit:
            cache.remove(key)
            continue
        if not found.imported or (not saved and all(_is(path, digest) for path, digest in found.imported)):
            return found
    return None


def keep(keys: Keys, spec: CachedSpec) -> None:
    """Writes a compiled spec to the cache."""
    key = keys.here if spec.warnings or spec.imported else keys.anywhere
    ObjectCache(default_folder()).write(key, to_json(spec))


def _is(path: str, digest: str) -> bool:
    """Whether a file's content has that SHA-256."""
    try:
        return hashlib.sha256(read_file(path, SPEC_LIMIT)).hexdigest() == digest
    except (OSError, ValueError):
        return False


def kept_code(kind: type[Coded], key: str, build: Callable[[], Coded]) -> Coded:
    """A cached function of type `kind` with its object code beside it; on a miss, the one that `build` returns, which is then cached."""
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


def kept_data(kind: type[Data], key: str, build: Callable[[], Data]) -> Data:
    """Cached plain data of type `kind`; on a miss, what `build` returns, which is then cached."""
    cache = ObjectCache(default_folder())
    data = cache.read(key)
    if data is not None:
        try:
            return from_json(kind, data)
        except Unfit:
            cache.remove(key)
    made = build()
    cache.write(key, to_json(made))
    return made
