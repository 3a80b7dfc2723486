"""The commands, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from shutil import get_terminal_size
from typing import Annotated, Literal, TypeAlias, assert_never, get_args

import typer

from rnnspec.cli.console import print_text
from rnnspec.version import __version__

app = typer.Typer(
    name="rnnspec",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its panels cut names and break paths where there is little room
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": max(50, min(get_terminal_size().columns, 100))},
)


def show_version(wanted: bool) -> None:
    """Prints `rnnspec` and its version and ends the command, for `--version`."""
    if wanted:
        print_text(f"rnnspec {__version__}")
        raise typer.Exit


@app.callback()
def rnnspec(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Compile recurrent networks from a spec to native code; train and run them."""


Name: TypeAlias = Literal[
    "check", "inspect", "opt", "train", "evaluate", "predict", "score", "compile", "build", "import", "export", "profile", "fmt"
]
COMMANDS: tuple[Name, ...] = get_args(Name)
"""The subcommands, in the order of `--help`."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The command with the subcommand that the arguments begin with; with all of them where they begin with none.

    The options of a subcommand take a start as long to make as its module takes to import.
    """
    first = next(iter(arguments), "")
    for name in COMMANDS:
        if name == first or first not in COMMANDS:
            command = _command(name)
            app.command(name, short_help=(command.__doc__ or "").partition("\n\n")[0])(command)
    return app


def _command(name: Name) -> Callable[..., None]:
    match name:
        case "check":
            from rnnspec.cli.check import check as command
        case "inspect":
            from rnnspec.cli.inspect import inspect as command
        case "opt":
            from rnnspec.cli.opt import opt as command
        case "train":
            from rnnspec.cli.train import train as command
        case "evaluate":
            from rnnspec.cli.evaluate import evaluate as command
        case "predict":
            from rnnspec.cli.predict import predict as command
        case "score":
            from rnnspec.cli.score import score as command
        case "compile":
            from rnnspec.cli.compile import compile as command
        case "build":
            from rnnspec.cli.build import build as command
        case "import":
            from rnnspec.cli.import_ import import_ as command
        case "export":
            from rnnspec.cli.export import export as command
        case "profile":
            from rnnspec.cli.profile import profile as command
        case "fmt":
            from rnnspec.cli.format import format as command
        case _:
            assert_never(name)
    return command
