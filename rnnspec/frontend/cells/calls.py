"""Calls in equations: of the language's own functions, and of functions that are text, which are put in where they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType
from typing import assert_never

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import Diagnostic, Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import bind, checked, choose, declared_equations, located
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.declared_kinds import declared_argument
from rnnspec.frontend.binding.equation_arguments import equation_arguments
from rnnspec.frontend.binding.late_bounds import check_late_bounds
from rnnspec.frontend.binding.values import NOTHING_OWN, AlreadyReported, CheckError, LocatedValue, Report, Scope, Symbol, describe
from rnnspec.frontend.binding.values import CallValue as Calling
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, ChoiceOf, Family
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, REFUSALS
from rnnspec.frontend.cells.cell_ir import (
    ELEMENT_LIMIT,
    POSITION_LIMIT,
    Assignment,
    Choice,
    Combined,
    Compared,
    Elementwise,
    Joined,
    Literal,
    Positions,
    Reduced,
    Spread,
    Term,
    TermShape,
    Variable,
)
from rnnspec.frontend.cells.declared_names import every_statement, names_read
from rnnspec.frontend.cells.equation_names import EquationNames
from rnnspec.frontend.cells.function_advice import function_advice, split_by_widths
from rnnspec.frontend.cells.functions import ELEMENTARY, PAIRS, REDUCTIONS, TOTAL
from rnnspec.frontend.cells.typed_expressions import constant_of, operand_of, operands_of, term_of, truth_of
from rnnspec.frontend.cells.typed_terms import Operand, applied, as_term, common, fit, of_two
from rnnspec.frontend.syntax import ast, limits
from rnnspec.source import Span


def _where(call: ast.Call, names: EquationNames) -> Operand:
    """One of two values, by a condition of every unit in every step; a condition that is known before chooses at once."""
    expressions = _positional(call, 3)
    condition, on_true, on_false = operands_of(expressions, names)
    first, second = as_term(on_true, expressions[1].span), as_term(on_false, expressions[2].span)
    if isinstance(condition, LocatedValue):
        return on_true if truth_of(expressions[0], names) else on_false
    if not isinstance(condition, Compared | Combined):
        place, help_ = "the first value of `where`", "a comparison is one, such as `v > 0`"
        found = str(condition.shape)
        raise CheckError(errors.cells.UnfitOperand(span=expressions[0].span, place=place, expected="a condition", found=found, help=help_))
    if isinstance(condition, Combined):
        names.hoisted.walk(call.span, condition.comparisons)
    sides = common("where", first.shape, second.shape, call.span)
    return Choice(condition, first, second, common("where", condition.shape, sides, call.span))


def call(call: ast.Call, names: EquationNames) -> Operand:
    """The value of a call: of a function of the language, an activation, or a function that is text."""
    name = call.callee.text
    if name in names.scope.faulty:
        raise AlreadyReported
    if name in names.scope.parameters:
        return _parameter_call(call, names)
    if names.functions.is_own(name):
        return _function(names.functions[name], call, names)
    if name in ELEMENTARY:
        (argument,) = _positional(call, 1)
        return applied(name, term_of(argument, names), argument.span)
    if name in PAIRS and len(call.arguments) == 2:
        first, second = operands_of(_positional(call, 2), names)
        return of_two(PAIRS[name], first, second, call.span)
    if name in REDUCTIONS:
        (argument,) = _positional(call, 1)
        return _reduce(call, argument, names)
    if name in _SPECIAL:
        return _SPECIAL[name](call, names)
    spelled = ACTIVATIONS[name].name if name in ACTIVATIONS else name
    if names.functions.is_own(spelled):
        return _function(names.functions[spelled], call, names)
    if name in ACTIVATIONS:
        return _activation(call, names)
    if name in names.functions:
        return _function(names.functions[name], call, names)
    if (refusal := REFUSALS[Family.ACTIVATION].get(name)) is not None:
        raise CheckError(
            errors.names.ChoiceRefused(span=call.callee.span, family="activation", name=name, reason=refusal.reason, help=refusal.advice)
        )
    instead, every = function_advice(name, {*names.scope.parameters, *names.functions})
    raise CheckError(errors.cells.UnknownFunction(span=call.callee.span, name=name, instead=instead, help=every))


def _parameter_call(call: ast.Call, names: EquationNames) -> Operand:
    """A call of a parameter that holds an activation."""
    name = call.callee.text
    given = names.scope.parameters[name]
    value = given.value
    if isinstance(value, Symbol | Calling | str):
        value = choose(Family.ACTIVATION, given, f"the parameter `{name}`", names.scope)
    if not isinstance(value, Config) or value.name not in names.functions | ACTIVATIONS.keys():
        place = f"a call of `{name}`"
        raise CheckError(errors.cells.UnfitOperand(span=call.callee.span, place=place, expected="an activation", found=describe(value)))
    (argument,) = _positional(call, 1)
    operand = term_of(argument, names)
    result = as_term(activated(value, operand, call, names), call.span)
    width = operand.shape.dimensions[-1:]
    if result.shape.dimensions not in ((), (1,), operand.shape.dimensions):
        place, expected = f"the activation `{value.name}`", f"{list(width)}, as wide as its value"
        here = (Label(given.span, "given here"),)
        raise CheckError(
            errors.cells.UnfitOperand(span=call.callee.span, place=place, expected=expected, found=str(result.shape), secondary=here)
        )
    return result


def activated(activation: Config, value: Term, call: ast.Call, names: EquationNames) -> Operand:
    """An activation, with its arguments, on a value."""
    name = activation.name
    if name in ELEMENTARY and not names.functions.is_own(name):
        return applied(name, value, call.span)
    given = {key: located(each, call.span) for key, each in activation.arguments}
    function = names.functions[name]
    known = LocatedValue(value.value, call.span) if isinstance(value, Literal) else value
    return _called(function, {function.parameters[0].name.text: known, **given}, call, names)


def _total(call: ast.Call, names: EquationNames) -> Operand:
    """The sum of a row over all rows."""
    (argument,) = _positional(call, 1)
    if not names.hoisted.sums:
        problem = "is the sum over all rows, of which a metric's result is computed"
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=TOTAL, problem=problem))
    term = as_term(operand_of(argument, names), argument.span)
    row = fit(term, (term.shape.dimensions or (1,))[0])
    if row is None:
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place="`total`", expected="a row", found=str(term.shape)))
    name = names.hoisted.name("total")
    names.hoisted.totals[name] = row
    return Variable(name, TermShape(row.shape.dimensions, False))


def _clip(call: ast.Call, names: EquationNames) -> Operand:
    value, low, high = operands_of(_positional(call, 3), names)
    return of_two(Elementwise.MIN, of_two(Elementwise.MAX, value, low, call.span), high, call.span)


def _split(call: ast.Call, _: EquationNames) -> Operand:
    raise CheckError(errors.cells.SplitTargets(span=call.span, problem="write `a, b = split(value, 2)`"))


def _function(function: ast.Function, call: ast.Call, names: EquationNames) -> Operand:
    """A call of a function that is text: its arguments by place or by name."""
    parameters = [parameter.name.text for parameter in function.parameters]
    given: dict[str, ast.Expression] = {}
    for place, argument in enumerate(call.arguments):
        if argument.name is None and place >= len(parameters):
            count = f"{len(parameters)} {'value' if len(parameters) == 1 else 'values'}"
            problem = f"takes {count}, got {len(call.arguments)}"
            raise CheckError(errors.cells.FunctionMisuse(span=argument.span, function=function.name.text, problem=problem))
        name = parameters[place] if argument.name is None else argument.name.text
        span = argument.span if argument.name is None else argument.name.span
        if name not in parameters:
            help_ = nearest(name, parameters)
            problem = f"has no parameter `{name}`"
            raise CheckError(errors.cells.FunctionMisuse(span=span, function=function.name.text, problem=problem, help=help_))
        if name in given:
            problem = f"gets `{name}` twice"
            raise CheckError(errors.cells.FunctionMisuse(span=span, function=function.name.text, problem=problem))
        given[name] = argument.value
    activations = {name: evaluate(value, names.constants()) for name, value in given.items() if _is_activation(value, names)}
    values = [name for name in given if name not in activations]
    found = dict(zip(values, operands_of([given[name] for name in values], names), strict=True))
    return _called(function, activations | found, call, names)


def _is_activation(argument: ast.Expression, names: EquationNames) -> bool:
    """Whether an argument is the name of a function, which a parameter can be called by, and no other name of the equations."""
    if not isinstance(argument, ast.Name) or argument.spelling in names.known() | names.targets:
        return False
    return argument.spelling in names.functions or argument.spelling in ACTIVATIONS


def _called(function: ast.Function, given: Mapping[str, Operand], call: ast.Call, names: EquationNames) -> Operand:
    """A function's text in the place of its call.

    An argument that is read more than once is computed once. What a condition needs must be known when the spec is compiled.
    """
    if len(names.calls) >= limits.CALLS:
        raise CheckError(errors.limits.CallsTooDeep(span=call.callee.span, function=function.name.text, limit=limits.CALLS))
    library = names.functions if names.functions.is_own(function.name.text) else names.functions.standard
    owner = f"the function `{function.name.text}`"
    scope = Scope({}, own=names.scope.own)
    calls = (*names.calls, call.callee.span)
    inner = EquationNames(scope, {}, set(), targets_of(function.statements), library, names.caller, owner, names.hoisted, calls)
    reads = _reads(function)
    for parameter in function.parameters:
        name = parameter.name.text
        if name in given:
            operand = given[name]
        elif parameter.default is not None:
            operand = evaluate(parameter.default, scope)
        else:
            problem = f"needs a value for `{name}`"
            raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=function.name.text, problem=problem))
        if (argument := declared_argument(parameter)) is not None:
            operand = _constant(function, argument, operand, call, names)
        if reads.get(name, 0) > 1 and not isinstance(operand, LocatedValue | Compared | Combined):
            operand = names.assign(f"{function.name.text}.{name}", operand, call.span)
        _bind(name, operand, inner)
    constants = inner.scope.parameters
    check_late_bounds(function.name.text, function.parameters, constants, names.scope, partial(constant_of, names=inner))
    try:
        result = run(function, function.statements, inner)
    except CheckError as fault:
        raise CheckError(*(_told_with(each, call.callee.span) for each in fault.diagnostics)) from fault
    if result is None:
        raise CheckError(errors.cells.NoReturn(span=function.name.span, owner=f"the function {function.name.text}"))
    return result


def _constant(function: ast.Function, argument: ArgumentSpec, operand: Operand, call: ast.Call, names: EquationNames) -> LocatedValue:
    """The value of a parameter whose declaration says what it may be: known when the spec is compiled, and that."""
    given = LocatedValue(operand.value, call.span) if isinstance(operand, Literal) else operand
    if not isinstance(given, LocatedValue):
        problem = f"needs a constant for `{argument.name}`, {argument.kind.expected}"
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=function.name.text, problem=problem))
    chosen = isinstance(argument.kind, ChoiceOf) and isinstance(given.value, Config)
    return given if chosen else checked(argument, given, function.name.text, names.scope)


def _told_with(fault: Diagnostic, call: Span) -> Diagnostic:
    """A fault with the place of a call, each place once: a function may call itself."""
    here = Label(call, "called here")
    return fault if call == fault.span or here in fault.secondary else replace(fault, secondary=(*fault.secondary, here))


def _bind(name: str, operand: Operand, names: EquationNames) -> None:
    """Makes a name stand for an operand: a constant can stand wherever a parameter can."""
    if isinstance(operand, LocatedValue):
        names.scope = replace(names.scope, parameters={**names.scope.parameters, name: operand})
    else:
        names.values[name] = operand


def run(owner: ast.Equations, statements: Sequence[ast.CellStatement], names: EquationNames) -> Operand | None:
    """Runs the equations of a function, a loss or a metric; what it returns, None where it doesn't."""
    for statement in statements:
        names.hoisted.walk(statement.span)
        match statement:
            case ast.Equation():
                _equation(owner, statement, names)
            case ast.Return():
                return operand_of(statement.value, names)
            case ast.When():
                side = statement.body if truth_of(statement.condition, names) else statement.otherwise
                returned = None if side is None else run(owner, side.statements, names)
                if returned is not None:
                    return returned
            case ast.Weight() | ast.States():
                raise AlreadyReported
            case _:
                assert_never(statement)
    return None


