"""What the commands write to: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TextIO

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.theme import Theme

from rnnspec.diagnostics import InternalError, SpecError, SpecWarning


class DiagnosticHighlighter(RegexHighlighter):
    """Colours of a rendered diagnostic: what kind it is, where, what is underlined, what to do."""

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

output = Console(theme=COLOURS, highlight=False)
messages = Console(theme=COLOURS, highlight=False, stderr=True)


def print_text(text: str) -> None:
    """Text as it is, to standard output: no markup, no wrapping."""
    output.out(text.rstrip("\n"), highlight=False)


def print_diagnostics(text: str) -> None:
    """Rendered diagnostics, to standard error."""
    messages.print(DiagnosticHighlighter()(text.rstrip("\n")), soft_wrap=True)


def report_user_error(error: ValueError | OSError | MemoryError) -> None:
    """One clear message about something that the user can put right."""
    match error:
        case SpecError():
            print_diagnostics(str(error))
        case OSError(strerror=str(reason)) if error.filename is not None:
            print_diagnostics(f"error: {os.fsdecode(error.filename)}: {reason}")
        case MemoryError():
            print_diagnostics(f"error: not enough memory{f': {error}' if str(error) else ''}")
        case _:
            print_diagnostics(f"error: {error}")


def report_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """What is doubtful, in place of Python's form of a warning."""
    print_diagnostics(str(message) if category is SpecWarning else f"warning: {message}")


def report_internal_error(error: Exception) -> None:
    """What a bug leaves behind: where it happened, for the report that the message asks for."""
    text = str(error) if isinstance(error, InternalError) else str(InternalError(f"{type(error).__name__}: {error}"))
    places = [f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in traceback.extract_tb(error.__traceback__)]
    print_diagnostics(f"error: {text}\nIt happened in {' > '.join(places[-4:])}.")


def print_results(name: str, results: Mapping[str, float]) -> None:
    """One line a mean, the metrics first: "test accuracy 0.9730"."""
    for key in sorted(results, key=lambda key: key == "loss"):
        output.out(f"{name} {key} {results[key]:.4f}", highlight=False)
