"""A plain numpy reading of what a model means: the masked loop over padded arrays, and complex-step gradients.

An oracle that shares nothing with the package: no packing, no derived gradient, no kernel. Models
are the lists of layer descriptions of the Keras fixtures, such as
`{"layer": "LSTM", "units": 3, "return_sequences": True}`. Every function takes complex arrays too,
and reads real parts where it must decide something: so the gradient is exact (Squire & Trapp 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = Mapping[str, Any]
Step = Callable[[Array, list[Array]], tuple[Array, list[Array]]]

STEP = 1e-150
"""Of the complex step: so small that its square vanishes, so large that nothing underflows."""


def sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.real.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def positive(x: Array) -> Array:
    return np.where(x.real > 0, x, 0)


def magnitude(x: Array) -> Array:
    return np.where(x.real < 0, -x, x)


def clip(x: Array, low: float, high: float) -> Array:
    return np.where(x.real <= low, low, np.where(x.real >= high, high, x))


def softplus(x: Array) -> Array:
    return positive(x) + np.log(1.0 + np.exp(-magnitude(x)))


def hard_sigmoid(x: Array) -> Array:
    return clip(x / 6.0 + 0.5, 0.0, 1.0)


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x.real > 0, x, alpha * (np.exp(np.where(x.real > 0, 0, x)) - 1.0))


def celu(x: Array, alpha: float = 1.0) -> Array:
    """Barron 2017: elu with the exponent scaled as well."""
    return np.where(x.real > 0, x, alpha * (np.exp(np.where(x.real > 0, 0, x) / alpha) - 1.0))


def selu(x: Array) -> Array:
    """Klambauer et al. 2017, its two constants to the last bit."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def erf(x: Array) -> Array:
    """Of a real array, or to first order in the imaginary part of a complex one."""
    value = np.vectorize(math.erf, otypes=[np.float64])(x.real)
    return value + 1j * x.imag * 2.0 / np.sqrt(np.pi) * np.exp(-x.real * x.real) if np.iscomplexobj(x) else value


def gelu(x: Array, approximate: bool = False) -> Array:
    """Hendrycks & Gimpel 2016."""
    if approximate:
        return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def log_softmax(x: Array) -> Array:
    shifted = x - x.real.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "relu": positive,
    "relu6": lambda x: clip(x, 0.0, 6.0),
    "leaky_relu": lambda x, negative_slope=0.2: np.where(x.real > 0, x, negative_slope * x),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": softplus,
    "softsign": lambda x: x / (1.0 + magnitude(x)),
    "squareplus": lambda x, b=4.0: (x + np.sqrt(x * x + b)) / 2.0,
    "elu": elu,
    "celu": celu,
    "selu": selu,
    "gelu": gelu,
    "silu": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "exponential": np.exp,
    "hard_tanh": lambda x: clip(x, -1.0, 1.0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_shrink": lambda x, threshold=0.5: np.where(np.abs(x.real) > threshold, x, 0),
    "soft_shrink": lambda x, threshold=0.5: positive(x - threshold) - positive(-x - threshold),
}


def activation_of(layer: Layer, argument: str, default: str) -> Callable[[Array], Array]:
    """An activation is a name, or `{"layer": name, argument: value}`."""
    described: str | Layer = layer.get(argument, default)
    if isinstance(described, str):
        return ACTIVATIONS[described]
    return partial(ACTIVATIONS[described["layer"]], **{key: value for key, value in described.items() if key != "layer"})


def recurrent_step(layer: Layer, weights: Iterator[Array]) -> tuple[Step, int]:
    """A cell's step and its number of states, taking its weights off the list."""
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

    return {"SimpleRNN": (simple_rnn, 1), "LSTM": (lstm, 2), "GRU": (gru, 1)}[layer["layer"]]


