"""Walking a graph: what is known is computed, what moves elements is followed, and what computes is handed to an emitter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.elements import Elements
from rnnspec.interop.onnx_files.emitting import Emitter
from rnnspec.interop.onnx_files.folding import TYPES, cast_type, folded, shape_of
from rnnspec.interop.onnx_files.moving import MOVEMENTS, Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph, renamed

Known: TypeAlias = "Array | Elements | None"
"""A value while a graph is walked; None for one that can't be said, which was told."""

Compute: TypeAlias = "Callable[[Node, Sequence[Known]], Sequence[Known] | None]"
"""The outputs of a node of values that aren't known; None for an operation that there isn't."""

CONDITIONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Xor", "Not", "IsNaN", "IsInf"})
"""Operations that give true or false."""

KEEPING = MOVEMENTS.keys() | {"Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Clip", "CastLike", "ReduceMin", "ReduceMax"}
"""Operations that give the type that they take."""

NODE_LIMIT = 100_000
"""Nodes that are walked, those of branches that were taken included."""


def kind_of(element: str) -> str:
    """Numpy's kind of an element type by its name."""
    return {"bool": "b", "int": "i", "uint": "u"}.get(element.rstrip("0123456789"), "f")


class Tracer:
    """A walk through one graph, node by node as they are needed."""

    def __init__(self, graph: NodeGraph, emitter: Emitter, compute: Compute, findings: Findings, given: Mapping[str, Elements]) -> None:
        self.emitter = emitter
        self.compute = compute
        self.findings = findings
        self.values: dict[str, Known] = {**graph.initializers, **given}
        self.makers: dict[str, Node] = {}
        self.inputs = tuple(given)
        self.kinds: dict[str, str] = {each.name: kind_of(each.element) for each in graph.inputs}
        """Numpy's kinds of values that aren't known, where they aren't floats."""
        self.branches = 0
        self.nodes = 0
        self.take(graph.nodes)

    def take(self, nodes: Sequence[Node]) -> None:
        """More nodes that values may come from."""
        self.nodes += len(nodes)
        if self.nodes > NODE_LIMIT:
            raise Unfit(f"more than {NODE_LIMIT:,} nodes")
        self.makers |= {name: node for node in nodes for name in node.outputs if name}

    def evaluate(self, wanted: str) -> Known:
        """A value by its name, with all that it needs."""
        stack, waiting = [wanted], set[Node]()
        while stack:
            name = stack[-1]
            if name in self.values:
                stack.pop()
                continue
            node = self.makers.get(name)
            if node is None:
                self.findings.add(f"value {name}", "", "no node makes it, and it is no input")
                self.values[name] = None
                continue
            missing = [each for each in self._reads(node) if each and each not in self.values]
            if not missing:
                self._run(node)
            elif node in waiting:
                self.findings.add(node.place, "", "it waits for its own result: the graph has a cycle")
                self.values |= dict.fromkeys(filter(None, node.outputs))
            else:
                waiting.add(node)
                stack += reversed(missing)
        return self.values[wanted]

    def _reads(self, node: Node) -> list[str]:
        """The values that a node needs first: of an `If` its condition, since only one branch will be taken."""
        if node.op == "If" and not node.domain:
            return [node.input(0)]
        return list(node.read)

    def _run(self, node: Node) -> None:
        given = [self.values[name] if name else None for name in node.inputs]
        if any(name and self.values[name] is None for name in node.inputs):
            self.values |= {name: None for name in node.outputs if name}
            return
        try:
            if node.op == "If" and not node.domain:
                self._branch(node, given[0])
                return
            if any(isinstance(each, np.ndarray) and each.dtype.kind in "OSU" and each.size for each in given):
                raise Unfit("it takes texts, and a model computes with numbers")
            outputs: Sequence[Known] = self._outputs(node, given)
        except (ValueError, IndexError) as error:  # numpy's, of shapes that don't fit each other, besides `Unfit`
            self.findings.add(node.place, error.attribute if isinstance(error, Unfit) else "", " ".join(str(error).split()))
            outputs = []
        kind = self._kind(node)
        for place, name in enumerate(node.outputs):
            if name:
                self.values[name] = outputs[place] if place < len(outputs) else None
                self.kinds[name] = kind

    def _kind(self, node: Node) -> str:
        """Numpy's kind of what a node gives."""
        if node.op in CONDITIONS:
            return "b"
        if node.op == "Cast":
            return cast_type(node).kind if node.whole("to", 1) in TYPES else "f"
        return self.kinds.get(node.input(1 if node.op in ("Where", "CastLike") else 0), "f") if node.op in KEEPING else "f"

    def _outputs(self, node: Node, given: Sequence[Known]) -> Sequence[Known]:
        known = [each for each in given if not isinstance(each, Elements)]
        if not node.domain and len(known) == len(given) and node.op not in ("Loop", "Scan"):
            found = folded(node, known)
            if found is None:
                raise Unfit("the operation isn't computed when a file is read")
            return found
        if not node.domain and node.op in ("Cast", "CastLike"):
            node = self._cast(node)
        found = self._moved(node, given) if not node.domain else None
        if found is None:
            found = self.compute(node, given[:1] if node.op == "Cast" else given)
        if found is None:
            raise Unfit("the language has nothing that says it")
        return found

    def _cast(self, node: Node) -> Node:
        """A Cast to a known type, with the kind that it is from."""
        attributes = {**node.attributes, "from": self.kinds.get(node.input(0), "f")}
        if node.op == "CastLike":
            there = self.values[node.input(1)]
            kind = there.dtype.kind if isinstance(there, np.ndarray) else self.kinds.get(node.input(1), "f")
            attributes["to"] = {"f": 1, "i": 7, "u": 13, "b": 9}.get(kind, 0)
        return replace(node, op="Cast", attributes=attributes, inputs=node.inputs[:1])

    def _branch(self, node: Node, condition: Known) -> None:
        """The nodes of the branch that a known condition chooses, under names of their own."""
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            fixed = ", ".join(f"--input {name}=value" for name in self._origins(node.input(0)))
            reason = f"its condition isn't known: fix the input that it comes from, {fixed}"
            self.findings.add(node.place, "cond", reason)
            self.values |= {name: None for name in node.outputs if name}
            return
        chosen = node.attributes.get("then_branch" if condition.item() else "else_branch")
        if not isinstance(chosen, NodeGraph) or len(chosen.outputs) != len(node.outputs):
            raise Unfit("it has no such branch")
        self.branches += 1
        inside = {name for each in chosen.nodes for name in each.outputs if name} | chosen.initializers.keys()
        names = {name: f"{node.name or node.output(0)}/{self.branches}/{name}" for name in inside}
        self.values |= {names[name]: array for name, array in chosen.initializers.items()}
        self.take([renamed(each, names, {}) for each in chosen.nodes])
        for name, inner in zip(node.outputs, chosen.outputs, strict=True):
            if name:
                self.makers[name] = Node("Identity", "", "", (names.get(inner, inner),), (name,), {}, node.opset)

    def _origins(self, wanted: str) -> list[str]:
        """The inputs that a value comes from."""
        stack, seen = [wanted], dict.fromkeys([wanted])
        while stack:
            node = self.makers.get(stack.pop())
            new = [name for name in (node.read if node is not None else ()) if name not in seen]
            seen |= dict.fromkeys(new)
            stack += new
        return [name for name in self.inputs if name in seen]

    def _moved(self, node: Node, given: Sequence[Known]) -> Sequence[Known] | None:
        """The outputs of a node that moves elements, or asks for shapes; None for one that computes."""
        pool = self.emitter.pool
        data = given[0]
        match node.op, data:
            case "Shape", Elements():
                return [shape_of(node, data.numbers)]
            case "Size", Elements():
                return [np.asarray(data.numbers.size, np.int64)]
            case ("Cast", Elements()) if cast_type(node).kind == self.kinds.get(node.input(0), "f"):
                return [data]
            case _:
                pass
        movement = MOVEMENTS.get(node.op)
        if movement is None:
            return None
        ordered = [*given[1:], given[0]] if node.op == "Where" else list(given)
        numbers: list[Array | None] = []
        fill = np.zeros((), np.int64)
        for place, each in enumerate(ordered):
            if not movement.is_data(place):
                if isinstance(each, Elements):
                    return None
                numbers.append(each)
            elif isinstance(each, Elements):
                numbers.append(each.numbers)
            elif isinstance(each, np.ndarray):
                if node.op == "Gather":
                    return None
                numbers.append(pool.constant(each).numbers)
            else:
                numbers.append(None)
        if node.op == "Pad":
            value = numbers[2] if len(numbers) > 2 and numbers[2] is not None else node.number("value", 0.0)
            fill = pool.constant(np.asarray(value)).numbers
        try:
            found = movement.move(node, numbers, fill)
        except Unfit:
            raise
        except (ValueError, TypeError, IndexError) as error:
            advice = "; if it was made for sizes of its own, fix them: --input AXIS=SIZE" if node.op in ("Reshape", "Expand") else ""
            raise Unfit(" ".join(str(error).split()) + advice) from None
        return [pool.count(np.asarray(each, np.int64)) for each in found]
