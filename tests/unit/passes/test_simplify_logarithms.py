"""Logarithms taken apart: values and gradients are those of the plain forms where these have them, and numbers where these overflow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnspec.contract.dimensions import BATCH
from rnnspec.driver.pipelines import BACKWARD, FORWARD
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Module, Result, Role, Value
from rnnspec.ir.printer import print_module
from rnnspec.ir.types import DType, TensorType
from rnnspec.passes.pipeline import Pipeline
from rnnspec.passes.simplify_logarithms import SimplifyLogarithms
from tests.unit.passes.gradient_check import differentiate, outputs, run_backward

Array = NDArray[np.float64]
Make = Callable[[Builder, Value, Value], Value]

WIDTH = 4
LOW, HIGH = 1e-7, 1 - 1e-7


def module_of(make: Make, dtype: DType = DType.F64) -> Module:
    """`make` of a row x and of a class, a row of width 1."""
    b = Builder()
    x = b.parameter(Role.INPUT, "x", TensorType(dtype, (BATCH, WIDTH)))
    of_class = b.parameter(Role.INPUT, "class", TensorType(dtype, (BATCH, 1)))
    return Module("M", (b.function("forward", [Result(Role.OUTPUT, "out", make(b, x, of_class))]),))


def simplified(module: Module) -> Module:
    return Pipeline((SimplifyLogarithms(),)).run(module)


def softmax(b: Builder, x: Value) -> Value:
    largest = b.stop_gradient(b.reduce_max(x, 1))
    powers = b.exp(b.sub(x, b.broadcast_like(largest, x)))
    return scaled(b, powers)


def scaled(b: Builder, x: Value) -> Value:
    return b.div(x, b.broadcast_like(b.reduce_sum(x, 1), x))


def clipped(b: Builder, x: Value) -> Value:
    return b.min(b.max(x, b.constant_like(LOW, x)), b.constant_like(HIGH, x))


def rest(b: Builder, x: Value) -> Value:
    return b.sub(b.constant_like(1.0, x), x)


def picked(b: Builder, x: Value, of_class: Value) -> Value:
    places = b.broadcast_like(b.positions(WIDTH, b.tensor(x).dtype), x)
    flags = b.equal(places, b.broadcast_like(of_class, x))
    return b.reduce_sum(b.select(flags, x, b.constant_like(0.0, x)), 1)


def crossentropy(b: Builder, x: Value, of_class: Value) -> Value:
    return b.neg(picked(b, b.log(clipped(b, scaled(b, softmax(b, x)))), of_class))


def binary_crossentropy(b: Builder, x: Value, of_class: Value) -> Value:
    p, share = clipped(b, b.sigmoid(x)), b.sigmoid(b.broadcast_like(of_class, x))
    return b.add(b.mul(share, b.log(p)), b.mul(rest(b, share), b.log(rest(b, p))))


FORMS: Mapping[str, Make] = {
    "softmax": lambda b, x, c: b.log(softmax(b, x)),
    "softmax scaled again": lambda b, x, c: b.log(scaled(b, softmax(b, x))),
    "shares of what isn't negative": lambda b, x, c: scaled(b, scaled(b, b.add(b.exp(b.neg(b.abs(x))), b.constant_like(0.5, x)))),
    "clipped": lambda b, x, c: b.log(clipped(b, softmax(b, x))),
    "clipped from the left": lambda b, x, c: b.log(b.max(b.constant_like(0.2, x), softmax(b, x))),
    "sparse crossentropy": crossentropy,
    "picked from a softmax": lambda b, x, c: b.log(picked(b, softmax(b, x), c)),
    "picked and clipped": lambda b, x, c: b.log(clipped(b, picked(b, scaled(b, softmax(b, x)), c))),
    "sigmoid": lambda b, x, c: b.log(b.sigmoid(x)),
    "the rest of a sigmoid": lambda b, x, c: b.log(rest(b, b.sigmoid(x))),
    "clipped sigmoid": lambda b, x, c: b.log(clipped(b, b.sigmoid(x))),
    "the rest of a clipped sigmoid": lambda b, x, c: b.log(rest(b, clipped(b, b.sigmoid(x)))),
    "the rest of one clipped from the left": lambda b, x, c: b.log(rest(b, b.min(b.constant_like(0.75, x), b.sigmoid(x)))),
    "the clipped rest": lambda b, x, c: b.log(clipped(b, rest(b, b.sigmoid(x)))),
    "binary crossentropy": binary_crossentropy,
    "sigmoids scaled by their sum": lambda b, x, c: b.log(clipped(b, scaled(b, b.sigmoid(x)))),
    "a product": lambda b, x, c: b.log(b.mul(b.constant_like(3.0, x), b.mul(softmax(b, x), b.broadcast_like(b.sigmoid(c), x)))),
    "a product of unknown sign": lambda b, x, c: b.log(b.mul(b.sigmoid(x), x)),
    "a quotient": lambda b, x, c: b.log(b.div(b.sigmoid(x), b.exp(x))),
    "a broadcast": lambda b, x, c: b.log(b.broadcast_like(b.add(b.abs(c), b.constant_like(1.5, c)), x)),
    "the rest of a broadcast": lambda b, x, c: b.log(rest(b, b.broadcast_like(b.sigmoid(c), x))),
    "an exponential": lambda b, x, c: b.log(b.exp(x)),
}
LOGIT = st.sampled_from([0.0, 1.0, -1.0, 2.5, 1e4, -1e4]) | st.floats(-8, 8)
ROWS = st.lists(st.lists(LOGIT, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=3)


def both(make: Make, x: Array, classes: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """What the plain form gives and what the simplified one does: `out`, and the gradients of x and class."""
    found: list[dict[str, Array]] = []
    plain = module_of(make)
    for module in (plain, simplified(plain)):
        arguments = {"x": x, "class": classes}
        out = outputs(module, arguments)
        cotangents = {name: np.random.default_rng(3).normal(size=held.shape) for name, held in out.items()}
        with np.errstate(all="ignore"):
            found.append({**out, **run_backward(differentiate(module), arguments, cotangents)})
    return found[0], found[1]


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(ROWS, st.integers(0, WIDTH - 1))
def test_values_and_gradients(name: str, rows: list[list[float]], number: int) -> None:
    """The plain form's, where these are finite; of large and equal logits too."""
    x = np.array(rows)
    plain, simple = both(FORMS[name], x, np.full((len(x), 1), float(number)))
    for key, wanted in plain.items():
        finite = np.isfinite(wanted)
        np.testing.assert_allclose(simple[key][finite], wanted[finite], rtol=1e-9, atol=1e-9, err_msg=key)
    if name != "a product of unknown sign":
        for key, value in simple.items():
            assert np.all(np.isfinite(value)), key


