"""Loop nodes over the steps of sequences: what reads a sequence at the loop's count is a Scan's sequence.

Exporters keep counts in the loop's own counter or in states, and what doesn't change in states, too: these are found first.
"""

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

MOST_STEPS = 10_000
"""Steps of a loop whose counts are followed."""


def looped(layers: Layers, node: Node, given: Sequence[Known], tracer: Tracer) -> Sequence[Known]:
    """The outputs of a Loop that goes once over the steps of sequences. `tracer`: the walk through the graph around it."""
    body = node.attributes.get("body")
    if not isinstance(body, NodeGraph) or len(body.inputs) != len(given) or len(given) < 2 or len(body.outputs) < len(given) - 1:
        raise Unfit("it has no body for its inputs", "body")
    if any(isinstance(each, Elements) for each in given[:2]):
        raise Unfit("how often it is repeated is computed when the model runs", "M, cond")
    return _Loop(layers, node, body, given, tracer).outputs()


class _Loop:
    """A Loop on its way to what a Scan does."""

    def __init__(self, layers: Layers, node: Node, body: NodeGraph, given: Sequence[Known], tracer: Tracer) -> None:
        self.layers, self.node, self.body, self.tracer = layers, node, body, tracer
        self.counter, self.going, *names = (each.name for each in body.inputs)
        self.starts = dict(zip(names, given[2:], strict=True))
        self.after = dict(zip(names, body.outputs[1:], strict=False))
        self.makers = {name: each for each in body.nodes for name in each.outputs if name}
        self.constant = {name: start for name, start in self.starts.items() if self._source(self.after[name]) == name}
        """States that stay as they are."""
        self.counts = {
            name: start
            for name, start in self.starts.items()
            if name not in self.constant and isinstance(start, np.ndarray) and start.dtype != np.object_ and start.size == 1
        }
        """States of which each value is known."""
        self.outside: dict[str, Known] = {}
        self.ways: dict[str, tuple[tuple[Node, ...], Mapping[str, Array]]] = {}
        self._sort()
        self.at = self._followed(given[0], given[1])
        self.count = len(self.at) - 1

    def _source(self, name: str) -> str:
        """The value that another one is the same as."""
        while name in self.makers and self.makers[name].op == "Identity" and not self.makers[name].domain:
            name = self.makers[name].input(0)
        return name

    def _sort(self) -> None:
        """`inner`: values that states go into, `counted`: those that only counts and known numbers go into."""
        while True:
            self.inner = {name for name in self.starts if name not in self.constant and name not in self.counts}
            self.inner |= {name for name, start in self.constant.items() if isinstance(start, Elements)}
            self.counted = {self.counter, self.going, *self.counts}
            for each in self.body.nodes:
                read = set(each.read)
                if read & self.inner or (read & self.counted and any(self._isnt_known(name) for name in read)):
                    self.inner.update(filter(None, each.outputs))
                elif read & self.counted:
                    self.counted.update(filter(None, each.outputs))
            wrong = [name for name in self.counts if self.after[name] in self.inner or self._isnt_known(self.after[name])]
            if not wrong:
                return
            for name in wrong:
                del self.counts[name]

    def _isnt_known(self, name: str) -> bool:
        """Whether a value that is made without counts depends on one that isn't known."""
        if name in self.counted or name in self.body.initializers:
            return False
        if name not in self.outside:
            maker = self.makers.get(name)
            if maker is not None:
                self.outside[name] = None if any(self._isnt_known(each) for each in maker.read) else np.zeros(0)
            else:
                self.outside[name] = self.constant.get(name, self.tracer.values.get(name))
        return not isinstance(self.outside[name], np.ndarray)

    def _followed(self, limit: Known, going: Known) -> list[dict[str, Array]]:
        """The counts at each step, and behind the last one."""
        most = int(limit.reshape(())) if isinstance(limit, np.ndarray) else MOST_STEPS + 1
        if self.body.outputs[0] in self.inner:
            raise Unfit("whether it goes on is computed when the model runs", "cond")
        now = dict(self.counts)
        found: list[dict[str, Array]] = []
        goes_on = not isinstance(going, np.ndarray) or bool(going.all())
        while True:
            found.append({**now, self.counter: np.asarray(len(found), np.int64), self.going: np.asarray(True)})
            if not goes_on or len(found) > most:
                return found
            if len(found) > MOST_STEPS:
                raise Unfit(f"it is repeated more than {MOST_STEPS:,} times", "M")
            goes_on = bool(self._at(self.body.outputs[0], found[-1]).all())
            now = {name: self._at(self.after[name], found[-1]) for name in self.counts}

    def _at(self, name: str, counts: Mapping[str, Array]) -> Array:
        """A value of counts at one step."""
        nodes, known = self._needed(name)
        inside = NodeGraph("", (), (name,), nodes, {**known, **counts})
        found = Tracer(inside, self.layers, lambda node, given: None, self.tracer.findings, {}).evaluate(name)
        if not isinstance(found, np.ndarray):
            raise Unfit(f"{name} isn't known at each step")
        return found

    def _needed(self, name: str) -> tuple[tuple[Node, ...], Mapping[str, Array]]:
        """The nodes that a value of counts comes from, and the numbers that they read."""
        if name not in self.ways:
            stack, nodes, known = [name], dict[Node, None](), dict[str, Array]()
            while stack:
                each = stack.pop()
                maker = self.makers.get(each)
                value = self.body.initializers.get(each, self.constant.get(each, self.tracer.values.get(each)))
                if maker is not None and maker not in nodes:
                    nodes[maker] = None
                    stack += maker.read
                elif maker is None and isinstance(value, np.ndarray):
                    known[each] = value
            self.ways[name] = tuple(nodes), known
        return self.ways[name]

    def outputs(self) -> Sequence[Known]:
        """See `looped`."""
        names = self._hoisted()
        sequences: dict[str, Elements] = {}
        nodes: list[Node] = []
        backwards: set[bool] = set()
        for each in self.body.nodes:
            data = self._read_at_count(each, names)
            if data is not None:
                sequences[each.output(0)] = self._sequence(each, data, backwards)
            elif set(each.outputs) & self.inner:
                nodes.append(renamed(each, names, {}))
        if len(backwards) > 1:
            raise Unfit("some sequences go forwards, others backwards")
        held = {name: start for name, start in self.starts.items() if name not in self.constant and name not in self.counts}
        lists = {name for name, start in held.items() if isinstance(start, np.ndarray) and start.dtype == np.object_}
        added = {name: self._added(name, nodes, names) for name in held if name in lists}
        states = {name: start for name, start in held.items() if name not in lists}
        every = [names.get(each, each) for each in self.body.outputs[1 + len(self.starts) :]]
        order = [*(names.get(self.after[name], self.after[name]) for name in states), *added.values(), *every]
        known, rows = self._around(nodes, order, {*states, *sequences})
        wanted = tuple(bool(self.node.output(list(self.starts).index(name))) for name in states)
        repeated = Repeated(tuple(nodes), states, sequences, rows, tuple(order), known, wanted, True in backwards)
        found = repeated_outputs(self.layers, self.node, repeated, self.tracer.findings)
        results: dict[str, Known] = dict(zip([*states, *added], found, strict=False))
        results |= self.constant | {name: self.at[-1][name] for name in self.counts}
        return [*(results[name] for name in self.starts), *found[len(states) + len(added) :]]

    def _hoisted(self) -> Mapping[str, str]:
        """The nodes that neither counts nor states go into, computed around the loop; all values' names there."""
        moved = [each for each in self.body.nodes if not set(each.outputs) & (self.inner | self.counted)]
        mark = f"{self.node.name or self.node.output(0)}/"
        names = {name: mark + name for each in moved for name in each.outputs if name}
        names |= {name: mark + name for name in (*self.body.initializers, *self.constant)}
        self.tracer.values |= {names[name]: array for name, array in self.body.initializers.items()}
        self.tracer.values |= {names[name]: value for name, value in self.constant.items()}
        self.tracer.take([renamed(each, names, {}) for each in moved])
        return names

    def _read_at_count(self, node: Node, names: Mapping[str, str]) -> Elements | None:
        """What a node reads at the loop's count, if it does that."""
        whole = node.input(0)
        changes = (self.inner | self.counted) - self.constant.keys()
        if node.op != "Gather" or node.domain or node.input(1) not in self.counted or whole in changes:
            return None
        data = self.tracer.evaluate(names.get(whole, whole))
        return data if isinstance(data, Elements) else None

    def _sequence(self, node: Node, data: Elements, backwards: set[bool]) -> Elements:
        """A sequence that is read at the loop's count, its steps first."""
        axis = axis_of(node.whole("axis", 0), data.numbers.ndim)
        if data.shape[axis] != self.count:
            raise Unfit(f"it is repeated {self.count} times, over {data.shape[axis]} steps: once over all of them can be said", "M")
        found = [self._at(node.input(1), counts) for counts in self.at[:-1]]
        places = np.asarray([each.reshape(-1)[0] if each.size == 1 else -1 for each in found]) % self.count
        forward = np.arange(self.count)
        if not np.array_equal(places, forward) and not np.array_equal(places, forward[::-1]):
            raise Unfit(f"{node.place} reads steps in an order that no layer has")
        if self.count > 1:
            backwards.add(not np.array_equal(places, forward))
        moved = np.moveaxis(data.numbers, axis, 0)
        inner = moved.shape[1:]
        return Elements(moved.reshape(self.count, *inner[:axis], *found[0].shape, *inner[axis:]))

    def _added(self, name: str, nodes: list[Node], names: Mapping[str, str]) -> str:
        """What is put to the end of a sequence of tensors at each step."""
        makers = {each: node for node in nodes for each in node.outputs if each}
        maker = makers.get(names.get(self.after[name], self.after[name]))
        if maker is None or maker.op != "SequenceInsert" or maker.input(0) != name or maker.input(2):
            raise Unfit("a sequence of tensors to whose end not one is put at each step", name)
        nodes.remove(maker)
        if any(name in each.read for each in nodes):
            raise Unfit("a sequence of tensors is read in the loop that makes it", name)
        return maker.input(1)

    def _around(self, nodes: Sequence[Node], order: Sequence[str], own: set[str]) -> tuple[Mapping[str, Array], Mapping[str, Elements]]:
        """What the nodes read from around the loop: numbers, and values that are the same at each step."""
        made = {name for each in nodes for name in each.outputs} | own
        read = dict.fromkeys(name for name in (*(name for each in nodes for name in each.read), *order) if name not in made)
        known: dict[str, Array] = {}
        rows: dict[str, Elements] = {}
        for name in read:
            if name in self.counted - {self.going}:
                raise Unfit(f"the loop's count goes into {name}, which is computed when the model runs")
            value = np.asarray(True) if name == self.going else self.tracer.evaluate(name)
            if isinstance(value, Elements):
                rows[name] = value
            elif value is not None:
                known[name] = value
        return known, rows
