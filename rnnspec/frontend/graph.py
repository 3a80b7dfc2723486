"""The layer graph: layers with their arguments evaluated, applied to values whose shapes are known; nothing computed yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias

from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend.equations import CellState, Step
from rnnspec.runtime.lengths import every, less
from rnnspec.runtime.signature import Configured, Extent, InitializerPart, TrainSettings


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps of a sequence are real: those that one of `sources` says are, each an input with the values it masks.

    Without a source all `length` steps are.
    """

    sources: tuple[tuple[str, tuple[float, ...]], ...]
    length: Extent = 0

    def masking(self, value: float) -> Steps:
        """Without the steps whose features all equal `value`."""
        return Steps(tuple((name, tuple(dict.fromkeys((*values, value)))) for name, values in self.sources))

    def either(self, other: Steps) -> Steps:
        """The steps that are real in one of the two: what merges give, as in Keras."""
        if not self.sources or not other.sources:
            return self if not self.sources else other
        both = dict.fromkeys((*self.sources, *other.sources))
        return Steps(tuple(source for source in both if not any(_implies(source, wider) for wider in both if wider != source)))

    @property
    def is_masked(self) -> bool:
        """Whether the spec itself masks; a caller's own mask needs no layer."""
        return bool(self.sources) and all(values for _, values in self.sources)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What each real step of `queries` may look at: the real steps of `keys`, with `causal` none after its own."""

    queries: Steps
    keys: Steps
    causal: bool


def _implies(source: tuple[str, tuple[float, ...]], wider: tuple[str, tuple[float, ...]]) -> bool:
    """Whether what is real by one source is real by another that masks less of the same input."""
    return source[0] == wider[0] and set(wider[1]) <= set(source[1])


@dataclass(frozen=True, slots=True)
class Flowing:
    """What flows from one layer to the next: `shape` without the batch, the last extent being the features.

    `steps`: of a sequence, whose first extent is the time. `ids`: token ids, which have no features.
    `flipped`: a sequence in reversed time order. `source`: the input that it is the content of, as given;
    else `computed` is the layer that made it. `ended`: the recurrent layer that gave only its last step.
    """

    shape: tuple[Extent, ...]
    steps: Steps | None = None
    ids: bool = False
    flipped: bool = False
    source: str = ""
    computed: str = ""
    ended: str = ""

    @property
    def sequence(self) -> bool:
        return self.steps is not None

    @property
    def masked(self) -> bool:
        return self.steps is not None and self.steps.is_masked

    @property
    def features(self) -> int:
        last = self.shape[-1]
        return last if isinstance(last, int) else 0

    def with_features(self, features: int) -> Flowing:
        return replace(self, shape=(*self.shape[:-1], features), ids=False)

    def by(self, layer: str) -> Flowing:
        return replace(self, source="", computed=layer)

    def __str__(self) -> str:
        return f"{'int' if self.ids else 'float'}[{', '.join(map(str, ('batch', *self.shape)))}]"


@dataclass(frozen=True, slots=True)
class LayerWeight:
    """A weight under its full path; `updated`: a call in training gives it a new value."""

    path: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True
    updated: bool = False
    regularizer: Configured | None = None
    constraint: Configured | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    name: str
    input_dim: int
    output_dim: int
    mask_zero: bool
    table: LayerWeight
    activity_regularizer: Configured | None = None

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.table,)


@dataclass(frozen=True, slots=True)
class Masking:
    name: str
    mask_value: float
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class RecurrentCell:
    """A cell in a recurrent layer; `weights` are those of the step, in its order, under their full paths."""

    path: str
    """The layer's, or in `RNN` one below it."""
    step: Step
    dropout: float
    recurrent_dropout: float
    weights: tuple[LayerWeight, ...]


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A cell as a layer, or several in a stack: each takes what the one before gives in the same step.

    Takes the sequence, then with `initial_state` a value for each state; gives the output, then with
    `return_state` each state after the last step.
    """

    name: str
    path: str
    """The full name, of one in another layer too."""
    cells: tuple[RecurrentCell, ...]
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    zero_output_for_mask: bool
    stateful: bool
    initial_state: bool
    activity_regularizer: Configured | None = None

    @property
    def kind(self) -> str:
        """As a spec would write it, without arguments."""
        if self.cells[0].path == self.path:
            return self.cells[0].step.cell
        return f"RNN([{', '.join(cell.step.cell for cell in self.cells)}])"

    @property
    def width(self) -> int:
        """Of the output."""
        return self.cells[-1].step.width

    @property
    def states(self) -> tuple[CellState, ...]:
        """Of all cells, under their names within the layer."""
        return tuple(
            CellState(f"{cell.path}/{state.name}".removeprefix(f"{self.path}/"), state.width)
            for cell in self.cells
            for state in cell.step.states
        )

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return tuple(weight for cell in self.cells for weight in cell.weights)


class MergeMode(Enum):
    CONCAT = "concat"
    SUM = "sum"
    MUL = "mul"
    AVE = "ave"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Bidirectional:
    """Two recurrent layers over the same input, `backward` walking it the other way; the result is in the order of `forward`.

    Takes the sequence, then initial states of `forward`, then of `backward`; gives the merged output,
    or both without a merge, then the states of `forward`, then of `backward`.
    """

    name: str
    forward: Recurrent
    backward: Recurrent
    merge_mode: MergeMode

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (*self.forward.weights, *self.backward.weights)


@dataclass(frozen=True, slots=True)
class Dense:
    name: str
    units: int
    activation: Configured
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Configured | None = None

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)


@dataclass(frozen=True, slots=True)
class Dropout:
    name: str
    rate: float
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Adds normal numbers in training."""

    name: str
    stddev: float
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation as a layer; `kind` is the layer's type in the spec."""

    name: str
    kind: str
    activation: Configured
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerNormalization:
    """Ba et al. 2016: over the features."""

    name: str
    epsilon: float
    gamma: LayerWeight | None
    beta: LayerWeight | None
    rms_scaling: bool = False
    """By the deviation alone, the mean left in."""

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return tuple(weight for weight in (self.gamma, self.beta) if weight is not None)


