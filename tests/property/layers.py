"""A table of the layers that models are drawn of: what each takes, its options, and what it gives. A new layer is one entry.

A layer is a description as in `tests.specs`, so that the numpy oracle (`tests.reference`) reads what the spec says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st

from rnnspec.contract.dimensions import plus
from tests.property.cells import Cell, drawn_cells
from tests.property.entries import (
    ABSENT,
    ACTIVATION,
    BOUNDED,
    FLAG,
    RATE,
    UNITS,
    VOCABULARY,
    WIDEST,
    Entry,
    Misfit,
    Options,
    Padding,
    Shape,
    as_before,
    described,
    maybe,
    no_options,
    numbers,
    pointwise,
    sequence,
)
from tests.property.entries_windows import WINDOWS
from tests.specs import Layer, make

DROPS = {"dropout": maybe(RATE), "recurrent_dropout": maybe(RATE)}
SEQUENCE_OPTIONS: Options = {
    "return_sequences": st.sampled_from([True, True, False]),
    "go_backwards": maybe(FLAG),
    "zero_output_for_mask": maybe(FLAG),
    "return_state": maybe(FLAG),
    "stateful": maybe(FLAG),
    **DROPS,
}
STACK_OPTIONS: Options = {name: strategy for name, strategy in SEQUENCE_OPTIONS.items() if name not in DROPS}


# Recurrent layers


def state_widths(layer: Layer) -> list[int]:
    if layer["layer"] == "RNN":
        return [width for cell in layer["cells"] for width in state_widths(cell)]
    cell: Cell | None = layer.get("_cell")
    count = cell.states if cell is not None else 2 if layer["layer"] == "LSTM" else 1
    return [int(layer["units"])] * count


def output_width(layer: Layer) -> int:
    if layer["layer"] == "RNN":
        return output_width(layer["cells"][-1])
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
def stacks(draw: st.DrawFn, options: Options = MappingProxyType(STACK_OPTIONS)) -> Layer:
    """An RNN of one cell to three, each with its own dropout."""
    kinds = draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3))
    cells = [draw(described(kind, {**cell_options(kind), **DROPS})) for kind in kinds]
    return {**draw(described("RNN", options)), "cells": cells}


def recurrent_layers(options: Options) -> st.SearchStrategy[Layer]:
    """Of any kind, with some of the options that they all have."""
    of_stack = {name: strategy for name, strategy in options.items() if name not in DROPS}
    kinds = st.sampled_from([*CELLS, "RNN"])
    return kinds.flatmap(lambda name: stacks(of_stack) if name == "RNN" else described(name, {**cell_options(name), **options}))


@st.composite
def directions(draw: st.DrawFn) -> Layer:
    """A Bidirectional; the widths of the two agree where they are merged element by element."""
    options = {key: strategy for key, strategy in SEQUENCE_OPTIONS.items() if key not in ("go_backwards", "zero_output_for_mask")}
    of = draw(recurrent_layers(options))
    layer = make("Bidirectional", of=of)
    mode = draw(st.sampled_from([ABSENT, "concat", "sum", "mul", "ave", None]))
    if mode is not ABSENT:
        layer["merge_mode"] = mode
    if draw(st.integers(0, 3)) == 0:
        backward = draw(recurrent_layers({"dropout": maybe(RATE)}))
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
    """A row beside sequences is at each of their real steps; what masked ones hold then is chosen differently in the oracle."""
    sequences = [shape for shape in shapes if shape.sequence]
    first = sequences[0] if sequences else shapes[0]
    width = sum(shape.width for shape in shapes) if layer["layer"] == "Concatenate" else first.width
    differ = len({shape.masks for shape in sequences}) > 1
    known = all(shape.known for shape in shapes) and not (differ and any(shape.padding is Padding.MIXED for shape in sequences))
    if not sequences:
        return [replace(first.of(width), known=known)]
    masks = (
        frozenset[tuple[str, tuple[float, ...]]]()
        if not all(shape.masks for shape in sequences)
        else first.masks.union(*(shape.masks for shape in sequences[1:]))
    )
    padding = padded_alike(layer, sequences, differ)
    if len(sequences) < len(shapes) and masks and layer["layer"] != "Multiply":
        padding = Padding.MIXED
    return [replace(first.of(width), masks=masks, padding=padding, known=known)]


def alike(shapes: Sequence[Shape], *, widths: bool = True) -> bool:
    """Whether elements, or with other `widths` steps, meet their like; a row is at every step."""
    sequences = [shape for shape in shapes if shape.sequence] or shapes
    first = sequences[0]
    ordered = all((shape.length, shape.flipped) == (first.length, first.flipped) for shape in sequences)
    same = not widths or all(shape.width == first.width for shape in shapes)
    reversed_alike = not first.flipped or all(shape.masks == first.masks for shape in sequences)
    return ordered and same and reversed_alike and len(shapes) > 1


def merge(most: int = 3) -> Entry:
    return Entry(numbers, no_options, merged, weight=2, most=most, together=alike)


OF_STEPS = (1, -2)
"""The axis of a sequence's steps, as it may be written."""


