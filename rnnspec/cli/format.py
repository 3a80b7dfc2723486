"""`rnnspec fmt`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text, results, say
from rnnspec.files import SPEC_LIMIT, write_atomically
from rnnspec.source import SourceFile

SPECS = "The .rnn files, rewritten in place; without one, or with `-`, standard input is formatted to standard output."


def format(
    specs: Annotated[list[Path] | None, typer.Argument(metavar="SPEC...", help=SPECS, show_default=False)] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; name the files that aren't in canonical form and end with 2.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")] = False,
) -> None:
    """Bring specs into their one canonical form."""
    from rnnspec.driver import commands, source_files

    changed = False
    for path in specs or [Path("-")]:
        source, text = commands.format(source_files.of_text(sys.stdin.read(SPEC_LIMIT + 1)) if str(path) == "-" else path)
        changed |= text != source.text
        if diff:
            if changes := difference(source, text):
                print_text(changes)
        elif check and text != source.text:
            say(f"{source.path} isn't in canonical form")
        elif str(path) == "-" and not check:
            with results():
                sys.stdout.write(text)
        elif text != source.text and not check:
            write_atomically(path, text.encode())
    if check and changed:
        raise typer.Exit(2)


def difference(source: SourceFile, text: str) -> str:
    """A unified diff from the text as it is to its canonical form."""
    before, after = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, source.path, f"{source.path} (canonical)"))
