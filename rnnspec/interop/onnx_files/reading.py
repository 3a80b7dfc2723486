"""Reading an ONNX file by the `onnx` package: its functions put in where they are called, its external data from its own folder alone."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.files import large_limit, open_file, read_file
from rnnspec.interop.graph.refusals import Finding, ImportRefused
from rnnspec.interop.onnx_files.nodes import Attribute, AttributeOfCall, Node, NodeGraph, SourceInput, renamed

EXTRA = "rnnspec[onnx]"

NODE_LIMIT = 100_000
"""Nodes of a model, those of its functions counted at each call."""

DEPTH_LIMIT = 30
"""How deep functions may call each other, and graphs stand in nodes."""

OWN_DOMAINS = ("", "ai.onnx")


def onnx_package(purpose: str) -> Any:
    """The `onnx` package; ValueError, which says how to get it, if it isn't installed."""
    try:
        importlib.import_module("onnx.numpy_helper")
        return importlib.import_module("onnx")
    except ImportError:
        raise ValueError(f"{purpose} by the package onnx, which isn't installed: pip install '{EXTRA}'") from None


def load_model(path: Path, content: bytes) -> tuple[Any, Any]:
    """The `onnx` package, and the protobuf of a model; `ImportRefused` if it isn't sound, ValueError if `onnx` isn't installed."""
    onnx = onnx_package(f"{path}: ONNX files are read")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's and the package's own classes, which share no name but this one
        raise _refused(path, "", f"it isn't a readable ONNX model: {' '.join(str(error).split())}") from None
    if not model.HasField("graph") or not model.graph.output:
        raise _refused(path, "", "it isn't an ONNX model: there is no graph with an output in it")
    return onnx, model


def read_nodes(path: Path) -> NodeGraph:
    """The graph of a file. OSError if it can't be read, `ImportRefused` if it isn't sound, ValueError if `onnx` isn't installed."""
    onnx, model = load_model(path, read_file(path, large_limit()))
    return _Reading(onnx, path, model).graph(model.graph, 0)


def tensors_of(onnx: Any, path: Path, model: Any) -> dict[str, Array]:
    """The tensors of a model's graph by name; `ImportRefused` for those that can't be read."""
    reading = _Reading(onnx, path, model)
    return {each.name: reading.tensor(each) for each in model.graph.initializer}


def _refused(path: Path, place: str, reason: str) -> ImportRefused:
    return ImportRefused(str(path), [Finding(place, "", reason)])


