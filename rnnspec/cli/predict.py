"""`rnnspec predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.console import print_table, print_text, say
from rnnspec.cli.options import ArtifactPath, DataPath, PredictionsOutput
from rnnspec.cli.outputs import STANDARD_OUTPUT, refuse_overwriting


def predict(
    model: ArtifactPath,
    data: DataPath,
    output: PredictionsOutput = None,
    show: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Print this many predictions, spread evenly over the set.")] = 0,
) -> None:
    """Predict the test set of the data, or all of it if it has no sets; print some of it or write all of it.

    The ending of the output's name says how it is written: .csv has a heading and a line a sample, or one a step of
    a sample; .npy is the one output as an array; .npz has each output under its name.
    """
    from rnnspec import api
    from rnnspec.cli.data import open_data
    from rnnspec.cli.prediction_table import prediction_table
    from rnnspec.files import write_atomically
    from rnnspec.interop.predictions import CSV, as_csv, check_format, encode
    from rnnspec.runtime.data.class_names import real_steps
    from rnnspec.runtime.data.validate import check_inputs

    refuse_overwriting(output, model, data)
    if output == STANDARD_OUTPUT and show:
        raise typer.BadParameter("it prints to standard output, where `-o -` writes", param_hint="'--show'")
    loaded = api.load(model)
    signature = loaded.signature
    ending = "" if output is None else CSV if output == STANDARD_OUTPUT else output.suffix.lower()
    check_format(ending, signature.outputs)
    file = open_data(data, signature)
    test = file.for_testing
    several = len(signature.outputs) > 1
    given = loaded.predict(test.x, mask=test.mask, lengths=test.lengths)
    outputs = given if several else (given,)
    reals = real_steps(signature, check_inputs(signature, test.x, test.mask, test.lengths, at_once=False))
    if output is not None:
        if output == STANDARD_OUTPUT:
            print_text(as_csv(signature.outputs, outputs, reals[0]))
        else:
            write_atomically(output, encode(ending, signature.outputs, outputs, reals[0]))
            say(f"wrote {output}")
    if show or output is None:
        print_table(prediction_table(signature, test, outputs, reals, file.classes, show or 10))
