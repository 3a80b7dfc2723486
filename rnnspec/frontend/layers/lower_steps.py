"""Layers to which each step of a sequence is another, or that take all the steps together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from rnnspec.frontend.graph.graph import StepMask
from rnnspec.frontend.graph.layers import PReLU
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import PackedSequence, over_steps
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH


def sloped(b: Builder, value: Value, slope: Value) -> Value:
    """The value where it is above 0, and below it in proportion to the slope."""
    zeros = b.constant_like(0.0, value)
    return b.add(b.max(value, zeros), b.mul(slope, b.min(value, zeros)))


def lower_step_slopes(tools: Tools, layer: PReLU, flow: PackedSequence) -> PackedSequence:
    """PReLU with slopes for each step: masked steps have theirs, too, so that no one row says what they hold."""
    builder, every_step = tools.builder, tools.every_step(flow)
    slopes = tools.weights[layer.alpha.path]
    rows = builder.broadcast_to(slopes, (BATCH, *builder.tensor(slopes).shape))
    shown = builder.pack(builder.rearrange(rows, (BATCH, *layer.alpha.shape)), tools.index(every_step))

    def at(value: Value, slope: Value) -> Value:
        return sloped(builder, value, builder.broadcast_like(slope, value))

    value = at(flow.value, tools.real_of(shown, flow))
    every = None if flow.steps == every_step else at(tools.on_steps(flow, every_step), shown)
    return PackedSequence(value, tools.constant(0.0, (1, tools.width(value))), flow.steps, flip=flow.flip, every=every)


def lower_step_softmax(tools: Tools, flow: PackedSequence) -> PackedSequence:
    """Over the real steps of each row: the largest of them first, which has no derivative, then the sum."""
    builder, index = tools.builder, tools.index(flow.steps)
    largest = builder.stop_gradient(_over_all(tools, Builder.max, -math.inf, flow.value, index))
    powers = builder.exp(builder.sub(flow.value, over_steps(builder, largest, index)))
    total = _over_all(tools, Builder.add, 0.0, powers, index)
    value = builder.div(powers, over_steps(builder, total, index))
    return replace(tools.sequence(value, flow.steps), flip=flow.flip)


def _over_all(tools: Tools, combine: Callable[[Builder, Value, Value], Value], start: float, tokens: Value, index: Value) -> Value:
    """Each row's steps taken together, [batch, w]; the start for a row without any."""
    builder = tools.builder
    init = builder.sort_rows(tools.constant(start, (BATCH, tools.width(tokens))), index)
    scan = builder.scan(index, [init], [tokens], carried_names=["taken"], slice_names=["x"])
    result = scan.finish([combine(scan, scan.carried[0], scan.slices[0])])
    return builder.restore_rows(result.finals[0], index)


def lower_join(tools: Tools, flows: Sequence[PackedSequence]) -> PackedSequence:
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
