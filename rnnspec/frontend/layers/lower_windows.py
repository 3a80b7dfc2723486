"""Convolution, pooling and reshaping: layers that look at several steps, the padded ones included unless they carry the mask on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnnspec.frontend.graph.graph import StepMask
from rnnspec.frontend.graph.layers import Convolution, LocalPooling, LocalPoolingKind, Reshaping, WindowPadding, WindowShape
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, PackedSequence, RowValue
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH


class _Windows:
    """A sequence with what its windows see: for each step of the result one value for each place in the window."""

    def __init__(self, tools: Tools, flow: PackedSequence, window: WindowShape, *, carry_mask: bool) -> None:
        self._tools, self._window = tools, window
        time = index_type(tools.index(flow.steps).type).time
        steps = StepMask((), time)
        if carry_mask:
            steps = flow.steps.reversed(time) if flow.flip else flow.steps
        self.masked = not steps.is_whole
        """Whether steps may be masked that windows are to leave out."""
        self.tokens = tools.on_steps(flow, steps)
        self.steps = steps.windowed(window.places, window.length(time))
        self._source, self._index = tools.index(steps), tools.index(self.steps)

    def places(self, tokens: Value, *, clamp: bool = False) -> list[Value]:
        """For each place of the window the tokens there; what is beyond the ends is 0, or with `clamp` the nearest."""
        windows, builder = self._window.places, self._tools.builder
        span = windows.span if windows.same else 0
        seen = [
            builder.window(self._source, self._index, stride=windows.stride, offset=offset, span=span, clamp=clamp, own=self.masked)
            for offset in range(windows.start, windows.start + windows.span, windows.dilation)
        ]
        return [builder.take(tokens, ids) for ids in seen]

    def ones(self) -> list[Value]:
        """For each place of the window 1, or 0 where no step is."""
        return self.places(self._tools.constant(1.0, (self._tools.builder.tensor(self.tokens).shape[0], 1)))


def lower_convolution(tools: Tools, layer: Convolution, flow: PackedSequence) -> PackedSequence:
    """A product of the window's steps side by side with the kernel."""
    builder, windows = tools.builder, _Windows(tools, flow, layer.window, carry_mask=layer.carry_mask)
    value = builder.matmul(builder.concat(windows.places(windows.tokens), 1), tools.weights[layer.kernel.path])
    if layer.bias is not None:
        value = builder.add(value, builder.broadcast_like(tools.weights[layer.bias.path], value))
    return tools.sequence(tools.activated(layer.activation, value), windows.steps)


def lower_local_pooling(tools: Tools, layer: LocalPooling, flow: PackedSequence) -> PackedSequence:
    windows = _Windows(tools, flow, layer.window, carry_mask=layer.carry_mask)
    match layer.kind:
        case LocalPoolingKind.MAX:
            first, *others = _candidates(tools, windows) if windows.masked else windows.places(windows.tokens, clamp=True)
            for other in others:
                first = tools.builder.max(first, other)
            return tools.sequence(first, windows.steps)
        case LocalPoolingKind.AVERAGE:
            total = _sum(tools, windows.places(windows.tokens))
            if layer.window.padding is WindowPadding.VALID and not windows.masked:
                mean = tools.builder.mul(total, tools.builder.constant_like(1.0 / layer.window.size, total))
            else:
                mean = tools.builder.div(total, tools.builder.broadcast_like(_sum(tools, windows.ones()), total))
            return tools.sequence(mean, windows.steps)


def _candidates(tools: Tools, windows: _Windows) -> Iterator[Value]:
    """For each place of the window what may be its maximum: a step that isn't there isn't."""
    builder = tools.builder
    for tokens, ones in zip(windows.places(windows.tokens), windows.ones(), strict=True):
        there = builder.greater(builder.broadcast_like(ones, tokens), builder.constant_like(0.0, tokens))
        yield builder.select(there, tokens, builder.constant_like(-math.inf, tokens))


def _sum(tools: Tools, values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = tools.builder.add(total, value)
    return total


def lower_reshaping(tools: Tools, layer: Reshaping, flow: Computed) -> Computed:
    padded = tools.padded(flow) if isinstance(flow, PackedSequence) else flow.value
    shape = (BATCH, *layer.shape)
    if layer.transpose or tools.builder.tensor(padded).shape != shape:
        padded = tools.builder.rearrange(padded, shape, transpose=layer.transpose)
    if len(layer.shape) == 1:
        return RowValue(padded)
    steps = StepMask((), layer.shape[0])
    return tools.sequence(tools.builder.pack(padded, tools.index(steps)), steps)
