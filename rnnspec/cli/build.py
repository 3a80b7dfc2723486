"""`rnnspec build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from rnnspec.cli.console import print_table, print_text, say
from rnnspec.contract.target_names import ALL_LEVELS, BUILD_TARGET_NAMES

if TYPE_CHECKING:
    from rnnspec.deploy.build import TargetReport

TARGET = "A machine to build for; repeatable.  [default: x86-64-v3]"
FUNCTIONS = "What the library does: step, forward, or both with a comma between.  [default: step if the model streams, else forward]"
LINK = "so: also link a shared library, where a linker for the target is installed."
NAME = "How all names in C begin.  [default: the model's name]"
ModelFile = Annotated[Path | None, typer.Argument(metavar="MODEL", help="The compiled model, a .rnnc file.", show_default=False)]
Folder = Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder, or an empty one.", show_default=False)]


def build(
    model: ModelFile = None,
    output: Folder = None,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="NAME", help=TARGET, show_default=False)] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help=NAME, show_default=False)] = "",
    functions: Annotated[str, typer.Option("--functions", metavar="NAMES", help=FUNCTIONS, show_default=False)] = "",
    link: Annotated[str, typer.Option("--link", metavar="KIND", help=LINK, show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    list_targets: Annotated[bool, typer.Option("--list-targets", help="List the machines and exit.")] = False,
) -> None:
    """Make a C library of a model, for this machine or others: its step, or whole batches of sequences.

    The folder has a header, for each machine an object file and a static library, an example that checks itself, and a report.
    """
    if list_targets:
        print_text("\n".join((*BUILD_TARGET_NAMES, ALL_LEVELS)))
        return
    if model is None or output is None:
        raise typer.BadParameter("a model and a folder are needed: rnnspec build model.rnnc -o folder")
    from rnnspec.cli.results import print_json
    from rnnspec.deploy.build import DEFAULT
    from rnnspec.deploy.build import build as make

    wanted = [each.strip() for each in functions.split(",")] if functions else []
    reports = make(model, output, targets=target or (DEFAULT,), name=name, functions=wanted, link=link)
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
    table.add_column("calls")
    if any(report.workspace is not None for report in reports):
        table.add_column("workspace, bytes")
    for report in reports:
        sizes = (f"{size:,}" for size in (report.code, report.constants, report.state))
        further = () if report.workspace is None else (report.workspace,)
        table.add_row(
            report.target, *sizes, "not looked up" if report.imports is None else ", ".join(report.imports) or "nothing", *further
        )
    print_table(table)
