"""The commands, put together."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import Annotated

import typer

from rnnspec.cli import check, compile, evaluate, export, format, import_, inspect, opt, predict, profile, train
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


COMMANDS = (
    *(check.check, inspect.inspect, opt.opt, train.train, evaluate.evaluate, predict.predict),
    *(compile.compile, import_.import_, export.export, profile.profile, format.format),
)
for command in COMMANDS:
    name = {"format": "fmt", "import_": "import"}.get(command.__name__, command.__name__)
    app.command(name, short_help=(command.__doc__ or "").partition("\n\n")[0])(command)