def axes_of(shapes: Sequence[Shape]) -> list[object]:
    """Over the features where the steps are alike, over the steps where the features are."""
    first = shapes[0]
    in_a_row = all((shape.sequence, shape.flipped, shape.width) == (True, first.flipped, first.width) for shape in shapes)
    features = [ABSENT, ABSENT] if alike(shapes, widths=False) else []
    return [*features, *(OF_STEPS if in_a_row and len(shapes) > 1 else ())]


def concatenations(*shapes: Shape) -> Options:
    return {"axis": st.sampled_from(axes_of(shapes) or [ABSENT])}


def concatenated(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    if layer.get("axis") not in OF_STEPS:
        if not alike(shapes, widths=False):
            raise Misfit
        return merged(layer, shapes)
    parts = shapes[::-1] if shapes[0].flipped else shapes
    masks = frozenset({(str([(part.length, sorted(part.masks)) for part in parts]), tuple[float, ...]())})
    mixed = any(shape.padding is Padding.MIXED for shape in shapes)
    joined = replace(
        shapes[0].of(shapes[0].width),
        length=plus(*(shape.length or 0 for shape in shapes)),
        masks=masks if any(part.masks for part in parts) else frozenset[tuple[str, tuple[float, ...]]](),
        padding=Padding.MIXED if mixed else Padding.FILLED,
        known=all(shape.known for shape in shapes),
    )
    return [joined]


def global_pooling() -> Entry:
    def gives(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
        row = shapes[0].row(shapes[0].width)
        return [replace(row, length=1) if layer.get("keepdims", False) else row]

    return Entry(sequence, lambda shape: {"keepdims": maybe(FLAG)}, gives)


DENSE: Options = {"units": UNITS, "activation": maybe(ACTIVATION), "use_bias": maybe(FLAG)}
NORMALIZED: Options = {"epsilon": maybe(st.just(0.01)), "center": maybe(FLAG), "scale": maybe(FLAG)}
LAYER_NORMALIZED: Options = {**NORMALIZED, "rms_scaling": maybe(FLAG)}
ROWWISE = st.one_of(
    described("Dense", DENSE),
    described("Activation", {"activation": ACTIVATION}),
    described("LayerNormalization", LAYER_NORMALIZED),
    described("UnitNormalization", {}),
    described("Dropout", {"rate": RATE}),
    described("AlphaDropout", {"rate": RATE}),
)


def sloped(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    """One slope for all steps of a sequence; a row has none to share it."""
    if shapes[0].sequence != ("shared_axes" in layer):
        raise Misfit
    return as_before(layer, shapes)


def softmaxed(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    """Over the steps masked ones are 0."""
    (shape,) = as_before(layer, shapes)
    return [replace(shape, padding=Padding.FILLED) if layer.get("axis") in OF_STEPS else shape]


@st.composite
def normalizations(draw: st.DrawFn, shape: Shape) -> Layer:
    """With weights, or with moments in the spec: of each feature, or of all together."""
    axes = st.sampled_from([ABSENT, None, -1, 1 + shape.sequence])
    layer = draw(described("Normalization", {"axis": axes, "invert": maybe(FLAG)}))
    given = draw(st.sampled_from(["weights", "weights", "one", "each"]))
    if given == "one" or (given == "each" and layer.get("axis", -1) is None):
        layer |= {"mean": 0.5, "variance": draw(st.sampled_from([4, 0.25]))}
    elif given == "each":
        layer |= {"mean": [place % 3 - 0.5 for place in range(shape.width)], "variance": [1 + place % 2 for place in range(shape.width)]}
    return layer


def distributed(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return ENTRIES[layer["of"]["layer"]].gives(layer["of"], shapes)


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        **{
            name: Entry(sequence, lambda shape, name=name: {**cell_options(name), **SEQUENCE_OPTIONS}, recurrent, weight=3)
            for name in CELLS
        },
        "RNN": Entry(sequence, lambda shape: stacks(), recurrent, weight=2),
        "Bidirectional": Entry(sequence, lambda shape: directions(), bidirectional, weight=3),
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
        "LayerNormalization": pointwise(LAYER_NORMALIZED),
        "BatchNormalization": pointwise({**NORMALIZED, "momentum": maybe(st.sampled_from([0.5, 0.0]))}, weight=2),
        "Normalization": Entry(numbers, normalizations, as_before),
        "GaussianNoise": pointwise({"stddev": st.sampled_from([0.5, 0.0])}),
        "GaussianDropout": pointwise({"rate": RATE}),
        "AlphaDropout": pointwise({"rate": RATE}),
        "UnitNormalization": pointwise({}),
        "Softmax": Entry(numbers, lambda shape: {"axis": maybe(st.sampled_from(OF_STEPS))} if shape.sequence else {}, softmaxed),
        "ReLU": pointwise({"max_value": maybe(st.just(1.5)), "negative_slope": maybe(st.just(0.2)), "threshold": maybe(st.just(0.25))}),
        "LeakyReLU": pointwise({"negative_slope": maybe(st.just(0.1))}),
        "ELU": pointwise({"alpha": maybe(st.just(0.5))}),
        "PReLU": Entry(numbers, lambda shape: {"shared_axes": st.just([1])} if shape.sequence else {}, sloped),
        "SpatialDropout1D": Entry(sequence, lambda shape: {"rate": RATE}, as_before),
        "GlobalAveragePooling1D": global_pooling(),
        "GlobalMaxPooling1D": global_pooling(),
        "Last": Entry(sequence, no_options, lambda layer, shapes: [shapes[0].row(shapes[0].width)]),
        "RepeatVector": Entry(
            lambda shape: numbers(shape) and not shape.sequence,
            lambda shape: {"n": st.sampled_from([2, 5])},
            lambda layer, shapes: [Shape(int(layer["n"]), shapes[0].width, known=shapes[0].known)],
        ),
        "TimeDistributed": Entry(sequence, lambda shape: {"of": ROWWISE}, distributed),
        **{name: merge() for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")},
        "Subtract": merge(most=2),
        "Concatenate": Entry(numbers, concatenations, concatenated, weight=3, most=3, together=lambda shapes: bool(axes_of(shapes))),
        **WINDOWS,
    }
)


def drawn_layer(name: str, *shapes: Shape) -> st.SearchStrategy[Layer]:
    """One layer of a kind, for values."""
    options = ENTRIES[name].options(*shapes)
    return options if isinstance(options, st.SearchStrategy) else described(name, options)


def fits(name: str, shapes: Sequence[Shape]) -> bool:
    """Whether a layer may take values together."""
    entry = ENTRIES[name]
    small = sum(shape.width for shape in shapes) <= 2 * WIDEST
    return len(shapes) <= entry.most and all(map(entry.takes, shapes)) and entry.together(shapes) and (small or len(shapes) == 1)


def results(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    return ENTRIES[layer["layer"]].gives(layer, shapes)
