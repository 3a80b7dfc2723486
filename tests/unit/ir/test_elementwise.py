"""Every row of the elementwise operations: its meaning, its laws, its text, and whether it has a gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import (
    ELEMENTARY,
    NEGATION,
    ZERO,
    BinaryKind,
    CompareKind,
    Cost,
    Law,
    Linearity,
    UnaryKind,
    cost_of,
)
from rnnspec.ir.ops import Module, Result, Role
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.types import BATCH, DType, TensorType
from rnnspec.ir.verify import verify

Array = NDArray[Any]
X = np.array([-2.5, -1.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.7])
Y = np.array([0.5, 2.0, -1.0, 3.0, 0.0, 1.0, -0.5, 0.5, 4.0, -2.0, 0.3, 2.5, -1.1])
FLAGS = np.array([False, True, False, True])
OTHERS = np.array([False, False, True, True])


def scalars(function: Callable[[float], float]) -> Callable[[Array], Array]:
    def each(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return -math.inf if value == 0 and function is math.log else math.nan

    return lambda x: np.array([each(float(value)) for value in x])


def power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except ValueError:
        return math.inf if x == 0 else math.nan


UNARY: Mapping[str, Callable[[Array], Array]] = {
    "neg": lambda x: 0.0 - x,
    "abs": lambda x: np.where(x < 0, -x, x),
    "sign": lambda x: (x > 0) * 1.0 - (x < 0) * 1.0,
    "floor": scalars(math.floor),
    "round": scalars(round),
    "sqrt": scalars(math.sqrt),
    "exp": scalars(math.exp),
    "expm1": scalars(math.expm1),
    "log": scalars(math.log),
    "log1p": scalars(lambda x: -math.inf if x == -1 else math.log1p(x)),
    "tanh": scalars(math.tanh),
    "sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
    "erf": scalars(math.erf),
    "sin": scalars(math.sin),
    "cos": scalars(math.cos),
    "stop_gradient": lambda x: x,
}

BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": lambda x, y: x - (0.0 - y),
    "sub": lambda x, y: x + -y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x * np.array([1.0 / float(each) if each else math.inf for each in y]),
    "pow": lambda x, y: np.array([power(float(a), float(b)) for a, b in zip(x, y, strict=True)]),
    "max": lambda x, y: np.where(x > y, x, y),
    "min": lambda x, y: np.where(x < y, x, y),
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | y,
}

COMPARE: Mapping[str, Callable[[Array, Array], Array]] = {
    "lt": lambda x, y: y - x > 0,
    "le": lambda x, y: y - x >= 0,
    "gt": lambda x, y: x - y > 0,
    "ge": lambda x, y: x - y >= 0,
    "eq": lambda x, y: x - y == 0,
    "ne": lambda x, y: x - y != 0,
}


def operands(kind: BinaryKind) -> tuple[Array, Array]:
    return (FLAGS, OTHERS) if kind.row.on_flags else (X, Y)


@pytest.mark.parametrize("kind", UnaryKind)
def test_meaning_of_one_operand(kind: UnaryKind) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(kind.row.numpy(X), UNARY[kind.value](X), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("kind", BinaryKind)
def test_meaning_of_two_operands(kind: BinaryKind) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(kind.row.numpy(*operands(kind)), BINARY[kind.value](*operands(kind)), rtol=1e-14)


@pytest.mark.parametrize("kind", CompareKind)
def test_meaning_of_comparisons(kind: CompareKind) -> None:
    np.testing.assert_array_equal(kind.row.numpy(X, Y), COMPARE[kind.value](X, Y))
    assert kind.row.numpy(np.array(math.nan), np.array(1.0)) == (kind is CompareKind.NE)


def test_no_meaning_of_what_is_no_row() -> None:
    assert UNARY.keys() == {kind.value for kind in UnaryKind}
    assert BINARY.keys() == {kind.value for kind in BinaryKind}
    assert COMPARE.keys() == {kind.value for kind in CompareKind}


@pytest.mark.parametrize("kind", [*UnaryKind, *BinaryKind, *CompareKind])
def test_text_is_read_back(kind: UnaryKind | BinaryKind | CompareKind) -> None:
    builder = Builder()
    on_flags = isinstance(kind, BinaryKind) and kind.row.on_flags
    type_ = TensorType(DType.I1 if on_flags else DType.F32, (BATCH, 3))
    left, right = (builder.parameter(Role.RESIDUAL, name, type_) for name in ("left", "right"))
    match kind:
        case UnaryKind():
            value = builder.unary(kind, left)
        case BinaryKind():
            value = builder.binary(kind, left, right)
        case CompareKind():
            value = builder.compare(kind, left, right)
    module = Module("m", (builder.function("f", [Result(Role.RESIDUAL, "y", value)]),))
    verify(module)
    assert f"= {kind.value} %left" in print_module(module)
    assert parse_module(print_module(module)) == module


# Laws


def law(kind: UnaryKind, wanted: Law) -> bool:
    return wanted in kind.row.laws


@pytest.mark.parametrize("kind", UnaryKind)
def test_laws_of_one_operand(kind: UnaryKind) -> None:
    f = kind.row.numpy
    with np.errstate(all="ignore"):
        once = f(X)
        assert law(kind, Law.INVOLUTION) == np.array_equal(f(once), X) or law(kind, Law.IDENTITY)
        assert law(kind, Law.IDENTITY) == np.array_equal(once, X)
        if law(kind, Law.IDEMPOTENT):
            np.testing.assert_array_equal(f(once), once)
        assert law(kind, Law.EVEN) <= np.array_equal(f(-X), once)
        if law(kind, Law.LINEAR):
            np.testing.assert_array_equal(f(X + Y), once + f(Y))


@pytest.mark.parametrize("kind", BinaryKind)
def test_laws_of_two_operands(kind: BinaryKind) -> None:
    row, (x, y) = kind.row, operands(kind)
    f = row.numpy
    with np.errstate(all="ignore"):
        commutes = np.array_equal(f(x, y), f(y, x), equal_nan=True)
        assert (Law.COMMUTATIVE in row.laws) == (commutes and kind not in (BinaryKind.MAX, BinaryKind.MIN))
        assert (Law.IDEMPOTENT in row.laws) == np.array_equal(f(x, x), x)
        for constant in (0.0, 1.0):
            repeated = np.full_like(x, constant)
            assert (row.right_identity == constant) == np.array_equal(f(x, repeated), x)
            assert (row.left_identity == constant) == np.array_equal(f(repeated, x), x)
            if row.absorbing == constant:
                assert np.all(f(x, repeated) == constant) and np.all(f(repeated, x) == constant)
        if row.negating is not None:
            np.testing.assert_array_equal(f(x, np.full_like(x, row.negating)), -x)
        assert (row.linear is Linearity.TOGETHER) == np.array_equal(f(2 * x, 2 * y), 2 * f(x, y)) or row.linear is not Linearity.TOGETHER
    if row.inverted is not None:
        away = np.where(y == 0, 0.75, y)
        inverse = -away if row.linear is Linearity.TOGETHER else 1 / away
        np.testing.assert_allclose(kind.inverted.row.numpy(x, inverse), f(x, away), rtol=1e-15)


def test_what_passes_take_for_one_operation_is_one() -> None:
    """A sum that may be regrouped, a root and a quotient that a reciprocal stands for: passes ask for what these alone are."""
    assert [kind for kind in BinaryKind if kind.is_sum] == [BinaryKind.ADD]
    assert NEGATION is UnaryKind.NEG
    assert [kind for kind in UnaryKind if kind.row.cost is Cost.ROOT] == [UnaryKind.SQRT]
    assert [kind for kind in BinaryKind if kind.row.cost is Cost.DIVISION] == [BinaryKind.DIV]
    assert [kind for kind in (*UnaryKind, *BinaryKind) if kind.row.cost is Cost.FREE] == [
        *(UnaryKind.STOP_GRADIENT, BinaryKind.AND, BinaryKind.OR)
    ]
    assert {cost_of(kind) for kind in ELEMENTARY} == {Cost.ELEMENTARY}
    assert {cost_of(kind) for kind in (*CompareKind, None)} == {Cost.CHEAP}


def test_what_jumps_or_is_constant_has_no_gradient_and_nothing_else() -> None:
    for kind in UnaryKind:
        with np.errstate(all="ignore"):
            slopes = (kind.row.numpy(X + 1e-3) - kind.row.numpy(X + 0.5e-3)) / 0.5e-3
        assert (kind.row.adjoint is ZERO) == (not np.any(slopes[np.isfinite(slopes)]) or kind is UnaryKind.STOP_GRADIENT), kind
