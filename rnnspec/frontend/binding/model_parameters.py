"""A model's compile-time parameters: their defaults, overridden from outside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from numbers import Integral, Real
from typing import TypeAlias, cast

from rnnspec.diagnostics import Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import checked
from rnnspec.frontend.binding.constants import INTEGER_LIMIT, evaluate
from rnnspec.frontend.binding.declared_kinds import declared_argument
from rnnspec.frontend.binding.late_bounds import check_late_bounds, known_or_none
from rnnspec.frontend.binding.values import NOTHING_OWN, CheckError, LocatedValue, OwnEquations, Report, Scope, Value, describe
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

MOST_DEEP = 8
"""Lists inside of each other in a parameter from outside; a model file holds no more."""

MOST_SHOWN = 80

ParameterValue: TypeAlias = "int | float | bool | str | Sequence[ParameterValue] | None"
"""A parameter from outside; a text also stands for a name, such as "tanh"."""


def model_scope(model: ast.Model, overrides: Mapping[str, ParameterValue], report: Report, own: OwnEquations = NOTHING_OWN) -> Scope:
    """The model's parameters by name; what is wrong is reported."""
    declared = {parameter.name.text: parameter for parameter in model.parameters}
    known = f"has {', '.join(f'`{name}`' for name in declared)}" if declared else "has no parameters"
    for name in overrides:
        if name not in declared:
            help_ = nearest(name, declared)
            report.add(errors.names.UnknownParameter(span=model.name.span, model=model.name.text, name=name, known=known, help=help_))
    values: dict[str, LocatedValue] = {}
    places: dict[str, Span] = {}
    for parameter in model.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in places:
            secondary = (Label(places[name], "declared here"),)
            report.add(errors.names.DuplicateName(span=span, name=name, owner="another parameter", secondary=secondary))
            continue
        before = _scope(values, places, own)
        places[name] = span
        with report.catching():
            default = None if parameter.default is None else evaluate(parameter.default, before)
            argument = declared_argument(parameter)
            if name in overrides:
                given = _override(name, overrides[name], default if argument is None else None, span)
            elif default is not None:
                given = default
            else:
                raise CheckError(errors.names.MissingParameter(span=span, name=name))
            if argument is not None:
                given = checked(argument, given, model.name.text, before)
                check_late_bounds(model.name.text, [parameter], {name: given}, before, partial(known_or_none, scope=before))
            values[name] = given
    return _scope(values, places, own)


def _scope(values: Mapping[str, LocatedValue], seen: Mapping[str, Span], own: OwnEquations) -> Scope:
    return Scope(dict(values), frozenset(name for name in seen if name not in values), own=own)


def _override(name: str, outside: object, default: LocatedValue | None, span: Span) -> LocatedValue:
    value = _value(outside, span)
    if default is not None and not _alike(value, default.value):
        raise CheckError(
            errors.names.UnfitParameter(span=span, name=name, found=describe(value), expected=f"its default is {describe(default.value)}")
        )
    return LocatedValue(value, span)


def _value(outside: object, span: Span, depth: int = MOST_DEEP) -> Value:
    match outside:
        case None | bool() | str():
            return outside
        case Integral():
            if abs(int(outside)) <= INTEGER_LIMIT:
                return int(outside)
        case Real():
            if math.isfinite(number := _float(outside)):
                return number
        case list() | tuple() if depth:
            return tuple(LocatedValue(_value(item, span, depth - 1), span) for item in cast(Sequence[object], outside))
        case _:
            pass
    expected = "expected a finite number, a text, true, false, none or a list of these"
    raise CheckError(errors.names.UnfitParameter(span=span, name=span.text, found=_shown(outside), expected=expected))


def _float(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _shown(outside: object) -> str:
    """A value that is no parameter, in few characters: Python refuses to print a number of many digits, and a list may hold itself."""
    match outside:
        case Integral() | Fraction() if abs(int(outside)) >= 10**40:
            return "a number of more than 40 digits"
        case list() | tuple():
            return f"lists more than {MOST_DEEP} deep in each other"
        case _:
            text = repr(outside)
            return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def _alike(value: Value, default: Value) -> bool:
    """Whether a value can stand where the default stood: a number for a number, a text for a name."""
    return _category(value) == _category(default) or default is None or value is None


def _category(value: Value) -> str:
    match value:
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case tuple():
            return "list"
        case _:
            return "name"


def constant(text: str) -> ParameterValue:
    """A parameter as the command line gives it: a number, true, false, none, or else a text."""
    words: Mapping[str, ParameterValue] = {"true": True, "false": False, "none": None}
    if text in words:
        return words[text]
    try:
        return int(text) if len(text) < 20 else float(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
