"""Layer graph to tensor IR: `@forward` over packed tokens, padded form at the entry and the exit only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.activations import emit
from rnnspec.frontend.activities import activities, activity_regularizer
from rnnspec.frontend.graph import (
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GlobalPooling,
    Graph,
    Layer,
    LayerNormalization,
    Masking,
    Merge,
    MergeKind,
    MergeMode,
    Pointwise,
    PoolingKind,
    PReLU,
    Recurrent,
    RepeatVector,
    SpatialDropout,
    Steps,
    TimeDistributed,
)
from rnnspec.frontend.lower_step import StepLowering, gates_of
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import BinaryKind, CompareKind, Function, Module, Result, Role, Value
from rnnspec.ir.types import BATCH, TOKENS, Dim, DType, TensorType
from rnnspec.runtime.signature import Configured

Precision: TypeAlias = Literal["float32", "float64"]

DTYPES: dict[str, DType] = {"float32": DType.F32, "float64": DType.F64}


@dataclass(frozen=True, slots=True)
class Row:
    """A row value, [batch, w] in the caller's order."""

    value: Value


@dataclass(frozen=True, slots=True)
class Padded:
    """An input's sequence as it was given, [batch, time, w]; packed by what uses it."""

    value: Value
    steps: Steps


@dataclass(frozen=True, slots=True)
class Packed:
    """A sequence, [tokens, w], with what its masked steps hold once it is padded again.

    `fill` ([1, w]) is what they hold, or with `hold` what those before the first real step do, the
    others repeating the last real step. `flip`: in reversed time order; the tokens stay where they are.
    """

    value: Value
    fill: Value
    steps: Steps
    hold: bool = False
    flip: bool = False


