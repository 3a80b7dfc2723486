"""Recurrent layers: the standard's nodes for the package's own cells, and scans over the equations of all others and under masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.layers.bidirectional import Bidirectional, MergeMode
from rnnspec.frontend.layers.recurrent import Recurrent, RecurrentCell
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frozen import frozen
from rnnspec.interop.onnx_export.equations import EquationWriter
from rnnspec.interop.onnx_export.model_writer import CantSay, ModelWriter
from rnnspec.source import SourceFile

GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "SimpleRNN": (0,)}
"""The places of ONNX's gates among Keras's: i, o, f, c of i, f, c, o."""

NODES: Mapping[str, str] = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}

ACTIVATIONS: Mapping[str, str] = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
"""Activations that a node's cell can have, without numbers of their own."""


@frozen
class Standard:
    """A cell of the package that is a node of the standard, with its activations and whether it resets after the product."""

    kind: str
    activations: tuple[str, ...]
    use_bias: bool
    reset_after: bool


@lru_cache(maxsize=256)
def _step(standard: Standard, units: int, features: int) -> Step:
    """The equations of a cell of the package with these arguments."""
    options = [f"units = {units}", f"use_bias = {str(standard.use_bias).lower()}"]
    if standard.kind == "SimpleRNN":
        options.append(f"activation = {standard.activations[0]}")
    else:
        options += [f"recurrent_activation = {standard.activations[0]}", f"activation = {standard.activations[1]}"]
    if standard.kind == "GRU":
        options.append(f"reset_after = {str(standard.reset_after).lower()}")
    text = f"model One {{ input x: float[time, {features}]  {standard.kind}({', '.join(options)}) }}"
    layer = resolve(parse(SourceFile("", text))).layers[0]
    assert isinstance(layer, Recurrent)
    return layer.cells[0].step


def standard_cell(step: Step) -> Standard | None:
    """The package's cell that a step is, by its equations; None for another, or one with activations that no node has."""
    if step.cell not in NODES:
        return None
    units, bias = step.states[0].width, any(each.name == "bias" for each in step.weights)
    likely = [("sigmoid", "tanh")] if step.cell != "SimpleRNN" else [("tanh",)]
    others = [(one, two) for one in ACTIVATIONS for two in ACTIVATIONS] if step.cell != "SimpleRNN" else [(one,) for one in ACTIVATIONS]
    for activations in dict.fromkeys([*likely, *others]):
        for reset_after in (True, False) if step.cell == "GRU" else (False,):
            standard = Standard(step.cell, activations, bias, reset_after)
            if _equations(_step(standard, units, step.features)) == _equations(step):
                return standard
    return None


def _equations(step: Step) -> tuple[object, ...]:
    return step.assignments, step.output, step.states, tuple((each.name, each.shape) for each in step.weights)


def written(writer: ModelWriter, layer: Recurrent, operands: Sequence[str], mask: str | None) -> list[str]:
    """A recurrent layer's output, (batch, time, w) or (batch, w), and with `return_state` each state after the last step."""
    w = writer.writer
    sequence, states = operands[0], list(operands[1:])
    carried: list[str] = []
    if layer.stateful:
        if states:
            raise CantSay("an initial_state beside what the call before has left", "stateful")
        carried = states = [writer.carry(f"{cell.path}/{state.name}", state.width) for cell in layer.cells for state in cell.step.states]
    backwards, finals = layer.go_backwards, list[str]()
    for cell in layer.cells[:-1]:
        own, states = states[: len(cell.step.states)], states[len(cell.step.states) :]
        sequence, left = _cell(writer, cell, sequence, own, mask, backwards=backwards, hold=True, every_step=True)
        finals += left
        if backwards:
            mask = None if mask is None else w.flipped(mask, 1)
        backwards = False
    hold = not layer.zero_output_for_mask
    result, left = _cell(writer, layer.cells[-1], sequence, states, mask, backwards=backwards, hold=hold, every_step=layer.return_sequences)
    for before, value in zip(carried, [*finals, *left], strict=False):
        writer.leave(before, value)
    return [result, *finals, *left] if layer.return_state else [result]


def _cell(
    writer: ModelWriter,
    cell: RecurrentCell,
    sequence: str,
    states: Sequence[str],
    mask: str | None,
    *,
    backwards: bool,
    hold: bool,
    every_step: bool,
) -> tuple[str, list[str]]:
    standard = standard_cell(cell.step) if mask is None else None
    if standard is None:
        return _scan(writer, cell, sequence, states, mask, backwards=backwards, hold=hold, every_step=every_step)
    return _node(writer, cell, standard, sequence, states, backwards=backwards, every_step=every_step)


