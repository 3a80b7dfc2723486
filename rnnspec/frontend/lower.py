"""Layer graph to tensor IR: `@forward` over packed tokens, padded form at the entry and the exit only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.activations import emit
from rnnspec.frontend.graph import (
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Layer,
    Masking,
    MergeMode,
    Recurrent,
    gives_two,
    output_names,
)
from rnnspec.frontend.lower_step import StepLowering
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import CompareKind, Function, Module, Result, Role, Value
from rnnspec.ir.types import BATCH, Dim, DType, TensorType
from rnnspec.runtime.signature import Configured

Precision: TypeAlias = Literal["float32", "float64"]

DTYPES: dict[str, DType] = {"float32": DType.F32, "float64": DType.F64}


@dataclass(frozen=True, slots=True)
class Row:
    """A row value, [batch, w] in the caller's order."""

    value: Value


@dataclass(frozen=True, slots=True)
class Packed:
    """A sequence, [tokens, w], with what its masked steps hold once it is padded again.

    `fill` ([1, w]) is what they hold, or with `hold` what those before the first real step do, the
    others repeating the last real step. `flip`: in reversed time order; the tokens stay where they are.
    """

    value: Value
    fill: Value
    hold: bool = False
    flip: bool = False


Flow: TypeAlias = Row | Packed


def lower(graph: Graph, *, dtype: Precision, training: bool) -> Module:
    """The module of a model; `training` makes dropout drop."""
    return Module(graph.model, (_Lowering(graph, DTYPES[dtype], training).function(),))


