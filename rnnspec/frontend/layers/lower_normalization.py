"""Normalizations in the tensor IR."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph.layers import BatchNormalization, LayerNormalization, LayerWeight
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, PackedSequence, RowValue
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value

SMALL = 1e-7
"""What Keras adds to the number of real steps of a masked batch."""


def layer_normalized(b: Builder, layer: LayerNormalization, value: Value, weights: Mapping[str, Value]) -> Value:
    """Every row by its own mean and variance; with `rms_scaling` the mean is left in."""
    width = b.tensor(value).shape[-1]
    if not isinstance(width, int):
        raise InternalError(f"%{value.name} has no fixed width")
    centred = b.sub(value, b.broadcast_like(_mean(b, value, width), value))
    variance = _mean(b, b.mul(centred, centred), width)
    kept = value if layer.rms_scaling else centred
    return _scaled(b, b.div(kept, b.broadcast_like(_deviation(b, variance, layer.epsilon), value)), layer.gamma, layer.beta, weights)


class BatchNormalizing:
    """Emits batch normalizations. `updates`: the statistics' new values by path, where a layer used twice goes on from."""

    def __init__(self, tools: Tools, training: bool) -> None:
        self._tools = tools
        self._b = tools.builder
        self._weights = tools.weights
        self._training = training
        self.updates: dict[str, Value] = {}

    def normalized(self, layer: BatchNormalization, flow: Computed) -> Computed:
        """Masked steps aren't part of the moments; what they hold goes through the layer like the rest, as in Keras."""
        mean, variance = self._weights[layer.moving_mean.path], self._weights[layer.moving_variance.path]
        if self._training:
            mean, variance = self._moments(flow)
            self._update(layer.moving_mean, mean, layer.momentum)
            self._update(layer.moving_variance, variance, layer.momentum)
        if isinstance(flow, RowValue):
            return RowValue(self._by(layer, flow.value, mean, variance))
        return flow.through(lambda value: self._by(layer, value, mean, variance))

    def _by(self, layer: BatchNormalization, value: Value, mean: Value, variance: Value) -> Value:
        b = self._b
        deviation = _deviation(b, variance, layer.epsilon)
        scale = b.div(b.constant_like(1.0, deviation) if layer.gamma is None else self._weights[layer.gamma.path], deviation)
        value = b.mul(b.sub(value, b.broadcast_like(mean, value)), b.broadcast_like(scale, value))
        return _scaled(b, value, None, layer.beta, self._weights)

    def _moments(self, flow: Computed) -> tuple[Value, Value]:
        """The mean and the variance of each feature; 0 where nothing is real."""
        b, value = self._b, flow.value
        count = self._count(flow)
        mean = self._over(value, count)
        centred = b.sub(value, b.broadcast_like(mean, value))
        return mean, self._over(b.mul(centred, centred), count)

    def _over(self, value: Value, count: Value) -> Value:
        total = self._b.reduce_sum(value, 0)
        return self._b.div(total, self._b.broadcast_like(count, total))

    def _count(self, flow: Computed) -> Value:
        """What sums over all rows, or all real steps, are divided by, [1]."""
        b = self._b
        type_ = b.tensor(flow.value)
        count = b.reduce_sum(b.constant(1.0, type_.with_shape((type_.shape[0], 1))), 0)
        if isinstance(flow, PackedSequence) and not flow.steps.is_whole:
            count = b.add(count, self._small(flow, count))
        return b.max(count, b.constant_like(SMALL, count))

    def _small(self, flow: PackedSequence, count: Value) -> Value:
        """`SMALL` where there is a mask: the spec's own, or a caller's that masks a step of the batch."""
        b = self._b
        if flow.steps.is_masked:
            return b.constant_like(SMALL, count)
        index = self._tools.index(flow.steps)
        zeros = self._tools.constant(0.0, (index_type(index.type).tokens, 1))
        masked = b.unpack(zeros, self._tools.constant(1.0, (1, 1)), index, hold=False, flip=False)
        found = b.reshape(b.fill_sum(masked, index, hold=False, flip=False), (1,))
        return b.mul(b.min(found, b.constant_like(1.0, found)), b.constant_like(SMALL, found))

    def _update(self, weight: LayerWeight, moment: Value, momentum: float) -> None:
        b = self._b
        before = self.updates.get(weight.path, self._weights[weight.path])
        kept = b.mul(before, b.constant_like(momentum, before))
        self.updates[weight.path] = b.add(kept, b.mul(moment, b.constant_like(1.0 - momentum, moment)))


def _mean(b: Builder, value: Value, width: int) -> Value:
    total = b.reduce_sum(value, 1)
    return b.mul(total, b.constant_like(1.0 / width, total))


def _deviation(b: Builder, variance: Value, epsilon: float) -> Value:
    return b.sqrt(b.add(variance, b.constant_like(epsilon, variance)))


def _scaled(b: Builder, value: Value, gamma: LayerWeight | None, beta: LayerWeight | None, weights: Mapping[str, Value]) -> Value:
    """What both normalizations end with."""
    if gamma is not None:
        value = b.mul(value, b.broadcast_like(weights[gamma.path], value))
    if beta is not None:
        value = b.add(value, b.broadcast_like(weights[beta.path], value))
    return value
