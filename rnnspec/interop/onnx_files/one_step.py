"""A graph of one step with its states as inputs and outputs: a cell of the graph's own equations, over a sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import SourceCall, arranged, gathered
from rnnspec.interop.graph.graph import ImportedGraph, ImportedInput, ImportedLayer, ImportedOutput, Value
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.elements import Elements, Entry, Numbers, Pool, layout_of, listed
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph
from rnnspec.interop.onnx_files.operations import known_of
from rnnspec.interop.onnx_files.roles import InputRoles, assignments, batch_of
from rnnspec.interop.onnx_files.step_operations import step_outputs
from rnnspec.interop.onnx_files.steps import Steps, cell_text
from rnnspec.interop.onnx_files.tracing import Known, Tracer

BATCH = 2
"""The size of the batch while a graph is read that doesn't fix it."""

STEP = Node("step", "", "", (), (), {}, 0)


@frozen(eq=False)
class Piece:
    """A state of the cell: some of the elements of a state of the file, `places` in it, in an order of their own."""

    name: str
    places: Numbers


@frozen(eq=False)
class Walk:
    """A walk through the graph: `data` the elements of x by input, `new` each state's elements after the step, `results` the outputs."""

    steps: Steps
    data: tuple[Entry, ...]
    tables: tuple[tuple[str, Array], ...]
    new: Mapping[str, Numbers]
    results: tuple[tuple[str, Numbers], ...]


@frozen(eq=False)
class OneStep:
    """A graph with the meaning of its inputs' axes and its states, pairs of an input and an output."""

    graph: NodeGraph
    chosen: tuple[InputRoles, ...]
    states: Mapping[str, str]

    @property
    def batch(self) -> int:
        """The size of the batch while it is read."""
        return batch_of(self.chosen, BATCH)

    def roles(self, name: str) -> InputRoles:
        """An input's."""
        return next(each for each in self.chosen if each.source.name == name)


def cell_of(graph: NodeGraph, name: str, states: Mapping[str, str], findings: Findings) -> ImportedGraph | None:
    """The model of one cell that a graph of one step is; None with findings for one that can't be said."""
    first: Findings | None = None
    for chosen in assignments(graph.inputs, in_steps=False):
        found = Findings()
        try:
            made = _model(OneStep(graph, chosen, states), name, found)
        except Unfit as error:
            found.add("", error.attribute, str(error))
            made = None
        if made is not None:
            return made
        first = first or found
    if first is None:
        first = Findings()
        open_axes = [
            f"{size or f'{each.name}.{axis}'}"
            for each in graph.inputs
            for axis, size in enumerate(each.dimensions or ())
            if isinstance(size, str)
        ]
        first.add("", "", f"a graph of one step has rows of fixed numbers of features: fix {', '.join(open_axes)} by --input name=value")
    for each in first.found:
        findings.add(each.place, each.attribute, each.reason)
    return None


def _model(one: OneStep, name: str, findings: Findings) -> ImportedGraph | None:
    packed = {state: [Piece(_identifier(state), np.arange(_size(one.roles(state)), dtype=np.int64))] for state in one.states}
    walk = _walk(one, packed, findings)
    if findings.found or walk is None:
        return None
    pieces = {state: _pieces(walk, state, walk.new[state]) for state in one.states}
    walk = _walk(one, pieces, findings)
    if findings.found or walk is None:
        return None
    return _written(one, name, walk, pieces)


