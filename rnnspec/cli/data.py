"""The data that a command is given."""

from __future__ import annotations

from pathlib import Path

from rnnspec.contract.signature import Signature
from rnnspec.training.data import DataFile, DataSet, load_data


def open_data(path: Path, signature: Signature) -> DataFile:
    """The data file for a model; ValueError for a model of several inputs, and for class names that aren't as many as its classes."""
    names = [spec.name for spec in signature.inputs]
    if len(names) != 1:
        given = f"model {signature.model} has the inputs {', '.join(names)}"
        raise ValueError(f"{given}: the command runs models with one input; give several to fit, evaluate or predict in Python")
    file = load_data(path, axes=1 + len(signature.inputs[0].shape))
    widths = [output.shape[-1] for output in signature.outputs]
    if file.classes and len(widths) == 1 and widths[0] not in (1, len(file.classes)):
        found = f"{len(file.classes)} classes, output {signature.outputs[0].name} has {widths[0]}"
        raise ValueError(f"{path}: it names {found}")
    return file


def with_targets(file: DataFile, data: DataSet, signature: Signature) -> DataSet:
    """A set of the file with its targets; ValueError if outputs with a loss lack targets, or others have some."""
    loss = signature.train.loss
    trained = [output.name for place, output in enumerate(signature.outputs) if not isinstance(loss, tuple) or loss[place] is not None]
    return file.with_targets(data, trained if len(trained) > 1 else ())
