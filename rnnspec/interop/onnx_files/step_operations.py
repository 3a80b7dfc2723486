"""The operations of a graph as equations of one step that need more than a row's arithmetic: windows, recurrent nodes, normalizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.choices import composed, outputs_of
from rnnspec.interop.onnx_files.elements import Elements, Entry, layout_of
from rnnspec.interop.onnx_files.emitting import Function
from rnnspec.interop.onnx_files.equations import ATOM, LOWEST, PRODUCT, SUM
from rnnspec.interop.onnx_files.folding import axes_of
from rnnspec.interop.onnx_files.functions import activation
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.operations import Input, elements_of, known_of, known_or_none, reduced
from rnnspec.interop.onnx_files.recurrent import DIRECTIONS
from rnnspec.interop.onnx_files.steps import MATRIX_LIMIT, Steps
from rnnspec.interop.onnx_files.windows import windows_of

StepHandler: TypeAlias = "Callable[[Steps, Node, Sequence[Input]], Sequence[Elements | None]]"


def _spread(steps: Steps, entry: Entry, shape: tuple[int, ...]) -> Elements:
    """A row as a tensor with the samples in front."""
    return steps.pool.count(steps.pool.whole(entry).reshape(steps.pool.batch, *shape))


def _conv(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    kernel, bias = known_of(given, 1, "W"), known_or_none(given, 2, "B")
    shape = data.shape
    if len(shape) < 3 or shape[0] != steps.pool.batch or any(size != 1 for size in (*shape[2:-1], *kernel.shape[2:-1])):
        raise Unfit(f"windows over a tensor of {list(shape)}: they go over one axis", "kernel_shape")
    spatial, channels, length = len(shape) - 2, shape[1], shape[-1]
    windows = windows_of(node, kernel.shape[2:], (spatial - 1, spatial), length)
    groups = node.whole("group", 1)
    flat = kernel.reshape(kernel.shape[0], kernel.shape[1], kernel.shape[-1])
    if flat.shape[1] * groups != channels or flat.shape[0] % groups:
        raise Unfit(f"a kernel of {list(kernel.shape)} for {channels} features in {groups} groups", "W")
    count, filters = windows.count(length), flat.shape[0]
    if channels * length * filters * count > MATRIX_LIMIT:
        raise Unfit(f"a matrix of {channels * length} by {filters * count} numbers is larger than what is made here")
    table = np.zeros((channels, length, filters, count), flat.dtype)
    of_group, inner = filters // groups, flat.shape[1]
    for group in range(groups):
        outputs = slice(group * of_group, (group + 1) * of_group)
        inputs = slice(group * inner, (group + 1) * inner)
        for tap in range(windows.size):
            places = np.arange(count) * windows.stride + tap * windows.dilation - windows.pads[0]
            here = np.flatnonzero((places >= 0) & (places < length))
            for window in here.tolist():
                table[inputs, places[window], outputs, window] += flat[outputs, :, tap].T
    layout = layout_of(steps.pool, data, tuple(range(1, len(shape))))
    value = steps.value(layout.first, node)
    spread = None if bias is None else np.repeat(bias, count)
    made = steps.product(value, table.reshape(channels * length, filters * count), spread, "conv")
    return [_spread(steps, made, (filters, *(1,) * (spatial - 1), count))]


def _batch_norm(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    if node.whole("training_mode", 0):
        raise Unfit("it computes the moments of the batch", "training_mode")
    gamma, beta, mean, variance = (known_of(given, 1 + place, name) for place, name in enumerate(("scale", "B", "mean", "var")))
    layout = layout_of(steps.pool, data, (1,))
    scale = gamma / np.sqrt(variance + np.asarray(node.number("epsilon", 1e-5), variance.dtype))
    made = steps.affine(steps.value(layout.first, node), scale, beta - mean * scale, node)
    return [steps.pool.count(layout.back(made))]


def _reduced(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    known = [np.zeros(data.shape, np.bool_), *(None if isinstance(each, Elements) else each for each in given[1:])]
    axes = axes_of(node, known, data.numbers.ndim)
    if axes is not None and all(data.shape[axis] == 1 for axis in axes):
        return [data if node.whole("keepdims", 1) else Elements(data.numbers.squeeze(axes))]
    return reduced(steps, node, given)


def _global_pool(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    axes = tuple(range(2, data.numbers.ndim))
    kind = "ReduceMean" if node.op == "GlobalAveragePool" else "ReduceMax"
    return _reduced(steps, Node(kind, "", node.name, node.inputs[:1], node.outputs, {"axes": axes, "keepdims": 1}, 13), given)


def _recurrent(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    """A recurrent node over one step: its equations once for each direction."""
    data, batch_first = elements_of(given), bool(node.whole("layout", 0))
    flags = DIRECTIONS.get(node.text("direction", "forward"), ())
    time = 1 if batch_first else 0
    if data.numbers.ndim != 3 or data.shape[time] != 1 or data.shape[1 - time] != steps.pool.batch:
        raise Unfit(f"a sequence of {list(data.shape)} in one step", "X")
    if node.attributes.get("clip") or node.whole("input_forget", 0) or (len(given) > 7 and given[7] is not None):
        raise Unfit("clip, input_forget and peepholes of a node in a graph of one step", "clip")
    value = steps.value(layout_of(steps.pool, data, (2,)).first, node)
    kernel, weights, bias = known_of(given, 1, "W"), known_of(given, 2, "R"), known_or_none(given, 3, "B")
    units, gates = weights.shape[-1], {"LSTM": 4, "GRU": 3, "RNN": 1}[node.op]
    if kernel.shape != (len(flags), gates * units, value.features) or weights.shape != (len(flags), gates * units, units):
        raise Unfit(f"W of {list(kernel.shape)} and R of {list(weights.shape)}", "W, R")
    if not flags:
        raise Unfit(f"{node.text('direction', '')!r} isn't a direction", "direction")
    default = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}[node.op]
    names = node.texts("activations") or default * len(flags)
    if node.numbers("activation_alpha") or node.numbers("activation_beta") or len(names) != len(default) * len(flags):
        raise Unfit("activations with numbers of their own in a graph of one step", "activations")
    ends: list[list[Entry]] = []
    for direction in range(len(flags)):
        own = [activation(name, None, None) for name in names[direction * len(default) : (direction + 1) * len(default)]]
        starts = [_start(steps, node, given, 5 + place, direction, units) for place in range(2 if node.op == "LSTM" else 1)]
        parts = kernel[direction], weights[direction], None if bias is None else bias[direction]
        ends.append(_STEP[node.op](steps, node, value, starts, parts, own))
    outputs: list[Elements | None] = []
    for state in range(len(ends[0])):
        whole = np.concatenate([steps.pool.whole(end[state]) for end in ends], axis=1)
        outputs.append(steps.pool.count(whole if batch_first else whole.transpose(1, 0, 2)))
    every = steps.pool.whole(ends[0][0]) if len(ends) == 1 else np.concatenate([steps.pool.whole(end[0]) for end in ends], axis=1)
    shape = (steps.pool.batch, 1, len(ends), units)
    first = steps.pool.count(every.reshape(shape) if batch_first else every.reshape(shape).transpose(1, 2, 0, 3))
    return [first, *outputs]


def _start(steps: Steps, node: Node, given: Sequence[Input], place: int, direction: int, units: int) -> Entry | None:
    """The state before the step, None for zeros."""
    start = given[place] if place < len(given) else None
    if start is None or (not isinstance(start, Elements) and not start.any()):
        return None
    if not isinstance(start, Elements):
        raise Unfit("a first state of numbers of the file", "initial_h")
    numbers = start.numbers.transpose(1, 0, 2) if node.whole("layout", 0) else start.numbers
    layout = layout_of(steps.pool, Elements(np.ascontiguousarray(numbers[direction])), (1,))
    if layout.first.shape != (1, units):
        raise Unfit("its first state isn't a row for each sample", "initial_h")
    return steps.value(layout.first, node)


Parts: TypeAlias = "tuple[Array, Array, Array | None]"


def _gates(steps: Steps, value: Entry, state: Entry | None, parts: Parts, base: str) -> Entry:
    """`x @ W' + h @ R' + b`, the gates as ONNX orders them."""
    kernel, weights, bias = parts
    half = None if bias is None else bias[: len(kernel)] + bias[len(kernel) :]
    left = steps.product(value, np.ascontiguousarray(kernel.T), half, base)
    if state is None:
        return left
    right = steps.product(state, np.ascontiguousarray(weights.T), None, f"{base}_recurrent")
    return steps.raw("{0} + {1}", (steps.key(left), steps.key(right)), left.features, SUM, (SUM, SUM))


def _part(steps: Steps, value: Entry, place: int, count: int, node: Node) -> Entry:
    width = value.features // count
    return steps.value(steps.pool.first(value)[:, place * width : (place + 1) * width], node)


def _lstm(steps: Steps, node: Node, value: Entry, starts: Sequence[Entry | None], parts: Parts, own: Sequence[Function]) -> list[Entry]:
    gates = _gates(steps, value, starts[0], parts, "lstm")
    enter, leave, keep, new = (_part(steps, gates, place, 4, node) for place in range(4))
    gate, inner, outer = own
    carried = steps.merge("Mul", [steps.apply(enter, gate, node), steps.apply(new, inner, node)], node)
    if starts[1] is not None:
        kept = steps.merge("Mul", [steps.apply(keep, gate, node), starts[1]], node)
        carried = steps.merge("Add", [kept, carried], node)
    return [steps.merge("Mul", [steps.apply(leave, gate, node), steps.apply(carried, outer, node)], node), carried]


def _gru(steps: Steps, node: Node, value: Entry, starts: Sequence[Entry | None], parts: Parts, own: Sequence[Function]) -> list[Entry]:
    kernel, weights, bias = parts
    gate, inner = own
    units, after = weights.shape[-1], bool(node.whole("linear_before_reset", 0))
    biases = np.zeros((2, 3 * units), kernel.dtype) if bias is None else bias.reshape(2, -1)
    old = starts[0]
    if old is None:
        raise Unfit("a GRU without a first state in a graph of one step", "initial_h")
    both = biases.sum(axis=0, dtype=biases.dtype)
    given = steps.product(
        value, np.ascontiguousarray(kernel.T), np.concatenate([both[: 2 * units], (biases[0] if after else both)[2 * units :]]), "gru"
    )
    z, r, new = (_part(steps, given, place, 3, node) for place in range(3))
    recurrent = [np.ascontiguousarray(weights[place * units : (place + 1) * units].T) for place in range(3)]
    gates = [
        steps.apply(steps.merge("Add", [part, steps.product(old, matrix, None, "gru_recurrent")], node), gate, node)
        for part, matrix in ((z, recurrent[0]), (r, recurrent[1]))
    ]
    if after:
        product = steps.product(old, recurrent[2], biases[1][2 * units :], "gru_recurrent")
        reset = steps.merge("Mul", [gates[1], product], node)
    else:
        reset = steps.product(steps.merge("Mul", [gates[1], old], node), recurrent[2], None, "gru_recurrent")
    candidate = steps.apply(steps.merge("Add", [new, reset], node), inner, node)
    names = [steps.key(each) for each in (gates[0], old, gates[0], candidate)]
    return [steps.raw("{0} * {1} + (1 - {2}) * {3}", names, units, SUM, (PRODUCT, PRODUCT, PRODUCT, PRODUCT))]


def _rnn(steps: Steps, node: Node, value: Entry, starts: Sequence[Entry | None], parts: Parts, own: Sequence[Function]) -> list[Entry]:
    return [steps.apply(_gates(steps, value, starts[0], parts, "rnn"), own[0], node)]


_STEP: Mapping[str, Callable[[Steps, Node, Entry, Sequence[Entry | None], Parts, Sequence[Function]], list[Entry]]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
}


def _prelu(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data, slope = elements_of(given), known_of(given, 1, "slope")
    layout = layout_of(steps.pool, data, tuple(range(1, data.numbers.ndim)))
    table = np.broadcast_to(slope, data.shape)[0].ravel()
    value = steps.key(steps.value(layout.first, node))
    weight = steps.equations.weight("slope", np.ascontiguousarray(table))
    made = steps.raw("max({0}, 0) + {2} * min({1}, 0)", (value, value, weight), layout.first.shape[1], SUM, (LOWEST, LOWEST, ATOM))
    return [steps.pool.count(layout.back(made))]


STEP_OPERATIONS: Mapping[str, StepHandler] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), _reduced),
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "PRelu": _prelu,
}
"""Operations by their names; those that aren't here are in `OPERATIONS`."""


def step_outputs(steps: Steps, node: Node, given: Sequence[Input]) -> Sequence[Elements | None] | None:
    """The outputs of a node of one step; None for an operation that there isn't."""
    if node.domain:
        return None
    sums = composed(steps, node, given, lambda other, values: step_outputs(steps, other, values))
    if sums is not None:
        return sums
    special = STEP_OPERATIONS.get(node.op)
    return special(steps, node, given) if special is not None else outputs_of(steps, node, given)
