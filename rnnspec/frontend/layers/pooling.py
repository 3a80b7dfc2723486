"""Pooling: the average or the maximum over windows of a sequence's steps, or over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum

from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskFate, MaskRule, OfOne
from rnnspec.frontend.layers.show import flag, shown
from rnnspec.frontend.layers.windows import (
    WindowPadding,
    WindowPlaces,
    WindowShape,
    check_windows,
    delay_of,
    mask_of,
    masked_steps_of,
    packs_of,
    show_window,
    stream_refusal_of,
)
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, PackedSequence, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH


class LocalPoolingKind(Enum):
    """The value is the layer's type in the spec."""

    AVERAGE = "AveragePooling1D"
    MAX = "MaxPooling1D"


@frozen
class LocalPooling(Layer):
    """The average or the maximum over each window; what a window lacks at the ends, or with `carry_mask` is masked, doesn't count."""

    kind: LocalPoolingKind
    window: WindowShape
    carry_mask: bool


def _check_local(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, size = checks.numbers(call, operand), bindings.whole("pool_size")
    stride = size if bindings.given("strides").value is None else bindings.whole("strides")
    window = WindowShape(size, stride, 1, WindowPadding(bindings.word("padding")))
    carry_mask = bindings.flag("carry_mask")
    layer = LocalPooling(name, LocalPoolingKind(call.callee.text), window, carry_mask)
    return BuiltLayer(layer, (operand,), (check_windows(checks, call, operand, window, width, name, carry_mask=carry_mask),))


def _lower_local(tools: Tools, layer: LocalPooling, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    windows = WindowPlaces(tools, tools.packed(operands[0]), layer.window, layer.name, carry_mask=layer.carry_mask)
    match layer.kind:
        case LocalPoolingKind.MAX:
            value, *others = _candidates(tools, windows) if windows.masked else windows.places(windows.tokens, clamp=True)
            for other in others:
                value = tools.builder.max(value, other)
        case LocalPoolingKind.AVERAGE:
            total = _sum(tools, windows.places(windows.tokens))
            if layer.window.padding is WindowPadding.VALID and not windows.masked:
                value = tools.builder.mul(total, tools.builder.constant_like(1.0 / layer.window.size, total))
            else:
                value = tools.builder.div(total, tools.builder.broadcast_like(_sum(tools, windows.ones()), total))
    return (tools.sequence(value, windows.steps),)


def _candidates(tools: Tools, windows: WindowPlaces) -> Iterator[Value]:
    """For each position in the window the tokens there, -inf where there is no step."""
    builder = tools.builder
    for tokens, ones in zip(windows.places(windows.tokens), windows.ones(), strict=True):
        there = builder.greater(builder.broadcast_like(ones, tokens), builder.constant_like(0.0, tokens))
        yield builder.select(there, tokens, builder.constant_like(-math.inf, tokens))


def _sum(tools: Tools, values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = tools.builder.add(total, value)
    return total


LOCAL_POOLING = LayerRules(
    layer=LocalPooling,
    names=tuple(kind.value for kind in LocalPoolingKind),
    check=OfOne(_check_local),
    lower=_lower_local,
    mask=lambda layer: mask_of(layer.carry_mask),
    masked_steps=lambda layer, _: masked_steps_of(layer.carry_mask),
    packs=lambda layer, application: packs_of(layer.carry_mask, application),
    draws=rules.draws_nothing,
    stream_refusal=lambda layer, application, operands: stream_refusal_of(
        layer.name, layer.window, application, operands[0], carry_mask=layer.carry_mask
    ),
    states=lambda layer, application, streaming: delay_of(layer.name, layer.window.span - 1, application, streaming),
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, layer.kind.value, *show_window(layer.window, carry_mask=layer.carry_mask)),
    results=rules.one_result,
)


class PoolingKind(Enum):
    """The value is the layer's type in the spec."""

    AVERAGE = "GlobalAveragePooling1D"
    MAX = "GlobalMaxPooling1D"


@frozen
class GlobalPooling(Layer):
    """A sequence to one row, over its real steps; 0 for a row that has none. `keepdims`: to a sequence of one step."""

    kind: PoolingKind
    keepdims: bool = False


def _check_global(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    checks.sequence(call, operand)
    layer = GlobalPooling(name, PoolingKind(call.callee.text), bindings.flag("keepdims"))
    row = GraphTensor((width,), computed=name, ended=name, one_row=True)
    output = GraphTensor((1, width), StepMask((), 1), computed=name) if layer.keepdims else row
    return BuiltLayer(layer, (operand,), (output,))


def _lower_global(tools: Tools, layer: GlobalPooling, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    row = _pooled(tools, layer, tools.packed(operands[0]))
    return (tools.at_each(StepMask((), 1), row) if layer.keepdims else RowValue(row),)


def _pooled(tools: Tools, layer: GlobalPooling, flow: PackedSequence) -> Value:
    """A scan that carries the sum or the maximum, and how many steps there were."""
    b = tools.builder
    index, width = tools.index(flow.steps), tools.width(flow.value)
    start = tools.constant(0.0 if layer.kind is PoolingKind.AVERAGE else -math.inf, (BATCH, width))
    inits = [b.sort_rows(init, index) for init in (start, tools.constant(0.0, (BATCH, 1)))]
    scan = b.scan(index, inits, [flow.value], carried_names=["pooled", "count"], slice_names=["x"])
    (pooled, count), (x,) = scan.carried, scan.slices
    after = scan.add(pooled, x) if layer.kind is PoolingKind.AVERAGE else scan.max(pooled, x)
    result = scan.finish([after, scan.add(count, scan.constant_like(1.0, count))])
    total, counted = (b.restore_rows(final, index) for final in result.finals)
    ones = b.constant_like(1.0, counted)
    if layer.kind is PoolingKind.AVERAGE:
        return b.div(total, b.broadcast_like(b.max(counted, ones), total))
    some = b.greater_equal(b.broadcast_like(counted, total), b.broadcast_like(ones, total))
    return b.select(some, total, b.constant_like(0.0, total))


def _refuses_stream(layer: GlobalPooling, _: Application, __: Sequence[rules.StreamOperand]) -> str:
    return f"{layer.name} pools over the whole sequence"


GLOBAL_POOLING = LayerRules(
    layer=GlobalPooling,
    names=tuple(kind.value for kind in PoolingKind),
    check=OfOne(_check_global),
    lower=_lower_global,
    mask=lambda _: MaskRule(MaskFate.CONSUMED, MaskAdvice.CONSUME),
    masked_steps=rules.none_masked,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=_refuses_stream,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, layer.kind.value, flag("keepdims", layer.keepdims)),
    results=rules.one_result,
)
