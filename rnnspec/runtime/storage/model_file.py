"""A compiled model as one file, `.rnnc`: a zip of the spec's text, the weights as safetensors and a manifest.

Beside them may lie lists of texts, a line each: `vocabulary/review.txt` of an input of texts, `classes/dense.txt` of an output.

There is no code and no pickle in it, so that opening a stranger's file is safe; loading compiles the
spec again. Everything read is bounded by the file's own size, and that by the machine's memory, and checked against the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from rnnspec import text_lists
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import ArgumentValue
from rnnspec.diagnostics import InternalError
from rnnspec.file_kinds import kind_of, no_model
from rnnspec.files import SPEC_LIMIT, large_limit, read_at_most, read_file, write_atomically
from rnnspec.frozen import frozen
from rnnspec.signals import deferred
from rnnspec.version import __version__

FORMAT = 4
"""The newest format this version reads. It writes 1 where there is nothing besides a model, 2 with lists of texts, 3 with a state of a
training, 4 with a proof."""

SPEC, WEIGHTS, MANIFEST = "model.rnn", "weights.safetensors", "manifest.json"
_MEMBERS = (MANIFEST, SPEC, WEIGHTS)
_LIST = re.compile(r"((?:vocabulary|classes)/.+)\.txt", re.DOTALL)
"""The members that are lists of texts, with what the list is of."""
TRAINING, ARRAYS = "training.json", "training.safetensors"
"""The members of a training's state."""
PROOF = "proof.safetensors"
"""The member with inputs, and the outputs that an imported model's origin gives for them."""
_MANIFEST_LIMIT = 2**24
_MOST_DEEP = 8
"""Lists inside of each other that a parameter may have."""
_DTYPES = ("float32", "float64")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The same model gives the same bytes whenever it is saved."""


class ArtifactError(ValueError):
    """A file that isn't a sound `.rnnc`; the message names the file and what is wrong with it."""


@frozen
class Artifact:
    """The contents of a `.rnnc`: spec, parameters, dtype and weights, enough to compile the model again.

    `texts`: lists of different texts by `vocabulary/` and an input's name, or `classes/` and an output's.
    """

    name: str
    text: str
    parameters: Mapping[str, ArgumentValue]
    dtype: str
    weights: Mapping[str, Array]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    training: bytes = b""
    """The state of a training as JSON; empty without one."""
    arrays: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """The arrays of that state."""
    proof: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """Inputs and outputs of an imported model's origin: see `training.proof`."""


class Readable(Protocol):
    """A binary file that can be read."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; empty at the end, None if there are none yet."""
        ...


class Writable(Protocol):
    """A binary file that can be written to."""

    def write(self, content: bytes, /) -> object:
        """Writes all of the bytes."""
        ...


Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable
"""A source of a model: a path, a file's bytes, or a binary file, which is read to its end."""

Target: TypeAlias = str | os.PathLike[str] | Writable
"""A target for a model: a path, or a binary file."""


def save(artifact: Artifact, file: Target) -> None:
    """Write to a path so that a failure leaves an older file as it was, or to an open file; OSError if it can't be written."""
    content = encode(artifact)
    if isinstance(file, (str, os.PathLike)):
        write_atomically(Path(file), content)
        return
    if not callable(getattr(file, "write", None)):
        raise TypeError(f"expected a path or a binary file to write to, got {type(file).__name__}")
    if isinstance(file, io.TextIOBase):
        raise TypeError("expected a binary file, got one of text: open it with mode 'wb'")
    left = memoryview(content)
    while left:
        written = file.write(bytes(left))
        left = left[written:] if isinstance(written, int) else left[len(left) :]


def load(file: Source) -> Artifact:
    """Read and check a file; OSError if it can't be read, `ArtifactError` if it isn't what `save` wrote."""
    name, content = name_of(file), b""
    try:
        content = _content(file)
        return decode(content)
    except ArtifactError as error:
        mistaken = no_model(name, kind_of(name, content)) if content else None
        reason = error if mistaken is None else f"it is {mistaken.kind.value}, not a compiled model: {mistaken.advice}"
        raise ArtifactError(f"{name}: {reason}") from None


