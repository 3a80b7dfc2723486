"""`rnnspec predict`."""

from __future__ import annotations

import io
from typing import Annotated

import numpy as np
import typer

from rnnspec import kept
from rnnspec.cli import console
from rnnspec.cli.options import ArtifactPath, DataPath, OptionalOutputPath
from rnnspec.cli.tables import prediction_table
from rnnspec.files import write_atomically
from rnnspec.training.data import load_data


def predict(
    model: ArtifactPath,
    data: DataPath,
    output: OptionalOutputPath = None,
    show: Annotated[int, typer.Option(min=0, help="Print this many predictions, spread evenly over the set.")] = 0,
) -> None:
    """Predict the test set of the data, or all of it if it has no sets; print some of it or write all of it."""
    loaded = kept.load(model)
    file = load_data(data)
    test = file.for_testing
    names = [entry.name for entry in loaded.signature.outputs]
    given = loaded.predict(test.x, mask=test.mask)
    outputs = given if len(names) > 1 else (given,)
    if output is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **dict(zip(names, outputs, strict=True)))
        write_atomically(output, buffer.getvalue())
        console.messages.print(f"wrote {output}", markup=False)
    if show or output is None:
        console.output.print(prediction_table(loaded.signature, test, outputs, file.classes, show or 10))
