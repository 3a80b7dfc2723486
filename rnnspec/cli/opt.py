"""`rnnspec opt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text, results, say
from rnnspec.cli.options import TextOutput
from rnnspec.cli.outputs import STANDARD_OUTPUT, refuse_overwriting
from rnnspec.files import write_atomically

FILE = "Tensor IR as `rnnspec inspect` prints it; `-` is standard input."
PASSES = "Passes to run, one after the other; repeatable. Without one the text is read, verified and printed."


def opt(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help=FILE, show_default=False)] = None,
    passes: Annotated[
        list[str] | None, typer.Option("--pass", "-p", metavar="NAME[:OPTION=VALUE]...[,NAME...]", help=PASSES, show_default=False)
    ] = None,
    output: TextOutput = STANDARD_OUTPUT,
    locations: Annotated[bool, typer.Option("--locations", help="Print the lines of the spec that the text names.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the passes and their options.")] = False,
) -> None:
    """Run passes on tensor IR."""
    from rnnspec.driver import tensor_ir

    if list_:
        print_text(tensor_ir.list_passes())
        return
    if file is None:
        raise typer.BadParameter("a file of tensor IR is needed, or `-`", param_hint="FILE")
    if output != STANDARD_OUTPUT and file != Path("-"):
        refuse_overwriting(output, file)
    if file == Path("-"):
        source = tensor_ir.ir_of_bytes("standard input", sys.stdin.buffer.read(tensor_ir.TEXT_LIMIT + 1))
    else:
        source = tensor_ir.read_ir(file)
    text = tensor_ir.run_passes(source, passes or (), locations=locations)
    if output == STANDARD_OUTPUT:
        with results():
            sys.stdout.write(text)
    else:
        write_atomically(output, text.encode())
        say(f"wrote {output}")
