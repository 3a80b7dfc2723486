"""Operations on numbers that are known: computed by numpy when the file is read, within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.moving import MOVEMENTS, Given, Unfit, arranged, axis_of, bounded, data_of, wholes_of
from rnnspec.interop.onnx_files.nodes import Node

WORK_LIMIT = 2**33
"""Products of a matrix multiplication that is computed when a file is read."""

TYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""Numpy's types by the standard's numbers."""

Binary = Callable[[Any, Any], Any]


def _quotient(left: Array, right: Array) -> Array:
    if not np.issubdtype(left.dtype, np.integer):
        return left / right
    if (right == 0).any():
        raise Unfit("a whole number is divided by 0")
    return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)), left.dtype)


def _power(left: Array, right: Array) -> Array:
    if np.issubdtype(left.dtype, np.integer) and (right < 0).any():
        raise Unfit("a whole number to a negative power")
    return np.asarray(np.power(left, right.astype(left.dtype)), left.dtype)


BINARY: Mapping[str, Binary] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _quotient,
    "Pow": _power,
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}

UNARY: Mapping[str, Callable[[Any], Any]] = {
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Ceil": np.ceil,
    "Floor": np.floor,
    "Round": np.round,
    "Sign": np.sign,
    "Not": np.logical_not,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tanh": np.tanh,
    "IsNaN": np.isnan,
    "IsInf": np.isinf,
    "Erf": lambda x: np.asarray([math.erf(each) for each in x.ravel().tolist()]).reshape(x.shape),
    "Reciprocal": lambda x: 1 / x,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Relu": lambda x: np.maximum(x, 0),
}

REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": np.sum,
    "ReduceProd": np.prod,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
}


def folded(node: Node, given: Given) -> list[Array] | None:
    """A node's outputs by its inputs, which are known; None for an operation that isn't computed here. `Unfit` for what doesn't fit."""
    try:
        with np.errstate(all="ignore"):
            found = _folded(node, given)
    except Unfit:
        raise
    except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, MemoryError) as error:
        raise Unfit(" ".join(str(error).split()) or type(error).__name__) from None
    return None if found is None else [np.asarray(each) for each in found]


def _folded(node: Node, given: Given) -> Sequence[Any] | None:
    if (movement := MOVEMENTS.get(node.op)) is not None:
        known = arranged(node, given)
        fill = known[2] if node.op == "Pad" and len(known) > 2 and known[2] is not None else np.zeros((), data_of(known).dtype)
        return movement.move(node, known, np.asarray(fill if node.opset >= 11 else node.number("value", 0.0)))
    if (binary := BINARY.get(node.op)) is not None:
        left, right = data_of(given), data_of(given, 1)
        bounded(np.broadcast_shapes(left.shape, right.shape))
        result = binary(left, right)
        return [result if result.dtype == np.bool_ else np.asarray(result, left.dtype)]
    if (unary := UNARY.get(node.op)) is not None:
        data = data_of(given)
        result = np.asarray(unary(data))
        return [result if result.dtype == np.bool_ else result.astype(data.dtype)]
    if (reduction := REDUCTIONS.get(node.op)) is not None:
        return [_reduced(node, given, reduction)]
    special = SPECIAL.get(node.op)
    return None if special is None else special(node, given)


