"""The calls of LSTM, GRU and RNN, and of their cells, as ONNX's nodes, one for each layer.

Rows of PyTorch's weights are gates: i, f, g, o of an LSTM, r, z, n of a GRU; ONNX's are i, o, f, c and z, r, h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnspec.frozen import frozen
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Attribute
from rnnspec.interop.torch_programs.calls import Call, Ref


@frozen
class _Kind:
    """A node: the order of the gates, what it has besides, and its states."""

    op: str
    order: tuple[int, ...]
    attributes: Mapping[str, Attribute]
    states: int = 1
    activation: str = ""


_LSTM = _Kind("LSTM", (0, 3, 1, 2), {}, 2)
_GRU = _Kind("GRU", (1, 0, 2), {"linear_before_reset": 1})
_TANH = _Kind("RNN", (0,), {}, activation="Tanh")
_RELU = _Kind("RNN", (0,), {}, activation="Relu")


def _layers(kind: _Kind) -> Callable[[Call], tuple[str, ...]]:
    def made(call: Call) -> tuple[str, ...]:
        if call.flag("train") and call.number("dropout", 0.0) > 0:
            raise Unfit("it was exported in training, with dropout: export module.eval()", "train")
        count, directions = call.whole("num_layers", 1), 2 if call.flag("bidirectional") else 1
        each = 4 if call.flag("has_biases", default=True) else 2
        params = call.get("params", ())
        if not isinstance(params, tuple) or len(params) != count * directions * each:
            raise Unfit(f"it has other weights than {each} for each layer and direction, as a projection's are", "params")
        given = call.refs("hx") if isinstance(call.get("hx"), tuple) else (call.value("hx"),)
        batch_first = call.flag("batch_first")
        x = call.one("Transpose", call.value("input"), perm=(1, 0, 2)) if batch_first else call.value("input")
        ends: list[tuple[str, ...]] = []
        for layer in range(count):
            weights = [params[(layer * directions + place) * each :][:each] for place in range(directions)]
            starts = [_between(call, state, layer * directions, (layer + 1) * directions) for state in given]
            y, *states = _node(call, kind, x, weights, starts)
            # (time, direction, batch, units) with the directions side by side
            x = call.one("Reshape", call.one("Transpose", y, perm=(0, 2, 1, 3)), call.wholes_of([0, 0, -1]))
            ends.append(tuple(states))
        result = call.one("Transpose", x, perm=(1, 0, 2)) if batch_first else x
        return result, *(states[0] if count == 1 else call.one("Concat", *states, axis=0) for states in zip(*ends, strict=True))

    return made


def _cell(kind: _Kind) -> Callable[[Call], tuple[str, ...]]:
    def made(call: Call) -> tuple[str, ...]:
        given = call.refs("hx") if isinstance(call.get("hx"), tuple) else (call.value("hx"),)
        front = call.wholes_of([0])
        weights = [each for each in (call.get(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")) if each is not None]
        x = call.one("Unsqueeze", call.value("input"), front)
        _, *states = _node(call, kind, x, [weights], [call.one("Unsqueeze", state, front) for state in given])
        return tuple(call.one("Squeeze", state, front) for state in states)

    return made


def _node(call: Call, kind: _Kind, x: str, weights: Sequence[Sequence[object]], starts: Sequence[str]) -> tuple[str, ...]:
    """One layer's node: its outputs and the states of each direction. `weights`: those of each direction."""
    first = weights[0][1]
    shape = call.nodes.shapes.get(first.name) if isinstance(first, Ref) else None
    units = shape[1] if shape is not None and len(shape) == 2 else None
    if not isinstance(units, int):
        raise Unfit("the shape of its weights isn't known", "params")
    rows = call.wholes_of(np.concatenate([np.arange(units) + units * gate for gate in kind.order]).tolist())

    def gates(weight: object) -> str:
        return call.one("Gather", call.named(weight if isinstance(weight, Ref) else None, "params"), rows, axis=0)

    def together(parts: Sequence[str]) -> str:
        stacked = [call.one("Unsqueeze", part, call.wholes_of([0])) for part in parts]
        return stacked[0] if len(stacked) == 1 else call.one("Concat", *stacked, axis=0)

    kernel, recurrent = (together([gates(each[place]) for each in weights]) for place in (0, 1))
    bias = ""
    if len(weights[0]) == 4:
        bias = together([call.one("Concat", gates(each[2]), gates(each[3]), axis=0) for each in weights])
    attributes = {**kind.attributes, "hidden_size": units, "direction": "bidirectional" if len(weights) == 2 else "forward"}
    if kind.activation:
        attributes["activations"] = (kind.activation,) * len(weights)
    return call.several(kind.op, 1 + kind.states, x, kernel, recurrent, bias, "", *starts, **attributes)


def _between(call: Call, state: str, start: int, end: int) -> str:
    first, last, axes = (call.wholes_of([number]) for number in (start, end, 0))
    return call.one("Slice", state, first, last, axes)


RECURRENT: Mapping[str, Callable[[Call], tuple[str, ...]]] = {
    "aten.lstm.input": _layers(_LSTM),
    "aten.gru.input": _layers(_GRU),
    "aten.rnn_tanh.input": _layers(_TANH),
    "aten.rnn_relu.input": _layers(_RELU),
    "aten.lstm_cell.default": _cell(_LSTM),
    "aten.gru_cell.default": _cell(_GRU),
    "aten.rnn_tanh_cell.default": _cell(_TANH),
    "aten.rnn_relu_cell.default": _cell(_RELU),
}
"""The states of a cell's node are (1, batch, units)."""
