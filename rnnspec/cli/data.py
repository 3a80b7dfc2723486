"""The data that a command is given."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from rnnspec.contract.signature import Signature
from rnnspec.datafiles.content import STANDARD_INPUT, lines_of, text_of
from rnnspec.datafiles.formats import Reading, read_tables
from rnnspec.datafiles.roles import Roles
from rnnspec.datafiles.sets import DataFile, DataSet, bound
from rnnspec.datafiles.table import Samples
from rnnspec.file_kinds import DATA_FORMATS, DataFormat
from rnnspec.frozen import frozen
from rnnspec.training.model import Model


@frozen
class Given:
    """What the options say about data files. `columns`: those of a role, by its name."""

    columns: Mapping[str, tuple[str, ...]]
    reading: Reading


def given_by(columns: Sequence[str] | None, format: str | None, header: bool) -> Given:
    """What the options say; BadParameter for one that says nothing."""
    return Given(_columns(columns or ()), Reading(checked_format(format, "'--format'"), header))


def checked_format(name: str | None, option: str) -> DataFormat | None:
    """A format by its name; BadParameter that names all for another name."""
    if name is None:
        return None
    for each in DATA_FORMATS:
        if name.lower().removeprefix(".") == each:
            return each
    raise typer.BadParameter(f"`{name}` is no format; there are {', '.join(DATA_FORMATS)}", param_hint=option)


def _columns(assignments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`ROLE=COLUMN` or `ROLE=COLUMN,COLUMN` pairs."""
    found: dict[str, tuple[str, ...]] = {}
    for assignment in assignments:
        role, equals, names = (part.strip() for part in assignment.partition("="))
        columns = tuple(name.strip() for name in names.split(","))
        if not equals or not role or "" in columns:
            message = f"`{assignment}` is not of the form NAME=COLUMN, or NAME=COLUMN,COLUMN for several side by side"
            raise typer.BadParameter(message, param_hint="'--columns'")
        if role in found:
            raise typer.BadParameter(f"`{role}` is given twice", param_hint="'--columns'")
        found[role] = columns
    return found


def open_data(paths: Sequence[Path], given: Given, model: Model) -> DataFile:
    """The data files for a model; ValueError for class names that aren't as many as its classes."""
    signature = model.signature
    roles = Roles(signature, given.columns)
    table = read_tables([str(path) for path in paths], roles.is_wanted, given.reading)
    file = bound(table, signature, roles, model.classes)
    widths = [output.shape[-1] for output in signature.outputs]
    for name, classes in file.classes.items():
        place = 0 if not name else next(place for place, output in enumerate(signature.outputs) if output.name == name)
        if (name or len(widths) == 1) and widths[place] not in (1, len(classes)):
            found = f"{len(classes)} classes, output {signature.outputs[place].name} has {widths[place]}"
            raise ValueError(f"{file.path}: it names {found}")
    return file


def with_targets(file: DataFile, data: DataSet, signature: Signature) -> DataSet:
    """A set of the file with its targets; ValueError if outputs with a loss lack targets, or others have some."""
    loss = signature.train.loss
    trained = [output.name for place, output in enumerate(signature.outputs) if not isinstance(loss, tuple) or loss[place] is not None]
    return file.with_targets(data, trained if len(trained) > 1 else ())


def inputs_of(data: DataSet) -> dict[str, Any]:
    """The inputs as arguments of `predict`."""
    return {"x": data.x, "mask": data.mask, "lengths": data.lengths}


def examples_of(data: DataSet) -> dict[str, Any]:
    """Inputs and targets as arguments of `fit` and `evaluate`."""
    return {**inputs_of(data), "y": data.y, "sample_weight": data.weights}


def validation_of(data: DataSet | None) -> dict[str, Any]:
    """A validation set as arguments of `fit`."""
    if data is None:
        return {}
    return {"validation_data": (data.x, data.y, data.weights), "validation_mask": data.mask, "validation_lengths": data.lengths}


def texts_given(texts: Sequence[str], signature: Signature) -> DataSet:
    """Texts for a model's only input; `-` stands for the lines of standard input. ValueError for a model with another input."""
    names = [spec.name for spec in signature.inputs]
    if len(names) != 1 or signature.inputs[0].text is None:
        what = "its input takes no texts" if len(names) == 1 else f"it has the inputs {', '.join(names)}"
        raise ValueError(f"--text: model {signature.model} is none of one text: {what}; give it --data")
    found: list[str] = []
    for text in texts:
        found += lines_of(text_of("standard input", sys.stdin.buffer, packed=False)) if text == STANDARD_INPUT else [text]
    return DataSet({names[0]: found})


def adapt(model: Model, data: DataSet, *, numbers: bool, validation_split: float) -> None:
    """Makes the vocabularies that the model lacks of the texts to train on. `numbers`: also the means and variances of its inputs.

    `validation_split`: the fraction that `fit` will hold out of the data.
    """
    signature = model.signature
    scaled = {use.input for layer in signature.moments for use in layer.uses if numbers}
    texts = {
        spec.name
        for spec in signature.inputs
        if spec.text is not None and not model.get_vocabulary(spec.name) and _has_texts(data.x[spec.name])
    }
    if x := {name: values for name, values in data.x.items() if name in texts or name in scaled}:
        mask, lengths = ({name: each for name, each in (given or {}).items() if name in scaled} for given in (data.mask, data.lengths))
        model.adapt(x, mask=mask or None, lengths=lengths or None, validation_split=validation_split)


def _has_texts(values: Samples) -> bool:
    return any(isinstance(value, str) for value in values)