class _Reading:
    """The model's protobuf on its way to nodes."""

    def __init__(self, onnx: Any, path: Path, model: Any) -> None:
        self.onnx = onnx
        self.path = path
        self.opsets = _opsets(model.opset_import)
        self.functions: dict[tuple[str, str], Any] = {(_domain(each.domain), each.name): each for each in model.functions}
        self.nodes = 0
        self.calls = 0

    def graph(self, graph: Any, depth: int) -> NodeGraph:
        """A graph with all that is in it."""
        if depth > DEPTH_LIMIT:
            raise _refused(self.path, f"graph {graph.name}", f"graphs stand in each other more than {DEPTH_LIMIT} deep")
        if graph.sparse_initializer:
            raise _refused(self.path, f"graph {graph.name}", "sparse initializers aren't read")
        initializers = {each.name: self.tensor(each) for each in graph.initializer}
        inputs = tuple(self.input(each) for each in graph.input if each.name not in initializers)
        nodes = tuple(made for each in graph.node for made in self.expanded(self.node(each, self.opsets, depth), self.opsets, depth))
        made = Counter([*(each.name for each in inputs), *initializers, *(name for each in nodes for name in each.outputs if name)])
        twice = [name for name, count in made.items() if count > 1]
        if twice:
            raise _refused(self.path, f"value {twice[0]}", "it is made more than once")
        outputs = [self.input(each) for each in graph.output]
        shapes = {each.name: each.dimensions for each in outputs if each.dimensions is not None}
        return NodeGraph(graph.name, inputs, tuple(each.name for each in outputs), nodes, initializers, shapes)

    def input(self, value: Any) -> SourceInput:
        """An input's name and type."""
        kind = value.type.WhichOneof("value")
        if kind not in ("tensor_type", None):
            return SourceInput(value.name, str(kind).removesuffix("_type"), None)
        tensor = value.type.tensor_type
        dimensions = tuple(each.dim_param or (each.dim_value if each.dim_value > 0 else "") for each in tensor.shape.dim)
        return SourceInput(value.name, self.element(tensor.elem_type), dimensions if tensor.HasField("shape") else None)

    def element(self, number: int) -> str:
        """Numpy's name of an element type."""
        try:
            return str(np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(number)).name)
        except (KeyError, TypeError, ValueError):
            return "unknown"

    def expanded(self, node: Node, opsets: Mapping[str, int], depth: int) -> list[Node]:
        """A node, or the nodes of the function that it calls."""
        function = self.functions.get((node.domain, node.op))
        if function is None:
            return [node]
        if depth >= DEPTH_LIMIT:
            raise _refused(self.path, node.place, f"functions call each other more than {DEPTH_LIMIT} deep")
        self.calls += 1
        mark = f"{node.name or node.op}/{self.calls}/"
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, node.inputs, strict=False))
        names |= dict(zip(function.output, node.outputs, strict=False))
        inner = {**opsets, **_opsets(function.opset_import)}
        attributes = {each.name: self.attribute(each, inner, depth) for each in function.attribute_proto} | dict(node.attributes)
        made: list[Node] = []
        for each in function.node:
            for name in (*each.input, *each.output):
                if name and name not in names:
                    names[name] = mark + name
            made += self.expanded(renamed(self.node(each, inner, depth), names, attributes), inner, depth + 1)
        return made

    def node(self, proto: Any, opsets: Mapping[str, int], depth: int) -> Node:
        """A node as it stands."""
        self.nodes += 1
        if self.nodes > NODE_LIMIT:
            raise _refused(self.path, "", f"it has more than {NODE_LIMIT:,} nodes")
        domain = _domain(proto.domain)
        attributes = {each.name: self.attribute(each, opsets, depth) for each in proto.attribute}
        opset = opsets.get(domain, opsets.get("", 0))
        return Node(proto.op_type, domain, proto.name, tuple(proto.input), tuple(proto.output), attributes, opset)

    def attribute(self, proto: Any, opsets: Mapping[str, int], depth: int) -> Attribute:
        """An attribute's value."""
        if proto.ref_attr_name:
            return AttributeOfCall(proto.ref_attr_name)
        kinds = self.onnx.AttributeProto
        match proto.type:
            case kinds.INT:
                return int(proto.i)
            case kinds.FLOAT:
                return _shortest(proto.f)
            case kinds.STRING:
                return _text(proto.s)
            case kinds.INTS:
                return tuple(int(each) for each in proto.ints)
            case kinds.FLOATS:
                return tuple(_shortest(each) for each in proto.floats)
            case kinds.STRINGS:
                return tuple(_text(each) for each in proto.strings)
            case kinds.TENSOR:
                return self.tensor(proto.t)
            case kinds.GRAPH:
                return self.graph(proto.g, depth + 1)
            case _:
                raise _refused(self.path, f"attribute {proto.name}", "attributes of its type aren't read")

    def tensor(self, proto: Any) -> Array:
        """A tensor's values; those beside the model are read from files in its own folder, or below it."""
        place = f"tensor {proto.name}" if proto.name else "tensor"
        dimensions = tuple(proto.dims)
        if any(each < 0 for each in dimensions):
            raise _refused(self.path, place, f"its dimensions are {list(dimensions)}")
        outside = self.onnx.TensorProto.EXTERNAL
        try:
            if proto.data_location == outside:
                return self.external(proto, dimensions)
            return np.asarray(self.onnx.numpy_helper.to_array(proto))
        except (TypeError, ValueError, KeyError, OverflowError, MemoryError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _refused(self.path, place, f"its values can't be read: {reason}") from None

    def external(self, proto: Any, dimensions: tuple[int, ...]) -> Array:
        """Values in a file beside the model."""
        entries = {each.key: each.value for each in proto.external_data}
        folder, location = self.path.resolve().parent, entries.get("location", "")
        there = (folder / location).resolve()
        if not location or Path(location).is_absolute() or ".." in Path(location).parts or not there.is_relative_to(folder):
            raise ValueError(f"external data are read from the model's own folder alone, not from {location!r}")
        kind = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(proto.data_type))
        size, start = prod(dimensions) * kind.itemsize, int(entries.get("offset") or 0)
        length = int(entries.get("length") or size)
        if start < 0 or length != size:
            raise ValueError(f"{length} bytes from {start} on in {location} aren't the {size} of {list(dimensions)} of {kind.name}")
        with open_file(there, large_limit()) as file:
            if size > there.stat().st_size - start:
                raise ValueError(f"{location} ends before the {size} bytes from {start} on")
            file.seek(start)
            content = file.read(size)
        if len(content) != size:
            raise ValueError(f"{location} ends before the {size} bytes from {start} on")
        return np.frombuffer(content, kind.newbyteorder("<") if kind.isbuiltin else kind).reshape(dimensions)


def _domain(name: str) -> str:
    return "" if name in OWN_DOMAINS else name


def _opsets(imports: Any) -> dict[str, int]:
    return {_domain(each.domain): int(each.version) for each in imports}


def _shortest(number: float) -> float:
    """A number of single precision as a person would write it: the shortest one that is the same."""
    return float(str(np.float32(number)))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