@pytest.mark.parametrize("name", FORMS)
def test_something_is_simplified(name: str) -> None:
    module = module_of(FORMS[name])
    assert print_module(simplified(module)) != print_module(module)


def test_slopes_at_zero() -> None:
    for name, slope in (("sigmoid", 0.5), ("the rest of a sigmoid", -0.5)):
        module = differentiate(simplified(module_of(FORMS[name])))
        arguments = {"x": np.zeros((1, WIDTH)), "class": np.zeros((1, 1))}
        assert np.all(run_backward(module, arguments, {"out": np.ones((1, WIDTH))})["x"] == slope)


@pytest.mark.parametrize("number", [-1.0, 0.5, float(WIDTH), math.nan])
def test_what_no_position_is_picks_nothing(number: float) -> None:
    plain, simple = both(FORMS["picked from a softmax"], np.zeros((1, WIDTH)), np.array([[number]]))
    assert plain["out"] == simple["out"] == -math.inf


def test_a_bound_is_the_number_that_its_type_holds() -> None:
    """1 - 0.9999999 in float32, whose logarithm differs in the second digit."""
    text = print_module(simplified(module_of(lambda b, x, c: b.log(rest(b, clipped(b, b.sigmoid(x)))), DType.F32)))
    assert f"{math.log1p(-float(np.float32(HIGH)))!r}" in text
    assert f"{math.log1p(-HIGH)!r}" not in text


def unordered(b: Builder, x: Value, of_class: Value) -> Value:
    """Of several flags in a row."""
    flags = b.greater(b.broadcast_like(b.positions(WIDTH, DType.F64), x), b.broadcast_like(of_class, x))
    return b.log(b.reduce_sum(b.select(flags, b.exp(x), b.constant_like(0.0, x)), 1))


def chosen_by(places: Callable[[Builder, Value], Value], number: Callable[[Builder, Value, Value], Value], other: float = 0.0) -> Make:
    def make(b: Builder, x: Value, of_class: Value) -> Value:
        flags = b.equal(places(b, x), number(b, x, of_class))
        return b.log(b.reduce_sum(b.select(flags, b.exp(x), b.constant_like(other, x)), 1))

    return make


def counted(b: Builder, x: Value) -> Value:
    return b.broadcast_like(b.positions(WIDTH, DType.F64), x)


