"""The spec that a command is given: a `.rnn` file, or the one in a model's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from rnnspec.cli.options import Precision, parse_parameters
from rnnspec.file_kinds import LOOKED_AT, Kind, kind_of
from rnnspec.files import large_limit, open_file
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile


@frozen
class GivenSpec:
    """A path, or the text in a model's file, with the parameters and the dtype to compile it for."""

    spec: Path | SourceFile
    parameters: Mapping[str, Any]
    dtype: str

    def arguments(self) -> dict[str, Any]:
        """All but the spec, as the driver's functions take it."""
        return {"parameters": self.parameters, "dtype": self.dtype}


def given_spec(path: Path, parameter: list[str] | None, dtype: Precision | None = None) -> GivenSpec:
    """What the options say; of a model's file what it says. BadParameter for options that don't fit it, OSError, or ValueError, for a file
    that can't be read or is damaged.
    """
    if not is_model(path):
        return GivenSpec(path, parse_parameters(parameter), (dtype or Precision.float32).value)
    refuse_options_of_specs(path, parameter, dtype)
    from rnnspec.runtime.storage import model_file

    saved = model_file.load(path)
    return GivenSpec(SourceFile(f"{path}!{model_file.SPEC}", saved.text), saved.parameters, saved.dtype)


def is_model(path: Path) -> bool:
    """Whether a file is a compiled model; False for one that can't be read."""
    try:
        with open_file(path, large_limit()) as file:
            start = file.read(LOOKED_AT)
            return kind_of(str(path), start) is Kind.MODEL or (start.startswith(b"PK") and path.suffix.lower() == ".rnnc")
    except OSError:
        return False


def refuse_options_of_specs(path: Path, parameter: list[str] | None, dtype: Precision | None) -> None:
    """Raises BadParameter for what a model's file has of its own."""
    for option, given in (("'--parameter' / '-P'", parameter), ("'--dtype'", dtype)):
        if given:
            raise typer.BadParameter(f"`{path}` is a compiled model, which has its own", param_hint=option)
