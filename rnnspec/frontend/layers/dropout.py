"""Layers that draw random numbers in training, and are the identity outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, over_steps
from rnnspec.frontend.syntax import ast
from rnnspec.ir.types import BATCH


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Srivastava et al. 2014: each number is 0 with probability `rate`, the others scaled so that the mean stays."""

    rate: float


def _check_dropout(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    return BuiltLayer(Dropout(name, bindings.real("rate")), (operand,), (operand.type.by(name),))


def _lower_dropout(tools: Tools, layer: Dropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.dropped(layer.rate, value)),)


DROPOUT = LayerRules(
    layer=Dropout,
    names=("Dropout",),
    check=OfOne(_check_dropout),
    lower=_lower_dropout,
    mask=rules.passes,
    masked_steps=rules.unchanged,
    packs=rules.own_steps,
    draws=lambda layer: layer.rate > 0,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    ending=rules.ends_in_operand,
    show=lambda layer: shown(layer, "Dropout", option("rate", layer.rate)),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class SpatialDropout(Layer):
    """Drops whole features of a sequence: one draw for all steps of a row."""

    rate: float


def _check_spatial(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    value = checks.sequence(call, operand)
    return BuiltLayer(SpatialDropout(name, bindings.real("rate")), (operand,), (value.by(name),))


def _lower_spatial(tools: Tools, layer: SpatialDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flow = tools.packed(operands[0])
    if not tools.draws.drops(layer.rate):
        return (flow,)
    row = tools.draws.dropped(layer.rate, tools.constant(1.0, (BATCH, tools.width(flow.value))))
    value = tools.builder.mul(flow.value, over_steps(tools.builder, row, tools.index(flow.steps)))
    return (tools.with_tokens(flow, value),)


SPATIAL_DROPOUT = LayerRules(
    layer=SpatialDropout,
    names=("SpatialDropout1D",),
    check=OfOne(_check_spatial),
    lower=_lower_spatial,
    mask=rules.passes,
    masked_steps=rules.unchanged,
    packs=rules.own_steps,
    draws=lambda layer: layer.rate > 0,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "SpatialDropout1D", option("rate", layer.rate)),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class GaussianNoise(Layer):
    """Adds normal numbers in training."""

    stddev: float


def _check_noise(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    return BuiltLayer(GaussianNoise(name, bindings.real("stddev")), (operand,), (operand.type.by(name),))


def _lower_noise(tools: Tools, layer: GaussianNoise, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.noisy(layer.stddev, value)),)


GAUSSIAN_NOISE = LayerRules(
    layer=GaussianNoise,
    names=("GaussianNoise",),
    check=OfOne(_check_noise),
    lower=_lower_noise,
    mask=rules.passes,
    masked_steps=rules.unchanged,
    packs=rules.own_steps,
    draws=lambda layer: layer.stddev > 0,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "GaussianNoise", option("stddev", layer.stddev)),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class GaussianDropout(Layer):
    """Srivastava et al. 2014, section 10: multiplies by normal numbers of mean 1 that vary as much as Dropout with this rate."""

    rate: float


def _check_gaussian(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    return BuiltLayer(GaussianDropout(name, bindings.real("rate")), (operand,), (operand.type.by(name),))


def _lower_gaussian(tools: Tools, layer: GaussianDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.multiplied(layer.rate, value)),)


GAUSSIAN_DROPOUT = LayerRules(
    layer=GaussianDropout,
    names=("GaussianDropout",),
    check=OfOne(_check_gaussian),
    lower=_lower_gaussian,
    mask=rules.passes,
    masked_steps=rules.unchanged,
    packs=rules.own_steps,
    draws=lambda layer: layer.rate > 0,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    ending=rules.ends_in_operand,
    show=lambda layer: shown(layer, "GaussianDropout", option("rate", layer.rate)),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class AlphaDropout(Layer):
    """Klambauer et al. 2017: numbers are SELU's least value with probability `rate`, mean 0 and variance 1 staying as they are."""

    rate: float


def _check_alpha(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    return BuiltLayer(AlphaDropout(name, bindings.real("rate")), (operand,), (operand.type.by(name),))


def _lower_alpha(tools: Tools, layer: AlphaDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.saturated(layer.rate, value)),)


ALPHA_DROPOUT = LayerRules(
    layer=AlphaDropout,
    names=("AlphaDropout",),
    check=OfOne(_check_alpha),
    lower=_lower_alpha,
    mask=rules.passes,
    masked_steps=rules.unchanged,
    packs=rules.own_steps,
    draws=lambda layer: layer.rate > 0,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    ending=rules.ends_in_operand,
    show=lambda layer: shown(layer, "AlphaDropout", option("rate", layer.rate)),
    results=rules.one_result,
)
