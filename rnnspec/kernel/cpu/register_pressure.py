"""Register pressure: the vector registers that a nest's body needs, known before it is emitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rnnspec.ir.elementwise import Cost, cost_of
from rnnspec.kernel.nodes import Contract, Draw, Load, Map, Position, Prefetch, Splat, Statement, Store
from rnnspec.kernel.uniform_values import same_for_all_units

COEFFICIENTS = 16
"""Registers that the coefficients of a body's elementary functions stay in, about."""


def registers_of(body: Sequence[Statement]) -> tuple[int, int]:
    """The registers of a body without contractions: those needed for each vector of units, and those shared by a row's vectors."""
    same, rest = same_for_all_units(body)
    read = {operand for statement in rest for operand in _operands(statement)}
    shared = len(read.intersection(_name(statement) for statement in same))
    calls = any(isinstance(statement, Map) and cost_of(statement.kind) is Cost.ELEMENTARY for statement in rest)
    return _most_alive(rest), shared + (COEFFICIENTS if calls else 0)


def _most_alive(body: Sequence[Statement]) -> int:
    """How many of the values that a body makes wait for their last use at once at most, statement by statement: all it loads first."""
    last = {operand: place for place, statement in enumerate(body) for operand in _operands(statement)}
    alive: set[str] = set()
    most = 1
    for place, statement in enumerate(body):
        alive.difference_update(operand for operand in _operands(statement) if last[operand] == place)
        alive |= {_name(statement)} & last.keys()
        most = max(most, len(alive))
    return most


def _name(statement: Statement) -> str:
    """Of the value that a statement makes; of none for a store."""
    return statement.name if isinstance(statement, Load | Splat | Position | Map | Draw) else ""


def _operands(statement: Statement) -> tuple[str, ...]:
    match statement:
        case Map(operands=operands):
            return operands
        case Store(value=value):
            return (value,)
        case Load() | Splat() | Position() | Draw() | Contract() | Prefetch():
            return ()
        case _:
            assert_never(statement)
