"""The parameters of functions, losses and metrics as arguments."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.declared_kinds import declared_argument
from rnnspec.frontend.binding.values import CallValue, CheckError, LocatedValue, Scope, Symbol, describe
from rnnspec.frontend.catalogue.argument_types import REQUIRED, AnyValue, ArgumentSpec, ChoiceOf, Flag, Numbers
from rnnspec.frontend.syntax import ast


def equation_arguments(declared: ast.Equations) -> list[ArgumentSpec]:
    """The arguments of a loss, a metric, or a function as an activation, whose first parameter is the value."""
    return [_argument(parameter) for parameter in declared.parameters[isinstance(declared, ast.Function) :]]


def _argument(parameter: ast.Parameter) -> ArgumentSpec:
    """A parameter of equations as an argument: of the kind that is declared, else of that of its default."""
    name, declared = parameter.name.text, declared_argument(parameter)
    given = None if parameter.default is None else evaluate(parameter.default, Scope({}))
    if declared is not None and isinstance(declared.kind, ChoiceOf) and given is not None and isinstance(given.value, Symbol):
        return replace(declared, default=given.value.name)
    default = REQUIRED if given is None else plain_constant(given, name)
    if declared is not None:
        return replace(declared, default=default)
    match default:
        case tuple():
            return ArgumentSpec(name, Numbers(), default)
        case bool():
            return ArgumentSpec(name, Flag(), default)
        case int() | float():
            return ArgumentSpec(name, Numbers(), float(default))
        case _:
            return ArgumentSpec(name, AnyValue(), default)


def plain_constant(given: LocatedValue, name: str) -> int | float | bool | str | tuple[float, ...] | None:
    """A plain value, or a list of numbers; `CheckError` for another one."""
    items = given.value if isinstance(given.value, tuple) else ()
    numbers = tuple(float(item.value) for item in items if isinstance(item.value, int | float) and not isinstance(item.value, bool))
    if isinstance(given.value, Symbol | CallValue | Config) or len(numbers) != len(items):
        expected = "a number, a list of numbers, a text, true, false or none"
        raise CheckError(errors.names.WrongValue(span=given.span, owner=f"`{name}`", expected=expected, found=describe(given.value)))
    return numbers if isinstance(given.value, tuple) else given.value
