"""`rnnspec check`."""

from __future__ import annotations

from rnnspec import compiler
from rnnspec.cli.console import output, print_diagnostics
from rnnspec.cli.options import Parameters, SpecPath, parse_parameters
from rnnspec.cli.tables import layer_table
from rnnspec.diagnostics import render_all


def check(spec: SpecPath, parameter: Parameters = None) -> None:
    """Check a spec: its diagnostics, or a table of its layers."""
    report = compiler.check(spec, parse_parameters(parameter))
    if report.warnings:
        print_diagnostics(render_all(report.warnings))
    output.print(layer_table(report.model, report.rows))
