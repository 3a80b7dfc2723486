"""Expressions of a cell's equations, typed: names resolved, widths checked, choices made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import pow as pow_of_floats
from typing import TypeAlias, assert_never

from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.diagnostics import nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import bind, choose
from rnnspec.frontend.binding.constants import binary, evaluate, item, truth, unary
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, LocatedValue, Report, Scope, Symbol, describe
from rnnspec.frontend.binding.values import CallValue as Calling
from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, REFUSALS
from rnnspec.frontend.cells.cell_ir import (
    ELEMENT_LIMIT,
    NUMBER,
    POSITION_LIMIT,
    Applied,
    Choice,
    Combined,
    Compared,
    Comparison,
    Condition,
    Elementwise,
    Joined,
    Literal,
    Negation,
    Pairwise,
    Positions,
    Product,
    Reduced,
    Row,
    Spread,
    Term,
    TermShape,
    Zeros,
)
from rnnspec.frontend.cells.function_advice import function_advice, part_of_row
from rnnspec.frontend.cells.functions import ELEMENTARY, PAIRS, REDUCTIONS
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

Operand: TypeAlias = Term | Condition | LocatedValue
"""Something computed in the step, or a value known when the spec is compiled."""

COMPARISONS = {kind.value: kind for kind in Comparison}


@dataclass(slots=True)
class EquationNames:
    """The names that equations can read.

    `values`: the terms, and the conditions, by spelling (`h'` for a state after the step), None if its equation is wrong.
    `targets`: of all equations.
    """

    scope: Scope
    values: dict[str, Term | Condition | None]
    states: set[str]
    targets: frozenset[str]
    read: set[str] = field(default_factory=set[str])

    def constants(self) -> Scope:
        """The scope where a constant is needed."""
        return replace(self.scope, computed=self.values.keys())

    def known(self) -> set[str]:
        """All readable names, for advice on unknown ones."""
        return {*self.values, *self.scope.parameters}


def term_of(expression: ast.Expression, names: EquationNames) -> Term:
    """The typed form of an expression that stands where a value of the step is needed; raises `CheckError`."""
    return as_term(operand_of(expression, names), expression.span)


def as_term(operand: Operand, span: Span) -> Term:
    """The term of an operand; a known number becomes a literal. `CheckError` for a comparison, and for a value that is no number."""
    if isinstance(operand, Compared | Combined):
        help_ = "`where(condition, 1, 0)` makes numbers of it"
        raise CheckError(errors.cells.UnfitOperand(span=span, place="an equation", expected="numbers", found="a condition", help=help_))
    if not isinstance(operand, LocatedValue):
        return operand
    value = operand.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckError(errors.cells.UnfitOperand(span=span, place="an equation", expected="numbers", found=describe(value)))
    return Literal(float(value))


def operand_of(expression: ast.Expression, names: EquationNames) -> Operand:
    """The typed form of an expression, or its value if that is known when the spec is compiled; raises `CheckError`."""
    span = expression.span
    match expression:
        case ast.Name():
            return _name(expression, names)
        case ast.Call():
            return _call(expression, names)
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
            return operand_of(on_true if _truth(condition, names) else on_false, names)
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


def constant_of(expression: ast.Expression, names: EquationNames) -> LocatedValue:
    """The value of an expression where a constant must stand, which the width of a value of the step is too; raises `CheckError`."""
    if not _asks_for_a_width(expression):
        return evaluate(expression, names.constants())
    operand = operand_of(expression, names)
    if not isinstance(operand, LocatedValue):
        raise CheckError(errors.names.NotAConstant(span=expression.span, found=f"`{expression.span.text}`"))
    return operand


def _asks_for_a_width(expression: ast.Expression) -> bool:
    """Whether `width` is called in an expression of numbers."""
    pending = [expression]
    while pending:
        match pending.pop():
            case ast.Call(callee=callee) if callee.text == "width":
                return True
            case ast.Unary(operand=operand):
                pending.append(operand)
            case ast.Binary(left=left, right=right):
                pending += [left, right]
            case ast.Conditional(on_true=on_true, condition=condition, on_false=on_false):
                pending += [on_true, condition, on_false]
            case _:
                pass
    return False


def _operands(expressions: Sequence[ast.Expression], names: EquationNames) -> list[Operand]:
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
        errors.names.UnknownName(span=name.span, name=spelling, expected="not known in this cell", help=nearest(spelling, names.known()))
    )


def _truth(condition: ast.Expression, names: EquationNames) -> bool:
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
        if _truth(expression.left, names) is decisive:
            return LocatedValue(decisive, span)
        right = operand_of(expression.right, names)
        return right if isinstance(right, Compared | Combined) else LocatedValue(_truth(expression.right, names), span)
    right = operand_of(expression.right, names)
    if isinstance(right, Compared | Combined):
        return Combined(not decisive, left, right, _common(expression.operator, left.shape, right.shape, span))
    return LocatedValue(decisive, span) if _truth(expression.right, names) is decisive else left


def _binary(expression: ast.Binary, names: EquationNames) -> Operand:
    sign, span = expression.operator, expression.span
    if sign in ("and", "or"):
        return _logical(expression, names)
    left, right = _operands([expression.left, expression.right], names)
    if isinstance(left, LocatedValue) and isinstance(right, LocatedValue):
        return binary(
            sign, LocatedValue(left.value, expression.left.span), LocatedValue(right.value, expression.right.span), span, names.scope
        )
    left_term, right_term = as_term(left, expression.left.span), as_term(right, expression.right.span)
    if sign == "@":
        return _product(left_term, right_term, expression)
    if sign in COMPARISONS:
        shape = _common(sign, left_term.shape, right_term.shape, span)
        return Compared(COMPARISONS[sign], left_term, right_term, shape)
    return pair(Elementwise(sign), left_term, right_term, span)


def pair(kind: Elementwise, left: Term, right: Term, span: Span) -> Term:
    """An elementwise operation; adding what stands for a missing weight leaves the other side as it is."""
    shape = _common(kind.value, left.shape, right.shape, span)
    if kind is Elementwise.ADD and isinstance(left, Zeros) and right.shape == shape:
        return right
    if kind in (Elementwise.ADD, Elementwise.SUB) and isinstance(right, Zeros) and left.shape == shape:
        return left
    return Pairwise(kind, left, right, shape)


def _of_two(kind: Elementwise, left: Operand, right: Operand, span: Span) -> Operand:
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


def _where(call: ast.Call, names: EquationNames) -> Operand:
    """One of two values, by a condition of every unit in every step; a condition that is known before chooses at once."""
    expressions = _positional(call, 3)
    condition, on_true, on_false = _operands(expressions, names)
    first, second = as_term(on_true, expressions[1].span), as_term(on_false, expressions[2].span)
    if isinstance(condition, LocatedValue):
        return on_true if _truth(expressions[0], names) else on_false
    if not isinstance(condition, Compared | Combined):
        place, help_ = "the first value of `where`", "a comparison is one, such as `v > 0`"
        found = str(condition.shape)
        raise CheckError(errors.cells.UnfitOperand(span=expressions[0].span, place=place, expected="a condition", found=found, help=help_))
    sides = _common("where", first.shape, second.shape, call.span)
    return Choice(condition, first, second, _common("where", condition.shape, sides, call.span))


def _common(operation: str, first: TermShape, second: TermShape, span: Span) -> TermShape:
    stepwise = first.stepwise or second.stepwise
    if NUMBER in (first, second) or first.dimensions == second.dimensions:
        return TermShape(first.dimensions or second.dimensions, stepwise)
    if len(first.dimensions) == len(second.dimensions) == 1 and 1 in (*first.dimensions, *second.dimensions):
        return TermShape((max(*first.dimensions, *second.dimensions),), stepwise)
    raise CheckError(errors.cells.UnequalWidths(span=span, operation=operation, left=str(first), right=str(second)))


def _product(left: Term, right: Term, expression: ast.Binary) -> Term:
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


def _row(value: ast.Expression, position: ast.Expression, names: EquationNames, span: Span) -> Operand:
    operand = operand_of(value, names)
    if isinstance(operand, LocatedValue):
        return item(LocatedValue(operand.value, value.span), constant_of(position, names), span, names.scope)
    operand = as_term(operand, value.span)
    place = constant_of(position, names).value
    if len(operand.shape.dimensions) != 2:
        width = operand.shape.dimensions[-1] if operand.shape.dimensions else 0
        help_ = part_of_row(place, value.span.text, width, names.known() | names.targets)
        raise CheckError(errors.cells.IndexMisuse(span=value.span, problem=f"this is {operand.shape}", help=help_))
    rows, columns = operand.shape.dimensions
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < rows:
        raise CheckError(errors.cells.IndexMisuse(span=position.span, problem=f"{describe(place)} is no row of {operand.shape}"))
    shape = TermShape((columns,), False)
    return Zeros(shape) if isinstance(operand, Zeros) else Row(operand, place, shape)


def _call(call: ast.Call, names: EquationNames) -> Operand:
    name = call.callee.text
    if name in names.scope.faulty:
        raise AlreadyReported
    if name in names.scope.parameters:
        given = names.scope.parameters[name]
        value = given.value
        if isinstance(value, Symbol | Calling | str):
            value = choose(Family.ACTIVATION, given, f"the parameter `{name}`", names.scope)
        if not isinstance(value, Config) or value.name not in ACTIVATIONS:
            raise CheckError(
                errors.cells.UnfitOperand(
                    span=call.callee.span, place=f"a call of `{name}`", expected="an activation", found=describe(value)
                )
            )
        (argument,) = _positional(call, 1)
        return _apply(value.name, value.arguments, term_of(argument, names), argument.span)
    if name in ACTIVATIONS and name not in PAIRS:
        return _activation(call, names)
    if name in ELEMENTARY:
        (argument,) = _positional(call, 1)
        return _apply(name, (), term_of(argument, names), argument.span)
    if name in PAIRS and len(call.arguments) == 2:
        first, second = _operands(_positional(call, 2), names)
        return _of_two(PAIRS[name], first, second, call.span)
    if name == "where":
        return _where(call, names)
    if name in REDUCTIONS:
        (argument,) = _positional(call, 1)
        return _reduce(call, argument, names)
    if name == "clip":
        value, low, high = _operands(_positional(call, 3), names)
        return _of_two(Elementwise.MIN, _of_two(Elementwise.MAX, value, low, call.span), high, call.span)
    if name == "concat":
        return _concat(call, names)
    if name == "positions":
        return _positions(call, names)
    if name == "width":
        return _width(call, names)
    if name == "split":
        raise CheckError(errors.cells.SplitTargets(span=call.span, problem="write `a, b = split(value, 2)`"))
    if (refusal := REFUSALS[Family.ACTIVATION].get(name)) is not None:
        raise CheckError(
            errors.names.ChoiceRefused(span=call.callee.span, family="activation", name=name, reason=refusal.reason, help=refusal.advice)
        )
    instead, every = function_advice(name, names.scope.parameters)
    raise CheckError(errors.cells.UnknownFunction(span=call.callee.span, name=name, instead=instead, help=every))


def _positional(call: ast.Call, count: int | None) -> list[ast.Expression]:
    for argument in call.arguments:
        if argument.name is not None:
            problem = "its arguments have no names"
            help_ = "a row has one axis, its units" if argument.name.text in ("axis", "dim", "keepdims") else ""
            raise CheckError(errors.cells.FunctionMisuse(span=argument.name.span, function=call.callee.text, problem=problem, help=help_))
    if count is not None and len(call.arguments) != count:
        problem = f"takes {count} {'value' if count == 1 else 'values'}, got {len(call.arguments)}"
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=call.callee.text, problem=problem))
    return [argument.value for argument in call.arguments]


def _activation(call: ast.Call, names: EquationNames) -> Term:
    """An activation on its first argument; the others are its options, constants."""
    entry = ACTIVATIONS[call.callee.text]
    if not call.arguments or call.arguments[0].name is not None:
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=call.callee.text, problem="its first argument is the value"))
    argument = call.arguments[0].value
    term = term_of(argument, names)
    report = Report()
    rest = ast.Call(call.span, call.callee, call.arguments[1:])
    bindings = bind(call.callee.text, entry.arguments, rest, names.constants(), report, family=Family.ACTIVATION.value)
    if bindings is None:
        raise report.fault()
    return _apply(entry.name, bindings.plain(), term, argument.span)


def _apply(function: str, options: tuple[tuple[str, ArgumentValue], ...], operand: Term, span: Span) -> Term:
    if operand.shape == NUMBER:
        raise CheckError(
            errors.cells.UnfitOperand(span=span, place=f"`{function}`", expected="a value of the step or a weight", found="a number")
        )
    return operand if function == "linear" else Applied(function, options, operand)


def _reduce(call: ast.Call, argument: ast.Expression, names: EquationNames) -> Term:
    operand = term_of(argument, names)
    if len(operand.shape.dimensions) != 1:
        place = f"`{call.callee.text}` of one value"
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place=place, expected="a row of units", found=str(operand.shape)))
    return Reduced(REDUCTIONS[call.callee.text], operand, TermShape((1,), operand.shape.stepwise))


def _positions(call: ast.Call, names: EquationNames) -> Term:
    """A row whose width is a constant."""
    (argument,) = _positional(call, 1)
    operand = operand_of(argument, names)
    if not isinstance(operand, LocatedValue):
        raise CheckError(errors.names.NotAConstant(span=argument.span, found=f"`{argument.span.text}`"))
    count = operand.value
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise CheckError(errors.cells.UnfitDimension(span=argument.span, found=describe(operand.value)))
    if count > POSITION_LIMIT:
        problem = f"takes 2^24 at most, as far as float32 counts by ones, got {count}"
        raise CheckError(errors.cells.FunctionMisuse(span=argument.span, function=call.callee.text, problem=problem))
    return Positions(TermShape((count,), False))


def _width(call: ast.Call, names: EquationNames) -> Operand:
    """The width of a row, a constant. The row itself isn't read: an equation or a weight that only its width is asked of is unused."""
    (argument,) = _positional(call, 1)
    read = frozenset(names.read)
    shape = term_of(argument, names).shape
    names.read.intersection_update(read)
    if len(shape.dimensions) != 1:
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place="`width`", expected="a row of units", found=str(shape)))
    return LocatedValue(shape.dimensions[0], call.span)


def _concat(call: ast.Call, names: EquationNames) -> Term:
    arguments = _positional(call, None)
    if not arguments:
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function="concat", problem="takes one value or more"))
    operands = _operands(arguments, names)
    parts = [as_term(operand, argument.span) for operand, argument in zip(operands, arguments, strict=True)]
    for part, argument in zip(parts, arguments, strict=True):
        if len(part.shape.dimensions) != 1:
            raise CheckError(
                errors.cells.UnfitOperand(span=argument.span, place="`concat`", expected="rows of units", found=str(part.shape))
            )
    width = sum(part.shape.dimensions[0] for part in parts)
    if width > ELEMENT_LIMIT:
        raise CheckError(errors.cells.TooLarge(span=call.span, what="this `concat`", shape=f"[{width}]"))
    return Joined(tuple(parts), TermShape((width,), any(part.shape.stepwise for part in parts)))


def fit(term: Term, width: int) -> Term | None:
    """The term as a row of the step of this width (numbers and width 1 repeat); None if it doesn't fit."""
    if term.shape == TermShape((width,), True):
        return term
    if len(term.shape.dimensions) > 1 or (term.shape.dimensions and term.shape.dimensions[0] not in (1, width)):
        return None
    return Spread(term, TermShape((width,), True))
