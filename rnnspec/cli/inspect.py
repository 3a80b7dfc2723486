"""`rnnspec inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text
from rnnspec.cli.options import TARGETS_TEXT, DtypeOrModels, Parameters
from rnnspec.cli.specs import given_spec

TARGET = f"The machine that kernels, LLVM text and assembly are for: {TARGETS_TEXT}; without it this one."


def inspect(
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC", help="The model's .rnn file, or a compiled model, a .rnnc.", show_default=False)
    ] = None,
    stage: Annotated[str, typer.Option("--stage", "-s", help="The stage to print; --list names them.")] = "tensor",
    after: Annotated[str | None, typer.Option("--after", metavar="PASS", help="Stop after this pass.", show_default=False)] = None,
    locations: Annotated[
        bool, typer.Option("--locations", help="Show which lines of the spec each operation, or loop nest, comes from.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the stages and the passes in their order.")] = False,
    parameter: Parameters = None,
    dtype: DtypeOrModels = None,
    target: Annotated[str | None, typer.Option("--target", metavar="NAME", help=TARGET, show_default=False)] = None,
) -> None:
    """Print what a spec has become after a stage of the compiler."""
    from rnnspec.driver import commands

    if list_:
        print_text(commands.list_stages())
        return
    if spec is None:
        raise typer.BadParameter("a spec is needed", param_hint="SPEC")
    given = given_spec(spec, parameter, dtype)
    print_text(commands.inspect(given.spec, stage, after=after, locations=locations, target=target, **given.arguments()))
