"""Compile-time values, the scopes that hold them by name, and the report that collects diagnostics."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import NoReturn, TypeAlias, assert_never

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import Diagnostic, Label
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.syntax import ast, limits
from rnnspec.frozen import frozen
from rnnspec.source import Span


@frozen
class Symbol:
    """A bare name that isn't a parameter. The argument that receives it decides its meaning: `tanh`, `none`, a value's name."""

    name: str


@frozen
class CallValue:
    """A name with arguments, not evaluated yet. The argument that receives it decides its meaning: an activation, a cell."""

    call: ast.Call
    scope: Scope = field(repr=False)


Value: TypeAlias = "int | float | bool | str | Symbol | CallValue | Config | tuple[LocatedValue, ...] | None"


@frozen
class LocatedValue:
    """A value with the place where it was written."""

    value: Value
    span: Span = field(compare=False, repr=False)


@frozen
class OwnEquations:
    """A spec's own functions, losses and metrics by name, those that it imports included."""

    functions: Mapping[str, ast.Function] = field(default_factory=dict[str, ast.Function])
    losses: Mapping[str, ast.Loss] = field(default_factory=dict[str, ast.Loss])
    metrics: Mapping[str, ast.Metric] = field(default_factory=dict[str, ast.Metric])

    def of(self, family: Family) -> Mapping[str, ast.Equations]:
        """Those that can stand wherever a member of a catalogue can."""
        match family:
            case Family.ACTIVATION:
                return self.functions
            case Family.LOSS:
                return self.losses
            case Family.METRIC:
                return self.metrics
            case Family.INITIALIZER | Family.REGULARIZER | Family.CONSTRAINT | Family.OPTIMIZER | Family.CALLBACK | Family.SCHEDULE:
                return {}
            case _:
                assert_never(family)


NOTHING_OWN = OwnEquations()


@frozen
class Scope:
    """The parameters in sight, of a model or of a cell.

    `faulty`: names of parameters with a reported fault. `computed`: names that have a value only in a step. `own`: the spec's functions,
    losses and metrics.
    """

    parameters: Mapping[str, LocatedValue]
    faulty: frozenset[str] = frozenset()
    computed: Collection[str] = frozenset()
    values: Collection[str] = frozenset()
    """The names of the graph's values so far: they aren't constants, and where one stands for a constant it is said so."""
    own: OwnEquations = field(default=NOTHING_OWN, compare=False, repr=False)


class CheckError(Exception):
    """A fault that ends the evaluation of one expression, argument or statement; the stage goes on with the next."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics


class AlreadyReported(Exception):
    """An evaluation that depends on a value whose fault is reported already."""


class Enough(Exception):
    """The end of a stage: `report` holds more errors than are shown, or the spec exceeds a limit."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class Report:
    """The diagnostics of a stage. A fault in a cell is reported once for its place, however many widths the cell is used with."""

    def __init__(self, whole: Report | None = None) -> None:
        """`whole`: the report of which this is a part; both count walked statements together."""
        self._uses: list[Label] = []
        self._diagnostics: dict[tuple[str, Span, str], Diagnostic] = {}
        self.count = 0
        """Errors so far, repeated and suppressed ones included: unchanged means that nothing went wrong since."""
        self._different = 0
        self._walked: list[int] = [0] if whole is None else whole._walked

    def add(self, diagnostic: Diagnostic) -> None:
        """Keeps a diagnostic. Raises `Enough` at the first error above the limit of shown errors."""
        self.count += not diagnostic.is_warning
        key = diagnostic.code, diagnostic.span, diagnostic.message
        if key in self._diagnostics:
            return
        self._different += not diagnostic.is_warning
        if self._different > limits.ERRORS:
            self.end(errors.limits.TooManyErrors(span=diagnostic.span, limit=limits.ERRORS))
        self._diagnostics[key] = replace(diagnostic, secondary=(*diagnostic.secondary, *reversed(self._uses)))

    def end(self, diagnostic: Diagnostic) -> NoReturn:
        """Keeps a last error and raises `Enough`, which ends the stage."""
        shown = replace(diagnostic, secondary=(*diagnostic.secondary, *reversed(self._uses)))
        self._diagnostics[diagnostic.code, diagnostic.span, diagnostic.message] = shown
        raise Enough(self)

    def walk(self, span: Span, statements: int = 1) -> None:
        """Counts a visited statement, at each use of its block or cell. Raises `Enough` above the limit of statements."""
        self._walked[0] += statements + (span.stop - span.start) // limits.CHARACTERS
        if self._walked[0] > limits.STATEMENTS:
            self.end(errors.limits.TooManyStatements(span=span, limit=limits.STATEMENTS))

    @contextmanager
    def within(self, use: Span) -> Generator[None]:
        """Adds `use` as a secondary place, "used here", to the diagnostics of the block; with nested uses the innermost is first."""
        label = Label(use, "used here")
        self._uses.append(label)
        try:
            yield
        except CheckError as fault:
            raise CheckError(*(replace(each, secondary=(*each.secondary, label)) for each in fault.diagnostics)) from fault
        finally:
            self._uses.pop()

    def fault(self) -> CheckError | AlreadyReported:
        """An exception for all errors together: `CheckError`, or `AlreadyReported` if they are reported elsewhere."""
        return CheckError(*self.errors) if self.errors else AlreadyReported()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The errors so far, in the order of their discovery, without repetitions."""
        return tuple(diagnostic for diagnostic in self._diagnostics.values() if not diagnostic.is_warning)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings so far, in the order of their discovery, without repetitions."""
        return tuple(diagnostic for diagnostic in self._diagnostics.values() if diagnostic.is_warning)

    @contextmanager
    def catching(self) -> Generator[None]:
        """Reports a fault of the block, and goes on after the block."""
        try:
            yield
        except CheckError as fault:
            for diagnostic in fault.diagnostics:
                self.add(diagnostic)
        except AlreadyReported:
            self.count += 1


_SHOWN_ITEMS = 8
_SHOWN_TEXT = 40


def describe(value: Value) -> str:
    """A value as a spec would write it; of long texts and lists the beginning, of a list in a list nothing."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case str():
            return f'"{value}"' if len(value) <= _SHOWN_TEXT else f'"{value[: _SHOWN_TEXT - 3]}..."'
        case int() | float():
            return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else str(value)
        case Symbol(name) | Config(name):
            return name
        case CallValue(call):
            return f"{call.callee.text}(...)"
        case _:
            items = ["[...]" if isinstance(item.value, tuple) else describe(item.value) for item in value[:_SHOWN_ITEMS]]
            return f"[{', '.join([*items, '...'] if len(value) > _SHOWN_ITEMS else items)}]"
