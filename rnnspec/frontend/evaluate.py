"""Constant expressions: arithmetic, comparison and choice over compile-time values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import assert_never

from rnnspec.frontend import ast
from rnnspec.frontend.errors.names import DivisionByZero, NotAConstant, NumberTooLarge, OperandMismatch
from rnnspec.frontend.values import Applied, Fault, Given, Scope, Symbol, Value, describe
from rnnspec.source import Span

INTEGER_LIMIT = 2**53
"""Integers are exact up to here, in every precision they are computed or stored in."""

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = MappingProxyType({"+": operator.add, "-": operator.sub, "*": operator.mul})
_ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


def evaluate(expression: ast.Expression, scope: Scope) -> Given:
    """The value of a compile-time expression; raises `Fault`."""
    span = expression.span
    match expression:
        case ast.Number(value=number):
            return Given(_in_range(number, span), span)
        case ast.Text(value=text):
            return Given(text, span)
        case ast.Boolean(value=flag):
            return Given(flag, span)
        case ast.Nothing():
            return Given(None, span)
        case ast.Name(text=name, primed=primed):
            if primed:
                raise Fault(NotAConstant(span=span, found=f"`{name}'`"))
            known = scope.parameters.get(name)
            return Given(Symbol(name) if known is None else known.value, span)
        case ast.List(items=items):
            return Given(tuple(evaluate(item, scope) for item in items), span)
        case ast.Call():
            return Given(Applied(expression, scope), span)
        case ast.Unary(operator=sign, operand=operand):
            return unary(sign, evaluate(operand, scope), span)
        case ast.Binary(operator="and" | "or" as word, left=left, right=right):
            first = truth(evaluate(left, scope))
            decided = first is (word == "or")
            return Given(first if decided else truth(evaluate(right, scope)), span)
        case ast.Binary(operator=sign, left=left, right=right):
            return binary(sign, evaluate(left, scope), evaluate(right, scope), span)
        case ast.Conditional(on_true=on_true, condition=condition, on_false=on_false):
            chosen = on_true if truth(evaluate(condition, scope)) else on_false
            return Given(evaluate(chosen, scope).value, span)
        case ast.Subscript():
            return _item(evaluate(expression.value, scope), evaluate(expression.position, scope), span)
        case _:
            assert_never(expression)


def truth(given: Given) -> bool:
    """A condition's value."""
    if not isinstance(given.value, bool):
        raise Fault(OperandMismatch(span=given.span, problem=f"a condition must be true or false, not {describe(given.value)}"))
    return given.value


def unary(sign: str, operand: Given, span: Span) -> Given:
    """`-operand` or `not operand`."""
    if sign == "not":
        return Given(not truth(operand), span)
    return Given(-_number(operand, "-"), span)


def binary(sign: str, left: Given, right: Given, span: Span) -> Given:
    """Arithmetic and comparison; a quotient of integers that divide is an integer."""
    if sign in ("==", "!="):
        return Given((_plain(left) == _plain(right)) is (sign == "=="), span)
    if sign == "@":
        raise Fault(OperandMismatch(span=span, problem="`@` multiplies a step's value with a weight, and neither is a constant"))
    first, second = _number(left, sign), _number(right, sign)
    if sign in _ORDER:
        return Given(_ORDER[sign](first, second), span)
    if sign != "/":
        return Given(_in_range(_ARITHMETIC[sign](first, second), span), span)
    if second == 0:
        raise Fault(DivisionByZero(span=right.span))
    exact = isinstance(first, int) and isinstance(second, int) and first % second == 0
    return Given(_in_range(first // second if exact else first / second, span), span)


def _number(given: Given, sign: str) -> int | float:
    if isinstance(given.value, bool) or not isinstance(given.value, int | float):
        problem = f"`{sign}` needs numbers, not {_kind(given.value)}"
        raise Fault(OperandMismatch(span=given.span, problem=problem))
    return given.value


def _plain(given: Given) -> int | float | bool | str | None:
    if given.value is None or isinstance(given.value, int | float | str):
        return given.value
    raise Fault(OperandMismatch(span=given.span, problem=f"{_kind(given.value)} can't be compared"))


def _kind(value: Value) -> str:
    return f"the name `{value.name}`" if isinstance(value, Symbol) else describe(value)


def _in_range(number: int | float, span: Span) -> int | float:
    if (isinstance(number, int) and abs(number) > INTEGER_LIMIT) or not math.isfinite(number):
        raise Fault(NumberTooLarge(span=span))
    return number


def _item(items: Given, position: Given, span: Span) -> Given:
    if not isinstance(items.value, tuple):
        raise Fault(OperandMismatch(span=items.span, problem=f"only a list has elements, {_kind(items.value)} has none"))
    place = position.value
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(items.value):
        problem = f"{describe(place)} is no place in a list of {len(items.value)}"
        raise Fault(OperandMismatch(span=position.span, problem=problem))
    return Given(items.value[place].value, span)