def packed_weights(writer: ModelWriter, cell: RecurrentCell, standard: Standard) -> tuple[Array, Array, Array | None]:
    """W, R and B of one direction, as ONNX has them."""
    found = {each.path.rpartition("/")[2]: writer.numbers(each) for each in cell.weights}
    units, order = cell.step.states[0].width, GATES[standard.kind]

    def rows(array: Array) -> Array:
        return np.concatenate([array[:, place * units : (place + 1) * units].T for place in order])

    def row(array: Array) -> Array:
        return np.concatenate([array[place * units : (place + 1) * units] for place in order])

    bias: Array | None = None
    if standard.use_bias:
        given = found["bias"]
        halves = (row(given[0]), row(given[1])) if given.ndim == 2 else (row(given), np.zeros_like(given))
        bias = np.concatenate(halves)
    return rows(found["kernel"]), rows(found["recurrent_kernel"]), bias


def _node(
    writer: ModelWriter, cell: RecurrentCell, standard: Standard, sequence: str, states: Sequence[str], *, backwards: bool, every_step: bool
) -> tuple[str, list[str]]:
    w = writer.writer
    direction = "reverse" if backwards else "forward"
    y, finals = node(writer, [(cell, standard)], sequence, states, direction)
    left = [w.squeezed(each, 0) for each in finals]
    if not every_step:
        return left[0], left
    result = w.transposed(w.squeezed(y, 1), 1, 0, 2)
    return w.flipped(result, 1) if backwards else result, left


def node(
    writer: ModelWriter, cells: Sequence[tuple[RecurrentCell, Standard]], sequence: str, states: Sequence[str], direction: str
) -> tuple[str, list[str]]:
    """A node over (batch, time, features): Y, (time, directions, batch, units), and the last states, (directions, batch, units)."""
    w = writer.writer
    standard = cells[0][1]
    packed = [packed_weights(writer, cell, each) for cell, each in cells]
    base = cells[0][0].path if len(cells) == 1 else w.prefix
    inputs = [w.transposed(sequence, 1, 0, 2)]
    inputs += [w.weight(f"{base}/W", np.stack([each[0] for each in packed])), w.weight(f"{base}/R", np.stack([each[1] for each in packed]))]
    biases = [each[2] for each in packed if each[2] is not None]
    inputs.append(w.weight(f"{base}/B", np.stack(biases)) if biases else "")
    count = 2 if standard.kind == "LSTM" else 1
    if states:
        inputs.append("")
        for place in range(count):
            rows = [w.unsqueezed(states[place + count * number], 0) for number in range(len(cells))]
            inputs.append(rows[0] if len(rows) == 1 else w.one("Concat", *rows, axis=0))
    attributes: dict[str, Any] = {"hidden_size": cells[0][0].step.states[0].width}
    if direction != "forward":
        attributes["direction"] = direction
    names = [ACTIVATIONS[name] for _, each in cells for name in _of_node(each)]
    if names != {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "SimpleRNN": ["Tanh"]}[standard.kind] * len(cells):
        attributes["activations"] = names
    if standard.kind == "GRU":
        attributes["linear_before_reset"] = int(standard.reset_after)
    found = w.op(NODES[standard.kind], inputs, 1 + count, **attributes)
    return found[0], found[1:]


def _of_node(standard: Standard) -> tuple[str, ...]:
    return (*standard.activations, standard.activations[1]) if standard.kind == "LSTM" else standard.activations