def _equation(owner: ast.Equations, equation: ast.Equation, names: EquationNames) -> None:
    value = equation.value
    for target in equation.targets:
        if target.primed:
            raise AlreadyReported
        if target.text in names.values or target.text in names.scope.parameters:
            raise CheckError(errors.cells.AssignedTwice(span=target.span, name=target.text))
    if isinstance(value, ast.Call) and value.callee.text == "split":
        term, count = split_call(value, len(equation.targets), names, ())
        made = [names.hoisted.name(f"{owner.name.text}.{target.text}") for target in equation.targets]
        names.hoisted.assignments.append(Assignment(tuple(made), term, names.location(equation.span)))
        dimensions = (*term.shape.dimensions[:-1], term.shape.dimensions[-1] // count)
        for target, name in zip(equation.targets, made, strict=True):
            names.values[target.text] = Variable(name, TermShape(dimensions, term.shape.stepwise))
        return
    target, *others = equation.targets
    if others:
        problem = f"{len(equation.targets)} names, but only one value"
        raise CheckError(errors.cells.SplitTargets(span=value.span, problem=problem))
    name, operand = target.text, operand_of(value, names)
    if not isinstance(operand, LocatedValue | Compared | Combined):
        operand = names.assign(f"{owner.name.text}.{name}", operand, equation.span)
    _bind(name, operand, names)


def targets_of(statements: Sequence[ast.CellStatement]) -> frozenset[str]:
    """The names that equations define."""
    return frozenset(target.spelling for each in every_statement(statements) if isinstance(each, ast.Equation) for target in each.targets)


@cache
def _reads(function: ast.Function) -> Mapping[str, int]:
    """How often each name stands in a function's text."""
    return Counter(names_read(function.statements))


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


def _activation(call: ast.Call, names: EquationNames) -> Operand:
    """An activation of the catalogue on its first argument; the others are its options, constants."""
    name = call.callee.text
    declared = declared_equations(Family.ACTIVATION, name, NOTHING_OWN)
    if not call.arguments or call.arguments[0].name is not None:
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function=call.callee.text, problem="its first argument is the value"))
    argument = call.arguments[0].value
    term = term_of(argument, names)
    report = Report()
    rest = ast.Call(call.span, call.callee, call.arguments[1:])
    arguments = () if declared is None else equation_arguments(declared)
    bindings = bind(name, arguments, rest, names.constants(), report, family=Family.ACTIVATION.value)
    if bindings is None:
        raise report.fault()
    return activated(Config(ACTIVATIONS[name].name, bindings.plain()), term, call, names)


