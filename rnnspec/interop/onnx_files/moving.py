"""Operations that only move elements: the same on numbers that are known and on the places of those that aren't yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.onnx_files.nodes import Node

SIZE_LIMIT = 2**26
"""Elements that an operation may make of fewer."""


class Unfit(ValueError):
    """An operation whose inputs don't fit, or whose result is too large; the text is the reason. `attribute`: what of it."""

    def __init__(self, reason: str, attribute: str = "") -> None:
        self.attribute = attribute
        super().__init__(reason)


Given = Sequence["Array | None"]
Move = Callable[[Node, Given, Array], "list[Array]"]
"""The moved elements of a node, of its inputs, and of the element that fills up, a single one of the same kind."""


@frozen
class Movement:
    """`data`: how many inputs are moved, None for all; the others say how, and must be known."""

    move: Move
    data: int | None = 1

    def is_data(self, place: int) -> bool:
        """Whether an input is moved."""
        return self.data is None or place < self.data


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that may be made; `Unfit` for others."""
    if any(each < 0 for each in shape):
        raise Unfit(f"a shape of {list(shape)}")
    if prod(shape) > SIZE_LIMIT:
        raise Unfit(f"its result of {list(shape)} has more than {SIZE_LIMIT:,} elements")
    return tuple(int(each) for each in shape)


def data_of(given: Given, place: int = 0) -> Array:
    """An input that must be there."""
    found = given[place] if place < len(given) else None
    if found is None:
        raise Unfit(f"its input {place + 1} is missing")
    return found


def wholes_of(node: Node, given: Given, place: int, attribute: str) -> tuple[int, ...] | None:
    """Whole numbers that older versions of an operation have as an attribute, and newer ones as an input."""
    found = given[place] if place < len(given) else None
    if found is None:
        return node.wholes(attribute)
    return tuple(int(each) for each in np.asarray(found).ravel())


def axis_of(axis: int, rank: int) -> int:
    """An axis from the start."""
    if not -rank <= axis < rank:
        raise Unfit(f"axis {axis} of {rank}", "axis")
    return axis % rank


def _same(node: Node, given: Given, fill: Array) -> list[Array]:
    return [data_of(given)]


def _transpose(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    return [data.transpose(node.wholes("perm") or tuple(reversed(range(data.ndim))))]


def _reshape(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    wanted = wholes_of(node, given, 1, "shape") or ()
    if not node.whole("allowzero", 0):
        wanted = tuple(data.shape[place] if each == 0 and place < data.ndim else each for place, each in enumerate(wanted))
    return [data.reshape(wanted)]


def _squeeze(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    axes = wholes_of(node, given, 1, "axes")
    return [data.squeeze(None if axes is None else tuple(axis_of(each, data.ndim) for each in axes))]


def _unsqueeze(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    return [np.expand_dims(data, wholes_of(node, given, 1, "axes") or ())]


def _flatten(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    axis = node.whole("axis", 1)
    axis = axis % data.ndim if axis < 0 else axis
    return [data.reshape(prod(data.shape[:axis]), prod(data.shape[axis:]))]


def _slice(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    starts, ends = wholes_of(node, given, 1, "starts"), wholes_of(node, given, 2, "ends")
    axes, steps = wholes_of(node, given, 3, "axes"), wholes_of(node, given, 4, "steps")
    if starts is None or ends is None:
        raise Unfit("it has no starts and ends")
    chosen = [slice(None)] * data.ndim
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        step = steps[place] if steps is not None else 1
        axis = axis_of(axes[place] if axes is not None else place, data.ndim)
        chosen[axis] = _bounds(start, end, step, data.shape[axis])
    return [data[tuple(chosen)]]


def _bounds(start: int, end: int, step: int, size: int) -> slice:
    """Python's slice of ONNX's bounds, of which an end far below 0 is before the first element where steps go backwards."""
    if step == 0:
        raise Unfit("a step of 0", "steps")
    if step < 0:
        stop = end + size if end < 0 else end
        return slice(min(start, size - 1), None if stop < 0 else stop, step)
    return slice(start, end, step)


def _gather(node: Node, given: Given, fill: Array) -> list[Array]:
    data, places = data_of(given), np.asarray(data_of(given, 1))
    axis = axis_of(node.whole("axis", 0), data.ndim)
    bounded((*data.shape[:axis], *places.shape, *data.shape[axis + 1 :]))
    return [data.take(places.astype(np.int64), axis)]


def _gather_elements(node: Node, given: Given, fill: Array) -> list[Array]:
    data, places = data_of(given), np.asarray(data_of(given, 1)).astype(np.int64)
    axis = axis_of(node.whole("axis", 0), data.ndim)
    return [np.take_along_axis(data, np.where(places < 0, places + data.shape[axis], places), axis)]


def _concat(node: Node, given: Given, fill: Array) -> list[Array]:
    parts = [data_of(given, place) for place in range(len(given))]
    axis = axis_of(node.whole("axis", 0), parts[0].ndim)
    bounded([sum(part.size for part in parts)])
    return [np.concatenate(parts, axis)]


def _split(node: Node, given: Given, fill: Array) -> list[Array]:
    data = data_of(given)
    axis = axis_of(node.whole("axis", 0), data.ndim)
    sizes, count = wholes_of(node, given, 1, "split"), len(node.outputs)
    if sizes is None:
        each = -(-data.shape[axis] // count)
        sizes = tuple(min(each, data.shape[axis] - each * place) for place in range(count))
    if sum(sizes) != data.shape[axis] or min(sizes) < 0:
        raise Unfit(f"parts of {list(sizes)} of an axis of {data.shape[axis]}", "split")
    return np.split(data, np.cumsum(sizes)[:-1].tolist(), axis)


def _expand(node: Node, given: Given, fill: Array) -> list[Array]:
    data, wanted = data_of(given), wholes_of(node, given, 1, "shape") or ()
    return [np.broadcast_to(data, bounded(np.broadcast_shapes(data.shape, bounded(wanted))))]


def _tile(node: Node, given: Given, fill: Array) -> list[Array]:
    data, times = data_of(given), wholes_of(node, given, 1, "repeats") or ()
    bounded([size * each for size, each in zip(data.shape, times, strict=True)])
    return [np.tile(data, times)]


def _pad(node: Node, given: Given, fill: Array) -> list[Array]:
    data, pads = data_of(given), wholes_of(node, given, 1, "pads") or ()
    axes = wholes_of(node, given, 3, "axes") if len(given) > 3 and given[3] is not None else tuple(range(data.ndim))
    if len(pads) != 2 * len(axes or ()):
        raise Unfit(f"{len(pads)} pads for {len(axes or ())} axes", "pads")
    around = [(0, 0)] * data.ndim
    for place, axis in enumerate(axes or ()):
        around[axis_of(axis, data.ndim)] = pads[place], pads[place + len(pads) // 2]
    cut = tuple(slice(max(0, -first), size - max(0, -last)) for (first, last), size in zip(around, data.shape, strict=True))
    data, around = data[cut], [(max(0, first), max(0, last)) for first, last in around]
    bounded([size + first + last for size, (first, last) in zip(data.shape, around, strict=True)])
    match node.text("mode", "constant"):
        case "constant":
            return [np.pad(data, around, constant_values=fill.item())]
        case "reflect":
            return [np.pad(data, around, mode="reflect")]
        case "edge":
            return [np.pad(data, around, mode="edge")]
        case "wrap":
            return [np.pad(data, around, mode="wrap")]
        case mode:
            raise Unfit(f"{mode!r} isn't a way to pad", "mode")


def _where(node: Node, given: Given, fill: Array) -> list[Array]:
    condition, one, other = data_of(given, 2), data_of(given, 0), data_of(given, 1)
    bounded(np.broadcast_shapes(condition.shape, one.shape, other.shape))
    return [np.where(condition, one, other)]


def _reverse_sequence(node: Node, given: Given, fill: Array) -> list[Array]:
    data, lengths = data_of(given), np.asarray(data_of(given, 1))
    time, batch = node.whole("time_axis", 0), node.whole("batch_axis", 1)
    steps = data.shape[axis_of(time, data.ndim)]
    if data.ndim < 2 or lengths.shape != (data.shape[batch],) or (lengths < 1).any() or (lengths > steps).any():
        raise Unfit(f"lengths of {lengths.tolist()} of {steps} steps", "sequence_lens")
    moved = np.moveaxis(data, (batch, time), (0, 1))
    result = np.stack([np.concatenate([row[:length][::-1], row[length:]]) for row, length in zip(moved, lengths, strict=True)])
    return [np.moveaxis(result, (0, 1), (batch, time))]


def _resize(node: Node, given: Given, fill: Array) -> list[Array]:
    """Elements repeated along axes: the nearest ones, so many times as many."""
    data = data_of(given)
    wanted = [np.asarray(each).ravel() for each in given[1:] if each is not None and each.size == data.ndim]
    ways = node.text("coordinate_transformation_mode", "half_pixel"), node.text("nearest_mode", "round_prefer_floor")
    repeats = ways == ("asymmetric", "floor") or (ways[0].endswith("half_pixel") and ways[1].startswith("round_prefer"))
    if len(wanted) != 1 or node.text("mode", "nearest") != "nearest" or not (repeats or node.op == "Upsample"):
        raise Unfit(f"mode {node.text('mode', 'nearest')}, {', '.join(ways)}, which doesn't just repeat steps", "mode")
    factors = wanted[0] if wanted[0].dtype.kind == "f" else wanted[0] / np.maximum(data.shape, 1)
    if not (factors == np.round(factors)).all() or (factors < 1).any():
        raise Unfit(f"{factors.tolist()} times as many, which aren't whole numbers", "scales")
    bounded([size * int(factor) for size, factor in zip(data.shape, factors, strict=True)])
    for axis, factor in enumerate(factors.astype(int).tolist()):
        data = data.repeat(factor, axis)
    return [data]


def _from_sequence(node: Node, given: Given, fill: Array) -> list[Array]:
    """Tensors of a sequence, which stand along the first axis here, put together along another one."""
    data = data_of(given)
    if node.whole("new_axis", 0):
        return [np.moveaxis(data, 0, axis_of(node.whole("axis", 0), data.ndim))]
    axis = axis_of(node.whole("axis", 0), data.ndim - 1)
    moved = np.moveaxis(data, 0, axis)
    return [moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2 :])]


MOVEMENTS: Mapping[str, Movement] = {
    "Identity": Movement(_same),
    "Dropout": Movement(_same),
    "Transpose": Movement(_transpose),
    "Reshape": Movement(_reshape),
    "Squeeze": Movement(_squeeze),
    "Unsqueeze": Movement(_unsqueeze),
    "Flatten": Movement(_flatten),
    "Slice": Movement(_slice),
    "Gather": Movement(_gather),
    "GatherElements": Movement(_gather_elements),
    "Concat": Movement(_concat, None),
    "Split": Movement(_split),
    "Expand": Movement(_expand),
    "Tile": Movement(_tile),
    "Pad": Movement(_pad),
    "ReverseSequence": Movement(_reverse_sequence),
    "Where": Movement(_where, 2),
    "ConcatFromSequence": Movement(_from_sequence),
    **dict.fromkeys(("Resize", "Upsample"), Movement(_resize)),
}


def arranged(node: Node, given: Given) -> list[Array | None]:
    """The inputs of a movement, the moved ones first: of `Where` the condition comes last."""
    return [*given[1:], given[0]] if node.op == "Where" else list(given)