def name_of(file: Source) -> str:
    """The file's name in messages."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "<model>"


def _content(file: Source) -> bytes:
    limit = large_limit()
    if isinstance(file, (str, os.PathLike)):
        return read_file(file, limit)
    if isinstance(file, (bytes, bytearray, memoryview)):
        return bytes(file)
    if not callable(getattr(file, "read", None)):
        raise TypeError(f"expected a path, a model file's bytes or a binary file, got {type(file).__name__}")
    if isinstance(file, io.TextIOBase):
        raise TypeError("expected a binary file, got one of text: open it with mode 'rb'")
    content = read_at_most(file.read, limit)
    if content is None:
        raise ArtifactError(f"it is larger than {limit / 2**20:,.0f} MiB, the most that is read here")
    return content


def encode(artifact: Artifact) -> bytes:
    """The file's bytes; the same artifact gives the same bytes."""
    from zipfile import ZIP_STORED, ZipFile, ZipInfo

    from safetensors.numpy import save as save_tensors

    weights = {name: np.asarray(value, order="C") for name, value in artifact.weights.items()}
    members = {SPEC: artifact.text.encode(), WEIGHTS: save_tensors(weights)}
    members |= {f"{name}.txt": text_lists.encoded(texts) for name, texts in artifact.texts.items()}
    if artifact.training:
        arrays = {name: np.asarray(value, order="C") for name, value in artifact.arrays.items()}
        members |= {TRAINING: artifact.training, ARRAYS: save_tensors(arrays)}
    if artifact.proof:
        members[PROOF] = save_tensors({name: np.asarray(value, order="C") for name, value in artifact.proof.items()})
    manifest: dict[str, Any] = {
        "format": 4 if artifact.proof else 3 if artifact.training else 2 if artifact.texts else 1,
        "rnnspec": __version__,
        "model": artifact.name,
        "dtype": artifact.dtype,
        "parameters": {name: _plain(value) for name, value in artifact.parameters.items()},
        "weights": [{"name": name, "shape": list(value.shape)} for name, value in weights.items()],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    }
    manifest["sha256"][MANIFEST] = _own_digest(manifest)
    members[MANIFEST] = json.dumps(manifest, indent=1).encode()

    def zipped() -> bytes:
        buffer = io.BytesIO()
        with ZipFile(buffer, "w", ZIP_STORED) as archive:
            for name in (MANIFEST, *(name for name in members if name != MANIFEST)):
                archive.writestr(ZipInfo(name, _EPOCH), members[name])
        return buffer.getvalue()

    return deferred(zipped)  # an archive's destructor would swallow an interrupt


def _plain(value: object) -> object:
    """A parameter as JSON has it: numpy's numbers are numbers, tuples lists."""
    match value:
        case None | bool() | str():
            return value
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case list() | tuple():
            return [_plain(item) for item in cast(Sequence[object], value)]
        case _:
            raise InternalError(f"a parameter of type {type(value).__name__}")


def decode(content: bytes) -> Artifact:
    """The artifact in a file's bytes; `ArtifactError` says what is wrong."""
    members = _read_members(content)
    manifest = _read_manifest(members[MANIFEST])
    if missing := sorted(set(manifest["sha256"]) - set(members)):
        raise ArtifactError(f"expected the member {missing[0]}, which the manifest names")
    for name in (name for name in members if name != MANIFEST):
        if hashlib.sha256(members[name]).hexdigest() != manifest["sha256"].get(name):
            raise ArtifactError(f"{name} isn't what was saved: its digest differs from the manifest's")
    try:
        text = members[SPEC].decode()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{SPEC} isn't UTF-8 text: {error}") from None
    weights = _read_weights(members[WEIGHTS], manifest)
    texts = {found[1]: _read_list(name, content) for name, content in members.items() if (found := _LIST.fullmatch(name))}
    training, arrays = members.get(TRAINING, b""), _read_tensors(ARRAYS, members[ARRAYS]) if ARRAYS in members else {}
    proof = _read_tensors(PROOF, members[PROOF]) if PROOF in members else {}
    return Artifact(manifest["model"], text, manifest["parameters"], manifest["dtype"], weights, texts, training, arrays, proof)


def _read_list(name: str, content: bytes) -> tuple[str, ...]:
    try:
        texts = text_lists.decoded(content)
        text_lists.check_different(texts, name)
    except ValueError as error:
        said = str(error)
        raise ArtifactError(said if said.startswith(name) else f"{name}: {said}") from None
    return tuple(texts)


def _read_members(content: bytes) -> dict[str, bytes]:
    return deferred(lambda: _unzipped(content))


