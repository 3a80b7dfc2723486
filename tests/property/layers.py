"""A table of the layers that models are drawn of: what each takes, its options, and what it gives. A new layer is one entry.

A layer is a description as in `tests.specs`, so that the numpy oracle (`tests.reference`) reads what the spec says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

from hypothesis import strategies as st

from tests.property.cells import Cell, drawn_cells
from tests.specs import Layer, make

VOCABULARY = 5
WIDEST = 24
"""Of a value; what would be wider isn't drawn."""


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

    length: int | str | None
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
    st.sampled_from(["linear", "relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "log_softmax", "exponential", "tanh_shrink"]),
    st.sampled_from([make("leaky_relu", negative_slope=0.1), make("soft_shrink", threshold=0.25), make("squareplus", b=1.0)]),
)

DROPS = {"dropout": maybe(RATE), "recurrent_dropout": maybe(RATE)}
SEQUENCE_OPTIONS: Options = {
    "return_sequences": st.sampled_from([True, True, False]),
    "go_backwards": maybe(FLAG),
    "zero_output_for_mask": maybe(FLAG),
    "return_state": maybe(FLAG),
    "stateful": maybe(FLAG),
    **DROPS,
}


@dataclass(frozen=True)
class Entry:
    """`options` of the first value that the layer takes; `gives` the shapes of its results.

    `weight`: how often it is drawn beside the others. `most`: values that it takes.
    """

    takes: Callable[[Shape], bool]
    options: Callable[[Shape], Options]
    gives: Callable[[Layer, Sequence[Shape]], list[Shape]]
    weight: int = 1
    most: int = 1


@st.composite
def described(draw: st.DrawFn, name: str, options: Options) -> Layer:
    drawn = {key: draw(strategy) for key, strategy in options.items()}
    return make(name, **{key: value for key, value in drawn.items() if value is not ABSENT})


def numbers(shape: Shape) -> bool:
    return not shape.ids


def sequence(shape: Shape) -> bool:
    return shape.sequence and not shape.ids


def no_options(shape: Shape) -> Options:
    return {}


def as_before(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return [shapes[0].of(shapes[0].width)]


def pointwise(options: Options, weight: int = 1) -> Entry:
    return Entry(numbers, lambda shape: options, as_before, weight)


def pooling() -> Entry:
    return Entry(sequence, no_options, lambda layer, shapes: [shapes[0].row(shapes[0].width)])


# Recurrent layers


def state_widths(layer: Layer) -> list[int]:
    cell: Cell | None = layer.get("_cell")
    count = cell.states if cell is not None else 2 if layer["layer"] == "LSTM" else 1
    return [int(layer["units"])] * count


def output_width(layer: Layer) -> int:
    cell: Cell | None = layer.get("_cell")
    return int(layer["units"]) * (1 if cell is None else cell.outputs)


def recurrent(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    (shape,) = shapes
    width = output_width(layer)
    if layer.get("return_sequences", False):
        padding = Padding.FILLED if layer.get("zero_output_for_mask", False) else Padding.HELD
        output = replace(shape.of(width), flipped=shape.flipped is not layer.get("go_backwards", False), padding=padding)
    else:
        output = shape.row(width)
    states = state_widths(layer) if layer.get("return_state", False) else []
    return [output, *map(shape.row, states)]


def bidirectional(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    halves = [layer["of"], layer.get("backward_layer", layer["of"])]
    (forward, *ahead), (backward, *behind) = (recurrent({**half, "go_backwards": False}, shapes) for half in halves)
    forward, backward = (replace(half, padding=Padding.FILLED) for half in (forward, backward))
    match layer.get("merge_mode", "concat"):
        case "concat":
            outputs = [forward.of(forward.width + backward.width)]
        case None:
            outputs = [forward, backward]
        case _:
            outputs = [forward]
    return [*outputs, *ahead, *behind]


def cell_options(name: str) -> Options:
    if name == "Drawn":
        return {"units": UNITS, "_cell": drawn_cells()}
    gates = {} if name == "SimpleRNN" else {"recurrent_activation": maybe(BOUNDED)}
    more: dict[str, Options] = {"LSTM": {"unit_forget_bias": maybe(FLAG)}, "GRU": {"reset_after": maybe(FLAG)}}
    return {"units": UNITS, "activation": maybe(BOUNDED), **gates, "use_bias": maybe(FLAG), **more.get(name, {})}


CELLS = ("LSTM", "GRU", "SimpleRNN", "Drawn")


@st.composite
def directions(draw: st.DrawFn) -> Layer:
    """A Bidirectional; the widths of the two agree where they are merged element by element."""
    options = {key: strategy for key, strategy in SEQUENCE_OPTIONS.items() if key not in ("go_backwards", "zero_output_for_mask")}
    of = draw(st.sampled_from(CELLS).flatmap(lambda name: described(name, {**cell_options(name), **options})))
    layer = make("Bidirectional", of=of)
    mode = draw(st.sampled_from([ABSENT, "concat", "sum", "mul", "ave", None]))
    if mode is not ABSENT:
        layer["merge_mode"] = mode
    if draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(CELLS))
        backward = draw(described(kind, {**cell_options(kind), "dropout": maybe(RATE)}))
        kept = {key: of[key] for key in ("return_sequences", "return_state", "stateful") if key in of}
        layer["backward_layer"] = {**backward, **kept, "go_backwards": True}
        if mode in ("sum", "mul", "ave") and output_width(of) != output_width(backward):
            del layer["merge_mode"]
    return layer


# Layers of several values


def padded_alike(layer: Layer, shapes: Sequence[Shape], masks_differ: bool) -> Padding:
    """What masked steps hold after a merge."""
    kinds = {shape.padding for shape in shapes}
    if layer["layer"] == "Multiply":
        return Padding.FILLED
    return Padding.MIXED if masks_differ or len(kinds) > 1 or layer["layer"] in ("Maximum", "Minimum") else kinds.pop()


def merged(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    first = shapes[0]
    width = sum(shape.width for shape in shapes) if layer["layer"] == "Concatenate" else first.width
    differ = len({shape.masks for shape in shapes}) > 1
    known = all(shape.known for shape in shapes) and not (differ and any(shape.padding is Padding.MIXED for shape in shapes))
    masks = (
        frozenset[tuple[str, tuple[float, ...]]]()
        if not all(shape.masks for shape in shapes)
        else first.masks.union(*(shape.masks for shape in shapes[1:]))
    )
    if not first.sequence:
        return [replace(first.of(width), known=known)]
    return [replace(first.of(width), masks=masks, padding=padded_alike(layer, shapes, differ), known=known)]


def merge(most: int = 3) -> Entry:
    return Entry(numbers, no_options, merged, weight=2, most=most)


DENSE: Options = {"units": UNITS, "activation": maybe(ACTIVATION), "use_bias": maybe(FLAG)}
NORMALIZED: Options = {"epsilon": maybe(st.just(0.01)), "center": maybe(FLAG), "scale": maybe(FLAG)}
ROWWISE = st.one_of(
    described("Dense", DENSE),
    described("Activation", {"activation": ACTIVATION}),
    described("LayerNormalization", NORMALIZED),
    described("Dropout", {"rate": RATE}),
)


def distributed(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return ENTRIES[layer["of"]["layer"]].gives(layer["of"], shapes)


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        **{
            name: Entry(sequence, lambda shape, name=name: {**cell_options(name), **SEQUENCE_OPTIONS}, recurrent, weight=3)
            for name in CELLS
        },
        "Bidirectional": Entry(sequence, no_options, bidirectional, weight=3),
        "Masking": Entry(
            lambda shape: shape.raw and sequence(shape),
            lambda shape: {"mask_value": st.sampled_from([0.0, 1.0])},
            lambda layer, shapes: [shapes[0].masking(layer["mask_value"])],
            weight=4,
        ),
        "Embedding": Entry(
            lambda shape: shape.ids,
            lambda shape: {"input_dim": st.just(VOCABULARY), "output_dim": UNITS, "mask_zero": maybe(FLAG)},
            lambda layer, shapes: [
                replace((shapes[0].masking(0.0) if layer.get("mask_zero", False) else shapes[0]).of(layer["output_dim"]), ids=False)
            ],
            weight=3,
        ),
        "Dense": Entry(numbers, lambda shape: DENSE, lambda layer, shapes: [shapes[0].of(layer["units"])], weight=3),
        "Dropout": pointwise({"rate": RATE}),
        "Activation": pointwise({"activation": ACTIVATION}),
        "LayerNormalization": pointwise(NORMALIZED),
        "Softmax": pointwise({}),
        "ReLU": pointwise({"max_value": maybe(st.just(1.5)), "negative_slope": maybe(st.just(0.2)), "threshold": maybe(st.just(0.25))}),
        "LeakyReLU": pointwise({"negative_slope": maybe(st.just(0.1))}),
        "ELU": pointwise({"alpha": maybe(st.just(0.5))}),
        "PReLU": Entry(numbers, lambda shape: {"shared_axes": st.just([1])} if shape.sequence else {}, as_before),
        "SpatialDropout1D": Entry(sequence, lambda shape: {"rate": RATE}, as_before),
        "GlobalAveragePooling1D": pooling(),
        "GlobalMaxPooling1D": pooling(),
        "RepeatVector": Entry(
            lambda shape: numbers(shape) and not shape.sequence,
            lambda shape: {"n": st.sampled_from([2, 5])},
            lambda layer, shapes: [Shape(int(layer["n"]), shapes[0].width, known=shapes[0].known)],
        ),
        "TimeDistributed": Entry(sequence, lambda shape: {"of": ROWWISE}, distributed),
        **{name: merge() for name in ("Concatenate", "Add", "Multiply", "Average", "Maximum", "Minimum")},
        "Subtract": merge(most=2),
    }
)


def drawn_layer(name: str, shape: Shape) -> st.SearchStrategy[Layer]:
    """One layer of a kind, for a value."""
    return directions() if name == "Bidirectional" else described(name, ENTRIES[name].options(shape))


def results(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return ENTRIES[layer["layer"]].gives(layer, shapes)
