"""Merges: several values side by side, one after the other, or element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

from rnnspec.contract.dimensions import plus
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskedSteps, MaskFate, MaskRule, OfSeveral
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value


class MergeKind(Enum):
    """The value is the layer's type in the spec."""

    CONCATENATE = "Concatenate"
    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    AVERAGE = "Average"
    MAXIMUM = "Maximum"
    MINIMUM = "Minimum"


_ELEMENTWISE: Mapping[MergeKind, Callable[[Builder, Value, Value], Value]] = MappingProxyType(
    {
        MergeKind.ADD: Builder.add,
        MergeKind.SUBTRACT: Builder.sub,
        MergeKind.MULTIPLY: Builder.mul,
        MergeKind.AVERAGE: Builder.add,
        MergeKind.MAXIMUM: Builder.max,
        MergeKind.MINIMUM: Builder.min,
    }
)

_NEUTRAL: Mapping[MergeKind, float] = MappingProxyType({MergeKind.MULTIPLY: 1.0, MergeKind.MAXIMUM: -math.inf, MergeKind.MINIMUM: math.inf})
"""The value of a masked step beside one that is real."""


@frozen
class Merge(Layer):
    """Several values to one: side by side, with `over_steps` one after the other, or element by element."""

    kind: MergeKind
    over_steps: bool = False


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
    """Sequences keep the steps that are real in one of them; a row beside them is at each of their steps."""
    kind = MergeKind(call.callee.text)
    for operand in operands:
        checks.numbers(call, operand)
    axes = [kind is MergeKind.CONCATENATE and checks.of_steps(call, bindings, operand) for operand in operands]
    over_steps = any(axes)
    values = [operand.type for operand in operands]
    shown_types = ", ".join(map(str, values))
    least, most = (2, 2) if kind is MergeKind.SUBTRACT else (2, len(values))

    def misfit(problem: str, help_: str = "") -> CheckError:
        return CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer=kind.value, problem=problem, help=help_))

    if not least <= len(values) <= most:
        expected = "two values" if kind is MergeKind.SUBTRACT else "two values or more"
        raise misfit(f"expects {expected}, got {len(values)}", f"write `[a, b] -> {kind.value}()`")
    sequences = [value for value in values if value.sequence] or values
    if over_steps and len(sequences) < len(values):
        raise misfit(f"a sequence and a row: {shown_types}")
    if not over_steps and len({value.shape[:-1] for value in sequences}) > 1:
        raise misfit(f"sequences of different lengths: {shown_types}", "the same name of a dimension is the same length")
    if len({value.flipped for value in sequences}) > 1:
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what="merging a sequence in reversed order with one in its own order"))
    if sequences[0].flipped and not over_steps and len({value.steps for value in sequences}) > 1:
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what="merging sequences in reversed order that mask different steps"))
    widths = {value.features for value in values}
    if (over_steps or kind is not MergeKind.CONCATENATE) and len(widths) > 1:
        raise misfit(f"different numbers of features: {shown_types}")
    if over_steps:
        return BuiltLayer(Merge(name, kind, over_steps=True), operands, (_joined_type(values).by(name),))
    features = sum(value.features for value in values) if kind is MergeKind.CONCATENATE else values[0].features
    output = sequences[0].with_features(features).by(name)
    for value in sequences[1:]:
        if output.steps is not None and value.steps is not None:
            output = replace(output, steps=output.steps.either(value.steps))
    return BuiltLayer(Merge(name, kind), operands, (output,))


def _joined_type(values: Sequence[GraphTensor]) -> GraphTensor:
    """Sequences in one order, one after the other; what is shown first of reversed ones is their end."""
    steps = [value.steps for value in values if value.steps is not None]
    length = plus(*(value.shape[0] for value in values))
    return replace(values[0], shape=(length, values[0].features), steps=StepMask.joined(steps[::-1] if values[0].flipped else steps))


