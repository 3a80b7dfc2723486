"""The layer graph: layers with their arguments evaluated, applied to values whose shapes are known; nothing computed yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from weakref import WeakValueDictionary

from rnnspec.contract.dimensions import Windows, plus
from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.contract.signature import Config, Extent, TextSignature, TrainSettings
from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend.binding.values import OwnEquations
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frozen import frozen


@frozen
class StepMask:
    """The real steps of a sequence: the union of those of each source, an input with the values that mask its steps.

    `joins`: further sources, each the masks of concatenated sequences. `windows`: further sources, each the windows over another mask.
    Without any source all `length` steps are real.
    """

    sources: tuple[tuple[str, tuple[float, ...]], ...]
    length: Extent = 0
    joins: tuple[tuple[StepMask, ...], ...] = ()
    windows: tuple[Windowed, ...] = ()

    @staticmethod
    def joined(parts: Iterable[StepMask]) -> StepMask:
        """The mask of sequences concatenated along time, in normal form: nested joins flattened, adjacent unmasked parts merged."""
        flat: list[StepMask] = []
        for part in parts:
            for one in part.joins[0] if len(part.joins) == 1 and not part.sources and not part.windows else (part,):
                if flat and one.is_whole and flat[-1].is_whole:
                    flat[-1] = StepMask((), plus(flat[-1].length, one.length))
                else:
                    flat.append(one)
        return flat[0] if len(flat) == 1 else StepMask((), joins=(tuple(flat),))

    def masking(self, value: float) -> StepMask:
        """The same mask without the steps whose features all equal `value`."""
        return StepMask(tuple((name, tuple(dict.fromkeys((*values, value)))) for name, values in self.sources))

    def either(self, other: StepMask) -> StepMask:
        """The union of two masks, which merge layers hand on, as in Keras."""
        if self.is_whole or other.is_whole:
            return self if self.is_whole else other
        both = dict.fromkeys((*self.sources, *other.sources))
        of_input: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
        for source in both:
            of_input.setdefault(source[0], []).append(source)
        sources = tuple(source for source in both if not any(_implies(source, wider) for wider in of_input[source[0]] if wider != source))
        joins, windows = dict.fromkeys((*self.joins, *other.joins)), dict.fromkeys((*self.windows, *other.windows))
        return StepMask(sources, joins=tuple(joins), windows=tuple(windows))

    def windowed(self, windows: Windows, length: Extent) -> StepMask:
        """The mask of `length` windows over these steps, for a layer that hands the mask on."""
        return StepMask((), length) if self.is_whole else StepMask((), windows=(windowed(self, windows, length),))

    def reversed(self, length: Extent) -> StepMask:
        """The `length` steps in reversed order: windows of one."""
        return self if self.is_whole else StepMask((), windows=(windowed(self, Windows(1, 1, 1, 0, same=False), length, flip=True),))

    @property
    def is_whole(self) -> bool:
        """Whether nothing can mask a step."""
        return not self.sources and not self.joins and not self.windows

    @property
    def is_masked(self) -> bool:
        """Whether the spec itself masks; a caller's own mask needs no layer."""
        joins = all(any(part.is_masked for part in join) for join in self.joins)
        windows = all(each.is_masked for each in self.windows)
        return not self.is_whole and joins and windows and all(values for _, values in self.sources)

    @property
    def inputs(self) -> Mapping[str, None]:
        """The inputs whose masks count here, in the order in which they come in."""
        names = dict.fromkeys(name for name, _ in self.sources)
        for part in (*(part for join in self.joins for part in join), *self.windows):
            names.update(part.inputs)
        return names


ONE_STEP = StepMask((), 1)
"""Of a single id a sample: it is looked up as a sequence of one step."""


@frozen(eq=False, weakref_slot=True)
class Windowed:
    """The windows over a sequence's own steps, for the packing of what they make; `windowed` makes each once, and so they are compared.

    Of a graph with many ways through its windows a comparison part by part would walk all the ways. `flip`: over the steps in
    reversed order. `is_masked`, `inputs`: of the steps.
    """

    steps: StepMask = field(repr=False)
    windows: Windows
    length: Extent
    flip: bool
    is_masked: bool
    inputs: Mapping[str, None]


_WINDOWED: WeakValueDictionary[tuple[StepMask, Windows, Extent, bool], Windowed] = WeakValueDictionary()


def windowed(steps: StepMask, windows: Windows, length: Extent, *, flip: bool = False) -> Windowed:
    """The one object for these windows over these steps."""
    made = Windowed(steps, windows, length, flip, steps.is_masked, steps.inputs)
    return _WINDOWED.setdefault((steps, windows, length, flip), made)


