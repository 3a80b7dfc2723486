"""Faults of a function, a loss or a metric that show before anything calls it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from rnnspec.contract.metric_names import SEQUENCE_LOSSES, computed_name
from rnnspec.diagnostics import Diagnostic, Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.cells.declaration_checks import kind_faults
from rnnspec.frontend.cells.declared_names import every_statement, names_read
from rnnspec.frontend.cells.functions import FUNCTIONS, RESERVED
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

OF_A_LOSS = {"prediction": "the model's output", "target": "what the output is held against"}

TARGETS = ("values", "probabilities", "binary", "class")
"""What can be said of a target: any numbers, numbers in 0 .. 1, 0 or 1, or one class number."""


def faults(declared: ast.Equations) -> Iterator[Diagnostic]:
    """Errors and warnings: names that mean something else, another target, statements that can't be there or are never reached."""
    yield from _name(declared)
    yield from _parameters(declared)
    if not isinstance(declared, ast.Function):
        yield from _target(declared)
    yield from _statements(declared.statements, stepwise=isinstance(declared, ast.Loss) and has_states(declared))
    if not any(isinstance(each, ast.Return) for each in every_statement(declared.statements)):
        yield errors.cells.NoReturn(span=declared.name.span, owner=f"the {type(declared).__name__.lower()} {declared.name.text}")
    read = set(names_read(declared.statements))
    for target in _targets(declared.statements):
        if target.text not in read and not target.text.startswith("_") and not target.primed:
            yield errors.cells.UnusedEquation(span=target.span, name=target.text)


def _name(declared: ast.Equations) -> Iterator[Diagnostic]:
    name, owner = declared.name.text, ""
    match declared:
        case ast.Function():
            owner = "a function of the language" if name in RESERVED else ""
        case ast.Loss():
            owner = "a loss of whole sequences" if name in SEQUENCE_LOSSES else ""
        case ast.Metric():
            owner = "the metric that fits its loss" if computed_name(name) is not None else ""
    if owner:
        yield errors.names.DuplicateName(span=declared.name.span, name=name, owner=owner)


def _parameters(declared: ast.Equations) -> Iterator[Diagnostic]:
    taken = dict.fromkeys(FUNCTIONS - ACTIVATIONS.keys(), "a function")
    if not isinstance(declared, ast.Function):
        taken |= OF_A_LOSS
    places: dict[str, Span] = {}
    for parameter in declared.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in taken:
            yield errors.names.DuplicateName(span=span, name=name, owner=taken[name])
        elif name in places:
            secondary = (Label(places[name], "declared here"),)
            yield errors.names.DuplicateName(span=span, name=name, owner="another parameter", secondary=secondary)
        places.setdefault(name, span)
    yield from kind_faults(declared.name.text, declared.parameters, _read_by_bounds(declared))


def _read_by_bounds(declared: ast.Equations) -> Sequence[str]:
    """The names besides parameters that bounds may read."""
    match declared:
        case ast.Function():
            return ()
        case ast.Metric():
            return tuple(OF_A_LOSS)
        case ast.Loss():
            return (*OF_A_LOSS, *(("features",) if has_states(declared) else ()))
        case _:
            assert_never(declared)


def _target(declared: ast.Loss | ast.Metric) -> Iterator[Diagnostic]:
    target, unlabelled = declared.target, declared.unlabelled
    if target is not None and target.text not in TARGETS:
        expected = f"a target is one of {', '.join(TARGETS)}"
        yield errors.names.UnknownName(span=target.span, name=target.text, expected=expected, help=nearest(target.text, TARGETS))
    elif target is not None and unlabelled is not None and target.text != "class":
        yield errors.cells.UnfitOperand(span=target.span, place="`except`", expected="a target that is a class", found=f"`{target.text}`")
    parameters = [parameter.name.text for parameter in declared.parameters]
    if unlabelled is not None and unlabelled.text not in parameters:
        expected, help_ = "a parameter is expected, whose value is the class of rows without a label", nearest(unlabelled.text, parameters)
        yield errors.names.UnknownName(span=unlabelled.span, name=unlabelled.text, expected=expected, help=help_)


def has_states(declared: ast.Loss) -> bool:
    """Whether a loss is one of a whole sequence, whose equations are those of a step."""
    return any(isinstance(statement, ast.States) for statement in every_statement(declared.statements))


def _statements(statements: Sequence[ast.CellStatement], *, stepwise: bool) -> Iterator[Diagnostic]:
    """What can't stand in equations of a row, and the first statement that isn't reached. `stepwise`: they are those of a step."""
    ended = False
    for statement in statements:
        if ended:
            yield errors.cells.AfterReturn(span=statement.span)
            return
        match statement:
            case ast.Weight() | ast.States():
                if not stepwise:
                    word = "weight" if isinstance(statement, ast.Weight) else "state"
                    reason = f"`{word}` is a statement of a cell, and of a loss with states"
                    yield errors.syntax.MisplacedStatement(span=statement.span, word=word, reason=reason)
            case ast.When(body=body, otherwise=otherwise):
                sides = [body.statements] if otherwise is None else [body.statements, otherwise.statements]
                for side in sides:
                    yield from _statements(side, stepwise=stepwise)
                ended = otherwise is not None and all(map(_ends, sides))
            case ast.Return():
                ended = True
            case ast.Equation(targets=targets):
                if not stepwise:
                    yield from (errors.cells.NotAState(span=each.span, name=each.text) for each in targets if each.primed)


def _ends(statements: Sequence[ast.CellStatement]) -> bool:
    """Whether nothing behind the statements is reached."""
    match statements[-1] if statements else None:
        case ast.Return():
            return True
        case ast.When(body=body, otherwise=otherwise):
            return otherwise is not None and _ends(body.statements) and _ends(otherwise.statements)
        case ast.Weight() | ast.States() | ast.Equation() | None:
            return False


def _targets(statements: Sequence[ast.CellStatement]) -> Iterator[ast.Name]:
    """The names on the left of equations, each once."""
    seen: set[str] = set()
    for statement in every_statement(statements):
        for target in statement.targets if isinstance(statement, ast.Equation) else ():
            if target.text not in seen:
                yield target
            seen.add(target.text)
