"""Arguments of a call: matched to their names, checked against their types."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import assert_never

from rnnspec.contract.arguments import LARGEST_INT
from rnnspec.contract.data_roles import COLUMNS
from rnnspec.contract.optimizer_arguments import optimizer_problem
from rnnspec.contract.schedule_arguments import schedule_problem
from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.contract.written_paths import path_problem
from rnnspec.diagnostics import Diagnostic, InternalError, Label, nearest, nearest_name
from rnnspec.frontend import errors
from rnnspec.frontend.binding import keras_advice
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.equation_arguments import equation_arguments, plain_constant
from rnnspec.frontend.binding.value_kinds import axes, is_list, is_number, texts
from rnnspec.frontend.binding.values import CallValue, CheckError, LocatedValue, OwnEquations, Report, Scope, Symbol, Value, describe
from rnnspec.frontend.catalogue import argument_types
from rnnspec.frontend.catalogue.argument_types import REQUIRED, ArgumentSpec, ChoiceOf, Family
from rnnspec.frontend.catalogue.choices import FAMILIES, REFUSALS, RISING, names_a_member
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.frozen import frozen
from rnnspec.source import Span

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@frozen
class Bindings:
    """Checked arguments of a call by name. InternalError from a reader that is for another type of argument."""

    values: Mapping[str, LocatedValue]

    def given(self, name: str) -> LocatedValue:
        """The value with its place in the spec."""
        return self.values[name]

    def span(self, name: str) -> Span:
        """The place of the value, or of the callee for a default."""
        return self.values[name].span

    def whole(self, name: str) -> int:
        """The value of an integer argument."""
        value = self.values[name].value
        if isinstance(value, int):
            return value
        raise _unchecked(name)

    def integers(self, name: str) -> tuple[int, ...]:
        """The integers of a list argument; a single integer is a list of length one."""
        value = self.values[name].value
        items = [item.value for item in value] if isinstance(value, tuple) else [value]
        return tuple(item for item in items if isinstance(item, int))

    def real(self, name: str) -> float:
        """The value of a numeric argument, as a float."""
        value = self.values[name].value
        if isinstance(value, int | float):
            return float(value)
        raise _unchecked(name)

    def flag(self, name: str) -> bool:
        """The value of a true-or-false argument."""
        value = self.values[name].value
        if isinstance(value, bool):
            return value
        raise _unchecked(name)

    def word(self, name: str) -> str | None:
        """The text of an argument of a few words, such as a layer's name; None for `none`."""
        value = self.values[name].value
        if value is None or isinstance(value, str):
            return value
        raise _unchecked(name)

    def configured(self, name: str) -> Config:
        """The chosen catalogue entry with its own arguments."""
        value = self.values[name].value
        if isinstance(value, Config):
            return value
        raise _unchecked(name)

    def choice(self, name: str) -> Config | None:
        """The chosen catalogue entry with its own arguments; None for `none`."""
        value = self.values[name].value
        if value is None or isinstance(value, Config):
            return value
        raise _unchecked(name)

    def plain(self) -> tuple[tuple[str, ArgumentValue], ...]:
        """All arguments as literals. InternalError if a name or a call is among them."""
        return tuple((name, plain(given)) for name, given in self.values.items())


def _unchecked(name: str) -> InternalError:
    return InternalError(f"the argument {name} wasn't checked against its kind")


_NOWHERE: Mapping[str, str] = MappingProxyType({})


def bind(
    callee: str,
    arguments: Sequence[ArgumentSpec],
    call: ast.Call,
    scope: Scope,
    report: Report,
    elsewhere: Mapping[str, str] = _NOWHERE,
    family: str = keras_advice.LAYER,
) -> Bindings | None:
    """Every argument of `arguments` with its value, defaults filled in; None where something is wrong, which is reported.

    `elsewhere`: names of arguments that aren't this callee's, with advice where they belong. `family`: what the callee is.
    """
    before = report.count
    written = match_arguments(callee, arguments, call, report, elsewhere, family, scope.values)
    values: dict[str, LocatedValue] = {}
    for argument in arguments:
        with report.catching():
            if argument.name in written:
                given = evaluate(written[argument.name], scope)
                values[argument.name] = checked(argument, given, callee, scope)
            elif argument.default is not REQUIRED:
                values[argument.name] = checked(argument, default_of(argument, call.callee.span), callee, scope)
    return Bindings(values) if report.count == before else None