def _reduce(call: ast.Call, argument: ast.Expression, names: EquationNames) -> Term:
    operand = term_of(argument, names)
    if len(operand.shape.dimensions) != 1:
        place = f"`{call.callee.text}` of one value"
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place=place, expected="a row of units", found=str(operand.shape)))
    return Reduced(REDUCTIONS[call.callee.text], operand, TermShape((1,), operand.shape.stepwise))


def _positions(call: ast.Call, names: EquationNames) -> Operand:
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


def _sort(call: ast.Call, names: EquationNames) -> LocatedValue:
    """The numbers of a constant list in rising order; a number is a list of one."""
    (argument,) = _positional(call, 1)
    given = constant_of(argument, names)
    items = [each.value for each in given.value] if isinstance(given.value, tuple) else [given.value]
    numbers = [each for each in items if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < len(items):
        found = describe(given.value)
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place="`sort`", expected="a list of numbers", found=found))
    return LocatedValue(tuple(located(number, call.span) for number in sorted(numbers)), call.span)


def _width(call: ast.Call, names: EquationNames) -> Operand:
    """The width of a row, a constant, 1 of a number. The row isn't read: what only its width is asked of is unused."""
    (argument,) = _positional(call, 1)
    read = frozenset(names.read)
    dimensions = term_of(argument, names).shape.dimensions or (1,)
    names.read.intersection_update(read)
    if len(dimensions) != 1:
        found = f"[{', '.join(map(str, dimensions))}]"
        raise CheckError(errors.cells.UnfitOperand(span=argument.span, place="`width`", expected="a row of units", found=found))
    return LocatedValue(dimensions[0], call.span)


