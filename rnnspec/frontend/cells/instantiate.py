"""Cells: their parameters bound where they are used, their weights, states and equations checked for a width of input."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from math import prod

from rnnspec.contract.location import UNKNOWN, location_of_span
from rnnspec.contract.signature import InitializerPart
from rnnspec.diagnostics import Diagnostic, Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, checked, choose, match_arguments
from rnnspec.frontend.binding.constants import choice, evaluate
from rnnspec.frontend.binding.declared_kinds import declared_argument
from rnnspec.frontend.binding.late_bounds import check_late_bounds, known_or_none
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, LocatedValue, Report, Scope, Symbol, describe
from rnnspec.frontend.catalogue.argument_types import REQUIRED, AnyValue, ArgumentSpec, ChoiceOf, Family, Flag, Int
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, INITIALIZERS
from rnnspec.frontend.catalogue.layers import SEQUENCE_OPTIONS
from rnnspec.frontend.cells.calls import call, split_call
from rnnspec.frontend.cells.cell_ir import (
    ELEMENT_LIMIT,
    Assignment,
    CellState,
    CellWeight,
    Combined,
    Compared,
    Condition,
    Step,
    Term,
    TermShape,
    Variable,
    WeightTerm,
    Zeros,
)
from rnnspec.frontend.cells.declared_names import computed_names, equation_targets, width_names
from rnnspec.frontend.cells.equation_checks import OF_A_LOSS
from rnnspec.frontend.cells.equation_names import EquationNames, Hoisted
from rnnspec.frontend.cells.name_clashes import PREDEFINED, is_unused
from rnnspec.frontend.cells.typed_expressions import constant_of, operand_of, term_of
from rnnspec.frontend.cells.typed_terms import as_term, fit
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.standard_library import functions
from rnnspec.frozen import frozen
from rnnspec.source import Span


@cache
def _of_the_use() -> tuple[type[Diagnostic], ...]:
    """Faults of a cell that may lie in the arguments or the input that it is used with: they show the use too."""
    return (
        errors.names.DivisionByZero,
        errors.cells.IndexMisuse,
        errors.cells.InitializerBlocks,
        errors.cells.MatmulWidths,
        errors.names.NumberTooLarge,
        errors.cells.SplitMisfit,
        errors.cells.StateWidth,
        errors.cells.TooLarge,
        errors.cells.UnequalWidths,
        errors.cells.UnfitDimension,
    )


@frozen
class BoundCell:
    """A cell with its arguments, not yet with a width of input. `scope` holds the parameters, `options` the sequence options."""

    definition: ast.Cell
    scope: Scope
    options: Bindings
    call: ast.Call


def bind_cell(definition: ast.Cell, call: ast.Call, scope: Scope, report: Report) -> BoundCell | None:
    """A cell's parameters and sequence options from a call; None where something is wrong, which is reported."""
    own = parameter_arguments(definition.parameters, set(width_names(definition)))
    options = [option for option in SEQUENCE_OPTIONS if option.name not in own or not is_unused(option)]
    bound = bind_parameters(definition, own, options, call, scope, report)
    return None if bound is None else BoundCell(definition, bound.scope, bound.options, call)


@frozen
class BoundParameters:
    """The values of a cell's or a block's own parameters, and of the options that every such use has."""

    scope: Scope
    options: Bindings


