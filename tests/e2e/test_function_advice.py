"""What is proposed in place of a function of Keras's gives what that function gives, in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.frontend.cells import function_advice
from rnnspec.frontend.cells.function_advice import split_by_widths, unit_of_row

SAME: dict[str, str] = dict(vars(function_advice)["_SAME"])

X = np.array([[[0.5, 2.0, 1.25, 0.75]]])
A, B = X[0, 0, :2], X[0, 0, 2:]


def keepdims(reduce: Callable[..., Any]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda v: np.atleast_1d(reduce(v))


ONE: dict[str, Callable[[np.ndarray], Any]] = {
    "absolute": np.abs, "fabs": np.abs, "amax": keepdims(np.max), "amin": keepdims(np.min), "average": keepdims(np.mean),
    "ceil": np.ceil, "cosh": np.cosh, "detach": np.positive,
    "sinh": np.sinh, "erfc": np.vectorize(math.erfc), "exp2": np.exp2, "log10": np.log10, "log2": np.log2,
    "logsumexp": keepdims(lambda v: np.log(np.exp(v).sum())), "neg": np.negative, "negative": np.negative,
    "norm": keepdims(np.linalg.norm), "reciprocal": np.reciprocal, "reduce_max": keepdims(np.max), "reduce_mean": keepdims(np.mean),
    "reduce_min": keepdims(np.min), "reduce_sum": keepdims(np.sum), "rint": np.rint,
    "sign": np.sign, "tan": np.tan, "rsqrt": lambda v: 1.0 / np.sqrt(v), "sqr": np.square,
    "square": np.square, "std": keepdims(np.std), "var": keepdims(np.var),
}  # fmt: skip

TWO: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "add": np.add, "cat": lambda a, b: np.concatenate([a, b]), "concatenate": lambda a, b: np.concatenate([a, b]), "divide": np.divide,
    "fmax": np.fmax, "fmin": np.fmin, "hstack": lambda a, b: np.hstack([a, b]), "hypot": np.hypot, "inner": lambda a, b: [np.inner(a, b)],
    "maximum": np.maximum, "minimum": np.minimum, "multiply": np.multiply, "power": np.power, "sub": np.subtract, "subtract": np.subtract,
    "true_divide": np.true_divide,
}  # fmt: skip

CONDITIONS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "equal": np.equal, "greater": np.greater, "greater_equal": np.greater_equal, "less": np.less, "less_equal": np.less_equal,
    "not_equal": np.not_equal,
}  # fmt: skip
"""What gives a condition, of two values; and of two conditions."""
OF_CONDITIONS = {"logical_and": np.logical_and, "logical_or": np.logical_or}

PRODUCTS = {"dot", "matmul"}

OF_A_NUMBER: dict[str, Callable[[int], Any]] = {"arange": np.arange, "iota": np.arange}
OF_A_WIDTH = {"len"}


def given(*equations: str, result: str) -> np.ndarray:
    """What a cell gives at one step of X."""
    lines = "\n".join(equations)
    model = rnnspec.compile(
        f"cell C(units) {{ state h [units]\n{lines}\nh' = h\nreturn {result} + 0 * sum(h) }}\nmodel M {{ input s: float[time, 4]\n C(2) }}",
        dtype="float64", seed=0,
    )  # fmt: skip
    return model.forward(X)[0]


def test_every_proposal_is_tried() -> None:
    assert set(SAME) == ONE.keys() | TWO.keys() | CONDITIONS.keys() | OF_CONDITIONS.keys() | PRODUCTS | OF_A_NUMBER.keys() | OF_A_WIDTH


@pytest.mark.parametrize("name", ONE)
def test_of_one_value(name: str) -> None:
    found = given("v = x", result=f"({SAME[name]})")
    np.testing.assert_allclose(found, ONE[name](X[0, 0]), rtol=1e-12)


@pytest.mark.parametrize("name", OF_A_NUMBER)
def test_of_a_number(name: str) -> None:
    np.testing.assert_array_equal(given("n = 4", result=SAME[name]), OF_A_NUMBER[name](4))


def test_of_a_width() -> None:
    assert given(result=SAME["len"].replace("(v)", "(x)")) == [4]


@pytest.mark.parametrize("name", TWO)
def test_of_two_values(name: str) -> None:
    found = given("a, b = split(x, 2)", result=f"({SAME[name]})")
    np.testing.assert_allclose(found, TWO[name](A, B), rtol=1e-12)


@pytest.mark.parametrize("name", CONDITIONS)
def test_of_two_values_to_a_condition(name: str) -> None:
    found = given("a = x", "b = max(x, 1)", result=f"where({SAME[name]}, 1, 0)")
    np.testing.assert_array_equal(found, CONDITIONS[name](X[0, 0], np.maximum(X[0, 0], 1)))


@pytest.mark.parametrize("name", OF_CONDITIONS)
def test_of_two_conditions(name: str) -> None:
    found = given("a = x > 0.6", "b = x < 1", result=f"where({SAME[name]}, 1, 0)")
    np.testing.assert_array_equal(found, OF_CONDITIONS[name](X[0, 0] > 0.6, X[0, 0] < 1))


def test_a_power() -> None:
    np.testing.assert_allclose(given("v = x", "p = 2.5", result="pow(v, p)"), X[0, 0] ** 2.5, rtol=1e-12)


def test_parts_of_other_widths() -> None:
    """By halves here: parts of a single unit are tried where they are compiled."""
    advice = split_by_widths([2, 2], "x", 4, 2, ())
    assert advice == "write `split(x, 2)`"
    advice = split_by_widths([4, 2], "v", 6, 2, ())
    assert advice == "write `a, b, c = split(v, 3)`: the parts are `concat(a, b)`, `c`"
    found = given("v = concat(x, exp(x))", "w = concat(v, x)", "a, b, _c = split(w, 3)", result="concat(a, b)")
    np.testing.assert_allclose(found, np.concatenate([X[0, 0], np.exp(X[0, 0])]), rtol=1e-12)
    assert split_by_widths([3, 2], "v", 6, 2, ()) == ""
    assert split_by_widths([2, 2, 2], "v", 6, 2, ()) == ""
    assert split_by_widths([], "v", 6, 2, ()) == ""
    assert split_by_widths([1, 39], "v", 40, 2, ()) == ""


def test_a_unit_of_a_row() -> None:
    assert unit_of_row(-1, "x", 3) == "write `x[2]`"
    assert unit_of_row(7, "x", 3) == "its units are numbered from 0 to 2"
    assert unit_of_row(True, "x", 3) == "its units are numbered from 0 to 2"
