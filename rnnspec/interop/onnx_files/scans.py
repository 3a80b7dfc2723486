"""Scan nodes, and what is repeated as they are: the body's equations as a cell, over sequences side by side, from first states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value, ValueOf
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.elements import Elements, Entry, Numbers, Pool, layout_of
from rnnspec.interop.onnx_files.layer_values import Use
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit, axis_of
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph
from rnnspec.interop.onnx_files.step_operations import step_outputs
from rnnspec.interop.onnx_files.steps import Steps, cell_text
from rnnspec.interop.onnx_files.tracing import Known, Tracer

RESERVED = frozenset({"input", "output", "state", "weight", "return", "when", "else", "if", "and", "or", "not", "model", "cell", "units"})
"""Words that no state can have as its name."""


@frozen(eq=False)
class Repeated:
    """What a Scan or a Loop does at each step: `nodes` from `states` and `sequences` to `outputs`, the new states first.

    `states`: by names inside, what they start from; `sequences`: by names inside, tensors whose first axis is that of the steps;
    `rows`: by names inside, what is the same at each step. `known`: numbers that the nodes read. `wanted`: which states are read after
    the last step.
    """

    nodes: tuple[Node, ...]
    states: Mapping[str, Known]
    sequences: Mapping[str, Elements]
    rows: Mapping[str, Elements]
    outputs: tuple[str, ...]
    known: Mapping[str, Array]
    wanted: tuple[bool, ...]
    backwards: bool = False


@frozen(eq=False)
class Body:
    """A body's equations: for each state the elements after the step, and each output's; the states' entries and shapes.

    `shapes`: of what the nodes give at one step, the new states first; `axes`: that of the samples in each state.
    """

    steps: Steps
    states: tuple[Entry, ...]
    new: tuple[Numbers, ...]
    outputs: tuple[Numbers, ...]
    shapes: tuple[tuple[int, ...], ...]
    axes: tuple[int, ...]


def scanned(layers: Layers, node: Node, given: Sequence[Known], tracer: Tracer) -> Sequence[Elements | None]:
    """The outputs of a Scan. `tracer`: the walk through the graph around the node, of which the body may read values."""
    body = node.attributes.get("body")
    count = node.whole("num_scan_inputs", 0)
    if node.opset < 9:
        raise Unfit("the operation of version 8, whose body has no samples")
    if not isinstance(body, NodeGraph) or not 0 < count <= len(given) or len(body.inputs) != len(given):
        raise Unfit(f"a scan over {count} sequences of {len(given)} inputs", "num_scan_inputs")
    if len(body.outputs) != len(node.outputs) or len(body.outputs) < len(given) - count:
        raise Unfit(f"its body gives {len(body.outputs)} values for {len(node.outputs)}", "body")
    directions = node.wholes("scan_input_directions") or (0,) * count
    if len(set(directions)) > 1:
        raise Unfit("some sequences go forwards, others backwards", "scan_input_directions")
    names, held = [each.name for each in body.inputs], len(given) - count
    axes = node.wholes("scan_input_axes") or (0,) * count
    sequences: dict[str, Elements] = {}
    for name, value, axis in zip(names[held:], given[held:], axes, strict=True):
        if not isinstance(value, Elements):
            raise Unfit("a sequence that is known", name)
        sequences[name] = Elements(np.moveaxis(value.numbers, axis_of(axis, value.numbers.ndim), 0))
    outer = {name: tracer.values.get(name) for name in body.captured}
    rows = {name: value for name, value in outer.items() if isinstance(value, Elements)}
    known = {name: value for name, value in outer.items() if isinstance(value, np.ndarray)} | dict(body.initializers)
    starts = dict(zip(names[:held], given[:held], strict=True))
    wanted = tuple(bool(node.output(place)) for place in range(held))
    repeated = Repeated(body.nodes, starts, sequences, rows, body.outputs, known, wanted, bool(directions[0]))
    found = repeated_outputs(layers, node, repeated, tracer.findings)
    ends, every = found[:held], found[held:]
    reverse, places = node.wholes("scan_output_directions") or (0,) * len(every), node.wholes("scan_output_axes") or (0,) * len(every)
    turned: list[Elements | None] = []
    for value, is_reverse, axis in zip(every, reverse, places, strict=True):
        numbers = None if value is None else value.numbers[::-1] if is_reverse else value.numbers
        turned.append(None if numbers is None else Elements(np.moveaxis(numbers, 0, axis_of(axis, numbers.ndim))))
    return [*ends, *turned]


def repeated_outputs(layers: Layers, node: Node, repeated: Repeated, findings: Findings) -> Sequence[Elements | None]:
    """The states after the last step, and what comes out of each, (steps, ...). None with findings for what can't be said."""
    values = [*repeated.sequences.values()]
    if not values:
        raise Unfit("it goes over no sequence")
    made = _body(layers, repeated, findings)
    if made is None:
        return [None] * len(repeated.outputs)
    parts = [layers.value(_rows(layers, each, 1), node) for each in values]
    backwards = repeated.backwards
    turned = [layers.turned(each) for each in parts]
    if all(turned):
        parts, backwards = [each for each in turned if each is not None], not backwards
    parts = [layers.sequence(each, node) for each in parts]
    parts += [layers.value(_rows(layers, each, 0), node) for each in repeated.rows.values()]
    sequence = parts[0] if len(parts) == 1 else layers.side_by_side(parts, node)
    return _emitted(layers, node, made, sequence, repeated, backwards)


