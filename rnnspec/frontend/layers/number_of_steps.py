"""Layers that add steps to a sequence, take some off, or repeat them: ZeroPadding1D, Cropping1D, UpSampling1D.

As in Keras they drop the mask: masked steps are taken with what they hold, and the result's steps are all real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnspec.contract.dimensions import less, plus, times
from rnnspec.contract.signature import Extent
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.cells.cell_ir import ELEMENT_LIMIT
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
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


def _extended(tools: Tools, operand: Flow, start: int, end: int) -> Flow:
    """A sequence with so many steps of zeros more at the beginning and at the end, or fewer of its own where a number is below 0."""
    flow = tools.packed(operand)
    before = tools.every_step(flow)
    after, tokens = StepMask((), plus(before.length, start, end)), tools.on_steps(flow, before)
    places = tools.builder.window(tools.index(before), tools.index(after), stride=1, offset=-start)
    return tools.sequence(tools.builder.take(tokens, places), after)


def _stream_refusal(layer: Layer, _: Application, __: Sequence[bool]) -> str:
    return f"{layer.name} changes the number of steps"


@dataclass(frozen=True, slots=True)
class ZeroPadding(Layer):
    """Steps of zeros at the beginning and at the end."""

    start: int
    end: int


def _check_padding(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, value = checks.numbers(call, operand), checks.sequence(call, operand)
    layer = ZeroPadding(name, *_both_ends(bindings, "padding"))
    return BuiltLayer(layer, (operand,), (_resized(plus(value.shape[0], layer.start, layer.end), width, name, call),))


def _lower_padding(tools: Tools, layer: ZeroPadding, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (_extended(tools, operands[0], layer.start, layer.end),)


ZERO_PADDING = LayerRules(
    layer=ZeroPadding,
    names=("ZeroPadding1D",),
    check=OfOne(_check_padding),
    lower=_lower_padding,
    mask=rules.drops,
    masked_steps=rules.none_masked,
    packs=rules.own_and_every_step,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "ZeroPadding1D", option("padding", (layer.start, layer.end))),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class Cropping(Layer):
    """Takes steps off the beginning and the end."""

    start: int
    end: int


def _check_cropping(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, value = checks.numbers(call, operand), checks.sequence(call, operand)
    layer = Cropping(name, *_both_ends(bindings, "cropping"))
    length = less(value.shape[0], layer.start + layer.end)
    if isinstance(length, int) and length < 1:
        count, steps = layer.start + layer.end, length + layer.start + layer.end
        raise CheckError(errors.shapes.NothingLeft(span=call.callee.span, layer=name, count=count, length=steps))
    return BuiltLayer(layer, (operand,), (_resized(length, width, name, call),))


def _lower_cropping(tools: Tools, layer: Cropping, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    return (_extended(tools, operands[0], -layer.start, -layer.end),)


CROPPING = LayerRules(
    layer=Cropping,
    names=("Cropping1D",),
    check=OfOne(_check_cropping),
    lower=_lower_cropping,
    mask=rules.drops,
    masked_steps=rules.none_masked,
    packs=rules.own_and_every_step,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Cropping1D", option("cropping", (layer.start, layer.end))),
    results=rules.one_result,
)


@dataclass(frozen=True, slots=True)
class UpSampling(Layer):
    """Each step `size` times."""

    size: int


def _check_sampling(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, value = checks.numbers(call, operand), checks.sequence(call, operand)
    layer = UpSampling(name, bindings.whole("size"))
    return BuiltLayer(layer, (operand,), (_resized(times(value.shape[0], layer.size), width, name, call),))


def _lower_sampling(tools: Tools, layer: UpSampling, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Each of the `size` places that a step goes to is that of no other one, so that sums there are of one number."""
    flow, builder = tools.packed(operands[0]), tools.builder
    before = tools.every_step(flow)
    after = StepMask((), times(before.length, layer.size))
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
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "UpSampling1D", option("size", layer.size)),
    results=rules.one_result,
)
