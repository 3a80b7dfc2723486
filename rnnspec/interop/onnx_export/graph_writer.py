"""An ONNX graph under construction: nodes, constants, graphs in nodes; the differences between versions of the standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array

LOWEST_OPSET = 14

OPTIONAL = frozenset({"LSTM", "GRU", "RNN"})
"""Nodes with outputs that needn't be there."""


class Names:
    """Names of values in one model, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, hint: str) -> str:
        """A name that nothing has yet."""
        name, number = hint, 1
        while name in self._taken:
            name, number = f"{hint}_{number}", number + 1
        self._taken.add(name)
        return name


class GraphWriter:
    """Nodes and constants of a model, or of a graph in one of its nodes, which sees what is around it. `onnx`: the package."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any], opset: int, outer: GraphWriter | None = None) -> None:
        self.onnx = onnx
        self.dtype = dtype
        self.opset = opset
        self.nodes: list[Any] = []
        self.names: Names = Names() if outer is None else outer.names
        self.constants: dict[str, Array] = {} if outer is None else outer.constants
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {} if outer is None else outer._known
        self.prefix = ""
        """The layer that is being written, before the names of what is in it."""

    def inner(self) -> GraphWriter:
        """A graph in a node."""
        made = GraphWriter(self.onnx, self.dtype, self.opset, self)
        made.prefix = self.prefix
        return made

    def op(self, kind: str, inputs: Sequence[str], outputs: int = 1, hint: str = "", **attributes: Any) -> list[str]:
        """A node's outputs."""
        base = f"{self.prefix}/{hint or kind}" if self.prefix else hint or kind
        results = [self.names.new(base) for _ in range(outputs)]
        self.node(kind, inputs, results, **attributes)
        return results

    def one(self, kind: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """The output of a node with a single one."""
        return self.op(kind, inputs, hint=hint, **attributes)[0]

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """A node with outputs of given names, empty ones for those that nothing reads."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, outputs, name=next(filter(None, outputs)), **attributes))

    def weight(self, name: str, array: Array) -> str:
        """A constant under its own name."""
        own = self.names.new(name)
        self.constants[own] = np.asarray(array, order="C")  # `ascontiguousarray` would make a number a row
        return own

    def constant(self, value: Any, kind: Any = None, hint: str = "constant") -> str:
        """A constant of the model's type, or of another; the same numbers once."""
        array = np.asarray(value, self.dtype if kind is None else kind)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = self.weight(hint, array)
        return self._known[key]

    def whole(self, *numbers: int) -> str:
        """A row of whole numbers."""
        return self.constant(list(numbers), np.int64, "numbers")

    def reduce(self, kind: str, value: str, axis: int, *, keep: bool = True) -> str:
        """A reduction over one axis: an attribute of older versions, an input of newer ones."""
        if kind == "ReduceSum" or self.opset >= 18:
            return self.one(kind, value, self.whole(axis), keepdims=int(keep))
        return self.one(kind, value, axes=[axis], keepdims=int(keep))

    def split(self, value: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        """Parts of an axis."""
        return self.op("Split", (value, self.whole(*sizes)), len(sizes), axis=axis)

    def slice(self, value: str, start: int, stop: int | None, axis: int) -> str:
        """A part of an axis."""
        last = self.whole(2**62 if stop is None else stop)
        return self.one("Slice", value, self.whole(start), last, self.whole(axis))

    def transposed(self, value: str, *order: int) -> str:
        """The axes in another order."""
        return self.one("Transpose", value, perm=list(order))

    def flipped(self, value: str, axis: int) -> str:
        """An axis in reversed order."""
        return self.one("Slice", value, self.whole(-1), self.whole(-(2**62)), self.whole(axis), self.whole(-1))

    def squeezed(self, value: str, axis: int) -> str:
        """Without an axis of one element."""
        return self.one("Squeeze", value, self.whole(axis))

    def unsqueezed(self, value: str, axis: int) -> str:
        """With an axis of one element."""
        return self.one("Unsqueeze", value, self.whole(axis))

    def size(self, value: str, axis: int) -> str:
        """The size of an axis, a row of one whole number."""
        return self.one("Gather", self.one("Shape", value), self.whole(axis), axis=0)

    def zeros(self, like: str, width: int) -> str:
        """Rows of zeros, (batch, width), as many as a value has samples."""
        shape = self.one("Concat", self.size(like, 0), self.whole(width), axis=0)
        zero = self.onnx.numpy_helper.from_array(np.zeros(1, self.dtype), "zero")
        return self.one("ConstantOfShape", shape, value=zero)

    def graph(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], constants: Mapping[str, Array]) -> Any:
        """The graph, with the constants that are its own; without the nodes and constants that nothing reads."""
        nodes, read = self._needed({each.name for each in outputs})
        made = [self.onnx.numpy_helper.from_array(array, own) for own, array in constants.items() if own in read]
        return self.onnx.helper.make_graph(nodes, name, list(inputs), list(outputs), made)

    def _needed(self, read: set[str]) -> tuple[list[Any], set[str]]:
        """The nodes that values come from, those of their outputs that needn't be there only if they are read, and all that is read."""
        kept: list[Any] = []
        for node in reversed(self.nodes):
            if not read.isdisjoint(node.output):
                if node.op_type in OPTIONAL:
                    names = [name if name in read else "" for name in node.output]
                    while not names[-1]:
                        names.pop()
                    node.output[:] = names
                kept.append(node)
                inner = [each.g for each in node.attribute if each.HasField("g")]
                read = read.union(node.input, *([name for own in graph.node for name in own.input] for graph in inner))
        return kept[::-1], read

    def info(self, name: str, dimensions: Sequence[int | str | None] | None, kind: Any = None) -> Any:
        """A value's name and type, for inputs and outputs."""
        number = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype if kind is None else kind))
        return self.onnx.helper.make_tensor_value_info(name, number, None if dimensions is None else list(dimensions))
