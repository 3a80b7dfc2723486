"""Masking: steps of an input whose features all equal a value are masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.diagnostics import InternalError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskFate, MaskRule, OfOne
from rnnspec.frontend.layers.show import option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, PaddedSequence
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen


@frozen
class Masking(Layer):
    """Masks the steps whose features all equal `mask_value`."""

    mask_value: float


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    value = checks.sequence(call, operand)
    if not value.source or value.steps is None:
        raise CheckError(errors.layers.MaskTooLate(span=call.callee.span, layer=value.computed))
    mask_value = bindings.real("mask_value")
    return BuiltLayer(Masking(name, mask_value), (operand,), (replace(value, steps=value.steps.masking(mask_value)),))


def _lower(_: Tools, layer: Masking, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    source = operands[0]
    if not isinstance(source, PaddedSequence):
        raise InternalError(f"{layer.name} doesn't work on an input")
    return (PaddedSequence(source.value, source.steps.masking(layer.mask_value)),)


MASKING = LayerRules(
    layer=Masking,
    names=("Masking",),
    check=OfOne(_check),
    lower=_lower,
    mask=lambda _: MaskRule(MaskFate.CREATED, MaskAdvice.CONSUME),
    masked_steps=rules.zero,
    packs=lambda _, __: iter(()),
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Masking", option("mask_value", layer.mask_value)),
    results=rules.one_result,
)
