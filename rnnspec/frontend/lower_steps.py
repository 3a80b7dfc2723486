"""Layers to which each step of a sequence is another, or that take all the steps together."""

from __future__ import annotations

from rnnspec.frontend.graph_layers import PReLU
from rnnspec.frontend.lower_flows import Packed
from rnnspec.frontend.lower_tools import Tools
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH


def sloped(b: Builder, value: Value, slope: Value) -> Value:
    """The value where it is above 0, and below it in proportion to the slope."""
    zeros = b.constant_like(0.0, value)
    return b.add(b.max(value, zeros), b.mul(slope, b.min(value, zeros)))


def lower_step_slopes(tools: Tools, layer: PReLU, flow: Packed) -> Packed:
    """PReLU with slopes for each step: masked steps have theirs, too, so that no one row says what they hold."""
    builder, every_step = tools.builder, tools.every_step(flow)
    slopes = tools.weights[layer.alpha.path]
    rows = builder.broadcast_to(slopes, (BATCH, *builder.tensor(slopes).shape))
    shown = builder.pack(builder.rearrange(rows, (BATCH, *layer.alpha.shape)), tools.index(every_step))

    def at(value: Value, slope: Value) -> Value:
        return sloped(builder, value, builder.broadcast_like(slope, value))

    value = at(flow.value, tools.real_of(shown, flow))
    every = None if flow.steps == every_step else at(tools.on_steps(flow, every_step), shown)
    return Packed(value, tools.constant(0.0, (1, tools.width(value))), flow.steps, flip=flow.flip, every=every)