def bind_parameters(
    definition: ast.Cell | ast.Block,
    own: Mapping[str, ArgumentSpec],
    options: Sequence[ArgumentSpec],
    call: ast.Call,
    scope: Scope,
    report: Report,
) -> BoundParameters | None:
    """Parameters and options from a call, defaults filled in; None where something is wrong, which is reported."""
    before = report.count
    name = definition.name.text
    keyword_only = [ArgumentSpec(o.name, o.kind, o.default, o.optional, positional=False) for o in options]
    written = match_arguments(name, [*own.values(), *keyword_only], call, report, values=scope.values)
    values: dict[str, LocatedValue] = {}
    faulty: set[str] = set()
    for parameter in definition.parameters:
        argument = own[parameter.name.text]
        with report.catching():
            if argument.name in written:
                given = evaluate(written[argument.name], scope)
                values[argument.name] = checked(argument, given, name, scope)
            elif parameter.default is not None:
                values[argument.name] = _default(
                    parameter.default, argument, call, replace(scope, parameters=dict(values), faulty=frozenset(faulty))
                )
        if argument.name not in values:
            faulty.add(argument.name)
    with report.catching():
        known = Scope(values)
        check_late_bounds(name, definition.parameters, values, scope, partial(known_or_none, scope=known))
    chosen: dict[str, LocatedValue] = {}
    for option in keyword_only:
        with report.catching():
            plain = None if option.default is REQUIRED or isinstance(option.default, tuple) else option.default
            given = evaluate(written[option.name], scope) if option.name in written else LocatedValue(plain, call.callee.span)
            chosen[option.name] = checked(option, given, name, scope)
    return BoundParameters(Scope(values, own=scope.own), Bindings(chosen)) if report.count == before else None


def _default(expression: ast.Expression, argument: ArgumentSpec, call: ast.Call, scope: Scope) -> LocatedValue:
    try:
        return checked(argument, evaluate(expression, scope), call.callee.text, scope)
    except CheckError as fault:
        use = Label(call.callee.span, "used here")
        raise CheckError(*(replace(each, secondary=(*each.secondary, use)) for each in fault.diagnostics)) from fault


def parameter_arguments(parameters: Sequence[ast.Parameter], widths: Collection[str] = ()) -> dict[str, ArgumentSpec]:
    """Parameters as arguments, of the kind that is declared; else the default tells the kind, or that it is one of the `widths`."""
    arguments: dict[str, ArgumentSpec] = {}
    for parameter in parameters:
        name, default = parameter.name.text, parameter.default
        if (declared := declared_argument(parameter)) is not None:
            arguments[name] = replace(declared, default=REQUIRED if default is None else None)
            continue
        match default:
            case ast.Boolean():
                argument = ArgumentSpec(name, Flag(), None, optional=False)
            case ast.Name(text=word) | ast.Call(callee=ast.Identifier(text=word)) if word in ACTIVATIONS:
                argument = ArgumentSpec(name, ChoiceOf(Family.ACTIVATION), None, optional=True)
            case ast.Name(text=word) | ast.Call(callee=ast.Identifier(text=word)) if word in INITIALIZERS:
                argument = ArgumentSpec(name, ChoiceOf(Family.INITIALIZER), None)
            case _:
                broken = isinstance(default, ast.Number) and not float(default.value).is_integer()
                kind = Int() if name in widths and not broken else AnyValue()
                argument = ArgumentSpec(name, kind, REQUIRED if default is None else None)
        arguments[name] = argument
    return arguments


def instantiate(cell: BoundCell, features: int, report: Report, rows: Mapping[str, int] | None = None) -> Step | None:
    """The cell's step for inputs of `features` features; None where something is wrong, which is reported.

    `rows`: what a step reads instead of `x`, with the widths.
    """
    return _Instance(cell, features, report, {"x": features} if rows is None else rows).step()


