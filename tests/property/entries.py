"""What an entry in the table of layers is made of: the shapes that flow, and the strategies that all entries share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from hypothesis import strategies as st

from rnnspec.contract.dimensions import Dim
from tests.specs import Layer, make

VOCABULARY = 5
WIDEST = 24
"""Of a value; what would be wider isn't drawn."""


class Misfit(Exception):
    """A layer can't take what it is given."""


class Padding(Enum):
    """What the masked steps of a sequence hold; MIXED where the package and Keras choose differently."""

    FILLED = "filled"
    HELD = "held"
    MIXED = "mixed"


@dataclass(frozen=True)
class Shape:
    """What a value is to the layers that may take it; `length` is None for a row, `width` of ids how many there are.

    `masks`: what decides which steps are real. `raw`: an input that nothing was computed from yet.
    `known`: the oracle's real steps are the package's.
    """

    length: Dim | None
    width: int
    ids: bool = False
    raw: bool = False
    flipped: bool = False
    masks: frozenset[tuple[str, tuple[float, ...]]] = frozenset()
    padding: Padding = Padding.FILLED
    known: bool = True

    @property
    def sequence(self) -> bool:
        return self.length is not None

    def of(self, width: int) -> Shape:
        return replace(self, width=int(width), raw=False)

    def masking(self, value: float) -> Shape:
        return replace(self, masks=frozenset((name, (*values, value)) for name, values in self.masks))

    def row(self, width: int) -> Shape:
        return Shape(None, int(width), known=self.known)

    def anew(self, length: Dim | None, width: int) -> Shape:
        """What comes of all steps, the masked ones as what they hold: without a mask, in its own order."""
        if isinstance(length, int) and length < 1:
            raise Misfit
        return Shape(length, int(width), known=self.known and self.padding is not Padding.MIXED)


class Number(int):
    """A whole number that the spec writes as a parameter, or a multiple of one."""

    name: str
    factor: int

    def __new__(cls, parameter: int, name: str, factor: int) -> Number:
        made = super().__new__(cls, factor * parameter)
        made.name, made.factor = name, factor
        return made

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor} * {self.name}"


Options: TypeAlias = Mapping[str, st.SearchStrategy[Any]]

ABSENT = object()
"""What an option is that isn't written."""


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Seldom written."""
    return st.one_of(st.just(ABSENT), st.just(ABSENT), strategy)


UNITS = st.sampled_from([2, 1, 3, 5, 8, 17])
"""Around what fills vectors of 2 to 16 lanes."""
FLAG = st.booleans()
RATE = st.sampled_from([0.5, 0.1, 0.9, 0.0])
BOUNDED = st.sampled_from(
    ["tanh", "sigmoid", "softsign", "hard_sigmoid", "softmax", "hard_tanh", "relu6", {"layer": "gelu", "approximate": True}]
)
"""What a recurrence may apply again and again."""
ACTIVATION = st.one_of(
    BOUNDED,
    st.sampled_from(
        ["linear", "relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "log_softmax", "sparsemax", "exponential", "tanh_shrink"]
    ),
    st.sampled_from([make("leaky_relu", negative_slope=0.1), make("soft_shrink", threshold=0.25), make("squareplus", b=1.0)]),
)


@dataclass(frozen=True)
class Entry:
    """`options`, or layers, for the values that it is to take; `gives` the shapes of its results, or Misfit.

    `weight`: how often it is drawn beside the others. `most`: values that it takes; `together` which of them it takes at once.
    """

    takes: Callable[[Shape], bool]
    options: Callable[..., Options | st.SearchStrategy[Layer]]
    gives: Callable[[Layer, Sequence[Shape]], list[Shape]]
    weight: int = 1
    most: int = 1
    together: Callable[[Sequence[Shape]], bool] = lambda shapes: len(shapes) == 1


@st.composite
def described(draw: st.DrawFn, name: str, options: Options) -> Layer:
    drawn = {key: draw(strategy) for key, strategy in options.items()}
    return make(name, **{key: value for key, value in drawn.items() if value is not ABSENT})


def numbers(shape: Shape) -> bool:
    return not shape.ids


def sequence(shape: Shape) -> bool:
    return shape.sequence and not shape.ids


def no_options(*shapes: Shape) -> Options:
    return {}


def as_before(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return [shapes[0].of(shapes[0].width)]


def pointwise(options: Options, weight: int = 1) -> Entry:
    return Entry(numbers, lambda shape: options, as_before, weight)
