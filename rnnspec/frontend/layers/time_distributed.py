"""TimeDistributed: a layer for rows at every step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from rnnspec.frontend import errors
from rnnspec.frontend.binding.call_data import call_of
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, Symbol, describe
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, one
from rnnspec.frontend.layers.rules import CheckContext, LayerRules, OfCall
from rnnspec.frontend.layers.show import weight_lines
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen


@frozen
class TimeDistributed(Layer):
    """`inner`: the rules of the layer, which is a pointwise one."""

    layer: Layer
    inner: LayerRules[Any] = field(repr=False, compare=False)


def _check(context: CheckContext, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
    bindings = context.bindings(call)
    name = context.name(call, bindings, given_name)
    if operands is None:
        raise AlreadyReported
    operand = one(call, operands)
    value, given = context.shapes.sequence(call, operand), bindings.given("layer")
    if isinstance(given.value, Symbol) and given.value.name in {*LAYERS, *context.cells}:
        raise CheckError(errors.layers.LayerNotCalled(span=given.span, name=given.value.name))
    if not isinstance(given.value, CallValue):
        raise CheckError(errors.layers.NotDistributed(span=given.span, found=describe(given.value)))
    inner = given.value.call
    inner_rules = context.rules(inner.callee.text)
    if inner_rules is not None and not inner_rules.pointwise:
        raise CheckError(errors.layers.NotDistributed(span=inner.callee.span, found=inner.callee.text))
    row = GraphValue(operand.number, GraphTensor(value.shape[1:], computed=value.computed, source=value.source))
    made = context.inner(inner, given.value.scope, context.names.inside(name), row)
    if inner_rules is None or not isinstance(made.layer, inner_rules.layer):
        raise CheckError(errors.layers.NotDistributed(span=inner.callee.span, found=inner.callee.text))
    if inner_rules.activities(made.layer):
        what, help_ = "an `activity_regularizer` inside of TimeDistributed", f"{inner.callee.text} works on a sequence by itself"
        raise CheckError(errors.syntax.NotYet(span=inner.callee.span, what=what, help=help_))
    output = value.with_features(made.results[0].features).by(name)
    return BuiltLayer(
        TimeDistributed(name, made.layer, inner_rules), (operand,), (output,), call_of("TimeDistributed", bindings.values, layer=made.call)
    )


def _lower(tools: Tools, layer: TimeDistributed, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return layer.inner.lower(tools, layer.layer, operands)


def _show(layer: TimeDistributed) -> rules.Shown:
    inner = layer.inner.show(layer.layer)
    return rules.Shown(f"TimeDistributed({inner.kind})", f"TimeDistributed({inner.head})", tuple(weight_lines(layer.weights)))


TIME_DISTRIBUTED = LayerRules(
    layer=TimeDistributed,
    names=("TimeDistributed",),
    check=OfCall(_check),
    lower=_lower,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=lambda layer: layer.inner.draws(layer.layer),
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show,
    results=rules.one_result,
)
