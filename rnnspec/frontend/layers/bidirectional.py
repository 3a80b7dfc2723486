"""Bidirectional: two recurrent layers over one input, in opposite directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import assert_never

from rnnspec.contract.signature import StateSignature
from rnnspec.diagnostics import InternalError, Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.call_data import call_of
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, LocatedValue, describe
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import recurrent, rules
from rnnspec.frontend.layers.checks import BuiltLayer, one
from rnnspec.frontend.layers.recurrent import BoundLayer, Recurrent, RecurrentLowering, RecurrentMaker
from rnnspec.frontend.layers.rules import CheckContext, LayerRules, OfCall
from rnnspec.frontend.layers.show import INDENT
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value


class MergeMode(Enum):
    """How forward and backward outputs become one; a member's value is its spelling, as in Keras."""

    CONCAT = "concat"
    SUM = "sum"
    MUL = "mul"
    AVE = "ave"
    NONE = "none"


@frozen
class Bidirectional(Layer):
    """Two recurrent layers over the same input, `backward` walking it the other way; the result is in the order of `forward`.

    Takes the sequence, then initial states of `forward`, then of `backward`; gives the merged output,
    or both without a merge, then the states of `forward`, then of `backward`.
    """

    forward: Recurrent
    backward: Recurrent
    merge_mode: MergeMode


def _check(context: CheckContext, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
    maker, bindings = RecurrentMaker(context), context.bindings(call)
    forward_layer, other = maker.wrapped(bindings.given("layer")), bindings.given("backward_layer")
    backward_layer = forward_layer if other.value is None else maker.wrapped(other)
    options = forward_layer.options
    if other.value is not None:
        _check_backward_layer(backward_layer, forward_layer, other)
    inner = maker.inner_name(forward_layer)
    forward_name, forward_cells = f"forward_{inner}", maker.cell_names(forward_layer)
    backward_name = f"backward_{inner if other.value is None else maker.inner_name(backward_layer)}"
    backward_cells = maker.cell_names(backward_layer)
    name = context.name(call, bindings, given_name)
    if operands is None:
        raise AlreadyReported
    source = one(call, operands)
    for half in (forward_layer, backward_layer):
        if half.options.given("initial_state").value is not None:
            raise CheckError(recurrent.inner_option(half.options, "initial_state", "Bidirectional", "both directions"))
    states = maker.initial_states(bindings.given("initial_state"), "Bidirectional", stateful=options.flag("stateful"))
    given = bool(states)
    forward, results = maker.recurrent(name, forward_name, f"{name}/{forward_name}", forward_cells, forward_layer, source, given)
    backward, others = maker.recurrent(name, backward_name, f"{name}/{backward_name}", backward_cells, backward_layer, source, given)
    backward = replace(backward, go_backwards=not forward.go_backwards)
    widths = [state.width for layer in (forward, backward) for state in layer.states]
    maker.check_states("Bidirectional", bindings.given("initial_state"), states, widths)
    mode = MergeMode(bindings.word("merge_mode") or "none")
    outputs = _merged_types(mode, call, results[0], replace(others[0], flipped=results[0].flipped))
    layer = Bidirectional(name, forward, backward, mode)
    halves = {"layer": forward_layer.data, "backward_layer": None if other.value is None else backward_layer.data}
    call_data = call_of("Bidirectional", bindings.values, **halves)
    return BuiltLayer(layer, (source, *states), (*outputs, *results[1:], *others[1:]), call_data)


def _merged_types(mode: MergeMode, call: ast.Call, forward: GraphTensor, backward: GraphTensor) -> tuple[GraphTensor, ...]:
    if mode is MergeMode.NONE:
        return forward, backward
    if mode is MergeMode.CONCAT:
        return (forward.with_features(forward.features + backward.features),)
    if forward.features != backward.features:
        problem = f"different numbers of features: {forward}, {backward}"
        raise CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer="Bidirectional", problem=problem))
    return (forward,)


