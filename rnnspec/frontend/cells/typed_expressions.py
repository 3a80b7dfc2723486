"""Expressions of a cell's equations, typed: names resolved, widths checked, choices made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rnnspec.diagnostics import nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.constants import binary, evaluate, item, truth, unary
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, LocatedValue, Report, describe
from rnnspec.frontend.cells.cell_ir import (
    Combined,
    Compared,
    Comparison,
    Elementwise,
    Negation,
    Row,
    Term,
    TermShape,
    Zeros,
)
from rnnspec.frontend.cells.equation_names import EquationNames
from rnnspec.frontend.cells.function_advice import unit_of_row
from rnnspec.frontend.cells.typed_terms import Operand, as_term, common, pair, product
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

COMPARISONS = {kind.value: kind for kind in Comparison}


def term_of(expression: ast.Expression, names: EquationNames) -> Term:
    """The typed form of an expression that stands where a value of the step is needed; raises `CheckError`."""
    return as_term(operand_of(expression, names), expression.span)


def operand_of(expression: ast.Expression, names: EquationNames) -> Operand:
    """The typed form of an expression, or its value if that is known when the spec is compiled; raises `CheckError`."""
    span = expression.span
    match expression:
        case ast.Name():
            return _name(expression, names)
        case ast.Call():
            return names.caller(expression, names)
        case ast.Unary(operator=sign, operand=inner):
            operand = operand_of(inner, names)
            if isinstance(operand, LocatedValue):
                return unary(sign, operand, span, names.scope)
            if sign == "not":
                help_ = "`where(condition, a, b)` with `a` and `b` exchanged chooses the other way round"
                raise CheckError(errors.cells.StepCondition(span=inner.span, help=help_))
            return Negation(as_term(operand, inner.span))
        case ast.Binary():
            return _binary(expression, names)
        case ast.Conditional(on_true=on_true, condition=condition, on_false=on_false):
            return operand_of(on_true if truth_of(condition, names) else on_false, names)
        case ast.Subscript(value=value, position=position):
            return _row(value, position, names, span)
        case ast.List(items=items) if any(isinstance(item, ast.Name) and item.spelling in names.values for item in items):
            help_ = "`concat(a, b)` puts rows one behind the other"
            raise CheckError(
                errors.cells.UnfitOperand(span=span, place="an equation", expected="values of the step", found="a list", help=help_)
            )
        case ast.Number() | ast.Text() | ast.Boolean() | ast.Nothing() | ast.List():
            return evaluate(expression, names.constants())
        case _:
            assert_never(expression)


def operands_of(expressions: Sequence[ast.Expression], names: EquationNames) -> list[Operand]:
    """Of each expression, with what is wrong in all of them raised at once."""
    report = Report()
    found: list[Operand] = []
    for expression in expressions:
        with report.catching():
            found.append(operand_of(expression, names))
    if report.count:
        raise report.fault()
    return found


def _name(name: ast.Name, names: EquationNames) -> Operand:
    spelling = name.spelling
    if spelling in names.values:
        names.read.add(spelling)
        value = names.values[spelling]
        if value is None:
            raise AlreadyReported
        return value
    if name.primed:
        if name.text in names.states:
            raise CheckError(errors.cells.ReadBeforeUpdate(span=name.span, state=name.text))
        raise CheckError(errors.cells.NotAState(span=name.span, name=name.text, help=nearest(name.text, names.states)))
    if spelling in names.scope.faulty:
        raise AlreadyReported
    if spelling in names.scope.parameters:
        return names.scope.parameters[spelling]
    if spelling in names.targets:
        raise CheckError(errors.names.UnknownName(span=name.span, name=spelling, expected="its equation comes later"))
    raise CheckError(
        errors.names.UnknownName(
            span=name.span, name=spelling, expected=f"not known in {names.owner}", help=nearest(spelling, names.known())
        )
    )


def truth_of(condition: ast.Expression, names: EquationNames) -> bool:
    """The value of a condition that is known when the spec is compiled; raises `CheckError` for another one."""
    operand = operand_of(condition, names)
    if isinstance(operand, LocatedValue):
        return truth(LocatedValue(operand.value, condition.span), names.scope)
    help_ = "`where(condition, a, b)` chooses in every step" if isinstance(operand, Compared | Combined) else ""
    raise CheckError(errors.cells.StepCondition(span=condition.span, help=help_))


def _logical(expression: ast.Binary, names: EquationNames) -> Operand:
    """`and` and `or`: of what is known when the spec is compiled, and of conditions of the step."""
    decisive, span = expression.operator == "or", expression.span
    left = operand_of(expression.left, names)
    if not isinstance(left, Compared | Combined):
        if truth_of(expression.left, names) is decisive:
            return LocatedValue(decisive, span)
        right = operand_of(expression.right, names)
        return right if isinstance(right, Compared | Combined) else LocatedValue(truth_of(expression.right, names), span)
    right = operand_of(expression.right, names)
    if isinstance(right, Compared | Combined):
        comparisons = sum(side.comparisons if isinstance(side, Combined) else 1 for side in (left, right))
        return Combined(not decisive, left, right, common(expression.operator, left.shape, right.shape, span), comparisons)
    return LocatedValue(decisive, span) if truth_of(expression.right, names) is decisive else left


def _binary(expression: ast.Binary, names: EquationNames) -> Operand:
    sign, span = expression.operator, expression.span
    if sign in ("and", "or"):
        return _logical(expression, names)
    left, right = operands_of([expression.left, expression.right], names)
    if isinstance(left, LocatedValue) and isinstance(right, LocatedValue) and not _is_of_rows(left, right):
        return binary(
            sign, LocatedValue(left.value, expression.left.span), LocatedValue(right.value, expression.right.span), span, names.scope
        )
    left_term, right_term = as_term(left, expression.left.span), as_term(right, expression.right.span)
    if sign == "@":
        return product(left_term, right_term, expression)
    if sign in COMPARISONS:
        shape = common(sign, left_term.shape, right_term.shape, span)
        return Compared(COMPARISONS[sign], left_term, right_term, shape)
    return pair(Elementwise(sign), left_term, right_term, span)


def _is_of_rows(left: LocatedValue, right: LocatedValue) -> bool:
    """Whether two known values are computed with as rows: a list is one, and only `none` is compared with it as it is."""
    return any(isinstance(side.value, tuple) for side in (left, right)) and None not in (left.value, right.value)


def _row(value: ast.Expression, position: ast.Expression, names: EquationNames, span: Span) -> Operand:
    """A row of a matrix, the unit of a row, the element of a list; a number is a list of one."""
    operand, place = operand_of(value, names), constant_of(position, names)
    if isinstance(operand, LocatedValue):
        if isinstance(operand.value, int | float) and not isinstance(operand.value, bool) and place.value == 0:
            return operand
        return item(LocatedValue(operand.value, value.span), place, span, names.scope)
    operand, place = as_term(operand, value.span), place.value
    if not operand.shape.dimensions:
        raise CheckError(errors.cells.IndexMisuse(span=value.span, problem=f"this is {operand.shape}"))
    count, matrix = operand.shape.dimensions[0], len(operand.shape.dimensions) == 2
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count:
        help_ = "" if matrix else unit_of_row(place, value.span.text, count)
        problem = f"{describe(place)} is no {'row' if matrix else 'unit'} of {operand.shape}"
        raise CheckError(errors.cells.IndexMisuse(span=position.span, problem=problem, help=help_))
    shape = TermShape(operand.shape.dimensions[1:] or (1,), operand.shape.stepwise)
    return Zeros(shape) if isinstance(operand, Zeros) else Row(operand, place, shape)


def constant_of(position: ast.Expression, names: EquationNames) -> LocatedValue:
    """The value of an expression where a constant must stand; a whole number of any sort is an integer."""
    if isinstance(position, ast.Name) and position.spelling in names.values:
        return evaluate(position, names.constants())
    operand = operand_of(position, names)
    if not isinstance(operand, LocatedValue):
        raise CheckError(errors.names.NotAConstant(span=position.span, found=f"`{position.span.text}`"))
    whole = isinstance(operand.value, float) and operand.value.is_integer()
    return LocatedValue(int(operand.value) if whole and isinstance(operand.value, float) else operand.value, position.span)
