"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from rich import box
from rich.table import Table

from rnnspec.runtime.executable import Array
from rnnspec.runtime.signature import Configured, Signature
from rnnspec.runtime.summary import LayerRow, MaskRow
from rnnspec.training.data import DataSet


def layer_table(rows: Sequence[LayerRow]) -> Table:
    """One line a layer, the number of all weights at the foot."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("layer", style="bold")
    table.add_column("type")
    table.add_column("output shape")
    table.add_column("mask", footer="total")
    table.add_column("weights", justify="right", footer=f"{sum(row.weights for row in rows):,}")
    for row in rows:
        table.add_row(row.name, row.kind, row.output_shape, row.mask, f"{row.weights:,}")
    return table


def mask_table(rows: Sequence[MaskRow]) -> Table:
    """One line a use of a layer: the real steps before and after it."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", style="bold")
    for heading in ("real steps in", "real steps out", "mask", "masked steps hold"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.name, row.taken, row.given, row.mask, row.masked_output)
    return table


def prediction_table(signature: Signature, data: DataSet, outputs: Sequence[Array], classes: Sequence[str], count: int) -> Table:
    """`count` samples spread evenly over the set: what was expected, what is predicted; of several outputs what each gives."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("sample", "steps"):
        table.add_column(heading, justify="right")
    for heading in ("true", "predicted") if len(outputs) == 1 else [output.name for output in signature.outputs]:
        table.add_column(heading)
    loss = signature.train.loss
    categorical = isinstance(loss, Configured) and "categorical" in loss.name and all(output.ndim == 2 for output in outputs)
    targets = data.targets_of(signature.outputs[0].name)
    for sample in sorted({round(place) for place in np.linspace(0, data.samples - 1, min(count, data.samples))}):
        shown: list[str] = []
        if len(outputs) == 1:
            target = None if targets is None else np.asarray(cast(Array, targets[sample]))
            shown.append("" if target is None else _class(target, classes) if categorical else _values(target))
        for output in outputs:
            best = output[sample].argmax(axis=-1)
            shown.append(f"{_class(best, classes)}  ({output[sample][best]:.3f})" if categorical else _values(output[sample]))
        steps = str(len(cast(Array, data.x[sample]))) if signature.inputs[0].is_sequence else ""
        table.add_row(str(sample), steps, *shown)
    return table


def _class(target: Array, classes: Sequence[str]) -> str:
    """A class by name; of a one-hot target, the class that it marks."""
    number = int(target.argmax() if target.ndim else target)
    return classes[number] if number < len(classes) else str(number)


def _values(values: Array) -> str:
    return np.array2string(values, precision=4, threshold=6, edgeitems=2).replace("\n", "")
