"""Flatten, Reshape and Permute: the numbers of each row in another shape."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import prod

from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, PackedSequence, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.types import BATCH


class ShapeKind(Enum):
    """The value is the layer's type in the spec."""

    FLATTEN = "Flatten"
    RESHAPE = "Reshape"
    PERMUTE = "Permute"


@frozen
class Reshaping(Layer):
    """The same numbers of each row in another shape; `transpose`: time and features exchanged."""

    kind: ShapeKind
    shape: tuple[int, ...]
    transpose: bool = False


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
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
    """Reshape's target shape, with one -1 replaced by the length that is left."""
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


def _lower(tools: Tools, layer: Reshaping, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flow = tools.computed(operands[0])
    padded = tools.padded(flow) if isinstance(flow, PackedSequence) else flow.value
    shape = (BATCH, *layer.shape)
    if layer.transpose or tools.builder.tensor(padded).shape != shape:
        padded = tools.builder.rearrange(padded, shape, transpose=layer.transpose)
    if len(layer.shape) == 1:
        return (RowValue(padded),)
    steps = StepMask((), layer.shape[0])
    return (tools.sequence(tools.builder.pack(padded, tools.index(steps)), steps),)


RESHAPING = LayerRules(
    layer=Reshaping,
    names=tuple(kind.value for kind in ShapeKind),
    check=OfOne(_check),
    lower=_lower,
    mask=rules.drops,
    masked_steps=rules.none_masked,
    packs=rules.own_and_every_step,
    draws=rules.draws_nothing,
    stream_refusal=rules.needs_whole,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, layer.kind.value),
    results=rules.one_result,
)
