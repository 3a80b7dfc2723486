"""Functions of a row as equations of their own: an activation of a layer, a loss, a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, located
from rnnspec.frontend.binding.late_bounds import check_late_bounds
from rnnspec.frontend.binding.values import NOTHING_OWN, CheckError, LocatedValue, OwnEquations, Report, Scope
from rnnspec.frontend.cells import calls
from rnnspec.frontend.cells.cell_ir import CellState, Joined, Spread, Step, Term, TermShape, Variable, operands
from rnnspec.frontend.cells.equation_checks import has_states
from rnnspec.frontend.cells.equation_names import EquationNames, Hoisted
from rnnspec.frontend.cells.instantiate import BoundCell, instantiate
from rnnspec.frontend.cells.typed_expressions import constant_of
from rnnspec.frontend.cells.typed_terms import as_term, fit
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.frontend.syntax.standard_library import Library
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile, Span

NOWHERE = Span(SourceFile("", ""), 0, 0)
"""The place of what no spec says."""


def activation_step(
    activation: Config, width: int, functions: Library[ast.Function], use: Span = NOWHERE, report: Report | None = None
) -> Step:
    """The equations of an activation of `x`, a row of a width; `CheckError`, with the place of its `use`, where they don't fit it.

    The result is as wide as `x`. `report`: counts the statements.
    """
    x = Variable("x", TermShape((width,), True))
    names = EquationNames(Scope({}), {"x": x}, set(), frozenset(), functions, calls.call, hoisted=Hoisted(report))
    callee = ast.Identifier(use, activation.name)
    value = as_term(calls.activated(activation, x, ast.Call(use, callee, ()), names), use)
    spread = fit(value, width)
    if spread is None:
        place, expected = f"the activation `{activation.name}`", f"[{width}], as wide as its value"
        raise CheckError(errors.cells.UnfitOperand(span=use, place=place, expected=expected, found=str(value.shape)))
    return Step(activation.name, width, (), (), tuple(names.hoisted.assignments), spread)


def library_activation(activation: Config, width: int) -> Step:
    """The equations of an activation of the library, whatever functions a spec has."""
    return activation_step(activation, width, standard_library.functions({}))


def target_kind(declared: ast.Loss | ast.Metric) -> str:
    """What a loss or a metric says of its target."""
    return "values" if declared.target is None else declared.target.text


def target_width(declared: ast.Loss | ast.Metric, width: int) -> int:
    """The width of a target's row, for predictions of a width."""
    return 1 if target_kind(declared) == "class" else width


def loss_step(loss: Config, width: int, own: OwnEquations, report: Report | None = None) -> Step:
    """The equations of a loss of `prediction`, a row of a width, and `target`, which give a row of 1; `CheckError` where they don't fit it.

    With states they are a step's, and what they give after a sequence's last one is the sequence's loss. `report`: counts the statements.
    """
    declared = standard_library.losses(own.losses)[loss.name]
    if has_states(declared):
        return _sequence_step(declared, loss, width, own, report)
    value, names = _run(declared, loss, width, own, report)
    _check_number(declared, loss, value)
    return Step(loss.name, width, (), (), tuple(names.hoisted.assignments), _number_of_row(value))


def _sequence_step(declared: ast.Loss, loss: Config, width: int, own: OwnEquations, whole: Report | None) -> Step:
    """The equations of one step, which are a cell's but for the names that they read."""
    if declared.unlabelled is not None:
        expected, help_ = "a loss of rows", "steps without a label are left out by a mask"
        found = "a loss with states"
        raise CheckError(
            errors.cells.UnfitOperand(span=declared.unlabelled.span, place="`except`", expected=expected, found=found, help=help_)
        )
    parameters = {name: located(value, declared.name.span) for name, value in loss.arguments}
    scope = Scope(parameters, own=own if is_own(declared, own) else NOTHING_OWN)
    definition = ast.Cell(declared.span, declared.name, declared.parameters, declared.statements)
    report = Report(whole)
    bound = BoundCell(definition, scope, Bindings({}), ast.Call(declared.name.span, declared.name, ()))
    step = instantiate(bound, width, report, {"prediction": width, "target": target_width(declared, width)})
    if step is None:
        raise report.fault()
    _check_number(declared, loss, step.output)
    return replace(step, output=_number_of_row(step.output))


def _check_number(declared: ast.Loss, loss: Config, value: Term) -> None:
    if value.shape.dimensions not in ((), (1,)) or not value.shape.stepwise:
        expected = "one number that depends on the prediction, such as a `mean`"
        place = f"what the loss `{loss.name}` returns"
        raise CheckError(errors.cells.UnfitOperand(span=declared.name.span, place=place, expected=expected, found=str(value.shape)))


@frozen
class MetricSteps:
    """A metric's equations of a row, and those of its result, None for a mean; the result's states are the totals over rows.

    What a row gives is what goes into the totals, side by side.
    """

    rows: Step
    result: Step | None


