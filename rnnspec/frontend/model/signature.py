"""What a graph's compiled model tells its caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnspec.contract.signature import (
    ActivitySignature,
    DroppedMask,
    IndexSignature,
    InputSignature,
    MomentsSignature,
    MomentsUse,
    OutputSignature,
    PairSignature,
    Signature,
    WeightSignature,
    WindowSignature,
)
from rnnspec.frontend.graph.graph import Graph, GraphInput, GraphOutput, GraphTensor, GraphValue, StepMask, StepPairs
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.model.inputs import tables_of
from rnnspec.frontend.model.lower import Precision
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.regularized_outputs import activities
from rnnspec.frontend.model.streaming import held_values, stream_signature


def signature(graph: Graph, dtype: Precision) -> Signature:
    """Inputs, outputs under the names that `lower` gives them, and the weights in Keras's order."""
    packed = tuple(sequences(graph))
    held = held_values(graph.applications)
    return Signature(
        graph.model,
        dtype,
        tuple(_input(source, graph) for source in graph.inputs),
        tuple(_output(output, packed, held) for output in graph.outputs),
        tuple(_weights(graph)),
        graph.train,
        tuple(_index(steps, packed) for steps in packed),
        tuple(dict.fromkeys(state for each in graph.applications for state in rules_of(each.layer).states(each.layer, each, False))),
        stream_signature(graph),
        tuple(ActivitySignature(activity.name, activity.regularizer) for activity in activities(graph)),
        tuple(DroppedMask(packed.index(drop.steps), tuple(drop.steps.inputs), drop.layer, drop.place, drop.advice) for drop in graph.drops),
        tuple(_moments(graph)),
        graph.frozen,
    )


def _input(source: GraphInput, graph: Graph) -> InputSignature:
    """An input of ids has the vocabulary of the smallest Embedding that it flows into, or a smaller one of `max_tokens`."""
    value = source.value
    vocabularies = [table.shape[0] for table in tables_of(value, graph.applications)]
    if source.max_tokens is not None:
        vocabularies.append(source.max_tokens)
    shape = () if source.is_scalar else value.type.shape
    return InputSignature(source.name, shape, value.type.ids, min(vocabularies, default=None), source.text)


def _weights(graph: Graph) -> Iterator[WeightSignature]:
    """Each with the inputs that ids are from which choose its rows; none if the ids of one use aren't an input's."""
    inputs = {source.value: source.name for source in graph.inputs}
    uses: dict[str, list[GraphValue]] = {}
    for application in graph.applications:
        table = rules_of(application.layer).table(application.layer)
        if table is not None:
            uses.setdefault(table.path, []).append(application.operands[0])
    for weight in graph.weights:
        ids = uses.get(weight.path, [])
        looked_up_by = tuple(dict.fromkeys(inputs[use] for use in ids)) if all(use in inputs for use in ids) else ()
        options = weight.trainable, weight.updated, weight.regularizer, weight.constraint, looked_up_by
        yield WeightSignature(weight.path, weight.shape, weight.initializer, *options)


def _moments(graph: Graph) -> Iterator[MomentsSignature]:
    """Of each layer that has some, with what it is applied to."""
    for layer in graph.layers:
        adapted = rules_of(layer).adapts(layer)
        if adapted is not None:
            uses = [application.operands[0].type for application in graph.applications if application.layer == layer]
            mean, variance = adapted
            yield MomentsSignature(layer.name, mean.path, variance.path, tuple(map(_moments_use, uses)))


def _moments_use(type_: GraphTensor) -> MomentsUse:
    sources = () if type_.steps is None else type_.steps.sources
    masked = next((values for name, values in sources if name == type_.source), ())
    return MomentsUse(type_.shape, type_.source, masked)


def _index(steps: StepMask | StepPairs, packed: Sequence[StepMask | StepPairs]) -> IndexSignature | PairSignature:
    if isinstance(steps, StepPairs):
        return PairSignature(packed.index(steps.queries), packed.index(steps.keys), steps.causal)
    return _steps(steps, packed)


def _steps(steps: StepMask, packed: Sequence[StepMask | StepPairs]) -> IndexSignature:
    joins = tuple(tuple(_steps(part, packed) for part in join) for join in steps.joins)
    windows = tuple(WindowSignature(packed.index(each.steps), each.windows, each.length, each.flip) for each in steps.windows)
    return IndexSignature(steps.sources, steps.length, joins, windows)


def _output(output: GraphOutput, packed: Sequence[StepMask | StepPairs], held: Mapping[GraphValue, bool]) -> OutputSignature:
    type_ = output.value.type
    index = None if type_.steps is None else packed.index(type_.steps)
    hold = held.get(output.value, False)
    return OutputSignature(output.name, type_.shape, type_.sequence, index=index, flip=type_.flipped, hold=hold)
