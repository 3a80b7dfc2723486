"""The console of all commands: results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
import traceback
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.measure import Measurement
from rich.table import Table
from rich.theme import Theme

from rnnspec.diagnostics import InternalError, NotFiniteWarning, SpecError, SpecWarning


class DiagnosticHighlighter(RegexHighlighter):
    """Colours for a rendered diagnostic: severity, place, underlined text, advice."""

    base_style = "diagnostic."
    highlights: ClassVar[Sequence[str]] = [
        r"(?m)^(?P<error>error(\[E\d+\])?):",
        r"(?m)^(?P<warning>warning(\[W\d+\])?):",
        r"(?m)^ *(?P<place>(-->|:::) .*)$",
        r"(?m)^ +\| +(?P<primary>\^+.*)$",
        r"(?m)^ +\| +(?P<secondary>-+ .*)$",
        r"(?m)^(?P<gutter> *\d* \|)",
        r"(?m)^ *= (?P<help>help):",
    ]


COLOURS = Theme(
    {
        "diagnostic.error": "bold red",
        "diagnostic.warning": "bold yellow",
        "diagnostic.place": "blue",
        "diagnostic.primary": "bold red",
        "diagnostic.secondary": "blue",
        "diagnostic.gutter": "blue",
        "diagnostic.help": "bold cyan",
    }
)

output = Console(theme=COLOURS, highlight=False, markup=False, emoji=False)
messages = Console(theme=COLOURS, highlight=False, markup=False, emoji=False, stderr=True)


@contextmanager
def results() -> Generator[None]:
    """The console for results, standard output; an OSError in the block is told as one of standard output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from None


def print_text(text: str) -> None:
    """Text as it is, to standard output: no markup, no wrapping."""
    with results():
        output.out(_shown(output, text.rstrip("\n")), highlight=False)


def on_terminal() -> bool:
    """Whether results go to a terminal."""
    return output.file.isatty()


def print_table(table: Table) -> None:
    """A table, to standard output; nothing of it is cut. On a terminal that is too narrow cells are wrapped between words."""
    for column in table.columns:
        if column.no_wrap:
            column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells, column.footer))
    needed = Measurement.get(output, output.options.update(max_width=sys.maxsize), table)
    output.width = max(output.width, needed.minimum) if on_terminal() else needed.maximum
    with output.capture() as drawn:
        output.print(table)
    print_text("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def micro() -> str:
    """The sign for a millionth, or `u` where the terminal can't show it."""
    return "µ" if _shown(output, "µ") == "µ" else "u"


def say(text: str) -> None:
    """Prints a line to standard error."""
    messages.out(_shown(messages, text), highlight=False)


def print_diagnostics(text: str) -> None:
    """Rendered diagnostics, to standard error."""
    messages.print(DiagnosticHighlighter()(_shown(messages, printable(text.rstrip("\n")))), soft_wrap=True)


def printable(text: str) -> str:
    """A text of others, such as a name in a file, without control characters for the terminal; line breaks stay."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n" else c for c in text)


def _shown(console: Console, text: str) -> str:
    """The text in letters that the stream has."""
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def report_user_error(error: ValueError | OSError | MemoryError) -> None:
    """Prints a fault that the user can mend, a line or a rendered diagnostic, to standard error."""
    match error:
        case SpecError():
            print_diagnostics(str(error))
        case OSError(strerror=str(reason)):
            print_diagnostics(f"error: {reason}" if error.filename is None else f"error: {os.fsdecode(error.filename)}: {reason}")
        case MemoryError():
            print_diagnostics(f"error: not enough memory{f': {error}' if str(error) else ''}")
        case _:
            print_diagnostics(f"error: {error}")


def report_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """Prints a warning to standard error; replaces `warnings.showwarning`."""
    if category is NotFiniteWarning:  # the command ends with an error that says so
        return
    print_diagnostics(str(message) if category is SpecWarning else f"warning: {message}")


def report_internal_error(error: Exception) -> None:
    """Prints a bug's message and the last frames of its traceback, for the report that the message asks for."""
    text = str(error) if isinstance(error, InternalError) else str(InternalError(f"{type(error).__name__}: {error}"))
    places = [f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in traceback.extract_tb(error.__traceback__)]
    print_diagnostics(f"error: {text}\nIt happened in {' > '.join(places[-4:])}.")
