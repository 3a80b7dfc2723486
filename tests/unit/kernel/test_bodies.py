"""What of a body is computed once a row, and how many registers it takes."""

from __future__ import annotations

import pytest

from rnnspec.ir.ops import BinaryKind, UnaryKind
from rnnspec.kernel.cpu.register_pressure import COEFFICIENTS, registers_of
from rnnspec.kernel.nodes import Access, Draw, Load, Map, Position, RowMap, Splat, Statement, Store
from rnnspec.kernel.uniform_values import same_for_all_units

BUFFER = Access("b", RowMap.ROW)
COLUMN = Access("b", RowMap.ROW, splat=True)

A, B, C = (Load(name, BUFFER) for name in "abc")
MEAN = Load("mean", COLUMN)
ONE = Splat("one", 1.0)


def of_two(name: str, left: str, right: str) -> Map:
    return Map(name, BinaryKind.ADD, (left, right))


def test_what_comes_from_a_row_s_numbers_and_constants_is_the_same_for_all_units() -> None:
    root, mixed = Map("root", UnaryKind.SQRT, ("sum",)), of_two("mixed", "root", "a")
    drawn, row_s = Draw("d", "key", 0, 4, 0, splat=False), Draw("e", "key", 1, 1, 0, splat=True)
    place = Position("place", 0)
    body = (A, MEAN, ONE, place, drawn, row_s, of_two("sum", "mean", "one"), root, mixed, Store(BUFFER, "root"), Store(BUFFER, "mixed"))
    same, rest = same_for_all_units(body)
    assert same == [MEAN, ONE, row_s, of_two("sum", "mean", "one"), root]
    assert rest == [A, place, drawn, mixed, Store(BUFFER, "root"), Store(BUFFER, "mixed")]


BODIES: dict[str, tuple[tuple[Statement, ...], tuple[int, int]]] = {
    "a copy": ((A, Store(BUFFER, "a")), (1, 0)),
    "all that is loaded waits": ((A, B, C, of_two("d", "a", "b"), of_two("e", "d", "c"), Store(BUFFER, "e")), (3, 0)),
    "what is read for the last time makes place": ((A, of_two("d", "a", "a"), of_two("e", "d", "d"), Store(BUFFER, "e")), (1, 0)),
    "what is read again doesn't": ((A, of_two("d", "a", "a"), of_two("e", "d", "a"), Store(BUFFER, "e")), (2, 0)),
    "a row's numbers are shared": ((A, MEAN, ONE, of_two("d", "a", "mean"), of_two("e", "d", "one"), Store(BUFFER, "e")), (1, 2)),
    "those that only other ones read aren't kept": (
        (A, MEAN, ONE, of_two("sum", "mean", "one"), of_two("d", "a", "sum"), Store(BUFFER, "d")),
        (1, 1),
    ),
    "functions have coefficients": ((A, Map("d", UnaryKind.TANH, ("a",)), Store(BUFFER, "d")), (1, COEFFICIENTS)),
    "a root is an instruction": ((A, Map("d", UnaryKind.SQRT, ("a",)), Store(BUFFER, "d")), (1, 0)),
    "a row's own function is computed before": (
        (A, MEAN, Map("d", UnaryKind.EXP, ("mean",)), of_two("e", "a", "d"), Store(BUFFER, "e")),
        (1, 1),
    ),
    "positions are made like what is loaded": ((A, Position("p", 0), of_two("d", "a", "p"), Store(BUFFER, "d")), (2, 0)),
    "a constant alone": ((ONE, Store(BUFFER, "one")), (1, 1)),
}


@pytest.mark.parametrize("name", BODIES)
def test_registers(name: str) -> None:
    body, expected = BODIES[name]
    assert registers_of(body) == expected