def _concat(call: ast.Call, names: EquationNames) -> Term:
    arguments = _positional(call, None)
    if not arguments:
        raise CheckError(errors.cells.FunctionMisuse(span=call.span, function="concat", problem="takes one value or more"))
    operands = operands_of(arguments, names)
    terms = [as_term(operand, argument.span) for operand, argument in zip(operands, arguments, strict=True)]
    parts = [term if term.shape.dimensions else Spread(term, TermShape((1,), term.shape.stepwise)) for term in terms]
    for part, argument in zip(parts, arguments, strict=True):
        if len(part.shape.dimensions) != 1:
            raise CheckError(
                errors.cells.UnfitOperand(span=argument.span, place="`concat`", expected="rows of units", found=str(part.shape))
            )
    width = sum(part.shape.dimensions[0] for part in parts)
    if width > ELEMENT_LIMIT:
        raise CheckError(errors.cells.TooLarge(span=call.span, what="this `concat`", shape=f"[{width}]"))
    return Joined(tuple(parts), TermShape((width,), any(part.shape.stepwise for part in parts)))


def split_call(call: ast.Call, targets: int, names: EquationNames, taken: Collection[str]) -> tuple[Term, int]:
    """The value of a `split`, and the number of its parts. `taken`: names that advice can't give."""
    if len(call.arguments) != 2 or any(argument.name for argument in call.arguments):
        help_ = "write `a, b = split(value, 2)`"
        raise CheckError(errors.cells.SplitTargets(span=call.span, problem="takes a value and the number of parts", help=help_))
    value = term_of(call.arguments[0].value, names)
    span = call.arguments[1].span
    count = constant_of(call.arguments[1].value, names).value
    width = value.shape.dimensions[-1] if value.shape.dimensions else 0
    if isinstance(count, bool) or not isinstance(count, int):
        widths = tuple(item.value for item in count) if isinstance(count, tuple) else ()
        problem = f"the parts are equal: a number says how many, not {describe(count)}"
        help_ = split_by_widths(widths, call.arguments[0].value.span.text, width, targets, {*names.known(), *taken})
        raise CheckError(errors.cells.SplitTargets(span=span, problem=problem, help=help_))
    if count != targets:
        problem = f"{describe(count)} parts for {targets} {'name' if targets == 1 else 'names'}"
        fitting = [f"`split(..., {targets})`"] if targets > 1 and width and width % targets == 0 else []
        fitting += [f"{count} names"] if count > 1 and width and width % count == 0 else []
        help_ = f"write {' or '.join(fitting)}" if fitting else ""
        raise CheckError(errors.cells.SplitTargets(span=span, problem=problem, help=help_))
    if not value.shape.dimensions:
        span = call.arguments[0].span
        raise CheckError(errors.cells.UnfitOperand(span=span, place="`split`", expected="a row or a matrix", found=str(value.shape)))
    if width % count:
        fitting = [str(each) for each in range(2, min(width, 64) + 1) if width % each == 0]
        help_ = f"{width} can be split into {', '.join(fitting[:8])} parts" if fitting else ""
        raise CheckError(errors.cells.SplitMisfit(span=call.span, width=width, parts=count, help=help_))
    return value, count


_SPECIAL: Mapping[str, Callable[[ast.Call, EquationNames], Operand]] = MappingProxyType(
    {
        "where": _where,
        "clip": _clip,
        "concat": _concat,
        "split": _split,
        TOTAL: _total,
        "positions": _positions,
        "sort": _sort,
        "width": _width,
    }
)
"""Functions whose arguments have a form of their own."""
