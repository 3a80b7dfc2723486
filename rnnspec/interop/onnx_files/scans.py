"""Scan nodes: the body's equations as a cell, over a sequence, from first states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value, ValueOf
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.elements import Elements, Entry, Numbers, Pool, layout_of
from rnnspec.interop.onnx_files.layer_values import Use
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph
from rnnspec.interop.onnx_files.sequence_operations import steps_first
from rnnspec.interop.onnx_files.step_operations import step_outputs
from rnnspec.interop.onnx_files.steps import Steps, cell_text
from rnnspec.interop.onnx_files.tracing import Known, Tracer


@frozen(eq=False)
class Body:
    """A body's equations: for each state the elements after the step, and each output's; names and entries of the states."""

    steps: Steps
    states: tuple[Entry, ...]
    new: tuple[Numbers, ...]
    outputs: tuple[Numbers, ...]


def scanned(
    layers: Layers, node: Node, given: Sequence[Known], outer: Mapping[str, Known], findings: Findings
) -> Sequence[Elements | None]:
    """The outputs of a Scan over one sequence. `outer`: the values around the node, of which the body may read what is known."""
    body = node.attributes.get("body")
    count = node.whole("num_scan_inputs", 0)
    if not isinstance(body, NodeGraph) or count != 1 or len(body.inputs) != len(given):
        raise Unfit(f"a scan over {count} sequences: it goes over one", "num_scan_inputs")
    for name in ("scan_input_axes", "scan_output_axes", "scan_output_directions"):
        if any(node.wholes(name) or ()):
            raise Unfit("sequences along another axis than the first, or outputs in reversed order", name)
    backwards = bool((node.wholes("scan_input_directions") or (0,))[0])
    data = given[-1]
    if not isinstance(data, Elements):
        raise Unfit("the sequence is known")
    layout = steps_first(layers, data, (1, 0, 2))
    sequence = layers.sequence(layers.value(layout.first, node), node)
    made = _body(layers.pool.batch, body, given, sequence.features, outer, findings)
    if made is None:
        return [None] * len(node.outputs)
    return _emitted(layers, node, made, sequence, given[:-1], backwards)


def _body(
    batch: int, graph: NodeGraph, given: Sequence[Known], features: int, outer: Mapping[str, Known], findings: Findings
) -> Body | None:
    steps = Steps(Pool(batch))
    values: dict[str, Elements] = {}
    states: list[Entry] = []
    for place, (each, start) in enumerate(zip(graph.inputs[:-1], given[:-1], strict=True)):
        shape = start.shape if isinstance(start, (Elements, np.ndarray)) else ()
        if len(shape) != 2 or shape[0] != batch:
            raise Unfit(f"a state of {list(shape)}, which isn't a row for each sample", each.name)
        clean = re.sub(r"\W+", "_", each.name.rpartition("/")[2]).strip("_").lower()
        entry = steps.input(steps.equations.name(clean if re.fullmatch(r"[a-wyz]\w*", clean) else f"state_{place}"), shape[1])
        values[each.name] = Elements(steps.pool.whole(entry)[:, 0])
        states.append(entry)
    x = steps.input("x", features)
    values[graph.inputs[-1].name] = Elements(steps.pool.whole(x)[:, 0])
    known: dict[str, Array] = {name: value for name, value in outer.items() if isinstance(value, np.ndarray)}
    inside = NodeGraph(graph.name, (), graph.outputs, graph.nodes, {**known, **graph.initializers})

    def compute(node: Node, operands: Sequence[Known]) -> Sequence[Elements | None] | None:
        return step_outputs(steps, node, operands)

    tracer = Tracer(inside, steps, compute, findings, values)
    rows: list[Numbers] = []
    for name in graph.outputs:
        value = tracer.evaluate(name)
        if value is None:
            return None
        numbers = value.numbers if isinstance(value, Elements) else np.broadcast_to(steps.pool.constant(value).numbers, value.shape)
        rows.append(layout_of(steps.pool, Elements(np.ascontiguousarray(numbers)), (1,)).first.ravel())
    return Body(steps, tuple(states), tuple(rows[: len(states)]), tuple(rows[len(states) :]))


def _emitted(
    layers: Layers, node: Node, body: Body, sequence: Entry, starts: Sequence[Known], backwards: bool
) -> Sequence[Elements | None]:
    """The cell as a layer, and the node's outputs by its results."""
    steps, count = body.steps, len(body.states)
    wanted = [bool(node.output(place)) for place in range(count)]
    every = bool(body.outputs)
    last = next((place for place in reversed(range(count)) if wanted[place]), 0)
    returned = np.concatenate(body.outputs) if every else body.new[last]
    targets = [(f"{state.key}'", steps.key(steps.value(new[None], node))) for state, new in zip(body.states, body.new, strict=True)]
    lines = steps.equations.lines(targets, steps.key(steps.value(returned[None], node)))
    kept = list(range(count))
    if not every and not re.search(rf"\b{body.states[last].key}\b(?!')", "\n".join(lines)) and count > 1:
        kept.remove(last)  # what was given last, which the layer gives by itself
    name = f"Scan{sum(text.startswith('cell Scan') for text in layers.texts) + 1}"
    gone = f"{body.states[last].key}' = "
    if len(kept) < count:
        lines = _without(lines, gone, f"{body.states[last].key}'")
    text = cell_text(name, steps, [(body.states[place].key, body.states[place].features) for place in kept], lines)
    layers.texts |= {**steps.texts, text: None}
    arguments: dict[str, Value] = {"return_sequences": every}
    others = [place for place in kept if wanted[place] and (every or place != last)]
    if others:
        arguments["return_state"] = True
    if backwards:
        arguments["go_backwards"] = True
    given = [_start(layers, starts[place], node) for place in kept]
    if any(each is not None for each in given):
        if any(each is None for each in given):
            raise Unfit("some states start from values, others from zeros", "initial states")
        arguments["initial_state"] = tuple(ValueOf(each.key) for each in given if each is not None)
    key = f"value {len(layers.pool.entries)}"
    result = layers.pool.add(key, sequence.steps if every else 1, len(returned), is_open=every and sequence.is_open)
    finals = [layers.pool.add(f"value {len(layers.pool.entries)}", 1, body.states[place].features) for place in kept] if others else []
    keys = (result.key, *(each.key for each in finals))
    layers.uses.append(Use(name, arguments, (sequence.key,), keys, node.name, dict(steps.equations.weights)))
    outputs: list[Elements | None] = [None] * count
    for place, final in zip(kept, finals, strict=False):
        outputs[place] = layers.pool.count(layers.pool.whole(final)[:, 0])
    if not every:
        outputs[last] = layers.pool.count(layers.pool.whole(result)[:, 0])
    whole, start = layers.pool.whole(result), 0
    for each in body.outputs:
        outputs.append(layers.pool.count(whole[:, :, start : start + len(each)].transpose(1, 0, 2)))
        start += len(each)
    return outputs


def _without(lines: Sequence[str], gone: str, name: str) -> list[str]:
    """Equations without that of a state that isn't kept: its value under a name of its own."""
    plain = "given"
    return [line.replace(gone, f"{plain} = ", 1).replace(name, plain) if name in line else line for line in lines]


def _start(layers: Layers, start: Known, node: Node) -> Entry | None:
    """A first state; None for zeros."""
    if isinstance(start, Elements):
        return layers.value(layout_of(layers.pool, start, (1,)).first, node)
    if start is None or start.any():
        raise Unfit("a state that starts from numbers of the file", "initial states")
    return None