def _rows(layers: Layers, data: Elements, leading: int) -> Numbers:
    """A tensor with the samples behind some leading axes as the first sample's rows, (steps, features)."""
    numbers = data.numbers
    axis = _batch_axis(layers.pool.batch, numbers.shape[leading:]) + leading
    moved = np.moveaxis(numbers, axis, 0)
    return layout_of(layers.pool, Elements(moved), tuple(range(1 + leading, moved.ndim))).first


def _batch_axis(batch: int, shape: Sequence[int]) -> int:
    """The axis of the samples in a tensor of one step: the first one of their number."""
    if batch not in shape:
        raise Unfit(f"a tensor of {list(shape)}, which has no axis of the samples")
    return list(shape).index(batch)


def _spread(pool: Pool, entry: Entry, features: Numbers, shape: Sequence[int]) -> Elements:
    """Features of a row as a tensor of a shape with an axis of the samples."""
    axis = _batch_axis(pool.batch, shape)
    inner = [size for place, size in enumerate(shape) if place != axis]
    whole = pool.whole(entry)[:, 0][:, features].reshape(pool.batch, *inner)
    return Elements(np.moveaxis(whole, 0, axis))


def _name(name: str, place: int) -> str:
    clean = re.sub(r"\W+", "_", name.rpartition("/")[2]).strip("_").lower()
    return clean if re.fullmatch(r"[a-wyz]\w*", clean) and clean not in RESERVED else f"state_{place}"


