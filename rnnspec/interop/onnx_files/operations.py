"""The operations of a graph that compute, on values that aren't known: each as its emitter has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.elements import Elements, Entry, Layout, Numbers, layout_of
from rnnspec.interop.onnx_files.emitting import Emitter, Function, numbered
from rnnspec.interop.onnx_files.folding import axes_of, limits_of
from rnnspec.interop.onnx_files.functions import between, function_of
from rnnspec.interop.onnx_files.moving import Unfit, axis_of
from rnnspec.interop.onnx_files.nodes import Node

Input: TypeAlias = "Array | Elements | None"
Handler: TypeAlias = "Callable[[Emitter, Node, Sequence[Input]], Sequence[Elements]]"

SQUARE = Function("product_with_itself", (), "function product_with_itself(x) = x * x\n")


def elements_of(given: Sequence[Input], place: int = 0) -> Elements:
    """An input that isn't known."""
    found = given[place] if place < len(given) else None
    if not isinstance(found, Elements):
        raise Unfit(f"its input {place + 1} is known or missing")
    return found


def known_of(given: Sequence[Input], place: int, name: str) -> Array:
    """An input that must be known."""
    found = given[place] if place < len(given) else None
    if isinstance(found, Elements):
        raise Unfit("it is computed when the model runs, and must be known", name)
    if found is None:
        raise Unfit("it is missing", name)
    return found


def known_or_none(given: Sequence[Input], place: int, name: str) -> Array | None:
    """An input that must be known, or isn't there."""
    return None if place >= len(given) or given[place] is None else known_of(given, place, name)


def whole_entry(emitter: Emitter, elements: Elements) -> Entry | None:
    """The value that a tensor has all elements of, each once; None if there is none."""
    numbers = elements.numbers
    if not numbers.size:
        return None
    entry = emitter.pool.entries[int(emitter.pool.place(numbers.flat[:1])[0])]
    if entry.constant or numbers.size != entry.size * entry.batch or numbers.min() < entry.base or numbers.max() >= entry.end:
        return None
    return entry if np.array_equal(np.sort(numbers, axis=None), np.arange(entry.base, entry.end)) else None


def applied(emitter: Emitter, node: Node, elements: Elements, function: Function) -> Elements:
    """A function of each number."""
    entry = whole_entry(emitter, elements)
    if entry is None:  # one feature of those that are all the same
        entry = next((each for each in emitter.pool.entries_in(elements.numbers) if each.uniform), None)
        entry = entry if entry is not None and emitter.pool.entries_in(elements.numbers) == [entry] else None
    if entry is not None:
        made = emitter.apply(entry, function, node)
        return emitter.pool.count(elements.numbers - entry.base + made.base)
    layout = layout_of(emitter.pool, elements)
    made = emitter.apply(emitter.value(layout.first, node), function, node)
    return emitter.pool.count(layout.back(made))


