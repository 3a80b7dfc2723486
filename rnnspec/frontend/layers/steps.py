"""Layers to which each step of a sequence is another, or that take all the steps together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.contract.dimensions import plus
from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError, describe
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layers import Activation, PReLU, StepSoftmax
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.syntax import ast


def make_prelu(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    result = (operand.type.by(name),)
    shared = _shared_axes(bindings, sequence=operand.type.sequence)
    if not operand.type.sequence:
        return BuiltLayer(PReLU(name, checks.weight(name, "alpha", (width,), bindings, call)), (operand,), result)
    columns = 1 if 2 in shared else width
    if 1 in shared:
        return BuiltLayer(PReLU(name, checks.weight(name, "alpha", (1, columns), bindings, call)), (operand,), result)
    length = operand.type.shape[0]
    if not isinstance(length, int):
        help_ = "or write `shared_axes = [1]`: the same slopes at all steps"
        label = checks.origins.label(operand)
        raise CheckError(errors.shapes.LengthNotFixed(span=call.callee.span, layer="PReLU", extent=length, secondary=label, help=help_))
    alpha = replace(checks.weight(name, "alpha", (length, columns), bindings, call), flat=True)
    return BuiltLayer(PReLU(name, alpha, over_steps=True), (operand,), result)


def make_softmax(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    checks.numbers(call, operand)
    layer = StepSoftmax(name) if checks.of_steps(call, bindings, operand) else Activation(name, "Softmax", Config("softmax"))
    return BuiltLayer(layer, (operand,), (operand.type.by(name),))


def joined_steps(values: Sequence[GraphTensor]) -> GraphTensor:
    """Sequences in one order, one after the other; what is shown first of reversed ones is their end."""
    steps = [value.steps for value in values if value.steps is not None]
    length = plus(*(value.shape[0] for value in values))
    return replace(values[0], shape=(length, values[0].features), steps=StepMask.joined(steps[::-1] if values[0].flipped else steps))


def _shared_axes(bindings: Bindings, *, sequence: bool) -> tuple[int, ...]:
    """The axes that slopes are shared over, 1 being the steps and 2 the features."""
    given = bindings.given("shared_axes")
    if given.value is None:
        return ()
    items = [item.value for item in given.value] if isinstance(given.value, tuple) else [given.value]
    axes = tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool) and item in (1, 2))
    if sequence and len(axes) == len(items):
        return axes
    expected = "`[1]` for the steps, `[2]` for the features, or both" if sequence else "none: a row has no axis to share slopes over"
    raise CheckError(
        errors.names.WrongValue(span=given.span, owner="`shared_axes` of PReLU", expected=expected, found=describe(given.value))
    )