def _body(layers: Layers, repeated: Repeated, findings: Findings) -> Body | None:
    steps = Steps(Pool(layers.pool.batch))
    values: dict[str, Elements] = {}
    states: list[Entry] = []
    axes: list[int] = []
    for place, (name, start) in enumerate(repeated.states.items()):
        shape = start.shape if isinstance(start, (Elements, np.ndarray)) else ()
        axis = _batch_axis(steps.pool.batch, shape)
        width = prod(shape) // steps.pool.batch
        entry = steps.input(steps.equations.name(_name(name, place)), width)
        values[name] = _spread(steps.pool, entry, np.arange(width), shape)
        states.append(entry)
        axes.append(axis)
    shapes = {name: each.shape[1:] for name, each in repeated.sequences.items()}
    shapes |= {name: each.shape for name, each in repeated.rows.items()}
    widths = [prod(shape) // steps.pool.batch for shape in shapes.values()]
    x, start = steps.input("x", sum(widths)), 0
    for (name, shape), width in zip(shapes.items(), widths, strict=True):
        values[name] = _spread(steps.pool, x, np.arange(start, start + width), shape)
        start += width
    inside = NodeGraph("", (), repeated.outputs, repeated.nodes, repeated.known)

    def compute(node: Node, operands: Sequence[Known]) -> Sequence[Elements | None] | None:
        return step_outputs(steps, node, operands)

    tracer = Tracer(inside, steps, compute, findings, values)
    rows: list[Numbers] = []
    made: list[tuple[int, ...]] = []
    for place, name in enumerate(repeated.outputs):
        value = tracer.evaluate(name)
        if value is None:
            return None
        numbers = value.numbers if isinstance(value, Elements) else np.broadcast_to(steps.pool.constant(value).numbers, value.shape)
        axis = axes[place] if place < len(axes) else _batch_axis(steps.pool.batch, numbers.shape)
        moved = np.ascontiguousarray(np.moveaxis(numbers, axis, 0)).reshape(steps.pool.batch, -1)
        rows.append(layout_of(steps.pool, Elements(moved), (1,)).first.ravel())
        made.append(numbers.shape)
    for entry, new in zip(states, rows, strict=False):
        if len(new) != entry.features:
            raise Unfit(f"a state of {entry.features} numbers has {len(new)} after the step", entry.key)
    return Body(steps, tuple(states), tuple(rows[: len(states)]), tuple(rows[len(states) :]), tuple(made), tuple(axes))


def _emitted(layers: Layers, node: Node, body: Body, sequence: Entry, repeated: Repeated, backwards: bool) -> Sequence[Elements | None]:
    """The cell as a layer, and the node's outputs by its results."""
    steps, count = body.steps, len(body.states)
    wanted, starts = repeated.wanted, list(repeated.states.values())
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
    given = [_start(layers, starts[place], body.axes[place], node) for place in kept]
    if any(each is not None for each in given):
        filled = [
            layers.zeros(sequence, body.states[place].features, node) if each is None else each
            for place, each in zip(kept, given, strict=True)
        ]
        arguments["initial_state"] = tuple(ValueOf(each.key) for each in filled)
    key = f"value {len(layers.pool.entries)}"
    result = layers.pool.add(key, sequence.steps if every else 1, len(returned), is_open=every and sequence.is_open)
    finals = [layers.pool.add(f"value {len(layers.pool.entries)}", 1, body.states[place].features) for place in kept] if others else []
    keys = (result.key, *(each.key for each in finals))
    layers.uses.append(Use(name, arguments, (sequence.key,), keys, node.name, dict(steps.equations.weights)))
    result = layers.as_row(result, node) if every else result
    outputs: list[Elements | None] = [None] * count
    for place, final in zip(kept, finals, strict=False):
        outputs[place] = _spread(layers.pool, final, np.arange(final.features), body.shapes[place])
    if not every:
        outputs[last] = _spread(layers.pool, result, np.arange(result.features), body.shapes[last])
    start = 0
    for numbers, shape in zip(body.outputs, body.shapes[count:], strict=True):
        whole = layers.pool.whole(result)[:, :, start : start + len(numbers)]
        axis = _batch_axis(layers.pool.batch, shape)
        inner = [size for place, size in enumerate(shape) if place != axis]
        spread = np.moveaxis(whole.transpose(1, 0, 2).reshape(result.steps, layers.pool.batch, *inner), 1, 1 + axis)
        outputs.append(layers.pool.count(spread))
        start += len(numbers)
    return outputs


def _without(lines: Sequence[str], gone: str, name: str) -> list[str]:
    """Equations without that of a state that isn't kept: its value under a name of its own."""
    plain = "given"
    return [line.replace(gone, f"{plain} = ", 1).replace(name, plain) if name in line else line for line in lines]


def _start(layers: Layers, start: Known, axis: int, node: Node) -> Entry | None:
    """A first state; None for zeros."""
    if isinstance(start, Elements):
        moved = np.moveaxis(start.numbers, axis, 0)
        return layers.value(layout_of(layers.pool, Elements(moved), tuple(range(1, moved.ndim))).first, node)
    if start is None or start.any():
        raise Unfit("a state that starts from numbers of the file", "initial states")
    return None
