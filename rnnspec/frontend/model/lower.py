"""Layer graph to tensor IR: `@forward` over packed tokens, padded form at the entry and the exit only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Literal, TypeAlias, assert_never

from rnnspec.contract.dimensions import Tokens
from rnnspec.contract.location import UNKNOWN, told_with
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph.graph import Graph, StepMask, StepPairs, Windowed
from rnnspec.frontend.graph.layers import (
    Activation,
    Attention,
    BatchNormalization,
    Bidirectional,
    Convolution,
    Dense,
    Dot,
    Dropout,
    Embedding,
    GaussianNoise,
    GlobalPooling,
    Layer,
    LayerNormalization,
    LayerWeight,
    LocalPooling,
    Masking,
    Merge,
    MergeKind,
    Pointwise,
    PoolingKind,
    PReLU,
    Recurrent,
    RepeatVector,
    Reshaping,
    SpatialDropout,
    StepSoftmax,
    TimeDistributed,
)
from rnnspec.frontend.graph.regularized_outputs import activities, activity_regularizer
from rnnspec.frontend.layers.lower_attention import lower_attention, lower_dot
from rnnspec.frontend.layers.lower_normalization import BatchNormalizing, layer_normalized
from rnnspec.frontend.layers.lower_recurrent import RecurrentLowering
from rnnspec.frontend.layers.lower_steps import lower_join, lower_step_slopes, lower_step_softmax, sloped
from rnnspec.frontend.layers.lower_windows import lower_convolution, lower_local_pooling, lower_reshaping
from rnnspec.frontend.lowering.activations import emit
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.random_draws import Draws
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, PaddedSequence, RowValue, over_steps
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import BinaryKind, CompareKind, Function, Module, Result, Role, Value
from rnnspec.ir.types import BATCH, Dim, DType, TensorType

Precision: TypeAlias = Literal["float32", "float64"]

DTYPES: dict[str, DType] = {"float32": DType.F32, "float64": DType.F64}


ELEMENTWISE: Mapping[MergeKind, BinaryKind] = MappingProxyType(
    {
        MergeKind.ADD: BinaryKind.ADD,
        MergeKind.SUBTRACT: BinaryKind.SUB,
        MergeKind.MULTIPLY: BinaryKind.MUL,
        MergeKind.AVERAGE: BinaryKind.ADD,
        MergeKind.MAXIMUM: BinaryKind.MAX,
        MergeKind.MINIMUM: BinaryKind.MIN,
    }
)

NEUTRAL: Mapping[MergeKind, float] = MappingProxyType({MergeKind.MULTIPLY: 1.0, MergeKind.MAXIMUM: -math.inf, MergeKind.MINIMUM: math.inf})
"""What a masked step counts as beside one that is real."""


def lower(graph: Graph, *, dtype: Precision, training: bool, streaming: bool = False, activities: bool = False) -> Module:
    """The module of a model; `training`: what only training does is done; `streaming` carries every recurrent layer over calls.

    `activities`: what activity regularizers look at follows the outputs.
    """
    return Module(graph.model, (_Lowering(graph, DTYPES[dtype], training, streaming, activities).function(),))


class _Lowering:
    def __init__(self, graph: Graph, dtype: DType, training: bool, streaming: bool, activities: bool) -> None:
        self._graph = graph
        self._dtype = dtype
        self._training = training
        self._streaming = streaming
        self._activities: list[Value] | None = [] if activities else None
        self._b = Builder()
        self._weights: dict[str, Value] = {}
        self._flows: dict[int, Flow] = {}
        self._inputs: dict[str, Value] = {}
        self._masks: dict[str, Value] = {}
        self._numbers = {steps: number for number, steps in enumerate(graph.sequences())}
        self._indices: dict[StepMask | StepPairs, Value] = {}
        self._masked: dict[Windowed, Value] = {}

    def function(self) -> Function:
        self._parameters()
        for application in self._graph.applications:
            operands = [self._flows[operand.number] for operand in application.operands]
            with self._b.at(application.location), told_with(application.location):
                results = self._application(application.layer, operands)
                self._observe(application.layer, results)
            self._flows.update((value.number, flow) for value, flow in zip(application.results, results, strict=True))
        made = {value.number: application.location for application in self._graph.applications for value in application.results}
        outputs: list[tuple[str, Value]] = []
        for output in self._graph.outputs:
            with self._b.at(made.get(output.value.number, UNKNOWN)):
                outputs.append((output.name, self._exit(self._flows[output.value.number])))
        if self._activities is not None:
            outputs += [(activity.name, value) for activity, value in zip(activities(self._graph), self._activities, strict=True)]
        results = [Result(Role.OUTPUT, name, value) for name, value in outputs]
        results += [Result(Role.UPDATE, name, value) for name, value in self._batches.updates.items()]
        results += [Result(Role.STATE, name, value) for name, value in self._cells.states.items()]
        return self._b.function("forward", results)

    def _observe(self, layer: Layer, results: Sequence[Flow]) -> None:
        """Keeps what an activity regularizer looks at, as an output would be: masked steps with what they hold."""
        if self._activities is not None and activity_regularizer(layer) is not None:
            self._activities += [self._exit(result) for result in results]

    def _parameters(self) -> None:
        for source in self._graph.inputs:
            self._b.location = source.location
            type_ = source.value.type
            dtype = DType.I32 if type_.ids else self._dtype
            extents: tuple[Dim, ...] = (*type_.shape, 1) if type_.ids else type_.shape
            value = self._b.parameter(Role.INPUT, source.name, TensorType(dtype, (BATCH, *extents)))
            self._inputs[source.name] = value
            self._flows[source.value.number] = RowValue(value) if type_.steps is None else PaddedSequence(value, type_.steps)
            if type_.sequence:
                mask = TensorType(DType.I1, (BATCH, type_.shape[0]))
                self._masks[source.name] = self._b.parameter(Role.MASK, f"{source.name}.mask", mask)
        locations = {application.layer.name: application.location for application in reversed(self._graph.applications)}
        for owner, weight in ((layer, weight) for layer in self._graph.layers for weight in layer.weights):
            self._b.location = locations[owner.name]
            self._weights[weight.path] = self._b.parameter(Role.WEIGHT, weight.path, TensorType(self._dtype, _matrix_shape(weight)))
        self._b.location = UNKNOWN
        key = None
        if self._training and any(_draws(layer) for layer in self._graph.layers):
            key = self._b.parameter(Role.KEY, f"{self._graph.inputs[0].name}.key", TensorType(DType.I32, ()))
        self._draws = Draws(self._b, key)
        self._tools = Tools(self._b, self._weights, self._index, self._constant, self._activated, self._draws)
        self._batches = BatchNormalizing(self._tools, self._training)
        self._cells = RecurrentLowering(self._tools, self._dtype, self._streaming, self._observe)

    def _index(self, steps: StepMask | StepPairs) -> Value:
        """The packing index of a sequence's real steps, or of pairs of two sequences' steps."""
        if steps not in self._indices:
            tokens = Tokens(self._numbers[steps])
            if isinstance(steps, StepPairs):
                self._indices[steps] = self._b.pairs(self._index(steps.queries), self._index(steps.keys), tokens, causal=steps.causal)
                return self._indices[steps]
            self._indices[steps] = self._b.index(self._real(steps), tokens)
        return self._indices[steps]

    def _real(self, steps: StepMask) -> Value:
        """The mask of a sequence."""
        masks = [self._mask(name, values) for name, values in steps.sources]
        masks += [self._b.concat([self._real(part) for part in join], 1) for join in steps.joins]
        masks += [self._windowed(windows) for windows in steps.windows]
        mask = masks[0] if masks else self._b.constant(1.0, TensorType(DType.I1, (BATCH, steps.length)))
        for other in masks[1:]:
            mask = self._b.or_(mask, other)
        return mask

    def _windowed(self, over: Windowed) -> Value:
        """The mask of windows; each once, since there may be many ways to it."""
        if over not in self._masked:
            self._masked[over] = self._b.window_mask(self._real(over.steps), over.windows, flip=over.flip)
        return self._masked[over]

    def _mask(self, name: str, values: tuple[float, ...]) -> Value:
        mask = self._masks[name]
        for value in values:
            mask = self._b.and_(mask, self._b.mask(self._inputs[name], value))
        return mask

    def _computed(self, flow: Flow) -> Computed:
        """A flow that a layer computes with: an input's real steps, the others 0."""
        if not isinstance(flow, PaddedSequence):
            return flow
        tokens = self._b.pack(flow.value, self._index(flow.steps))
        return self._tools.sequence(tokens, flow.steps)

    def _application(self, layer: Layer, operands: Sequence[Flow]) -> tuple[Flow, ...]:
        match layer:
            case Masking():
                source = operands[0]
                if not isinstance(source, PaddedSequence):
                    raise InternalError(f"{layer.name} doesn't work on an input")
                return (PaddedSequence(source.value, source.steps.masking(layer.mask_value)),)
            case Embedding():
                return (self._embedding(layer, operands[0]),)
            case Recurrent():
                source, *states = map(self._computed, operands)
                return self._cells.recurrent(layer, _packed(layer, source), _rows(layer, states))
            case Bidirectional():
                source, *states = map(self._computed, operands)
                return self._cells.bidirectional(layer, _packed(layer, source), _rows(layer, states))
            case Dense() | Activation() | Dropout() | GaussianNoise() | LayerNormalization() | PReLU():
                return (self._pointwise(layer, self._computed(operands[0])),)
            case BatchNormalization():
                return (self._batches.normalized(layer, self._computed(operands[0])),)
            case StepSoftmax():
                return (lower_step_softmax(self._tools, _packed(layer, self._computed(operands[0]))),)
            case TimeDistributed():
                return (self._pointwise(layer.layer, self._computed(operands[0])),)
            case GlobalPooling():
                row = self._pooled(layer, _packed(layer, self._computed(operands[0])))
                return (self._at_each(StepMask((), 1), row) if layer.keepdims else row,)
            case RepeatVector():
                return (self._repeated(layer, self._computed(operands[0])),)
            case SpatialDropout():
                return (self._spatially_dropped(layer, _packed(layer, self._computed(operands[0]))),)
            case Merge(over_steps=True):
                return (lower_join(self._tools, [_packed(layer, self._computed(operand)) for operand in operands]),)
            case Merge():
                return (self._merge(layer, [self._computed(operand) for operand in operands]),)
            case Convolution():
                return (lower_convolution(self._tools, layer, _packed(layer, self._computed(operands[0]))),)
            case LocalPooling():
                return (lower_local_pooling(self._tools, layer, _packed(layer, self._computed(operands[0]))),)
            case Reshaping():
                return (lower_reshaping(self._tools, layer, self._computed(operands[0])),)
            case Attention():
                return (lower_attention(self._tools, layer, [_packed(layer, self._computed(operand)) for operand in operands]),)
            case Dot():
                return (lower_dot(self._tools, layer, [self._computed(operand) for operand in operands]),)
            case _:
                assert_never(layer)

    def _embedding(self, layer: Embedding, flow: Flow) -> PackedSequence:
        if not isinstance(flow, PaddedSequence):
            raise InternalError(f"{layer.name} doesn't work on an input")
        steps = flow.steps.masking(0.0) if layer.mask_zero else flow.steps
        tokens = self._b.pack(flow.value, self._index(steps))
        table = self._weights[layer.table.path]
        fill = self._b.split(table, [1, layer.input_dim - 1], 0)[0] if layer.input_dim > 1 else table
        return PackedSequence(self._b.take(table, tokens), fill, steps)

    def _merge(self, layer: Merge, flows: Sequence[Computed]) -> Computed:
        """Sequences are packed anew where they mask different steps."""
        packed = [flow for flow in flows if isinstance(flow, PackedSequence)]
        if not packed:
            return RowValue(self._joined(layer.kind, [flow.value for flow in flows]))
        steps = packed[0].steps
        for flow in packed[1:]:
            steps = steps.either(flow.steps)
        first, zero = packed[0], self._constant(0.0, (1, self._tools.width(packed[0].value)))
        if any(flow.steps != steps for flow in packed):
            value = self._joined(layer.kind, [self._repacked(layer.kind, flow, steps) for flow in packed])
            if layer.kind in NEUTRAL:
                return PackedSequence(value, zero, steps, flip=first.flip)
        else:
            value = self._joined(layer.kind, [flow.value for flow in packed])
            if layer.kind is MergeKind.MULTIPLY:
                return PackedSequence(value, zero, steps, flip=first.flip)
        fill = self._joined(layer.kind, [flow.fill for flow in packed])
        every = None
        if any(flow.every is not None for flow in packed):
            every = self._joined(layer.kind, [self._tools.on_steps(flow, self._tools.every_step(flow)) for flow in packed])
        return PackedSequence(value, fill, steps, hold=all(flow.hold for flow in packed), flip=first.flip, every=every)

    def _repacked(self, kind: MergeKind, flow: PackedSequence, steps: StepMask) -> Value:
        """The tokens of wider steps: what a sequence masks is what it holds there, but where that would decide the result."""
        if flow.steps == steps:
            return flow.value
        neutral = NEUTRAL.get(kind)
        if neutral is None:
            return self._tools.on_steps(flow, steps)
        fill = self._constant(neutral, (1, self._tools.width(flow.value)))
        padded = self._b.unpack(flow.value, fill, self._index(flow.steps), hold=False, flip=False)
        return self._b.pack(padded, self._index(steps))

    def _joined(self, kind: MergeKind, values: Sequence[Value]) -> Value:
        if kind is MergeKind.CONCATENATE:
            return self._b.concat(values, 1)
        total = values[0]
        for value in values[1:]:
            total = self._b.binary(ELEMENTWISE[kind], total, value)
        return self._b.mul(total, self._b.constant_like(1.0 / len(values), total)) if kind is MergeKind.AVERAGE else total

    def _pointwise(self, layer: Pointwise, flow: Computed) -> Computed:
        """Every step for itself, the padded ones too: what they hold goes through the layer like the rest, but for what is drawn."""
        if isinstance(layer, Dropout):
            return self._drawn(flow, self._draws.dropped(layer.rate, flow.value))
        if isinstance(layer, GaussianNoise):
            return self._drawn(flow, self._draws.noisy(layer.stddev, flow.value))
        if isinstance(flow, RowValue):
            return RowValue(self._at_every_step(layer, flow.value))
        if isinstance(layer, PReLU) and layer.over_steps:
            return lower_step_slopes(self._tools, layer, flow)
        return flow.through(partial(self._at_every_step, layer))

    def _drawn(self, flow: Computed, value: Value) -> Computed:
        """A flow after a draw, which may have been none."""
        if value is flow.value:
            return flow
        return RowValue(value) if isinstance(flow, RowValue) else self._tools.with_tokens(flow, value)

    def _at_every_step(self, layer: Dense | Activation | LayerNormalization | PReLU, value: Value) -> Value:
        match layer:
            case Dense():
                return self._dense(layer, value)
            case Activation():
                return self._activated(layer.activation, value)
            case LayerNormalization():
                return layer_normalized(self._b, layer, value, self._weights)
            case PReLU():
                alpha = self._b.reshape(self._weights[layer.alpha.path], (layer.alpha.shape[-1],))
                return sloped(self._b, value, self._b.broadcast_like(alpha, value))
            case _:
                assert_never(layer)

    def _pooled(self, layer: GlobalPooling, flow: PackedSequence) -> RowValue:
        """A scan that carries the sum or the maximum, and how many steps there were."""
        index, width = self._index(flow.steps), self._tools.width(flow.value)
        start = self._constant(0.0 if layer.kind is PoolingKind.AVERAGE else -math.inf, (BATCH, width))
        inits = [self._b.sort_rows(init, index) for init in (start, self._constant(0.0, (BATCH, 1)))]
        scan = self._b.scan(index, inits, [flow.value], carried_names=["pooled", "count"], slice_names=["x"])
        (pooled, count), (x,) = scan.carried, scan.slices
        after = scan.add(pooled, x) if layer.kind is PoolingKind.AVERAGE else scan.max(pooled, x)
        result = scan.finish([after, scan.add(count, scan.constant_like(1.0, count))])
        total, counted = (self._b.restore_rows(final, index) for final in result.finals)
        ones = self._b.constant_like(1.0, counted)
        if layer.kind is PoolingKind.AVERAGE:
            return RowValue(self._b.div(total, self._b.broadcast_like(self._b.max(counted, ones), total)))
        some = self._b.compare(CompareKind.GE, self._b.broadcast_like(counted, total), self._b.broadcast_like(ones, total))
        return RowValue(self._b.select(some, total, self._b.constant_like(0.0, total)))

    def _repeated(self, layer: RepeatVector, flow: Computed) -> PackedSequence:
        if isinstance(flow, PackedSequence):
            raise InternalError(f"{layer.name} got a sequence")
        return self._at_each(StepMask((), layer.count), flow)

    def _at_each(self, steps: StepMask, row: RowValue) -> PackedSequence:
        """A sequence of unmasked steps, each of them the row."""
        return self._tools.sequence(over_steps(self._b, row.value, self._index(steps)), steps)

    def _spatially_dropped(self, layer: SpatialDropout, flow: PackedSequence) -> PackedSequence:
        if not self._draws.drops(layer.rate):
            return flow
        row = self._draws.dropped(layer.rate, self._constant(1.0, (BATCH, self._tools.width(flow.value))))
        return self._tools.with_tokens(flow, self._b.mul(flow.value, over_steps(self._b, row, self._index(flow.steps))))

    def _dense(self, layer: Dense, value: Value) -> Value:
        result = self._b.matmul(value, self._weights[layer.kernel.path])
        if layer.bias is not None:
            result = self._b.add(result, self._b.broadcast_like(self._weights[layer.bias.path], result))
        return self._activated(layer.activation, result)

    def _activated(self, activation: Config, value: Value) -> Value:
        return emit(self._b, activation.name, activation.arguments, value)

    def _exit(self, flow: Flow) -> Value:
        match flow:
            case RowValue():
                return flow.value
            case PackedSequence():
                return self._tools.padded(flow)
            case PaddedSequence():
                return self._exit(self._computed(flow))

    def _constant(self, value: float, shape: tuple[Dim, ...]) -> Value:
        return self._b.constant(value, TensorType(self._dtype, shape))


def _draws(layer: Layer) -> bool:
    match layer:
        case Dropout() | SpatialDropout() | Attention():
            return layer.rate > 0
        case GaussianNoise():
            return layer.stddev > 0
        case Recurrent():
            return any(cell.dropout > 0 or cell.recurrent_dropout > 0 for cell in layer.cells)
        case Bidirectional():
            return _draws(layer.forward) or _draws(layer.backward)
        case TimeDistributed():
            return _draws(layer.layer)
        case _:
            return False


def _matrix_shape(weight: LayerWeight) -> tuple[int, ...]:
    """A kernel over several steps has their rows below each other."""
    shape = weight.shape
    if weight.flat:
        return (prod(shape),)
    return (prod(shape[:-1]), shape[-1]) if len(shape) > 2 else shape


def _packed(layer: Layer, flow: Computed) -> PackedSequence:
    if isinstance(flow, PackedSequence):
        return flow
    raise InternalError(f"{layer.name} got a row")


def _rows(layer: Layer, flows: Sequence[Computed]) -> list[Value]:
    if any(isinstance(flow, PackedSequence) for flow in flows):
        raise InternalError(f"{layer.name} got a sequence for a state")
    return [flow.value for flow in flows]
