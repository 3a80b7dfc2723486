"""Layers that draw random numbers in training, and are the identity outside of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import Ending, LayerRules, OfOne
from rnnspec.frontend.layers.show import option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, over_steps
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.types import BATCH


@frozen
class Drawing(Layer):
    """A layer with a rate of dropping, or an amount of noise; at 0 it draws no numbers."""

    amount: float


D = TypeVar("D", bound=Drawing)


class Dropout(Drawing):
    """Srivastava et al. 2014: each number is 0 with probability `rate`, the others scaled so that the mean stays."""

    __slots__ = ()


class GaussianDropout(Drawing):
    """Srivastava et al. 2014, section 10: multiplies by normal numbers of mean 1 that vary as much as Dropout with this rate."""

    __slots__ = ()


class AlphaDropout(Drawing):
    """Klambauer et al. 2017: numbers are SELU's least value with probability `rate`, mean 0 and variance 1 staying as they are."""

    __slots__ = ()


class SpatialDropout(Drawing):
    """Drops whole features of a sequence: one draw for all steps of a row."""

    __slots__ = ()


class GaussianNoise(Drawing):
    """Adds normal numbers."""

    __slots__ = ()


def _lower_dropout(tools: Tools, layer: Dropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.dropped(layer.amount, value)),)


def _lower_gaussian(tools: Tools, layer: GaussianDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.multiplied(layer.amount, value)),)


def _lower_alpha(tools: Tools, layer: AlphaDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.saturated(layer.amount, value)),)


def _lower_noise(tools: Tools, layer: GaussianNoise, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (tools.at_real_steps(operands[0], lambda value: tools.draws.noisy(layer.amount, value)),)


def _lower_spatial(tools: Tools, layer: SpatialDropout, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flow = tools.packed(operands[0])
    if not tools.draws.drops(layer.amount):
        return (flow,)
    row = tools.draws.dropped(layer.amount, tools.constant(1.0, (BATCH, tools.width(flow.value))))
    value = tools.builder.mul(flow.value, over_steps(tools.builder, row, tools.index(flow.steps)))
    return (tools.with_tokens(flow, value),)


def _rules(
    layer: type[D],
    lower: Callable[[Tools, D, Sequence[Flow]], tuple[Flow, ...]],
    name: str,
    argument: str,
    *,
    takes_rows: bool,
    ending: Ending,
) -> LayerRules[D]:
    """The rules that these layers share. `name`, `argument`: in the spec."""

    def check(checks: ShapeRules, own: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        checks.numbers(call, operand)
        if not takes_rows:
            checks.sequence(call, operand)
        return BuiltLayer(layer(own, bindings.real(argument)), (operand,), (operand.type.by(own),))

    return LayerRules(
        layer=layer,
        names=(name,),
        check=OfOne(check),
        lower=lower,
        mask=rules.passes,
        masked_steps=rules.unchanged,
        packs=rules.own_steps,
        draws=lambda layer: layer.amount > 0,
        stream_refusal=rules.streams,
        states=rules.carries_nothing,
        activities=rules.observes_nothing,
        pointwise=takes_rows,
        table=rules.no_table,
        adapts=rules.adapts_nothing,
        ending=lambda _: ending,
        show=lambda layer: shown(layer, name, option(argument, layer.amount)),
        results=rules.one_result,
    )


DROPOUT = _rules(Dropout, _lower_dropout, "Dropout", "rate", takes_rows=True, ending=Ending.OPERAND)
GAUSSIAN_DROPOUT = _rules(GaussianDropout, _lower_gaussian, "GaussianDropout", "rate", takes_rows=True, ending=Ending.OPERAND)
ALPHA_DROPOUT = _rules(AlphaDropout, _lower_alpha, "AlphaDropout", "rate", takes_rows=True, ending=Ending.OPERAND)
SPATIAL_DROPOUT = _rules(SpatialDropout, _lower_spatial, "SpatialDropout1D", "rate", takes_rows=False, ending=Ending.UNKNOWN)
GAUSSIAN_NOISE = _rules(GaussianNoise, _lower_noise, "GaussianNoise", "stddev", takes_rows=True, ending=Ending.UNKNOWN)
