"""A compiled model's signature: its inputs, outputs, weights, packing indices and settings. Plain data, no compiler stage."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from math import gcd
from typing import TypeAlias

from rnnspec.contract.dimensions import Dim, Windows
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen

Extent: TypeAlias = Dim
"""A fixed length, the name of a dynamic dimension (the same name is the same length in a call), or what comes from it."""

ArgumentValue: TypeAlias = "float | int | bool | str | Config | tuple[ArgumentValue, ...] | None"


@frozen
class Config:
    """Something chosen by name with arguments: an initializer, an optimizer, a loss, a metric.

    `name` is the canonical one of the catalogue (`glorot_uniform`, `Adam`), `arguments` holds every
    argument of the catalogue's entry, defaults filled in.
    """

    name: str
    arguments: tuple[tuple[str, ArgumentValue], ...] = ()


@frozen
class TextSignature:
    """How the texts of an input become ids, with Keras's words: see `runtime.data.tokens` and `runtime.data.texts`.

    `standardize`: None for texts as they are. `maxlen`: the most tokens of a text, which the side `truncating` loses what is more than
    that; None for any number. `padding`: the side of the zeros before or behind a text, where the number of steps is fixed.
    `vocabulary`: the path of a file from the spec's folder, named in the spec's line `line`; None for one that `adapt` makes.
    """

    standardize: str | None
    split: str
    maxlen: int | None
    padding: str
    truncating: str
    vocabulary: str | None
    line: int


@frozen
class InputSignature:
    """An input. `shape` without the batch: (features,) for a row, (time, features) or, of ids, (time,) for a sequence, () for one number.

    `vocabulary`: ids must be in 0 .. vocabulary - 1; None for float inputs. `text`: of an input of ids that takes texts.
    """

    name: str
    shape: tuple[Extent, ...]
    integer: bool = False
    vocabulary: int | None = None
    text: TextSignature | None = None

    @property
    def is_sequence(self) -> bool:
        """Whether the input has a time axis."""
        return len(self.shape) == (1 if self.integer else 2)


@frozen
class WindowSignature:
    """The windows over the sequence of index number `of`, a layer having handed its mask on; see `packing.window_mask`.

    `length`: how many there are over a padded sequence. `flip`: the sequence is taken in reversed order.
    """

    of: int
    windows: Windows
    length: Extent
    flip: bool = False


@frozen
class IndexSignature:
    """A packing index of a sequence: a step is unmasked if any of the sources leaves it unmasked.

    `sources`: inputs, each with its masking values: a step is masked where all its features equal one of them (Masking, mask_zero), or
    where the caller masks it. `joins`: sequences one after the other. `windows`: over an index with a smaller number. Without any source
    all `length` steps are unmasked.
    """

    sources: tuple[tuple[str, tuple[float, ...]], ...]
    length: Extent = 0
    joins: tuple[tuple[IndexSignature, ...], ...] = ()
    windows: tuple[WindowSignature, ...] = ()

    def all_sources(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """The inputs with their masking values, those of joined sequences included."""
        yield from self.sources
        for join in self.joins:
            for part in join:
                yield from part.all_sources()


@frozen
class DroppedMask:
    """A layer that drops a caller's mask: `layer`, at `place` in the spec, computes with all steps of index number `index`.

    `inputs`: the inputs with that mask. `advice`: a substitute that keeps it, a sentence.
    """

    index: int
    inputs: tuple[str, ...]
    layer: str
    place: str
    advice: str


@frozen
class PairSignature:
    """A packing index with a row for each token of index number `queries`: the steps of index number `keys` that it may look at."""

    queries: int
    keys: int
    causal: bool = False


@frozen
class OutputSignature:
    """An output. `shape` without the batch; `index`: a sequence's packing index, whose masked steps don't count in a loss."""

    name: str
    shape: tuple[Extent, ...]
    is_sequence: bool = False
    index: int | None = None
    flip: bool = False
    """In reversed time order (a bare go_backwards with return_sequences): its mask is flipped with it."""
    hold: bool = False
    """Masked steps repeat the last real one."""

    @property
    def width(self) -> int:
        """The number of units, which is fixed."""
        last = self.shape[-1]
        if not isinstance(last, int):
            raise InternalError(f"output {self.name} has no fixed number of units")
        return last


@frozen
class ActivitySignature:
    """A layer's output as its activity regularizer reads it; training receives it after the model's outputs."""

    name: str
    regularizer: Config


@frozen
class InitializerPart:
    """An initializer for columns `start` to `stop` of the last axis (all of them for most weights)."""

    start: int
    stop: int
    initializer: Config


@frozen
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
    """The weight's penalty in the training loss."""
    constraint: Config | None = None
    """The projection that training applies after an update."""
    looked_up_by: tuple[str, ...] = ()
    """The inputs whose ids are the weight's only use: a call reads those rows and row 0. Empty for a weight with any other use."""


def frozen_weights(weights: Iterable[str], layers: Collection[str]) -> tuple[str, ...]:
    """Those of the weights, by path, that are in one of the layers; the layer "" is the whole model."""
    return tuple(path for path in weights if any(not layer or path.startswith(f"{layer}/") for layer in layers))


