"""Which values of a nest's body are one number for all units of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rnnspec.kernel.nodes import Contract, Draw, Load, Map, Position, Prefetch, Splat, Statement, Store


def same_for_all_units(body: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """The statements whose value is one number for all units of a row, and all others, both in their order."""
    same: list[Statement] = []
    rest: list[Statement] = []
    names: set[str] = set()
    for statement in body:
        match statement:
            case Splat(name=name):
                found = {name}
            case Load(name=name, access=access):
                found = {name} if access.splat else set[str]()
            case Draw(name=name, splat=splat):
                found = {name} if splat else set[str]()
            case Map(name=name, operands=operands):
                found = {name} if names.issuperset(operands) else set[str]()
            case Position() | Contract() | Store() | Prefetch():
                found = set[str]()
            case _:
                assert_never(statement)
        names |= found
        (same if found else rest).append(statement)
    return same, rest