@frozen
class StepPairs:
    """The pairs of attention: each real step of `queries` with the real steps of `keys`; if `causal`, with none after its own."""

    queries: StepMask
    keys: StepMask
    causal: bool


def _implies(source: tuple[str, tuple[float, ...]], wider: tuple[str, tuple[float, ...]]) -> bool:
    """Whether the steps real by `source` are real by `wider` too, which masks fewer values of the same input."""
    return source[0] == wider[0] and set(wider[1]) <= set(source[1])


@frozen
class GraphTensor:
    """The type of a value between layers: `shape` without the batch, the last extent being the features.

    `steps`: of a sequence, whose first extent is the time. `ids`: token ids, which have no features.
    `flipped`: a sequence in reversed time order. `source`: the input that it is the content of, as given;
    else `computed` is the layer that made it. `ended`: the layer that gave one row for a sequence; `one_row`: whether it can't give another
    for each step, as a recurrent layer can.
    """

    shape: tuple[Extent, ...]
    steps: StepMask | None = None
    ids: bool = False
    flipped: bool = False
    source: str = ""
    computed: str = ""
    ended: str = ""
    one_row: bool = False

    @property
    def sequence(self) -> bool:
        """Whether it has a time, with one row of features a step."""
        return self.steps is not None

    @property
    def masked(self) -> bool:
        """Whether it is a sequence whose steps some mask may leave out."""
        return self.steps is not None and self.steps.is_masked

    @property
    def features(self) -> int:
        """The length of the last dimension; 0 where that is symbolic."""
        last = self.shape[-1]
        return last if isinstance(last, int) else 0

    def with_features(self, features: int) -> GraphTensor:
        """Floats of the same shape with another number of features."""
        return replace(self, shape=(*self.shape[:-1], features), ids=False)

    def by(self, layer: str) -> GraphTensor:
        """The same type as a layer's result; `layer` is named in errors."""
        return replace(self, source="", computed=layer)

    def __str__(self) -> str:
        return f"{'int' if self.ids else 'float'}[{', '.join(map(str, ('batch', *self.shape)))}]"


@frozen
class GraphValue:
    """An input or a layer's result; `number` is its place in the order in which values are made."""

    number: int
    type: GraphTensor


@frozen
class Application:
    """A layer at work; a shared layer has several."""

    layer: Layer
    operands: tuple[GraphValue, ...]
    results: tuple[GraphValue, ...]
    location: Location = field(default=UNKNOWN, compare=False)
    call: Config = field(default=Config(""), compare=False)
    """The layer's type with all its arguments, defaults filled in, for those who say it in another language."""


@frozen
class GraphInput:
    """An input of the model. `location`: its declaration in the spec. `text`, `max_tokens`: of one that takes texts."""

    name: str
    value: GraphValue
    location: Location = field(default=UNKNOWN, compare=False)
    text: TextSignature | None = None
    max_tokens: int | None = None
    is_scalar: bool = False
    """Whether it has one number, or one id, a sample, and no axis for it."""


@frozen
class GraphOutput:
    """An output of the model, under its name in the spec."""

    name: str
    value: GraphValue


@frozen
class LossWeights:
    """The weights of an output's loss, in the loss's order, trained with the model's."""

    output: str
    weights: tuple[LayerWeight, ...]


@frozen
class Drop:
    """An operand whose mask, if a caller gives one, a layer drops; `layer` and `place` as they are told, `advice` a sentence."""

    steps: StepMask
    layer: str
    place: str
    advice: str


@frozen
class Graph:
    """A model: applications in an order in which every operand is made before it is used."""

    model: str
    inputs: tuple[GraphInput, ...]
    applications: tuple[Application, ...]
    outputs: tuple[GraphOutput, ...]
    train: TrainSettings
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)
    drops: tuple[Drop, ...] = field(default=(), compare=False)
    losses: tuple[LossWeights, ...] = ()
    """The weights of losses that have some."""
    own: OwnEquations = field(default_factory=OwnEquations, compare=False)
    """The spec's functions, losses and metrics."""
    frozen: tuple[str, ...] = ()
    """The names of layers, and of blocks, that aren't trained, nor what is in them."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each layer once, in the order of first use."""
        return tuple({application.layer.name: application.layer for application in self.applications}.values())

    @property
    def weights(self) -> Iterator[LayerWeight]:
        """All layers' weights, in Keras's order, and then those of losses."""
        yield from (weight for layer in self.layers for weight in layer.weights)
        yield from (weight for loss in self.losses for weight in loss.weights)
