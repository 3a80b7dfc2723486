"""The table of predictions on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from rich import box
from rich.table import Table

from rnnspec.cli.console import printable
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, Signature
from rnnspec.datafiles.predictions import Predictions
from rnnspec.datafiles.sets import DataSet
from rnnspec.runtime.data.class_names import without_class


def prediction_table(
    signature: Signature,
    data: DataSet,
    found: Predictions,
    classes: Mapping[str, Sequence[str]],
    thresholds: Mapping[str, float],
    count: int,
) -> Table:
    """`count` samples, evenly spread over the set: targets beside predictions of a single output, or the predictions of several outputs.

    `classes`: the names of classes by output. `thresholds`: as `CompiledModel.class_thresholds`.
    """
    table = Table(box=box.SIMPLE_HEAD)
    keys = data.keys
    for heading in (*(("sample",) if keys is None else map(printable, keys.names)), "steps"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("true", "predicted") if len(found.outputs) == 1 else [output.name for output in signature.outputs]:
        table.add_column(heading, overflow="fold")
    loss = signature.train.loss
    categorical = isinstance(loss, Config) and "categorical" in loss.name
    sparse = isinstance(loss, Config) and loss.name.startswith("sparse_")
    targets = data.targets_of(signature.outputs[0].name)
    first = next((spec for spec in signature.inputs if spec.is_sequence), None)
    for sample in sorted({round(place) for place in np.linspace(0, data.samples - 1, min(count, data.samples))}):
        shown: list[str] = []
        for output, values, real in zip(found.outputs, found.arrays, found.reals, strict=True):
            names = classes.get(output.name, ())
            of_classes = values.ndim == 2 and (bool(names) if values.shape[1] == 1 else categorical)
            if len(found.outputs) == 1:
                target = None if targets is None else targets[sample]
                shown.append(
                    "" if target is None else _target(target, names, sparse=sparse or values.shape[-1] == 1, of_classes=of_classes)
                )
            row = values[sample] if real is None else values[sample][real[sample]]
            named = of_classes and not without_class(row)
            shown.append(_predicted(row, names, thresholds[output.name]) if named else _values(row))
        steps = "" if first is None else "" if isinstance(data.x[first.name][sample], str) else str(data.steps_of(sample, first.name))
        named = [str(sample)] if keys is None else [printable(str(each[sample])) for each in keys.of_samples]
        table.add_row(*named, steps, *shown)
    return table


def _predicted(row: Array, classes: Sequence[str], threshold: float) -> str:
    """The class of a row of probabilities, or of the one of the second class, and how probable it is; of a score, the score."""
    if row.size > 1:
        return _class(int(row.argmax()), classes, f"  ({row.max():.3f})")
    score = float(row[0])
    certainty = max(score, 1 - score) if threshold == 0.5 else score
    return _class(int(score > threshold), classes, f"  ({certainty:.3f})")


def _target(target: object, classes: Sequence[str], *, sparse: bool, of_classes: bool) -> str:
    """An expected class, which is a name, a number or the 1 of a one-hot row; anything else as it is."""
    if isinstance(target, str):
        return printable(target)
    values = np.asarray(cast(Array, target))
    if not of_classes or values.dtype.kind not in "biuf":
        return _values(values)
    if not sparse:
        return _class(int(values.argmax()), classes) if values.size else _values(values)
    number = values.reshape(-1)
    return _class(int(number[0]), classes) if number.size == 1 and np.isfinite(number[0]) else _values(values)


def _class(number: int, classes: Sequence[str], certainty: str = "") -> str:
    """A class by its name, or its number where it has none."""
    return (printable(classes[number]) if 0 <= number < len(classes) else str(number)) + certainty


def _values(values: Array) -> str:
    return np.array2string(values, precision=4, threshold=6, edgeitems=2).replace("\n", "")
