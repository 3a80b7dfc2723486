"""RepeatVector: a row to a sequence, of a fixed number of steps, or of those of another sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.frontend import errors
from rnnspec.frontend.binding.call_data import call_of
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, Symbol
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, one
from rnnspec.frontend.layers.rules import CheckContext, LayerRules, MaskedSteps, OfCall
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen


@frozen
class RepeatVector(Layer):
    """A row to a sequence: of `count` steps, all of them real, or with None of the steps of the sequence that is its second operand."""

    count: int | None


def _check(context: CheckContext, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
    bindings = context.bindings(call)
    name = context.name(call, bindings, given_name)
    if operands is None:
        raise AlreadyReported
    checks, operand = context.shapes, one(call, operands)
    width, given = checks.numbers(call, operand), bindings.given("like")
    checks.row(call, operand)
    is_counted = bindings.given("n").value is not None
    if is_counted == (given.value is not None):
        raise CheckError(errors.flows.RepeatedHow(span=call.callee.span))
    data = call_of("RepeatVector", bindings.values)
    if is_counted:
        count = bindings.whole("n")
        return BuiltLayer(RepeatVector(name, count), (operand,), (GraphTensor((count, width), StepMask((), count), computed=name),), data)
    if not isinstance(given.value, Symbol):
        raise CheckError(errors.flows.RepeatedHow(span=given.span))
    like = context.look_up(given.value.name, given.span)
    if like.type.steps is None:
        raise CheckError(errors.flows.RepeatedHow(span=given.span))
    type_ = GraphTensor((like.type.shape[0], width), like.type.steps, flipped=like.type.flipped, computed=name)
    return BuiltLayer(RepeatVector(name, None), (operand, like), (type_,), data)


def _lower(tools: Tools, layer: RepeatVector, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    (row,) = tools.rows(operands[:1])
    if layer.count is not None:
        return (tools.at_each(StepMask((), layer.count), row),)
    like = tools.packed(operands[1])
    return (replace(tools.at_each(like.steps, row), flip=like.flip),)


def _masked_steps(layer: RepeatVector, _: Application) -> MaskedSteps:
    return MaskedSteps.NONE_MASKED if layer.count is not None else MaskedSteps.ZERO


def _stream_refusal(layer: RepeatVector, _: Application, __: Sequence[rules.StreamOperand]) -> str:
    return f"{layer.name} makes a sequence of its own"


REPEAT_VECTOR = LayerRules(
    layer=RepeatVector,
    names=("RepeatVector",),
    check=OfCall(_check),
    lower=_lower,
    mask=rules.passes,
    masked_steps=_masked_steps,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "RepeatVector", "" if layer.count is None else str(layer.count)),
    results=rules.one_result,
)
