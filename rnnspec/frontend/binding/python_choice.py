"""A loss or a metric that Python names, with its arguments."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, cast

import numpy as np

from rnnspec.contract.metric_names import computed_metric
from rnnspec.contract.objective import UnknownEquations
from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import checked, declared_equations, located, plain
from rnnspec.frontend.binding.equation_arguments import equation_arguments
from rnnspec.frontend.binding.late_bounds import check_late_bounds, known_or_none
from rnnspec.frontend.binding.values import NOTHING_OWN, CheckError, OwnEquations, Scope
from rnnspec.frontend.catalogue.argument_types import REQUIRED, Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.catalogue.entries import Catalogue
from rnnspec.frontend.syntax import ast
from rnnspec.source import SourceFile, Span

_NOWHERE = Span(SourceFile("", ""), 0, 0)


def config_of(family: Literal["loss", "metric"], given: Config, own: OwnEquations, width: int, classes: bool) -> Config:
    """The member of the family with every argument, beside predictions of a width and targets that may be class numbers.

    UnknownEquations for an unknown name, ValueError for arguments that don't fit.
    """
    kind = Family.LOSS if family == "loss" else Family.METRIC
    catalogue = FAMILIES[kind]
    declared = declared_equations(kind, given.name, own)
    if declared is None and (name := _spelled(given.name, catalogue)) is not None:
        chosen = computed_metric(name, width, classes) if kind is Family.METRIC else name
        if chosen != name and given.arguments:
            raise ValueError(f"metric {name} takes no arguments, got {dict(given.arguments)}")
        declared = declared_equations(kind, chosen, own)
    if declared is None:
        raise UnknownEquations(tuple(dict.fromkeys((*own.of(kind), *(entry.name for entry in catalogue.values())))))
    return Config(declared.name.text, _filled(family, given, declared, own))


def check_arguments(family: Literal["loss", "metric"], given: Config) -> None:
    """Raises ValueError for an argument that a loss or a metric of the library can't have at any width of predictions."""
    kind = Family.LOSS if family == "loss" else Family.METRIC
    declared = declared_equations(kind, given.name, NOTHING_OWN)
    if declared is None:
        return
    values = {name: located(value, _NOWHERE) for name, value in _filled(family, given, declared, NOTHING_OWN)}
    try:
        check_late_bounds(given.name, declared.parameters, values, Scope({}), partial(known_or_none, scope=Scope(values)))
    except CheckError as fault:
        raise ValueError(in_a_line(family, given.name, fault)) from None


def _filled(family: str, given: Config, declared: ast.Equations, own: OwnEquations) -> tuple[tuple[str, ArgumentValue], ...]:
    """Every argument, as its kind has it, defaults filled in; ValueError for one that is unknown, missing, or of another kind."""
    arguments = {argument.name: argument for argument in equation_arguments(declared)}
    named = {name: _plain_value(f"{family} {given.name}: {name}", value) for name, value in given.arguments}
    if unknown := named.keys() - arguments.keys():
        has = f"it has {', '.join(arguments)}" if arguments else "it has none"
        raise ValueError(f"{family} {given.name}: no argument {sorted(unknown)[0]}; {has}")
    found: list[tuple[str, ArgumentValue]] = []
    for name, argument in arguments.items():
        value = named.get(name, argument.default)
        if value is REQUIRED:
            raise ValueError(f"{family} {given.name}: {name} is missing")
        try:
            fitting = checked(argument, located(value, _NOWHERE), given.name, Scope({}, own=own))
        except CheckError as fault:
            raise ValueError(in_a_line(family, given.name, fault)) from None
        found.append((name, plain(fitting)))
    return tuple(found)


def in_a_line(family: str, name: str, fault: CheckError) -> str:
    """The faults of a loss or a metric in a line: ``metric auc: `k` expects a whole number of at least 1, got 0``, and advice."""
    said: list[str] = []
    for each in fault.diagnostics:
        if isinstance(each, errors.names.WrongValue):
            told = replace(each, owner=each.owner.removesuffix(f" of {name}"))
            said.append("; ".join((f"{told.message}, {told.label_text}", *told.helps)))
        else:
            said.append(each.message)
    return f"{family} {name}: {'; '.join(said)}"


def _plain_value(what: str, given: object) -> ArgumentValue:
    """A value of Python or numpy as an argument has it, lists as tuples; ValueError, naming `what`, for what no argument can be."""
    value = cast(object, given.tolist()) if isinstance(given, np.ndarray | np.generic) else given
    if isinstance(value, list | tuple):
        return tuple(_plain_value(what, each) for each in cast("list[object]", value))
    if value is not None and not isinstance(value, bool | int | float | str | Config):
        raise ValueError(f"{what}: expected numbers, a text, True, False or None, got {type(cast(object, given)).__name__}")
    if isinstance(value, int) and value.bit_length() > 1000:
        raise ValueError(f"{what}: a number that is too large")
    return value


def _spelled(name: str, catalogue: Catalogue) -> str | None:
    """The name of the entry that is spelled so but for capitals and underscores; None if there is none."""
    if name in catalogue:
        return catalogue[name].name
    plain = _plain(name)
    return next((entry.name for spelling, entry in catalogue.items() if _plain(spelling) == plain), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
