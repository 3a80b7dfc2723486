"""`rnnspec predict`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rnnspec.cli.console import print_table, results, say
from rnnspec.cli.options import ArtifactPath, AsJson, Columns, DataFormat, Header, OptionalDataPaths, PredictionsOutput, Storage
from rnnspec.cli.outputs import STANDARD_OUTPUT, ending_of, refuse_overwriting

TEXT = "A text to predict, in the place of data; repeatable. `-` takes the lines of standard input."
OUTPUT_FORMAT = "How predictions are written, whatever the output's name ends in."


def predict(
    model: ArtifactPath,
    data: OptionalDataPaths = None,
    text: Annotated[list[str] | None, typer.Option("--text", metavar="TEXT", help=TEXT, show_default=False)] = None,
    output: PredictionsOutput = None,
    show: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Print this many predictions, spread evenly over the set.")] = 0,
    columns: Columns = None,
    format: DataFormat = None,
    header: Header = True,
    output_format: Annotated[str | None, typer.Option(metavar="NAME", help=OUTPUT_FORMAT, show_default=False)] = None,
    weights: Storage = None,
    json_: AsJson = False,
) -> None:
    """Predict the test set of the data, or all of it if it has no sets; print some of it or write all of it.

    The ending of the output's name says how it is written: .csv has a heading and a line a sample, or one a step of
    a sample; .jsonl an object a sample; .npy is the one output as an array; .npz has each output under its name.
    """
    from rnnspec import api
    from rnnspec.cli.data import given_by, inputs_of, open_data, texts_given
    from rnnspec.cli.not_finite import tell_not_finite
    from rnnspec.cli.prediction_table import prediction_table
    from rnnspec.cli.results import print_json
    from rnnspec.datafiles.places import placed
    from rnnspec.datafiles.predictions import as_data, check_format, encode, predictions_of
    from rnnspec.files import write_atomically

    if bool(data) == bool(text):
        raise typer.BadParameter("one of --data and --text says what is predicted", param_hint="'--data' / '--text'")
    ending = ending_of(output, output_format)
    refuse_overwriting(output, model, *(data or ()))
    if output == STANDARD_OUTPUT and (show or json_):
        raise typer.BadParameter("it prints to standard output, where `-o -` writes", param_hint="'--show'" if show else "'--json'")
    given = given_by(columns, format, header)
    loaded = api.load(model, weights=None if weights is None else weights.value)
    signature = loaded.signature
    check_format(ending, signature.outputs)
    if text:
        test, classes = texts_given(text, signature), loaded.classes
    else:
        file = open_data(data or (), given, loaded)
        test, classes = file.for_testing, file.class_names(loaded.classes)
    inputs = inputs_of(test)
    with placed(test.origin):
        given = loaded.predict(**inputs), loaded.real_steps(**inputs)
    found = predictions_of(signature.outputs, *given, loaded.classes, loaded.class_thresholds, test.keys)
    tell_not_finite(signature, test, found)
    if output == STANDARD_OUTPUT:
        with results():
            sys.stdout.flush()
            sys.stdout.buffer.write(encode(ending, found))
    elif output is not None:
        write_atomically(output, encode(ending, found))
        say(f"wrote {output}")
    if json_:
        print_json({"samples": test.samples, "predictions": as_data(found)})
    elif show or output is None:
        print_table(prediction_table(signature, test, found, classes, loaded.class_thresholds, show or 10))