def _clip(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    limits = [each if not isinstance(each, Elements) else None for each in given]
    if any(isinstance(each, Elements) for each in given[1:]):
        raise Unfit("limits that are computed when the model runs", "min, max")
    return [applied(emitter, node, elements_of(given), between(*limits_of(node, limits)))]


def _matmul(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    if isinstance(given[0], Elements) and isinstance(given[1], Elements):
        raise Unfit("a product of two values that are computed when the model runs")
    if isinstance(given[1], Elements):
        kernel = _matrix(known_of(given, 0, "A"))
        data = given[1]
        return [_product(emitter, node, data, kernel.T, None, max(data.numbers.ndim - 2, 0))]
    kernel = known_of(given, 1, "B")
    data = elements_of(given)
    made = _product(emitter, node, data, _matrix(kernel.reshape(-1, 1) if kernel.ndim == 1 else kernel), None, data.numbers.ndim - 1)
    return [Elements(made.numbers[..., 0])] if kernel.ndim == 1 else [made]


def _matrix(kernel: Array) -> Array:
    if kernel.ndim < 2 or kernel.size != kernel.shape[-1] * kernel.shape[-2]:
        raise Unfit(f"a product with a constant of {list(kernel.shape)}, which is no matrix")
    return kernel.reshape(kernel.shape[-2:])


def _product(emitter: Emitter, node: Node, data: Elements, kernel: Array, bias: Array | None, axis: int) -> Elements:
    """`data @ kernel + bias` over an axis, where the result's features stand as well."""
    layout = layout_of(emitter.pool, data, (axis,))
    if layout.first.shape[1] != kernel.shape[0]:
        raise Unfit(f"{layout.first.shape[1]} features for a matrix of {list(kernel.shape)}")
    made = emitter.dense(emitter.value(layout.first, node), np.ascontiguousarray(kernel), bias, node)
    return emitter.pool.count(layout.back(made, (made.features,)))


def _gemm(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    kernel = known_of(given, 1, "B")
    kernel = kernel.T if node.whole("transB", 0) else kernel
    kernel = kernel if node.number("alpha", 1.0) == 1 else kernel * np.asarray(node.number("alpha", 1.0), kernel.dtype)
    bias = known_or_none(given, 2, "C")
    if bias is not None:
        if bias.size not in (1, kernel.shape[1]) or (bias.ndim > 1 and bias.shape[-1] != bias.size):
            raise Unfit(f"a sum with numbers of {list(bias.shape)}, which aren't the same for all rows", "C")
        scaled = bias if node.number("beta", 1.0) == 1 else bias * np.asarray(node.number("beta", 1.0), bias.dtype)
        bias = np.ascontiguousarray(np.broadcast_to(scaled.ravel(), (kernel.shape[1],)))
    data = elements_of(given)
    made = _product(emitter, node, data, kernel, bias, 0 if node.whole("transA", 0) else data.numbers.ndim - 1)
    return [Elements(made.numbers.T)] if node.whole("transA", 0) else [made]


def binary(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """Two values, or one and numbers, element by element."""
    left, right = given[0], given[1]
    if isinstance(left, Elements) and isinstance(right, Elements):
        return [_merged(emitter, node, node.op, left, right)]
    if isinstance(left, Elements):
        return [_with_numbers(emitter, node, node.op, left, known_of(given, 1, "B"), swapped=False)]
    return [_with_numbers(emitter, node, node.op, elements_of(given, 1), known_of(given, 0, "A"), swapped=True)]


def several(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """Several values, one after the other."""
    if node.op == "Mean" and len(given) > 1:
        if not all(isinstance(each, Elements) for each in given):
            raise Unfit("a mean with numbers of the file")
        result: Input = given[0]
        for each in given[1:]:
            result = _merged(emitter, node, "Add", elements_of([result]), elements_of([each]))
        return [applied(emitter, node, elements_of([result]), numbered("over_number", float(len(given))))]
    kind = "Add" if node.op == "Sum" else node.op
    known = [each for each in given if not isinstance(each, Elements) and each is not None]
    values = [each for each in given if isinstance(each, Elements)]
    made = values[0]
    for each in values[1:]:
        made = _merged(emitter, node, kind, made, each)
    for numbers in known:
        made = _with_numbers(emitter, node, kind, made, numbers, swapped=False)
    return [made]


def _broadcast(left: Numbers, shape: tuple[int, ...]) -> Elements:
    return Elements(np.broadcast_to(left, shape))


def _merged(emitter: Emitter, node: Node, kind: str, left: Elements, right: Elements) -> Elements:
    pool = emitter.pool
    shape = np.broadcast_shapes(left.shape, right.shape)
    one, other = whole_entry(emitter, left), whole_entry(emitter, right)
    if one is not None and other is not None and left.shape == right.shape and (one.steps, one.features) == (other.steps, other.features):
        places = left.numbers - one.base
        if np.array_equal(places, right.numbers - other.base):
            return pool.count(places + emitter.merge(kind, [one, other], node).base)
    both = _broadcast(left.numbers, shape), _broadcast(right.numbers, shape)
    axes = common_axes(emitter, *both)
    layouts = [layout_of(pool, each, axes) for each in both]
    firsts = [each.first for each in layouts]
    values = [emitter.value(narrow(emitter, each, firsts), node) for each in firsts]
    made = emitter.merge(kind, values, node)
    return pool.count(layouts[0].back(made))


def common_axes(emitter: Emitter, *values: Elements) -> tuple[int, ...]:
    """The axes of features of all values."""
    rank = values[0].numbers.ndim
    found = [feature_axes(emitter, each) for each in values]
    common = tuple(axis for axis in range(rank) if all(axis in axes for axes in found))
    return common or ((rank - 1,) if rank and all(found) else ())


def feature_axes(emitter: Emitter, elements: Elements) -> tuple[int, ...]:
    """The axes of a tensor that are features."""
    layout = layout_of(emitter.pool, elements)
    return layout.order[len(layout.order) - len(layout.inner) :]


def narrow(emitter: Emitter, numbers: Numbers, all_of_them: Sequence[Numbers]) -> Numbers:
    """Rows and columns that are repeated for other values' sake, once."""
    steps, features = numbers.shape
    if steps > 1 and (numbers == numbers[:1]).all() and not all((each == each[:1]).all() for each in all_of_them):
        numbers = numbers[:1]
    if features > 1 and (numbers == numbers[:, :1]).all():
        entry = emitter.pool.entries[int(emitter.pool.place(numbers[:1, 0])[0])]
        if entry.uniform and entry.features == features:
            return numbers + np.arange(features, dtype=np.int64)
        if not all((each == each[:, :1]).all() for each in all_of_them):
            return np.ascontiguousarray(numbers[:, :1])
    return np.ascontiguousarray(numbers)


def _with_numbers(emitter: Emitter, node: Node, kind: str, data: Elements, numbers: Array, *, swapped: bool) -> Elements:
    """A value with numbers of the file. `swapped`: they come first."""
    shape = np.broadcast_shapes(data.shape, numbers.shape)
    if shape == data.shape and numbers.size == 1:
        function = _with_number(kind, shortest(numbers), swapped)
        if function is not None:
            return data if function.name == "linear" else applied(emitter, node, data, function)
    wide = _broadcast(data.numbers, shape)
    layout = layout_of(emitter.pool, wide)
    table = np.broadcast_to(numbers, shape).transpose(layout.order).reshape(-1, layout.first.shape[1])
    if not (table == table[:1]).all():
        if any(each.is_open for each in emitter.pool.entries_in(layout.first)):
            raise Unfit("numbers of the file that differ from step to step")
        samples = [table[layout.sample.ravel() == number] for number in range(emitter.pool.batch)]
        if not all(np.array_equal(each, samples[0]) for each in samples):
            raise Unfit("numbers of the file that differ from sample to sample")
        flat = emitter.value(layout.first.reshape(1, -1), node)
        made = _affine(emitter, node, kind, flat, np.ascontiguousarray(samples[0].reshape(-1)), swapped)
        turned = emitter.value(emitter.pool.first(made).reshape(layout.first.shape), node)
        return emitter.pool.count(layout.back(turned))
    value, row = emitter.value(layout.first, node), np.ascontiguousarray(table[0])
    return emitter.pool.count(layout.back(_affine(emitter, node, kind, value, row, swapped)))


def shortest(numbers: Array) -> float:
    """The number in a constant, of single precision the shortest one that is the same."""
    number = numbers.reshape(()).item()
    return float(str(np.float32(number))) if numbers.dtype == np.float32 else float(number)


def _affine(emitter: Emitter, node: Node, kind: str, value: Entry, row: Array, swapped: bool) -> Entry:
    match kind, swapped:
        case "Add", _:
            return emitter.affine(value, None, row, node)
        case "Sub", False:
            return emitter.affine(value, None, -row, node)
        case "Sub", True:
            return emitter.affine(value, np.full_like(row, -1), row, node)
        case "Mul", _:
            return emitter.affine(value, row, None, node)
        case "Div", False:
            return emitter.affine(value, 1 / row, None, node)
        case "Div", True:
            return emitter.affine(emitter.apply(value, numbered("number_over", 1.0), node), row, None, node)
        case (("Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal"), _):
            function = _with_number(kind, 0.0, swapped)
            assert function is not None
            return emitter.apply(emitter.affine(value, None, -row, node), function, node)
        case _:
            raise Unfit("numbers of the file that differ from feature to feature")


def _with_number(kind: str, number: float, swapped: bool) -> Function | None:
    """A function with a single number; `linear` where it changes nothing."""
    match kind, swapped:
        case ("Add", _) if number == 0:
            return Function("linear")
        case ("Mul", _) if number == 1:
            return Function("linear")
        case ("Div" | "Pow", False) if number == 1:
            return Function("linear")
        case ("Sub", False) if number == 0:
            return Function("linear")
        case "Pow", False if number == 2:
            return SQUARE
        case "Pow", False if number == 0.5:
            return Function("root", (), "function root(x) = sqrt(x)\n", "sqrt")
        case "Pow", False:
            return numbered("to_power", number)
        case "Add", _:
            return numbered("plus_number", number)
        case "Sub", False:
            return numbered("plus_number", -number)
        case "Sub", True:
            return numbered("number_minus", number)
        case "Mul", _:
            return numbered("times_number", number)
        case "Div", False:
            return numbered("over_number", number)
        case "Div", True:
            return numbered("number_over", number)
        case "Max" | "Or", _:
            return numbered("at_least", number)
        case "And", _:
            return numbered("times_number", number)
        case ("Greater", False) | ("Less", True):
            return numbered("is_more", number)
        case ("GreaterOrEqual", False) | ("LessOrEqual", True):
            return numbered("is_at_least", number)
        case ("Less", False) | ("Greater", True):
            return numbered("is_less", number)
        case ("LessOrEqual", False) | ("GreaterOrEqual", True):
            return numbered("is_at_most", number)
        case "Equal", _:
            return numbered("is_equal", number)
        case "Min", _:
            return numbered("at_most", number)
        case _:
            return None


def _softmax(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    data = elements_of(given)
    rank = data.numbers.ndim
    axis = axis_of(node.whole("axis", -1 if node.opset >= 13 else 1), rank)
    if node.opset < 13 and any(size != 1 for size in data.shape[axis + 1 :]):
        raise Unfit("a softmax over several axes together, as the standard had it before version 13", "axis")
    function = Function("softmax" if node.op == "Softmax" else "log_softmax")
    layout = layout_of(emitter.pool, data, (axis,))
    made = emitter.apply(emitter.value(layout.first, node), function, node)
    return [emitter.pool.count(layout.back(made))]


def _layer_norm(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    data = elements_of(given)
    rank = data.numbers.ndim
    axis = axis_of(node.whole("axis", -1), rank)
    layout = layout_of(emitter.pool, data, tuple(range(axis, rank)))
    scale, shift = known_of(given, 1, "Scale").ravel(), known_or_none(given, 2, "B")
    shift = None if shift is None else shift.ravel()
    made = emitter.layer_norm(emitter.value(layout.first, node), scale, shift, node.number("epsilon", 1e-5), node)
    return [emitter.pool.count(layout.back(made))]


def reduced(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements]:
    """The mean, sum, max or min over features."""
    data = elements_of(given)
    axes = axes_of(
        node, [np.zeros(data.shape, np.bool_), *(None if isinstance(each, Elements) else each for each in given[1:])], data.numbers.ndim
    )
    if axes is None:
        return [data]
    layout = layout_of(emitter.pool, data, axes)
    kind = node.op.removeprefix("Reduce").lower()
    made = emitter.reduce(emitter.value(layout.first, node), kind, node)
    return [emitter.pool.count(squeezed(first_of(layout, made), axes, keep=bool(node.whole("keepdims", 1))))]


def first_of(layout: Layout, entry: Entry) -> Numbers:
    """The tensor of the first feature of another value with the same rows: its axes of features have one element."""
    narrow = replace(layout, inner=(1,) * len(layout.inner))
    rows = entry.base + (layout.sample * entry.steps + layout.step) * entry.features
    return rows.reshape(*rows.shape, *narrow.inner).transpose(np.argsort(layout.order).tolist())


def squeezed(numbers: Numbers, axes: tuple[int, ...], *, keep: bool) -> Numbers:
    """The tensor with axes of one element, or without them."""
    return numbers if keep else numbers.squeeze(axes)


OPERATIONS: Mapping[str, Handler] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), binary),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Xor"), binary),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), several),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), reduced),
    "Clip": _clip,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "LayerNormalization": _layer_norm,
}
"""Operations that both a model of layers and a cell of equations have."""


def common(emitter: Emitter, node: Node, given: Sequence[Input]) -> Sequence[Elements] | None:
    """The outputs of an operation that every emitter has; None for one that there isn't."""
    handler = OPERATIONS.get(node.op)
    if handler is not None:
        return handler(emitter, node, given)
    function = function_of(node)
    return None if function is None else [applied(emitter, node, elements_of(given), function)]
