"""Convolution, pooling and reshaping: layers that look at several steps, the padded ones included."""

from __future__ import annotations

from rnnspec.frontend.graph import Steps
from rnnspec.frontend.graph_layers import Convolution, LocalPooling, LocalPoolingKind, Reshaping, Window, WindowPadding
from rnnspec.frontend.lower_flows import Computed, Packed, Row
from rnnspec.frontend.lower_tools import Tools
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH


class _Windows:
    """A sequence with what its windows see: for each step of the result one value for each place in the window."""

    def __init__(self, tools: Tools, flow: Packed, window: Window) -> None:
        self._tools, self._window = tools, window
        time = index_type(tools.index(flow.steps).type).time
        every_step = Steps((), time)
        self.tokens = tools.on_steps(flow, every_step)
        self.steps = Steps((), window.length(time))
        self._source, self._index = tools.index(every_step), tools.index(self.steps)

    def places(self, tokens: Value, *, clamp: bool = False) -> list[Value]:
        """For each place of the window the tokens there; what is beyond the ends is 0, or with `clamp` the nearest."""
        window, builder = self._window, self._tools.builder
        start = 1 - window.span if window.padding is WindowPadding.CAUSAL else 0
        span = window.span if window.padding is WindowPadding.SAME else 0
        offsets = [start + place * window.dilation for place in range(window.size)]
        return [
            builder.take(tokens, builder.window(self._source, self._index, stride=window.stride, offset=offset, span=span, clamp=clamp))
            for offset in offsets
        ]


def lower_convolution(tools: Tools, layer: Convolution, flow: Packed) -> Packed:
    """A product of the window's steps side by side with the kernel."""
    builder, windows = tools.builder, _Windows(tools, flow, layer.window)
    value = builder.matmul(builder.concat(windows.places(windows.tokens), 1), tools.weights[layer.kernel.path])
    if layer.bias is not None:
        value = builder.add(value, builder.broadcast_like(tools.weights[layer.bias.path], value))
    return tools.sequence(tools.activated(layer.activation, value), windows.steps)


def lower_local_pooling(tools: Tools, layer: LocalPooling, flow: Packed) -> Packed:
    windows = _Windows(tools, flow, layer.window)
    match layer.kind:
        case LocalPoolingKind.MAX:
            first, *others = windows.places(windows.tokens, clamp=True)
            for other in others:
                first = tools.builder.max(first, other)
            return tools.sequence(first, windows.steps)
        case LocalPoolingKind.AVERAGE:
            total = _sum(tools, windows.places(windows.tokens))
            if layer.window.padding is WindowPadding.VALID:
                mean = tools.builder.mul(total, tools.builder.constant_like(1.0 / layer.window.size, total))
            else:
                rows = tools.builder.tensor(windows.tokens).shape[0]
                count = _sum(tools, windows.places(tools.constant(1.0, (rows, 1))))
                mean = tools.builder.div(total, tools.builder.broadcast_like(count, total))
            return tools.sequence(mean, windows.steps)


def _sum(tools: Tools, values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = tools.builder.add(total, value)
    return total


def lower_reshaping(tools: Tools, layer: Reshaping, flow: Computed) -> Computed:
    padded = tools.padded(flow) if isinstance(flow, Packed) else flow.value
    shape = (BATCH, *layer.shape)
    if layer.transpose or tools.builder.tensor(padded).shape != shape:
        padded = tools.builder.rearrange(padded, shape, transpose=layer.transpose)
    if len(layer.shape) == 1:
        return Row(padded)
    steps = Steps((), layer.shape[0])
    return tools.sequence(tools.builder.pack(padded, tools.index(steps)), steps)