class _Lowering:
    def __init__(self, graph: Graph, dtype: DType, training: bool) -> None:
        self._graph = graph
        self._dtype = dtype
        self._training = training
        self._b = Builder()
        self._weights: dict[str, Value] = {}
        self._index: Value | None = None
        self._key: Value | None = None
        self._streams = 0

    def function(self) -> Function:
        padded, mask = self._parameters()
        flow, layers = self._entry(padded, mask)
        outputs: tuple[Flow, ...] = (flow,)
        for layer in layers:
            outputs = self._directions(layer, outputs[0]) if gives_two(layer) else (self._layer(layer, outputs[0]),)
        names = output_names(self._graph)
        return self._b.function("forward", [Result(Role.OUTPUT, *each) for each in zip(names, map(self._exit, outputs), strict=True)])

    def _parameters(self) -> tuple[Value, Value | None]:
        source = self._graph.input
        dtype = DType.I32 if source.value.ids else self._dtype
        extents: tuple[Dim, ...] = (*source.value.shape, 1) if source.value.ids else source.value.shape
        padded = self._b.parameter(Role.INPUT, source.name, TensorType(dtype, (BATCH, *extents)))
        mask = None
        if source.value.sequence:
            type_ = TensorType(DType.I1, (BATCH, source.value.shape[0]))
            mask = self._b.parameter(Role.MASK, f"{source.name}.mask", type_)
        for layer in self._graph.layers:
            for weight in layer.weights:
                self._weights[weight.path] = self._b.parameter(Role.WEIGHT, weight.path, TensorType(self._dtype, weight.shape))
        if self._training and any(isinstance(layer, Dropout) and layer.rate for layer in self._graph.layers):
            self._key = self._b.parameter(Role.KEY, f"{source.name}.key", TensorType(DType.I32, ()))
        return padded, mask

    def _entry(self, padded: Value, mask: Value | None) -> tuple[Flow, tuple[Layer, ...]]:
        """What flows into the first layer that computes, and the layers from there on: masks are found on the padded input."""
        layers = self._graph.layers
        if mask is None:
            return Row(padded), layers
        first = 0
        while first < len(layers) and isinstance(masking := layers[first], Masking):
            mask = self._b.and_(mask, self._b.mask(padded, masking.mask_value))
            first += 1
        if first < len(layers) and isinstance(embedding := layers[first], Embedding) and embedding.mask_zero:
            mask = self._b.and_(mask, self._b.mask(padded, 0.0))
        self._index = self._b.index(mask)
        tokens = self._b.pack(padded, self._index)
        if first < len(layers) and isinstance(embedding := layers[first], Embedding):
            table = self._weights[embedding.table.path]
            fill = self._b.split(table, [1, embedding.input_dim - 1], 0)[0] if embedding.input_dim > 1 else table
            return Packed(self._b.take(table, tokens), fill), layers[first + 1 :]
        return Packed(tokens, self._constant(0.0, (1, self._width(tokens)))), layers[first:]

    def _layer(self, layer: Layer, flow: Flow) -> Flow:
        match layer:
            case Embedding() | Masking():
                raise InternalError(f"{layer.name} isn't at the model's entry")
            case Recurrent():
                return self._recurrent(layer, _packed(layer, flow), backwards=layer.go_backwards)
            case Bidirectional():
                return self._bidirectional(layer, flow)
            case Dense():
                return self._pointwise(flow, lambda value: self._dense(layer, value))
            case Activation():
                return self._pointwise(flow, lambda value: self._activated(layer.activation, value))
            case Dropout():
                return replace(flow, value=self._dropped(layer, flow.value))
            case _:
                assert_never(layer)

    def _pointwise(self, flow: Flow, function: Callable[[Value], Value]) -> Flow:
        """Every step for itself, the padded ones too: what they hold goes through the layer like the rest."""
        if isinstance(flow, Row):
            return Row(function(flow.value))
        return replace(flow, value=function(flow.value), fill=function(flow.fill))

    def _dense(self, layer: Dense, value: Value) -> Value:
        result = self._b.matmul(value, self._weights[layer.kernel.path])
        if layer.bias is not None:
            bias = self._b.broadcast(self._weights[layer.bias.path], self._b.tensor(result).shape)
            result = self._b.add(result, bias)
        return self._activated(layer.activation, result)

    def _activated(self, activation: Configured, value: Value) -> Value:
        return emit(self._b, activation.name, activation.arguments, value)

    def _dropped(self, layer: Dropout, value: Value) -> Value:
        if self._key is None or not layer.rate:
            return value
        shape = self._b.tensor(value)
        numbers = self._b.random(self._key, self._streams, shape)
        self._streams += 1
        kept = self._b.compare(CompareKind.GE, numbers, self._b.constant_like(layer.rate, numbers))
        scaled = self._b.mul(value, self._b.constant_like(1.0 / (1.0 - layer.rate), value))
        return self._b.select(kept, scaled, self._b.constant_like(0.0, value))

    def _recurrent(self, layer: Recurrent, flow: Packed, *, backwards: bool) -> Flow:
        """A scan over the flow. A flipped flow is walked from its end to go forwards in its own order."""
        index, step = self._index_of(layer), layer.step
        widths = [state.width for state in step.states]
        names = [state.name for state in step.states]
        inits = [self._b.sort_rows(self._constant(0.0, (BATCH, width)), index) for width in widths]
        if not layer.return_sequences:
            inits.append(self._b.sort_rows(self._constant(0.0, (BATCH, step.width)), index))
            names = [*names, "y"]
        reverse = backwards is not flow.flip
        scan = self._b.scan(index, inits, [flow.value], reverse=reverse, carried_names=names, slice_names=["x"])
        values = {state.name: value for state, value in zip(step.states, scan.carried, strict=False)}
        weights = {own.name: self._weights[full.path] for own, full in zip(step.weights, layer.weights, strict=True)}
        after, output = StepLowering(scan, self._dtype, weights, {**values, "x": scan.slices[0]}).run(step)
        finals = [f"{name}_final" for name in names]
        if not layer.return_sequences:
            result = scan.finish([*after, output], final_names=finals)
            return Row(self._b.restore_rows(result.finals[-1], index))
        result = scan.finish(after, [output], final_names=finals, stack_names=[f"{layer.name}/output"])
        fill = self._constant(0.0, (1, step.width))
        return Packed(result.stacks[0], fill, hold=not layer.zero_output_for_mask, flip=reverse)

    def _directions(self, layer: Bidirectional, flow: Flow) -> tuple[Flow, Flow]:
        """Both directions in the flow's own order: the backward half needs no flip, its tokens stay where they are."""
        source = _packed(layer, flow)
        halves = (
            self._recurrent(layer.forward, source, backwards=False),
            self._recurrent(layer.backward, source, backwards=True),
        )
        forward, backward = (half if isinstance(half, Row) else replace(half, hold=False, flip=source.flip) for half in halves)
        return forward, backward

    def _bidirectional(self, layer: Bidirectional, flow: Flow) -> Flow:
        forward, backward = self._directions(layer, flow)
        value = self._merged(layer.merge_mode, forward.value, backward.value)
        if isinstance(forward, Packed) and isinstance(backward, Packed):
            return replace(forward, value=value, fill=self._merged(layer.merge_mode, forward.fill, backward.fill))
        return Row(value)

    def _merged(self, mode: MergeMode, forward: Value, backward: Value) -> Value:
        match mode:
            case MergeMode.CONCAT:
                return self._b.concat([forward, backward], 1)
            case MergeMode.SUM:
                return self._b.add(forward, backward)
            case MergeMode.MUL:
                return self._b.mul(forward, backward)
            case MergeMode.AVE:
                total = self._b.add(forward, backward)
                return self._b.mul(total, self._b.constant_like(0.5, total))
            case MergeMode.NONE:
                raise InternalError("a Bidirectional layer without a merge has no single value")
            case _:
                assert_never(mode)

    def _exit(self, flow: Flow) -> Value:
        if isinstance(flow, Row):
            return flow.value
        if self._index is None:
            raise InternalError("a sequence without an index")
        return self._b.unpack(flow.value, flow.fill, self._index, hold=flow.hold, flip=flow.flip)

    def _index_of(self, layer: Layer) -> Value:
        if self._index is None:
            raise InternalError(f"{layer.name} has no sequence")
        return self._index

    def _constant(self, value: float, shape: tuple[Dim, ...]) -> Value:
        return self._b.constant(value, TensorType(self._dtype, shape))

    def _width(self, value: Value) -> Dim:
        return self._b.tensor(value).shape[-1]


def _packed(layer: Layer, flow: Flow) -> Packed:
    if isinstance(flow, Packed):
        return flow
    raise InternalError(f"{layer.name} got a row")
