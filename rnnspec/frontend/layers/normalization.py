"""Normalizations: LayerNormalization and UnitNormalization over each step's features, BatchNormalization over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import flag, option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value

SMALL = 1e-7
"""Keras's addition to the number of real steps of a masked batch."""


SHORTEST = 1e-12
"""Keras's least length that UnitNormalization divides by."""


@frozen
class LayerNormalization(Layer):
    """Ba et al. 2016: over the features. `rms_scaling`: by the deviation alone, the mean left in."""

    epsilon: float
    gamma: LayerWeight | None
    beta: LayerWeight | None
    rms_scaling: bool = False


def _check_layer(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    """With `rms_scaling` there is gamma and no beta, whatever `scale` and `center` say, as in Keras."""
    width = checks.numbers(call, operand)
    checks.last_axis(call, bindings, operand)
    rms_scaling, gamma, beta = bindings.flag("rms_scaling"), None, None
    if bindings.flag("scale") or rms_scaling:
        gamma = checks.weight(name, "gamma", (width,), bindings, call)
    if bindings.flag("center") and not rms_scaling:
        beta = checks.weight(name, "beta", (width,), bindings, call)
    layer = LayerNormalization(name, bindings.real("epsilon"), gamma, beta, rms_scaling)
    return BuiltLayer(layer, (operand,), (operand.type.by(name),))


def _lower_layer(tools: Tools, layer: LayerNormalization, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_every_step(operands[0], lambda value: _layer_normalized(tools, layer, value)),)


def _layer_normalized(tools: Tools, layer: LayerNormalization, value: Value) -> Value:
    """Every row by its own mean and variance; with `rms_scaling` the mean is left in."""
    b = tools.builder
    width = b.tensor(value).shape[-1]
    if not isinstance(width, int):
        raise InternalError(f"%{value.name} has no fixed width")
    centred = b.sub(value, b.broadcast_like(_mean(b, value, width), value))
    variance = _mean(b, b.mul(centred, centred), width)
    kept = value if layer.rms_scaling else centred
    return _scaled(tools, b.div(kept, b.broadcast_like(_deviation(b, variance, layer.epsilon), value)), layer.gamma, layer.beta)


LAYER_NORMALIZATION = LayerRules(
    layer=LayerNormalization,
    names=("LayerNormalization",),
    check=OfOne(_check_layer),
    lower=_lower_layer,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "LayerNormalization", option("epsilon", layer.epsilon), flag("rms_scaling", layer.rms_scaling)),
    results=rules.one_result,
)


@frozen
class BatchNormalization(Layer):
    """Ioffe & Szegedy 2015: each feature by its moments over the batch in training, which move the statistics used otherwise."""

    momentum: float
    epsilon: float
    gamma: LayerWeight | None
    beta: LayerWeight | None
    moving_mean: LayerWeight
    moving_variance: LayerWeight


