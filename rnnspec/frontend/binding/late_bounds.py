"""Bounds that read other parameters or a width, held where those are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rnnspec.frontend.binding.bind import checked
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.declared_kinds import declared_kind, limits_of, number
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, LocatedValue, Scope, describe
from rnnspec.frontend.catalogue.argument_types import REQUIRED, ArgumentSpec
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

        def limit(bound: ast.Expression, found: dict[str, LocatedValue] = found) -> int | float | None:
            known = value_of(bound)
            if any(names_in([bound])):
                found[bound.span.text] = known
            return number(known.value)

        kind = declared_kind(parameter, limit)
        if kind is None:
            continue
        try:
            checked(ArgumentSpec(parameter.name.text, kind.of, REQUIRED, kind.optional), given, callee, scope)
        except CheckError as fault:
            here = " and ".join(f"`{text}` is {describe(known.value)}" for text, known in found.items())
            raise CheckError(*(replace(each, help=f"{here} here" if here else each.help) for each in fault.diagnostics)) from None


def known_or_none(bound: ast.Expression, scope: Scope) -> LocatedValue:
    """The value of a bound by the parameters in a scope; none, which limits nothing, where it reads what has no value yet."""
    try:
        return evaluate(bound, scope)
    except (CheckError, AlreadyReported):
        return LocatedValue(None, bound.span)
