"""Activations and elementary functions in the operations of the tensor IR, in forms that neither overflow nor cancel.

The formulas are Keras's (`keras.activations`, 3.15), but for sparsemax, where Keras's aren't the paper's
that it names; every one is elementwise but softmax, log_softmax and sparsemax, which go over the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from rnnspec.contract.signature import ArgumentValue
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.cells.functions import ELEMENTARY
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import UnaryKind
from rnnspec.ir.ops import Value
from rnnspec.ir.types import DType

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
"""The fixed point of Klambauer et al. 2017 (mean 0, variance 1)."""

GELU_SETTLED = 32.0

Emitter = Callable[[Builder, Value, Mapping[str, float]], Value]


def emit(b: Builder, name: str, options: tuple[tuple[str, ArgumentValue], ...], x: Value) -> Value:
    """`name(x)`, `x` a matrix or a weight row; the result has its type."""
    if name in ELEMENTARY:
        return b.unary(UnaryKind(name), x)
    if name not in _EMITTERS:
        raise InternalError(f"the function {name} has no formula")
    given = [(key, value) for key, value in options if value is not None]
    numbers = {key: float(value) for key, value in given if isinstance(value, int | float)}
    if len(numbers) != len(given):
        raise InternalError(f"{name} has an option that isn't a number")
    return _EMITTERS[name](b, x, numbers)


def _scaled(b: Builder, x: Value, factor: float) -> Value:
    return b.mul(x, b.constant_like(factor, x))


def _shifted(b: Builder, x: Value, by: float) -> Value:
    return b.add(x, b.constant_like(by, x))


def _clipped(b: Builder, x: Value, low: float, high: float) -> Value:
    return b.min(b.max(x, b.constant_like(low, x)), b.constant_like(high, x))


def _linear(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return x


def _relu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    """x above the threshold, up to the largest value; below it the slope times what is missing."""
    slope, threshold = options["negative_slope"], options["threshold"]
    top = b.min(x, b.constant_like(options["max_value"], x)) if "max_value" in options else x
    if slope == threshold == 0.0:
        return b.max(top, b.constant_like(0.0, x))
    passes = b.greater(x, b.constant_like(threshold, x))
    return b.select(passes, top, _scaled(b, _shifted(b, x, -threshold), slope))


def _relu6(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return _clipped(b, x, 0.0, 6.0)


def _leaky_relu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    positive = b.greater_equal(x, b.constant_like(0.0, x))
    return b.select(positive, x, _scaled(b, x, options["negative_slope"]))


def _exponential_below_zero(b: Builder, x: Value, alpha: float, divisor: float = 1.0) -> Value:
    """x above zero, alpha (exp(x / divisor) - 1) below; the exponential never sees a positive argument."""
    zero = b.constant_like(0.0, x)
    below = b.min(x, zero)
    curved = b.expm1(below if divisor == 1.0 else _scaled(b, below, 1.0 / divisor))
    curved = curved if alpha == 1.0 else _scaled(b, curved, alpha)
    return b.select(b.greater(x, zero), x, curved)


def _elu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    return _exponential_below_zero(b, x, options["alpha"])


def _celu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    return _exponential_below_zero(b, x, options["alpha"], options["alpha"])


def _selu(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return _scaled(b, _exponential_below_zero(b, x, SELU_ALPHA), SELU_SCALE)


def _gelu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    if options["approximate"]:
        # Beyond it the sigmoid is 0 or 1 in either precision; a cube that overflows would make its slope no number.
        near = _clipped(b, x, -GELU_SETTLED, GELU_SETTLED)
        cubed = b.mul(b.mul(near, near), near)
        inner = _scaled(b, b.add(near, _scaled(b, cubed, 0.044715)), math.sqrt(2.0 / math.pi))
        # (1 + tanh(u)) / 2 is sigmoid(2 u), which keeps its digits where x is far below 0.
        return b.mul(x, b.sigmoid(_scaled(b, inner, 2.0)))
    share = _shifted(b, b.erf(_scaled(b, x, math.sqrt(0.5))), 1.0)
    return b.mul(_scaled(b, x, 0.5), share)


def _silu(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return b.mul(x, b.sigmoid(x))


def _hard_sigmoid(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return _clipped(b, _shifted(b, _scaled(b, x, 1.0 / 6.0), 0.5), 0.0, 1.0)


def _hard_silu(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    return b.mul(x, _hard_sigmoid(b, x, options))


def _softplus(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    """max(x, 0) + log1p(exp(-|x|)): the exponential's argument is never positive."""
    return b.add(b.max(x, b.constant_like(0.0, x)), b.log1p(b.exp(b.neg(b.abs(x)))))


