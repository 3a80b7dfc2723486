"""`rnnspec build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from rnnspec.cli.console import print_table, print_text, say
from rnnspec.cli.options import Storage
from rnnspec.contract.target_names import ALL_LEVELS, BROWSER_TARGETS, BUILD_TARGET_NAMES

if TYPE_CHECKING:
    from rnnspec.deploy.build import TargetReport
    from rnnspec.deploy.python_package import PythonReport

TARGET = (
    "A machine to build for, or a .toml file that describes one; repeatable.  "
    f"[default: x86-64-v3; of a page {BROWSER_TARGETS[0]}; with --python all of x86-64]"
)
FUNCTIONS = (
    "What the library does, with commas between: step, forward, train, and beside that gradient.  "
    "[default: step if the model streams, else forward]"
)
LINK = "so, dylib or dll: also link a shared library, of Linux's, macOS's or Windows', where a linker for it is installed."
WEIGHTS_FILE = "Keep the weights in a file beside each library, which its functions take first."
NAME = "How all names in C begin, or the Python package's name.  [default: the model's name]"
PYTHON = "Make a Python package, a folder and a wheel, that runs with numpy alone."
RELEASE = "The wheel's version, with --python.  [default: 0.1.0]"
ModelFile = Annotated[Path | None, typer.Argument(metavar="MODEL", help="The compiled model, a .rnnc file.", show_default=False)]
Folder = Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder, or an empty one.", show_default=False)]


def build(
    model: ModelFile = None,
    output: Folder = None,
    target: Annotated[list[str] | None, typer.Option("--target", metavar="NAME|FILE", help=TARGET, show_default=False)] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help=NAME, show_default=False)] = "",
    functions: Annotated[str | None, typer.Option("--functions", metavar="NAMES", help=FUNCTIONS, show_default=False)] = None,
    link: Annotated[str, typer.Option("--link", metavar="KIND", help=LINK, show_default=False)] = "",
    python: Annotated[bool, typer.Option("--python", help=PYTHON)] = False,
    release: Annotated[str, typer.Option("--release", metavar="VERSION", help=RELEASE, show_default=False)] = "",
    page: Annotated[bool, typer.Option("--page", help="Write page.html too, which runs the model in a browser.")] = False,
    weights: Storage = None,
    weights_file: Annotated[bool, typer.Option("--weights-file", help=WEIGHTS_FILE)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    list_targets: Annotated[bool, typer.Option("--list-targets", help="List the machines and exit.")] = False,
) -> None:
    """Make a C library of a model, of its step, of whole batches or of its training, for any machine; or a Python package.

    The folder has a header, for each machine an object file and a static library, an example that checks itself, and a report.
    """
    if list_targets:
        print_text("\n".join((*BUILD_TARGET_NAMES, ALL_LEVELS)))
        return
    if model is None or output is None:
        raise typer.BadParameter("a model and a folder are needed: rnnspec build model.rnnc -o folder")
    from rnnspec.cli.results import print_json

    storage = None if weights is None else weights.value
    if release and not python:
        raise typer.BadParameter("--release is the version of a wheel, which --python makes")
    if python and weights_file:
        raise typer.BadParameter("--weights-file is for libraries for C; a Python package always has such a file")
    for option, given in (("--functions", functions is not None), ("--link", link), ("--page", page)):
        if python and given:
            raise typer.BadParameter(f"{option} is for libraries for C, and --python makes a Python package")
    if python:
        from rnnspec.deploy.python_package import PYTHON_TARGETS, build_python

        made = build_python(model, output, targets=target or PYTHON_TARGETS, name=name, release=release or "0.1.0", weights=storage)
        if as_json:
            print_json(made.as_dict())
        else:
            _print_package(made)
        say(f"wrote {output}")
        return
    from rnnspec.deploy.build import build as make

    wanted = [] if functions is None else [each.strip() for each in functions.split(",")]
    reports = make(
        model, output, targets=target or None, name=name, functions=wanted, page=page, link=link, weights=storage, weights_file=weights_file
    )
    if as_json:
        print_json({"targets": [report.as_dict() for report in reports]})
    else:
        _print(reports)
    say(f"wrote {output}")


def _print(reports: tuple[TargetReport, ...]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("target")
    for heading in ("code", "constants", "state", "stack"):
        table.add_column(f"{heading}, bytes", justify="right")
    module = any(report.module is not None for report in reports)
    if module:
        table.add_column(".wasm, bytes", justify="right")
    table.add_column("calls")
    if any(report.workspace is not None for report in reports):
        table.add_column("workspace, bytes")
    trained = any(report.training is not None for report in reports)
    if trained:
        table.add_column("training: workspace, bytes")
        table.add_column("weights, gradient, optimizer, bytes", justify="right")
    narrow = any(report.difference for report in reports)
    if narrow:
        table.add_column(f"{reports[0].weights}, largest difference", justify="right")
    for report in reports:
        sizes = (f"{size:,}" for size in (report.code, report.constants, report.state, report.stack))
        whole = ("" if report.module is None else f"{report.module:,}",) if module else ()
        calls = ", ".join(report.imports) or "nothing"
        further = () if report.workspace is None else (report.workspace,)
        if (training := report.training) is not None:
            numbers = ", ".join(f"{training[part]:,}" for part in ("weights", "gradient", "optimizer"))
            further = (*further, str(training["workspace"]), numbers)
        table.add_row(report.target, *sizes, *whole, calls, *further, *([f"{report.difference:.2g}"] if narrow else []))
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