def _walk(one: OneStep, pieces: Mapping[str, Sequence[Piece]], findings: Findings) -> Walk | None:
    """The graph's equations with the states in pieces."""
    steps = Steps(Pool(one.batch))
    given: dict[str, Elements] = {}
    data: list[Entry] = []
    looked_up: list[tuple[str, Array]] = []
    for each in one.chosen:
        name, size = each.source.name, _size(each)
        if name in one.states:
            whole = np.empty((one.batch, size), np.int64)
            for piece in pieces[name]:
                entry = steps.input(steps.equations.name(piece.name), len(piece.places))
                whole[:, piece.places] = steps.pool.whole(entry)[:, 0]
            given[name] = Elements(arranged(whole[:, None], each.roles, _sizes(each, one.batch)))
        else:
            entry = steps.pool.add(f"input {name}", 1, size)
            if not each.source.element.startswith(("int", "uint")):
                data.append(entry)
            given[name] = Elements(arranged(steps.pool.whole(entry), each.roles, _sizes(each, one.batch)))

    def compute(node: Node, operands: Sequence[Known]) -> Sequence[Elements | None] | None:
        if node.op == "Gather" and not node.domain:
            return [_embedded(steps, node, operands, looked_up, data)]
        return step_outputs(steps, node, operands)

    tracer = Tracer(one.graph, steps, compute, findings, given)
    new: dict[str, Numbers] = {}
    results: list[tuple[str, Numbers]] = []
    for output in one.graph.outputs:
        value = tracer.evaluate(output)
        state = next((before for before, after in one.states.items() if after == output), None)
        if value is None:
            if not findings.found:
                findings.add(f"output {output}", "", "no node gives it")
            continue
        numbers = value.numbers if isinstance(value, Elements) else steps.pool.constant(value).numbers
        if state is not None:
            roles = one.roles(state)
            if numbers.shape != _sizes(roles, one.batch):
                findings.add(f"output {output}", "", f"its shape {list(numbers.shape)} isn't that of the state {state}")
                continue
            rows = gathered(numbers, roles.roles)
            new[state] = layout_of(steps.pool, Elements(rows), (1,)).first.ravel()
        else:
            layout = layout_of(steps.pool, Elements(numbers), tuple(range(1, numbers.ndim)) if numbers.ndim else ())
            results.append((output, layout.first.ravel()))
    return None if findings.found else Walk(steps, tuple(data), tuple(looked_up), new, tuple(results))


def _embedded(steps: Steps, node: Node, given: Sequence[Known], looked_up: list[tuple[str, Array]], data: list[Entry]) -> Elements:
    """Rows of a table by an input of ids: a layer before the cell makes them, and they are a part of x."""
    table = known_of(given, 0, "data")
    ids = given[1]
    if table.ndim != 2 or node.whole("axis", 0) or not isinstance(ids, Elements):
        raise Unfit(f"numbers of {list(table.shape)} by ids along axis {node.whole('axis', 0)}, which is no table of rows")
    layout = layout_of(steps.pool, ids, ())
    entries = steps.pool.entries_in(layout.first)
    if layout.first.size != 1 or len(entries) != 1 or not entries[0].key.startswith("input "):
        raise Unfit("a table is looked up by numbers that are computed when the model runs")
    entry = steps.pool.add(f"embedding {len(looked_up)}", 1, table.shape[1])
    looked_up.append((entries[0].key.removeprefix("input "), table))
    data.append(entry)
    return steps.pool.count(layout.back(entry, (table.shape[1],)))


def _pieces(walk: Walk, state: str, new: Numbers) -> list[Piece]:
    """The parts of a state that are a value each after the step, and one of all other elements."""
    pool = walk.steps.pool
    place = pool.place(new)
    found: list[Numbers] = []
    rest = np.ones(len(new), np.bool_)
    for number in dict.fromkeys(listed(place)):
        entry, here = pool.entries[number], np.flatnonzero(place == number)
        offsets = new[here] - entry.base
        if not entry.constant and entry.key.startswith("value ") and np.array_equal(np.sort(offsets), np.arange(entry.size)):
            found.append(here[np.argsort(offsets)])
            rest[here] = False
    if rest.any():
        found.append(np.flatnonzero(rest))
    base = _identifier(state)
    return [Piece(base if len(found) == 1 else f"{base}_{number + 1}", places) for number, places in enumerate(found)]


def _size(roles: InputRoles) -> int:
    """Elements of one sample."""
    size = 1
    for number, role in zip(roles.source.dimensions or (), roles.roles, strict=True):
        size *= int(number) if role.value == "features" else 1
    return size


def _sizes(roles: InputRoles, batch: int) -> tuple[int, ...]:
    """The input's shape while the graph is read."""
    pairs = zip(roles.source.dimensions or (), roles.roles, strict=True)
    return tuple(batch if role.value == "batch" else int(size) for size, role in pairs)


def _identifier(name: str) -> str:
    """A name for equations."""
    clean = re.sub(r"\W+", "_", name).strip("_").lower()
    return f"state_{clean}" if not clean or not clean[0].isalpha() or clean in _TAKEN else clean


_TAKEN = frozenset(
    {"x", "input", "output", "state", "weight", "return", "when", "else", "if", "and", "or", "not", "model", "cell", "units"}
)