def _unzipped(content: bytes) -> dict[str, bytes]:
    from zipfile import ZIP_STORED, BadZipFile, LargeZipFile, ZipFile

    try:
        with ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if MANIFEST not in (entry.filename for entry in entries):
                raise ArtifactError(f"a zip file without {MANIFEST}, not a model")
            stored = all(entry.compress_type == ZIP_STORED and entry.file_size == entry.compress_size for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > len(content):
                raise ArtifactError("its members are compressed or larger than the file, which a model's never are")
            for name, limit in ((MANIFEST, _MANIFEST_LIMIT), (SPEC, SPEC_LIMIT)):
                if any(entry.file_size > limit for entry in entries if entry.filename == name):
                    raise ArtifactError(f"{name} is larger than {limit} bytes")
            _read_format(archive.read(MANIFEST))
            names = sorted(entry.filename for entry in entries)
            needed = sorted(name for name in names if not _LIST.fullmatch(name) and name not in (TRAINING, ARRAYS, PROOF))
            if needed != sorted(_MEMBERS) or len(set(names)) < len(names) or (TRAINING in names) != (ARRAYS in names):
                raise ArtifactError(f"expected the members {', '.join(_MEMBERS)}, found {', '.join(names)}")
            return {name: archive.read(name) for name in names}
    except ArtifactError:
        raise
    except (BadZipFile, LargeZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ArtifactError(f"truncated, damaged or not a compiled model ({error})") from None


def _parse(content: bytes) -> dict[str, Any]:
    try:
        manifest: object = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{MANIFEST} isn't JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise ArtifactError(f"{MANIFEST} isn't an object")
    return cast(dict[str, Any], manifest)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _read_format(content: bytes) -> None:
    """Refuse a newer format before anything else is looked at: the rest may have changed its meaning."""
    manifest = _parse(content)
    found = manifest.get("format")
    if type(found) is not int or found < 1:
        raise ArtifactError(f"{MANIFEST} has no format number")
    if found > FORMAT:
        writer = f"format {found}, written by rnnspec {manifest.get('rnnspec', '?')}"
        raise ArtifactError(f"{writer}; version {__version__} reads up to format {FORMAT}: upgrade rnnspec")


def _read_manifest(content: bytes) -> dict[str, Any]:
    manifest = _parse(content)
    fields = {"model": str, "dtype": str, "rnnspec": str, "parameters": dict, "weights": list, "sha256": dict}
    for name, kind in fields.items():
        if not isinstance(manifest.get(name), kind):
            raise ArtifactError(f"{MANIFEST}: {name} is missing or not a {kind.__name__}")
    try:
        digest = _own_digest(manifest)
    except RecursionError as error:
        raise ArtifactError(f"{MANIFEST} isn't a model's: {error}") from None
    if manifest["sha256"].get(MANIFEST) != digest:
        raise ArtifactError(f"{MANIFEST} isn't what was saved: its digest differs")
    for name, value in manifest["parameters"].items():
        if not _is_parameter(value, _MOST_DEEP):
            raise ArtifactError(f"{MANIFEST}: parameter {name} isn't a finite number, a text, true, false, null or a list of these")
    if manifest["dtype"] not in _DTYPES:
        raise ArtifactError(f"{MANIFEST}: unknown dtype {manifest['dtype']}")
    if not all(_describes_weight(entry) for entry in manifest["weights"]):
        raise ArtifactError(f"{MANIFEST}: weights should be a list of names with shapes")
    return manifest


def _is_parameter(value: object, depth: int) -> bool:
    """Whether a spec's parameter may have a value; `save` writes no other."""
    match value:
        case None | bool() | str():
            return True
        case int():
            return abs(value) < 2**63
        case float():
            return math.isfinite(value)
        case list():
            return depth > 0 and all(_is_parameter(each, depth - 1) for each in cast(list[object], value))
        case _:
            return False


def _describes_weight(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    described = cast(dict[str, object], entry)
    shape = described.get("shape")
    if not isinstance(described.get("name"), str) or not isinstance(shape, list):
        return False
    return all(type(extent) is int for extent in cast(list[object], shape))


def _own_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of all that the manifest says, its own digest aside."""
    digests = {name: digest for name, digest in manifest["sha256"].items() if name != MANIFEST}
    content = json.dumps({**manifest, "sha256": digests}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def _read_weights(content: bytes, manifest: Mapping[str, Any]) -> dict[str, Array]:
    found = _read_tensors(WEIGHTS, content)
    expected = {weight["name"]: tuple(weight["shape"]) for weight in manifest["weights"]}
    if set(found) != set(expected):
        raise ArtifactError(f"{WEIGHTS} holds {', '.join(sorted(found))}, the manifest says {', '.join(sorted(expected))}")
    for name, shape in expected.items():
        if found[name].shape != shape or found[name].dtype != np.dtype(manifest["dtype"]):
            said = f"the manifest says {shape} {manifest['dtype']}"
            raise ArtifactError(f"weight {name} is {found[name].shape} {found[name].dtype}, {said}")
    return {name: found[name] for name in expected}


def _read_tensors(name: str, content: bytes) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(f"{name} can't be read: {error}") from None
