"""What a graph's compiled model tells its caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnspec.contract.signature import (
    ActivitySignature,
    DroppedMask,
    IndexSignature,
    InputSignature,
    OutputSignature,
    PairSignature,
    Signature,
    StateSignature,
    StreamSignature,
    WeightSignature,
    WindowSignature,
)
from rnnspec.frontend.graph.graph import Application, Graph, GraphInput, GraphOutput, GraphValue, StepMask, StepPairs
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
    LayerNormalization,
    LayerWeight,
    LocalPooling,
    Merge,
    MergeKind,
    PReLU,
    Recurrent,
    RepeatVector,
    Reshaping,
    SpatialDropout,
    StepSoftmax,
    TimeDistributed,
)
from rnnspec.frontend.graph.regularized_outputs import activities
from rnnspec.frontend.layers.lower_recurrent import returned_name
from rnnspec.frontend.model.lower import NEUTRAL, Precision


def signature(graph: Graph, dtype: Precision) -> Signature:
    """Inputs, outputs under the names that `lower` gives them, and the weights in Keras's order."""
    sequences = tuple(graph.sequences())
    held = _held(graph.applications)
    return Signature(
        graph.model,
        dtype,
        tuple(_input(source, graph) for source in graph.inputs),
        tuple(_output(output, sequences, held) for output in graph.outputs),
        tuple(_weight(weight, graph) for weight in graph.weights),
        graph.train,
        tuple(_index(steps, sequences) for steps in sequences),
        tuple(state for layer in _cells(graph) if layer.stateful for state in _states(layer)),
        _stream(graph),
        tuple(ActivitySignature(activity.name, activity.regularizer) for activity in activities(graph)),
        tuple(
            DroppedMask(sequences.index(drop.steps), tuple(drop.steps.inputs), drop.layer, drop.place, drop.advice) for drop in graph.drops
        ),
    )


def _input(source: GraphInput, graph: Graph) -> InputSignature:
    """An input of ids has the vocabulary of the smallest Embedding that it flows into."""
    value = source.value
    tables = [each.layer.input_dim for each in graph.applications if isinstance(each.layer, Embedding) and value in each.operands]
    return InputSignature(source.name, value.type.shape, value.type.ids, min(tables, default=None))


def _weight(weight: LayerWeight, graph: Graph) -> WeightSignature:
    return WeightSignature(
        weight.path,
        weight.shape,
        weight.initializer,
        weight.trainable,
        weight.updated,
        weight.regularizer,
        weight.constraint,
        _looked_up_by(weight, graph),
    )


def _looked_up_by(table: LayerWeight, graph: Graph) -> tuple[str, ...]:
    """The inputs that a table's Embedding is applied to; none if it is applied to anything else."""
    inputs = {source.value: source.name for source in graph.inputs}
    uses = [each.operands[0] for each in graph.applications if isinstance(each.layer, Embedding) and each.layer.table == table]
    return tuple(dict.fromkeys(inputs[use] for use in uses)) if all(use in inputs for use in uses) else ()


def _index(steps: StepMask | StepPairs, sequences: Sequence[StepMask | StepPairs]) -> IndexSignature | PairSignature:
    if isinstance(steps, StepPairs):
        return PairSignature(sequences.index(steps.queries), sequences.index(steps.keys), steps.causal)
    return _steps(steps, sequences)


def _steps(steps: StepMask, sequences: Sequence[StepMask | StepPairs]) -> IndexSignature:
    joins = tuple(tuple(_steps(part, sequences) for part in join) for join in steps.joins)
    windows = tuple(WindowSignature(sequences.index(each.steps), each.windows, each.length, each.flip) for each in steps.windows)
    return IndexSignature(steps.sources, steps.length, joins, windows)


def _output(output: GraphOutput, sequences: Sequence[StepMask | StepPairs], held: Mapping[GraphValue, bool]) -> OutputSignature:
    type_ = output.value.type
    index = None if type_.steps is None else sequences.index(type_.steps)
    hold = held.get(output.value, False)
    return OutputSignature(output.name, type_.shape, type_.sequence, index=index, flip=type_.flipped, hold=hold)


