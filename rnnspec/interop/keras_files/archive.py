"""The parts of Keras's files: an architecture as JSON, and a store of weights, in a zip, a file of HDF5, or apart."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile, LargeZipFile, ZipFile

from rnnspec.files import large_limit, read_file
from rnnspec.frozen import frozen
from rnnspec.interop.keras_files.hdf5 import SIGNATURE, BadFile, group_at, open_hdf5, text_of, texts_of
from rnnspec.signals import deferred

if TYPE_CHECKING:
    import h5py

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

JSON_LIMIT = 64 * 2**20
"""Bytes of an architecture; those of the largest models have a few hundred kilobytes."""

DEEPEST = 64
"""Objects and lists inside of each other in an architecture."""

Config = dict[str, Any]


@frozen(eq=False)
class KerasFile:
    """What is in a file.

    `config`: the architecture, `{"class_name": ..., "config": ...}`, None in a file of weights alone. `version`: Keras's. `training`:
    how it was compiled, None if it wasn't.
    `weights`: the group with the layers' weights, None in an architecture alone. `by_layer`: by the names
    of layers, as Keras 1 and 2 write them and Keras 3 with the ending `.h5`; else by the places of objects. `backend`: the library that
    Keras has computed by, "theano", empty where none is written.
    """

    config: Config | None
    version: str
    training: Config | None
    weights: h5py.Group | None
    by_layer: bool
    backend: str = ""

    @property
    def major(self) -> int:
        """The first number of Keras's version; 2 where none is written."""
        head = self.version.partition(".")[0]
        return int(head) if head.isdigit() else 2


def open_file(path: Path) -> KerasFile:
    """A file of Keras; `BadFile` says what is wrong with it, OSError that it can't be read."""
    content = read_file(path, large_limit())
    if content.startswith(SIGNATURE):
        return _hdf5(content)
    if content.startswith(b"PK\x03\x04"):
        return _zip(content)
    if len(content) > JSON_LIMIT:
        raise BadFile(f"it is larger than the {JSON_LIMIT // 2**20} MiB of an architecture")
    return _json(content)


def parsed(content: str | bytes, what: str) -> Config:
    """A JSON object; `BadFile` for anything else, or for one that is too deep."""
    if len(content) > JSON_LIMIT:
        raise BadFile(f"{what} is larger than {JSON_LIMIT // 2**20} MiB")
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{what} isn't JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadFile(f"{what} isn't an object")
    if _is_deep(cast(object, found)):
        raise BadFile(f"{what} has more than {DEEPEST} lists and objects inside of each other")
    return cast(Config, found)


def _is_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += cast(Mapping[str, object], each).values()
            elif isinstance(each, list):
                inner += cast(list[object], each)
        level = inner
        if not level:
            return False
    return True


def _json(content: bytes) -> KerasFile:
    found = parsed(content, "it")
    if "class_name" not in found:
        raise BadFile("it has no `class_name`, and so is no architecture of Keras")
    return KerasFile(found, str(found.get("keras_version", "3" if "module" in found else "2")), found.get("compile_config"), None, False)


def _hdf5(content: bytes) -> KerasFile:
    file = open_hdf5(io.BytesIO(content))
    version = text_of(file, "keras_version") or ""
    config = text_of(file, "model_config")
    training = text_of(file, "training_config")
    weights = group_at(file, "model_weights") if config is not None else file
    if config is not None and weights is None:
        raise BadFile("it has an architecture and no group `model_weights`")
    by_layer = weights is not None and texts_of(weights, "layer_names") is not None
    return KerasFile(
        None if config is None else parsed(config, "`model_config`"),
        version or (text_of(weights, "keras_version") or "" if weights is not None else "") or ("2" if by_layer else "3"),
        None if training is None else parsed(training, "`training_config`"),
        weights,
        by_layer,
        text_of(file, "backend") or (text_of(weights, "backend") or "" if weights is not None else ""),
    )


def _zip(content: bytes) -> KerasFile:
    members = deferred(lambda: _members(content))
    if CONFIG not in members:
        raise BadFile(f"it is a zip without {CONFIG}: not a model of Keras")
    config = parsed(members[CONFIG], CONFIG)
    version = str(parsed(members[METADATA], METADATA).get("keras_version", "3")) if METADATA in members else "3"
    weights = open_hdf5(io.BytesIO(members[WEIGHTS])) if WEIGHTS in members else None
    return KerasFile(config, version, config.get("compile_config"), weights, False)


def _members(content: bytes) -> dict[str, bytes]:
    """The members that are read; `BadFile` for one that is far larger than the file, or that stands in it twice."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            wanted = [entry for entry in entries if entry.filename in (CONFIG, METADATA, WEIGHTS)]
            if len({entry.filename for entry in wanted}) < len(wanted):
                raise BadFile("a member stands in it twice")
            if sum(entry.file_size for entry in wanted) > 64 * len(content) + 2**20:
                raise BadFile("its members are far larger than the file itself")
            if "model.weights.json" in names:
                raise BadFile("its weights are parted over several files, which isn't supported: save it as one")
            return {entry.filename: archive.read(entry) for entry in wanted}
    except BadFile:
        raise
    except (BadZipFile, LargeZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError, MemoryError) as error:
        raise BadFile(f"it is truncated, damaged or no file of Keras ({error})") from None
    except Exception as error:  # zlib's, bz2's and lzma's own
        raise BadFile(f"it can't be unpacked ({error})") from None
