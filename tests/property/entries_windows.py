"""Entries of the layers that look at several steps at once, or at all of them in another shape: most drop the mask, or may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from types import MappingProxyType

from hypothesis import strategies as st

from rnnspec.contract.dimensions import Dim, Size, ceil_div, plus
from tests.property.entries import (
    ABSENT,
    ACTIVATION,
    FLAG,
    RATE,
    UNITS,
    Entry,
    Misfit,
    Options,
    Padding,
    Shape,
    described,
    maybe,
    numbers,
    sequence,
)
from tests.specs import Layer, make

LARGEST = 3
"""Size, stride and dilation of a window."""


def span(layer: Layer) -> int:
    """The steps from a window's first to its last."""
    return (layer.get("kernel_size", layer.get("pool_size", 2)) - 1) * layer.get("dilation_rate", 1) + 1


def windowed(layer: Layer, shape: Shape, width: int) -> list[Shape]:
    assert shape.length is not None
    pooling = layer["layer"] != "Conv1D"
    stride, padding = layer.get("strides", layer.get("pool_size", 2) if pooling else 1), layer.get("padding", "valid")
    length = ceil_div(shape.length - (span(layer) - 1) if padding == "valid" else shape.length, stride)
    if not layer.get("carry_mask", False) or not shape.masks:
        return [shape.anew(length, width)]
    if isinstance(length, int) and length < 1:
        raise Misfit
    size = layer.get("kernel_size", layer.get("pool_size", 2))
    over = str((size, stride, layer.get("dilation_rate", 1), padding, shape.length, shape.flipped, sorted(shape.masks)))
    masks = frozenset({(over, tuple[float, ...]())})
    return [Shape(length, int(width), masks=masks, known=shape.known)]


@st.composite
def windows(draw: st.DrawFn, name: str, shape: Shape, paddings: Sequence[str], options: Options) -> Layer:
    """A layer of windows that a sequence of fixed length has at least one of."""
    layer = draw(described(name, {**options, "carry_mask": maybe(FLAG)}))
    size = "kernel_size" if name == "Conv1D" else "pool_size"
    layer[size] = draw(st.integers(1, LARGEST))
    padding = draw(st.sampled_from([ABSENT, *paddings]))
    if padding is not ABSENT:
        layer["padding"] = padding
    stepped = draw(st.sampled_from([ABSENT, "strides", *(["dilation_rate"] if name == "Conv1D" else [])]))
    if stepped is not ABSENT:
        layer[stepped] = draw(st.integers(1, LARGEST))
    if isinstance(shape.length, int) and layer.get("padding", "valid") == "valid" and span(layer) > shape.length:
        layer["padding"] = "same"
    return layer


CONVOLUTION: Options = {"filters": UNITS, "activation": maybe(ACTIVATION), "use_bias": maybe(FLAG)}


def local_pooling(name: str) -> Entry:
    return Entry(
        sequence,
        lambda shape: windows(name, shape, ["valid", "same"], {}),
        lambda layer, shapes: windowed(layer, shapes[0], shapes[0].width),
    )


# More steps or fewer

ENDS = st.one_of(st.integers(0, 2), st.lists(st.integers(0, 2), min_size=2, max_size=2))
"""Steps at both ends, or at each."""


def at_both_ends(layer: Layer, argument: str) -> int:
    """How many steps it is about in all."""
    given = layer.get(argument, 1)
    return sum(given) if isinstance(given, list) else 2 * given


