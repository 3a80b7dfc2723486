"""Layers that look at several steps of a sequence at once, or at all of them in another shape. They drop its mask, or carry it on."""

from __future__ import annotations

from math import prod

from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layers import Convolution, LocalPooling, LocalPoolingKind, Reshaping, ShapeKind, WindowPadding, WindowShape
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.weight_options import activity_of
from rnnspec.frontend.syntax import ast


def make_convolution(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
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
    carry_mask, activation = bindings.flag("carry_mask"), bindings.configured("activation")
    output = _windowed(checks, call, operand, window, filters, name, carry_mask=carry_mask)
    layer = Convolution(name, window, carry_mask, activation, kernel, bias, activity_of(bindings, output, checks.report))
    return BuiltLayer(layer, (operand,), (output,))


def make_local_pooling(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, size = checks.numbers(call, operand), bindings.whole("pool_size")
    stride = size if bindings.given("strides").value is None else bindings.whole("strides")
    window = WindowShape(size, stride, 1, WindowPadding(bindings.word("padding")))
    carry_mask = bindings.flag("carry_mask")
    layer = LocalPooling(name, LocalPoolingKind(call.callee.text), window, carry_mask)
    return BuiltLayer(layer, (operand,), (_windowed(checks, call, operand, window, width, name, carry_mask=carry_mask),))


def _windowed(
    checks: ShapeRules, call: ast.Call, operand: GraphValue, window: WindowShape, width: int, name: str, *, carry_mask: bool
) -> GraphTensor:
    value = checks.sequence(call, operand)
    length = window.length(value.shape[0])
    if isinstance(length, int) and length < 1:
        problem = f"{window.span} steps are more than the sequence's {value.shape[0]}"
        raise CheckError(
            errors.shapes.WindowTooLong(
                span=call.callee.span, layer=name, problem=problem, help="with `padding = same` windows may reach over"
            )
        )
    steps = StepMask((), length)
    if carry_mask and value.steps is not None:
        steps = value.steps.reversed(value.shape[0]) if value.flipped else value.steps
        steps = steps.windowed(window.places, length)
    return GraphTensor((length, width), steps, computed=name)


def make_reshaping(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    kind = ShapeKind(call.callee.text)
    extents = (width,) if not operand.type.sequence else (_fixed_length(checks, call, operand), width)
    layer = Reshaping(name, kind, extents)
    match kind:
        case ShapeKind.FLATTEN:
            layer = Reshaping(name, kind, (prod(extents),))
        case ShapeKind.RESHAPE:
            layer = Reshaping(name, kind, _target(bindings, extents))
        case ShapeKind.PERMUTE:
            given = bindings.integers("dims")
            if sorted(given) != list(range(1, len(extents) + 1)):
                expected = "[1]" if len(extents) == 1 else "[1, 2] or [2, 1]"
                problem = f"expected {expected} for {operand.type}, got {list(given)}"
                raise CheckError(errors.shapes.ReshapeMisfit(span=bindings.span("dims"), layer="Permute", problem=problem))
            layer = Reshaping(name, kind, tuple(extents[axis - 1] for axis in given), transpose=given == (2, 1))
    steps = StepMask((), layer.shape[0]) if len(layer.shape) == 2 else None
    return BuiltLayer(layer, (operand,), (GraphTensor(layer.shape, steps, computed=name),))


def _fixed_length(checks: ShapeRules, call: ast.Call, operand: GraphValue) -> int:
    length = operand.type.shape[0]
    if isinstance(length, int):
        return length
    labels = checks.origins.label(operand)
    raise CheckError(errors.shapes.LengthNotFixed(span=call.callee.span, layer=call.callee.text, extent=length, secondary=labels))


def _target(bindings: Bindings, extents: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that Reshape is given, one -1 standing for what is left."""
    given, span = bindings.integers("target_shape"), bindings.span("target_shape")
    size, known = prod(extents), prod(extent for extent in given if extent != -1)

    def misfit(problem: str) -> CheckError:
        return CheckError(errors.shapes.ReshapeMisfit(span=span, layer="Reshape", problem=problem))

    if len(given) not in (1, 2):
        raise misfit(f"expected [features] or [steps, features], got {list(given)}")
    if given.count(-1) > 1 or any(extent < 1 and extent != -1 for extent in given):
        raise misfit(f"expected lengths of at least 1, one of them -1 for what is left, got {list(given)}")
    if size % known or (-1 not in given and size != known):
        raise misfit(f"{size} numbers don't make {list(given)}")
    return tuple(size // known if extent == -1 else extent for extent in given)
