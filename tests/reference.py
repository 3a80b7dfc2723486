"""A plain numpy reading of what a model means: the masked loop over padded arrays, and complex-step gradients.

An oracle that shares nothing with the package: no packing, no derived gradient, no kernel. Models
are the layer descriptions of the Keras fixtures, such as
`{"layer": "LSTM", "units": 3, "return_sequences": True}`, in a chain (`run`) or a graph (`run_graph`).
A layer with `_shared` has the weights of the first with that name; one with `_cell` is a cell of the user's,
which gives its step as numpy (`tests.property.cells`).
Every function takes complex arrays too, and reads real parts where it must decide something: so the
gradient is exact (Squire & Trapp 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.reference_activations import ACTIVATIONS, elu, magnitude, softmax
from tests.specs import Graph, chain, make, weights_of

Array = NDArray[Any]
Layer = Mapping[str, Any]
Step = Callable[[Array, list[Array]], tuple[Array, list[Array]]]

STEP = 1e-150
"""Of the complex step: so small that its square vanishes, so large that nothing underflows."""


def activation_of(layer: Layer, argument: str, default: str) -> Callable[[Array], Array]:
    """An activation is a name, or `{"layer": name, argument: value}`."""
    described: str | Layer = layer.get(argument, default)
    if isinstance(described, str):
        return ACTIVATIONS[described]
    return partial(ACTIVATIONS[described["layer"]], **{key: value for key, value in described.items() if key != "layer"})


class Weights(Iterator[Array]):
    """A model's weights, taken off one after the other; `used` is how many."""

    def __init__(self, values: Sequence[Array]) -> None:
        self.values = values
        self.used = 0

    def __next__(self) -> Array:
        if self.used == len(self.values):
            raise StopIteration
        self.used += 1
        return self.values[self.used - 1]


@dataclass
class Call:
    """One call of a model: what its layers are told beside their inputs, and what they leave behind.

    `carried` are the states that the call before left in the stateful layers, `kept` those that this
    one leaves; `updates` the moving statistics after a training step, by the place of the weight.
    """

    weights: Weights
    dtype: np.dtype[Any]
    training: bool = False
    carried: Sequence[Sequence[Array]] | None = None
    kept: list[list[Array]] = field(default_factory=list)
    updates: dict[int, Array] = field(default_factory=dict)
    activity_penalty: Array = field(default_factory=lambda: np.zeros(()))

    def penalise(self, layer: Layer, values: Sequence[Array]) -> None:
        """What a layer gives, with its activity regularizer if it has one."""
        if "activity_regularizer" in layer:
            total = sum(penalty(layer["activity_regularizer"], value) for value in values)
            self.activity_penalty = self.activity_penalty + total / len(values[0])


class Flow(NamedTuple):
    """A value and its mask."""

    value: Array
    mask: Array | None = None