@dataclass(frozen=True, slots=True)
class BatchNormalization:
    """Ioffe & Szegedy 2015: each feature by its moments over the batch in training, which move the statistics used otherwise."""

    name: str
    momentum: float
    epsilon: float
    gamma: LayerWeight | None
    beta: LayerWeight | None
    moving_mean: LayerWeight
    moving_variance: LayerWeight

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (*(weight for weight in (self.gamma, self.beta) if weight is not None), self.moving_mean, self.moving_variance)


@dataclass(frozen=True, slots=True)
class PReLU:
    """He et al. 2015: below 0 a slope of its own for each feature."""

    name: str
    alpha: LayerWeight

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.alpha,)


class PoolingKind(Enum):
    """The value is the layer's type in the spec."""

    AVERAGE = "GlobalAveragePooling1D"
    MAX = "GlobalMaxPooling1D"


@dataclass(frozen=True, slots=True)
class GlobalPooling:
    """A sequence to one row, over its real steps; 0 for a row that has none. `keepdims`: to a sequence of one step."""

    name: str
    kind: PoolingKind
    keepdims: bool = False
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class RepeatVector:
    """A row to a sequence of `count` steps, all of them real."""

    name: str
    count: int
    weights: tuple[LayerWeight, ...] = ()


class WindowPadding(Enum):
    """What windows do at a sequence's ends: stay inside, or be there for every (`stride`-th) step, centred or looking back."""

    VALID = "valid"
    SAME = "same"
    CAUSAL = "causal"


@dataclass(frozen=True, slots=True)
class Window:
    """Windows over a sequence's steps, the padded ones included: `size` steps `dilation` apart, one window every `stride` steps."""

    size: int
    stride: int
    dilation: int
    padding: WindowPadding

    @property
    def span(self) -> int:
        return (self.size - 1) * self.dilation + 1

    def length(self, extent: Extent) -> Extent:
        """The number of windows over so many steps."""
        return every(less(extent, self.span - 1) if self.padding is WindowPadding.VALID else extent, self.stride)


@dataclass(frozen=True, slots=True)
class Convolution:
    """Conv1D; the kernel is (size, features, filters)."""

    name: str
    window: Window
    activation: Configured
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Configured | None = None

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)


class LocalPoolingKind(Enum):
    """The value is the layer's type in the spec."""

    AVERAGE = "AveragePooling1D"
    MAX = "MaxPooling1D"


@dataclass(frozen=True, slots=True)
class LocalPooling:
    """The average or the maximum over each window; what a window lacks at the ends doesn't count."""

    name: str
    kind: LocalPoolingKind
    window: Window
    weights: tuple[LayerWeight, ...] = ()


class ShapeKind(Enum):
    """The value is the layer's type in the spec."""

    FLATTEN = "Flatten"
    RESHAPE = "Reshape"
    PERMUTE = "Permute"


@dataclass(frozen=True, slots=True)
class Reshaping:
    """The same numbers of each row in another shape; `transpose`: time and features exchanged."""

    name: str
    kind: ShapeKind
    shape: tuple[int, ...]
    transpose: bool = False
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class Attention:
    """Luong et al. 2015: each query's mean over the values, weighted by the softmax of its products with their keys.

    Takes the queries, the values, and the keys if they aren't the values. Masked values aren't seen, masked queries give 0.
    """

    name: str
    scale: LayerWeight | None
    causal: bool
    rate: float

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return () if self.scale is None else (self.scale,)


