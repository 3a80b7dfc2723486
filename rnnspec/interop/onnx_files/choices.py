"""Conditions on values that aren't known, and what is chosen by them. A condition is a value of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.elements import Elements, layout_of
from rnnspec.interop.onnx_files.emitting import LARGEST, Emitter, Function, numbered
from rnnspec.interop.onnx_files.folding import cast_type
from rnnspec.interop.onnx_files.functions import PLAIN
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.operations import (
    SQUARE,
    Handler,
    Input,
    applied,
    binary,
    common,
    common_axes,
    elements_of,
    known_of,
    known_or_none,
    narrow,
    shortest,
)

Outputs: TypeAlias = "Callable[[Node, Sequence[Input]], Sequence[Elements | None] | None]"

NOT_A_NUMBER = Function("is_no_number", (), "function is_no_number(x) = where(x == x, 0, 1)\n")
WHOLE = Function("without_fraction", (), "function without_fraction(x) = where(x < 0, -floor(-x), floor(x))\n")
QUANTIZED = """function quantized(x, scale = 1.0, zero = 0.0, low = 0.0, high = 255.0) = clip(round(x / scale) + zero, low, high)
"""
DEQUANTIZED = "function dequantized(x, scale = 1.0, zero = 0.0) = (x - zero) * scale\n"
NOT_ZERO = Function("is_not_zero", (), "function is_not_zero(x) = where(x == 0, 0, 1)\n")


def negated(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """A condition that holds where another doesn't."""
    return [applied(emitter, node, elements_of(given), numbered("number_minus", 1.0))]


def no_number(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """Where a value isn't a number."""
    return [applied(emitter, node, elements_of(given), NOT_A_NUMBER)]


def cast(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """A value of another type: a float as a whole number loses its fraction. `from`: the kind that it has, as numpy names it."""
    data, kinds = elements_of(given), (node.text("from", "f"), cast_type(node).kind)
    match kinds:
        case "f", "i" | "u":
            return [applied(emitter, node, data, WHOLE)]
        case "f" | "i" | "u", "b":
            return [applied(emitter, node, data, NOT_ZERO)]
        case _:
            return [data]


def chosen(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """Where with a condition that isn't known."""
    pool, condition = emitter.pool, elements_of(given)
    sides = [_side(each) for each in given[1:3]]
    if len(sides) != 2:
        raise Unfit("it has no two sides")
    shapes = [each.shape for each in (condition, *sides) if isinstance(each, Elements)]
    shape = np.broadcast_shapes(*shapes)
    wide = [Elements(np.broadcast_to(each.numbers, shape)) for each in (condition, *sides) if isinstance(each, Elements)]
    axes = common_axes(emitter, *wide)
    layouts = [layout_of(pool, each, axes) for each in wide]
    firsts = [layout.first for layout in layouts]
    entries = [emitter.value(narrow(emitter, first, firsts), node) for first in firsts]
    rest = iter(entries[1:])
    one, other = (next(rest) if isinstance(each, Elements) else each for each in sides)
    made = emitter.choose(entries[0], (one, other), node)
    return [pool.count(layouts[int(np.argmax([each.size for each in firsts]))].back(made))]


def _side(given: Input) -> Elements | float:
    if isinstance(given, Elements):
        return given
    return number_of(given)


def number_of(given: Array | None) -> float:
    """The only number in a constant, infinity as a large one."""
    if given is None or not given.size or not (given == given.flat[0]).all():
        raise Unfit("numbers of the file that aren't all the same")
    return float(np.clip(float(given.flat[0]), -LARGEST, LARGEST))


def by_moments(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements] | None:
    """A BatchNormalization by moments that are computed when the model runs, as exporters write other norms; None for any other."""
    if node.op != "BatchNormalization" or not any(isinstance(each, Elements) for each in given[1:5]) or node.whole("training_mode", 0):
        return None
    data = elements_of(given)
    scale, shift, mean, variance = (_along_second(each, data.numbers.ndim) for each in given[1:5])
    spread = applied(emitter, node, elements_of([variance]), numbered("plus_number", node.number("epsilon", 1e-5)))
    spread = applied(emitter, node, spread, PLAIN["Sqrt"])
    found: Input = data
    for kind, other in (("Sub", mean), ("Div", spread), ("Mul", scale), ("Add", shift)):
        (found,) = binary(emitter, replace(node, op=kind), [found, other])
    return [elements_of([found])]


def _along_second(given: Input, rank: int) -> Input:
    """Numbers by the second of some axes."""
    shape = (1, -1, *(1,) * (rank - 2))
    return Elements(given.numbers.reshape(shape)) if isinstance(given, Elements) else None if given is None else given.reshape(shape)


COMPOSED: Mapping[str, tuple[Function | None, Function | None]] = {
    "ReduceSumSquare": (SQUARE, None),
    "ReduceL1": (PLAIN["Abs"], None),
    "ReduceL2": (SQUARE, PLAIN["Sqrt"]),
    "ReduceLogSum": (None, PLAIN["Log"]),
}
"""Sums of a function of each number, and the function of the sum."""


def composed(emitter: Emitter, node: Node, given: Sequence[Input], work: Outputs) -> Sequence[Elements | None] | None:
    """What is said by other operations: sums with functions before and after, norms by moments; `work`: the outputs of a node.

    None for any other node.
    """
    if node.op not in COMPOSED:
        return by_moments(emitter, node, given)
    before, after = COMPOSED[node.op]
    data = elements_of(given)
    data = data if before is None else applied(emitter, node, data, before)
    found = work(replace(node, op="ReduceSum"), [data, *given[1:]])
    first = None if not found else found[0]
    return [first if first is None or after is None else applied(emitter, node, first, after)]


def quantized(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """A value as whole numbers of a scale, as floats that are whole."""
    scale, zero = _one_number(given, 1, "y_scale"), known_or_none(given, 2, "y_zero_point")
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    if kind.kind not in "iu" or kind.itemsize > 2:
        raise Unfit(f"whole numbers of {kind.name}", "y_zero_point")
    limits = np.iinfo(kind)
    shift = 0.0 if zero is None else _one_number(given, 2, "y_zero_point")
    numbers = zip(("scale", "zero", "low", "high"), (scale, shift, float(limits.min), float(limits.max)), strict=True)
    return [applied(emitter, node, elements_of(given), Function("quantized", tuple(numbers), QUANTIZED))]


def dequantized(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """What whole numbers of a scale stand for."""
    zero = 0.0 if known_or_none(given, 2, "x_zero_point") is None else _one_number(given, 2, "x_zero_point")
    numbers = ("scale", _one_number(given, 1, "x_scale")), ("zero", zero)
    return [applied(emitter, node, elements_of(given), Function("dequantized", numbers, DEQUANTIZED))]


def _one_number(given: Sequence[Input], place: int, name: str) -> float:
    numbers = known_of(given, place, name)
    if numbers.size != 1:
        raise Unfit("scales of each feature of a value that is computed when the model runs", name)
    return shortest(numbers)


CHOICES: Mapping[str, Handler] = {
    "Cast": cast,
    "DequantizeLinear": dequantized,
    "IsNaN": no_number,
    "Not": negated,
    "QuantizeLinear": quantized,
    "Where": chosen,
}


def outputs_of(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements] | None:
    """The outputs of an operation that every emitter has; None for one that there isn't."""
    handler = CHOICES.get(node.op)
    return handler(emitter, node, given) if handler is not None else common(emitter, node, given)