def _lower(tools: Tools, layer: Merge, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    if layer.over_steps:
        return (join(tools, [tools.packed(operand) for operand in operands]),)
    return (_merged(tools, layer.kind, [tools.computed(operand) for operand in operands]),)


def _merged(tools: Tools, kind: MergeKind, flows: Sequence[Computed]) -> Computed:
    """Sequences are packed anew where they mask different steps; rows are put at their real steps."""
    sequences = [flow for flow in flows if isinstance(flow, PackedSequence)]
    if not sequences:
        return RowValue(_combined(tools, kind, [flow.value for flow in flows]))
    steps = sequences[0].steps
    for flow in sequences[1:]:
        steps = steps.either(flow.steps)
    hold, flip = all(flow.hold for flow in sequences), sequences[0].flip
    packed = [
        flow if isinstance(flow, PackedSequence) else replace(tools.at_each(steps, flow.value), hold=hold, flip=flip) for flow in flows
    ]
    first, zero = packed[0], tools.constant(0.0, (1, tools.width(packed[0].value)))
    if any(flow.steps != steps for flow in packed):
        value = _combined(tools, kind, [_repacked(tools, kind, flow, steps) for flow in packed])
        if kind in _NEUTRAL:
            return PackedSequence(value, zero, steps, flip=first.flip)
    else:
        value = _combined(tools, kind, [flow.value for flow in packed])
        if kind is MergeKind.MULTIPLY:
            return PackedSequence(value, zero, steps, flip=first.flip)
    fill = _combined(tools, kind, [flow.fill for flow in packed])
    every = None
    if any(flow.every is not None for flow in packed):
        every = _combined(tools, kind, [tools.on_steps(flow, tools.every_step(flow)) for flow in packed])
    return PackedSequence(value, fill, steps, hold=all(flow.hold for flow in packed), flip=first.flip, every=every)


def _repacked(tools: Tools, kind: MergeKind, flow: PackedSequence, steps: StepMask) -> Value:
    """The tokens of a wider mask; a masked step has the merge's neutral value, if there is one, else the content of the masked step."""
    if flow.steps == steps:
        return flow.value
    neutral = _NEUTRAL.get(kind)
    if neutral is None:
        return tools.on_steps(flow, steps)
    fill = tools.constant(neutral, (1, tools.width(flow.value)))
    padded = tools.builder.unpack(flow.value, fill, tools.index(flow.steps), hold=False, flip=False)
    return tools.builder.pack(padded, tools.index(steps))


def _combined(tools: Tools, kind: MergeKind, values: Sequence[Value]) -> Value:
    b = tools.builder
    if kind is MergeKind.CONCATENATE:
        return b.concat(values, 1)
    total = values[0]
    for value in values[1:]:
        total = _ELEMENTWISE[kind](b, total, value)
    return b.mul(total, b.constant_like(1.0 / len(values), total)) if kind is MergeKind.AVERAGE else total


def join(tools: Tools, flows: Sequence[PackedSequence]) -> PackedSequence:
    """Sequences one after the other, what masked steps hold as well; reversed ones as they are shown, so in reverse order."""
    turned = flows[0].flip
    value, steps = _joined(tools, [(flow.value, flow.steps) for flow in (flows[::-1] if turned else flows)])
    every = None
    if not steps.is_whole:
        every, _ = _joined(tools, [(tools.on_steps(flow, tools.every_step(flow)), tools.every_step(flow)) for flow in flows])
    return PackedSequence(value, tools.constant(0.0, (1, tools.width(value))), steps, flip=turned, every=every)


def _joined(tools: Tools, parts: Sequence[tuple[Value, StepMask]]) -> tuple[Value, StepMask]:
    """Tokens of sequences one after the other, one sequence at a time: each token is of one of the two."""
    builder, (tokens, steps) = tools.builder, parts[0]
    for more, more_steps in parts[1:]:
        both = StepMask.joined((steps, more_steps))
        first = builder.window(tools.index(steps), tools.index(both), stride=1, offset=0)
        last = builder.window(tools.index(more_steps), tools.index(both), stride=1, offset=0, at_end=True)
        tokens, steps = builder.add(builder.take(tokens, first), builder.take(more, last)), both
    return tokens, steps


def _masked_steps(layer: Merge, application: Application) -> MaskedSteps:
    if layer.over_steps:
        return MaskedSteps.UNCHANGED_APART
    if layer.kind is MergeKind.MULTIPLY:
        return MaskedSteps.ZERO
    return MaskedSteps.COMPUTED_APART if layer.kind in _NEUTRAL and _masks_differ(application) else MaskedSteps.COMPUTED


def _masks_differ(application: Application) -> bool:
    """Whether a merge takes sequences that mask different steps."""
    return len({operand.type.steps for operand in application.operands if operand.type.sequence}) > 1


def _packs(layer: Merge, application: Application) -> Iterator[StepMask]:
    """The step masks that a merge packs by; a join along time also packs by every step of each sequence, and by the joins on the way."""
    yield from rules.own_steps(layer, application)
    if layer.over_steps:
        types = [operand.type for operand in application.operands]
        every = list(rules.every_step_of(application))
        yield from every
        own = [type_.steps for type_ in types if type_.steps is not None]
        for parts in (own[::-1] if types[0].flipped else own, every):
            yield from (StepMask.joined(parts[:count]) for count in range(2, len(parts) + 1))


def _stream_refusal(layer: Merge, application: Application, operands: Sequence[rules.StreamOperand]) -> str:
    if layer.over_steps:
        return f"{layer.name} puts sequences one after the other"
    if len({operand.type.sequence for operand in application.operands}) > 1:
        return f"{layer.name} puts a row at each step of a sequence"
    shows_held = layer.kind not in _NEUTRAL and any(operand.held for operand in operands) and _masks_differ(application)
    if shows_held and any(operand.type.masked for operand in application.operands):
        return f"{layer.name} merges sequences that mask different steps"
    return ""


MERGE = LayerRules(
    layer=Merge,
    names=tuple(kind.value for kind in MergeKind),
    check=OfSeveral(_check),
    lower=_lower,
    mask=lambda _: MaskRule(MaskFate.PASSED, MaskAdvice.SAME_MASK),
    masked_steps=_masked_steps,
    packs=_packs,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, layer.kind.value, "axis = 1" if layer.over_steps else ""),
    results=rules.one_result,
)
