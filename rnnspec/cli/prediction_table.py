"""The table of predictions on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from rich import box
from rich.table import Table

from rnnspec.cli.console import printable
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, Signature
from rnnspec.runtime.data.batches import Mask
from rnnspec.training.data import DataSet


def prediction_table(
    signature: Signature, data: DataSet, outputs: Sequence[Array], reals: Sequence[Mask | None], classes: Sequence[str], count: int
) -> Table:
    """`count` samples, evenly spread over the set: targets beside predictions of a single output, or the predictions of several outputs.

    `reals`: for each output the steps to show, (samples, time); None for all.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("sample", "steps"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("true", "predicted") if len(outputs) == 1 else [output.name for output in signature.outputs]:
        table.add_column(heading, overflow="fold")
    loss = signature.train.loss
    categorical = isinstance(loss, Config) and "categorical" in loss.name and all(output.ndim == 2 for output in outputs)
    sparse = isinstance(loss, Config) and loss.name.startswith("sparse_")
    targets = data.targets_of(signature.outputs[0].name)
    for sample in sorted({round(place) for place in np.linspace(0, data.samples - 1, min(count, data.samples))}):
        shown: list[str] = []
        if len(outputs) == 1:
            target = None if targets is None else np.asarray(cast(Array, targets[sample]))
            shown.append("" if target is None else _target(target, classes, sparse=sparse) if categorical else _values(target))
        for output, real in zip(outputs, reals, strict=True):
            values = output[sample] if real is None else output[sample][real[sample]]
            shown.append(_class(int(values.argmax()), classes, f"  ({values.max():.3f})") if categorical else _values(values))
        steps = str(data.steps_of(sample)) if signature.inputs[0].is_sequence else ""
        table.add_row(str(sample), steps, *shown)
    return table


def _target(target: Array, classes: Sequence[str], *, sparse: bool) -> str:
    """An expected class, which is a number or the 1 of a one-hot row; anything else as it is."""
    if not sparse:
        return _class(int(target.argmax()), classes) if target.size else _values(target)
    number = target.reshape(-1)
    return _class(int(number[0]), classes) if number.size == 1 and np.isfinite(number[0]) else _values(target)


def _class(number: int, classes: Sequence[str], certainty: str = "") -> str:
    """A class by its name, or its number where it has none."""
    return (printable(classes[number]) if 0 <= number < len(classes) else str(number)) + certainty


def _values(values: Array) -> str:
    return np.array2string(values, precision=4, threshold=6, edgeitems=2).replace("\n", "")
