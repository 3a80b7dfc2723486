"""The operations of a graph that only a model of layers has: recurrent nodes, windows over steps, tables, reductions over steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.onnx_files.elements import Elements, Entry, Layout, layout_of
from rnnspec.interop.onnx_files.emitting import numbered
from rnnspec.interop.onnx_files.folding import axes_of
from rnnspec.interop.onnx_files.functions import PLAIN
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit, axis_of
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.operations import (
    OPERATIONS,
    SQUARE,
    Input,
    elements_of,
    feature_axes,
    known_of,
    known_or_none,
    reduced,
)
from rnnspec.interop.onnx_files.recurrent import recurrent_of
from rnnspec.interop.onnx_files.windows import convolution, normalization, pooling, windows_of

LayerHandler: TypeAlias = "Callable[[Layers, Node, Sequence[Input]], Sequence[Elements | None]]"


def steps_first(layers: Layers, data: Elements, order: tuple[int, int, int]) -> Layout:
    """A tensor with one axis of samples, one of steps and one of features, which stand at the places of `order`."""
    if data.numbers.ndim != 3:
        raise Unfit(f"a tensor with {data.numbers.ndim} axes where three are expected")
    batch, steps, features = order
    if data.shape[batch] != layers.pool.batch:
        raise Unfit(f"its axis {batch} isn't that of the samples")
    layout = layout_of(layers.pool, data, (features,))
    outer = layout.order[:2]
    sample = layout.sample if outer == (batch, steps) else layout.sample.T
    if layers.pool.batch > 1 and not (sample == np.arange(layers.pool.batch)[:, None]).all():
        raise Unfit(f"its axis {batch} isn't that of the samples")
    del steps
    return layout


def _recurrent(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    batch_first = bool(node.whole("layout", 0))
    layout = steps_first(layers, data, (0, 1, 2) if batch_first else (1, 0, 2))
    kernel, weights = known_of(given, 1, "W"), known_of(given, 2, "R")
    bias = known_or_none(given, 3, "B")
    peephole = known_or_none(given, 7, "P") if node.op == "LSTM" else None
    count = 2 if node.op == "LSTM" else 1
    known: list[Array | None] = []
    values: list[list[Entry | None]] = [[] for _ in range(len(kernel))]
    for place, name in enumerate(("initial_h", "initial_c")[:count]):
        start = given[5 + place] if 5 + place < len(given) else None
        known.append(None if isinstance(start, Elements) or start is None else _same_for_all(start, name, batch_first))
        for direction in range(len(kernel)):
            first = _start(layers, start, direction, batch_first, node) if isinstance(start, Elements) else None
            values[direction].append(first)
    masked = _lengths(layers, node, given, layout.first.shape[0])
    made = recurrent_of(node, kernel, weights, bias, peephole, known)
    if kernel.shape[-1] != layout.first.shape[1]:
        raise Unfit(f"{layout.first.shape[1]} features where W has {kernel.shape[-1]}", "X")
    wants_steps = bool(node.output(0))
    wants_states = bool(node.output(2)) or (bool(node.output(1)) and wants_steps)
    value = layers.value(layout.first, node)
    result, ends = layers.recurrent(value, made, values, (wants_steps, wants_states), node, masked=masked)
    directions, units = len(made.directions), made.units
    outputs: list[Elements | None] = [None] * 3
    if result is not None:
        whole = layers.pool.whole(result).reshape(layers.pool.batch, value.steps, directions, units)
        outputs[0] = layers.pool.count(whole if batch_first else whole.transpose(1, 2, 0, 3))
    if wants_states:
        for state in range(made.states):
            parts = [layers.pool.whole(end[state]) for end in ends]
            outputs[1 + state] = _final(layers, np.concatenate(parts, axis=1), batch_first)
    elif not wants_steps:
        outputs[1] = _final(layers, layers.pool.whole(ends[0][0]).reshape(layers.pool.batch, directions, units), batch_first)
    return outputs[: 1 + count]


def _final(layers: Layers, whole: Array, batch_first: bool) -> Elements:
    """States after the last step, of (samples, directions, units)."""
    return layers.pool.count(whole if batch_first else whole.transpose(1, 0, 2))


def _same_for_all(start: Array, name: str, batch_first: bool) -> Array | None:
    """A first state that is known, (directions, units); None for zeros."""
    if not start.any():
        return None
    rows = start if batch_first else start.transpose(1, 0, 2)
    if not (rows == rows[:1]).all():
        raise Unfit("numbers of the file that differ from sample to sample", name)
    return np.ascontiguousarray(rows[0])


def _start(layers: Layers, start: Elements, direction: int, batch_first: bool, node: Node) -> Entry:
    """A first state that is a value, of one direction."""
    numbers = start.numbers.transpose(1, 0, 2) if batch_first else start.numbers
    layout = layout_of(layers.pool, Elements(np.ascontiguousarray(numbers[direction])), (1,))
    if len(layout.first) != 1:
        raise Unfit("its first state isn't a row for each sample", "initial_h")
    return layers.value(layout.first, node)


def _lengths(layers: Layers, node: Node, given: Sequence[Input], steps: int) -> bool:
    """Whether the node gets lengths: they are what calls give as `lengths`, or as a mask."""
    lengths = given[4] if len(given) > 4 else None
    if lengths is None:
        return False
    if isinstance(lengths, Elements):
        entries = layers.pool.entries_in(lengths.numbers)
        if len(entries) != 1 or entries[0].key not in layers.lengths:
            raise Unfit("lengths that aren't an input of the model as it stands", "sequence_lens")
        layers.lengths[entries[0].key] = True
        return True
    if not (lengths == steps).all():
        raise Unfit(f"lengths of {np.unique(lengths).tolist()} in the file, for sequences of {steps} steps", "sequence_lens")
    return False


def _spatial(data: Elements, *kernels: tuple[int, ...]) -> tuple[Elements, tuple[int, int]]:
    """(samples, features, steps) of a tensor whose other spatial axes have one element; the spatial axis, and how many there are.

    `kernels`: of a convolution the kernel's spatial sizes, which must be 1 over the other axes.
    """
    shape = data.shape
    if len(shape) < 3:
        raise Unfit(f"a tensor of {list(shape)}, which has no steps")
    long = [axis for axis, size in enumerate(shape[2:]) if size != 1 or any(kernel[axis] != 1 for kernel in kernels)]
    if len(long) > 1:
        raise Unfit(f"windows over {len(long)} axes of steps", "kernel_shape")
    axis = long[0] if long else len(shape) - 3
    return Elements(data.numbers.reshape(shape[0], shape[1], shape[2 + axis])), (axis, len(shape) - 2)


def _from_steps(layers: Layers, entry: Entry, spatial: tuple[int, int]) -> Elements:
    """(samples, features, 1, ..., steps, 1, ...) of a sequence."""
    axis, count = spatial
    whole = layers.pool.whole(entry).transpose(0, 2, 1)
    shape = [1] * count
    shape[axis] = whole.shape[2]
    return layers.pool.count(whole.reshape(*whole.shape[:2], *shape))


def _conv(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    kernel = known_of(given, 1, "W")
    data, spatial = _spatial(elements_of(given), kernel.shape[2:])
    layout = steps_first(layers, data, (0, 2, 1))
    bias = known_or_none(given, 2, "B")
    windows = windows_of(node, kernel.shape[2:], spatial, len(layout.first))
    flat = _ungrouped(kernel.reshape(kernel.shape[0], kernel.shape[1], kernel.shape[2 + spatial[0]]), node, data.shape[1], layers)
    made = convolution(layers, layers.value(layout.first, node), flat, bias, windows, node)
    return [_from_steps(layers, made, spatial)]


def _ungrouped(kernel: Array, node: Node, features: int, layers: Layers) -> Array:
    """The kernel over all features, (filters, features, size), with zeros between groups."""
    groups = node.whole("group", 1)
    if groups < 1 or kernel.shape[0] % groups or kernel.shape[1] * groups != features:
        raise Unfit(f"a kernel of {list(kernel.shape)} for {features} features in {groups} groups", "group")
    if groups == 1:
        return kernel
    layers.notes[f"{node.place}: its {groups} groups are one kernel with zeros between them, which training would fill"] = None
    filters, inner, size = kernel.shape
    wide = np.zeros((filters, features, size), kernel.dtype)
    for group in range(groups):
        rows = slice(group * filters // groups, (group + 1) * filters // groups)
        wide[rows, group * inner : (group + 1) * inner] = kernel[rows]
    return wide


def _instance_norm(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    """Each feature of a sequence less its mean over the steps, over its deviation."""
    data = elements_of(given)
    if data.numbers.ndim != 3:
        raise Unfit(f"a tensor of {list(data.shape)}, where it has (samples, features, steps)")
    layout = steps_first(layers, data, (0, 2, 1))
    value = layers.sequence(layers.value(layout.first, node), node)

    def mean(entry: Entry) -> Entry:
        return layers.add("GlobalAveragePooling1D", {}, [entry], (1, entry.features), node, is_open=False)

    centred = layers.merge("Sub", [value, mean(value)], node)
    variance = layers.apply(mean(layers.apply(centred, SQUARE, node)), numbered("plus_number", node.number("epsilon", 1e-5)), node)
    scaled = layers.merge("Div", [centred, layers.apply(variance, PLAIN["Sqrt"], node)], node)
    made = layers.as_row(layers.affine(scaled, known_of(given, 1, "scale"), known_of(given, 2, "B"), node), node)
    return [layers.pool.count(layout.back(made))]


def _pool(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data, spatial = _spatial(elements_of(given))
    if node.output(1):
        raise Unfit("the places of the maxima", "Indices")
    layout = steps_first(layers, data, (0, 2, 1))
    windows = windows_of(node, (), spatial, len(layout.first))
    made = pooling(layers, layers.value(layout.first, node), windows, node)
    return [_from_steps(layers, made, spatial)]


def _batch_norm(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    if node.whole("training_mode", 0):
        raise Unfit("it computes the moments of the batch", "training_mode")
    layout = layout_of(layers.pool, data, (1,))
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = {name: known_of(given, 1 + place, name) for place, name in enumerate(names)}
    made = normalization(layers, layers.value(layout.first, node), weights, node.number("epsilon", 1e-5), node)
    return [layers.pool.count(layout.back(made))]


def embedded(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    """Rows of a table by ids that aren't known."""
    table, ids = known_of(given, 0, "data"), elements_of(given, 1)
    if axis_of(node.whole("axis", 0), table.ndim) != 0 or table.ndim != 2:
        raise Unfit(f"numbers of {list(table.shape)} by ids along axis {node.whole('axis', 0)}, which is no table of rows")
    return [_looked_up(layers, node, ids, table)]