def _written(one: OneStep, name: str, walk: Walk, pieces: Mapping[str, Sequence[Piece]]) -> ImportedGraph:
    """The model of the cell: its inputs side by side, the cell over a sequence, its outputs apart."""
    steps, equations = walk.steps, walk.steps.equations
    notes: list[str] = []
    targets: list[tuple[str, str]] = []
    states: list[tuple[str, int]] = []
    for before, after in one.states.items():
        for piece in pieces[before]:
            value = steps.value(np.ascontiguousarray(walk.new[before][piece.places])[None], STEP)
            targets.append((f"{piece.name}'", steps.key(value)))
            states.append((piece.name, len(piece.places)))
        notes.append(f"state {before}, {after} is kept by the cell: a step of the file is a step of a sequence here")
    every = np.concatenate([numbers for _, numbers in walk.results]) if walk.results else np.empty(0, np.int64)
    if not len(every):
        raise Unfit("nothing comes out of it but states")
    if not walk.data:
        raise Unfit("nothing goes into it but states")
    returned = steps.key(steps.value(every[None], STEP))
    _read_x(walk)
    lines = equations.lines(targets, returned)
    cell = re.sub(r"\W+", "", name.title().replace("_", "")) + "Step"
    cell = cell if cell[0].isalpha() else f"Cell{cell}"
    text = cell_text(cell, steps, states, lines)
    inputs, layers = _inputs(one, walk)
    row = layers[-1].outputs[0] if layers and len(walk.data) > 1 else _key(one, walk, 0)
    arguments: dict[str, Value] = {"return_sequences": True}
    layers.append(ImportedLayer(cell, arguments, (row,), ("step",), weights=dict(equations.weights)))
    outputs: list[ImportedOutput] = []
    start = 0
    for output, numbers in walk.results:
        key = "step"
        if len(walk.results) > 1:
            key, stop = f"output {output}", start + len(numbers)
            cut: dict[str, Value] = {"start": start, "stop": stop, "axis": -1}
            layers.append(ImportedLayer("Slice", cut, ("step",), (key,)))
            start = stop
        outputs.append(ImportedOutput(key, output))
    doubles = any(array.dtype == np.float64 for array in equations.weights.values())
    known = {*one.states, *(each.name for each in inputs)}
    axes = {each.source.name: each.roles for each in one.chosen}
    return ImportedGraph(
        name,
        tuple(inputs),
        tuple(layers),
        tuple(outputs),
        (*steps.texts, text),
        notes=tuple(notes),
        dtype="float64" if doubles else "float32",
        call=SourceCall(axes, one.states, (), tuple(name for name in axes if name not in known), tuple(one.graph.outputs)),
    )


def _key(one: OneStep, walk: Walk, place: int) -> str:
    """The key of a part of x in the model."""
    entry = walk.data[place]
    return entry.key.removeprefix("input ") if entry.key.startswith("input ") else entry.key


def _inputs(one: OneStep, walk: Walk) -> tuple[list[ImportedInput], list[ImportedLayer]]:
    """The model's inputs, and the layers that make x of them."""
    inputs: list[ImportedInput] = []
    layers: list[ImportedLayer] = []
    ids = [name for name, _ in walk.tables]
    for each in one.chosen:
        name = each.source.name
        if name in one.states:
            continue
        if name in ids:
            inputs.append(ImportedInput(name, "int", ("time",)))
        elif any(entry.key == f"input {name}" for entry in walk.data):
            inputs.append(ImportedInput(name, "float", ("time", _size(each))))
    for number, (name, table) in enumerate(walk.tables):
        arguments: dict[str, Value] = {"input_dim": table.shape[0], "output_dim": table.shape[1]}
        layers.append(ImportedLayer("Embedding", arguments, (name,), (f"embedding {number}",), weights={"embeddings": table}))
    if len(walk.data) > 1:
        keys = tuple(_key(one, walk, place) for place in range(len(walk.data)))
        layers.append(ImportedLayer("Concatenate", {}, keys, ("x",)))
    return inputs, layers


def _read_x(walk: Walk) -> None:
    """The equations of the parts of x by its inputs, in front of all others."""
    steps, equations = walk.steps, walk.steps.equations
    made = dict(equations.made)
    equations.made.clear()
    total = sum(entry.features for entry in walk.data)
    start = 0
    x = steps.pool.add("x", 1, total)
    for entry in walk.data:
        part = steps.value(steps.pool.first(x)[:, start : start + entry.features], STEP)
        key = steps.key(part)
        if key == "x":
            equations.alias(entry.key, key)
        else:
            equations.made[entry.key] = equations.made.pop(key)
        start += entry.features
    equations.made.update(made)
