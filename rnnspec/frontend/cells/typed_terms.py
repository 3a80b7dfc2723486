"""Operations on typed terms: widths checked, constants folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from math import pow as pow_of_floats
from types import MappingProxyType
from typing import TypeAlias

from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import CheckError, LocatedValue, describe
from rnnspec.frontend.cells.cell_ir import (
    NUMBER,
    Applied,
    Combined,
    Compared,
    Condition,
    Elementwise,
    Joined,
    Literal,
    Pairwise,
    Product,
    Spread,
    Term,
    TermShape,
    Zeros,
)
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

Operand: TypeAlias = Term | Condition | LocatedValue
"""Something computed in the step, or a value known when the spec is compiled."""


def as_term(operand: Operand, span: Span) -> Term:
    """The term of an operand; a known number becomes a literal. `CheckError` for a comparison, and for a value that is no number."""
    if isinstance(operand, Compared | Combined):
        help_ = "`where(condition, 1, 0)` makes numbers of it"
        raise CheckError(errors.cells.UnfitOperand(span=span, place="an equation", expected="numbers", found="a condition", help=help_))
    if not isinstance(operand, LocatedValue):
        return operand
    value = operand.value
    if isinstance(value, tuple) and value and all(isinstance(item.value, int | float) for item in value):
        return Joined(tuple(Spread(as_term(item, span), TermShape((1,), False)) for item in value), TermShape((len(value),), False))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckError(errors.cells.UnfitOperand(span=span, place="an equation", expected="numbers", found=describe(value)))
    return Literal(float(value))


def pair(kind: Elementwise, left: Term, right: Term, span: Span) -> Term:
    """An elementwise operation; adding what stands for a missing weight leaves the other side as it is."""
    shape = common(kind.value, left.shape, right.shape, span)
    if kind is Elementwise.ADD and isinstance(left, Zeros) and right.shape == shape:
        return right
    if kind in (Elementwise.ADD, Elementwise.SUB) and isinstance(right, Zeros) and left.shape == shape:
        return left
    return Pairwise(kind, left, right, shape)


def of_two(kind: Elementwise, left: Operand, right: Operand, span: Span) -> Operand:
    """A function of two values, elementwise; a constant if both are."""
    first, second = as_term(left, span), as_term(right, span)
    if isinstance(first, Literal) and isinstance(second, Literal):
        return LocatedValue(_constant(kind, first.value, second.value, span), span)
    return pair(kind, first, second, span)


def _constant(kind: Elementwise, first: float, second: float, span: Span) -> float:
    if kind is not Elementwise.POW:
        return max(first, second) if kind is Elementwise.MAX else min(first, second)
    try:
        return pow_of_floats(first, second)
    except (ValueError, OverflowError):
        raise CheckError(
            errors.cells.UnfitOperand(span=span, place="`pow` of numbers", expected="a power that is a number", found="none")
        ) from None


def common(operation: str, first: TermShape, second: TermShape, span: Span) -> TermShape:
    """The shape of an elementwise operation on two shapes; `CheckError` where they don't fit."""
    stepwise = first.stepwise or second.stepwise
    if NUMBER in (first, second) or first.dimensions == second.dimensions:
        return TermShape(first.dimensions or second.dimensions, stepwise)
    if len(first.dimensions) == len(second.dimensions) == 1 and 1 in (*first.dimensions, *second.dimensions):
        return TermShape((max(*first.dimensions, *second.dimensions),), stepwise)
    raise CheckError(errors.cells.UnequalWidths(span=span, operation=operation, left=str(first), right=str(second)))


def product(left: Term, right: Term, expression: ast.Binary) -> Term:
    """A row times a matrix; `CheckError` for other operands."""
    if len(right.shape.dimensions) != 2:
        found = "a value of the step" if right.shape.stepwise else "no matrix" if right.shape.dimensions else "a number"
        raise CheckError(errors.cells.MatmulOperands(span=expression.right.span, problem=f"the right side is {found}"))
    if not left.shape.stepwise:
        found = "a number" if left.shape == NUMBER else "a weight"
        raise CheckError(errors.cells.MatmulOperands(span=expression.left.span, problem=f"the left side is {found}"))
    width, (rows, columns) = left.shape.dimensions[0], right.shape.dimensions
    if width != rows:
        raise CheckError(errors.cells.MatmulWidths(span=expression.span, width=width, weight=str(right.shape)))
    shape = TermShape((columns,), True)
    return Zeros(shape) if isinstance(right, Zeros) else Product(left, right, shape)


_OF_NUMBERS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        **dict.fromkeys(("stop_gradient",), float),
        "abs": abs,
        "round": lambda value: float(round(value)),
        "sigmoid": lambda value: 1 / (1 + math.exp(-value)),
        **{name: getattr(math, name) for name in ("cos", "erf", "exp", "expm1", "floor", "log", "log1p", "sin", "sqrt", "tanh")},
    }
)


def applied(function: str, operand: Term, span: Span) -> Operand:
    """A function of the language on a value, elementwise; on a number it is a number."""
    if isinstance(operand, Literal):
        try:
            return LocatedValue(float(_OF_NUMBERS[function](operand.value)), span)
        except (ValueError, OverflowError):
            place, found = f"`{function}` of a number", f"{operand.value:g}"
            raise CheckError(
                errors.cells.UnfitOperand(span=span, place=place, expected="one that it has a value for", found=found)
            ) from None
    if operand.shape == NUMBER:
        raise CheckError(
            errors.cells.UnfitOperand(span=span, place=f"`{function}`", expected="a value of the step or a weight", found="a number")
        )
    return Applied(function, operand)


def fit(term: Term, width: int) -> Term | None:
    """The term as a row of the step of this width (numbers and width 1 repeat); None if it doesn't fit."""
    if term.shape == TermShape((width,), True):
        return term
    if len(term.shape.dimensions) > 1 or (term.shape.dimensions and term.shape.dimensions[0] not in (1, width)):
        return None
    return Spread(term, TermShape((width,), True))
