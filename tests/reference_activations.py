"""Activations in plain numpy, of complex arrays too (see `tests.reference`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softmax(x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - x.real.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


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


def sparsemax(x: Array) -> Array:
    """Martins and Astudillo 2016, algorithm 1, row by row: what is above a threshold, so that it sums to 1.

    Keras 3.15 takes the sum of the sums over the support for the sum over it, in all backends, so that its
    rows sum to 1 only where a single element is left.
    """
    rows = (x - x.real.max(axis=-1, keepdims=True)).reshape(-1, x.shape[-1])
    result = np.zeros_like(rows)
    for row, out in zip(rows, result, strict=True):
        order = np.argsort(-row.real, kind="stable")
        sums = np.cumsum(row[order])
        support = 1.0 + np.arange(1, len(row) + 1) * row[order].real > sums.real
        count = int(support.sum())
        kept = order[:count]
        out[kept] = row[kept] - (sums[count - 1] - 1.0) / count
    return result.reshape(x.shape)


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
    "sparsemax": sparsemax,
    "softplus": softplus,
    "softsign": lambda x: x / (1.0 + magnitude(x)),
    "threshold": lambda x, threshold, default_value: np.where(x.real > threshold, x, default_value),
    "sparse_plus": lambda x: np.where(x.real <= -1, 0, np.where(x.real >= 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: clip((x + 1) / 2, 0.0, 1.0),
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
