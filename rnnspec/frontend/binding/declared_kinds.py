"""What a declaration says that its parameters may be, as arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor
from typing import TypeAlias, assert_never

from rnnspec.contract.arguments import LARGEST_INT
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.values import CheckError, Scope
from rnnspec.frontend.catalogue.argument_types import AnyValue, ArgumentSpec, ChoiceOf, Either, Family, Flag, Float, Int, OneOf, Several
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_names import names_in

Limit: TypeAlias = Callable[[ast.Expression], "int | float | None"]
"""The value of a bound or a length; None where it isn't known, so that it limits nothing yet."""


def constant_limit(bound: ast.Expression) -> int | float | None:
    """The value of a bound that reads no name."""
    if any(names_in([bound])):
        return None
    try:
        return number(evaluate(bound, Scope({})).value)
    except CheckError:  # reported where it is declared
        return None


def number(value: object) -> int | float | None:
    """The value of a bound, if it is a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def declared_argument(parameter: ast.Parameter, limit: Limit = constant_limit) -> ArgumentSpec | None:
    """The argument that a parameter's declaration says, without its default; None if it says nothing.

    Of texts and `none` alone it is one of these words.
    """
    if not parameter.kind:
        return None
    name = parameter.name.text
    texts = [each.value for each in parameter.kind if isinstance(each, ast.Text)]
    sorts = [_sort(each, limit) for each in parameter.kind if isinstance(each, ast.Range)]
    optional = any(isinstance(each, ast.Nothing) for each in parameter.kind)
    if not sorts:
        return ArgumentSpec(name, OneOf((*texts, None) if optional else tuple(texts)), optional=optional)
    optional = optional or ChoiceOf(Family.ACTIVATION) in sorts
    several = [*([OneOf(tuple(texts))] if texts else []), *(each for each in sorts if not isinstance(each, AnyValue))]
    if not several or len(several) < len(sorts):
        return ArgumentSpec(name, AnyValue(), optional=optional)
    words = [*(each.expected for each in several), *(["none"] if optional and len(several) > 1 else [])]
    kind = several[0] if len(several) == 1 else Either(tuple(several), ", or ".join(words))
    return ArgumentSpec(name, kind, optional=optional)


def _sort(sort: ast.Range, limit: Limit) -> Flag | Int | Float | Several | ChoiceOf | AnyValue:
    """The values of a sort; any value for a word that is none, which is reported where it is declared."""
    match sort.word.text:
        case "bool":
            return Flag()
        case "activation":
            return ChoiceOf(Family.ACTIVATION)
        case "initializer":
            return ChoiceOf(Family.INITIALIZER)
        case "int":
            return _int(sort, limit)
        case "float":
            return _float(sort, limit)
        case "ints" | "floats":
            length = None if sort.length is None else limit(sort.length)
            of = _int(sort, limit) if sort.word.text == "ints" else _float(sort, limit)
            return Several(of, None if length is None else int(length))
        case _:
            return AnyValue()


def _int(sort: ast.Range, limit: Limit) -> Int:
    low, high = _value(sort.low, limit), _value(sort.high, limit)
    minimum, maximum = -LARGEST_INT, LARGEST_INT
    if sort.low is not None and low is not None:
        minimum = floor(low) + 1 if sort.low.strict else ceil(low)
    if sort.high is not None and high is not None:
        maximum = ceil(high) - 1 if sort.high.strict else floor(high)
    return Int(minimum, maximum)


def _float(sort: ast.Range, limit: Limit) -> Float:
    low, high = sort.low, sort.high
    return Float(
        _value(low, limit),
        _value(high, limit),
        below_maximum=high is not None and high.strict,
        above_minimum=low is not None and low.strict,
    )


def _value(bound: ast.Bound | None, limit: Limit) -> int | float | None:
    return None if bound is None else limit(bound.value)


def limits_of(alternative: ast.Alternative) -> Iterator[ast.Expression]:
    """The bounds and the length of what a parameter may be."""
    match alternative:
        case ast.Range(low=low, high=high, length=length):
            yield from (each.value for each in (low, high) if each is not None)
            yield from (each for each in (length,) if each is not None)
        case ast.Text() | ast.Nothing():
            pass
        case _:
            assert_never(alternative)
