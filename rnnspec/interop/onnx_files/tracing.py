"""Walking a graph: what is known is computed, what moves elements is followed, and what computes is handed to an emitter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.elements import Elements
from rnnspec.interop.onnx_files.emitting import Emitter
from rnnspec.interop.onnx_files.folding import cast_type, folded, shape_of
from rnnspec.interop.onnx_files.moving import MOVEMENTS, Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph, renamed

Known: TypeAlias = "Array | Elements | None"
"""A value while a graph is walked; None for one that can't be said, which was told."""

Compute: TypeAlias = "Callable[[Node, Sequence[Known]], Sequence[Elements | None] | None]"
"""The outputs of a node of values that aren't known; None for an operation that there isn't."""

NODE_LIMIT = 100_000
"""Nodes that are walked, those of branches that were taken included."""


class Tracer:
    """A walk through one graph, node by node as they are needed."""

    def __init__(self, graph: NodeGraph, emitter: Emitter, compute: Compute, findings: Findings, given: Mapping[str, Elements]) -> None:
        self.emitter = emitter
        self.compute = compute
        self.findings = findings
        self.values: dict[str, Known] = {**graph.initializers, **given}
        self.makers: dict[str, Node] = {}
        self.branches = 0
        self.nodes = 0
        self._take(graph.nodes)

    def _take(self, nodes: Sequence[Node]) -> None:
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
            outputs: Sequence[Known] = self._outputs(node, given)
        except (ValueError, IndexError) as error:  # numpy's, of shapes that don't fit each other, besides `Unfit`
            self.findings.add(node.place, error.attribute if isinstance(error, Unfit) else "", " ".join(str(error).split()))
            outputs = []
        for place, name in enumerate(node.outputs):
            if name:
                self.values[name] = outputs[place] if place < len(outputs) else None

    def _outputs(self, node: Node, given: Sequence[Known]) -> Sequence[Known]:
        known = [each for each in given if not isinstance(each, Elements)]
        if not node.domain and len(known) == len(given):
            found = folded(node, known)
            if found is None:
                raise Unfit("the operation isn't computed when a file is read")
            return found
        found = self._moved(node, given) if not node.domain else None
        if found is None:
            found = self.compute(node, given)
        if found is None:
            raise Unfit("the language has nothing that says it")
        return found

    def _branch(self, node: Node, condition: Known) -> None:
        """The nodes of the branch that a known condition chooses, under names of their own."""
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            reason = "its condition isn't known: fix the input that it comes from, --input name=value"
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
        self._take([renamed(each, names, {}) for each in chosen.nodes])
        for name, inner in zip(node.outputs, chosen.outputs, strict=True):
            if name:
                self.makers[name] = Node("Identity", "", "", (names.get(inner, inner),), (name,), {}, node.opset)

    def _moved(self, node: Node, given: Sequence[Known]) -> Sequence[Known] | None:
        """The outputs of a node that moves elements, or asks for shapes; None for one that computes."""
        pool = self.emitter.pool
        data = given[0]
        match node.op, data:
            case "Shape", Elements():
                return [shape_of(node, data.numbers)]
            case "Size", Elements():
                return [np.asarray(data.numbers.size, np.int64)]
            case "Cast", Elements():
                cast_type(node)
                return [data]
            case "CastLike", Elements():
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
            raise Unfit(" ".join(str(error).split())) from None
        return [pool.count(np.asarray(each, np.int64)) for each in found]