def _looked_up(layers: Layers, node: Node, ids: Elements, table: Array) -> Elements:
    layout = layout_of(layers.pool, ids, ())
    entry = layers.value(layout.first, node)
    if entry.key not in layers.ids:
        raise Unfit("a table is looked up by numbers that are computed when the model runs")
    made = layers.embedding(entry, table, node)
    return layers.pool.count(layout.back(made, (table.shape[1],)))


def _one_hot(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    depth, values = int(known_of(given, 1, "depth").reshape(())), known_of(given, 2, "values").ravel()
    ids = elements_of(given)
    if axis_of(node.whole("axis", -1), ids.numbers.ndim + 1) != ids.numbers.ndim or not 0 < depth <= 10_000:
        raise Unfit("an axis that isn't the last, or more than 10,000 classes", "axis, depth")
    table = np.full((depth, depth), values[0], np.float32)
    np.fill_diagonal(table, values[1])
    return [_looked_up(layers, node, ids, table)]


def _reduced(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    known = [np.zeros(data.shape, np.bool_), *(None if isinstance(each, Elements) else each for each in given[1:])]
    axes = axes_of(node, known, data.numbers.ndim)
    if axes is None:
        return [data]
    features = feature_axes(layers, data)
    wide = tuple(axis for axis in axes if data.shape[axis] > 1)
    if all(axis in features for axis in wide):
        return reduced(layers, node, given)
    if any(axis in features for axis in wide):
        raise Unfit("steps and features are reduced together", "axes")
    return [_over_steps(layers, node, data, axes, bool(node.whole("keepdims", 1)))]


def _over_steps(layers: Layers, node: Node, data: Elements, axes: tuple[int, ...], keep: bool) -> Elements:
    kinds = {"ReduceMean": "GlobalAveragePooling1D", "GlobalAveragePool": "GlobalAveragePooling1D"}
    kinds |= {"ReduceMax": "GlobalMaxPooling1D", "GlobalMaxPool": "GlobalMaxPooling1D"}
    layout = layout_of(layers.pool, data)
    value = layers.sequence(layers.value(layout.first, node), node)
    if node.op == "ReduceSum":
        made = layers.total(value, node)
    elif node.op == "ReduceMin":
        turned = layers.add(kinds["ReduceMax"], {}, [layers.apply(value, PLAIN["Neg"], node)], (1, value.features), node, is_open=False)
        made = layers.apply(turned, PLAIN["Neg"], node)
    else:
        made = layers.add(kinds[node.op], {}, [value], (1, value.features), node, is_open=False)
    whole = replace(layout, step=layout.step * 0).back(made)
    for axis in axes:
        whole = whole.take([0], axis)
    return layers.pool.count(whole if keep else whole.squeeze(axes))


def _global_pool(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    return [_over_steps(layers, node, data, tuple(range(2, data.numbers.ndim)), True)]


def _softmax(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data = elements_of(given)
    axis = axis_of(node.whole("axis", -1 if node.opset >= 13 else 1), data.numbers.ndim)
    if axis in feature_axes(layers, data) or data.shape[axis] == 1 or node.op != "Softmax":
        return OPERATIONS["Softmax"](layers, node, given)
    layout = layout_of(layers.pool, data)
    value = layers.value(layout.first, node)
    made = layers.add("Softmax", {"axis": 1}, [value], (value.steps, value.features), node)
    return [layers.pool.count(layout.back(made))]


def _prelu(layers: Layers, node: Node, given: Sequence[Input]) -> Sequence[Elements | None]:
    data, slope = elements_of(given), known_of(given, 1, "slope")
    layout = layout_of(layers.pool, data)
    table = np.broadcast_to(slope, data.shape).transpose(layout.order).reshape(-1, layout.first.shape[1])
    if not (table == table[:1]).all():
        raise Unfit("slopes that differ from step to step", "slope")
    value, alpha = layers.value(layout.first, node), np.ascontiguousarray(table[0])
    arguments: dict[str, Value] = {"shared_axes": (1,)} if value.steps > 1 else {}
    weights = {"alpha": alpha[None] if value.steps > 1 else alpha}
    made = layers.add("PReLU", arguments, [value], (value.steps, value.features), node, weights=weights)
    return [layers.pool.count(layout.back(made))]


LAYER_OPERATIONS: Mapping[str, LayerHandler] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), _reduced),
    "Conv": _conv,
    "InstanceNormalization": _instance_norm,
    "BatchNormalization": _batch_norm,
    "OneHot": _one_hot,
    "Softmax": _softmax,
    "PRelu": _prelu,
}
"""Operations by their names; those that aren't here are in `OPERATIONS`."""
