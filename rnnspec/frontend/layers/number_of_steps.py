"""Layers that add steps to a sequence, take some off, or repeat them: ZeroPadding1D, Cropping1D, UpSampling1D.

As in Keras they drop the mask: masked steps are taken with what they hold, and the result's steps are all real. With `carry_mask`
the first two work on each row from its first real step to its last, as if it had no others, and hand the mask on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnspec.contract.dimensions import Windows, plus
from rnnspec.contract.signature import Extent
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.cells.cell_ir import ELEMENT_LIMIT
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, OfOne
from rnnspec.frontend.layers.show import flag, option, shown
from rnnspec.frontend.layers.windows import delay_of, mask_of, masked_refusal, masked_steps_of, state_name
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value


def _both_ends(bindings: Bindings, argument: str) -> tuple[int, int]:
    """A number of steps at the beginning and one at the end, which are the same where only one is given."""
    given = bindings.integers(argument)
    return given[0], given[-1]


def _resized(length: Extent, width: int, name: str, call: ast.Call) -> GraphTensor:
    if isinstance(length, int) and length > ELEMENT_LIMIT:
        raise CheckError(errors.shapes.TooManySteps(span=call.span, layer=name, length=length))
    return GraphTensor((length, width), StepMask((), length), computed=name)


def extended_type(value: GraphTensor, start: int, end: int, name: str, call: ast.Call, *, carry_mask: bool) -> GraphTensor:
    """A sequence with so many steps more at both ends, or fewer where a number is below 0."""
    result = _resized(plus(value.shape[0], start, end), value.features, name, call)
    return replace(result, steps=_ways(value, start, end)[-1]) if carry_mask else result


def _ways(value: GraphTensor, start: int, end: int) -> list[StepMask]:
    """The masks on the way to that of a longer or shorter sequence, which is the last.

    Each is of windows of one step over the one before, for the sequence's end over that in reversed order.
    """
    steps, length = value.steps, value.shape[0]
    if steps is None or steps.is_whole:
        return [StepMask((), plus(length, start, end))]
    ways = [steps.reversed(length) if value.flipped else steps]
    for number, at_end in ((start, False), (end, True)):
        if number:
            ways += [ways[-1].reversed(length)] if at_end else []
            length = plus(length, number)
            ways.append(ways[-1].windowed(Windows(1, 1, 1, -number, same=False), length))
            ways += [ways[-1].reversed(length)] if at_end else []
    return ways


def packs_extended(application: Application, start: int, end: int, *, carry_mask: bool) -> Iterator[StepMask]:
    """Without a mask that is carried, all the steps; else each mask on the way."""
    if not carry_mask:
        yield from rules.own_and_every_step(application.layer, application)
        return
    value = application.operands[0].type
    if value.steps is not None:
        yield value.steps
    yield from _ways(value, start, end)


def extended(tools: Tools, name: str, operand: Flow, start: int, end: int, *, carry_mask: bool) -> Flow:
    """A sequence with so many steps of zeros more at both ends, or fewer of its own where a number is below 0.

    In a stream only fewer: each step waits for those that are taken off the end.
    """
    flow = tools.packed(operand)
    length = tools.every_step(flow).length
    before, after = StepMask((), length), StepMask((), plus(length, start, end))
    if carry_mask:
        before, *_, after = [flow.steps, *_ways(GraphTensor((length, 0), flow.steps, flipped=flow.flip), start, end)]
        before = before.reversed(length) if flow.flip else before
    tokens = tools.on_steps(flow, before)
    if tools.streaming:
        return tools.sequence(tools.on_steps(tools.sequence(tools.past(state_name(name), tokens, before, [-end]), before), after), after)
    places = tools.builder.window(tools.index(before), tools.index(after), stride=1, offset=-start)
    return tools.sequence(tools.builder.take(tokens, places), after)


def _padding_refusal(layer: ZeroPadding, _: Application, __: Sequence[rules.StreamOperand]) -> str:
    if not layer.start and not layer.end:
        return ""
    return f"{layer.name} adds steps at the sequence's ends, and a stream has one step at a time and no end"


def _sampling_refusal(layer: UpSampling, _: Application, __: Sequence[rules.StreamOperand]) -> str:
    return f"{layer.name} makes several steps of each, and a stream has one step at a time"


@frozen
class ZeroPadding(Layer):
    """Steps of zeros at the beginning and at the end."""

    start: int
    end: int
    carry_mask: bool


def _check_padding(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    value, carry_mask = checks.sequence(call, operand), bindings.flag("carry_mask")
    layer = ZeroPadding(name, *_both_ends(bindings, "padding"), carry_mask)
    output = extended_type(value, layer.start, layer.end, name, call, carry_mask=carry_mask)
    return BuiltLayer(layer, (operand,), (output,))


def _lower_padding(tools: Tools, layer: ZeroPadding, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (extended(tools, layer.name, operands[0], layer.start, layer.end, carry_mask=layer.carry_mask),)


ZERO_PADDING = LayerRules(
    layer=ZeroPadding,
    names=("ZeroPadding1D",),
    check=OfOne(_check_padding),
    lower=_lower_padding,
    mask=lambda layer: mask_of(layer.carry_mask, MaskAdvice.CARRY_ENDS),
    masked_steps=lambda layer, _: masked_steps_of(layer.carry_mask),
    packs=lambda layer, application: packs_extended(application, layer.start, layer.end, carry_mask=layer.carry_mask),
    draws=rules.draws_nothing,
    stream_refusal=_padding_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "ZeroPadding1D", option("padding", (layer.start, layer.end)), flag("carry_mask", layer.carry_mask)),
    results=rules.one_result,
)


@frozen
class Cropping(Layer):
    """Takes steps off the beginning and the end."""

    start: int
    end: int
    carry_mask: bool


def _check_cropping(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    value, carry_mask = checks.sequence(call, operand), bindings.flag("carry_mask")
    layer, length = Cropping(name, *_both_ends(bindings, "cropping"), carry_mask), value.shape[0]
    if isinstance(length, int) and length <= layer.start + layer.end:
        raise CheckError(errors.shapes.NothingLeft(span=call.callee.span, layer=name, count=layer.start + layer.end, length=length))
    output = extended_type(value, -layer.start, -layer.end, name, call, carry_mask=carry_mask)
    return BuiltLayer(layer, (operand,), (output,))


def _lower_cropping(tools: Tools, layer: Cropping, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (extended(tools, layer.name, operands[0], -layer.start, -layer.end, carry_mask=layer.carry_mask),)


CROPPING = LayerRules(
    layer=Cropping,
    names=("Cropping1D",),
    check=OfOne(_check_cropping),
    lower=_lower_cropping,
    mask=lambda layer: mask_of(layer.carry_mask, MaskAdvice.CARRY_ENDS),
    masked_steps=lambda layer, _: masked_steps_of(layer.carry_mask),
    packs=lambda layer, application: packs_extended(application, -layer.start, -layer.end, carry_mask=layer.carry_mask),
    draws=rules.draws_nothing,
    stream_refusal=lambda layer, application, operands: masked_refusal(layer.name, application, operands[0], carry_mask=layer.carry_mask),
    states=lambda layer, application, streaming: delay_of(layer.name, layer.end, application, streaming),
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Cropping1D", option("cropping", (layer.start, layer.end)), flag("carry_mask", layer.carry_mask)),
    results=rules.one_result,
)


@frozen
class UpSampling(Layer):
    """Each step `size` times."""

    size: int


def _check_sampling(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, value = checks.numbers(call, operand), checks.sequence(call, operand)
    layer = UpSampling(name, bindings.whole("size"))
    return BuiltLayer(layer, (operand,), (_resized(value.shape[0] * layer.size, width, name, call),))


def _lower_sampling(tools: Tools, layer: UpSampling, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Scatters each step to `size` positions; no two steps share one, so that each sum is of one number."""
    flow, builder = tools.packed(operands[0]), tools.builder
    before = tools.every_step(flow)
    after = StepMask((), before.length * layer.size)
    tokens, source, result = tools.on_steps(flow, before), tools.index(before), tools.index(after)
    total: Value | None = None
    for offset in range(layer.size):
        places = builder.window(result, source, stride=layer.size, offset=offset)
        placed = builder.scatter_add(places, tokens, index_type(result.type).tokens)
        total = placed if total is None else builder.add(total, placed)
    return (tools.sequence(tokens if total is None else total, after),)


UP_SAMPLING = LayerRules(
    layer=UpSampling,
    names=("UpSampling1D",),
    check=OfOne(_check_sampling),
    lower=_lower_sampling,
    mask=rules.drops,
    masked_steps=rules.none_masked,
    packs=rules.own_and_every_step,
    draws=rules.draws_nothing,
    stream_refusal=_sampling_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "UpSampling1D", option("size", layer.size)),
    results=rules.one_result,
)
