"""Advice for functions that an equation can't call: an equivalent expression, or the statement that there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import gcd
from types import MappingProxyType

from rnnspec.diagnostics import nearest
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, INITIALIZERS, LOSSES, METRICS
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.frontend.syntax.advice import CHOICE
from rnnspec.frontend.syntax.standard_library import FILES
from rnnspec.keras_names.names import families_of, functions

_SAME: Mapping[str, str] = MappingProxyType(
    {
        "absolute": "abs(v)",
        "add": "a + b",
        "amax": "max(v)",
        "amin": "min(v)",
        "arange": "positions(n)",
        "average": "mean(v)",
        "concatenate": "concat(a, b)",
        "ceil": "-floor(-v)",
        "cosh": "(exp(v) + exp(-v)) / 2",
        "cat": "concat(a, b)",
        "detach": "stop_gradient(v)",
        "divide": "a / b",
        "dot": "v @ weight",
        "equal": "a == b",
        "erfc": "1 - erf(v)",
        "exp2": "exp(0.6931471805599453 * v)",
        "fabs": "abs(v)",
        "fmax": "max(a, b)",
        "fmin": "min(a, b)",
        "hstack": "concat(a, b)",
        "greater": "a > b",
        "greater_equal": "a >= b",
        "hypot": "sqrt(a * a + b * b)",
        "inner": "sum(a * b)",
        "iota": "positions(n)",
        "len": "width(v)",
        "less": "a < b",
        "less_equal": "a <= b",
        "log10": "log(v) / 2.302585092994046",
        "log2": "log(v) / 0.6931471805599453",
        "logical_and": "a and b",
        "logical_or": "a or b",
        "logsumexp": "max(v) + log(sum(exp(v - max(v))))",
        "matmul": "v @ weight",
        "maximum": "max(a, b)",
        "minimum": "min(a, b)",
        "multiply": "a * b",
        "neg": "-v",
        "negative": "-v",
        "norm": "sqrt(sum(v * v))",
        "not_equal": "a != b",
        "power": "pow(a, b)",
        "reciprocal": "1 / v",
        "reduce_max": "max(v)",
        "reduce_mean": "mean(v)",
        "reduce_min": "min(v)",
        "reduce_sum": "sum(v)",
        "rint": "round(v)",
        "rsqrt": "1 / sqrt(v)",
        "sign": "where(v > 0, 1, where(v < 0, -1, 0))",
        "sinh": "(exp(v) - exp(-v)) / 2",
        "std": "sqrt(mean((v - mean(v)) * (v - mean(v))))",
        "sub": "a - b",
        "subtract": "a - b",
        "sqr": "v * v",
        "square": "v * v",
        "tan": "sin(v) / cos(v)",
        "true_divide": "a / b",
        "var": "mean((v - mean(v)) * (v - mean(v)))",
    }
)
"""Functions of Keras, numpy and PyTorch that what there is can say, to the last bits or nearly; `v`, `a`, `b`: values."""

_OTHERWISE: Mapping[str, str] = MappingProxyType(
    {
        "array_split": "`split` makes equal parts: `a, b = split(v, 2)`",
        "chunk": "`split` makes equal parts: `a, b = split(v, 2)`",
        "dropout": "where the cell is used, `dropout` and `recurrent_dropout` drop what it reads",
        "glu": "write `a, b = split(v, 2)`, then `a * sigmoid(b)`",
        "hsplit": "`split` makes equal parts: `a, b = split(v, 2)`",
        "if": CHOICE,
        "select": CHOICE,
        "stack": "a value is a row of units: `concat(a, b)` puts rows one behind the other",
    }
)

_FOREIGN = frozenset({"acos", "arccos", "asin", "atan", "atan2", "atanh", "asinh", "acosh", "frac", "log_prob", "softmin"})
"""Functions of PyTorch and the like that have another name in Keras."""


def function_advice(name: str, more: Collection[str]) -> tuple[str, ...]:
    """Advice on an unknown function `name`: first the likely intended function or a substitute, then a list of all functions.

    `more`: names of parameters, which may hold activations, and of functions that are text.
    """
    every = f"there are {', '.join(sorted(FUNCTIONS - ACTIVATIONS.keys()))}, and the activations {', '.join(sorted(ACTIVATIONS))}"
    return (_first(name, more), every)


def _first(name: str, more: Collection[str]) -> str:
    if name in _SAME:
        return f"write `{_SAME[name]}`"
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    if name in LAYERS or name in FILES or "layer" in families_of(name):
        return "layers work between steps, in a model or a block; in a cell write the equation, such as `x @ kernel + bias`"
    if name in INITIALIZERS:
        return f"an initializer is what a weight begins with: `weight w [units] = {name}`"
    if name in LOSSES or name in METRICS:
        return "a loss or a metric isn't called: write its equations, in a `function` if there are several places for them"
    if name in functions() or name in _FOREIGN:
        return "this version has no such function"
    return nearest(name, {*FUNCTIONS, *more}, functions() | _FOREIGN | _SAME.keys() | _OTHERWISE.keys())


_MOST_NAMES = 12
"""Names in a line of advice."""

_LONGEST_VALUE = 20


def unit_of_row(place: object, value: str, width: int) -> str:
    """Advice on `value[place]` of a row that has no such unit."""
    if isinstance(place, int) and not isinstance(place, bool) and -width <= place < 0:
        return f"write `{_shown(value)}[{place + width}]`"
    return f"its units are numbered from 0 to {width - 1}"


def split_by_widths(widths: Sequence[object], value: str, width: int, targets: int, taken: Collection[str]) -> str:
    """Advice on `split(value, [4, 1])`: equal parts that are put together again; empty if the widths don't fit."""
    wanted = [each for each in widths if isinstance(each, int) and not isinstance(each, bool) and each > 0]
    if not wanted or len(wanted) != len(widths) or sum(wanted) != width or len(wanted) != targets:
        return ""
    size = gcd(*wanted)
    count, shown = width // size, _shown(value)
    if count == targets:
        return f"write `split({shown}, {count})`"
    parts = _names(count, taken)
    made: list[str] = []
    for each in wanted if parts else ():
        part, parts = parts[: each // size], parts[each // size :]
        made.append(part[0] if len(part) == 1 else f"concat({', '.join(part)})")
    names = ", ".join(_names(count, taken))
    return f"write `{names} = split({shown}, {count})`: the parts are {', '.join(f'`{each}`' for each in made)}" if made else ""


def _shown(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE and "\n" not in value else "..."


def _names(count: int, taken: Collection[str]) -> list[str]:
    """So many names that mean nothing yet; none if that are too many."""
    free = [name for name in "abcdefgijklmnopqrstuvwyz" if name not in taken]
    return free[:count] if count <= min(_MOST_NAMES, len(free)) else []
