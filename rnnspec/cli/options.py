"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rnnspec.cli.outputs import ENDINGS_TEXT, check_model_output, check_predictions_output, check_text_output
from rnnspec.contract.target_names import TARGET_NAMES
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.file_kinds import DATA_FORMATS

Literal: TypeAlias = int | float | bool | str | None

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


class Precision(StrEnum):
    """The element type of every float input, weight and output of a model."""

    float32 = "float32"
    float64 = "float64"


SpecPath: TypeAlias = Annotated[Path, typer.Argument(metavar="SPEC", help="The model's .rnn file.", show_default=False)]
ArtifactPath: TypeAlias = Annotated[Path, typer.Argument(metavar="MODEL", help="The compiled model, a .rnnc file.", show_default=False)]
_DATA_ENDINGS = f"{', '.join(f'.{name}' for name in DATA_FORMATS[:-1])} or .{DATA_FORMATS[-1]}"
DATA = f"The data: {_DATA_ENDINGS}, text also with .gz behind it; `-` is standard input. Repeatable: the columns of all files."
DataPaths: TypeAlias = Annotated[list[Path], typer.Option("--data", "-d", metavar="FILE", help=DATA, show_default=False)]
OptionalDataPaths: TypeAlias = Annotated[list[Path] | None, typer.Option("--data", "-d", metavar="FILE", help=DATA, show_default=False)]
COLUMNS = "The column, or columns, of an input, an output, or x, y, length, mask, sample_weight, split; repeatable."
Columns: TypeAlias = Annotated[list[str] | None, typer.Option("--columns", metavar="NAME=COLUMN", help=COLUMNS, show_default=False)]
FORMAT = "How data files, or standard input, are written, whatever their names end in."
DataFormat: TypeAlias = Annotated[str | None, typer.Option("--format", metavar="NAME", help=FORMAT, show_default=False)]
Header: TypeAlias = Annotated[bool, typer.Option("--header/--no-header", help="Whether the first line of CSV and TSV names the columns.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")]
ModelOutput: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The model file to write, a .rnnc.", callback=check_model_output, show_default=False
    ),
]
PREDICTIONS = f"Where to write them, {ENDINGS_TEXT}; `-` is standard output, as .csv unless --output-format says another."
PredictionsOutput: TypeAlias = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help=PREDICTIONS, callback=check_predictions_output, show_default=False),
]
TextOutput: TypeAlias = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write; `-` is standard output.", callback=check_text_output),
]
Parameters: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-P", metavar="NAME=VALUE", help="A value for a parameter of the model; repeatable.", show_default=False),
]
SEED = "From the same seed come the same fresh weights, order of samples and dropout; without one they differ from run to run."
Seed: TypeAlias = Annotated[int | None, typer.Option("--seed", min=0, metavar="NUMBER", help=SEED, show_default=False)]
TARGETS_TEXT = f"{', '.join(TARGET_NAMES[:-1])} or {TARGET_NAMES[-1]}"
SpecOrModelPath: TypeAlias = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The model's .rnn file, or a compiled model, a .rnnc.", show_default=False)
]
DTYPE = "The precision to compile for.  [default: float32, or the compiled model's]"
DtypeOrModels: TypeAlias = Annotated[Precision | None, typer.Option("--dtype", help=DTYPE, show_default=False)]
Dtype: TypeAlias = Annotated[Precision, typer.Option("--dtype", help="The precision to compile for.")]


STORAGE = "How inference keeps the matrices that it multiplies by.  [default: the model's own]"
Storage: TypeAlias = Annotated[WeightStorage | None, typer.Option("--weights", help=STORAGE, show_default=False)]


def parse_parameters(assignments: list[str] | None) -> dict[str, Literal]:
    """`NAME=VALUE` pairs as parameter values, each value written as in the language."""
    values: dict[str, Literal] = {}
    for assignment in assignments or ():
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals or not _NAME.fullmatch(name):
            raise typer.BadParameter(f"`{assignment}` is not of the form NAME=VALUE", param_hint="--parameter / -P")
        if name in values:
            raise typer.BadParameter(f"`{name}` is given twice", param_hint="--parameter / -P")
        values[name] = parse_literal(name, text)
    return values


def parse_literal(name: str, text: str) -> Literal:
    """A literal of the language: an integer, a number, `true`, `false`, `none` or a name."""
    if text in _WORDS:
        return _WORDS[text]
    if _NAME.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    message = f"`{text}`, the value of `{name}`, is neither a number nor `true`, `false`, `none` or a name"
    raise typer.BadParameter(message, param_hint="--parameter / -P")
