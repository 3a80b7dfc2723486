"""Attention and Dot: every step of one sequence with every step of another, as pairs of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnspec.contract.dimensions import Dim
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask, StepPairs
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskFate, MaskRule, OfSeveral, Packing
from rnnspec.frontend.layers.show import flag, option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, RowValue, over_steps
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH

SMALL = 1e-7
"""Keras's `backend.epsilon()`: the least length that `normalize` divides by."""


class _PairsOf:
    """Two sequences' tokens, pair by pair."""

    def __init__(self, tools: Tools, pairs: StepPairs) -> None:
        self._builder = tools.builder
        queries, keys = tools.index(pairs.queries), tools.index(pairs.keys)
        self.index = tools.index(pairs)
        self._of_query, self._of_key = (self._builder.pair_tokens(self.index, queries, keys, of_keys=of_keys) for of_keys in (False, True))
        self.queries: Dim = index_type(queries.type).tokens

    def query(self, tokens: Value) -> Value:
        return self._builder.take(tokens, self._of_query)

    def key(self, tokens: Value) -> Value:
        return self._builder.take(tokens, self._of_key)

    def product(self, queries: Value, keys: Value) -> Value:
        """[pairs, 1]."""
        return self._builder.reduce_sum(self._builder.mul(self.query(queries), self.key(keys)), 1)

    def sum(self, values: Value) -> Value:
        """The sum over each query's pairs, [queries, w]."""
        return self._builder.scatter_add(self._of_query, values, self.queries)

    def max(self, values: Value) -> Value:
        """The maximum over each query's pairs, [queries, 1], without a derivative."""
        builder = self._builder
        start = builder.constant(-math.inf, builder.tensor(values).with_shape((self.queries, 1)))
        scan = builder.scan(self.index, [builder.sort_rows(start, self.index)], [values], carried_names=["largest"], slice_names=["score"])
        result = scan.finish([scan.max(scan.carried[0], scan.slices[0])])
        return builder.stop_gradient(builder.restore_rows(result.finals[0], self.index))


@frozen
class Attention(Layer):
    """Luong et al. 2015: each query's mean over the values, weighted by the softmax of its products with their keys.

    Takes the queries, the values, and the keys if they aren't the values. Masked values aren't seen, masked queries give 0.
    """

    scale: LayerWeight | None
    causal: bool
    rate: float


def _check_attention(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
    for operand in operands:
        checks.numbers(call, operand)
        checks.sequence(call, operand)
    types = [operand.type for operand in operands]
    shown_types = ", ".join(map(str, types))

    def misfit(problem: str, help_: str = "") -> CheckError:
        return CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer="Attention", problem=problem, help=help_))

    if len(types) not in (2, 3):
        raise misfit(
            f"expects two values or three, got {len(types)}", "write `[query, value] -> Attention()` or `[query, value, key] -> ...`"
        )
    query, value, key = types[0], types[1], types[-1]
    if query.features != key.features:
        raise misfit(f"queries and keys have different numbers of features: {shown_types}")
    if value.shape[0] != key.shape[0]:
        raise misfit(f"values and keys have different lengths: {shown_types}", "the same name of a dimension is the same length")
    causal = bindings.flag("use_causal_mask")
    if (value.flipped or key.flipped) and (value.flipped, value.steps) != (key.flipped, key.steps):
        what = "Attention of values and keys in different orders, or in reversed order with different masks,"
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what=what))
    if causal and (query.flipped or value.flipped):
        raise CheckError(errors.syntax.NotYet(span=call.callee.span, what="`use_causal_mask` for a sequence in reversed order"))
    scale = checks.plain_weight(name, "scale", (), Config("ones"), call) if bindings.flag("use_scale") else None
    layer = Attention(name, scale, causal, bindings.real("dropout"))
    return BuiltLayer(layer, operands, (query.with_features(value.features).by(name),))


