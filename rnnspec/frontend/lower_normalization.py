"""Normalizations in the tensor IR."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph import LayerNormalization, LayerWeight
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value


def layer_normalized(b: Builder, layer: LayerNormalization, value: Value, weights: Mapping[str, Value]) -> Value:
    """Every row by its own mean and variance."""
    width = b.tensor(value).shape[-1]
    if not isinstance(width, int):
        raise InternalError(f"%{value.name} has no fixed width")
    centred = b.sub(value, _like(b, _mean(b, value, width), value))
    variance = _mean(b, b.mul(centred, centred), width)
    return _scaled(b, b.div(centred, _like(b, _deviation(b, variance, layer.epsilon), value)), layer.gamma, layer.beta, weights)


def _mean(b: Builder, value: Value, width: int) -> Value:
    total = b.reduce_sum(value, 1)
    return b.mul(total, b.constant_like(1.0 / width, total))


def _deviation(b: Builder, variance: Value, epsilon: float) -> Value:
    return b.sqrt(b.add(variance, b.constant_like(epsilon, variance)))


def _scaled(b: Builder, value: Value, gamma: LayerWeight | None, beta: LayerWeight | None, weights: Mapping[str, Value]) -> Value:
    """What both normalizations end with."""
    if gamma is not None:
        value = b.mul(value, _like(b, weights[gamma.path], value))
    if beta is not None:
        value = b.add(value, _like(b, weights[beta.path], value))
    return value


def _like(b: Builder, value: Value, like: Value) -> Value:
    return b.broadcast_to(value, b.tensor(like).shape)
