"""`rnnspec build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from rnnspec.cli.console import print_table, print_text, say
from rnnspec.cli.options import Storage
from rnnspec.contract.target_names import BUILD_TARGET_NAMES

if TYPE_CHECKING:
    from rnnspec.deploy.build import TargetReport
    from rnnspec.deploy.python_package import PythonReport

TARGET = "A machine to build for; repeatable.  [default: x86-64-v3; with --python all of x86-64]"
NAME = "How all names in C begin, or the Python package's name.  [default: the model's name]"
PYTHON = "Make a Python package, a folder and a wheel, that runs with numpy alone."
RELEASE = "The wheel's version, with --python.  [default: 0.1.0]"
ModelFile = Annotated[Path | None, typer.Argument(metavar="MODEL", help="The compiled model, a .rnnc file.", show_default=False)]
Folder = Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder, or an empty one.", show_default=False)]


def build(
    model: ModelFile = None,
    output: Folder = None,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="NAME", help=TARGET, show_default=False)] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help=NAME, show_default=False)] = "",
    python: Annotated[bool, typer.Option("--python", help=PYTHON)] = False,
    release: Annotated[str, typer.Option("--release", metavar="VERSION", help=RELEASE, show_default=False)] = "",
    weights: Storage = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    list_targets: Annotated[bool, typer.Option("--list-targets", help="List the machines and exit.")] = False,
) -> None:
    """Make a C library of a model's step, for this machine or others; or a Python package that needs numpy alone.

    The folder has a header, for each machine an object file and a static library, an example that checks itself, and a report.
    """
    if list_targets:
        print_text("\n".join(BUILD_TARGET_NAMES))
        return
    if model is None or output is None:
        raise typer.BadParameter("a model and a folder are needed: rnnspec build model.rnnc -o folder")
    from rnnspec.cli.results import print_json

    storage = None if weights is None else weights.value
    if release and not python:
        raise typer.BadParameter("--release is the version of a wheel, which --python makes")
    if python:
        from rnnspec.deploy.python_package import PYTHON_TARGETS, build_python

        made = build_python(model, output, targets=target or PYTHON_TARGETS, name=name, release=release or "0.1.0", weights=storage)
        if as_json:
            print_json(made.as_dict())
        else:
            _print_package(made)
        say(f"wrote {output}")
        return
    from rnnspec.deploy.build import DEFAULT
    from rnnspec.deploy.build import build as make

    reports = make(model, output, targets=target or (DEFAULT,), name=name, weights=storage)
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
    narrow = any(report.difference for report in reports)
    if narrow:
        table.add_column(f"{reports[0].weights}, largest difference", justify="right")
    for report in reports:
        sizes = (f"{size:,}" for size in (report.code, report.constants, report.state))
        calls = "not looked up" if report.imports is None else ", ".join(report.imports) or "nothing"
        table.add_row(report.target, *sizes, calls, *([f"{report.difference:.2g}"] if narrow else []))
    print_table(table)


def _print_package(report: PythonReport) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("package")
    table.add_column("code for")
    for heading in ("modules", "code", "weights", "wheel"):
        table.add_column(f"{heading}, bytes", justify="right")
    sizes = (f"{size:,}" for size in (report.python, report.code, report.weights, report.wheel_bytes))
    table.add_row(report.package, ", ".join(report.targets), *sizes)
    print_table(table)