def _check_backward_layer(backward: BoundLayer, forward: BoundLayer, given: LocatedValue) -> None:
    """Keras asks for the opposite direction, and for the same of what both must agree in."""
    if backward.options.flag("go_backwards") is forward.options.flag("go_backwards"):
        problem, which = ("goes backwards like the layer", "one") if forward.options.flag("go_backwards") else ("goes forwards", "it")
        raise CheckError(
            errors.layers.BackwardLayer(span=given.span, problem=problem, help=f"write `go_backwards = true` in {which} alone")
        )
    for option in ("return_sequences", "return_state", "stateful"):
        ours, theirs = (describe(half.options.flag(option)) for half in (backward, forward))
        if ours != theirs:
            secondary = (Label(forward.call.callee.span, f"has `{option} = {theirs}`"),)
            help_ = f"write `{option} = true` in both or in neither"
            raise CheckError(
                errors.layers.BackwardLayer(span=given.span, problem=f"has `{option} = {ours}`", secondary=secondary, help=help_)
            )


def _lower(tools: Tools, layer: Bidirectional, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Both directions in the order of the forward one: the backward half needs no flip, its tokens stay where they are."""
    flow, states = tools.packed(operands[0]), tools.rows(operands[1:])
    count, lowering = len(layer.forward.states) if states else 0, RecurrentLowering(tools)
    forward, *forward_states = lowering.recurrent(layer.forward, flow, states[:count])
    backward, *backward_states = lowering.recurrent(layer.backward, flow, states[count:])
    if isinstance(forward, PackedSequence) and isinstance(backward, PackedSequence):
        forward, backward = (replace(half, hold=False, flip=forward.flip) for half in (forward, backward))
    tools.observe(layer.forward.activity_regularizer, forward, *forward_states)
    tools.observe(layer.backward.activity_regularizer, backward, *backward_states)
    outputs: tuple[Computed, ...] = (forward, backward)
    if layer.merge_mode is not MergeMode.NONE:
        value = _merged(tools, layer.merge_mode, forward.value, backward.value)
        if isinstance(forward, PackedSequence) and isinstance(backward, PackedSequence):
            outputs = (replace(forward, value=value, fill=_merged(tools, layer.merge_mode, forward.fill, backward.fill)),)
        else:
            outputs = (RowValue(value),)
    return (*outputs, *forward_states, *backward_states)


def _merged(tools: Tools, mode: MergeMode, forward: Value, backward: Value) -> Value:
    b = tools.builder
    match mode:
        case MergeMode.CONCAT:
            return b.concat([forward, backward], 1)
        case MergeMode.SUM:
            return b.add(forward, backward)
        case MergeMode.MUL:
            return b.mul(forward, backward)
        case MergeMode.AVE:
            total = b.add(forward, backward)
            return b.mul(total, b.constant_like(0.5, total))
        case MergeMode.NONE:
            raise InternalError("a Bidirectional layer without a merge has no single value")
        case _:
            assert_never(mode)


def _stream_refusal(layer: Bidirectional, _: Application, __: Sequence[rules.StreamOperand]) -> str:
    return f"{layer.name} reads the sequence from its end as well"


def _states(layer: Bidirectional, _: Application, streaming: bool) -> tuple[StateSignature, ...]:
    return (*recurrent.states(layer.forward, streaming), *recurrent.states(layer.backward, streaming))


def _show(layer: Bidirectional) -> rules.Shown:
    """Each direction with its steps and weights."""
    lines: list[str] = []
    for half in (layer.forward, layer.backward):
        below = recurrent.show(half)
        lines += [f"{half.name}: {below.head}", *(INDENT + line for line in below.lines)]
    head = f"Bidirectional(merge_mode = {layer.merge_mode.value})"
    return rules.Shown(f"Bidirectional({layer.forward.kind})", head, tuple(lines))


def _results(layer: Bidirectional) -> tuple[str, ...]:
    halves = {"forward": layer.forward, "backward": layer.backward}
    states = [f"{way}/{state.name}" for way, half in halves.items() if half.return_state for state in half.states]
    outputs = [*halves] if layer.merge_mode is MergeMode.NONE else ["output"]
    return (*outputs, *states) if len(outputs) > 1 or states else ()


BIDIRECTIONAL = LayerRules(
    layer=Bidirectional,
    names=("Bidirectional",),
    check=OfCall(_check),
    lower=_lower,
    mask=lambda layer: recurrent.mask_of(layer.forward),
    masked_steps=rules.zero,
    packs=rules.own_steps,
    draws=lambda layer: recurrent.draws(layer.forward) or recurrent.draws(layer.backward),
    stream_refusal=_stream_refusal,
    states=_states,
    activities=lambda layer: (*recurrent.activities(layer.forward), *recurrent.activities(layer.backward)),
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show,
    results=_results,
)