Computed: TypeAlias = Row | Packed
Flow: TypeAlias = Row | Padded | Packed

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
    """The module of a model; `training` makes dropout drop, `streaming` carries every recurrent layer over calls.

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
        self._states: dict[str, Value] = {}
        """What is carried over calls, as it is after the layers so far."""
        self._weights: dict[str, Value] = {}
        self._flows: dict[int, Flow] = {}
        self._inputs: dict[str, Value] = {}
        self._masks: dict[str, Value] = {}
        self._numbers = {steps: number for number, steps in enumerate(graph.sequences())}
        self._indices: dict[Steps, Value] = {}
        self._key: Value | None = None
        self._streams = 0

    def function(self) -> Function:
        self._parameters()
        for application in self._graph.applications:
            operands = [self._flows[operand.number] for operand in application.operands]
            results = self._application(application.layer, operands)
            self._observe(application.layer, results)
            self._flows.update((value.number, flow) for value, flow in zip(application.results, results, strict=True))
        outputs = [(output.name, self._exit(self._flows[output.value.number])) for output in self._graph.outputs]
        if self._activities is not None:
            outputs += [(activity.name, value) for activity, value in zip(activities(self._graph), self._activities, strict=True)]
        results = [Result(Role.OUTPUT, name, value) for name, value in outputs]
        return self._b.function("forward", [*results, *(Result(Role.STATE, name, value) for name, value in self._states.items())])

    def _observe(self, layer: Layer, results: Sequence[Flow]) -> None:
        """Keeps what an activity regularizer looks at, as an output would be: masked steps with what they hold."""
        if self._activities is not None and activity_regularizer(layer) is not None:
            self._activities += [self._exit(result) for result in results]

    def _parameters(self) -> None:
        for source in self._graph.inputs:
            type_ = source.value.type
            dtype = DType.I32 if type_.ids else self._dtype
            extents: tuple[Dim, ...] = (*type_.shape, 1) if type_.ids else type_.shape
            value = self._b.parameter(Role.INPUT, source.name, TensorType(dtype, (BATCH, *extents)))
            self._inputs[source.name] = value
            self._flows[source.value.number] = Row(value) if type_.steps is None else Padded(value, type_.steps)
            if type_.sequence:
                mask = TensorType(DType.I1, (BATCH, type_.shape[0]))
                self._masks[source.name] = self._b.parameter(Role.MASK, f"{source.name}.mask", mask)
        for weight in self._graph.weights:
            self._weights[weight.path] = self._b.parameter(Role.WEIGHT, weight.path, TensorType(self._dtype, weight.shape))
        if self._training and any(_drops(layer) for layer in self._graph.layers):
            self._key = self._b.parameter(Role.KEY, f"{self._graph.inputs[0].name}.key", TensorType(DType.I32, ()))

    def _index(self, steps: Steps) -> Value:
        """The packing index of a sequence's real steps."""
        if steps not in self._indices:
            masks = [self._mask(name, values) for name, values in steps.sources]
            mask = masks[0] if masks else self._b.constant(1.0, TensorType(DType.I1, (BATCH, steps.length)))
            for other in masks[1:]:
                mask = self._b.or_(mask, other)
            number = self._numbers[steps]
            self._indices[steps] = self._b.index(mask, f"{TOKENS}_{number}" if number else TOKENS)
        return self._indices[steps]

    def _mask(self, name: str, values: tuple[float, ...]) -> Value:
        mask = self._masks[name]
        for value in values:
            mask = self._b.and_(mask, self._b.mask(self._inputs[name], value))
        return mask

    def _computed(self, flow: Flow) -> Computed:
        """A flow that a layer computes with: an input's real steps, the others 0."""
        if not isinstance(flow, Padded):
            return flow
        tokens = self._b.pack(flow.value, self._index(flow.steps))
        return Packed(tokens, self._constant(0.0, (1, self._width(tokens))), flow.steps)

    def _application(self, layer: Layer, operands: Sequence[Flow]) -> tuple[Flow, ...]:
        match layer:
            case Masking():
                source = operands[0]
                if not isinstance(source, Padded):
                    raise InternalError(f"{layer.name} doesn't work on an input")
                return (Padded(source.value, source.steps.masking(layer.mask_value)),)
            case Embedding():
                return (self._embedding(layer, operands[0]),)
            case Recurrent():
                source, *states = map(self._computed, operands)
                return self._recurrent(layer, _packed(layer, source), _rows(layer, states), backwards=layer.go_backwards)
            case Bidirectional():
                source, *states = map(self._computed, operands)
                return self._bidirectional(layer, _packed(layer, source), _rows(layer, states))
            case Dense() | Activation() | Dropout() | LayerNormalization() | PReLU():
                return (self._pointwise(layer, self._computed(operands[0])),)
            case TimeDistributed():
                return (self._pointwise(layer.layer, self._computed(operands[0])),)
            case GlobalPooling():
                return (self._pooled(layer, _packed(layer, self._computed(operands[0]))),)
            case RepeatVector():
                return (self._repeated(layer, self._computed(operands[0])),)
            case SpatialDropout():
                return (self._spatially_dropped(layer, _packed(layer, self._computed(operands[0]))),)
            case Merge():
                return (self._merge(layer, [self._computed(operand) for operand in operands]),)
            case _:
                assert_never(layer)

    def _embedding(self, layer: Embedding, flow: Flow) -> Packed:
        if not isinstance(flow, Padded):
            raise InternalError(f"{layer.name} doesn't work on an input")
        steps = flow.steps.masking(0.0) if layer.mask_zero else flow.steps
        tokens = self._b.pack(flow.value, self._index(steps))
        table = self._weights[layer.table.path]
        fill = self._b.split(table, [1, layer.input_dim - 1], 0)[0] if layer.input_dim > 1 else table
        return Packed(self._b.take(table, tokens), fill, steps)

    def _merge(self, layer: Merge, flows: Sequence[Computed]) -> Computed:
        """Sequences are packed anew where they mask different steps."""
        packed = [flow for flow in flows if isinstance(flow, Packed)]
        if not packed:
            return Row(self._joined(layer.kind, [flow.value for flow in flows]))
        steps = packed[0].steps
        for flow in packed[1:]:
            steps = steps.either(flow.steps)
        first, zero = packed[0], self._constant(0.0, (1, self._width(packed[0].value)))
        if any(flow.steps != steps for flow in packed):
            value = self._joined(layer.kind, [self._repacked(layer.kind, flow, steps) for flow in packed])
            if layer.kind in NEUTRAL:
                return Packed(value, zero, steps, flip=first.flip)
        else:
            value = self._joined(layer.kind, [flow.value for flow in packed])
            if layer.kind is MergeKind.MULTIPLY:
                return Packed(value, zero, steps, flip=first.flip)
        fill = self._joined(layer.kind, [flow.fill for flow in packed])
        return Packed(value, fill, steps, hold=all(flow.hold for flow in packed), flip=first.flip)

    def _repacked(self, kind: MergeKind, flow: Packed, steps: Steps) -> Value:
        """The tokens of wider steps: what a sequence masks is what it holds there, but where that would decide the result."""
        if flow.steps == steps:
            return flow.value
        neutral = NEUTRAL.get(kind)
        fill = flow.fill if neutral is None else self._constant(neutral, (1, self._width(flow.value)))
        padded = self._b.unpack(flow.value, fill, self._index(flow.steps), hold=flow.hold and neutral is None, flip=False)
        return self._b.pack(padded, self._index(steps))

    def _joined(self, kind: MergeKind, values: Sequence[Value]) -> Value:
        if kind is MergeKind.CONCATENATE:
            return self._b.concat(values, 1)
        total = values[0]
        for value in values[1:]:
            total = self._b.binary(ELEMENTWISE[kind], total, value)
        return self._b.mul(total, self._b.constant_like(1.0 / len(values), total)) if kind is MergeKind.AVERAGE else total

    def _pointwise(self, layer: Pointwise, flow: Computed) -> Computed:
        """Every step for itself, the padded ones too: what they hold goes through the layer like the rest, but for dropout."""
        if isinstance(layer, Dropout):
            return replace(flow, value=self._dropped(layer.rate, flow.value))
        if isinstance(flow, Row):
            return Row(self._at_every_step(layer, flow.value))
        return replace(flow, value=self._at_every_step(layer, flow.value), fill=self._at_every_step(layer, flow.fill))

    def _at_every_step(self, layer: Dense | Activation | LayerNormalization | PReLU, value: Value) -> Value:
        match layer:
            case Dense():
                return self._dense(layer, value)
            case Activation():
                return self._activated(layer.activation, value)
            case LayerNormalization():
                return self._normalized(layer, value)
            case PReLU():
                alpha = self._b.reshape(self._weights[layer.alpha.path], (layer.alpha.shape[-1],))
                above, below = self._b.max(value, zeros := self._b.constant_like(0.0, value)), self._b.min(value, zeros)
                return self._b.add(above, self._b.mul(self._broadcast(alpha, value), below))
            case _:
                assert_never(layer)

    def _broadcast(self, value: Value, like: Value) -> Value:
        return self._b.broadcast_to(value, self._b.tensor(like).shape)

    def _normalized(self, layer: LayerNormalization, value: Value) -> Value:
        scale = 1.0 / self._fixed_width(value)
        centred = self._b.sub(value, self._broadcast(self._mean(value, scale), value))
        variance = self._mean(self._b.mul(centred, centred), scale)
        deviation = self._b.sqrt(self._b.add(variance, self._b.constant_like(layer.epsilon, variance)))
        result = self._b.div(centred, self._broadcast(deviation, value))
        if layer.gamma is not None:
            result = self._b.mul(result, self._broadcast(self._weights[layer.gamma.path], result))
        if layer.beta is not None:
            result = self._b.add(result, self._broadcast(self._weights[layer.beta.path], result))
        return result

    def _mean(self, value: Value, scale: float) -> Value:
        total = self._b.reduce_sum(value, 1)
        return self._b.mul(total, self._b.constant_like(scale, total))

    def _fixed_width(self, value: Value) -> int:
        width = self._width(value)
        if isinstance(width, int):
            return width
        raise InternalError(f"%{value.name} has no fixed width")

    def _pooled(self, layer: GlobalPooling, flow: Packed) -> Row:
        """A scan that carries the sum or the maximum, and how many steps there were."""
        index, width = self._index(flow.steps), self._width(flow.value)
        start = self._constant(0.0 if layer.kind is PoolingKind.AVERAGE else -math.inf, (BATCH, width))
        inits = [self._b.sort_rows(init, index) for init in (start, self._constant(0.0, (BATCH, 1)))]
        scan = self._b.scan(index, inits, [flow.value], carried_names=["pooled", "count"], slice_names=["x"])
        (pooled, count), (x,) = scan.carried, scan.slices
        after = scan.add(pooled, x) if layer.kind is PoolingKind.AVERAGE else scan.max(pooled, x)
        result = scan.finish([after, scan.add(count, scan.constant_like(1.0, count))])
        total, counted = (self._b.restore_rows(final, index) for final in result.finals)
        ones = self._b.constant_like(1.0, counted)
        if layer.kind is PoolingKind.AVERAGE:
            return Row(self._b.div(total, self._broadcast(self._b.max(counted, ones), total)))
        some = self._b.compare(CompareKind.GE, self._broadcast(counted, total), self._broadcast(ones, total))
        return Row(self._b.select(some, total, self._b.constant_like(0.0, total)))

    def _repeated(self, layer: RepeatVector, flow: Computed) -> Packed:
        if isinstance(flow, Packed):
            raise InternalError(f"{layer.name} got a sequence")
        steps = Steps((), layer.count)
        return Packed(self._over_steps(flow.value, steps), self._constant(0.0, (1, self._width(flow.value))), steps)

    def _over_steps(self, row: Value, steps: Steps) -> Value:
        """A row at each of its steps, [tokens, w]: a scan that carries it along."""
        index = self._index(steps)
        scan = self._b.scan(index, [self._b.sort_rows(row, index)], [], carried_names=["row"])
        return scan.finish(scan.carried, scan.carried).stacks[0]

    def _spatially_dropped(self, layer: SpatialDropout, flow: Packed) -> Packed:
        if self._key is None or not layer.rate:
            return flow
        row = self._dropped(layer.rate, self._constant(1.0, (BATCH, self._width(flow.value))))
        return replace(flow, value=self._b.mul(flow.value, self._over_steps(row, flow.steps)))

    def _dense(self, layer: Dense, value: Value) -> Value:
        result = self._b.matmul(value, self._weights[layer.kernel.path])
        if layer.bias is not None:
            bias = self._b.broadcast(self._weights[layer.bias.path], self._b.tensor(result).shape)
            result = self._b.add(result, bias)
        return self._activated(layer.activation, result)

    def _activated(self, activation: Configured, value: Value) -> Value:
        return emit(self._b, activation.name, activation.arguments, value)

    def _dropped(self, rate: float, value: Value) -> Value:
        if self._key is None or not rate:
            return value
        shape = self._b.tensor(value)
        numbers = self._b.random(self._key, self._streams, shape)
        self._streams += 1
        kept = self._b.compare(CompareKind.GE, numbers, self._b.constant_like(rate, numbers))
        scaled = self._b.mul(value, self._b.constant_like(1.0 / (1.0 - rate), value))
        return self._b.select(kept, scaled, self._b.constant_like(0.0, value))

    def _recurrent(self, layer: Recurrent, flow: Packed, states: Sequence[Value], *, backwards: bool) -> tuple[Computed, ...]:
        """A scan over the flow. A flipped flow is walked from its end to go forwards in its own order."""
        index, step = self._index(flow.steps), layer.step
        widths = {state.name: state.width for state in step.states}
        starts = (
            dict(zip(widths, states, strict=True)) if states else {name: self._start(layer, name, width) for name, width in widths.items()}
        )
        if not layer.return_sequences:
            starts["y"] = self._start(layer, "y", step.width) if self._streaming else self._constant(0.0, (BATCH, step.width))
        masks = self._step_masks(layer)
        sequence = flow.value
        if self._drops(layer.dropout) and not layer.recurrent_dropout:
            row = self._dropped(layer.dropout, self._constant(1.0, (BATCH, step.features)))
            sequence = self._b.mul(sequence, self._over_steps(row, flow.steps))
        reverse = backwards is not flow.flip
        names = [*starts, *(f"{name}_drop" for name, _ in masks)]
        inits = [self._b.sort_rows(init, index) for init in (*starts.values(), *masks.values())]
        scan = self._b.scan(index, inits, [sequence], reverse=reverse, carried_names=names, slice_names=["x"])
        values = dict(zip(widths, scan.carried, strict=False)) | {"x": scan.slices[0]}
        drops = dict(zip(masks, scan.carried[len(starts) :], strict=True))
        weights = {own.name: self._weights[full.path] for own, full in zip(step.weights, layer.weights, strict=True)}
        after, output = StepLowering(scan, self._dtype, weights, values, drops).run(step)
        carries = [*after, *([] if layer.return_sequences else [output]), *drops.values()]
        stacks = [output] if layer.return_sequences else []
        result = scan.finish(
            carries, stacks, final_names=[f"{name}_final" for name in names], stack_names=[f"{layer.name}/output"] * len(stacks)
        )
        finals = {name: self._b.restore_rows(final, index) for name, final in zip(starts, result.finals, strict=False)}
        if layer.stateful or self._streaming:
            self._states.update((f"{layer.path}/{name}", final) for name, final in finals.items() if name != "y" or self._streaming)
        if layer.return_sequences:
            fill = self._constant(0.0, (1, step.width))
            first: Computed = Packed(result.stacks[0], fill, flow.steps, hold=not layer.zero_output_for_mask, flip=reverse)
        else:
            first = Row(finals["y"])
        return (first, *(Row(finals[name]) for name in widths)) if layer.return_state else (first,)

    def _start(self, layer: Recurrent, name: str, width: int) -> Value:
        """A state before the first step: zeros, or what the call before left."""
        if not layer.stateful and not self._streaming:
            return self._constant(0.0, (BATCH, width))
        full = f"{layer.path}/{name}"
        if full not in self._states:
            self._states[full] = self._b.parameter(Role.STATE, full, TensorType(self._dtype, (BATCH, width)))
        return self._states[full]

    def _drops(self, rate: float) -> bool:
        return self._key is not None and rate > 0

    def _step_masks(self, layer: Recurrent) -> dict[tuple[str, int], Value]:
        """With recurrent dropout, what is multiplied with a weight in a step is dropped apart for each gate, the same at every step."""
        if not self._drops(layer.recurrent_dropout):
            return {}
        rates = dict.fromkeys((state.name for state in layer.step.states), layer.recurrent_dropout) | {"x": layer.dropout}
        widths = {state.name: state.width for state in layer.step.states} | {"x": layer.step.features}
        return {
            (name, gate): self._dropped(rates[name], self._constant(1.0, (BATCH, widths[name])))
            for name, gates in gates_of(layer.step).items()
            for gate in range(gates)
            if rates[name]
        }

    def _bidirectional(self, layer: Bidirectional, flow: Packed, states: Sequence[Value]) -> tuple[Computed, ...]:
        """Both directions in the flow's own order: the backward half needs no flip, its tokens stay where they are."""
        count = len(layer.forward.step.states) if states else 0
        forward, *forward_states = self._recurrent(layer.forward, flow, states[:count], backwards=False)
        backward, *backward_states = self._recurrent(layer.backward, flow, states[count:], backwards=True)
        if isinstance(forward, Packed) and isinstance(backward, Packed):
            forward, backward = (replace(half, hold=False, flip=flow.flip) for half in (forward, backward))
        self._observe(layer.forward, (forward, *forward_states))
        self._observe(layer.backward, (backward, *backward_states))
        outputs: tuple[Computed, ...] = (forward, backward)
        if layer.merge_mode is not MergeMode.NONE:
            value = self._merged(layer.merge_mode, forward.value, backward.value)
            if isinstance(forward, Packed) and isinstance(backward, Packed):
                outputs = (replace(forward, value=value, fill=self._merged(layer.merge_mode, forward.fill, backward.fill)),)
            else:
                outputs = (Row(value),)
        return (*outputs, *forward_states, *backward_states)

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
        match flow:
            case Row():
                return flow.value
            case Packed():
                return self._b.unpack(flow.value, flow.fill, self._index(flow.steps), hold=flow.hold, flip=flow.flip)
            case Padded():
                return self._exit(self._computed(flow))

    def _constant(self, value: float, shape: tuple[Dim, ...]) -> Value:
        return self._b.constant(value, TensorType(self._dtype, shape))

    def _width(self, value: Value) -> Dim:
        return self._b.tensor(value).shape[-1]


def _drops(layer: Layer) -> bool:
    match layer:
        case Dropout() | SpatialDropout():
            return layer.rate > 0
        case Recurrent():
            return layer.dropout > 0 or layer.recurrent_dropout > 0
        case Bidirectional():
            return _drops(layer.forward) or _drops(layer.backward)
        case TimeDistributed():
            return _drops(layer.layer)
        case _:
            return False


def _packed(layer: Layer, flow: Computed) -> Packed:
    if isinstance(flow, Packed):
        return flow
    raise InternalError(f"{layer.name} got a row")


def _rows(layer: Layer, flows: Sequence[Computed]) -> list[Value]:
    if any(isinstance(flow, Packed) for flow in flows):
        raise InternalError(f"{layer.name} got a sequence for a state")
    return [flow.value for flow in flows]