def axes_of(node: Node, given: Given, rank: int) -> tuple[int, ...] | None:
    """The axes that a reduction goes over; None for none at all, which leaves its input as it is."""
    axes = wholes_of(node, given, 1, "axes")
    if not axes:
        return None if node.whole("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(axis_of(each, rank) for each in axes)


def _reduced(node: Node, given: Given, reduction: Callable[..., Any]) -> Array:
    data = data_of(given)
    axes = axes_of(node, given, data.ndim)
    if axes is None:
        return data
    return np.asarray(reduction(data, axis=axes, keepdims=bool(node.whole("keepdims", 1)))).astype(data.dtype)


def _constant(node: Node, given: Given) -> Sequence[Any]:
    for name, value in node.attributes.items():
        match value:
            case np.ndarray():
                return [value]
            case int() | float() if name in ("value_int", "value_float"):
                return [np.asarray(value, np.int64 if name == "value_int" else np.float32)]
            case tuple() if name in ("value_ints", "value_floats"):
                return [np.asarray(value, np.int64 if name == "value_ints" else np.float32)]
            case _:
                pass
    raise Unfit("it isn't a constant of numbers")


def _constant_of_shape(node: Node, given: Given) -> Sequence[Any]:
    value = node.attributes.get("value")
    filled = np.asarray(value).reshape(()) if isinstance(value, np.ndarray) else np.zeros((), np.float32)
    return [np.broadcast_to(filled, bounded([int(each) for each in data_of(given).ravel()]))]


def cast_type(node: Node) -> np.dtype[Any]:
    """The type that a Cast gives; `Unfit` for one that isn't numpy's."""
    number = node.whole("to", 1)
    if number not in TYPES:
        raise Unfit(f"type {number} isn't one of numpy's", "to")
    return np.dtype(TYPES[number])


def _range(node: Node, given: Given) -> Sequence[Any]:
    start, limit, delta = (data_of(given, place).reshape(()).item() for place in range(3))
    if delta == 0:
        raise Unfit("a step of 0")
    bounded([max(0, int(np.ceil((limit - start) / delta)))])
    made: Array = np.arange(float(start), float(limit), float(delta)).astype(data_of(given).dtype)
    return [made]


def _mod(node: Node, given: Given) -> Sequence[Any]:
    left, right = data_of(given), data_of(given, 1)
    return [np.fmod(left, right) if node.whole("fmod", 0) else np.mod(left, right)]


def _extreme(choose: Binary) -> Callable[[Node, Given], Sequence[Any]]:
    def extreme(node: Node, given: Given) -> Sequence[Any]:
        result = data_of(given)
        for place in range(1, len(given)):
            bounded(np.broadcast_shapes(result.shape, data_of(given, place).shape))
            result = choose(result, data_of(given, place))
        return [result]

    return extreme


def _clip(node: Node, given: Given) -> Sequence[Any]:
    data = data_of(given)
    low, high = limits_of(node, given)
    return [np.clip(data, low, high).astype(data.dtype)]


def limits_of(node: Node, given: Given) -> tuple[float | None, float | None]:
    """The limits of a Clip: attributes up to version 6, inputs later; None for none."""

    def limit(place: int, name: str) -> float | None:
        if node.opset < 11:
            found = node.attributes.get(name)
            return float(found) if isinstance(found, (int, float)) else None
        known = given[place] if place < len(given) else None
        return None if known is None else float(np.asarray(known).reshape(()).item())

    return limit(1, "min"), limit(2, "max")


def _product(node: Node, given: Given) -> Sequence[Any]:
    left, right = data_of(given), data_of(given, 1)
    if left.size * (right.shape[-1] if right.ndim else 1) > WORK_LIMIT:
        raise Unfit("a product of constants that is too large to be computed here")
    return [left @ right]


def _gemm(node: Node, given: Given) -> Sequence[Any]:
    left = data_of(given).T if node.whole("transA", 0) else data_of(given)
    right = data_of(given, 1).T if node.whole("transB", 0) else data_of(given, 1)
    (product,) = _product(node, [left, right])
    rest = given[2] if len(given) > 2 and given[2] is not None else 0
    return [np.asarray(product * node.number("alpha", 1.0) + rest * node.number("beta", 1.0), left.dtype)]


def _triangle(node: Node, given: Given) -> Sequence[Any]:
    diagonal = int(data_of(given, 1).reshape(())) if len(given) > 1 and given[1] is not None else 0
    return [np.triu(data_of(given), diagonal) if node.whole("upper", 1) else np.tril(data_of(given), diagonal)]


def _scattered(node: Node, given: Given) -> Sequence[Any]:
    """ScatterND: parts of a tensor put in at places of its first axes."""
    if node.text("reduction", "none") != "none":
        raise Unfit("parts that are reduced with what was there", "reduction")
    data, places = data_of(given).copy(), data_of(given, 1).astype(np.int64)
    data[tuple(np.moveaxis(places, -1, 0))] = data_of(given, 2)
    return [data]


def _dequantized(node: Node, given: Given) -> Sequence[Any]:
    data, scale = data_of(given), data_of(given, 1)
    zero = given[2] if len(given) > 2 and given[2] is not None else np.zeros_like(scale, data.dtype)
    if scale.size > 1:
        if scale.ndim != 1 or node.whole("block_size", 0):
            raise Unfit("scales of blocks", "block_size")
        shape = [1] * data.ndim
        shape[axis_of(node.whole("axis", 1), data.ndim)] = scale.size
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return [((data.astype(np.int32) - zero.astype(np.int32)) * scale).astype(scale.dtype)]


SPECIAL: Mapping[str, Callable[[Node, Given], Sequence[Any]]] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Cast": lambda node, given: [data_of(given).astype(cast_type(node))],
    "CastLike": lambda node, given: [data_of(given).astype(data_of(given, 1).dtype)],
    "Shape": lambda node, given: [shape_of(node, data_of(given))],
    "Size": lambda node, given: [np.asarray(data_of(given).size, np.int64)],
    "Range": _range,
    "Mod": _mod,
    "Min": _extreme(np.minimum),
    "Max": _extreme(np.maximum),
    "Clip": _clip,
    "MatMul": _product,
    "Gemm": _gemm,
    "DequantizeLinear": _dequantized,
    "SequenceEmpty": lambda node, given: [np.empty(0, np.object_)],
    "Trilu": _triangle,
    "ScatterND": _scattered,
}


def shape_of(node: Node, data: Array) -> Array:
    """What a Shape node gives."""
    shape = np.asarray(data.shape, np.int64)
    end = node.attributes.get("end")
    return shape[node.whole("start", 0) : end if isinstance(end, int) else None]