def _lower_attention(tools: Tools, layer: Attention, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Softmax over each query's pairs; a query without any gives 0.

    In reversed order tokens stay where they are: the query's is the result's, and values and keys are in the same.
    """
    flows = [tools.packed(operand) for operand in operands]
    builder, query, value, key = tools.builder, flows[0], flows[1], flows[-1]
    pairs = _PairsOf(tools, StepPairs(query.steps, value.steps, layer.causal))
    keys = key.value if key.steps == value.steps else tools.on_steps(key, value.steps)
    scores = pairs.product(query.value, keys)
    if layer.scale is not None:
        scores = builder.mul(scores, builder.broadcast_like(tools.weights[layer.scale.path], scores))
    powers = builder.exp(builder.sub(scores, pairs.query(pairs.max(scores))))
    weights = tools.draws.dropped(layer.rate, builder.div(powers, pairs.query(pairs.sum(powers))))
    values = pairs.key(value.value)
    attended = tools.sequence(pairs.sum(builder.mul(builder.broadcast_like(weights, values), values)), query.steps)
    return (replace(attended, flip=query.flip),)


def _packs_attention(layer: Attention, application: Application) -> Iterator[Packing]:
    yield from rules.own_steps(layer, application)
    queries, values = (operand.type.steps for operand in application.operands[:2])
    if queries is not None and values is not None:
        yield StepPairs(queries, values, layer.causal)


def _show_attention(layer: Attention) -> rules.Shown:
    options = flag("use_scale", layer.scale is not None), flag("use_causal_mask", layer.causal), flag("dropout", layer.rate)
    return shown(layer, "Attention", *options)


ATTENTION = LayerRules(
    layer=Attention,
    names=("Attention",),
    check=OfSeveral(_check_attention),
    lower=_lower_attention,
    mask=lambda _: MaskRule(MaskFate.ATTENDED, MaskAdvice.CONSUME),
    masked_steps=rules.zero,
    packs=_packs_attention,
    draws=lambda layer: layer.rate > 0,
    stream_refusal=rules.needs_whole,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show_attention,
    results=rules.one_result,
)


@frozen
class Dot(Layer):
    """Products over one axis of each of two values, 0 being the first after the batch."""

    axes: tuple[int, int]
    normalize: bool


def _check_dot(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
    for operand in operands:
        checks.numbers(call, operand)
    types = [operand.type for operand in operands]
    shown_types = ", ".join(map(str, types))

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
        raise misfit(f"the axes have different lengths: {shown_types}")
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


def _lower_dot(tools: Tools, layer: Dot, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flows = [tools.computed(operand) for operand in operands]
    left, right = (_last_axis(tools, flow, axis) for flow, axis in zip(flows, layer.axes, strict=True))
    if layer.normalize:
        left, right = _normalized(tools, left), _normalized(tools, right)
    builder = tools.builder
    match left, right:
        case RowValue(), RowValue():
            return (RowValue(builder.reduce_sum(builder.mul(left.value, right.value), 1)),)
        case PackedSequence(), PackedSequence():
            pairs = _PairsOf(tools, StepPairs(left.steps, right.steps, causal=False))
            product = pairs.product(left.value, right.value)
            width = index_type(pairs.index.type).time
            padded = builder.unpack(product, tools.constant(0.0, (1, 1)), pairs.index, hold=False, flip=False)
            return (tools.sequence(builder.rearrange(padded, (pairs.queries, width)), left.steps),)
        case (PackedSequence() as sequence, RowValue() as row) | (RowValue() as row, PackedSequence() as sequence):
            tokens = builder.mul(sequence.value, over_steps(builder, row.value, tools.index(sequence.steps)))
            padded = tools.padded(tools.sequence(builder.reduce_sum(tokens, 1), sequence.steps))
            return (RowValue(builder.rearrange(padded, (BATCH, builder.tensor(padded).shape[1]))),)
        case _:
            raise InternalError(f"{layer.name} takes two values")


def _last_axis(tools: Tools, flow: Computed, axis: int) -> Computed:
    """The value with the axis that products are taken over as its features, every step of it real."""
    if isinstance(flow, RowValue):
        return flow
    time = index_type(tools.index(flow.steps).type).time
    if axis == 1:
        steps = StepMask((), time)
        return tools.sequence(tools.on_steps(flow, steps), steps)
    padded = tools.padded(flow)
    steps = StepMask((), tools.builder.tensor(padded).shape[2])
    turned = tools.builder.rearrange(padded, (BATCH, steps.length, time), transpose=True)
    return tools.sequence(tools.builder.pack(turned, tools.index(steps)), steps)


def _normalized(tools: Tools, flow: Computed) -> Computed:
    """Each vector divided by its length, as Keras does it."""
    builder, value = tools.builder, flow.value
    squares = builder.reduce_sum(builder.mul(value, value), 1)
    length = builder.sqrt(builder.max(squares, builder.constant_like(SMALL * SMALL, squares)))
    result = builder.div(value, builder.broadcast_like(length, value))
    return RowValue(result) if isinstance(flow, RowValue) else tools.sequence(result, flow.steps)


def _packs_dot(layer: Dot, application: Application) -> Iterator[Packing]:
    """The other axis of each sequence takes the place of its steps, all of them real."""
    yield from rules.own_steps(layer, application)
    types = [operand.type for operand in application.operands]
    steps = [StepMask((), type_.shape[1 - axis]) for type_, axis in zip(types, layer.axes, strict=True) if type_.sequence]
    yield from steps
    if len(steps) == 2:
        yield StepPairs(steps[0], steps[1], causal=False)


def _show_dot(layer: Dot) -> rules.Shown:
    return shown(layer, "Dot", option("axes", tuple(axis + 1 for axis in layer.axes)), option("normalize", layer.normalize))


DOT = LayerRules(
    layer=Dot,
    names=("Dot",),
    check=OfSeveral(_check_dot),
    lower=_lower_dot,
    mask=rules.drops,
    masked_steps=rules.none_masked,
    packs=_packs_dot,
    draws=rules.draws_nothing,
    stream_refusal=rules.needs_whole,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show_dot,
    results=rules.one_result,
)
