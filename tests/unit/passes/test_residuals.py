"""What is kept for the backward pass: as few bytes as possible, and nothing that is cheap to have again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rnnspec.contract.dimensions import BATCH
from rnnspec.diagnostics import InternalError
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import CompareKind, Role, Value
from rnnspec.ir.traverse import results_of
from rnnspec.ir.types import DType, TensorType
from rnnspec.passes import residuals
from rnnspec.passes.residuals import Residuals, choose_residuals, size_of

ROW = TensorType(DType.F32, (BATCH, 4))


def size(value: Value) -> int | None:
    assert isinstance(value.type, TensorType)
    return size_of(value.type)


def choose(builder: Builder, needed: Sequence[Value], *parameters: Value) -> Residuals:
    return choose_residuals(parameters, builder.operations, needed, size)


def test_cheap_values_are_computed_again_from_what_is_kept() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    gate = builder.sigmoid(x)
    rest = builder.sub(builder.constant_like(1.0, gate), gate)
    chosen = choose(builder, [gate, rest], x)
    assert chosen.saved == (gate,)
    assert chosen.recomputed == builder.operations[1:]


def test_positions_are_computed_again() -> None:
    builder = Builder()
    places = builder.broadcast(builder.positions(4, DType.F32), (BATCH, 4))
    chosen = choose(builder, [places])
    assert chosen.saved == ()
    assert chosen.recomputed == builder.operations


def test_a_narrow_cheap_value_is_kept_rather_than_wide_ones() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    wide = builder.exp(builder.concat([x, x, x], 1))
    _, middle, _ = builder.split(wide, 3, 1)
    chosen = choose(builder, [middle], x)
    assert chosen == Residuals((middle,), ())


def test_of_equal_choices_the_one_that_repeats_least() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    y = builder.neg(builder.abs(builder.exp(x)))
    assert choose(builder, [y], x) == Residuals((y,), ())


def test_all_parts_are_had_from_the_whole() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    whole = builder.exp(x)
    parts = builder.split(whole, 2, 1)
    chosen = choose(builder, [whole, *parts], x)
    assert chosen.saved == (whole,)
    assert chosen.recomputed == builder.operations[1:]


def test_a_dropout_mask_is_drawn_again_and_never_kept() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    key = builder.parameter(Role.KEY, "key", TensorType(DType.I32, ()))
    drawn = builder.random(key, 0, ROW)
    kept = builder.compare(CompareKind.GE, drawn, builder.constant_like(0.5, drawn))
    assert choose(builder, [kept], x) == Residuals((), builder.operations)


def test_weights_are_free() -> None:
    builder = Builder()
    weight = builder.parameter(Role.WEIGHT, "weight", TensorType(DType.F32, (4,)))
    shown = builder.broadcast(weight, (BATCH, 4))
    assert choose(builder, [weight, shown]) == Residuals((), builder.operations)


def test_what_can_neither_be_kept_nor_computed_again_is_an_error() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    drawn = builder.compare(CompareKind.GE, x, x, "drawn")
    with pytest.raises(InternalError, match="neither be kept nor computed again: %x for %drawn"):
        choose_residuals([x], builder.operations, [drawn], lambda value: None)


def test_a_quotient_is_computed_again_from_what_is_kept_anyway() -> None:
    """A norm's: the backward pass reads the deviation too, and dividing it by a number for each row costs less than keeping both."""
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    deviation = builder.exp(x)
    scale = builder.exp(builder.reduce_sum(x, 1))
    quotient = builder.div(deviation, builder.broadcast(scale, ROW.shape))
    chosen = choose(builder, [deviation, quotient], x)
    assert chosen.saved == (deviation, scale)
    assert [result for operation in chosen.recomputed for result in results_of(operation)][-1] == quotient


def test_a_quotient_is_kept_where_its_sides_would_have_to_be() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", ROW)
    quotient = builder.div(builder.exp(x), builder.tanh(x))
    assert choose(builder, [quotient], x) == Residuals((quotient,), ())


def test_a_long_chain_is_cut_in_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each value of the chain something must be kept, so there are as many paths; one round finds all of one length."""
    builder = Builder()
    value = builder.parameter(Role.INPUT, "x", ROW)
    first, needed = value, list[Value]()
    for _ in range(100):
        value = builder.mul(builder.tanh(value), value)
        needed.append(value)
    rounds = 0
    levels = residuals._Network._levels

    def counted(network: residuals._Network) -> list[int]:
        nonlocal rounds
        rounds += 1
        return levels(network)

    monkeypatch.setattr(residuals._Network, "_levels", counted)
    found = choose_residuals([first], builder.operations, needed, lambda value: 1)
    assert found.saved
    assert rounds < 10
