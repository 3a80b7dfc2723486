"""Convolution over time."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.signature import Config, StateSignature
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import Application, GraphValue, StepMask
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
    mask_of,
    masked_steps_of,
    packs_of,
    show_window,
)
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Role, Value
from rnnspec.ir.types import BATCH, TensorType


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
    builder, flow = tools.builder, tools.packed(operands[0])
    if tools.streaming and (delayed := _delay(layer)) is not None:
        steps = tools.every_step(flow)
        places = _delay_line(tools, tools.on_steps(flow, steps), steps, layer.window, delayed)
    else:
        windows = WindowPlaces(tools, flow, layer.window, carry_mask=layer.carry_mask)
        steps, places = windows.steps, builder.concat(windows.places(windows.tokens), 1)
    value = builder.matmul(places, tools.weights[layer.kernel.path])
    if layer.bias is not None:
        value = builder.add(value, builder.broadcast_like(tools.weights[layer.bias.path], value))
    result = tools.sequence(tools.activated(layer.activation, value), steps)
    tools.observe(layer.activity_regularizer, result)
    return (result,)


def _delay(layer: Convolution) -> StateSignature | None:
    """The steps that a stream's windows look back to, the oldest first; None for windows of one step."""
    features = layer.kernel.shape[1]
    return StateSignature(f"{layer.name}/delay", (layer.window.span - 1) * features) if layer.window.span > 1 else None


def _delay_line(tools: Tools, tokens: Value, steps: StepMask, window: WindowShape, delay: StateSignature) -> Value:
    """For each step the places of its window side by side, of the steps so far, of which the last ones go from call to call."""
    builder, index = tools.builder, tools.index(steps)
    before = builder.parameter(Role.STATE, delay.name, TensorType(tools.dtype, (BATCH, delay.width)))
    scan = builder.scan(index, [builder.sort_rows(before, index)], [tokens], carried_names=["delay"], slice_names=["x"])
    line = [*scan.split(scan.carried[0], window.span - 1, axis=1), scan.slices[0]] if window.span > 2 else [*scan.carried, *scan.slices]
    after = scan.concat(line[1:], 1) if window.span > 2 else line[1]
    result = scan.finish([after], [scan.concat(line[:: window.dilation], 1)], final_names=["delay_final"], stack_names=["places"])
    tools.states[delay.name] = builder.restore_rows(result.finals[0], index)
    return result.stacks[0]


def _stream_refusal(layer: Convolution, application: Application, held: Sequence[bool]) -> str:
    """A causal window has all that it sees when its step comes; a strided one isn't there at each step."""
    if layer.window.padding is not WindowPadding.CAUSAL or layer.window.stride > 1:
        return rules.needs_several(layer, application, held)
    steps = application.operands[0].type.steps
    if layer.carry_mask or (steps is not None and steps.is_masked):
        return f"{layer.name} looks at several steps at once, of which some may be masked"
    return ""


def _states(layer: Convolution, streaming: bool) -> tuple[StateSignature, ...]:
    delay = _delay(layer) if streaming else None
    return () if delay is None else (delay,)


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
    stream_refusal=_stream_refusal,
    states=_states,
    activities=lambda layer: rules.observed(layer.activity_regularizer),
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=_show,
    results=rules.one_result,
)
