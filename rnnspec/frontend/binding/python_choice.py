"""A loss or a metric that Python names, with its arguments."""

from __future__ import annotations

from typing import Literal

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import no_such_name
from rnnspec.frontend.binding.bind import checked, equation_arguments
from rnnspec.frontend.binding.values import CheckError, LocatedValue, OwnEquations, Scope, Value
from rnnspec.frontend.catalogue.argument_types import REQUIRED, Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.source import SourceFile, Span

_NOWHERE = Span(SourceFile("", ""), 0, 0)


def config_of(family: Literal["loss", "metric"], given: Config, own: OwnEquations) -> Config:
    """The member of the family with every argument; ValueError for an unknown name and for arguments that don't fit."""
    kind = Family.LOSS if family == "loss" else Family.METRIC
    catalogue = FAMILIES[kind]
    declared: ast.Equations | None = own.of(kind).get(given.name)
    if declared is None and given.name in catalogue:
        name = catalogue[given.name].name
        library = standard_library.losses({}) if kind is Family.LOSS else standard_library.metrics({})
        declared = library.get(name)
    if declared is None:
        raise ValueError(no_such_name(family, given.name, (*own.of(kind), *catalogue)))
    arguments = {argument.name: argument for argument in equation_arguments(declared)}
    named = dict(given.arguments)
    if unknown := named.keys() - arguments.keys():
        has = f"it has {', '.join(arguments)}" if arguments else "it has none"
        raise ValueError(f"{family} {given.name}: no argument {sorted(unknown)[0]}; {has}")
    found: list[tuple[str, float | int | bool | str | None]] = []
    for name, argument in arguments.items():
        if name not in named and argument.default is REQUIRED:
            raise ValueError(f"{family} {given.name}: {name} is missing")
        value: object = named.get(name, argument.default)
        if not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"{family} {given.name}: {name} is a number, True, False or None, not {value!r}")
        try:
            fitting: Value = checked(argument, LocatedValue(value, _NOWHERE), given.name, Scope({})).value
        except CheckError as fault:
            raise ValueError(f"{family} {given.name}: {fault.diagnostics[0].message}") from None
        assert isinstance(fitting, bool | int | float | str | None)
        found.append((name, fitting))
    return Config(declared.name.text, tuple(found))