def match_arguments(
    callee: str,
    arguments: Sequence[ArgumentSpec],
    call: ast.Call,
    report: Report,
    elsewhere: Mapping[str, str] = _NOWHERE,
    family: str = keras_advice.LAYER,
    values: Collection[str] = (),
) -> dict[str, ast.Expression]:
    """The written arguments by name; those that are too many, unknown, doubled or missing are reported.

    A missing one isn't where a faulty argument was probably meant to be it. `values`: names that a constant can't be.
    """
    known = {argument.name: argument for argument in arguments}
    positional = [argument.name for argument in arguments if argument.positional]
    written: dict[str, ast.Expression] = {}
    places: dict[str, Span] = {}
    meant: set[str | None] = set()
    named = False
    for place, argument in enumerate(call.arguments):
        if argument.name is None:
            if named:
                report.add(errors.names.PositionalAfterNamed(span=argument.span))
                meant |= known.keys()
                continue
            if place >= len(positional):
                if isinstance(argument.value, ast.Name) and argument.value.text in values:
                    owner = f"each argument of {callee}"
                    report.add(errors.flows.ValueAsConstant(span=argument.span, name=argument.value.text, owner=owner))
                elif place == len(positional):
                    report.add(errors.names.TooManyArguments(span=argument.span, callee=callee, limit=str(len(positional) or "none")))
                continue
            name = positional[place]
        else:
            named, name = True, argument.name.text
            if name not in known:
                fault, other = _unknown_argument(callee, family, argument.name, arguments, elsewhere.get(name, ""))
                report.add(fault)
                meant.add(other)
                continue
        if name in written:
            earlier = (Label(places[name], "given here"),)
            report.add(errors.names.RepeatedArgument(span=argument.span, callee=callee, name=name, secondary=earlier))
            continue
        written[name], places[name] = argument.value, argument.span
    for argument in arguments:
        if argument.default is REQUIRED and argument.name not in written and argument.name not in meant:
            report.add(errors.names.MissingArgument(span=call.callee.span, callee=callee, name=argument.name))
    return written


def _unknown_argument(
    callee: str, family: str, name: ast.Identifier, arguments: Sequence[ArgumentSpec], elsewhere: str
) -> tuple[Diagnostic, str | None]:
    """What is wrong with an argument's name, and the argument that it was probably meant to be."""
    known = [argument.name for argument in arguments]
    today, old = keras_advice.old_argument(name.text, known)
    if not elsewhere and today is None and (keras := keras_advice.keras_argument(family, callee, name.text, name.span)) is not None:
        return keras, None
    help_ = elsewhere or old or nearest(name.text, known) or _list_of(callee, arguments)
    return errors.names.UnknownArgument(span=name.span, callee=callee, name=name.text, help=help_), today or nearest_name(name.text, known)


def default_of(argument: ArgumentSpec, span: Span) -> LocatedValue:
    """The default of an optional argument, located at the callee so that a fault in it has a place; InternalError without a default."""
    if argument.default is REQUIRED:
        raise InternalError(f"the argument {argument.name} has no default")
    return LocatedValue(_written(argument.default, span), span)


def _written(plain: ArgumentValue, span: Span) -> Value:
    if isinstance(plain, tuple):
        return tuple(LocatedValue(_written(item, span), span) for item in plain)
    return plain


def checked(argument: ArgumentSpec, given: LocatedValue, callee: str, scope: Scope) -> LocatedValue:
    """The value as its kind has it (numbers in range, names looked up); raises `CheckError`."""
    try:
        return _as_kind(argument, given, callee, scope)
    except CheckError:
        if isinstance(given.value, Symbol) and given.value.name in scope.values:
            owner = f"`{argument.name}` of {callee}"
            raise CheckError(errors.flows.ValueAsConstant(span=given.span, name=given.value.name, owner=owner)) from None
        raise


