"""What a compiled model is to its caller: inputs, outputs, weights. Plain data, no compiler stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rnnspec.contract.dimensions import Dim, Windows

Extent: TypeAlias = Dim
"""A fixed length, the name of a dynamic dimension (the same name is the same length in a call), or what comes from it."""

ArgumentValue: TypeAlias = float | int | bool | str | tuple["ArgumentValue", ...] | None


@dataclass(frozen=True, slots=True)
class Config:
    """Something chosen by name with arguments: an initializer, an optimizer, a loss, a metric.

    `name` is the canonical one of the catalogue (`glorot_uniform`, `Adam`), `arguments` holds every
    argument of the catalogue's entry, defaults filled in.
    """

    name: str
    arguments: tuple[tuple[str, ArgumentValue], ...] = ()


@dataclass(frozen=True, slots=True)
class InputSignature:
    """`shape` is without the batch: (features,) for a row, (time, features) or (time,) of ids for a sequence.

    `vocabulary`: ids must be in 0 .. vocabulary - 1; None for float inputs.
    """

    name: str
    shape: tuple[Extent, ...]
    integer: bool = False
    vocabulary: int | None = None

    @property
    def is_sequence(self) -> bool:
        return self.integer or len(self.shape) == 2


@dataclass(frozen=True, slots=True)
class WindowSignature:
    """The windows over the sequence of index number `of`, a layer having handed its mask on; see `packing.window_mask`.

    `length`: how many there are over a padded sequence. `flip`: the sequence is taken in reversed order.
    """

    of: int
    windows: Windows
    length: Extent
    flip: bool = False


@dataclass(frozen=True, slots=True)
class IndexSignature:
    """Which steps of a sequence are real, for one packing index: those that one of the sources says are.

    `sources`: inputs, each with the values that mask: a step is masked where all its features equal one
    of these (Masking, mask_zero). What a caller masks in an input is masked too. `joins`: other sources,
    each of sequences one after the other. `windows`: others, each over an index that stands before this one. Without any source
    all `length` steps are real.
    """

    sources: tuple[tuple[str, tuple[float, ...]], ...]
    length: Extent = 0
    joins: tuple[tuple[IndexSignature, ...], ...] = ()
    windows: tuple[WindowSignature, ...] = ()

    def all_sources(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Those of joined sequences, too."""
        yield from self.sources
        for join in self.joins:
            for part in join:
                yield from part.all_sources()


@dataclass(frozen=True, slots=True)
class DroppedMask:
    """Where a caller's mask gets lost: `layer`, at its `place` in the spec, takes all steps of index number `index` for real.

    `inputs`: whose masks that index is made from. `advice`: what serves instead, a sentence.
    """

    index: int
    inputs: tuple[str, ...]
    layer: str
    place: str
    advice: str


@dataclass(frozen=True, slots=True)
class PairSignature:
    """A packing index with a row for each token of index number `queries`: the steps of index number `keys` that it may look at."""

    queries: int
    keys: int
    causal: bool = False


@dataclass(frozen=True, slots=True)
class OutputSignature:
    """`shape` is without the batch; `index`: the packing index of a sequence, whose masked steps don't count in a loss."""

    name: str
    shape: tuple[Extent, ...]
    is_sequence: bool = False
    index: int | None = None
    flip: bool = False
    """In reversed time order (a bare go_backwards with return_sequences): its mask is flipped with it."""
    hold: bool = False
    """Masked steps repeat the last real one."""


@dataclass(frozen=True, slots=True)
class ActivitySignature:
    """What a layer gives, for its activity regularizer; training gets it after the outputs."""

    name: str
    regularizer: Config


@dataclass(frozen=True, slots=True)
class InitializerPart:
    """An initializer for columns `start` to `stop` of the last axis (all of them for most weights)."""

    start: int
    stop: int
    initializer: Config


@dataclass(frozen=True, slots=True)
class WeightSignature:
    """A weight under its path ("bidirectional/forward_lstm/kernel"), in Keras's order, layout and shape.

    `updated`: a call in training gives it a new value.
    """

    name: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True
    updated: bool = False
    regularizer: Config | None = None
    """What training adds to the loss for it."""
    constraint: Config | None = None
    """What training makes of it after an update."""
    looked_up_by: tuple[str, ...] = ()
    """The inputs whose ids are its only use: a call reads these rows of it, and row 0. Empty where it is used in another way."""


def weight_ranges(weights: Sequence[WeightSignature]) -> dict[str, slice]:
    """Where each weight lies in the flat array of all of them, one after the other in their order."""
    ranges: dict[str, slice] = {}
    start = 0
    for weight in weights:
        stop = start + math.prod(weight.shape)
        ranges[weight.name] = slice(start, stop)
        start = stop
    return ranges


@dataclass(frozen=True, slots=True)
class StateSignature:
    """What is carried over calls: (batch, width), zeros at first."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class StreamSignature:
    """What a stream carries from step to step; `refusal` says why there can be none, and is empty otherwise."""

    states: tuple[StateSignature, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The spec's `train` section, defaults filled in; None where the spec says nothing.

    `loss`, `loss_weights` and `metrics` are for all outputs, or tuples with one entry for each.
    """

    loss: Config | tuple[Config | None, ...] | None = None
    optimizer: Config | None = None
    metrics: tuple[Config | tuple[Config, ...] | None, ...] = ()
    loss_weights: float | tuple[float, ...] | None = None
    batch_size: int | None = None
    epochs: int | None = None
    validation_split: float | None = None
    shuffle: bool | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """`dtype` is "float32" or "float64": of every float input, weight and output."""

    model: str
    dtype: str
    inputs: tuple[InputSignature, ...]
    outputs: tuple[OutputSignature, ...]
    weights: tuple[WeightSignature, ...]
    train: TrainSettings = TrainSettings()
    indices: tuple[IndexSignature | PairSignature, ...] = ()
    """A pair's parts stand before it."""
    states: tuple[StateSignature, ...] = ()
    """Of stateful layers."""
    stream: StreamSignature = StreamSignature()

    def sources(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """The inputs, with the values that mask, that some index is made from."""
        return (source for index in self.indices if isinstance(index, IndexSignature) for source in index.all_sources())

    @property
    def updates(self) -> tuple[str, ...]:
        """The weights that a call in training gives new values, in their order."""
        return tuple(weight.name for weight in self.weights if weight.updated)

    activities: tuple[ActivitySignature, ...] = ()
    dropped_masks: tuple[DroppedMask, ...] = ()