def weight_ranges(weights: Sequence[WeightSignature]) -> dict[str, slice]:
    """Each weight's slice of the flat array that holds all weights in their order."""
    ranges: dict[str, slice] = {}
    start = 0
    for weight in weights:
        stop = start + math.prod(weight.shape)
        ranges[weight.name] = slice(start, stop)
        start = stop
    return ranges


@frozen
class StateSignature:
    """A state that is carried from call to call: (batch, width), zeros at first."""

    name: str
    width: int


@frozen
class Clock:
    """A sequence has its first step with the stream's step number `first`, counted from 1, and one more every `period` steps from there."""

    first: int = 1
    period: int = 1

    def either(self, other: Clock) -> Clock:
        """A clock of what comes from two sequences: from where both have begun, at each step of either, and maybe at others."""
        return Clock(max(self.first, other.first), gcd(self.period, other.period, self.first - other.first))


EVERY_STEP = Clock()


@frozen
class StreamSignature:
    """The states of a stream, carried from step to step. `refusal`: the reason why the model can't stream; empty if it can.

    `clocks`: at which steps each packing index has steps; `outputs`: at which steps each output has a value.
    """

    states: tuple[StateSignature, ...] = ()
    refusal: str = ""
    clocks: tuple[Clock, ...] = ()
    outputs: tuple[Clock, ...] = ()


@frozen
class TrainSettings:
    """The spec's `train` section with defaults filled in; None for a setting that the spec leaves out.

    `loss`, `loss_weights`, `metrics` and `weighted_metrics` are for all outputs, or tuples with an entry for each output.
    `class_weight`: the weights of one output's classes by their numbers, or a tuple of those of each output.
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
    weighted_metrics: tuple[Config | tuple[Config, ...] | None, ...] = ()
    class_weight: tuple[float, ...] | tuple[tuple[float, ...] | None, ...] | None = None
    truncate: int | None = None
    classes: tuple[str, ...] | tuple[tuple[str, ...] | None, ...] | None = None
    """The names of one output's classes in the order of their numbers, or a tuple of those of each output."""
    checkpoint: int | None = None
    callbacks: tuple[Config, ...] = ()
    data: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The columns of the command's data by what they are for: an input, an output, `y`, `split` and so on."""
    allow_nan: bool | None = None
    shards: int | None = None


@frozen
class MomentsUse:
    """The data of which `adapt` takes the mean and the variance: `shape` without the batch.

    `input`: the input that it is, steps whose features all equal one of `masked` left out; empty for what a layer gives.
    """

    shape: tuple[Extent, ...]
    input: str = ""
    masked: tuple[float, ...] = ()

    @property
    def is_sequence(self) -> bool:
        """Whether it has a time axis."""
        return len(self.shape) == 2


@frozen
class MomentsSignature:
    """A layer with a mean and a variance that `adapt` computes, under their weights' names; `uses`: what the layer is applied to."""

    layer: str
    mean: str
    variance: str
    uses: tuple[MomentsUse, ...]


@frozen
class Signature:
    """The signature of a model. `dtype`: "float32" or "float64", of every float input, weight and output."""

    model: str
    dtype: str
    inputs: tuple[InputSignature, ...]
    outputs: tuple[OutputSignature, ...]
    weights: tuple[WeightSignature, ...]
    train: TrainSettings = TrainSettings()
    indices: tuple[IndexSignature | PairSignature, ...] = ()
    """Packing indices by number; the two parts of pairs have smaller numbers than the pairs."""
    states: tuple[StateSignature, ...] = ()
    """States of stateful layers."""
    stream: StreamSignature = StreamSignature()
    activities: tuple[ActivitySignature, ...] = ()
    """Outputs of layers with an activity regularizer, in the order in which they follow the model's outputs."""
    dropped_masks: tuple[DroppedMask, ...] = ()
    """Layers that drop a caller's mask on its way to an output."""
    moments: tuple[MomentsSignature, ...] = ()
    """Layers whose mean and variance `adapt` computes."""
    frozen: tuple[str, ...] = ()
    """The names of layers, and of blocks, that the spec doesn't train, nor what is in them."""

    @property
    def of_step(self) -> Signature:
        """The signature of a step of a stream: indices of which the spec masks no step have one step, those with a clock maybe none."""
        of_one = IndexSignature((), 1)
        masked = [isinstance(each, IndexSignature) and each.sources and all(values for _, values in each.sources) for each in self.indices]
        return replace(self, indices=tuple(each if is_masked else of_one for each, is_masked in zip(self.indices, masked, strict=True)))

    def sources(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """The inputs from which packing indices are made, each with its masking values."""
        return (source for index in self.indices if isinstance(index, IndexSignature) for source in index.all_sources())

    @property
    def masks_values(self) -> bool:
        """Whether a layer masks steps by their values."""
        return any(values for _, values in self.sources())

    @property
    def updates(self) -> tuple[str, ...]:
        """The weights to which a training call gives new values, such as moving means, in their order."""
        return tuple(weight.name for weight in self.weights if weight.updated)