def _check_batch(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    """Its weights are as wide as the layer's input."""
    width = checks.numbers(call, operand)
    checks.last_axis(call, bindings, operand)

    def trained(own: str) -> LayerWeight:
        return checks.weight(name, own, (width,), bindings, call)

    def statistic(own: str) -> LayerWeight:
        made = checks.plain_weight(name, own, (width,), bindings.configured(f"{own}_initializer"), call)
        return replace(made, trainable=False, updated=True)

    layer = BatchNormalization(
        name,
        bindings.real("momentum"),
        bindings.real("epsilon"),
        trained("gamma") if bindings.flag("scale") else None,
        trained("beta") if bindings.flag("center") else None,
        statistic("moving_mean"),
        statistic("moving_variance"),
    )
    return BuiltLayer(layer, (operand,), (operand.type.by(name),))


def _lower_batch(tools: Tools, layer: BatchNormalization, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Masked steps aren't part of the moments; what they hold goes through the layer like the rest, as in Keras."""
    flow = tools.computed(operands[0])
    mean, variance = tools.weights[layer.moving_mean.path], tools.weights[layer.moving_variance.path]
    if tools.training and layer.moving_mean.path not in tools.frozen:  # as Keras: a frozen one is as in inference
        mean, variance = _moments(tools, flow)
        _update(tools, layer.moving_mean, mean, layer.momentum)
        _update(tools, layer.moving_variance, variance, layer.momentum)
    return (tools.at_every_step(flow, lambda value: _by(tools, layer, value, mean, variance)),)


def _by(tools: Tools, layer: BatchNormalization, value: Value, mean: Value, variance: Value) -> Value:
    b = tools.builder
    deviation = _deviation(b, variance, layer.epsilon)
    scale = b.div(b.constant_like(1.0, deviation) if layer.gamma is None else tools.weights[layer.gamma.path], deviation)
    value = b.mul(b.sub(value, b.broadcast_like(mean, value)), b.broadcast_like(scale, value))
    return _scaled(tools, value, None, layer.beta)


def _moments(tools: Tools, flow: Computed) -> tuple[Value, Value]:
    """The mean and the variance of each feature; 0 where nothing is real."""
    b, value = tools.builder, flow.value
    count = _count(tools, flow)
    mean = _over(b, value, count)
    centred = b.sub(value, b.broadcast_like(mean, value))
    return mean, _over(b, b.mul(centred, centred), count)


def _over(b: Builder, value: Value, count: Value) -> Value:
    total = b.reduce_sum(value, 0)
    return b.div(total, b.broadcast_like(count, total))


def _count(tools: Tools, flow: Computed) -> Value:
    """The divisor of sums over all rows, or all real steps, [1]."""
    b = tools.builder
    type_ = b.tensor(flow.value)
    count = b.reduce_sum(b.constant(1.0, type_.with_shape((type_.shape[0], 1))), 0)
    if isinstance(flow, PackedSequence) and not flow.steps.is_whole:
        count = b.add(count, _small(tools, flow, count))
    return b.max(count, b.constant_like(SMALL, count))


def _small(tools: Tools, flow: PackedSequence, count: Value) -> Value:
    """`SMALL` where there is a mask: the spec's own, or a caller's that masks a step of the batch."""
    b = tools.builder
    if flow.steps.is_masked:
        return b.constant_like(SMALL, count)
    index = tools.index(flow.steps)
    zeros = tools.constant(0.0, (index_type(index.type).tokens, 1))
    masked = b.unpack(zeros, tools.constant(1.0, (1, 1)), index, hold=False, flip=False)
    found = b.reshape(b.fill_sum(masked, index, hold=False, flip=False), (1,))
    return b.mul(b.min(found, b.constant_like(1.0, found)), b.constant_like(SMALL, found))


def _update(tools: Tools, weight: LayerWeight, moment: Value, momentum: float) -> None:
    """Moves a statistic towards a batch's; a layer used twice goes on from its first use."""
    b = tools.builder
    before = tools.updates.get(weight.path, tools.weights[weight.path])
    kept = b.mul(before, b.constant_like(momentum, before))
    tools.updates[weight.path] = b.add(kept, b.mul(moment, b.constant_like(1.0 - momentum, moment)))


def _mean(b: Builder, value: Value, width: int) -> Value:
    total = b.reduce_sum(value, 1)
    return b.mul(total, b.constant_like(1.0 / width, total))


def _deviation(b: Builder, variance: Value, epsilon: float) -> Value:
    return b.sqrt(b.add(variance, b.constant_like(epsilon, variance)))


def _scaled(tools: Tools, value: Value, gamma: LayerWeight | None, beta: LayerWeight | None) -> Value:
    """The end of both normalizations."""
    b = tools.builder
    if gamma is not None:
        value = b.mul(value, b.broadcast_like(tools.weights[gamma.path], value))
    if beta is not None:
        value = b.add(value, b.broadcast_like(tools.weights[beta.path], value))
    return value


BATCH_NORMALIZATION = LayerRules(
    layer=BatchNormalization,
    names=("BatchNormalization",),
    check=OfOne(_check_batch),
    lower=_lower_batch,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "BatchNormalization", option("momentum", layer.momentum), option("epsilon", layer.epsilon)),
    results=rules.one_result,
)


@frozen
class UnitNormalization(Layer):
    """Divides the features of each row or step by their length, the root of the sum of their squares."""


def _check_unit(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    checks.last_axis(call, bindings, operand)
    return BuiltLayer(UnitNormalization(name), (operand,), (operand.type.by(name),))


def _lower_unit(tools: Tools, _: UnitNormalization, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    b = tools.builder

    def of_length_one(value: Value) -> Value:
        squares = b.reduce_sum(b.mul(value, value), 1)
        length = b.sqrt(b.max(squares, b.constant_like(SHORTEST * SHORTEST, squares)))
        return b.div(value, b.broadcast_like(length, value))

    return (tools.at_every_step(operands[0], of_length_one),)


UNIT_NORMALIZATION = LayerRules(
    layer=UnitNormalization,
    names=("UnitNormalization",),
    check=OfOne(_check_unit),
    lower=_lower_unit,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "UnitNormalization"),
    results=rules.one_result,
)
