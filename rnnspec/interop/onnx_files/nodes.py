"""An ONNX graph as plain nodes: nothing of protobuf is seen behind this module's users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen

Attribute: TypeAlias = "int | float | str | tuple[int | float | str, ...] | Array | NodeGraph | AttributeOfCall"


@frozen
class AttributeOfCall:
    """An attribute of a function's node that its caller gives."""

    name: str


@frozen(eq=False)
class Node:
    """An operation. Empty names of inputs and outputs are those that aren't there. `opset`: the version of the operations' standard."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    opset: int

    @property
    def place(self) -> str:
        """The node in messages."""
        kind = f"{self.domain}.{self.op}" if self.domain else self.op
        return f"node {self.name or ', '.join(filter(None, self.outputs))} ({kind})"

    def number(self, name: str, default: float) -> float:
        """A number among the attributes, or the default."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, (int, float)) else default

    def whole(self, name: str, default: int) -> int:
        """A whole number among the attributes, or the default."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, int) else default

    def text(self, name: str, default: str) -> str:
        """A text among the attributes, or the default."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, str) else default

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers among the attributes, None where it isn't given."""
        found = self.attributes.get(name)
        return tuple(each for each in found if isinstance(each, int)) if isinstance(found, tuple) else None

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """A list of numbers among the attributes, None where it isn't given."""
        found = self.attributes.get(name)
        return tuple(float(each) for each in found if isinstance(each, (int, float))) if isinstance(found, tuple) else None

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts among the attributes, None where it isn't given."""
        found = self.attributes.get(name)
        return tuple(each for each in found if isinstance(each, str)) if isinstance(found, tuple) else None

    def input(self, place: int) -> str:
        """The name of an input, empty if it isn't given."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def output(self, place: int) -> str:
        """The name of an output, empty if it isn't wanted."""
        return self.outputs[place] if place < len(self.outputs) else ""

    @property
    def read(self) -> Iterator[str]:
        """All values that the node reads, those that its graphs take from outside included."""
        yield from filter(None, self.inputs)
        for each in self.attributes.values():
            if isinstance(each, NodeGraph):
                yield from each.captured


@frozen
class SourceInput:
    """An input: `element` is numpy's name of its type, `dimensions` numbers and names, an empty name for what isn't known."""

    name: str
    element: str
    dimensions: tuple[int | str, ...] | None


@frozen(eq=False)
class NodeGraph:
    """Nodes in the file's order. `initializers`: the values that the file has. `shapes`: of outputs, as far as they are said."""

    name: str
    inputs: tuple[SourceInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    initializers: Mapping[str, Array]
    shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict[str, "tuple[int | str, ...]"])

    @property
    def captured(self) -> Iterator[str]:
        """The values of the graph around it that it reads, perhaps some of its own among them."""
        made = {each.name for each in self.inputs} | self.initializers.keys() | {name for node in self.nodes for name in node.outputs}
        for node in self.nodes:
            yield from (name for name in node.read if name not in made)
        yield from (name for name in self.outputs if name not in made)


def pruned(graph: NodeGraph) -> NodeGraph:
    """The graph without nodes that no output comes from, and without the names of outputs that nothing reads: what a node needn't give."""
    read, kept = set(graph.outputs), list[Node]()
    for node in reversed(graph.nodes):
        if not read.isdisjoint(node.outputs):
            kept.append(replace(node, outputs=tuple(name if name in read else "" for name in node.outputs)))
            read.update(node.read)
    return replace(graph, nodes=tuple(reversed(kept)))


def renamed(node: Node, names: Mapping[str, str], attributes: Mapping[str, Attribute]) -> Node:
    """A function's node at a call: its values under other names, with the caller's attributes. Graphs in it keep the names inside."""
    own: dict[str, Attribute] = {}
    for key, value in node.attributes.items():
        match value:
            case AttributeOfCall():
                if value.name in attributes:
                    own[key] = attributes[value.name]
            case NodeGraph():
                own[key] = NodeGraph(
                    value.name,
                    value.inputs,
                    tuple(names.get(each, each) for each in value.outputs),
                    tuple(renamed(each, names, attributes) for each in value.nodes),
                    value.initializers,
                )
            case _:
                own[key] = value
    inputs = tuple(names.get(each, each) for each in node.inputs)
    outputs = tuple(names.get(each, each) for each in node.outputs)
    return replace(node, inputs=inputs, outputs=outputs, attributes=own)


def is_whole_number(array: Array) -> bool:
    """Whether its elements are whole numbers, or true and false."""
    return bool(np.issubdtype(array.dtype, np.integer)) or array.dtype == np.bool_
