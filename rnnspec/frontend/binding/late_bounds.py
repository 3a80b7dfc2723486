"""Bounds that read other parameters or a width, held where those are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import checked
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.declared_kinds import declared_argument, limits_of, number
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, LocatedValue, Scope, Symbol, describe
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_names import names_in


def check_late_bounds(
    callee: str,
    parameters: Sequence[ast.Parameter],
    values: Mapping[str, LocatedValue],
    scope: Scope,
    value_of: Callable[[ast.Expression], LocatedValue],
) -> None:
    """Raises `CheckError` for the first value beyond a bound that reads names, which `value_of` gives; `none` limits nothing."""
    for parameter in parameters:
        late = [each for alternative in parameter.kind for each in limits_of(alternative) if any(names_in([each]))]
        given = values.get(parameter.name.text)
        if not late or given is None:
            continue
        found: dict[str, LocatedValue] = {}

        def limit(
            bound: ast.Expression, parameter: ast.Parameter = parameter, found: dict[str, LocatedValue] = found
        ) -> int | float | None:
            known = value_of(bound)
            if any(names_in([bound])):
                found[bound.span.text] = known
            if problem := _problem(parameter, bound, known):
                raise CheckError(errors.names.UnfitDeclaration(span=bound.span, name=parameter.name.text, problem=problem))
            return number(known.value)

        argument = declared_argument(parameter, limit)
        if argument is None:
            continue
        try:
            checked(argument, given, callee, scope)
        except CheckError as fault:
            here = " and ".join(f"`{text}` is {describe(known.value)}" for text, known in found.items())
            raise CheckError(*(replace(each, help=f"{here} here" if here else each.help) for each in fault.diagnostics)) from None


def _problem(parameter: ast.Parameter, bound: ast.Expression, known: LocatedValue) -> str:
    """What is wrong with the value of a bound or a length; empty for nothing."""
    if known.value is None:
        return ""
    value = number(known.value)
    if any(isinstance(each, ast.Range) and each.length is bound for each in parameter.kind):
        return "" if value is not None and value >= 1 and value % 1 == 0 else f"a length is a whole number, not {describe(known.value)}"
    return f"a bound is a number, not {describe(known.value)}" if value is None else ""


def known_or_none(bound: ast.Expression, scope: Scope) -> LocatedValue:
    """The value of a bound by the parameters in a scope; none, which limits nothing, where it reads what has no value yet."""
    try:
        known = evaluate(bound, scope)
    except (CheckError, AlreadyReported):
        return LocatedValue(None, bound.span)
    return LocatedValue(None, bound.span) if isinstance(known.value, Symbol | CallValue) else known
