"""`rnnspec check`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from rnnspec.cli.console import print_diagnostics, print_table, print_text
from rnnspec.cli.options import Parameters, SpecOrModelPath
from rnnspec.cli.specs import given_spec
from rnnspec.diagnostics import Diagnostic, SpecError, as_data, render_all


def check(
    spec: SpecOrModelPath,
    parameter: Parameters = None,
    masks: Annotated[bool, typer.Option("--masks", help="Show what becomes of the masks instead of the layers.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what is doubtful, too.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the diagnostics as JSON, and nothing else.")] = False,
) -> None:
    """Check a spec, or a compiled model's: its diagnostics, or a table of its layers."""
    from rnnspec.cli.tables import layer_table, mask_table
    from rnnspec.driver import check as driver

    given = given_spec(spec, parameter)
    try:
        report = driver.check(given.spec, given.parameters)
    except SpecError as error:
        if not json_:
            raise
        print_json(error.diagnostics)
        raise typer.Exit(2) from None
    if json_:
        print_json(report.warnings)
    elif report.warnings:
        print_diagnostics(render_all(report.warnings))
    if strict and report.warnings:
        raise typer.Exit(2)
    if not json_:
        print_text(report.model)
        print_table(mask_table(report.masks) if masks else layer_table(report.rows))


def print_json(diagnostics: Sequence[Diagnostic]) -> None:
    """Diagnostics as a JSON array on standard output, a line for each field; see `diagnostics.as_data`."""
    print_text(json.dumps([as_data(diagnostic) for diagnostic in diagnostics], indent=1))
