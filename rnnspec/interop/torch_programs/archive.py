"""The zip of a program, as `torch.export.save` writes it since version 2.9: a graph as JSON, and each weight's bytes.

`torch.export.load` gives texts of the graph to sympy, which evaluates them, and falls back on pickles that run; so the file is read here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.torch_files.archive import Archive, CheckpointError, stored_members
from rnnspec.interop.torch_files.pickle_machine import Call, Named, Reference
from rnnspec.interop.torch_files.tensors import Tensors

SCHEMA = 8
"""The version of the graph's form."""

SCALAR_TYPES: Mapping[int, tuple[str, str, int]] = {
    1: ("ByteStorage", "uint8", 1),
    2: ("CharStorage", "int8", 1),
    3: ("ShortStorage", "int16", 2),
    4: ("IntStorage", "int32", 4),
    5: ("LongStorage", "int64", 8),
    6: ("HalfStorage", "float16", 2),
    7: ("FloatStorage", "float32", 4),
    8: ("DoubleStorage", "float64", 8),
    12: ("BoolStorage", "bool", 1),
    13: ("BFloat16Storage", "float32", 2),
}
"""Torch's storages, numpy's types and bytes of an element, by the numbers of `torch._export.serde.schema.ScalarType`."""


@frozen
class Program:
    """A program: the JSON of its graph and signature, and its parameters, buffers and constants by their names in the module."""

    graph: Mapping[str, Any]
    signature: Mapping[str, Any]
    weights: Mapping[str, Array]


def read_program(content: bytes) -> Program:
    """The program in a file's bytes; CheckpointError for another file, or an unsound one. Nothing in it is executed."""
    members = stored_members(content)
    graphs = [name for name in members if name.endswith("/models/model.json") and name.count("/") == 2]
    if len(graphs) != 1:
        advice = "load it with torch, and write it anew: torch.export.save(torch.export.load(path), new)"
        raise CheckpointError(f"no program of torch.export of version 2.9 or newer, which has one member models/model.json; {advice}")
    top = graphs[0].removesuffix("models/model.json")
    if members.get(f"{top}byteorder", b"little").strip() != b"little":
        raise CheckpointError("its numbers have their last byte first, which isn't read here")
    whole = _json(members[graphs[0]])
    version = whole.get("schema_version")
    if not isinstance(version, dict) or cast("dict[str, Any]", version).get("major") != SCHEMA:
        raise CheckpointError(f"its form has the version {str(cast(object, version))[:80]}, and {SCHEMA} is what is read here")
    module = whole.get("graph_module")
    if not isinstance(module, dict):
        raise CheckpointError("damaged: its models/model.json has no graph_module")
    entries = cast("dict[str, Any]", module)
    graph, signature = entries.get("graph"), entries.get("signature")
    if not isinstance(graph, dict) or not isinstance(signature, dict):
        raise CheckpointError("damaged: its models/model.json has no graph and signature")
    weights: dict[str, Array] = {}
    for kind in ("weights", "constants"):
        described = members.get(f"{top}data/{kind}/model_{kind}_config.json")
        if described is not None:
            weights |= _arrays(_json(described), members, f"{top}data/{kind}/")
    return Program(cast("dict[str, Any]", graph), cast("dict[str, Any]", signature), weights)


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged: its JSON can't be read ({str(error)[:200]})") from None
    if not isinstance(found, dict):
        raise CheckpointError("damaged: its JSON is no object")
    return cast("dict[str, Any]", found)


def _arrays(described: Mapping[str, Any], members: Mapping[str, bytes], folder: str) -> dict[str, Array]:
    """The tensors that a list of them describes, each within the bytes of its member."""
    storages = {name.removeprefix(folder): content for name, content in members.items() if name.startswith(folder)}
    tensors = Tensors(Archive(b"", storages))
    found: dict[str, Array] = {}
    for name, entry in _entries(described.get("config")):
        match entry:
            case {"use_pickle": False, "path_name": str(key), "tensor_meta": {"dtype": int(kind)} as meta} if kind in SCALAR_TYPES:
                storage, _, size = SCALAR_TYPES[kind]
                count = len(storages.get(key, b"")) // size
                reference = Reference(("storage", Named("torch", storage), key, "cpu", count))
                offset = _number(cast("dict[str, Any]", meta).get("storage_offset"))
                shape, strides = (tuple(map(_number, cast("dict[str, Any]", meta).get(part, ()))) for part in ("sizes", "strides"))
                value = tensors.array(Call(Named("torch._utils", "_rebuild_tensor_v2"), (reference, offset, shape, strides)))
                found[name] = value.astype(np.float32) if value.dtype == np.float16 else value
            case _:
                raise CheckpointError(f"its tensor {name[:80]} is pickled, or of a type that isn't read here")
    return found


def _entries(given: object) -> list[tuple[str, Any]]:
    if not isinstance(given, dict):
        raise CheckpointError("damaged: its tensors aren't described")
    return list(cast("dict[str, Any]", given).items())


def _number(value: object) -> object:
    """A whole number in a description; anything else as it is, for which it is refused."""
    return cast("dict[str, object]", value).get("as_int") if isinstance(value, dict) else value