KEPT: Mapping[str, Make] = {
    "no exponential": lambda b, x, c: b.log(b.mul(b.abs(x), b.abs(x))),
    "signs that are unknown": lambda b, x, c: b.log(b.max(b.mul(b.exp(x), x), b.constant_like(0.1, x))),
    "a sum": lambda b, x, c: b.log(b.add(b.exp(x), b.exp(b.neg(x)))),
    "a bound that isn't positive": lambda b, x, c: b.log(b.max(b.exp(x), b.constant_like(0.0, x))),
    "a bound that isn't a number": lambda b, x, c: b.log(b.max(b.exp(x), b.constant_like(math.nan, x))),
    "the rest beyond 1": lambda b, x, c: b.log(rest(b, b.min(b.sigmoid(x), b.constant_like(1.0, x)))),
    "the rest of what may be above 1": lambda b, x, c: b.log(rest(b, b.exp(x))),
    "what isn't 1 less something": lambda b, x, c: b.log(b.sub(b.constant_like(2.0, x), b.sigmoid(x))),
    "a bound that isn't known": lambda b, x, c: b.log(b.max(b.exp(x), b.abs(x))),
    "several flags": unordered,
    "flags of what differs in a row": chosen_by(counted, lambda b, x, c: b.abs(x)),
    "flags of other places": chosen_by(lambda b, x: b.abs(x), lambda b, x, c: b.broadcast_like(c, x)),
    "one position for all": chosen_by(
        lambda b, x: b.broadcast_like(b.positions(1, DType.F64), x), lambda b, x, c: b.broadcast_like(c, x)
    ),
    "others that aren't 0": chosen_by(counted, lambda b, x, c: b.broadcast_like(c, x), other=1.0),
    "a sum over rows": lambda b, x, c: b.mul(
        x,
        b.broadcast_like(
            b.log(
                b.reduce_sum(
                    b.select(b.equal(counted(b, x), b.broadcast_like(c, x)), b.exp(x), b.constant_like(0.0, x)), 0
                )
            ),
            x,
        ),
    ),
    "scaled by another row's sum": lambda b, x, c: b.div(softmax(b, x), b.broadcast_like(b.reduce_sum(b.abs(x), 1), x)),
    "scaled twice, of any sign": lambda b, x, c: scaled(b, scaled(b, x)),
    "scaled once": lambda b, x, c: scaled(b, b.exp(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_kept(name: str) -> None:
    module = module_of(KEPT[name])
    assert print_module(simplified(module)) == print_module(module)


def test_a_bound_that_float32_has_not_is_zero() -> None:
    def bounded(b: Builder, x: Value, of_class: Value) -> Value:
        return b.log(b.max(b.exp(x), b.constant_like(1e-60, x)))

    single, double = module_of(bounded, DType.F32), module_of(bounded)
    assert print_module(simplified(single)) == print_module(single)
    assert print_module(simplified(double)) != print_module(double)


def test_a_product_of_products_is_made_once() -> None:
    """Each is the square of the one before: its logarithms would double with each."""

    def squares(b: Builder, x: Value, of_class: Value) -> Value:
        value = b.sigmoid(x)
        for _ in range(30):
            value = b.mul(value, value)
        return b.log(value)

    (function,) = simplified(module_of(squares)).functions
    assert len(function.operations) < 100
    x = np.array([[0.5, -1.0, 2.0, 1e4]])
    (out,) = outputs(simplified(module_of(squares)), {"x": x, "class": np.zeros((1, 1))}).values()
    np.testing.assert_allclose(out, 2**30 * -np.logaddexp(0.0, -x), rtol=1e-12)


def test_chains_of_any_length() -> None:
    def product(b: Builder, x: Value, of_class: Value) -> Value:
        value = b.exp(x)
        for _ in range(3000):
            value = b.mul(value, b.constant_like(1.0, x))
        return b.log(value)

    module = module_of(product)
    assert print_module(simplified(module)) == print_module(module)


@pytest.mark.parametrize("pipeline", [FORWARD, BACKWARD], ids=["forward", "backward"])
def test_a_crossentropy_divides_no_class_and_has_one_logarithm_a_row(pipeline: Pipeline) -> None:
    """Nor does its gradient."""
    for make in (crossentropy, lambda b, x, c: b.neg(picked(b, b.log(softmax(b, x)), c))):
        lines = print_module(pipeline.run(module_of(make))).splitlines()
        costly = [line for line in lines if " = div " in line or " = log " in line]
        assert costly and all(line.endswith(", 1]") for line in costly)
