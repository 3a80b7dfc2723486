"""Constant expressions: arithmetic, comparison and choice over compile-time values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import assert_never

from rnnspec.diagnostics import Diagnostic, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, LocatedValue, Scope, Symbol, describe
from rnnspec.frontend.catalogue.choices import names_a_member
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

INTEGER_LIMIT = 2**53
"""Integers are exact up to here, in every precision they are computed or stored in."""

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = MappingProxyType({"+": operator.add, "-": operator.sub, "*": operator.mul})
_ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


def evaluate(expression: ast.Expression, scope: Scope) -> LocatedValue:
    """The value of a compile-time expression; raises `CheckError`, or `AlreadyReported` where it depends on a faulty parameter."""
    span = expression.span
    match expression:
        case ast.Number(value=number):
            return LocatedValue(_in_range(number, span), span)
        case ast.Text(value=text):
            return LocatedValue(text, span)
        case ast.Boolean(value=flag):
            return LocatedValue(flag, span)
        case ast.Nothing():
            return LocatedValue(None, span)
        case ast.Name(text=name, primed=primed):
            if primed:
                raise CheckError(errors.names.NotAConstant(span=span, found=f"`{name}'`"))
            if name in scope.faulty:
                raise AlreadyReported
            if name in scope.computed:
                raise CheckError(errors.names.NotAConstant(span=span, found=f"`{name}`"))
            known = scope.parameters.get(name)
            return LocatedValue(Symbol(name) if known is None else known.value, span)
        case ast.List(items=items):
            return LocatedValue(tuple(evaluate(item, scope) for item in items), span)
        case ast.Call():
            return LocatedValue(CallValue(expression, scope), span)
        case ast.Unary(operator=sign, operand=operand):
            return unary(sign, evaluate(operand, scope), span, scope)
        case ast.Binary(operator="and" | "or" as word, left=left, right=right):
            first = truth(evaluate(left, scope), scope)
            decided = first is (word == "or")
            return LocatedValue(first if decided else truth(evaluate(right, scope), scope), span)
        case ast.Binary(operator=sign, left=left, right=right):
            return binary(sign, evaluate(left, scope), evaluate(right, scope), span, scope)
        case ast.Conditional(on_true=on_true, condition=condition, on_false=on_false):
            chosen = on_true if truth(evaluate(condition, scope), scope) else on_false
            return LocatedValue(evaluate(chosen, scope).value, span)
        case ast.Subscript():
            return item(evaluate(expression.value, scope), evaluate(expression.position, scope), span, scope)
        case _:
            assert_never(expression)


def truth(given: LocatedValue, scope: Scope) -> bool:
    """The value of a condition, true or false; raises `CheckError` for any other type."""
    if not isinstance(given.value, bool):
        raise _unfit(given, "a condition must be true or false", scope)
    return given.value


def choice(condition: ast.Expression, scope: Scope, equations: Collection[str]) -> bool:
    """The value of a condition that chooses between variants of a cell; names of `equations` and of the step can't be in it."""
    try:
        return truth(evaluate(condition, scope), scope)
    except CheckError as fault:
        raise CheckError(*(_step_condition(each, equations) for each in fault.diagnostics)) from None


def _step_condition(diagnostic: Diagnostic, equations: Collection[str]) -> Diagnostic:
    if not isinstance(diagnostic, errors.names.NotAConstant):
        return diagnostic
    name = diagnostic.found.strip("`")
    help_ = "an equation comes after the choice, even if it names a constant" if name in equations and not name.endswith("'") else ""
    return errors.cells.StepCondition(span=diagnostic.span, help=help_)


def unary(sign: str, operand: LocatedValue, span: Span, scope: Scope) -> LocatedValue:
    """`-operand` or `not operand`."""
    if sign == "not":
        return LocatedValue(not truth(operand, scope), span)
    return LocatedValue(-_number(operand, "-", scope), span)


def binary(sign: str, left: LocatedValue, right: LocatedValue, span: Span, scope: Scope) -> LocatedValue:
    """Arithmetic and comparison; a quotient of integers that divide is an integer."""
    if sign in ("==", "!="):
        if None in (left.value, right.value):
            return LocatedValue((left.value is right.value) is (sign == "=="), span)
        return LocatedValue((_plain(left, sign, scope) == _plain(right, sign, scope)) is (sign == "=="), span)
    if sign == "@":
        raise CheckError(
            errors.names.OperandMismatch(span=span, problem="`@` multiplies a step's value with a weight, and neither is a constant")
        )
    first, second = _number(left, sign, scope), _number(right, sign, scope)
    if sign in _ORDER:
        return LocatedValue(_ORDER[sign](first, second), span)
    if sign != "/":
        return LocatedValue(_in_range(_ARITHMETIC[sign](first, second), span), span)
    if second == 0:
        raise CheckError(errors.names.DivisionByZero(span=right.span))
    exact = isinstance(first, int) and isinstance(second, int) and first % second == 0
    return LocatedValue(_in_range(first // second if exact else first / second, span), span)


def _number(given: LocatedValue, sign: str, scope: Scope) -> int | float:
    if isinstance(given.value, bool) or not isinstance(given.value, int | float):
        raise _unfit(given, f"`{sign}` needs numbers", scope)
    return given.value


def _plain(given: LocatedValue, sign: str, scope: Scope) -> int | float | bool | str | tuple[object, ...] | None:
    if given.value is None or isinstance(given.value, int | float | str):
        return given.value
    if isinstance(given.value, tuple):
        return tuple(_plain(item, sign, scope) for item in given.value)
    raise _unfit(given, f"`{sign}` compares numbers, texts, true, false, none and lists of them", scope)


def _unfit(given: LocatedValue, needed: str, scope: Scope) -> CheckError:
    """A value that can't stand where it stands; a bare name there is one that nothing has."""
    if isinstance(given.value, Symbol) and given.value.name in scope.values:
        return CheckError(errors.flows.ValueAsConstant(span=given.span, name=given.value.name, owner="what is computed here"))
    if isinstance(given.value, Symbol) and not names_a_member(given.value.name):
        name = given.value.name
        return CheckError(errors.names.UnknownName(span=given.span, name=name, expected=needed, help=nearest(name, scope.parameters)))
    return CheckError(errors.names.OperandMismatch(span=given.span, problem=f"{needed}, not {describe(given.value)}"))


def _in_range(number: int | float, span: Span) -> int | float:
    if (isinstance(number, int) and abs(number) > INTEGER_LIMIT) or not math.isfinite(number):
        raise CheckError(errors.names.NumberTooLarge(span=span))
    return number


def item(items: LocatedValue, position: LocatedValue, span: Span, scope: Scope) -> LocatedValue:
    """The element `items[position]` of a list; raises `CheckError` for any other type and outside of the list."""
    if not isinstance(items.value, tuple):
        raise _unfit(items, "only a list has elements", scope)
    place = position.value
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(items.value):
        if isinstance(place, Symbol):
            raise _unfit(position, "a place in a list is a number", scope)
        problem = f"{describe(place)} is no place in a list of {len(items.value)}, whose first place is 0"
        raise CheckError(errors.names.OperandMismatch(span=position.span, problem=problem))
    return LocatedValue(items.value[place].value, span)
