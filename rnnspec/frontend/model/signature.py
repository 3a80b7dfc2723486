"""What a graph's compiled model tells its caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from rnnspec.contract.signature import (
    ActivitySignature,
    DroppedMask,
    IndexSignature,
    InputSignature,
    OutputSignature,
    PairSignature,
    Signature,
    StreamSignature,
    WeightSignature,
    WindowSignature,
)
from rnnspec.frontend.graph.graph import Application, Graph, GraphInput, GraphOutput, GraphValue, StepMask, StepPairs
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import MaskedSteps
from rnnspec.frontend.model.inputs import tables_of
from rnnspec.frontend.model.lower import Precision
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.regularized_outputs import activities


def signature(graph: Graph, dtype: Precision) -> Signature:
    """Inputs, outputs under the names that `lower` gives them, and the weights in Keras's order."""
    packed = tuple(sequences(graph))
    held = _held(graph.applications)
    return Signature(
        graph.model,
        dtype,
        tuple(_input(source, graph) for source in graph.inputs),
        tuple(_output(output, packed, held) for output in graph.outputs),
        tuple(_weights(graph)),
        graph.train,
        tuple(_index(steps, packed) for steps in packed),
        tuple(state for layer in graph.layers for state in rules_of(layer).states(layer, False)),
        _stream(graph),
        tuple(ActivitySignature(activity.name, activity.regularizer) for activity in activities(graph)),
        tuple(DroppedMask(packed.index(drop.steps), tuple(drop.steps.inputs), drop.layer, drop.place, drop.advice) for drop in graph.drops),
    )


def _input(source: GraphInput, graph: Graph) -> InputSignature:
    """An input of ids has the vocabulary of the smallest Embedding that it flows into, or a smaller one of `max_tokens`."""
    value = source.value
    vocabularies = [table.shape[0] for table in tables_of(value, graph.applications)]
    if source.max_tokens is not None:
        vocabularies.append(source.max_tokens)
    return InputSignature(source.name, value.type.shape, value.type.ids, min(vocabularies, default=None), source.text)


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


def _held(applications: Sequence[Application]) -> dict[GraphValue, bool]:
    """Whether masked steps of a layer's sequence repeat the last real one."""
    held: dict[GraphValue, bool] = {}
    for application in applications:
        masked = rules_of(application.layer).masked_steps(application.layer, application)
        match masked:
            case MaskedSteps.HELD:
                hold = True
            case MaskedSteps.COMPUTED | MaskedSteps.UNCHANGED:
                hold = all(held.get(operand, False) for operand in application.operands)
            case (
                MaskedSteps.ZERO
                | MaskedSteps.FIRST_ROW
                | MaskedSteps.COMPUTED_APART
                | MaskedSteps.UNCHANGED_APART
                | MaskedSteps.NONE_MASKED
            ):
                hold = False
            case _:
                assert_never(masked)
        held.update((result, hold and result.type.sequence) for result in application.results)
    return held


def _stream(graph: Graph) -> StreamSignature:
    """A stream's states: those of every layer, and of a cell that gives its last output that one too."""
    held = _held(graph.applications)
    for application in graph.applications:
        holds = [held.get(operand, False) for operand in application.operands]
        refusal = rules_of(application.layer).stream_refusal(application.layer, application, holds)
        if refusal:
            return StreamSignature(refusal=refusal)
    if not any(source.value.type.sequence for source in graph.inputs):
        return StreamSignature(refusal="it has no sequence input")
    for source in graph.inputs:
        if source.value.type.sequence and isinstance(source.value.type.shape[0], int):
            return StreamSignature(refusal=f"input {source.name} has a fixed number of steps; a name, as `time`, is any number")
    used = set[str]()
    for application in graph.applications:
        layer = application.layer
        if layer.name in used and rules_of(layer).states(layer, True):
            return StreamSignature(refusal=f"{layer.name} is used for several sequences")
        used.add(layer.name)
    return StreamSignature(tuple(state for layer in graph.layers for state in rules_of(layer).states(layer, True)))
