"""Picks: sums over a row of which at most one element is flagged, sum(where(positions == class, x, 0)).

A class that is none of the positions picks nothing, and the sum is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Broadcast, Compare, CompareKind, Constant, Operation, Positions, Reduce, ReduceKind, Select, Value
from rnnspec.ir.types import DType

Definitions: TypeAlias = Mapping[Value, Operation]


@frozen
class Pick:
    """A pick from `row`, an element of which is flagged: that at the place `number`, one for each row of the tensor.

    `number`: a constant or a broadcast, as wide as the row. `zeros`: what stands for the other elements.
    """

    flags: Value
    row: Value
    number: Value
    zeros: Value


def pick_of(total: Operation, defined: Definitions) -> Pick | None:
    """The pick that an operation is the last one of, if it is one."""
    if not isinstance(total, Reduce) or total.kind is not ReduceKind.SUM:
        return None
    match defined.get(total.operand):
        case Select(chosen, flags, row, zeros) if total.axis == len(Builder.tensor(chosen).shape) - 1:
            number = _place(flags, defined)
            return None if number is None or number_of(zeros, defined) != 0.0 else Pick(flags, row, number, zeros)
        case _:
            return None


def number_of(value: Value, defined: Definitions) -> float | None:
    """The number that a constant is in its own element type; None of any other value."""
    match defined.get(value):
        case Constant(result, number):
            return float(np.float32(number)) if Builder.tensor(result).dtype is DType.F32 else number
        case _:
            return None


def are_positions(value: Value, defined: Definitions) -> bool:
    """Whether it is each unit's own place; of more units than one, of which a single position could stand for all."""
    match defined.get(value):
        case Broadcast(_, operand):
            same_width = Builder.tensor(operand).shape[-1:] == Builder.tensor(value).shape[-1:]
            return same_width and isinstance(defined.get(operand), Positions)
        case Positions():
            return True
        case _:
            return False


def is_of_rows(value: Value, defined: Definitions) -> bool:
    """Whether it is one number for all units of a row."""
    match defined.get(value):
        case Constant():
            return True
        case Broadcast(_, operand):
            return Builder.tensor(operand).shape[-1:] in ((), (1,))
        case _:
            return False


def _place(flags: Value, defined: Definitions) -> Value | None:
    """The number of the unit that is flagged, if it is at most one of a row: the one at a place that the row has."""
    match defined.get(flags):
        case Compare(_, CompareKind.EQ, left, right):
            for places, number in ((left, right), (right, left)):
                if are_positions(places, defined) and is_of_rows(number, defined):
                    return number
            return None
        case _:
            return None
