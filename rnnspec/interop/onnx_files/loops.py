"""Loop nodes over the steps of sequences: what reads a sequence at the loop's count is a Scan's sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.elements import Elements
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit, axis_of
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph, renamed
from rnnspec.interop.onnx_files.scans import Repeated, repeated_outputs
from rnnspec.interop.onnx_files.tracing import Known, Tracer

TRIED = 4
"""Steps for which places in a sequence are computed, beside the last one."""


def looped(layers: Layers, node: Node, given: Sequence[Known], tracer: Tracer) -> Sequence[Elements | None]:
    """The outputs of a Loop that goes once over the steps of sequences. `tracer`: the walk through the graph around it."""
    body = node.attributes.get("body")
    if not isinstance(body, NodeGraph) or len(body.inputs) != len(given) or len(body.inputs) < 2:
        raise Unfit("it has no body for its inputs", "body")
    count, condition = given[0], given[1]
    if not isinstance(count, np.ndarray) or count.size != 1:
        raise Unfit("how often it is repeated is computed when the model runs", "M")
    if isinstance(condition, Elements) or (condition is not None and not condition.all()):
        raise Unfit("whether it is repeated is computed when the model runs", "cond")
    return _Loop(layers, node, body, given[2:], tracer, int(count.reshape(()))).outputs()


class _Loop:
    """A Loop on its way to what a Scan does."""

    def __init__(self, layers: Layers, node: Node, body: NodeGraph, starts: Sequence[Known], tracer: Tracer, count: int) -> None:
        self.layers, self.node, self.body, self.tracer, self.count = layers, node, body, tracer, count
        counter, going, *states = (each.name for each in body.inputs)
        self.counter, self.going = counter, going
        self.starts = dict(zip(states, starts, strict=True))
        self.counted = {counter}
        """Values that only the loop's count goes into."""
        self.inner = {going, *states}
        """Values that states go into."""
        self._sort()

    def _sort(self) -> None:
        for each in self.body.nodes:
            read = set(each.read)
            if read & self.inner or (read & self.counted and not self._only_counts(read)):
                self.inner.update(filter(None, each.outputs))
            elif read & self.counted:
                self.counted.update(filter(None, each.outputs))

    def _only_counts(self, read: set[str]) -> bool:
        """Whether values are counts, and numbers that are known outside or made here of such."""
        made = {name for each in self.body.nodes for name in each.outputs}
        outside = [name for name in read - self.counted - self.body.initializers.keys() if name not in made]
        here = [name for name in read - self.counted if name in made]
        makers = {name: each for each in self.body.nodes for name in each.outputs}
        return all(isinstance(self.tracer.values.get(name), np.ndarray) for name in outside) and all(
            self._only_counts(set(makers[name].read)) for name in here
        )

    def outputs(self) -> Sequence[Elements | None]:
        """See `looped`."""
        names = self._hoisted()
        sequences: dict[str, Elements] = {}
        nodes: list[Node] = []
        backwards: set[bool] = set()
        for each in self.body.nodes:
            place = each.input(1)
            if each.op == "Gather" and place in self.counted and each.input(0) not in self.inner | self.counted:
                data = self.tracer.evaluate(names.get(each.input(0), each.input(0)))
                if isinstance(data, Elements):
                    sequences[each.output(0)] = self._sequence(each, data, place, backwards)
                    continue
            if set(each.outputs) & self.inner:
                nodes.append(renamed(each, {name: names.get(name, name) for name in each.read}, {}))
        if len(backwards) > 1:
            raise Unfit("some sequences go forwards, others backwards")
        lists = {name for name, start in self.starts.items() if isinstance(start, np.ndarray) and start.dtype == np.object_}
        results = self._results(nodes, lists, names)
        if lists & {name for each in nodes for name in each.read}:
            raise Unfit("a sequence of tensors is used in the loop that makes it")
        outer = {name: self.tracer.evaluate(name) for name in self._outside(nodes, results, sequences)}
        rows = {name: value for name, value in outer.items() if isinstance(value, Elements)}
        known: dict[str, Array] = {name: value for name, value in outer.items() if isinstance(value, np.ndarray)}
        known[self.going] = np.asarray(True)
        held = {name: start for name, start in self.starts.items() if name not in lists}
        new, lists_of = results
        order = [new[name] for name in held] + [lists_of[name] for name in self.starts if name in lists]
        order += list(self.body.outputs[1 + len(self.starts) :])
        repeated = Repeated(tuple(nodes), held, sequences, rows, tuple(order), known, True in backwards)
        found = list(repeated_outputs(self.layers, self.node, repeated, self.tracer.findings))
        ends = iter(found[: len(held)])
        every = iter(found[len(held) :])
        return [next(every) if name in lists else next(ends) for name in self.starts] + list(every)

    def _hoisted(self) -> Mapping[str, str]:
        """The nodes that neither counts nor states go into, computed around the loop; their values' names there."""
        outside = [each for each in self.body.nodes if not set(each.outputs) & (self.inner | self.counted)]
        mark = f"{self.node.name or self.node.output(0)}/"
        names = {name: mark + name for each in outside for name in each.outputs if name}
        names |= {name: mark + name for name in self.body.initializers}
        self.tracer.values |= {names[name]: array for name, array in self.body.initializers.items()}
        self.tracer.take([renamed(each, names, {}) for each in outside])
        return names

    def _sequence(self, node: Node, data: Elements, place: str, backwards: set[bool]) -> Elements:
        """A sequence that is read at the loop's count, its steps first."""
        axis = axis_of(node.whole("axis", 0), data.numbers.ndim)
        if data.shape[axis] != self.count:
            raise Unfit(f"it is repeated {self.count} times, over {data.shape[axis]} steps: once over all of them can be said", "M")
        tried = sorted({*range(min(self.count, TRIED)), self.count - 1})
        found = [self._at(place, number) for number in tried]
        shape, last = found[0].shape, self.count - 1
        places = [int(each.reshape(-1)[0]) % self.count if each.size == 1 else -1 for each in found]
        if places not in (tried, [last - each for each in tried]):
            raise Unfit("steps are read in an order that no layer has", node.name)
        if self.count > 1:
            backwards.add(places != tried)
        moved = np.moveaxis(data.numbers, axis, 0)
        inner = moved.shape[1:]
        return Elements(moved.reshape(self.count, *inner[:axis], *shape, *inner[axis:]))

    def _at(self, name: str, number: int) -> Array:
        """A value of counts at one of them."""
        inside = NodeGraph("", (), (name,), self.body.nodes, {**self._numbers(), self.counter: np.asarray(number, np.int64)})
        found = Tracer(inside, self.layers, lambda node, given: None, self.tracer.findings, {}).evaluate(name)
        if not isinstance(found, np.ndarray):
            raise Unfit("places in a sequence that aren't known", name)
        return found

    def _numbers(self) -> Mapping[str, Array]:
        return {name: value for name, value in self.tracer.values.items() if isinstance(value, np.ndarray)} | dict(self.body.initializers)

    def _results(self, nodes: list[Node], lists: set[str], names: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The names of the states after a step, and of what is put to each list of tensors."""
        going, *after = (names.get(each, each) for each in self.body.outputs[: 1 + len(self.starts)])
        makers = {name: each for each in nodes for name in each.outputs if name}
        self._goes_on(going, makers)
        added: dict[str, str] = {}
        for name, end in zip(self.starts, after, strict=True):
            if name in lists:
                maker = makers.get(end)
                if maker is None or maker.op != "SequenceInsert" or maker.input(0) != name or maker.input(2):
                    raise Unfit("a sequence of tensors to which not one is put at each step", name)
                nodes.remove(maker)
                added[name] = maker.input(1)
        return {name: end for name, end in zip(self.starts, after, strict=True) if name not in lists}, added

    def _goes_on(self, name: str, makers: Mapping[str, Node]) -> None:
        while name in makers and makers[name].op in ("Identity", "Cast"):
            name = makers[name].input(0)
        if name == self.going:
            return
        known = self.tracer.evaluate(name) if name not in makers else None
        if not isinstance(known, np.ndarray) or not known.all():
            raise Unfit("whether it goes on is computed when the model runs", "cond")

    def _outside(
        self, nodes: Sequence[Node], results: tuple[Mapping[str, str], Mapping[str, str]], sequences: Mapping[str, Elements]
    ) -> list[str]:
        """The values around the loop that its nodes read."""
        made = {name for each in nodes for name in each.outputs} | self.starts.keys() | sequences.keys() | {self.going}
        read = [name for each in nodes for name in each.read] + [name for group in results for name in group.values()]
        read += list(self.body.outputs[1 + len(self.starts) :])
        if self.counted & set(read):
            raise Unfit("the loop's count is used as a number")
        return [name for name in dict.fromkeys(read) if name and name not in made and name not in results[1]]