def recurrent(layer: Layer, weights: Iterator[Array], x: Array, mask: Array | None) -> Array:
    """The masked loop, one step after the other."""
    step, count = recurrent_step(layer, weights)
    batch, time, _ = x.shape
    real = np.ones((batch, time), bool) if mask is None else mask
    zeros = np.zeros((batch, layer["units"]), x.dtype)
    y, states = zeros, [zeros] * count
    shown: list[Array] = []
    order = range(time - 1, -1, -1) if layer.get("go_backwards") else range(time)
    zero = layer.get("zero_output_for_mask", False) and layer.get("return_sequences", False)
    for t in order:
        here = real[:, t : t + 1]
        output, after = step(x[:, t], states)
        y = np.where(here, output, zeros if zero else y)
        states = [np.where(here, new, old) for new, old in zip(after, states, strict=True)]
        shown.append(y)
    if layer.get("return_sequences", False):
        return np.stack(shown, axis=1) if shown else np.zeros((batch, 0, layer["units"]), x.dtype)
    return y


def bidirectional(layer: Layer, weights: Iterator[Array], x: Array, mask: Array | None) -> list[Array]:
    inner = dict(layer["of"])
    sequences = inner.get("return_sequences", False)
    if sequences:
        inner["zero_output_for_mask"] = True
    forward = recurrent(inner, weights, x, mask)
    backward = recurrent({**inner, "go_backwards": not inner.get("go_backwards", False)}, weights, x, mask)
    if sequences:
        backward = backward[:, ::-1]
    match layer.get("merge_mode", "concat"):
        case "concat":
            return [np.concatenate([forward, backward], axis=-1)]
        case "sum":
            return [forward + backward]
        case "mul":
            return [forward * backward]
        case "ave":
            return [(forward + backward) / 2.0]
        case None:
            return [forward, backward]
        case other:
            raise ValueError(other)


def run(layers: Sequence[Layer], weights: Sequence[Array], x: Array, mask: Array | None) -> list[Array]:
    """The outputs of a chain of layers; ids where the first layer is an Embedding. `mask`: bool (batch, time), the caller's own."""
    dtype = np.result_type(np.float64, *weights, *([] if x.dtype.kind in "iu" else [x]))
    left = iter(weights)
    values = [x]
    for layer in layers:
        (value,) = values
        match layer["layer"]:
            case "Masking":
                found = np.any(value.real != layer["mask_value"], axis=-1)
                values = [np.where(found[..., None], value, 0)]
                mask = found if mask is None else mask & found
            case "Embedding":
                if layer.get("mask_zero", False):
                    mask = value != 0 if mask is None else mask & (value != 0)
                values = [next(left)[value].astype(dtype)]
            case "Dense":
                product = value @ next(left)
                biased = product + next(left) if layer.get("use_bias", True) else product
                values = [activation_of(layer, "activation", "linear")(biased)]
            case "Activation":
                values = [activation_of(layer, "activation", "linear")(value)]
            case "Dropout":
                pass
            case "Bidirectional":
                values = bidirectional(layer, left, value.astype(dtype), mask)
            case _:
                values = [recurrent(layer, left, value.astype(dtype), mask)]
                if mask is not None and layer.get("go_backwards", False):
                    mask = mask[:, ::-1]
    if next(left, None) is not None:
        raise ValueError("more weights than the layers take")
    return values


def gradient(function: Callable[[Array], Array], at: Array) -> Array:
    """Of a function to a scalar, by complex steps; one call an element."""
    result = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        moved = at.astype(np.complex128)
        moved[place] += 1j * STEP
        result[place] = np.imag(function(moved)) / STEP
    return result


def gradients(
    layers: Sequence[Layer], weights: Sequence[Array], x: Array, mask: Array | None, cotangents: Sequence[Array]
) -> tuple[list[Array], Array | None]:
    """Of every weight and of the input (None where that is ids), for the cotangent of each output."""

    def scalar(at_weights: Sequence[Array], at_x: Array) -> Array:
        outputs = run(layers, at_weights, at_x, mask)
        return np.asarray(sum(np.sum(y * g) for y, g in zip(outputs, cotangents, strict=True)))

    of_weights: list[Array] = []
    for place, weight in enumerate(weights):
        before, after = list(weights[:place]), list(weights[place + 1 :])
        of_weights.append(gradient(lambda w, before=before, after=after: scalar([*before, w, *after], x), weight))
    return of_weights, None if x.dtype.kind in "iu" else gradient(lambda value: scalar(weights, value), x)
