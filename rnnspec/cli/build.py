"""`rnnspec build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from rnnspec.cli.console import print_table, print_text, say
from rnnspec.contract.target_names import BUILD_TARGET_NAMES

if TYPE_CHECKING:
    from rnnspec.deploy.build import TargetReport

TARGET = "A machine to build for; repeatable.  [default: x86-64-v3; of a page wasm32-simd]"
NAME = "How all names in C begin.  [default: the model's name]"
ModelFile = Annotated[Path | None, typer.Argument(metavar="MODEL", help="The compiled model, a .rnnc file.", show_default=False)]
Folder = Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder, or an empty one.", show_default=False)]


def build(
    model: ModelFile = None,
    output: Folder = None,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="NAME", help=TARGET, show_default=False)] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help=NAME, show_default=False)] = "",
    page: Annotated[bool, typer.Option("--page", help="Write page.html too, which runs the model in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    list_targets: Annotated[bool, typer.Option("--list-targets", help="List the machines and exit.")] = False,
) -> None:
    """Make a C library of a model's step, for this machine or others.

    The folder has a header, for each machine an object file and a static library, an example that checks itself, and a report.
    """
    if list_targets:
        print_text("\n".join(BUILD_TARGET_NAMES))
        return
    if model is None or output is None:
        raise typer.BadParameter("a model and a folder are needed: rnnspec build model.rnnc -o folder")
    from rnnspec.cli.results import print_json
    from rnnspec.deploy.build import build as make

    reports = make(model, output, targets=target or None, name=name, page=page)
    if as_json:
        print_json({"targets": [report.as_dict() for report in reports]})
    else:
        _print(reports)
    say(f"wrote {output}")


def _print(reports: tuple[TargetReport, ...]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("target")
    for heading in ("code", "constants", "state"):
        table.add_column(f"{heading}, bytes", justify="right")
    module = any(report.module is not None for report in reports)
    if module:
        table.add_column(".wasm, bytes", justify="right")
    table.add_column("calls")
    for report in reports:
        sizes = (f"{size:,}" for size in (report.code, report.constants, report.state))
        whole = ("" if report.module is None else f"{report.module:,}",) if module else ()
        table.add_row(report.target, *sizes, *whole, "not looked up" if report.imports is None else ", ".join(report.imports) or "nothing")
    print_table(table)
