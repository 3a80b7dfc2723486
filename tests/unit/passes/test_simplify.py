"""What elementwise operations become: every pair of kinds keeps its meaning, and each law of a row is used."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import BinaryKind, Law, UnaryKind
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Module, Result, Role, Value
from rnnspec.ir.types import BATCH, DType, TensorType
from rnnspec.passes.canonicalize import Canonicalize
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode

ROW = TensorType(DType.F64, (BATCH, 4))
OF_FLOATS = [kind for kind in BinaryKind if not kind.row.on_flags]
X = np.random.default_rng(2).uniform(0.2, 2.0, (3, 4))
Y = np.random.default_rng(3).uniform(-2.0, 2.0, (3, 4))
CONSTANTS = (-1.0, 0.0, 0.5, 1.0)


def simplified(make: Callable[[Builder, Value, Value], Value]) -> tuple[Function, Function]:
    builder = Builder()
    x, y = (builder.parameter(Role.INPUT, name, ROW) for name in ("x", "y"))
    module = Module("M", (builder.function("forward", [Result(Role.OUTPUT, "out", make(builder, x, y))]),))
    after = EliminateDeadCode().run(Canonicalize().run(module))
    return module.functions[0], after.functions[0]


def kept(make: Callable[[Builder, Value, Value], Value]) -> list[str]:
    """The kinds that are left; raises AssertionError if the meaning changed."""
    before, after = simplified(make)
    results = [np.asarray(interpret(function, {"x": X, "y": Y})[Role.OUTPUT, "out"]) for function in (before, after)]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-15)
    return [operation.kind.value for operation in after.operations if hasattr(operation, "kind")]


@pytest.mark.parametrize("kind", UnaryKind)
def test_one_operand_of_one_operand(kind: UnaryKind) -> None:
    for first in UnaryKind:
        left = kept(lambda b, x, y, first=first: b.unary(kind, b.unary(first, y)))
        if first is kind and Law.INVOLUTION in kind.row.laws:
            assert left == []
        elif (first is kind and Law.IDEMPOTENT in kind.row.laws) or (first is UnaryKind.NEG and Law.EVEN in kind.row.laws):
            assert left == [kind.value]
        else:
            assert left == [first.value, kind.value]


@pytest.mark.parametrize("kind", OF_FLOATS)
def test_two_operands_of_negations(kind: BinaryKind) -> None:
    for on_left, on_right in itertools.product([False, True], repeat=2):

        def made(b: Builder, x: Value, y: Value, on_left: bool = on_left, on_right: bool = on_right) -> Value:
            return b.binary(kind, b.neg(x) if on_left else x, b.neg(y) if on_right else y)

        left = kept(made)
        if kind is BinaryKind.ADD and (on_left or on_right):
            assert left[-1] == "sub" and len(left) == 1 + (on_left and on_right)
        if kind is BinaryKind.SUB and on_right:
            assert left[-1] == "add" or left[-1] == "sub"


@pytest.mark.parametrize("kind", OF_FLOATS)
def test_two_operands_with_a_constant(kind: BinaryKind) -> None:
    row = kind.row
    for value, on_left in itertools.product(CONSTANTS, [False, True]):

        def made(b: Builder, x: Value, y: Value, value: float = value, on_left: bool = on_left) -> Value:
            constant = b.constant_like(value, x)
            return b.binary(kind, constant, x) if on_left else b.binary(kind, x, constant)

        left = kept(made)
        if value == (row.left_identity if on_left else row.right_identity):
            assert left == []
        elif value == row.negating:
            assert left == ["neg"]
        else:
            assert left == [kind.value]


@pytest.mark.parametrize("kind", OF_FLOATS)
def test_two_operands_that_are_one_or_constants(kind: BinaryKind) -> None:
    assert kept(lambda b, x, y: b.binary(kind, x, x)) == ([] if Law.IDEMPOTENT in kind.row.laws else [kind.value])
    assert kept(lambda b, x, y: b.add(x, b.binary(kind, b.constant_like(0.5, x), b.constant_like(2.0, x)))) == ["add"]


@pytest.mark.parametrize("kind", [BinaryKind.AND, BinaryKind.OR])
@pytest.mark.parametrize("on_left", [False, True])
def test_a_flag_that_decides_leaves_no_other(kind: BinaryKind, on_left: bool) -> None:
    """A constant i1 is in no register: what reads it is gone."""

    def made(b: Builder, x: Value, y: Value) -> Value:
        ones, zeros = b.constant_like(1.0, x), b.constant_like(0.0, x)
        known = b.less(ones, zeros) if kind is BinaryKind.AND else b.less(zeros, ones)
        unknown = b.less(x, zeros)
        flags = b.binary(kind, known, unknown) if on_left else b.binary(kind, unknown, known)
        return b.select(flags, x, b.neg(x))

    assert kept(made) == (["neg"] if kind is BinaryKind.AND else [])


def test_the_only_position_is_zero() -> None:
    def made(width: int) -> list[str]:
        return kept(lambda b, x, y: b.max(x, b.broadcast_like(b.neg(b.positions(width, DType.F64)), x)))

    assert made(1) == ["max"]
    assert made(4) == ["neg", "max"]


@pytest.mark.parametrize("kind", UnaryKind)
def test_constants_are_folded(kind: UnaryKind) -> None:
    assert kept(lambda b, x, y: b.max(x, b.unary(kind, b.constant_like(0.3, x)))) == ["max"]
