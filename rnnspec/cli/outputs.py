"""Checks of the output path before the work begins, so that a long run isn't lost at its end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import typer

from rnnspec.file_kinds import curves_problem
from rnnspec.files import try_to_write_beside

STANDARD_OUTPUT = Path("-")
ENDINGS = (".csv", ".jsonl", ".npy", ".npz", ".parquet")
"""File endings for predictions, each a format."""
ENDINGS_TEXT = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


def check_model_output(path: Path | None) -> Path | None:
    """A path to which a model can be written; BadParameter with the reason if it can't."""
    if path == STANDARD_OUTPUT:
        raise typer.BadParameter("a model isn't written to standard output: name a file")
    if path is not None:
        _check_place(path)
    return path


def check_text_output(path: Path) -> Path:
    """The path, of a file that can be written, or `-`; BadParameter says why not."""
    if path != STANDARD_OUTPUT:
        _check_place(path)
    return path


def check_predictions_output(path: Path | None) -> Path | None:
    """A path to which predictions can be written, or `-`; the ending decides the format. BadParameter with the reason."""
    if path is None or path == STANDARD_OUTPUT:
        return path
    if path.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"`{path}`: predictions are written as {ENDINGS_TEXT}, so the name has to end in one of these")
    _check_place(path)
    return path


def check_plot_output(path: Path | None) -> Path | None:
    """A path to which curves can be written; BadParameter with the reason if it can't."""
    if path is not None:
        if problem := curves_problem(path):
            raise typer.BadParameter(problem)
        _check_place(path)
    return path


def ending_of(output: Path | None, format: str | None) -> str:
    """The ending that says how predictions are written, `.csv` for standard output; BadParameter for another format."""
    if format is not None:
        ending = f".{format.lower().removeprefix('.')}"
        if ending not in ENDINGS:
            raise typer.BadParameter(f"`{format}` is no format; there are {ENDINGS_TEXT}", param_hint="'--output-format'")
        return ending
    return "" if output is None else ENDINGS[0] if output == STANDARD_OUTPUT else output.suffix.lower()


def refuse_overwriting(output: Path | None, *given: Path | None, option: str = "'--output' / '-o'") -> None:
    """Raises BadParameter if the output is one of the files that the command reads."""
    for path in given:
        if output is not None and path is not None and output.exists() and path.exists() and output.samefile(path):
            raise typer.BadParameter(f"`{output}` is what is read, and would be written over", param_hint=option)


def _check_place(path: Path) -> None:
    try:
        place = path.resolve()
        if not place.parent.is_dir():
            raise typer.BadParameter(f"there is no folder `{path.parent}`")
        _check_file(path, place)
        try_to_write_beside(place)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a link that leads to itself"
        raise typer.BadParameter(f"`{path}` can't be written: {reason}") from None


def _check_file(path: Path, place: Path) -> None:
    """Raises BadParameter if the path exists and isn't a writable regular file."""
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise typer.BadParameter(f"`{path}` is a folder")
    if not stat.S_ISREG(mode):
        raise typer.BadParameter(f"`{path}` isn't a regular file")
    if not os.access(place, os.W_OK):
        raise typer.BadParameter(f"`{path}` may not be written, it is read-only")
