"""Last: the last real step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.signature import StateSignature
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskFate, MaskRule, OfOne
from rnnspec.frontend.layers.show import shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.types import BATCH


@frozen
class Last(Layer):
    """A sequence to one row of `width`, its last real step in the order in which it is shown; 0 for a row that has none."""

    width: int


def _check(checks: ShapeRules, name: str, _: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    checks.sequence(call, operand)
    return BuiltLayer(Last(name, width), (operand,), (GraphTensor((width,), computed=name, ended=name, one_row=True),))


def _lower(tools: Tools, layer: Last, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """A scan that carries the step before; in a stream it starts from the last step of the call before."""
    b, flow = tools.builder, tools.packed(operands[0])
    index = tools.index(flow.steps)
    start = tools.carried(_state(layer), layer.width) if tools.streaming else tools.constant(0.0, (BATCH, layer.width))
    inits = [b.sort_rows(start, index)]
    scan = b.scan(index, inits, [flow.value], reverse=flow.flip, carried_names=["last"], slice_names=["x"])
    last = b.restore_rows(scan.finish(scan.slices).finals[0], index)
    if tools.streaming:
        tools.carry(_state(layer), last)
    return (RowValue(last),)


def _state(layer: Last) -> str:
    """The name of the last step among a stream's states."""
    return f"{layer.name}/last"


def _states(layer: Last, _: Application, streaming: bool) -> tuple[StateSignature, ...]:
    return (StateSignature(_state(layer), layer.width),) if streaming else ()


LAST = LayerRules(
    layer=Last,
    names=("Last",),
    check=OfOne(_check),
    lower=_lower,
    mask=lambda _: MaskRule(MaskFate.CONSUMED, MaskAdvice.CONSUME),
    masked_steps=rules.none_masked,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=_states,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Last"),
    results=rules.one_result,
)