def _scan(
    writer: ModelWriter,
    cell: RecurrentCell,
    sequence: str,
    states: Sequence[str],
    mask: str | None,
    *,
    backwards: bool,
    hold: bool,
    every_step: bool,
) -> tuple[str, list[str]]:
    """The equations in a Scan. A masked step leaves the states as they are, and gives the output before it, or 0."""
    w, step = writer.writer, cell.step
    weights = {own.name: writer.weight(full) for own, full in zip(step.weights, cell.weights, strict=True)}
    starts = list(states) or [w.zeros(sequence, state.width) for state in step.states]
    needs_last = not every_step or (mask is not None and hold)
    if needs_last:
        starts.append(w.zeros(sequence, step.width))
    body = w.inner()
    hints = [*(state.name for state in step.states), *(["y"] if needs_last else [])]
    widths = [*(state.width for state in step.states), *([step.width] if needs_last else [])]
    before = [w.names.new(f"{w.prefix}/{hint}") for hint in hints]
    x = w.names.new(f"{w.prefix}/x")
    inputs = [*(body.info(name, [None, width]) for name, width in zip(before, widths, strict=True)), body.info(x, [None, step.features])]
    scanned = [w.transposed(w.flipped(sequence, 1) if backwards else sequence, 1, 0, 2)]
    real = ""
    if mask is not None:
        real = w.names.new(f"{w.prefix}/real")
        inputs.append(body.info(real, [None, 1], np.bool_))
        scanned.append(w.unsqueezed(w.transposed(w.flipped(mask, 1) if backwards else mask, 1, 0), 2))
    values = {"x": x} | {state.name: name for state, name in zip(step.states, before, strict=False)}
    after, output = EquationWriter(body, values, weights, x).run(step)
    if real:
        after = [body.one("Where", real, new, old) for new, old in zip(after, before, strict=False)]
        output = body.one("Where", real, output, before[-1] if needs_last else body.constant(0.0))
    results = [body.one("Identity", each) for each in (*after, *([output] if needs_last else []))]
    outputs = [body.info(name, [None, width]) for name, width in zip(results, widths, strict=True)]
    if every_step:
        results.append(body.one("Identity", output))
        outputs.append(body.info(results[-1], [None, step.width]))
    graph = body.graph(w.names.new(f"{w.prefix}/step"), inputs, outputs, {})
    found = w.op("Scan", [*starts, *scanned], len(results), num_scan_inputs=len(scanned), body=graph)
    finals = found[: len(step.states)]
    if not every_step:
        return found[len(step.states)], finals
    return w.transposed(found[-1], 1, 0, 2), finals


def bidirectional(writer: ModelWriter, layer: Bidirectional, operands: Sequence[str], mask: str | None) -> list[str]:
    """Both directions, in the order of the forward one: one node where both are the package's cell, without a mask."""
    w = writer.writer
    forward, backward = layer.forward, layer.backward
    count = len(forward.states) if len(operands) > 1 else 0
    own, others = operands[1 : 1 + count], operands[1 + count :]
    joined = _both(writer, layer, operands, mask)
    if joined is not None:
        return joined
    first = written(writer, _zeroing(forward), [operands[0], *own], mask)
    second = written(writer, _zeroing(backward), [operands[0], *others], mask)
    if forward.return_sequences:
        second[0] = w.flipped(second[0], 1)
    return [*_merged(writer, layer.merge_mode, first[0], second[0]), *first[1:], *second[1:]]


def _zeroing(layer: Recurrent) -> Recurrent:
    return replace(layer, zero_output_for_mask=True)


def _both(writer: ModelWriter, layer: Bidirectional, operands: Sequence[str], mask: str | None) -> list[str] | None:
    """One node for both directions, where it gives what the layer does."""
    w = writer.writer
    halves = layer.forward, layer.backward
    if mask is not None or layer.forward.go_backwards or layer.forward.stateful or any(len(each.cells) > 1 for each in halves):
        return None
    found = [standard_cell(each.cells[0].step) for each in halves]
    one, other = found
    if one is None or other is None or (one.kind, one.use_bias, one.reset_after) != (other.kind, other.use_bias, other.reset_after):
        return None
    if layer.forward.cells[0].step.states[0].width != layer.backward.cells[0].step.states[0].width:
        return None
    cells = [(layer.forward.cells[0], one), (layer.backward.cells[0], other)]
    y, finals = node(writer, cells, operands[0], operands[1:], "bidirectional")
    count = len(finals)
    left = [w.squeezed(w.slice(finals[place], number, number + 1, 0), 0) for number in range(2) for place in range(count)]
    if layer.forward.return_sequences:
        if layer.merge_mode is MergeMode.CONCAT:
            turned = w.transposed(y, 2, 0, 1, 3)
            outputs = [w.one("Reshape", turned, w.whole(0, 0, -1))]
        else:
            parts = [w.transposed(w.squeezed(part, 1), 1, 0, 2) for part in w.split(y, [1, 1], 1)]
            outputs = _merged(writer, layer.merge_mode, *parts)
    else:
        outputs = _merged(writer, layer.merge_mode, left[0], left[count])
    return [*outputs, *left] if layer.forward.return_state else outputs


def _merged(writer: ModelWriter, mode: MergeMode, first: str, second: str) -> list[str]:
    w = writer.writer
    match mode:
        case MergeMode.CONCAT:
            return [w.one("Concat", first, second, axis=-1)]
        case MergeMode.SUM:
            return [w.one("Add", first, second)]
        case MergeMode.MUL:
            return [w.one("Mul", first, second)]
        case MergeMode.AVE:
            return [w.one("Mul", w.one("Add", first, second), w.constant(0.5))]
        case MergeMode.NONE:
            return [first, second]