@dataclass(frozen=True, slots=True)
class Dot:
    """Products over one axis of each of two values, 0 being the first after the batch."""

    name: str
    axes: tuple[int, int]
    normalize: bool
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class SpatialDropout:
    """Drops whole features of a sequence: one draw for all steps of a row."""

    name: str
    rate: float
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeDistributed:
    """A layer for rows at every step of a sequence."""

    name: str
    layer: Pointwise

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return self.layer.weights


class MergeKind(Enum):
    """The value is the layer's type in the spec."""

    CONCATENATE = "Concatenate"
    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    AVERAGE = "Average"
    MAXIMUM = "Maximum"
    MINIMUM = "Minimum"


@dataclass(frozen=True, slots=True)
class Merge:
    """Several values to one: side by side, or element by element."""

    name: str
    kind: MergeKind
    weights: tuple[LayerWeight, ...] = ()


Pointwise: TypeAlias = Dense | Activation | Dropout | GaussianNoise | LayerNormalization | PReLU
"""Layers that work on a row, or on every step of a sequence alike."""

Layer: TypeAlias = (
    Embedding
    | Masking
    | Recurrent
    | Bidirectional
    | Pointwise
    | BatchNormalization
    | Merge
    | GlobalPooling
    | RepeatVector
    | SpatialDropout
    | TimeDistributed
    | Convolution
    | LocalPooling
    | Reshaping
    | Attention
    | Dot
)


def result_names(layer: Layer) -> tuple[str, ...]:
    """What the results of a layer are called where they are outputs: the layer's name, with a suffix if there are several."""
    match layer:
        case Recurrent():
            parts = ["output", *(state.name for state in layer.states)] if layer.return_state else []
        case Bidirectional():
            halves = {"forward": layer.forward, "backward": layer.backward}
            states = [f"{way}/{state.name}" for way, half in halves.items() if half.return_state for state in half.states]
            outputs = [*halves] if layer.merge_mode is MergeMode.NONE else ["output"]
            parts = [*outputs, *states] if len(outputs) > 1 or states else []
        case _:
            parts = []
    return tuple(f"{layer.name}/{part}" for part in parts) or (layer.name,)


@dataclass(frozen=True, slots=True)
class Value:
    """An input or a layer's result; `number` is its place in the order in which values are made."""

    number: int
    type: Flowing


@dataclass(frozen=True, slots=True)
class Application:
    """A layer at work; a shared layer has several."""

    layer: Layer
    operands: tuple[Value, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class GraphInput:
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class GraphOutput:
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Graph:
    """A model: applications in an order in which every operand is made before it is used."""

    model: str
    inputs: tuple[GraphInput, ...]
    applications: tuple[Application, ...]
    outputs: tuple[GraphOutput, ...]
    train: TrainSettings
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each layer once, in the order of first use."""
        return tuple({application.layer.name: application.layer for application in self.applications}.values())

    @property
    def weights(self) -> Iterator[LayerWeight]:
        return (weight for layer in self.layers for weight in layer.weights)

    def sequences(self) -> Iterator[Steps | Pairs]:
        """What packs the sequences, each once, in the order of first use; what only makes masks packs nothing."""
        packed: dict[Steps | Pairs, None] = {}
        for application in self.applications:
            if not isinstance(application.layer, Masking):
                operands = () if isinstance(application.layer, Embedding) else application.operands
                packed.update((value.type.steps, None) for value in (*operands, *application.results) if value.type.steps is not None)
                packed.update(dict.fromkeys(_packed_inside(application)))
        packed.update((output.value.type.steps, None) for output in self.outputs if output.value.type.steps is not None)
        yield from packed


def every_step(value: Flowing) -> Steps | None:
    """What packs a sequence once its mask is dropped."""
    return Steps((), value.shape[0]) if value.sequence else None


def _packed_inside(application: Application) -> Iterator[Steps | Pairs]:
    """What a layer packs beside its operands and results, each part of a pair before it."""
    types = [value.type for value in application.operands]
    match application.layer:
        case Convolution() | LocalPooling() | Reshaping():
            yield from (steps for steps in map(every_step, types) if steps is not None)
        case Attention():
            queries, values = types[0].steps, types[1].steps
            if queries is not None and values is not None:
                yield Pairs(queries, values, application.layer.causal)
        case Dot(axes=axes):
            steps = [Steps((), type_.shape[1 - axis]) for type_, axis in zip(types, axes, strict=True) if type_.sequence]
            yield from steps
            if len(steps) == 2:
                yield Pairs(steps[0], steps[1], causal=False)
        case _:
            pass