def metric_steps(metric: Config, width: int, own: OwnEquations, report: Report | None = None) -> MetricSteps:
    """The equations of a metric for predictions of a width; `CheckError` where they don't fit it. `report`: counts the statements."""
    declared = standard_library.row_equations(True, own.losses, own.metrics)[metric.name]
    if isinstance(declared, ast.Loss) and has_states(declared):
        place, found = f"the metric `{metric.name}`", "a loss of whole sequences"
        raise CheckError(errors.cells.UnfitOperand(span=declared.name.span, place=place, expected="equations of a row", found=found))
    value, names = _run(declared, metric, width, own, report)
    totals, assignments = names.hoisted.totals, names.hoisted.assignments
    place = f"what the metric `{metric.name}` returns"
    if not totals:
        if value.shape.dimensions not in ((), (1,)) or not value.shape.stepwise:
            expected = "one number of a row, or something computed of `total(...)`"
            raise CheckError(errors.cells.UnfitOperand(span=declared.name.span, place=place, expected=expected, found=str(value.shape)))
        return MetricSteps(Step(metric.name, width, (), (), tuple(assignments), _number_of_row(value)), None)
    late = set(totals)
    for assignment in assignments:
        if not late.isdisjoint(_read(assignment.value)):
            late.update(assignment.targets)
    if not all(late.isdisjoint(_read(total)) for total in totals.values()):
        raise CheckError(
            errors.cells.UnfitOperand(span=declared.name.span, place="`total`", expected="a value of a row", found="a total of totals")
        )
    mixed = [each.value for each in assignments if not late.isdisjoint(each.targets)] + [value]
    if any(term.shape.stepwise for term in mixed) or late.isdisjoint(_read(value)):
        found = "something that depends on a row"
        raise CheckError(
            errors.cells.UnfitOperand(span=declared.name.span, place=place, expected="something computed of totals alone", found=found)
        )
    early = tuple(each for each in assignments if late.isdisjoint(each.targets))
    constants = tuple(each for each in early if not each.value.shape.stepwise)
    results = tuple(each for each in assignments if not late.isdisjoint(each.targets))
    width_of_all = sum(total.shape.dimensions[0] for total in totals.values())
    rows = Step(metric.name, width, (), (), early, Joined(tuple(totals.values()), TermShape((width_of_all,), True)))
    states = tuple(CellState(name, total.shape.dimensions[0]) for name, total in totals.items())
    return MetricSteps(rows, Step(metric.name, width, (), states, (*constants, *results), value))


def _number_of_row(term: Term) -> Term:
    """A row's number as a row of width 1."""
    shape = TermShape((1,), True)
    return term if term.shape == shape else Spread(term, shape)


def _read(term: Term) -> Iterator[str]:
    """The names of the variables in a term."""
    pending = [term]
    while pending:
        each = pending.pop()
        if isinstance(each, Variable):
            yield each.name
        pending.extend(operands(each))


def check_arguments(declared: ast.Loss | ast.Metric, given: Config, width: int, own: OwnEquations, use: Span) -> None:
    """Raises `CheckError`, at the place of its `use`, for an argument beyond a bound that depends on another one or on the width."""
    parameters = {name: located(value, use) for name, value in given.arguments}
    names = _names(declared, given, parameters, width, own, Hoisted())
    check_late_bounds(given.name, declared.parameters, parameters, names.scope, partial(constant_of, names=names))


def _run(
    declared: ast.Loss | ast.Metric, given: Config, width: int, own: OwnEquations, report: Report | None
) -> tuple[Term, EquationNames]:
    """The value that a loss or a metric returns, and the names of its equations."""
    parameters = {name: located(value, declared.name.span) for name, value in given.arguments}
    names = _names(declared, given, parameters, width, own, Hoisted(report, sums=isinstance(declared, ast.Metric)))
    check_late_bounds(given.name, declared.parameters, parameters, names.scope, partial(constant_of, names=names))
    value = calls.run(declared, declared.statements, names)
    if value is None:
        raise CheckError(errors.cells.NoReturn(span=declared.name.span, owner=f"the {type(declared).__name__.lower()} {given.name}"))
    return as_term(value, declared.name.span), names


def _names(
    declared: ast.Loss | ast.Metric,
    given: Config,
    parameters: Mapping[str, LocatedValue],
    width: int,
    own: OwnEquations,
    hoisted: Hoisted,
) -> EquationNames:
    """The names that a loss's or a metric's equations begin with."""
    library = standard_library.functions(own.functions if is_own(declared, own) else {})
    rows = {"prediction": width, "target": target_width(declared, width)}
    values = {name: Variable(name, TermShape((columns,), True)) for name, columns in rows.items()}
    owner, targets = f"the {type(declared).__name__.lower()} `{given.name}`", calls.targets_of(declared.statements)
    return EquationNames(Scope(parameters, own=own), {**values}, set(), targets, library, calls.call, owner, hoisted)


def is_own(declared: ast.Loss | ast.Metric, own: OwnEquations) -> bool:
    """Whether the spec declares a loss or a metric, rather than the library."""
    known = own.losses if isinstance(declared, ast.Loss) else own.metrics
    return known.get(declared.name.text) is declared