def _as_kind(argument: ArgumentSpec, given: LocatedValue, callee: str, scope: Scope) -> LocatedValue:
    kind, value = argument.kind, given.value
    if isinstance(kind, argument_types.DefaultOnly):
        return _unchanged(argument, kind, given, callee)
    if value is None and argument.optional:
        return LocatedValue(Config("linear"), given.span) if kind == ChoiceOf(Family.ACTIVATION) else given
    owner = f"`{argument.name}` of {callee}"
    match kind:
        case argument_types.RecurrentLayer() | argument_types.InnerLayer() | argument_types.CellList() | argument_types.Named():
            return given
        case argument_types.AnyValue():
            if not isinstance(value, Symbol) or names_a_member(value.name) or value.name in scope.own.functions:
                return given
            help_ = nearest(value.name, [*scope.parameters, *FAMILIES[Family.ACTIVATION], *FAMILIES[Family.INITIALIZER]])
            raise CheckError(
                errors.names.UnknownName(span=given.span, name=value.name, expected=f"{owner} expects {kind.expected}", help=help_)
            )
        case argument_types.ChoiceOf(family):
            return LocatedValue(choose(family, given, owner, scope), given.span)
        case argument_types.ListOf(family):
            return LocatedValue(_choose_all(family, given, owner, kind.expected, scope), given.span)
        case argument_types.Floats():
            if isinstance(value, tuple):
                one = ArgumentSpec(argument.name, argument_types.Float())
                return LocatedValue(tuple(checked(one, item, callee, scope) for item in value), given.span)
        case argument_types.PerOutput(of):
            several = isinstance(value, tuple) and (not kind.lists or any(map(is_list, value)))
            if not isinstance(value, tuple) or not several:
                return checked(ArgumentSpec(argument.name, of), given, callee, scope)
            one = ArgumentSpec(argument.name, of, optional=not isinstance(of, argument_types.Float))
            return LocatedValue(tuple(checked(one, item, callee, scope) for item in value), given.span)
        case argument_types.OneOf(words):
            word = value.name if isinstance(value, Symbol) else value
            if word in words and (word is None or isinstance(word, str)):
                return LocatedValue(word, given.span)
            if isinstance(word, str) and (meant := nearest(word, [each for each in words if each is not None])):
                raise CheckError(_wrong_value(owner, kind.expected, given, meant))
        case argument_types.ColumnNames():
            if different := texts(value if isinstance(value, tuple) else (given,)):
                return LocatedValue(different, given.span)
        case argument_types.DataColumns():
            if isinstance(value, CallValue) and value.call.callee.text == COLUMNS:
                return given
        case argument_types.Axes():
            if (one_or_more := axes(value)) is not None:
                return LocatedValue(one_or_more, given.span)
        case argument_types.Flag():
            if isinstance(value, bool):
                return given
        case argument_types.LayerName():
            if isinstance(value, str) and _LABEL.fullmatch(value) and len(value) <= 100:
                return given
        case argument_types.Text():
            text = value.name if isinstance(value, Symbol) and kind.bare else value
            if isinstance(text, str) and re.fullmatch(kind.pattern, text):
                return LocatedValue(text, given.span)
        case argument_types.WrittenPath():
            if isinstance(value, str):
                if problem := path_problem(value, places=kind.places):
                    raise CheckError(errors.names.WrongPath(span=given.span, owner=owner, expected=kind.expected, problem=problem))
                return given
        case argument_types.Several(of, length):
            if isinstance(value, tuple) and value and len(value) == (length or len(value)):
                one = ArgumentSpec(argument.name, of)
                return LocatedValue(tuple(checked(one, item, callee, scope) for item in value), given.span)
            with suppress(CheckError):
                return _as_kind(ArgumentSpec(argument.name, of), given, callee, scope)
        case argument_types.Either(of):
            for each in of:
                with suppress(CheckError):
                    return _as_kind(ArgumentSpec(argument.name, each), given, callee, scope)
        case argument_types.Texts():
            if isinstance(value, tuple) and (different := texts(value)):
                return LocatedValue(different, given.span)
        case argument_types.Int(minimum, maximum):
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and minimum <= value:
                if value <= maximum:
                    return LocatedValue(value, given.span)
                expected = kind.expected if maximum < LARGEST_INT else f"a whole number of at most {maximum}"
                raise CheckError(_wrong_value(owner, expected, given))
        case argument_types.Position():
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= kind.most:
                return given
        case argument_types.Integers():
            items = [item.value for item in value] if isinstance(value, tuple) else [value]
            if items and all(isinstance(item, int) and not isinstance(item, bool) for item in items):
                return given
        case argument_types.AtBothEnds(of):
            items = value if isinstance(value, tuple) else (given, given)
            if len(items) == 2:
                each = ArgumentSpec(argument.name, of)
                return LocatedValue(tuple(checked(each, item, callee, scope) for item in items), given.span)
        case argument_types.Numbers():
            if isinstance(value, int | float) and not isinstance(value, bool):
                return LocatedValue(float(value), given.span)
            if isinstance(value, tuple) and value and all(is_number(item) for item in value):
                return given
        case argument_types.Float():
            if isinstance(value, int | float) and not isinstance(value, bool) and kind.holds(value):
                return LocatedValue(float(value), given.span)
        case argument_types.Rate():
            if isinstance(value, CallValue | Config) or (isinstance(value, Symbol) and keras_advice.is_schedule(value.name)):
                return LocatedValue(choose(Family.SCHEDULE, given, owner, scope), given.span)
            if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
                return LocatedValue(float(value), given.span)
        case _:
            assert_never(kind)
    raise CheckError(_mismatch(owner, kind.expected, given, scope))


