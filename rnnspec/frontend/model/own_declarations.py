"""A spec's own functions, losses and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import OwnEquations, Report
from rnnspec.frontend.cells.equation_checks import faults
from rnnspec.frontend.syntax import ast


@dataclass(slots=True)
class OwnDeclarations:
    """The declarations of equations so far, each kind with names of its own."""

    functions: dict[str, ast.Function] = field(default_factory=dict[str, ast.Function])
    losses: dict[str, ast.Loss] = field(default_factory=dict[str, ast.Loss])
    metrics: dict[str, ast.Metric] = field(default_factory=dict[str, ast.Metric])

    def declare(self, declaration: ast.Equations, report: Report) -> None:
        """Keeps a declaration under its name; reports a name that its kind has already, and names in it that mean something else."""
        for fault in faults(declaration):
            report.add(fault)
        name = declaration.name
        parameters = {parameter.name.text: parameter for parameter in reversed(declaration.parameters)}
        declaration = replace(declaration, parameters=tuple(reversed(parameters.values())))
        match declaration:
            case ast.Function():
                first = self.functions.setdefault(name.text, declaration)
            case ast.Loss():
                first = self.losses.setdefault(name.text, declaration)
            case ast.Metric():
                first = self.metrics.setdefault(name.text, declaration)
            case _:
                assert_never(declaration)
        if first is not declaration:
            secondary = (Label(first.name.span, "declared here"),)
            report.add(errors.names.DuplicateDeclaration(span=name.span, name=name.text, secondary=secondary))

    def declared(self) -> OwnEquations:
        """What was declared."""
        return OwnEquations(self.functions, self.losses, self.metrics)