def _held(applications: Sequence[Application]) -> dict[GraphValue, bool]:
    """Whether masked steps of a layer's sequence repeat the last real one."""
    held: dict[GraphValue, bool] = {}
    for application in applications:
        layer, operands = application.layer, application.operands
        match layer:
            case Recurrent():
                hold = layer.return_sequences and not layer.zero_output_for_mask
            case Merge(over_steps=False):
                decides = layer.kind is MergeKind.MULTIPLY or (layer.kind in NEUTRAL and _mask_apart(application))
                hold = not decides and all(held.get(operand, False) for operand in operands)
            case (
                SpatialDropout()
                | TimeDistributed()
                | Dense()
                | Activation()
                | Dropout()
                | GaussianNoise()
                | LayerNormalization()
                | BatchNormalization()
                | PReLU(over_steps=False)
            ):
                hold = held.get(operands[0], False)
            case _:
                hold = False
        held.update((result, hold and result.type.sequence) for result in application.results)
    return held


def _mask_apart(application: Application) -> bool:
    """Whether a merge takes sequences that mask different steps."""
    return len({operand.type.steps for operand in application.operands}) > 1


def _cells(graph: Graph) -> Iterator[Recurrent]:
    for layer in graph.layers:
        match layer:
            case Recurrent():
                yield layer
            case Bidirectional():
                yield from (layer.forward, layer.backward)
            case _:
                pass


def _states(layer: Recurrent) -> Iterator[StateSignature]:
    yield from (StateSignature(f"{layer.path}/{state.name}", state.width) for state in layer.states)


def _stream(graph: Graph) -> StreamSignature:
    """What a stream carries: every state, and of a cell that gives its last output that one too."""
    for layer in graph.layers:
        match layer:
            case Bidirectional():
                return StreamSignature(refusal=f"{layer.name} reads the sequence from its end as well")
            case Recurrent(go_backwards=True):
                return StreamSignature(refusal=f"{layer.name} reads the sequence from its end")
            case GlobalPooling():
                return StreamSignature(refusal=f"{layer.name} pools over the whole sequence")
            case Convolution() | LocalPooling():
                return StreamSignature(refusal=f"{layer.name} looks at several steps at once")
            case Reshaping() | Attention() | Dot() | StepSoftmax():
                return StreamSignature(refusal=f"{layer.name} looks at the whole sequence")
            case Merge(over_steps=True):
                return StreamSignature(refusal=f"{layer.name} puts sequences one after the other")
            case RepeatVector():
                return StreamSignature(refusal=f"{layer.name} makes a sequence of its own")
            case Recurrent(initial_state=True):
                return StreamSignature(refusal=f"{layer.name} starts from a value of the model")
            case _:
                pass
    if not any(source.value.type.sequence for source in graph.inputs):
        return StreamSignature(refusal="it has no sequence input")
    for source in graph.inputs:
        if source.value.type.sequence and isinstance(source.value.type.shape[0], int):
            return StreamSignature(refusal=f"input {source.name} has a fixed number of steps; a name, as `time`, is any number")
    held, used = _held(graph.applications), set[str]()
    for application in graph.applications:
        layer = application.layer
        if isinstance(layer, Recurrent) and layer.name in used:
            return StreamSignature(refusal=f"{layer.name} is used for several sequences")
        used.add(layer.name)
        holds = isinstance(layer, Merge) and layer.kind not in NEUTRAL and any(map(held.get, application.operands))
        if holds and _mask_apart(application) and any(operand.type.masked for operand in application.operands):
            return StreamSignature(refusal=f"{layer.name} merges sequences that mask different steps")
    states: list[StateSignature] = []
    for layer in _cells(graph):
        states += _states(layer)
        if not layer.return_sequences:
            states.append(StateSignature(returned_name(layer), layer.width))
    return StreamSignature(tuple(states))
