"""The names that equations can read, and the assignments that functions called in them leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rnnspec.contract.location import Location, location_of_span
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import CheckError, Report, Scope
from rnnspec.frontend.cells.cell_ir import Assignment, Condition, Literal, Term, Variable, WeightTerm, Zeros
from rnnspec.frontend.cells.typed_terms import Operand
from rnnspec.frontend.syntax import ast, limits
from rnnspec.frontend.syntax.standard_library import Library
from rnnspec.source import Span


@dataclass(slots=True)
class Hoisted:
    """The assignments of one body of equations, those of functions that it calls before the equation that calls them.

    `report`: of the model, which counts statements of functions with those of all else. `sums`: whether there may be sums over rows, and
    `totals`: each row's part in each of them, by its name. `taken`: how often each name was given. `statements`: of functions, each
    counted at each call.
    """

    report: Report | None = None
    sums: bool = False
    totals: dict[str, Term] = field(default_factory=dict[str, Term])
    assignments: list[Assignment] = field(default_factory=list[Assignment])
    taken: dict[str, int] = field(default_factory=dict[str, int])
    statements: int = 0

    def walk(self, span: Span, statements: int = 1) -> None:
        """Counts a statement of a function that is called, or as many as it stands for; `CheckError` or `Enough` above the limit."""
        if self.report is not None:
            self.report.walk(span, statements)
        self.statements += statements
        if self.statements > limits.STATEMENTS:
            raise CheckError(errors.limits.TooManyStatements(span=span, limit=limits.STATEMENTS))

    def name(self, wanted: str) -> str:
        """A name that no assignment has: the wanted one, with a number if it is taken."""
        self.taken[wanted] = count = self.taken.get(wanted, 0) + 1
        return wanted if count == 1 else f"{wanted}.{count}"


@dataclass(slots=True)
class EquationNames:
    """The names that equations can read.

    `values`: the terms, and the conditions, by spelling (`h'` for a state after the step), None if its equation is wrong.
    `targets`: of all equations. `functions`: those that can be called, `caller`: what calls them. `owner`: the declaration, in words.
    `calls`: the calls around these equations, the outermost first.
    """

    scope: Scope
    values: dict[str, Term | Condition | None]
    states: set[str]
    targets: frozenset[str]
    functions: Library[ast.Function]
    caller: Callable[[ast.Call, EquationNames], Operand]
    owner: str = "this cell"
    hoisted: Hoisted = field(default_factory=Hoisted)
    calls: tuple[Span, ...] = ()
    read: set[str] = field(default_factory=set[str])

    def constants(self) -> Scope:
        """The scope where a constant is needed."""
        return replace(self.scope, computed=self.values.keys())

    def known(self) -> set[str]:
        """All readable names, for advice on unknown ones."""
        return {*self.values, *self.scope.parameters}

    def assign(self, name: str, value: Term, span: Span) -> Term:
        """A variable of the value, which is computed once; what costs nothing stays as it is."""
        if isinstance(value, Variable | WeightTerm | Literal | Zeros):
            return value
        made = self.hoisted.name(name)
        self.hoisted.assignments.append(Assignment((made,), value, self.location(span)))
        return Variable(made, value.shape)

    def location(self, span: Span) -> Location:
        """The place that a value comes from: the outermost call's, of what a function computes."""
        return location_of_span(self.calls[0] if self.calls else span)
