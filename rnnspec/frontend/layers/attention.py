"""Layers that look from every step of one sequence at every step of another."""

from __future__ import annotations

from rnnspec.contract.dimensions import Dim
from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layers import Attention, Dot
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.syntax import ast


def make_attention(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
    for operand in operands:
        checks.numbers(call, operand)
        checks.sequence(call, operand)
    types = [operand.type for operand in operands]
    shown = ", ".join(map(str, types))

    def misfit(problem: str, help_: str = "") -> CheckError:
        return CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer="Attention", problem=problem, help=help_))

    if len(types) not in (2, 3):
        raise misfit(
            f"expects two values or three, got {len(types)}", "write `[query, value] -> Attention()` or `[query, value, key] -> ...`"
        )
    query, value, key = types[0], types[1], types[-1]
    if query.features != key.features:
        raise misfit(f"queries and keys have different numbers of features: {shown}")
    if value.shape[0] != key.shape[0]:
        raise misfit(f"values and keys have different lengths: {shown}", "the same name of a dimension is the same length")
    causal = bindings.flag("use_causal_mask")
    if (value.flipped or key.flipped) and (value.flipped, value.steps) != (key.flipped, key.steps):
        what = "Attention of values and keys in different orders, or in reversed order with different masks,"
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what=what))
    if causal and (query.flipped or value.flipped):
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what="`use_causal_mask` for a sequence in reversed order"))
    scale = checks.plain_weight(name, "scale", (), Config("ones"), call) if bindings.flag("use_scale") else None
    layer = Attention(name, scale, causal, bindings.real("dropout"))
    return BuiltLayer(layer, operands, (query.with_features(value.features).by(name),))


def make_dot(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
    for operand in operands:
        checks.numbers(call, operand)
    types = [operand.type for operand in operands]
    shown = ", ".join(map(str, types))

    def misfit(problem: str, help_: str = "") -> CheckError:
        return CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer="Dot", problem=problem, help=help_))

    if len(types) != 2:
        raise misfit(f"expects two values, got {len(types)}", "write `[a, b] -> Dot(axes = -1)`")
    given = bindings.integers("axes")
    axes = [_axis(axis, type_) for axis, type_ in zip(given * 2 if len(given) == 1 else given, types, strict=False)]
    if len(given) > 2 or None in axes:
        raise misfit(f"expected one axis, or one for each value (1 is the first after the batch, -1 the last), got {list(given)}")
    left, right = ((axis or 0, type_) for axis, type_ in zip(axes, types, strict=True))
    if left[1].shape[left[0]] != right[1].shape[right[0]]:
        raise misfit(f"the axes have different lengths: {shown}")
    rest = [extent for axis, type_ in (left, right) for number, extent in enumerate(type_.shape) if number != axis]
    for (axis, type_), operand in zip((left, right), operands, strict=True):
        turned = type_.sequence and axis == 0
        last = operand is operands[1] or not right[1].sequence
        if type_.sequence and (turned or last) and not isinstance(length := type_.shape[0], int):
            raise CheckError(
                errors.shapes.LengthNotFixed(span=call.callee.span, layer="Dot", extent=length, secondary=checks.origins.label(operand))
            )
    shape = tuple(rest) or (1,)
    return BuiltLayer(Dot(name, (left[0], right[0]), bindings.flag("normalize")), operands, (_flowing(shape, name),))


def _axis(axis: int, type_: GraphTensor) -> int | None:
    """An axis of a value without its batch; None if it has no such axis."""
    rank = len(type_.shape)
    place = axis - 1 if axis > 0 else rank + axis
    return place if axis and 0 <= place < rank else None


def _flowing(shape: tuple[Dim, ...], name: str) -> GraphTensor:
    return GraphTensor(shape, StepMask((), shape[0]) if len(shape) == 2 else None, computed=name)