class _Instance:
    def __init__(self, cell: BoundCell, features: int, report: Report, rows: Mapping[str, int]) -> None:
        self._cell = cell
        self._definition = cell.definition
        self._features = features
        self._report = report
        width = LocatedValue(features, cell.definition.name.span)
        self._scope = replace(cell.scope, parameters={**cell.scope.parameters, "features": width})
        self._constants_only = replace(self._scope, computed=frozenset(computed_names(self._definition)) - self._scope.parameters.keys())
        read: dict[str, Term | Condition | None] = {name: Variable(name, TermShape((width,), True)) for name, width in rows.items()}
        library = functions(self._scope.own.functions)
        targets, hoisted = equation_targets(self._definition), Hoisted(report)
        kind = "cell" if "x" in rows else "loss"
        self._owner = f"the {kind} {cell.definition.name.text}"
        self._names = EquationNames(self._scope, read, set(), targets, library, call, f"this {kind}", hoisted)
        predefined = PREDEFINED if "x" in rows else {**OF_A_LOSS, "features": PREDEFINED["features"]}
        self._owners: dict[str, tuple[str, Span | None]] = {name: (owner, None) for name, owner in predefined.items()}
        self._weights: list[CellWeight] = []
        self._weight_spans: dict[str, Span] = {}
        self._states: dict[str, CellState | None] = {}
        self._state_spans: dict[str, Span] = {}
        self._statements: tuple[ast.CellStatement, ...] = ()
        self._assignments = self._names.hoisted.assignments
        self._locals: dict[str, Span] = {}
        self._constants: set[str] = set()
        self._output: Term | None = None
        self._output_location = UNKNOWN

    def step(self) -> Step | None:
        before = self._report.count
        for parameter in self._definition.parameters:
            self._owners[parameter.name.text] = "a parameter", parameter.name.span
        with self._catching():
            name, parameters = self._definition.name.text, self._definition.parameters
            check_late_bounds(name, parameters, self._scope.parameters, self._scope, partial(constant_of, names=self._names))
            self._statements = tuple(self._chosen(self._definition.statements))
        if self._report.count != before:
            return None
        for statement in self._statements:
            self._report.walk(statement.span)
            if isinstance(statement, ast.Weight):
                with self._catching():
                    self._weight(statement)
            elif isinstance(statement, ast.States):
                for state in statement.items:
                    with self._catching():
                        self._state(state)
        self._equations()
        if self._report.count == before:
            self._check_use()
        if self._report.count != before or self._output is None:
            return None
        states = tuple(state for state in self._states.values() if state is not None)
        name = self._definition.name.text
        return Step(name, self._features, tuple(self._weights), states, tuple(self._assignments), self._output, self._output_location)

    def _chosen(self, statements: Sequence[ast.CellStatement]) -> Iterator[ast.CellStatement]:
        """The statements that are there: of each `when`, those of the side that its condition chooses."""
        for statement in statements:
            if not isinstance(statement, ast.When):
                yield statement
            elif choice(statement.condition, self._constants_only, self._names.targets):
                yield from self._chosen(statement.body.statements)
            elif statement.otherwise is not None:
                yield from self._chosen(statement.otherwise.statements)

    def _take(self, name: str, owner: str, span: Span) -> None:
        if name in self._owners:
            taken, place = self._owners[name]
            secondary = () if place is None else (Label(place, "declared here"),)
            raise CheckError(errors.names.DuplicateName(span=span, name=name, owner=taken, secondary=secondary))
        self._owners[name] = owner, span

    def _weight(self, weight: ast.Weight) -> None:
        name = weight.name.text
        self._names.values.setdefault(name, None)
        self._take(name, "a weight", weight.name.span)
        shape = self._dimensions(weight.dimensions)
        if not 1 <= len(shape) <= 2:
            what = f"the weight `{name}`"
            raise CheckError(
                errors.cells.WeightRank(span=weight.name.span, what=what, found=len(shape), expected="a weight is a row or a matrix")
            )
        if prod(shape) > ELEMENT_LIMIT:
            raise CheckError(errors.cells.TooLarge(span=weight.name.span, what=f"the weight `{name}`", shape=str(list(shape))))
        exists = weight.condition is None or choice(weight.condition, self._constants_only, self._names.targets)
        parts = self._initializer(weight.initializer, shape[-1])
        term_shape = TermShape(shape, False)
        self._names.values[name] = WeightTerm(name, term_shape) if exists else Zeros(term_shape)
        if exists:
            self._weights.append(CellWeight(name, shape, parts, trainable=not weight.frozen))
            self._weight_spans[name] = weight.name.span

    def _initializer(self, expression: ast.Expression, width: int) -> tuple[InitializerPart, ...]:
        given = evaluate(expression, self._scope)
        if not isinstance(given.value, tuple):
            return (InitializerPart(0, width, choose(Family.INITIALIZER, given, "a weight", self._scope)),)
        blocks = given.value
        if not blocks or width % len(blocks):
            raise CheckError(errors.cells.InitializerBlocks(span=expression.span, parts=len(blocks), width=width))
        size = width // len(blocks)
        chosen = [choose(Family.INITIALIZER, block, "a weight", self._scope) for block in blocks]
        if all(initializer == chosen[0] for initializer in chosen):
            return (InitializerPart(0, width, chosen[0]),)
        return tuple(InitializerPart(place * size, (place + 1) * size, initializer) for place, initializer in enumerate(chosen))

    def _state(self, state: ast.State) -> None:
        name = state.name.text
        self._names.values.setdefault(name, None)
        self._names.states.add(name)
        self._states[name] = None
        self._state_spans[name] = state.name.span
        self._take(name, "a state", state.name.span)
        shape = self._dimensions(state.dimensions)
        if len(shape) != 1:
            what = f"the state `{name}`"
            raise CheckError(errors.cells.WeightRank(span=state.name.span, what=what, found=len(shape), expected="a state is a row"))
        self._states[name] = CellState(name, shape[0])
        self._names.values[name] = Variable(name, TermShape(shape, True))

    def _dimensions(self, expressions: Sequence[ast.Expression]) -> tuple[int, ...]:
        return tuple(self._dimension(expression) for expression in expressions)

    def _dimension(self, expression: ast.Expression) -> int:
        value = evaluate(expression, Scope(self._scope.parameters, computed=frozenset({"x"}))).value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= ELEMENT_LIMIT:
            if isinstance(value, Symbol):
                help_ = nearest(value.name, self._scope.parameters)
                raise CheckError(
                    errors.names.UnknownName(
                        span=expression.span, name=value.name, expected="neither a parameter nor `features`", help=help_
                    )
                )
            raise CheckError(errors.cells.UnfitDimension(span=expression.span, found=describe(value)))
        return value

    @contextmanager
    def _catching(self) -> Generator[None]:
        """Catches faults as the report does, and adds the use of the cell to faults that may lie there."""
        with self._report.catching():
            try:
                yield
            except CheckError as fault:
                raise CheckError(*map(self._with_use, fault.diagnostics)) from fault

    def _with_use(self, diagnostic: Diagnostic) -> Diagnostic:
        at_parameter = diagnostic.span.text in self._cell.scope.parameters and not isinstance(diagnostic, errors.names.DuplicateName)
        if not isinstance(diagnostic, _of_the_use()) and not at_parameter:
            return diagnostic
        use = Label(self._cell.call.callee.span, f"used here, with `features` = {self._features}")
        return replace(diagnostic, secondary=(*diagnostic.secondary, use))

    def _equations(self) -> None:
        returned = False
        for statement in self._statements:
            if not isinstance(statement, ast.Equation | ast.Return):
                continue
            if returned:
                self._report.add(errors.cells.AfterReturn(span=statement.span))
                return
            with self._catching():
                if isinstance(statement, ast.Equation):
                    self._equation(statement)
                else:
                    returned = True
                    self._return(statement)
            if isinstance(statement, ast.Equation):
                for target in statement.targets:
                    if target.spelling not in self._constants:
                        self._names.values.setdefault(target.spelling, None)
        if not returned:
            self._report.add(errors.cells.NoReturn(span=self._definition.name.span, owner=self._owner))

    def _equation(self, equation: ast.Equation) -> None:
        for target in equation.targets:
            self._declare(target)
        call = equation.value
        if isinstance(call, ast.Call) and call.callee.text == "split":
            taken = self._owners.keys() - self._locals.keys()
            value, parts = split_call(call, len(equation.targets), self._names, taken)
        elif len(equation.targets) == 1:
            operand, target = operand_of(equation.value, self._names), equation.targets[0]
            if isinstance(operand, LocatedValue) and isinstance(operand.value, int | float) and not target.primed:
                self._constant(target, operand)
                return
            if isinstance(operand, Compared | Combined) and not target.primed:
                self._names.values[target.spelling] = operand
                return
            value, parts = as_term(operand, equation.value.span), 1
        else:
            raise CheckError(errors.cells.SplitTargets(span=call.span, problem=f"{len(equation.targets)} names, but only one value"))
        shape = (
            TermShape((*value.shape.dimensions[:-1], value.shape.dimensions[-1] // parts), value.shape.stepwise)
            if value.shape.dimensions
            else value.shape
        )
        for target in equation.targets:
            if target.primed:
                value, shape = self._update(target, value, shape, parts, equation)
        for target in equation.targets:
            self._names.values[target.spelling] = Variable(target.spelling, shape)
        self._assignments.append(Assignment(tuple(target.spelling for target in equation.targets), value, location_of_span(equation.span)))

    def _constant(self, target: ast.Name, value: LocatedValue) -> None:
        """A name for what is known when the spec is compiled: it computes nothing, and can stand wherever a parameter can."""
        self._names.scope = replace(self._names.scope, parameters={**self._names.scope.parameters, target.text: value})
        self._constants.add(target.text)

    def _declare(self, target: ast.Name) -> None:
        """Makes the target known, without a value: what reads it before it has one isn't reported again."""
        spelling = target.spelling
        if target.primed and target.text not in self._states:
            raise CheckError(errors.cells.NotAState(span=target.span, name=target.text, help=nearest(target.text, self._states)))
        if spelling in self._locals:
            secondary = (Label(self._locals[spelling], "its first equation"),)
            raise CheckError(errors.cells.AssignedTwice(span=target.span, name=spelling, secondary=secondary))
        if not target.primed:
            self._take(spelling, "an earlier equation", target.span)
        self._locals[spelling] = target.span

    def _update(self, target: ast.Name, value: Term, shape: TermShape, parts: int, equation: ast.Equation) -> tuple[Term, TermShape]:
        state = self._states[target.text]
        if state is None:
            raise AlreadyReported
        expected = TermShape((state.width,), True)
        if parts > 1:
            fits = shape == expected
            fitted = value
        else:
            spread = fit(value, state.width)
            fits, fitted = spread is not None, spread or value
        if not fits:
            secondary = (Label(self._state_spans[target.text], f"declared here: {expected}"),)
            raise CheckError(
                errors.cells.StateWidth(
                    span=equation.value.span, state=target.text, found=str(shape), expected=str(expected), secondary=secondary
                )
            )
        return fitted, expected

    def _return(self, statement: ast.Return) -> None:
        term = term_of(statement.value, self._names)
        if not term.shape.stepwise:
            raise CheckError(
                errors.cells.UnfitOperand(
                    span=statement.value.span,
                    place="`return`",
                    expected="a value of the step",
                    found=f"{term.shape}, the same in every step",
                )
            )
        self._output, self._output_location = term, location_of_span(statement.span)

    def _check_use(self) -> None:
        read = self._names.read
        used = read | self._constants
        if not self._states:
            self._report.add(errors.cells.NoState(span=self._definition.name.span, cell=self._definition.name.text))
        for name in self._states:
            if f"{name}'" not in self._locals:
                self._report.add(errors.cells.StateWithoutUpdate(span=self._state_spans[name], state=name))
        for name, span in self._weight_spans.items():
            if name not in read:
                self._report.add(errors.cells.UnusedWeight(span=span, weight=name))
        for spelling, span in self._locals.items():
            if spelling not in used and not spelling.endswith("'") and not spelling.startswith("_"):
                self._report.add(errors.cells.UnusedEquation(span=span, name=spelling))
