"""Compile-time values, the names they are under, and the report that collects what is wrong with them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend import ast
from rnnspec.runtime.signature import Configured
from rnnspec.source import Span


@dataclass(frozen=True, slots=True)
class Symbol:
    """A bare name that no parameter has; what it means depends on the argument that it is given to."""

    name: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A name with arguments; what it means depends on the argument that it is given to."""

    call: ast.Call
    scope: Scope = field(repr=False)


Value: TypeAlias = "int | float | bool | str | Symbol | Applied | Configured | tuple[Given, ...] | None"


@dataclass(frozen=True, slots=True)
class Given:
    """A value with the place where it was written."""

    value: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """The parameters in sight, of a model or of a cell."""

    parameters: Mapping[str, Given]


class Fault(Exception):
    """Stops the evaluation of one thing; what can still be checked goes on."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


class Suppressed(Exception):
    """Stops the evaluation of something that depends on what is already reported."""


class Report:
    """What a stage found; the same fault at the same place is kept once."""

    def __init__(self) -> None:
        self._diagnostics: dict[tuple[str, Span], Diagnostic] = {}
        self.count = 0
        """Errors so far, repeated ones included: unchanged means that nothing went wrong since."""

    def add(self, diagnostic: Diagnostic) -> None:
        self._diagnostics.setdefault((diagnostic.code, diagnostic.span), diagnostic)
        self.count += not diagnostic.is_warning

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic for diagnostic in self._diagnostics.values() if not diagnostic.is_warning)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic for diagnostic in self._diagnostics.values() if diagnostic.is_warning)

    @contextmanager
    def catching(self) -> Generator[None]:
        """Ends the block at a fault, which is reported, and goes on after it."""
        try:
            yield
        except Fault as fault:
            self.add(fault.diagnostic)
        except Suppressed:
            pass


def describe(value: Value) -> str:
    """A value as a spec would write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case str():
            return f'"{value}"'
        case int() | float():
            return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else str(value)
        case Symbol(name) | Configured(name):
            return name
        case Applied(call):
            return f"{call.callee.text}(...)"
        case _:
            return f"[{', '.join(describe(item.value) for item in value)}]"
