"""Activations as layers: those by name, PReLU with slopes of its own, the softmax over a sequence's steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.printed_values import configured
from rnnspec.frontend.binding.values import CheckError, describe
from rnnspec.frontend.cells.row_functions import library_activation
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskedSteps, OfOne
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, PackedSequence, RowValue, over_steps
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH

FIXED: Mapping[str, str | None] = MappingProxyType({"Activation": None, "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu"})
"""The activation that a layer is, by its type in the spec; None where an argument says which."""


@frozen
class Activation(Layer):
    """An activation as a layer; `kind` is the layer's type in the spec."""

    kind: str
    activation: Config


def _check_activation(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    kind = call.callee.text
    if kind == "Softmax":
        over_time = checks.of_steps(call, bindings, operand)
        layer = StepSoftmax(name) if over_time else Activation(name, kind, Config("softmax"))
        return BuiltLayer(layer, (operand,), (operand.type.by(name),))
    fixed = FIXED[kind]
    if fixed is None:
        activation = checks.activation(bindings, width)
    else:
        activation = Config(fixed, tuple((key, value) for key, value in bindings.plain() if key not in ("name", "trainable")))
    return BuiltLayer(Activation(name, kind, activation), (operand,), (operand.type.by(name),))


def _lower_activation(tools: Tools, layer: Activation, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    named = FIXED.get(layer.kind, layer.kind) is None

    def activated(value: Value) -> Value:
        if named:
            return tools.activated(layer.activation, value)
        step = library_activation(layer.activation, tools.features(value))
        return tools.run(step, {"x": value}, tools.builder.tensor(value).shape[0])

    return (tools.at_every_step(operands[0], activated),)


ACTIVATION = LayerRules(
    layer=Activation,
    names=(*FIXED, "Softmax"),
    check=OfOne(_check_activation),
    lower=_lower_activation,
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
    ending=lambda layer: layer.activation,
    show=lambda layer: shown(layer, layer.kind, configured(layer.activation)),
    results=rules.one_result,
)


@frozen
class PReLU(Layer):
    """He et al. 2015: below 0 a slope of its own for each feature; `over_steps`: for each step of a sequence, too."""

    alpha: LayerWeight
    over_steps: bool = False


def _check_prelu(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    result = (operand.type.by(name),)
    shared = _shared_axes(bindings, sequence=operand.type.sequence)
    if not operand.type.sequence:
        return BuiltLayer(PReLU(name, checks.weight(name, "alpha", (width,), bindings, call)), (operand,), result)
    columns = 1 if 2 in shared else width
    if 1 in shared:
        return BuiltLayer(PReLU(name, checks.weight(name, "alpha", (1, columns), bindings, call)), (operand,), result)
    length = operand.type.shape[0]
    if not isinstance(length, int):
        help_ = "or write `shared_axes = [1]`: the same slopes at all steps"
        label = checks.origins.label(operand)
        raise CheckError(errors.shapes.LengthNotFixed(span=call.callee.span, layer="PReLU", extent=length, secondary=label, help=help_))
    alpha = replace(checks.weight(name, "alpha", (length, columns), bindings, call), flat=True)
    return BuiltLayer(PReLU(name, alpha, over_steps=True), (operand,), result)


def _shared_axes(bindings: Bindings, *, sequence: bool) -> tuple[int, ...]:
    """The axes that slopes are shared over, 1 being the steps and 2 the features."""
    given = bindings.given("shared_axes")
    if given.value is None:
        return ()
    items = [item.value for item in given.value] if isinstance(given.value, tuple) else [given.value]
    axes = tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool) and item in (1, 2))
    if sequence and len(axes) == len(items):
        return axes
    expected = "`[1]` for the steps, `[2]` for the features, or both" if sequence else "none: a row has no axis to share slopes over"
    raise CheckError(
        errors.names.WrongValue(span=given.span, owner="`shared_axes` of PReLU", expected=expected, found=describe(given.value))
    )


def _lower_prelu(tools: Tools, layer: PReLU, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flow, builder = tools.computed(operands[0]), tools.builder
    if layer.over_steps and not isinstance(flow, RowValue):
        return (_sloped_steps(tools, layer, flow),)

    def sloped(value: Value) -> Value:
        alpha = builder.reshape(tools.weights[layer.alpha.path], (layer.alpha.shape[-1],))
        return _sloped(tools, value, builder.broadcast_like(alpha, value))

    return (tools.at_every_step(flow, sloped),)


def _sloped(tools: Tools, value: Value, slope: Value) -> Value:
    """The value where it is above 0, and below it in proportion to the slope."""
    builder = tools.builder
    zeros = builder.constant_like(0.0, value)
    return builder.add(builder.max(value, zeros), builder.mul(slope, builder.min(value, zeros)))


def _sloped_steps(tools: Tools, layer: PReLU, flow: PackedSequence) -> PackedSequence:
    """PReLU with slopes for each step: masked steps have theirs, too, so that no one row says what they hold."""
    builder, every_step = tools.builder, tools.every_step(flow)
    slopes = tools.weights[layer.alpha.path]
    rows = builder.broadcast_to(slopes, (BATCH, *builder.tensor(slopes).shape))
    shown_slopes = builder.pack(builder.rearrange(rows, (BATCH, *layer.alpha.shape)), tools.index(every_step))

    def at(value: Value, slope: Value) -> Value:
        return _sloped(tools, value, builder.broadcast_like(slope, value))

    value = at(flow.value, tools.real_of(shown_slopes, flow))
    every = None if flow.steps == every_step else at(tools.on_steps(flow, every_step), shown_slopes)
    return PackedSequence(value, tools.constant(0.0, (1, tools.width(value))), flow.steps, flip=flow.flip, every=every)


PRELU = LayerRules(
    layer=PReLU,
    names=("PReLU",),
    check=OfOne(_check_prelu),
    lower=_lower_prelu,
    mask=rules.passes,
    masked_steps=lambda layer, _: MaskedSteps.COMPUTED_APART if layer.over_steps else MaskedSteps.COMPUTED,
    packs=lambda layer, application: (
        rules.own_and_every_step(layer, application) if layer.over_steps else rules.own_steps(layer, application)
    ),
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "PReLU"),
    results=rules.one_result,
)


@frozen
class StepSoftmax(Layer):
    """Softmax over a sequence's real steps, feature by feature; masked steps are 0."""


def _lower_softmax(tools: Tools, _: StepSoftmax, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Over the real steps of each row: the largest of them first, which has no derivative, then the sum."""
    flow, builder = tools.packed(operands[0]), tools.builder
    index = tools.index(flow.steps)
    largest = builder.stop_gradient(_over_all(tools, Builder.max, -math.inf, flow.value, index))
    powers = builder.exp(builder.sub(flow.value, over_steps(builder, largest, index)))
    total = _over_all(tools, Builder.add, 0.0, powers, index)
    value = builder.div(powers, over_steps(builder, total, index))
    return (replace(tools.sequence(value, flow.steps), flip=flow.flip),)


def _over_all(tools: Tools, combine: Callable[[Builder, Value, Value], Value], start: float, tokens: Value, index: Value) -> Value:
    """Each row's steps taken together, [batch, w]; the start for a row without any."""
    builder = tools.builder
    init = builder.sort_rows(tools.constant(start, (BATCH, tools.width(tokens))), index)
    scan = builder.scan(index, [init], [tokens], carried_names=["taken"], slice_names=["x"])
    result = scan.finish([combine(scan, scan.carried[0], scan.slices[0])])
    return builder.restore_rows(result.finals[0], index)


STEP_SOFTMAX = LayerRules(
    layer=StepSoftmax,
    names=(),
    check=OfOne(_check_activation),
    lower=_lower_softmax,
    mask=rules.passes,
    masked_steps=rules.zero,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.needs_whole,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Softmax", "axis = 1"),
    results=rules.one_result,
)
