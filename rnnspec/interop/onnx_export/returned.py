"""A file that was exported here, as the model that it was: it has the spec beside the graph, and the weights where the exporter puts them.

The spec is taken only if its export is the file's graph, node for node: a graph that was changed since is read as any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import ArgumentValue
from rnnspec.files import large_limit, read_file
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frozen import frozen
from rnnspec.interop.graph.refusals import ExportRefused
from rnnspec.interop.onnx_export.exporter import PARAMETERS, SPEC, model_of
from rnnspec.interop.onnx_files.reading import load_model, tensors_of

FIRST_NUMBER = 2**40
"""The first of the numbers that stand for weights, larger than every constant of a graph; all are exact in float64."""

Resolve = Callable[[str, Mapping[str, ArgumentValue]], Graph]


@frozen(eq=False)
class Returned:
    """A spec's text, the values of its parameters, its weights by name, as far as an export has them, and their dtype."""

    text: str
    parameters: Mapping[str, ArgumentValue]
    weights: Mapping[str, Array]
    dtype: str


def returned(path: Path, resolve: Resolve) -> Returned | None:
    """The model that a file was exported from; None for a file of another origin, or one that was changed since.

    `resolve`: the graph of a spec's text and parameters; ValueError for one that can't be.
    """
    content = read_file(path, large_limit())
    if SPEC.encode() not in content:
        return None
    onnx, proto = load_model(path, content)
    told = {each.key: each.value for each in proto.metadata_props}
    if SPEC not in told:
        return None
    try:
        parameters = json.loads(told.get(PARAMETERS, "{}"))
        graph = resolve(told[SPEC], parameters)
        opset = next(int(each.version) for each in proto.opset_import if not each.domain)
        tensors = tensors_of(onnx, path, proto)
        weights = _weights(onnx, graph, tensors, opset)
        if weights is None:
            return None
        dtype = np.dtype(next((array.dtype for array in weights.values()), np.float32))
        unread = {each.path: np.zeros(each.shape) for layer in graph.layers for each in layer.weights if each.path not in weights}
        made = model_of(onnx, graph, weights | unread, dtype, opset, str(path))
    except (ExportRefused, ValueError, TypeError, KeyError, StopIteration, RecursionError):
        return None
    same = _shown(made) == _shown(proto) and _alike(tensors_of(onnx, path, made), tensors)
    return Returned(told[SPEC], parameters, weights, dtype.name) if same else None


def _weights(onnx: Any, graph: Graph, tensors: Mapping[str, Array], opset: int) -> dict[str, Array] | None:
    """The weights, found where an export of consecutive numbers has these; None if one isn't there. Some are in no export."""
    shapes = {weight.path: weight.shape for layer in graph.layers for weight in layer.weights}
    total = sum(prod(shape) for shape in shapes.values())
    if total > sum(array.size for array in tensors.values()):
        return None
    starts = np.cumsum([0, *(prod(shape) for shape in shapes.values())]).tolist()
    numbers = {
        path: np.arange(start, start + prod(shape), dtype=np.float64).reshape(shape) + FIRST_NUMBER
        for (path, shape), start in zip(shapes.items(), starts, strict=False)
    }
    found, known, there = np.empty(total), np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    kinds: set[np.dtype[Any]] = set()
    for initializer in model_of(onnx, graph, numbers, np.dtype(np.float64), opset, "").graph.initializer:
        marks: Array
        marks, values = onnx.numpy_helper.to_array(initializer), tensors.get(initializer.name)
        here = marks >= FIRST_NUMBER if marks.dtype == np.float64 else np.zeros(marks.shape, np.bool_)
        places = (marks[here] - FIRST_NUMBER).astype(np.int64)
        there[places] = True
        if len(places) and values is not None and values.shape == marks.shape:
            found[places], known[places] = values[here], True
            kinds.add(values.dtype)
    if not known[there].all() or len(kinds) > 1:
        return None
    dtype = next(iter(kinds), np.dtype(np.float32))
    pairs = zip(shapes.items(), starts, strict=False)
    parts = {path: (slice(start, start + prod(shape)), shape) for (path, shape), start in pairs}
    return {path: found[part].reshape(shape).astype(dtype) for path, (part, shape) in parts.items() if known[part].all()}


def _shown(proto: Any) -> bytes:
    """All of a graph but its tensors, and what tools add to one."""
    graph = type(proto.graph)()
    graph.CopyFrom(proto.graph)
    graph.ClearField("initializer")
    graph.ClearField("value_info")
    return bytes(graph.SerializeToString(deterministic=True))


def _alike(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and one[name].shape == other[name].shape and one[name].tobytes() == other[name].tobytes()
        for name in one
    )
