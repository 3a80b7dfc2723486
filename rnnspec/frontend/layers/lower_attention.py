"""Attention and Dot: every step of one sequence with every step of another, as pairs of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph.graph import StepMask, StepPairs
from rnnspec.frontend.graph.layers import Attention, Dot
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, PackedSequence, RowValue, over_steps
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH, Dim

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
        """For each query the sum over its pairs."""
        return self._builder.scatter_add(self._of_query, values, self.queries)

    def max(self, values: Value) -> Value:
        """For each query the largest over its pairs, no derivative: [queries, 1]."""
        builder = self._builder
        start = builder.constant(-math.inf, builder.tensor(values).with_shape((self.queries, 1)))
        scan = builder.scan(self.index, [builder.sort_rows(start, self.index)], [values], carried_names=["largest"], slice_names=["score"])
        result = scan.finish([scan.max(scan.carried[0], scan.slices[0])])
        return builder.stop_gradient(builder.restore_rows(result.finals[0], self.index))


def lower_attention(tools: Tools, layer: Attention, flows: Sequence[PackedSequence]) -> PackedSequence:
    """Softmax over each query's pairs; a query without any gives 0.

    In reversed order tokens stay where they are: the query's is the result's, and values and keys are in the same.
    """
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
    return replace(attended, flip=query.flip)


def lower_dot(tools: Tools, layer: Dot, flows: Sequence[Computed]) -> Computed:
    left, right = (_last_axis(tools, flow, axis) for flow, axis in zip(flows, layer.axes, strict=True))
    if layer.normalize:
        left, right = _normalized(tools, left), _normalized(tools, right)
    builder = tools.builder
    match left, right:
        case RowValue(), RowValue():
            return RowValue(builder.reduce_sum(builder.mul(left.value, right.value), 1))
        case PackedSequence(), PackedSequence():
            pairs = _PairsOf(tools, StepPairs(left.steps, right.steps, causal=False))
            product = pairs.product(left.value, right.value)
            width = index_type(pairs.index.type).time
            padded = builder.unpack(product, tools.constant(0.0, (1, 1)), pairs.index, hold=False, flip=False)
            return tools.sequence(builder.rearrange(padded, (pairs.queries, width)), left.steps)
        case (PackedSequence() as sequence, RowValue() as row) | (RowValue() as row, PackedSequence() as sequence):
            tokens = builder.mul(sequence.value, over_steps(builder, row.value, tools.index(sequence.steps)))
            padded = tools.padded(tools.sequence(builder.reduce_sum(tokens, 1), sequence.steps))
            return RowValue(builder.rearrange(padded, (BATCH, builder.tensor(padded).shape[1])))
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