def _mish(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    return b.mul(x, b.tanh(_softplus(b, x, options)))


def _softsign(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return b.div(x, _shifted(b, b.abs(x), 1.0))


def _below_maximum(b: Builder, x: Value) -> Value:
    """x minus its maximum over the last axis. The gradient of softmax doesn't depend on the maximum."""
    shape = b.tensor(x).shape
    largest = b.stop_gradient(b.reduce_max(x, axis=len(shape) - 1))
    return b.sub(x, b.broadcast(largest, shape))


def _softmax(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    shape = b.tensor(x).shape
    powers = b.exp(_below_maximum(b, x))
    return b.div(powers, b.broadcast(b.reduce_sum(powers, axis=len(shape) - 1), shape))


def _log_softmax(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    shape = b.tensor(x).shape
    below = _below_maximum(b, x)
    return b.sub(below, b.broadcast(b.log(b.reduce_sum(b.exp(below), axis=len(shape) - 1)), shape))


def _sparsemax(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    """max(x - t, 0) with the t that makes the last axis sum to 1 (Martins and Astudillo 2016).

    Without a sort: t is the zero of a falling, convex function that is straight between the elements of
    x, and Newton's steps come to it from below. Each leaves out one element of the support at least, or
    is the last; and the sum's excess over 1, at first less than the width, times the number of elements
    above t falls to a quarter at least. So after as many steps as there are it is rounding.
    """
    tensor = b.tensor(x)
    width, last = tensor.shape[-1], len(tensor.shape) - 1
    if not isinstance(width, int):
        raise InternalError("the last axis has no fixed width")
    below, zero = _below_maximum(b, x), b.constant_like(0.0, x)
    one = b.constant_like(1.0, x)
    threshold = b.constant_like(-1.0, x)
    bits = 53 if tensor.dtype is DType.F64 else 24
    for _step in range(min(width, math.ceil(bits / 2 + math.log2(width)) + 1)):
        support = b.greater(below, threshold)
        total = b.reduce_sum(b.select(support, below, zero), axis=last)
        count = b.reduce_sum(b.select(support, one, zero), axis=last)
        threshold = b.broadcast(b.div(_shifted(b, total, -1.0), count), tensor.shape)
    return b.max(b.sub(below, threshold), zero)


def _log_sigmoid(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    return b.neg(_softplus(b, b.neg(x), options))


def _tanh_shrink(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return b.sub(x, b.tanh(x))


def _hard_tanh(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return _clipped(b, x, -1.0, 1.0)


def _hard_shrink(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    outside = b.greater(b.abs(x), b.constant_like(options["threshold"], x))
    return b.select(outside, x, b.constant_like(0.0, x))


def _soft_shrink(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    """Of what is no number 0, as in Keras, like `hard_shrink`."""
    outside = b.greater(b.abs(x), b.constant_like(options["threshold"], x))
    return b.select(outside, b.sub(x, _clipped(b, x, -options["threshold"], options["threshold"])), b.constant_like(0.0, x))


def _squareplus(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    """(root + x) / 2 from 0 on, and below it b / (2 (root - x)), which is the same and doesn't cancel; root = sqrt(x^2 + b).

    The root adds b only up to a limit, beyond which it is |x| in all digits and a square would overflow.
    """
    zero = b.constant_like(0.0, x)
    if options["b"] == 0.0:
        return b.max(x, zero)
    limit = 2.0 ** (510 if b.tensor(x).dtype is DType.F64 else 60)
    magnitude = b.abs(x)
    near = b.min(magnitude, b.constant_like(limit, x))
    root = b.add(b.sqrt(_shifted(b, b.mul(near, near), options["b"])), b.sub(magnitude, near))
    half = _scaled(b, root, 0.5)
    above = b.add(half, _scaled(b, x, 0.5))
    below = b.div(b.constant_like(options["b"] / 4.0, x), b.sub(half, _scaled(b, b.min(x, zero), 0.5)))
    return b.select(b.greater_equal(x, zero), above, below)


def _threshold(b: Builder, x: Value, options: Mapping[str, float]) -> Value:
    above = b.greater(x, b.constant_like(options["threshold"], x))
    return b.select(above, x, b.constant_like(options["default_value"], x))


def _sparse_plus(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    """Martins and Astudillo 2016's sparsemax of two, integrated: x from 1 on, 0 up to -1."""
    raised = _shifted(b, _clipped(b, x, -1.0, 1.0), 1.0)
    straight = b.greater_equal(x, b.constant_like(1.0, x))
    return b.select(straight, x, _scaled(b, b.mul(raised, raised), 0.25))


def _sparse_sigmoid(b: Builder, x: Value, _: Mapping[str, float]) -> Value:
    return _clipped(b, _shifted(b, _scaled(b, x, 0.5), 0.5), 0.0, 1.0)


_EMITTERS: Mapping[str, Emitter] = MappingProxyType(
    {
        "linear": _linear,
        "relu": _relu,
        "relu6": _relu6,
        "leaky_relu": _leaky_relu,
        "elu": _elu,
        "celu": _celu,
        "selu": _selu,
        "gelu": _gelu,
        "silu": _silu,
        "hard_silu": _hard_silu,
        "mish": _mish,
        "softplus": _softplus,
        "softsign": _softsign,
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "sparsemax": _sparsemax,
        "exponential": lambda b, x, _: b.exp(x),
        "sigmoid": lambda b, x, _: b.sigmoid(x),
        "log_sigmoid": _log_sigmoid,
        "hard_sigmoid": _hard_sigmoid,
        "tanh": lambda b, x, _: b.tanh(x),
        "tanh_shrink": _tanh_shrink,
        "hard_tanh": _hard_tanh,
        "hard_shrink": _hard_shrink,
        "soft_shrink": _soft_shrink,
        "squareplus": _squareplus,
        "threshold": _threshold,
        "sparse_plus": _sparse_plus,
        "sparse_sigmoid": _sparse_sigmoid,
    }
)
