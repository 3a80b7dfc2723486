"""The layers of a graph, with their arguments evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rnnspec.contract.dimensions import Windows
from rnnspec.contract.signature import Config, Extent, InitializerPart
from rnnspec.frontend.cells.cell_ir import CellState, Step


@dataclass(frozen=True, slots=True)
class LayerWeight:
    """A weight under its full path; `updated`: a call in training gives it a new value. `flat`: computed with as one row."""

    path: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True
    updated: bool = False
    regularizer: Config | None = None
    constraint: Config | None = None
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Embedding:
    name: str
    input_dim: int
    output_dim: int
    mask_zero: bool
    table: LayerWeight
    activity_regularizer: Config | None = None

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
    activity_regularizer: Config | None = None

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
    activation: Config
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Config | None = None

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
    activation: Config
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
    """He et al. 2015: below 0 a slope of its own for each feature; `over_steps`: for each step of a sequence, too."""

    name: str
    alpha: LayerWeight
    over_steps: bool = False

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.alpha,)


@dataclass(frozen=True, slots=True)
class StepSoftmax:
    """Softmax over a sequence's real steps, feature by feature; masked steps are 0."""

    name: str
    weights: tuple[LayerWeight, ...] = ()


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
class WindowShape:
    """Windows over a sequence's steps, the padded ones included: `size` steps `dilation` apart, one window every `stride` steps."""

    size: int
    stride: int
    dilation: int
    padding: WindowPadding

    @property
    def span(self) -> int:
        return (self.size - 1) * self.dilation + 1

    @property
    def places(self) -> Windows:
        """The same in numbers."""
        start = 1 - self.span if self.padding is WindowPadding.CAUSAL else 0
        return Windows(self.size, self.stride, self.dilation, start, self.padding is WindowPadding.SAME)

    def length(self, extent: Extent) -> Extent:
        """The number of windows over so many steps."""
        return self.places.length(extent)


@dataclass(frozen=True, slots=True)
class Convolution:
    """Conv1D; the kernel is (size, features, filters). `carry_mask`: masked steps aren't there, see `Windowed`."""

    name: str
    window: WindowShape
    carry_mask: bool
    activation: Config
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Config | None = None

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)


class LocalPoolingKind(Enum):
    """The value is the layer's type in the spec."""

    AVERAGE = "AveragePooling1D"
    MAX = "MaxPooling1D"


@dataclass(frozen=True, slots=True)
class LocalPooling:
    """The average or the maximum over each window; what a window lacks at the ends, or with `carry_mask` is masked, doesn't count."""

    name: str
    kind: LocalPoolingKind
    window: WindowShape
    carry_mask: bool
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
    """Several values to one: side by side, with `over_steps` one after the other, or element by element."""

    name: str
    kind: MergeKind
    over_steps: bool = False
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
    | StepSoftmax
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