def _unchanged(argument: ArgumentSpec, kind: argument_types.DefaultOnly, given: LocatedValue, callee: str) -> LocatedValue:
    """An argument that only its default, or what means the same, is possible for."""
    value = given.value.name if isinstance(given.value, Symbol) else given.value
    default = None if argument.default is REQUIRED else argument.default
    possible = (default, *kind.others)
    if any(value == each and type(value) is type(each) for each in possible):
        return given
    shown = " or ".join(describe(_written(each, given.span)) for each in possible)
    raise CheckError(
        errors.names.ArgumentFixed(span=given.span, callee=callee, name=argument.name, possible=shown, reason=kind.reason, help=kind.advice)
    )


def choose(family: Family, given: LocatedValue, owner: str, scope: Scope) -> Config:
    """The member of a catalogue that a value names, its arguments filled in; raises `CheckError`."""
    match given.value:
        case Config() as configured if configured.name in FAMILIES[family] or configured.name in scope.own.of(family):
            return configured
        case Symbol(name):
            return _member(family, name, given.span, None, scope)
        case str() as name:
            return _member(family, name, given.span, None, scope)
        case CallValue(call, inner):
            return _member(family, call.callee.text, call.callee.span, call, inner)
        case _:
            raise CheckError(_mismatch(owner, ChoiceOf(family).expected, given, scope))


def _member(family: Family, name: str, span: Span, call: ast.Call | None, scope: Scope) -> Config:
    catalogue = FAMILIES[family]
    if (declared := declared_equations(family, name, scope.own)) is not None:
        return _of_equations(declared, family, span, call, scope)
    if (refusal := REFUSALS.get(family, {}).get(name)) is not None:
        raise CheckError(errors.names.ChoiceRefused(span=span, family=family.value, name=name, reason=refusal.reason, help=refusal.advice))
    if name not in catalogue:
        more = {*scope.own.of(family), *(() if call else scope.parameters)}
        raise CheckError(keras_advice.unknown_choice(family, name, span, more, _as_python(name)))
    entry = catalogue[name]
    report = Report()
    nothing = ast.Call(span, ast.Identifier(span, name), ())
    bindings = bind(name, entry.arguments, call or nothing, scope, report, family=family.value)
    if bindings is None:
        raise report.fault()
    made = Config(entry.name, bindings.plain())
    if problem := _problem(family, made):
        raise CheckError(errors.names.ArgumentsTogether(span=span, callee=made.name, problem=problem))
    return made


def _problem(family: Family, made: Config) -> str:
    """The fault in arguments that are each of its kind; empty for none."""
    arguments = dict(made.arguments)
    if family is Family.SCHEDULE:
        return schedule_problem(made.name, arguments)
    if made.name in RISING:
        (low, least), (high, most) = ((name, arguments[name]) for name in RISING[made.name])
        above = isinstance(least, int | float) and isinstance(most, int | float) and least > most
        return f"`{low}` is {least:g}, above `{high}`, {most:g}" if above else ""
    return optimizer_problem(arguments) if family is Family.OPTIMIZER else ""


