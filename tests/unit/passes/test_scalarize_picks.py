"""Picks before what is computed element by element: the same bits and gradients, and no sum over classes in a crossentropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnspec.contract.dimensions import BATCH
from rnnspec.contract.objective import OutputObjective
from rnnspec.contract.signature import Config
from rnnspec.driver.compilation import compilation_of
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Module, Result, Role, Value
from rnnspec.ir.printer import print_module
from rnnspec.ir.types import DType, TensorType
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode
from rnnspec.passes.pipeline import Pipeline
from rnnspec.passes.scalarize_picks import DEEPEST, ScalarizePicks
from tests.unit.passes.gradient_check import differentiate, outputs, run_backward

Array = NDArray[np.float64]
Make = Callable[[Builder, Value, Value, Value], Value]
"""The row that is picked from, of two rows and of a number for each row."""

WIDTH = 4


def module_of(make: Make, number: float | None = None) -> Module:
    """A pick of what `make` gives: of the class `number`, or of each row's own."""
    b = Builder()
    x = b.parameter(Role.INPUT, "x", TensorType(DType.F64, (BATCH, WIDTH)))
    y = b.parameter(Role.INPUT, "y", TensorType(DType.F64, (BATCH, WIDTH)))
    of_class = b.parameter(Role.INPUT, "class", TensorType(DType.F64, (BATCH, 1)))
    chosen = b.broadcast_like(of_class, x) if number is None else b.constant_like(number, x)
    flags = b.equal(places(b, x), chosen)
    row = make(b, x, y, b.tanh(b.reduce_sum(y, 1)))
    return Module(
        "M", (b.function("forward", [Result(Role.OUTPUT, "out", b.reduce_sum(b.select(flags, row, b.constant_like(0.0, x)), 1))]),)
    )


def scalarized(module: Module) -> Module:
    return Pipeline((ScalarizePicks(), EliminateDeadCode())).run(module)


def places(b: Builder, x: Value) -> Value:
    return b.broadcast_like(b.positions(WIDTH, DType.F64), x)


def wide(b: Builder, number: Value, like: Value) -> Value:
    return b.broadcast_like(number, like)


FORMS: Mapping[str, Make] = {
    "one operation": lambda b, x, y, n: b.exp(x),
    "with a number for each row": lambda b, x, y, n: b.sub(x, wide(b, n, x)),
    "with a constant": lambda b, x, y, n: b.max(x, b.constant_like(0.25, x)),
    "with the places": lambda b, x, y, n: b.mul(b.add(x, places(b, x)), x),
    "a condition": lambda b, x, y, n: b.select(b.greater(x, wide(b, n, x)), b.sigmoid(x), b.neg(x)),
    "a number for each row": lambda b, x, y, n: wide(b, n, x),
    "a function of numbers alone": lambda b, x, y, n: b.exp(b.mul(wide(b, n, x), places(b, x))),
    "a function of two rows": lambda b, x, y, n: b.tanh(b.mul(b.mul(x, y), wide(b, n, x))),
    "a condition of two rows": lambda b, x, y, n: b.exp(b.select(b.greater(x, y), x, wide(b, n, x))),
    "without a gradient": lambda b, x, y, n: b.mul(b.stop_gradient(x), wide(b, n, x)),
}
NUMBER = st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan]) | st.floats(-3, 3)
ROWS = st.lists(st.lists(NUMBER, min_size=2 * WIDTH, max_size=2 * WIDTH), min_size=1, max_size=3)
CLASSES = (0.0, -0.0, 1.0, 3.0, 4.0, -1.0, 0.5, 1e30, math.inf, -math.inf, math.nan)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(ROWS, st.sampled_from(CLASSES), st.booleans())
def test_bits_and_gradients(name: str, rows: list[list[float]], number: float, known: bool) -> None:
    """Of numbers that aren't finite too, the gradients of those that are and of a class that there is."""
    module = module_of(FORMS[name], number if known else None)
    simple = scalarized(module)
    assert print_module(simple) != print_module(module)
    given_rows = np.array(rows)
    arguments = {"x": given_rows[:, :WIDTH], "y": given_rows[:, WIDTH:], "class": np.full((len(rows), 1), number)}
    with np.errstate(all="ignore"):
        plain, found = outputs(module, arguments), outputs(simple, arguments)
        np.testing.assert_array_equal(found["out"], plain["out"])
        if np.isfinite(given_rows).all():
            cotangents = {"out": np.random.default_rng(3).normal(size=plain["out"].shape)}
            wanted, got = (run_backward(differentiate(each), arguments, cotangents) for each in (module, simple))
            for key, value in wanted.items():
                np.testing.assert_allclose(got[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


def test_a_row_by_itself_stays() -> None:
    makes: tuple[Make, ...] = (lambda b, x, y, n: x, lambda b, x, y, n: b.mul(x, y))
    for make in makes:
        module = module_of(make)
        assert print_module(Pipeline((ScalarizePicks(),)).run(module)) == print_module(module)


def test_a_known_class_that_there_is_not_is_zero() -> None:
    assert "select" not in print_module(scalarized(module_of(FORMS["one operation"], float(WIDTH))))


def test_of_a_long_chain_the_last_operations_move() -> None:
    def chain(b: Builder, x: Value, y: Value, n: Value) -> Value:
        for _ in range(3 * DEEPEST + 1):
            x = b.tanh(x)
        return x

    lines = print_module(scalarized(module_of(chain))).splitlines()
    moved = [line for line in lines if "tanh" in line and line.endswith(", 1]")]
    assert 0 < len(moved) <= DEEPEST + 1


SPARSE = Config("sparse_categorical_crossentropy", (("from_logits", True), ("ignore_class", None)))
PROBABILITIES = Config("sparse_categorical_crossentropy", (("from_logits", False), ("ignore_class", None)))


@pytest.mark.parametrize(("activation", "loss"), [("linear", SPARSE), ("softmax", PROBABILITIES)], ids=["logits", "softmax"])
def test_a_sparse_crossentropy_computes_of_all_classes_only_what_it_must(activation: str, loss: Config) -> None:
    """Forward a maximum, the exponentials, their sum and the pick; backward one product and the class's own place. One row is kept."""
    compilation = compilation_of(f"model M {{ input x: float[3] Dense(7, activation = {activation}) }}")
    module = compilation.module("tensor.backward", True, objective=(OutputObjective("dense", 1, loss),))
    found: dict[str, list[str]] = {}
    for function in module.functions:
        text = print_module(Module("M", (function,)))
        rows = [line for line in text.splitlines() if ", 7]" in line.rpartition(" : ")[2] or "{axis = 1}" in line]
        found[function.name] = [line.partition(" = ")[2].split()[0] for line in rows if " = " in line]
    assert sorted(set(found["forward"]) - {"broadcast", "constant"}) == ["eq", "exp", "matmul", "reduce_max", "reduce_sum", "select", "sub"]
    assert found["forward"].count("reduce_sum") == 2
    assert sorted(set(found["backward"]) - {"broadcast", "constant"}) == ["add", "eq", "matmul", "mul", "select"]
    kept = [result.value for result in module.function("forward").results if result.role is Role.RESIDUAL]
    assert [value.type for value in kept].count(TensorType(DType.F32, (BATCH, 7))) == 1