def extended(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    (shape,) = shapes
    padding = layer["layer"] == "ZeroPadding1D"
    count = at_both_ends(layer, "padding") if padding else -at_both_ends(layer, "cropping")
    length = plus(shape.length or 0, count)
    if not layer.get("carry_mask", False) or not shape.masks:
        return [shape.anew(length, shape.width)]
    if isinstance(length, int) and length < 1:
        raise Misfit
    over = str((layer["layer"], layer.get("padding", layer.get("cropping")), shape.length, shape.flipped, sorted(shape.masks)))
    return [Shape(length, shape.width, masks=frozenset({(over, tuple[float, ...]())}), known=shape.known)]


@st.composite
def croppings(draw: st.DrawFn, shape: Shape) -> Layer:
    """Some step of a fixed length is left."""
    layer = draw(described("Cropping1D", {"cropping": maybe(ENDS), "carry_mask": maybe(FLAG)}))
    if isinstance(shape.length, int) and at_both_ends(layer, "cropping") >= shape.length:
        layer["cropping"] = 0
    return layer


@st.composite
def slices(draw: st.DrawFn, shape: Shape) -> Layer:
    """Of features, or of steps: from both ends as Cropping1D, or a fixed number, where steps of any length may be too few for it."""
    if not shape.sequence or draw(FLAG):
        start = draw(st.integers(0, shape.width - 1))
        stop = draw(st.integers(start + 1, shape.width))
        written = start - shape.width if draw(FLAG) else start, None if stop == shape.width else stop
        return make("Slice", start=written[0], stop=written[1], axis=-1)
    most = shape.length if isinstance(shape.length, int) else 3
    start = draw(st.integers(0, most - 1))
    if draw(FLAG):
        ends = {"start": start, "stop": draw(st.sampled_from([None, -1])) if most - start > 1 else None}
        return make("Slice", **ends, **({"carry_mask": True} if draw(FLAG) else {}))
    stop = draw(st.integers(start + 1, most))
    return make("Slice", start=start, stop=stop) if draw(FLAG) else make("Slice", start=-stop, stop=-start if start else None)


def sliced(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    """Misfit where a slice, of another value than it was drawn for, isn't within it."""
    (shape,) = shapes
    start, stop = layer["start"], layer["stop"]
    of_steps = shape.sequence and layer.get("axis") != -1
    extent = shape.length if of_steps else shape.width
    carries = layer.get("carry_mask", False)
    if isinstance(extent, int) and not carries:
        first, last = (extent + place if place < 0 else place for place in (start, extent if stop is None else stop))
        if not 0 <= first < last <= extent:
            raise Misfit
        return [shape.anew(last - first, shape.width)] if of_steps else [shape.of(last - first)]
    if not of_steps:
        raise Misfit
    if start >= 0 and (stop is None or stop < 0):
        length = plus(shape.length or 0, -start, stop or 0)
        if isinstance(length, int) and length < 1:
            raise Misfit
        if carries and shape.masks:
            over = str(("Slice", start, stop, shape.length, shape.flipped, sorted(shape.masks)))
            return [Shape(length, shape.width, masks=frozenset({(over, tuple[float, ...]())}), known=shape.known)]
        return [shape.anew(length, shape.width)]
    return [shape.anew((stop or 0) - start, shape.width)]


def steps_needed(layer: Layer, shapes: Sequence[Shape]) -> list[Dim]:
    """A length that is above 0 where there are steps enough for a slice of a fixed number."""
    if layer["layer"] != "Slice" or not shapes[0].sequence or layer.get("axis") == -1:
        return []
    return [plus(shapes[0].length or 0, 1 - max(-layer["start"], layer["stop"] or 0, 2))]


# The same numbers in another shape


def fixed(shape: Shape) -> bool:
    return numbers(shape) and not isinstance(shape.length, Size)


def extents(shape: Shape) -> tuple[int, ...]:
    """Steps of which only a call says how many count as one: layers are drawn for what doesn't fit, too."""
    steps = 1 if isinstance(shape.length, Size) else shape.length
    return (shape.width,) if steps is None else (steps, shape.width)


def of_extents(shape: Shape, given: Sequence[Dim]) -> Shape:
    """Features, or steps of features."""
    *length, width = given
    return shape.anew(length[0] if length else None, int(width))


@st.composite
def reshapings(draw: st.DrawFn, shape: Shape) -> Layer:
    size = prod(extents(shape))
    steps = draw(st.sampled_from([count for count in range(1, size + 1) if size % count == 0]))
    target = draw(st.sampled_from([[size], [-1], [steps, size // steps], [-1, size // steps], [steps, -1]]))
    return make("Reshape", target_shape=target)


def reshaped(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    size, target = prod(extents(shapes[0])), layer["target_shape"]
    known = prod(extent for extent in target if extent != -1)
    if size % known or (-1 not in target and size != known):
        raise Misfit
    return [of_extents(shapes[0], [size // known if extent == -1 else extent for extent in target])]


def permuted(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    before = extents(shapes[0])
    if len(before) != len(layer["dims"]):
        raise Misfit
    return [of_extents(shapes[0], [before[axis - 1] for axis in layer["dims"]])]


# Every step against every step


def axes_of(shapes: Sequence[Shape]) -> list[tuple[int, int]]:
    """The axes, from 0, over which Dot may go; only the first value's steps may be of any length, and only where they stay."""
    left, right = ((shape.length, shape.width) if shape.sequence else (shape.width,) for shape in shapes)
    if isinstance(right[0], Size) or (len(right) == 1 and isinstance(left[0], Size)):
        return []
    return [(one, other) for one, other in product(range(len(left)), range(len(right))) if left[one] == right[other]]


def dots(left: Shape, *more: Shape) -> st.SearchStrategy[Layer]:
    """With axes counted from the batch, or from the end; of one value, which is no Dot, any."""
    right = more[0] if more else left
    written: list[object] = [] if more else [1]
    for one, other in axes_of([left, right]):
        axes = [one + 1, other + 1], [one - 1 - left.sequence, other - 1 - right.sequence]
        written += [axes[0], axes[1], *(each[0] for each in axes if each[0] == each[1])]
    return described("Dot", {"axes": st.sampled_from(written), "normalize": maybe(FLAG)})


def dotted(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    axes = layer["axes"] if isinstance(layer["axes"], list) else [layer["axes"]] * 2
    rest: list[Dim] = []
    for axis, shape in zip(axes, shapes, strict=True):
        given = (shape.length, shape.width) if shape.sequence else (shape.width,)
        place = axis - 1 if axis > 0 else len(given) + axis
        rest += [extent for number, extent in enumerate(given) if number != place and extent is not None]
    made = of_extents(shapes[0], rest or [1])
    return [replace(made, known=made.known and shapes[1].anew(1, 1).known)]


def attending(shapes: Sequence[Shape]) -> bool:
    if len(shapes) not in (2, 3):
        return False
    query, value, key = shapes[0], shapes[1], shapes[-1]
    turned = (value.flipped, value.masks) == (key.flipped, key.masks)
    return query.width == key.width and value.length == key.length and (turned or not (value.flipped or key.flipped))


def attentions(*shapes: Shape) -> st.SearchStrategy[Layer]:
    """Without a causal mask where a sequence is in reversed order."""
    causal = {} if any(shape.flipped for shape in shapes) else {"use_causal_mask": maybe(FLAG)}
    return described("Attention", {"use_scale": maybe(FLAG), **causal, "dropout": maybe(RATE)})


def attended(layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
    """A masked key is looked at where its value is real: then it counts what it holds."""
    query, value, key = shapes[0], shapes[1], shapes[-1]
    seen = key.masks == value.masks or key.padding is not Padding.MIXED
    return [replace(query.of(value.width), padding=Padding.FILLED, known=seen and all(shape.known for shape in shapes))]


WINDOWS: Mapping[str, Entry] = MappingProxyType(
    {
        "Conv1D": Entry(
            sequence,
            lambda shape: windows("Conv1D", shape, ["valid", "same", "causal"], CONVOLUTION),
            lambda layer, shapes: windowed(layer, shapes[0], layer["filters"]),
            weight=3,
        ),
        "MaxPooling1D": local_pooling("MaxPooling1D"),
        "AveragePooling1D": local_pooling("AveragePooling1D"),
        "ZeroPadding1D": Entry(sequence, lambda shape: {"padding": maybe(ENDS), "carry_mask": maybe(FLAG)}, extended),
        "Cropping1D": Entry(sequence, croppings, extended),
        "Slice": Entry(numbers, slices, sliced, weight=2),
        "UpSampling1D": Entry(
            sequence,
            lambda shape: {"size": maybe(st.integers(1, LARGEST))},
            lambda layer, shapes: [shapes[0].anew((shapes[0].length or 0) * layer.get("size", 2), shapes[0].width)],
        ),
        "Flatten": Entry(fixed, lambda shape: {}, lambda layer, shapes: [shapes[0].anew(None, prod(extents(shapes[0])))]),
        "Reshape": Entry(fixed, reshapings, reshaped),
        "Permute": Entry(fixed, lambda shape: {"dims": st.permutations(range(1, 2 + shape.sequence)).map(list)}, permuted),
        "Dot": Entry(numbers, dots, dotted, weight=2, most=2, together=lambda shapes: len(shapes) == 2 and bool(axes_of(shapes))),
        "Attention": Entry(
            sequence,
            attentions,
            attended,
            weight=2,
            most=3,
            together=attending,
        ),
    }
)