def declared_equations(family: Family, name: str, own: OwnEquations) -> ast.Equations | None:
    """The function, the loss or the metric of a name: a spec's own, then that of the library, by any of its spellings.

    A library's one goes by its catalogue's name, so that a spec's own of that name takes its place under every spelling.
    """
    catalogue, metric = FAMILIES[family], family is Family.METRIC
    for each in (name, catalogue[name].name) if name in catalogue else (name,):
        declared = own.of(family).get(each) or (own.losses.get(each) if metric else None)
        if declared is not None:
            return declared
    if name not in catalogue:
        return None
    match family:
        case Family.ACTIVATION:
            return standard_library.functions({}).get(catalogue[name].name)
        case Family.LOSS | Family.METRIC:
            return standard_library.row_equations(metric).get(catalogue[name].name)
        case _:
            return None


def _of_equations(declared: ast.Equations, family: Family, span: Span, call: ast.Call | None, scope: Scope) -> Config:
    """A function as an activation, its first parameter being the value; a loss or a metric. The parameters are the arguments."""
    name = declared.name.text
    if isinstance(declared, ast.Function) and not declared.parameters:
        raise CheckError(errors.cells.FunctionMisuse(span=span, function=name, problem="takes no value, so that it is no activation"))
    arguments = equation_arguments(declared)
    report = Report()
    written = call or ast.Call(span, ast.Identifier(span, name), ())
    bindings = bind(written.callee.text, arguments, written, scope, report, family=family.value)
    if bindings is None:
        raise report.fault()
    for argument in arguments:
        if not isinstance(argument.kind, ChoiceOf):
            plain_constant(bindings.given(argument.name), argument.name)
    return Config(name, bindings.plain())


def located(value: ArgumentValue, span: Span) -> LocatedValue:
    """A plain value at a place."""
    return LocatedValue(_written(value, span), span)


def plain(given: LocatedValue) -> ArgumentValue:
    """A value without its place; InternalError for a name that wasn't looked up."""
    match given.value:
        case tuple() as items:
            return tuple(plain(item) for item in items)
        case Symbol() | CallValue():
            raise InternalError(f"{describe(given.value)} isn't a plain argument")
        case value:
            return value


def _choose_all(family: Family, given: LocatedValue, owner: str, expected: str, scope: Scope) -> tuple[LocatedValue, ...]:
    if not isinstance(given.value, tuple):
        named = isinstance(given.value, Symbol | str | CallValue)
        help_ = f"write `[{describe(given.value)}]`" if named else ""
        raise CheckError(_wrong_value(owner, expected, given, help_))
    report = Report()
    chosen: list[LocatedValue] = []
    for item in given.value:
        with report.catching():
            chosen.append(LocatedValue(choose(family, item, owner, scope), item.span))
    if report.count:
        raise report.fault()
    return tuple(chosen)


def _mismatch(owner: str, expected: str, given: LocatedValue, scope: Scope) -> Diagnostic:
    name = (
        given.value.name if isinstance(given.value, Symbol) else given.value.call.callee.text if isinstance(given.value, CallValue) else ""
    )
    if isinstance(given.value, Symbol) and not names_a_member(given.value.name):
        name = given.value.name
        return errors.names.UnknownName(span=given.span, name=name, expected=f"{owner} expects {expected}", help=_meant(name, scope))
    return _wrong_value(owner, expected, given)


def _wrong_value(owner: str, expected: str, given: LocatedValue, help_: str = "") -> Diagnostic:
    return errors.names.WrongValue(span=given.span, owner=owner, expected=expected, found=describe(given.value), help=help_)


def _meant(name: str, scope: Scope) -> str:
    """Advice on an unknown name where a plain value stands."""
    return _as_python(name) or nearest(name, scope.parameters)


def _as_python(name: str) -> str:
    """Advice on a constant of Python's: it is written in small letters here."""
    return f"write `{name.lower()}`" if name in ("True", "False", "None") else ""


def _list_of(callee: str, arguments: Sequence[ArgumentSpec]) -> str:
    names = [argument.name for argument in arguments if not isinstance(argument.kind, argument_types.DefaultOnly)]
    return f"{callee} has {', '.join(f'`{name}`' for name in names)}" if names else f"{callee} has no arguments"
