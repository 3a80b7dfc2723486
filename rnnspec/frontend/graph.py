"""The layer graph: layers with their arguments evaluated and their shapes known, nothing computed yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, TypeGuard

from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend.equations import Step
from rnnspec.runtime.signature import Configured, Extent, InitializerPart, TrainSettings


@dataclass(frozen=True, slots=True)
class Flowing:
    """What flows from one layer to the next: `shape` without the batch, the last extent being the features.

    `sequence`: the first extent is the time. `ids`: token ids, which have no features.
    `masked`: the spec itself makes a mask for it (a caller's own mask needs no layer).
    `flipped`: a sequence in reversed time order.
    """

    shape: tuple[Extent, ...]
    sequence: bool
    ids: bool = False
    masked: bool = False
    flipped: bool = False

    @property
    def features(self) -> int:
        last = self.shape[-1]
        return last if isinstance(last, int) else 0

    def with_features(self, features: int) -> Flowing:
        return Flowing((*self.shape[:-1], features), self.sequence, False, self.masked, self.flipped)

    def __str__(self) -> str:
        return f"{'int' if self.ids else 'float'}[{', '.join(map(str, ('batch', *self.shape)))}]"


@dataclass(frozen=True, slots=True)
class LayerWeight:
    """A weight under its full path."""

    path: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class Embedding:
    name: str
    input_dim: int
    output_dim: int
    mask_zero: bool
    table: LayerWeight
    output: Flowing

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.table,)


@dataclass(frozen=True, slots=True)
class Masking:
    name: str
    mask_value: float
    output: Flowing
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A cell as a layer; `weights` are those of the step, in its order, under their full paths."""

    name: str
    step: Step
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    weights: tuple[LayerWeight, ...]
    output: Flowing


class MergeMode(Enum):
    CONCAT = "concat"
    SUM = "sum"
    MUL = "mul"
    AVE = "ave"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Bidirectional:
    """Two recurrent layers over the same input, `backward` walking it from its end; `output` is one direction's for NONE."""

    name: str
    forward: Recurrent
    backward: Recurrent
    merge_mode: MergeMode
    output: Flowing

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
    output: Flowing

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)


@dataclass(frozen=True, slots=True)
class Dropout:
    name: str
    rate: float
    output: Flowing
    weights: tuple[LayerWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class Activation:
    name: str
    activation: Configured
    output: Flowing
    weights: tuple[LayerWeight, ...] = ()


Layer: TypeAlias = Embedding | Masking | Recurrent | Bidirectional | Dense | Dropout | Activation


@dataclass(frozen=True, slots=True)
class GraphInput:
    name: str
    value: Flowing


@dataclass(frozen=True, slots=True)
class Graph:
    """A sequential model: the input goes through the layers in their order."""

    model: str
    input: GraphInput
    layers: tuple[Layer, ...]
    train: TrainSettings
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)

    @property
    def output(self) -> Flowing:
        """What the last layer gives (twice for a Bidirectional without a merge)."""
        return self.layers[-1].output


def gives_two(layer: Layer) -> TypeGuard[Bidirectional]:
    """Whether a layer gives both directions' values, unmerged."""
    return isinstance(layer, Bidirectional) and layer.merge_mode is MergeMode.NONE


def output_names(graph: Graph) -> tuple[str, ...]:
    """The last layer's name; for a Bidirectional without a merge one for each direction."""
    last = graph.layers[-1]
    return (f"{last.name}/forward", f"{last.name}/backward") if gives_two(last) else (last.name,)
