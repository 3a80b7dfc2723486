"""`rnnspec train`."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec import kept
from rnnspec.cli.console import messages, print_results
from rnnspec.cli.options import DataPath, Dtype, OutputPath, Parameters, Precision, Seed, SpecPath, parse_parameters
from rnnspec.training.data import load_data
from rnnspec.training.progress import progress


def train(
    spec: SpecPath,
    data: DataPath,
    output: OutputPath,
    seed: Seed = None,
    parameter: Parameters = None,
    epochs: Annotated[int | None, typer.Option(min=0, help="Instead of the spec's.", show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Instead of the spec's.", show_default=False)] = None,
    validation_split: Annotated[
        float | None, typer.Option(help="The last fraction of the training set, to validate on instead of the spec's.", show_default=False)
    ] = None,
    shuffle: Annotated[bool | None, typer.Option("--shuffle/--no-shuffle", help="Instead of the spec's.", show_default=False)] = None,
    dtype: Dtype = Precision.float32,
) -> None:
    """Train a spec on data, write the compiled model, and evaluate it if the data has a test set."""
    model = kept.compile(spec, dtype=dtype.value, seed=seed, parameters=parse_parameters(parameter))
    file = load_data(data)
    examples = file.for_training
    model.fit(
        examples.x,
        examples.y,
        batch_size=batch_size,
        epochs=epochs,
        validation_split=validation_split,
        shuffle=shuffle,
        seed=seed,
        verbose=False,
        mask=examples.mask,
        callbacks=[progress(messages)],
    )
    model.save(output)
    if "test" in file.sets:
        test = file.for_testing
        print_results("test", model.evaluate(test.x, test.y, mask=test.mask))
    messages.print(f"wrote {output}", markup=False)
