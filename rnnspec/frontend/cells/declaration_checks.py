"""What declarations say of their parameters: faults that show before anything uses them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from rnnspec.diagnostics import Diagnostic, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import checked
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.declared_kinds import constant_limit, declared_argument, limits_of
from rnnspec.frontend.binding.values import CheckError, Scope
from rnnspec.frontend.catalogue.argument_types import Float, Int, Several
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_names import names_in

_WITH_BOUNDS = ("int", "ints", "float", "floats")
_WITH_LENGTH = ("ints", "floats")

_OTHERWISE = {
    **dict.fromkeys(("integer", "whole"), "int"),
    **dict.fromkeys(("integers", "list"), "ints"),
    **dict.fromkeys(("number", "real", "double"), "float"),
    **dict.fromkeys(("numbers", "reals"), "floats"),
    **dict.fromkeys(("boolean", "flag", "true", "false"), "bool"),
    **dict.fromkeys(("text", "string", "str", "texts"), '"one" or "two"'),
}
"""Words of other languages for sorts of values."""


def kind_faults(
    owner: str, parameters: Sequence[ast.Parameter], known: Collection[str] = (), *, calls: bool = True
) -> Iterator[Diagnostic]:
    """What is wrong with the declared kinds.

    `known`: names besides earlier parameters that a bound may read. `calls`: whether a bound may call functions, as equations can.
    """
    before = set(known)
    for parameter in parameters:
        faults = [
            fault for each in parameter.kind for fault in _of_alternative(each, parameter.name.text, before, FUNCTIONS if calls else ())
        ]
        faults += _repeated(parameter)
        yield from faults
        if parameter.kind and not faults and parameter.default is not None and not any(names_in([parameter.default])):
            yield from _of_default(owner, parameter, parameter.default)
        before.add(parameter.name.text)


def _of_alternative(alternative: ast.Alternative, name: str, known: Collection[str], called: Collection[str]) -> Iterator[Diagnostic]:
    if not isinstance(alternative, ast.Range):
        return
    word = alternative.word
    if word.text not in ast.SORTS:
        help_ = nearest(word.text, ast.SORTS) or (f"write `{_OTHERWISE[word.text]}`" if word.text in _OTHERWISE else "")
        help_ = help_ or f"there are {', '.join(f'`{each}`' for each in ast.SORTS)}, texts and `none`"
        yield errors.names.UnknownName(span=word.span, name=word.text, expected="no sort of values has this name", help=help_)
        return
    if alternative.length is not None and word.text not in _WITH_LENGTH:
        yield _unfit(alternative.length, name, f"`{word.text}` has no length, as `ints` and `floats` have")
    if (alternative.low or alternative.high) and word.text not in _WITH_BOUNDS:
        yield _unfit(alternative, name, f"`{word.text}` has no bounds, as numbers have")
    complete = True
    for limit in limits_of(alternative):
        names = [each for each in names_in([limit]) if isinstance(each, ast.Identifier) or not each.primed]
        unknown = [each for each in names if each.text not in known and not (isinstance(each, ast.Identifier) and each.text in called)]
        for each in unknown:
            expected = "a bound reads parameters before its own"
            yield errors.names.UnknownName(span=each.span, name=each.text, expected=expected, help=nearest(each.text, known))
        if any(True for _ in names_in([limit])):
            continue
        try:
            evaluate(limit, Scope({}))
        except CheckError as fault:
            complete = False
            yield from fault.diagnostics
            continue
        value = constant_limit(limit)
        if limit is alternative.length and (value is None or value < 1 or value % 1):
            yield _unfit(limit, name, "a length is a whole number of at least 1")
        elif value is None:
            complete = False
            yield _unfit(limit, name, "a bound is a number")
    if complete and _is_empty(alternative, name):
        yield _unfit(alternative, name, "no number is between these bounds")


def _unfit(place: ast.Node, name: str, problem: str) -> Diagnostic:
    return errors.names.UnfitDeclaration(span=place.span, name=name, problem=problem)


def _is_empty(sort: ast.Range, name: str) -> bool:
    argument = declared_argument(ast.Parameter(sort.span, ast.Identifier(sort.span, name), None, (sort,)))
    kind = None if argument is None else argument.kind
    match kind.of if isinstance(kind, Several) else kind:
        case Int(minimum, maximum):
            return minimum > maximum
        case Float(float() | int() as least, float() | int() as most, below, above):
            return least > most or (least == most and (below or above))
        case _:
            return False


def _repeated(parameter: ast.Parameter) -> Iterator[Diagnostic]:
    seen: list[ast.Alternative] = []
    for each in parameter.kind:
        if each in seen:
            yield _unfit(each, parameter.name.text, "said twice")
        seen.append(each)


def _of_default(owner: str, parameter: ast.Parameter, default: ast.Expression) -> Iterator[Diagnostic]:
    """A default that the declaration excludes."""
    argument = declared_argument(parameter)
    if argument is None:
        return
    with suppress(CheckError):
        given = evaluate(default, Scope({}))
        try:
            checked(argument, given, owner, Scope({}))
        except CheckError as fault:
            yield from fault.diagnostics
