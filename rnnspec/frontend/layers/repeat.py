"""RepeatVector: a row to a sequence."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen


@frozen
class RepeatVector(Layer):
    """A row to a sequence of `count` steps, all of them real."""

    count: int


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, count = checks.numbers(call, operand), bindings.whole("n")
    checks.row(call, operand)
    return BuiltLayer(RepeatVector(name, count), (operand,), (GraphTensor((count, width), StepMask((), count), computed=name),))


def _lower(tools: Tools, layer: RepeatVector, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    (row,) = tools.rows(operands)
    return (tools.at_each(StepMask((), layer.count), row),)


def _stream_refusal(layer: RepeatVector, _: Application, __: Sequence[bool]) -> str:
    return f"{layer.name} makes a sequence of its own"


REPEAT_VECTOR = LayerRules(
    layer=RepeatVector,
    names=("RepeatVector",),
    check=OfOne(_check),
    lower=_lower,
    mask=rules.passes,
    masked_steps=rules.none_masked,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "RepeatVector", str(layer.count)),
    results=rules.one_result,
)
