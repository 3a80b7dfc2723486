"""Calls that ONNX has no node for, by their equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.torch_programs.calls import Call

Handler: TypeAlias = "Callable[[Call], str]"


def gated(call: Call) -> str:
    """`glu`: the first half of an axis, times the sigmoid of the second."""
    first, second = call.several("Split", 2, call.value("self"), axis=call.whole("dim", -1))
    return call.one("Mul", first, call.one("Sigmoid", second))


def variance(call: Call) -> str:
    """`var`, about the mean of the axes, whose numbers are one less by default (Bessel's correction)."""
    axes, rank = call.wholes("dim"), len(call.shape_of("self"))
    axes = tuple(range(rank)) if axes is None else axes
    x = call.value("self")
    away = call.one("Sub", x, call.one("ReduceMean", x, call.wholes_of(axes), keepdims=1))
    mean = call.one("ReduceMean", call.one("Mul", away, away), call.wholes_of(axes), keepdims=int(call.flag("keepdim")))
    less = _correction(call)
    if less == 0:
        return mean
    sizes = [call.shape_of("self")[axis] for axis in axes]
    count = 1
    for size in sizes:
        if not isinstance(size, int):
            raise Unfit("a variance over an axis whose size isn't known, by one less than it", "dim")
        count *= size
    if count <= less:
        raise Unfit(f"a variance of {count} numbers with a correction of {less:g}", "correction")
    return call.one("Mul", mean, call.named(count / (count - less), "correction"))


def _correction(call: Call) -> float:
    given = call.get("unbiased")
    if isinstance(given, bool):
        return float(given)
    return 1.0 if call.get("correction") is None else call.number("correction", 1.0)


def deviation(call: Call) -> str:
    """`std`."""
    return call.one("Sqrt", variance(call))


def causal(call: Call, products: str) -> str:
    """Products of queries with keys, of which a query sees those up to its own place."""
    rows, columns = (_places(call, name, axis) for name, axis in (("query", 1), ("key", 0)))
    lowest = call.nodes.constant(np.asarray(-np.inf, np.float64 if call.nodes.doubles else np.float32))
    return call.one("Where", call.one("LessOrEqual", columns, rows), products, lowest)


def _places(call: Call, name: str, axis: int) -> str:
    """0, 1, 2, ... of the steps, as a column (axis 1) or a row (axis 0)."""
    nodes, rank = call.nodes, len(call.shape_of(name))
    whole = [nodes.constant(np.asarray(number, np.int64)) for number in (0, rank - 2, 1)]
    count = call.one("Gather", call.one("Shape", call.value(name)), whole[1], axis=0)
    return call.one("Unsqueeze", call.one("Range", whole[0], count, whole[2]), call.wholes_of([axis]))


_VARIANCE: Mapping[str, Handler] = {"var": variance, "std": deviation}

COMPOSED: Mapping[str, Handler] = {
    "aten.glu.default": gated,
    **{f"aten.{name}.{form}": made for name, made in _VARIANCE.items() for form in ("dim", "correction", "default")},
}
"""By the targets of calls."""