def recurrent_step(layer: Layer, weights: Iterator[Array]) -> tuple[Step, list[int]]:
    """A cell's step and the widths of its states, taking its weights off the list."""
    if layer["layer"] == "RNN":
        return stacked_step(layer, weights)
    if "_cell" in layer:
        cell = layer["_cell"]
        return cell.step(weights), [layer["units"]] * cell.states
    activation = activation_of(layer, "activation", "tanh")
    gate = activation_of(layer, "recurrent_activation", "sigmoid")
    kernel, recurrent = next(weights), next(weights)
    bias = next(weights) if layer.get("use_bias", True) else None

    def simple_rnn(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        h = activation(x @ kernel + (0 if bias is None else bias) + states[0] @ recurrent)
        return h, [h]

    def lstm(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        h, c = states
        i, f, g, o = np.split(x @ kernel + h @ recurrent + (0 if bias is None else bias), 4, axis=-1)
        c = gate(f) * c + gate(i) * activation(g)
        h = gate(o) * activation(c)
        return h, [h, c]

    def gru(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        (h,) = states
        xz, xr, xh = np.split(x @ kernel + (0 if bias is None else bias[0]), 3, axis=-1)
        hz, hr, hh = np.split(h @ recurrent + (0 if bias is None else bias[1]), 3, axis=-1)
        z, r = gate(xz + hz), gate(xr + hr)
        h = z * h + (1.0 - z) * activation(xh + r * hh)
        return h, [h]

    def gru_reset_before(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        (h,) = states
        xz, xr, xh = np.split(x @ kernel + (0 if bias is None else bias), 3, axis=-1)
        uz, ur, uh = np.split(recurrent, 3, axis=-1)
        z, r = gate(xz + h @ uz), gate(xr + h @ ur)
        h = z * h + (1.0 - z) * activation(xh + (r * h) @ uh)
        return h, [h]

    units = layer["units"]
    match layer["layer"]:
        case "SimpleRNN":
            return simple_rnn, [units]
        case "LSTM":
            return lstm, [units, units]
        case "GRU":
            return (gru if layer.get("reset_after", True) else gru_reset_before), [units]
        case other:
            raise ValueError(other)


def stacked_step(layer: Layer, weights: Iterator[Array]) -> tuple[Step, list[int]]:
    """Cells one on the other within a step; their states in a row."""
    described = layer["cells"] if isinstance(layer["cells"], list) else [layer["cells"]]
    cells = [recurrent_step(cell, weights) for cell in described]

    def step(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        after: list[Array] = []
        for cell, widths in cells:
            x, own = cell(x, states[len(after) : len(after) + len(widths)])
            after += own
        return x, after

    return step, [width for _, widths in cells for width in widths]


def recurrent(layer: Layer, call: Call, x: Array, mask: Array | None, initial: Sequence[Array] | None = None) -> tuple[Array, list[Array]]:
    """The masked loop, one step after the other: the output, and every state at the end."""
    step, widths = recurrent_step(layer, call.weights)
    batch, time, _ = x.shape
    x = x.astype(call.dtype)
    real = np.ones((batch, time), bool) if mask is None else mask
    states = [np.zeros((batch, width), call.dtype) for width in widths]
    y = step(np.zeros((batch, x.shape[2]), call.dtype), states)[0] * 0
    zeros = y
    if layer.get("stateful", False) and call.carried is not None:
        states = list(call.carried[len(call.kept)])
    if initial is not None:
        states = [state.astype(call.dtype) for state in initial]
    shown: list[Array] = []
    order = range(time - 1, -1, -1) if layer.get("go_backwards") else range(time)
    zero = layer.get("zero_output_for_mask", False) and layer.get("return_sequences", False)
    for t in order:
        here = real[:, t : t + 1]
        output, after = step(x[:, t], states)
        y = np.where(here, output, zeros if zero else y)
        states = [np.where(here, new, old) for new, old in zip(after, states, strict=True)]
        shown.append(y)
    if layer.get("stateful", False):
        call.kept.append(states)
    if layer.get("return_sequences", False):
        return (np.stack(shown, axis=1) if shown else np.zeros((batch, 0, y.shape[1]), x.dtype)), states
    return y, states


def bidirectional(layer: Layer, call: Call, x: Array, mask: Array | None, initial: Sequence[Array] | None) -> list[Array]:
    inner = dict(layer["of"])
    sequences = inner.get("return_sequences", False)
    backwards = {**layer.get("backward_layer", inner), "go_backwards": not inner.get("go_backwards", False)}
    half = None if initial is None else len(initial) // 2
    zeroed = {"zero_output_for_mask": sequences}
    forward, ahead = recurrent(inner | zeroed, call, x, mask, None if initial is None else initial[:half])
    backward, behind = recurrent(backwards | zeroed, call, x, mask, None if initial is None else initial[half:])
    for half, values in ((forward, ahead), (backward, behind)):
        call.penalise(inner, [half, *(values if inner.get("return_state", False) else [])])
    if sequences:
        backward = backward[:, ::-1]
    match layer.get("merge_mode", "concat"):
        case "concat":
            merged = [np.concatenate([forward, backward], axis=-1)]
        case "sum":
            merged = [forward + backward]
        case "mul":
            merged = [forward * backward]
        case "ave":
            merged = [(forward + backward) / 2.0]
        case None:
            merged = [forward, backward]
        case other:
            raise ValueError(other)
    return merged + (ahead + behind if inner.get("return_state", False) else [])


def either(masks: Sequence[Array | None]) -> Array | None:
    """Of an elementwise merge: real where any is, and no mask if one of them has none."""
    present = [mask for mask in masks if mask is not None]
    return reduce(np.logical_or, present) if len(present) == len(masks) else None


def multiplied(flows: Sequence[Flow]) -> Flow:
    """A masked step counts as 1, and is 0 where it is masked in all."""
    mask = either([flow.mask for flow in flows])
    factors = [value if own is None else np.where(own[..., None], value, 1.0) for value, own in flows]
    product = reduce(np.multiply, factors)
    return Flow(product if mask is None else np.where(mask[..., None], product, 0.0), mask)


def extreme(flows: Sequence[Flow], first_wins: Callable[[Array, Array], Array]) -> Flow:
    """The maximum or minimum of those that are real; a masked step takes the other's value."""
    value, mask = flows[0]
    for other, other_mask in flows[1:]:
        if other_mask is not None:
            other = np.where(other_mask[..., None], other, value)
        if mask is not None:
            value = np.where(mask[..., None], value, other)
        mask = either([mask, other_mask])
        value = np.where(first_wins(value.real, other.real), value, other)
    return Flow(value, mask)


def concatenated(flows: Sequence[Flow], axis: int) -> Flow:
    """Over time the masks are joined, over features either's; a sequence without a mask is real throughout."""
    value = np.concatenate([flow.value for flow in flows], axis=axis)
    if all(flow.mask is None for flow in flows):
        return Flow(value)
    masks = [np.ones(flow.value.shape[:2], bool) if flow.mask is None else flow.mask for flow in flows]
    return Flow(value, np.concatenate(masks, axis=1) if axis in (1, 1 - value.ndim) else either(masks))


def beside(flows: Sequence[Flow]) -> list[Flow]:
    """Rows among sequences at each step of these, masked where all of them are."""
    sequences = [flow for flow in flows if flow.value.ndim == 3]
    if len(sequences) in (0, len(flows)):
        return list(flows)
    steps, mask = sequences[0].value.shape[1], either([flow.mask for flow in sequences])
    return [flow if flow.value.ndim == 3 else Flow(np.repeat(flow.value[:, None], steps, axis=1), mask) for flow in flows]


def merged(layer: Layer, flows: Sequence[Flow]) -> Flow:
    if layer["layer"] != "Dot":
        flows = beside(flows)
    values = [flow.value for flow in flows]
    masks = [flow.mask for flow in flows]
    match layer["layer"]:
        case "Concatenate":
            return concatenated(flows, layer.get("axis", -1))
        case "Add":
            return Flow(reduce(np.add, values), either(masks))
        case "Average":
            return Flow(reduce(np.add, values) / len(values), either(masks))
        case "Subtract":
            return Flow(values[0] - values[1], either(masks))
        case "Multiply":
            return multiplied(flows)
        case "Maximum":
            return extreme(flows, np.greater_equal)
        case "Minimum":
            return extreme(flows, np.less_equal)
        case "Dot":
            return Flow(dot(layer, *values))
        case other:
            raise ValueError(other)


def dot(layer: Layer, left: Array, right: Array) -> Array:
    """Over one axis of each, sample by sample; of two rows a column."""
    axes = layer["axes"] if isinstance(layer["axes"], list) else [layer["axes"]] * 2
    axes = [axis % value.ndim for axis, value in zip(axes, (left, right), strict=True)]
    left, right = np.moveaxis(left, axes[0], -1), np.moveaxis(right, axes[1], -1)
    if layer.get("normalize", False):
        left, right = (value / np.sqrt((value * value).sum(axis=-1, keepdims=True)) for value in (left, right))
    summed = left.ndim + right.ndim
    ours = list(range(1, left.ndim - 1))
    theirs = list(range(left.ndim, summed - 2))
    product = np.einsum(left, [0, *ours, summed], right, [0, *theirs, summed], [0, *ours, *theirs])
    return product[:, None] if product.ndim == 1 else product


def attention(layer: Layer, flows: Sequence[Flow], weights: Iterator[Array]) -> Flow:
    """Luong's dot product: over the real values only, 0 where none is real or the query is masked."""
    query, value = flows[:2]
    key = flows[2].value if len(flows) == 3 else value.value
    scores = query.value @ np.swapaxes(key, 1, 2)
    if layer.get("use_scale", False):
        scores = scores * next(weights)
    real = np.ones(scores.shape, bool) if value.mask is None else np.broadcast_to(value.mask[:, None, :], scores.shape)
    if layer.get("use_causal_mask", False):
        real = real & np.tri(*scores.shape[1:], dtype=bool)
    shifted = np.where(real, scores - np.where(real, scores.real, -np.inf).max(axis=-1, keepdims=True, initial=-1e300), 0.0)
    powers = np.where(real, np.exp(shifted), 0.0)
    total = powers.sum(axis=-1, keepdims=True)
    result = (powers / np.where(total == 0, 1.0, total)) @ (
        value.value if value.mask is None else np.where(value.mask[..., None], value.value, 0)
    )
    return Flow(result if query.mask is None else np.where(query.mask[..., None], result, 0.0), query.mask)


def layer_normalization(layer: Layer, x: Array, weights: Iterator[Array]) -> Array:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + layer.get("epsilon", 1e-3))
    if layer.get("rms_scaling", False):
        return x / scaled * next(weights)
    normal = centered / scaled
    normal = normal * next(weights) if layer.get("scale", True) else normal
    return normal + next(weights) if layer.get("center", True) else normal


SMALL = 1e-7
"""Keras's `backend.epsilon()`."""


def data_normalization(layer: Layer, x: Array, weights: Iterator[Array]) -> Array:
    """By the moments that are given, or by the weights; the third of these is for nothing."""
    given = "mean" in layer
    mean, variance = (np.asarray(layer[name], np.float64) if given else next(weights) for name in ("mean", "variance"))
    if not given:
        next(weights)
    scale = np.sqrt(variance)
    scale = np.where(scale.real > SMALL, scale, SMALL)
    return mean + x * scale if layer.get("invert", False) else (x - mean) / scale


def batch_normalization(layer: Layer, call: Call, x: Array, mask: Array | None) -> Array:
    """Over the real steps of the batch in training, which also moves the statistics; by these otherwise.

    Keras divides the masked moments by the number of real steps and 1e-7.
    """
    weights = call.weights
    gamma = next(weights) if layer.get("scale", True) else 1.0
    beta = next(weights) if layer.get("center", True) else 0.0
    place, momentum = weights.used, layer.get("momentum", 0.99)
    mean, variance = next(weights), next(weights)
    if call.training:
        axes = tuple(range(x.ndim - 1))
        real = np.ones(x.shape[:-1], bool) if mask is None else mask
        count = real.sum() + (0.0 if mask is None else SMALL)
        moving = mean, variance
        mean = np.where(real[..., None], x, 0).sum(axis=axes) / count
        variance = np.where(real[..., None], (x - mean) ** 2, 0).sum(axis=axes) / count
        for offset, (old, new) in enumerate(zip(moving, (mean, variance), strict=True)):
            call.updates[place + offset] = call.updates.get(place + offset, old) * momentum + new * (1.0 - momentum)
    return (x - mean) / np.sqrt(variance + layer.get("epsilon", 1e-3)) * gamma + beta


def convolution(layer: Layer, x: Array, weights: Iterator[Array]) -> Array:
    """A window of the input at a time; "same" pads more at the end, "causal" at the front only."""
    kernel = next(weights)
    size, stride, dilation = kernel.shape[0], layer.get("strides", 1), layer.get("dilation_rate", 1)
    reach = dilation * (size - 1)
    before, after = padding(layer.get("padding", "valid"), x.shape[1], reach + 1, stride)
    padded = np.pad(x, ((0, 0), (before, after), (0, 0)))
    starts = range(0, padded.shape[1] - reach, stride)
    places = [np.einsum("bsd,sdf->bf", padded[:, start : start + reach + 1 : dilation], kernel) for start in starts]
    result = np.stack(places, axis=1) if places else np.zeros((len(x), 0, kernel.shape[2]), x.dtype)
    return activation_of(layer, "activation", "linear")(result + next(weights) if layer.get("use_bias", True) else result)


def padding(kind: str, steps: int, window: int, stride: int) -> tuple[int, int]:
    match kind:
        case "causal":
            return window - 1, 0
        case "same":
            needed = max((math.ceil(steps / stride) - 1) * stride + window - steps, 0)
            return needed // 2, needed - needed // 2
        case _:
            return 0, 0


def pooled(layer: Layer, x: Array) -> Array:
    """Over the steps of each window that are there; padding counts in neither the maximum nor the average."""
    size = layer.get("pool_size", 2)
    stride = layer.get("strides", size)
    before, after = padding(layer.get("padding", "valid"), x.shape[1], size, stride)
    results: list[Array] = []
    for start in range(-before, x.shape[1] + after - size + 1, stride):
        window = x[:, max(start, 0) : start + size]
        results.append(maximum(window) if layer["layer"] == "MaxPooling1D" else window.mean(axis=1))
    return np.stack(results, axis=1) if results else x[:, :0]


def carried(layer: Layer, x: Array, mask: Array, weights: Iterator[Array]) -> Flow:
    """Windows over each sample from its first real step to its last, a masked step counting as absent; the real windows.

    The first stands where the windows over the padded sample would have come to. One is real if it sees a real step, or none at all.
    """
    is_pooling = layer["layer"] != "Conv1D"
    kernel = np.zeros((layer.get("pool_size", 2), 1, x.shape[2])) if is_pooling else next(weights)
    bias = next(weights) if not is_pooling and layer.get("use_bias", True) else 0
    size, dilation = kernel.shape[0], layer.get("dilation_rate", 1)
    stride, kind, reach = layer.get("strides", size if is_pooling else 1), layer.get("padding", "valid"), dilation * (size - 1)
    length = max(-(-(x.shape[1] - (reach if kind == "valid" else 0)) // stride), 0)
    result, real = np.zeros((len(x), length, kernel.shape[2]), np.result_type(x, kernel, bias)), np.zeros((len(x), length), bool)
    for row, (sample, present) in enumerate(zip(x, mask, strict=True)):
        steps = np.flatnonzero(present)
        if not len(steps):
            continue
        first, last = int(steps[0]), int(steps[-1])
        before, after = padding(kind, last + 1 - first, reach + 1, stride)
        for number, start in enumerate(range(first - before, last + after - reach + 1, stride)):
            places = [(place, start + place * dilation) for place in range(size)]
            seen = [(place, step) for place, step in places if first <= step <= last]
            there = [(place, step) for place, step in seen if present[step]]
            if seen and not there:
                continue
            values = sample[[step for _, step in there]]
            if is_pooling:
                value = maximum(values[None])[0] if layer["layer"] == "MaxPooling1D" else values.mean(axis=0)
            else:
                value = sum((sample[step] @ kernel[place] for place, step in there), np.zeros(kernel.shape[2])) + bias
                value = activation_of(layer, "activation", "linear")(value)
            result[row, first // stride + number], real[row, first // stride + number] = value, True
    return Flow(result, real)


def maximum(x: Array) -> Array:
    """Over the steps."""
    return np.take_along_axis(x, x.real.argmax(axis=1)[:, None], axis=1)[:, 0]


def global_pooled(layer: Layer, x: Array, mask: Array | None) -> Array:
    """Over the real steps; 0 where none is."""
    keep = layer.get("keepdims", False)
    real = np.ones(x.shape[:2], bool) if mask is None else mask
    if layer["layer"] == "GlobalAveragePooling1D":
        count = np.maximum(real.sum(axis=1), 1)[:, None]
        result = np.where(real[..., None], x, 0).sum(axis=1) / count
    elif x.shape[1]:
        result = np.where(real.any(axis=1)[:, None], maximum(np.where(real[..., None], x, -1e300)), 0)
    else:
        result = np.zeros((len(x), x.shape[2]), x.dtype)
    return result[:, None] if keep else result


def step_softmax(x: Array, mask: Array | None) -> Array:
    """Over the real steps; the others are 0."""
    real = np.ones(x.shape, bool) if mask is None else np.broadcast_to(mask[..., None], x.shape)
    largest = np.where(real, x.real, -np.inf).max(axis=1, keepdims=True, initial=-1e300)
    powers = np.where(real, np.exp(np.where(real, x - largest, 0.0)), 0.0)
    total = powers.sum(axis=1, keepdims=True)
    return powers / np.where(total == 0, 1.0, total)


def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """x from the threshold on, `negative_slope` of the way to it below, at most `max_value`."""
    above = x if max_value is None else np.where(x.real > max_value, max_value, x)
    return np.where(x.real > threshold, above, negative_slope * (x - threshold))


def both_ends(steps: int | Sequence[int]) -> tuple[int, int]:
    """Of a number of steps for both ends, or of one for each."""
    start, end = [steps] * 2 if isinstance(steps, int) else steps
    return start, end


def extended(layer: Layer, x: Array, mask: Array) -> Flow:
    """Each sample from its first real step to its last with steps of 0 at its ends, or without some of its own, where it began."""
    start, end = (
        both_ends(layer.get("padding", 1)) if layer["layer"] == "ZeroPadding1D" else (-n for n in both_ends(layer.get("cropping", 1)))
    )
    length = max(x.shape[1] + start + end, 0)
    result, real = np.zeros((len(x), length, x.shape[2]), x.dtype), np.zeros((len(x), length), bool)
    for row, (sample, present) in enumerate(zip(x, mask, strict=True)):
        steps = np.flatnonzero(present)
        if not len(steps):
            continue
        first, last = int(steps[0]), int(steps[-1])
        for place in range(max(last + 1 - first + start + end, 0)):
            step = first + place - start
            inside = first <= step <= last
            real[row, first + place] = not inside or present[step]
            if inside and present[step]:
                result[row, first + place] = sample[step]
    return Flow(result, real)


def options_of(layer: Layer, *names: str) -> dict[str, Any]:
    return {name: layer[name] for name in names if name in layer}


def of_one(layer: Layer, flow: Flow, call: Call) -> Flow:
    """A layer of one value that gives one; of a sequence or of rows."""
    value, mask = flow
    weights = call.weights
    match layer["layer"]:
        case "Masking":
            found = np.any(value.real != layer["mask_value"], axis=-1)
            return Flow(np.where(found[..., None], value, 0), found if mask is None else mask & found)
        case "Embedding":
            if layer.get("mask_zero", False):
                mask = value != 0 if mask is None else mask & (value != 0)
            return Flow(next(weights)[value].astype(call.dtype), mask)
        case "Dense":
            product = value @ next(weights)
            biased = product + next(weights) if layer.get("use_bias", True) else product
            return Flow(activation_of(layer, "activation", "linear")(biased), mask)
        case "Activation":
            return Flow(activation_of(layer, "activation", "linear")(value), mask)
        case "Dropout" | "SpatialDropout1D" | "GaussianNoise" | "GaussianDropout" | "AlphaDropout":
            return flow
        case "TimeDistributed":
            return Flow(of_one(layer["of"], Flow(value), call).value, mask)
        case "LayerNormalization":
            return Flow(layer_normalization(layer, value, weights), mask)
        case "Normalization":
            return Flow(data_normalization(layer, value, weights), mask)
        case "BatchNormalization":
            return Flow(batch_normalization(layer, call, value, mask), mask)
        case "Softmax":
            return Flow(step_softmax(value, mask) if layer.get("axis") in (1, -2) and value.ndim == 3 else softmax(value), mask)
        case "ReLU":
            return Flow(relu(value, **options_of(layer, "negative_slope", "max_value", "threshold")), mask)
        case "LeakyReLU":
            return Flow(relu(value, negative_slope=layer.get("negative_slope", 0.3)), mask)
        case "ELU":
            return Flow(elu(value, **options_of(layer, "alpha")), mask)
        case "PReLU":
            return Flow(np.where(value.real > 0, value, next(weights) * value), mask)
        case "Conv1D" | "MaxPooling1D" | "AveragePooling1D" if layer.get("carry_mask", False) and mask is not None:
            return carried(layer, value, mask, weights)
        case "Conv1D":
            return Flow(convolution(layer, value, weights))
        case "MaxPooling1D" | "AveragePooling1D":
            return Flow(pooled(layer, value))
        case "GlobalAveragePooling1D" | "GlobalMaxPooling1D":
            return Flow(global_pooled(layer, value, mask))
        case "Last":
            real = np.ones(value.shape[:2], bool) if mask is None else mask
            place = (real * np.arange(1, real.shape[1] + 1)).max(axis=1, initial=0)
            return Flow(np.take_along_axis(np.pad(value, ((0, 0), (1, 0), (0, 0))), place[:, None, None], axis=1)[:, 0])
        case "Flatten":
            return Flow(value.reshape(len(value), math.prod(value.shape[1:])))
        case "Reshape":
            size, target = math.prod(value.shape[1:]), layer["target_shape"]
            left = size // math.prod(extent for extent in target if extent != -1)
            return Flow(value.reshape(len(value), *(left if extent == -1 else extent for extent in target)))
        case "Permute":
            return Flow(value.transpose(0, *layer["dims"]))
        case "ZeroPadding1D" | "Cropping1D" if layer.get("carry_mask", False) and mask is not None:
            return extended(layer, value, mask)
        case "ZeroPadding1D":
            return Flow(np.pad(value, ((0, 0), both_ends(layer.get("padding", 1)), (0, 0))))
        case "Cropping1D":
            start, end = both_ends(layer.get("cropping", 1))
            return Flow(value[:, start : value.shape[1] - end])
        case "Slice" if layer.get("axis", 1) in (1, -2) and value.ndim == 3:
            if layer.get("carry_mask", False) and mask is not None:
                return extended(make("Cropping1D", cropping=[layer.get("start", 0), -(layer.get("stop") or 0)]), value, mask)
            return Flow(value[:, layer.get("start", 0) : layer.get("stop")])
        case "Slice":
            return Flow(value[..., layer.get("start", 0) : layer.get("stop")], mask)
        case "UpSampling1D":
            return Flow(np.repeat(value, layer.get("size", 2), axis=1))
        case "UnitNormalization":
            squares = (value * value).sum(axis=-1, keepdims=True)
            return Flow(value / np.sqrt(np.where(squares.real > 1e-24, squares, 1e-24)), mask)
        case "RepeatVector":
            return Flow(np.repeat(value[:, None], layer["n"], axis=1))
        case other:
            raise ValueError(other)


MERGES = ("Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Dot")


def applied(layer: Layer, flows: Sequence[Flow], initial: Sequence[Array] | None, call: Call) -> list[Flow]:
    """What a layer gives for what it takes."""
    match layer["layer"]:
        case name if "_cell" in layer or name in ("LSTM", "GRU", "SimpleRNN", "RNN"):
            ((value, mask),) = flows
            output, states = recurrent(layer, call, value, mask, initial)
            if mask is not None and layer.get("go_backwards", False):
                mask = mask[:, ::-1]
            first = Flow(output, mask if layer.get("return_sequences", False) else None)
            return [first, *map(Flow, states)] if layer.get("return_state", False) else [first]
        case "Bidirectional":
            ((value, mask),) = flows
            results = bidirectional(layer, call, value, mask, initial)
            outputs = 1 if layer.get("merge_mode", "concat") is not None else 2
            if mask is not None and layer["of"].get("go_backwards", False):
                mask = mask[:, ::-1]
            kept = mask if layer["of"].get("return_sequences", False) else None
            return [Flow(result, kept if place < outputs else None) for place, result in enumerate(results)]
        case "Attention":
            return [attention(layer, flows, call.weights)]
        case "RepeatVector" if "like" in layer:
            row, (like, mask) = flows[0].value[:, None], flows[1]
            repeated = np.repeat(row, like.shape[1], axis=1)
            return [Flow(repeated if mask is None else np.where(mask[..., None], repeated, 0), mask)]
        case name if name in MERGES:
            return [merged(layer, flows)]
        case _:
            (flow,) = flows
            return [of_one(layer, flow, call)]


@dataclass(frozen=True)
class Ran:
    """What a call gave: the outputs, what every layer gave in order, and what is left behind."""

    outputs: list[Flow]
    trace: list[list[Flow]]
    call: Call


def run_graph(
    graph: Graph,
    weights: Sequence[Array],
    inputs: Mapping[str, Array],
    masks: Mapping[str, Array],
    training: bool = False,
    carried: Sequence[Sequence[Array]] | None = None,
) -> Ran:
    """One call of a graph: `masks` are the caller's own, bool (batch, time), by the input's name."""
    floats = [x for x in inputs.values() if x.dtype.kind not in "iu"]
    call = Call(Weights(weights), np.result_type(np.float64, *weights, *floats), training, carried)
    named = {name: Flow(x, masks.get(name)) for name, x in inputs.items()}
    last = list(named.values())
    trace: list[list[Flow]] = []
    shared: dict[str, int] = {}
    for statement in graph.statements:
        flows = [named[name] for name in statement.takes] or last
        for layer in statement.layers:
            initial = layer.get("initial_state")
            names = [initial] if isinstance(initial, str) else initial
            flows = [*flows, named[layer["like"]]] if "like" in layer else flows
            start, before = shared.get(layer.get("_shared", "")), call.weights.used
            call.weights.used = before if start is None else start
            flows = applied(layer, flows, names and [named[name].value for name in names], call)
            if "_shared" in layer:
                shared.setdefault(layer["_shared"], before)
                call.weights.used = max(before, call.weights.used)
            call.penalise(layer, [flow.value for flow in flows])
            trace.append(flows)
        named |= dict(zip(statement.names, flows, strict=bool(statement.names)))
        last = flows
    if call.weights.used != len(weights):
        raise ValueError("more weights than the layers take")
    return Ran([named[name] for name in graph.outputs] or last, trace, call)


def run(layers: Sequence[Layer], weights: Sequence[Array], x: Array, mask: Array | None) -> list[Array]:
    """The outputs of a chain of layers; ids where the first layer is an Embedding. `mask`: bool (batch, time), the caller's own."""
    ran = run_graph(chain([dict(layer) for layer in layers], ""), weights, {"x": x}, {} if mask is None else {"x": mask})
    return [flow.value for flow in ran.outputs]


def penalty(described: Layer, x: Array) -> Array:
    """Of a regularizer. The derivative of |0| is 0, as in Keras's TensorFlow and PyTorch backends; in JAX's it is 1."""
    match described["layer"]:
        case "L1":
            l1, l2 = described["l1"], 0.0
        case "L2":
            l1, l2 = 0.0, described["l2"]
        case "OrthogonalRegularizer":
            return described["factor"] * between_rows(x if described.get("mode", "rows") == "rows" else x.T)
        case _:
            l1, l2 = described.get("l1", 0.0), described.get("l2", 0.0)
    return l1 * (np.sign(x.real) * x).sum() + l2 * (x * x).sum()


def between_rows(x: Array) -> Array:
    """The mean size of the cosine of two rows."""
    unit = x / np.sqrt((x * x).sum(axis=1, keepdims=True))
    cosines = [magnitude((unit[one] * unit[other]).sum()) for one in range(len(x)) for other in range(one)]
    return sum(cosines) / len(cosines)


ROLES = {"recurrent_kernel": "recurrent"}
"""How a weight is called in the names of its options, where that isn't its own name."""


def weight_penalty(graph: Graph, weights: Sequence[Array]) -> Array:
    total = np.zeros(())
    for (_, layer, name), weight in zip(weights_of(graph.layers), weights, strict=True):
        described = layer.get(f"{ROLES.get(name, name)}_regularizer")
        if described is not None:
            total = total + penalty(described, weight)
    return total


def constrained(described: Layer | None, weight: Array) -> Array:
    """What a constraint makes of a weight after an update; Keras adds 1e-7 to the norms."""
    if described is None:
        return weight
    axis = described.get("axis", 0)
    norms = np.sqrt((weight * weight).sum(axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True))
    match described["layer"]:
        case "NonNeg":
            return np.maximum(weight, 0.0)
        case "MaxNorm":
            return weight * (np.clip(norms, 0.0, described.get("max_value", 2.0)) / (SMALL + norms))
        case "UnitNorm":
            return weight / (SMALL + norms)
        case "MinMaxNorm":
            rate = described.get("rate", 1.0)
            inside = np.clip(norms, described.get("min_value", 0.0), described.get("max_value", 1.0))
            return weight * ((rate * inside + (1 - rate) * norms) / (SMALL + norms))
        case other:
            raise ValueError(other)


def gradient(function: Callable[[Array], Array], at: Array) -> Array:
    """Of a function to a scalar, by complex steps; one call an element."""
    result = np.zeros(np.shape(at))
    for place in np.ndindex(np.shape(at)):
        moved = np.array(at, np.complex128)
        moved[place] += 1j * STEP
        result[place] = np.imag(function(moved)) / STEP
    return result


def each_gradient(function: Callable[[Sequence[Array]], Array], at: Sequence[Array]) -> list[Array]:
    """Of a function of several arrays to a scalar, with regard to each of them."""
    found: list[Array] = []
    for place, value in enumerate(at):
        before, after = list(at[:place]), list(at[place + 1 :])
        found.append(gradient(lambda moved, before=before, after=after: function([*before, moved, *after]), value))
    return found


def gradients(
    layers: Sequence[Layer], weights: Sequence[Array], x: Array, mask: Array | None, cotangents: Sequence[Array]
) -> tuple[list[Array], Array | None]:
    """Of every weight and of the input (None where that is ids), for the cotangent of each output."""
    graph = chain([dict(layer) for layer in layers], "")
    of_weights, of_inputs = graph_gradients(graph, weights, {"x": x}, {} if mask is None else {"x": mask}, cotangents)
    return of_weights, of_inputs.get("x")


def graph_gradients(
    graph: Graph,
    weights: Sequence[Array],
    inputs: Mapping[str, Array],
    masks: Mapping[str, Array],
    cotangents: Sequence[Array],
    training: bool = False,
    carried: Sequence[Sequence[Array]] | None = None,
) -> tuple[list[Array], dict[str, Array]]:
    """Of every weight, and of every input that isn't ids, for the cotangent of each output."""
    floats = [name for name, x in inputs.items() if x.dtype.kind not in "iu"]

    def scalar(at_weights: Sequence[Array], at_inputs: Sequence[Array]) -> Array:
        named = {**inputs, **dict(zip(floats, at_inputs, strict=True))}
        outputs = run_graph(graph, at_weights, named, masks, training, carried).outputs
        return np.asarray(sum(np.sum(flow.value * g) for flow, g in zip(outputs, cotangents, strict=True)))

    at_inputs = [inputs[name] for name in floats]
    of_weights = each_gradient(lambda moved: scalar(moved, at_inputs), weights)
    return of_weights, dict(zip(floats, each_gradient(lambda moved: scalar(weights, moved), at_inputs), strict=True))


def train_step(
    graph: Graph,
    weights: Sequence[Array],
    inputs: Mapping[str, Array],
    masks: Mapping[str, Array],
    loss: Callable[[Flow], Array],
    learning_rate: float,
) -> tuple[float, list[Array]]:
    """The loss with every penalty, and the weights after one step of plain gradient descent and their constraints."""

    def scalar(at: Sequence[Array]) -> Array:
        ran = run_graph(graph, at, inputs, masks, training=True)
        return loss(ran.outputs[0]) + ran.call.activity_penalty + weight_penalty(graph, at)

    after: list[Array] = []
    for (_, layer, name), weight, step in zip(weights_of(graph.layers), weights, each_gradient(scalar, weights), strict=True):
        after.append(constrained(layer.get(f"{ROLES.get(name, name)}_constraint"), weight - learning_rate * step))
    return float(scalar(weights)), after
