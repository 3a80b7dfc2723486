"""Convolution over time."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import chosen, shown
from rnnspec.frontend.layers.weight_options import activity_of
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
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen


@frozen
class Convolution(Layer):
    """Conv1D; the kernel is (size, features, filters). `carry_mask`: masked steps aren't there, see `Windowed`."""

    window: WindowShape
    carry_mask: bool
    activation: Config
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Config | None = None


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    features, filters, size = checks.numbers(call, operand), bindings.whole("filters"), bindings.whole("kernel_size")
    stride, dilation = bindings.whole("strides"), bindings.whole("dilation_rate")
    if stride > 1 and dilation > 1:
        problem = "strides and dilation_rate are both above 1"
        raise CheckError(
            errors.shapes.WindowTooLong(
                span=bindings.span("dilation_rate"), layer=name, problem=problem, help="one of them must be 1, as in Keras"
            )
        )
    window = WindowShape(size, stride, dilation, WindowPadding(bindings.word("padding")))
    kernel = checks.weight(name, "kernel", (size, features, filters), bindings, call)
    bias = None
    if bindings.flag("use_bias"):
        bias = checks.weight(name, "bias", (filters,), bindings, call)
    carry_mask, activation = bindings.flag("carry_mask"), checks.activation(bindings, bindings.whole("filters"))
    output = check_windows(checks, call, operand, window, filters, name, carry_mask=carry_mask)
    layer = Convolution(name, window, carry_mask, activation, kernel, bias, activity_of(bindings, output, checks.report))
    return BuiltLayer(layer, (operand,), (output,))


def _lower(tools: Tools, layer: Convolution, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """A product of the window's steps side by side with the kernel."""
    builder = tools.builder
    windows = WindowPlaces(tools, tools.packed(operands[0]), layer.window, layer.name, carry_mask=layer.carry_mask)
    places = windows.side_by_side(windows.tokens)
    value = builder.matmul(places, tools.weights[layer.kernel.path])
    if layer.bias is not None:
        value = builder.add(value, builder.broadcast_like(tools.weights[layer.bias.path], value))
    result = tools.sequence(tools.activated(layer.activation, value), windows.steps)
    tools.observe(layer.activity_regularizer, result)
    return (result,)


def _show(layer: Convolution) -> rules.Shown:
    return shown(layer, "Conv1D", *show_window(layer.window, carry_mask=layer.carry_mask), chosen("activation", layer.activation))


CONVOLUTION = LayerRules(
    layer=Convolution,
    names=("Conv1D",),
    check=OfOne(_check),
    lower=_lower,
    mask=lambda layer: mask_of(layer.carry_mask),
    masked_steps=lambda layer, _: masked_steps_of(layer.carry_mask),
    packs=lambda layer, application: packs_of(layer.carry_mask, application),
    draws=rules.draws_nothing,
    stream_refusal=lambda layer, application, operands: stream_refusal_of(
        layer.name, layer.window, application, operands[0], carry_mask=layer.carry_mask
    ),
    states=lambda layer, application, streaming: delay_of(layer.name, layer.window.span - 1, application, streaming),
    activities=lambda layer: rules.observed(layer.activity_regularizer),
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show,
    results=rules.one_result,
)
