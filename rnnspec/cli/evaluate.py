"""`rnnspec evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.options import ArtifactPath, AsJson, Columns, DataFormat, DataPaths, Header, Storage

REPORT = "Also print each class's precision, recall and F1 and the confusion matrix, or the errors of values."


def evaluate(
    model: ArtifactPath,
    data: DataPaths,
    columns: Columns = None,
    format: DataFormat = None,
    header: Header = True,
    report: Annotated[bool, typer.Option("--report", help=REPORT)] = False,
    weights: Storage = None,
    json_: AsJson = False,
) -> None:
    """Print a model's loss and metrics on the test set of the data, or on all of it if it has no sets.

    With --weights also what they are with matrices in fewer bits.
    """
    from rnnspec import api
    from rnnspec.cli.data import examples_of, given_by, open_data, with_targets
    from rnnspec.cli.results import name_classes, print_json, print_report, print_results
    from rnnspec.datafiles.places import placed

    given = given_by(columns, format, header)
    loaded = api.load(model)
    file = open_data(data, given, loaded)
    test = with_targets(file, file.for_testing, loaded.signature)
    if report:
        name_classes(loaded, file.classes)
    with placed(test.origin):
        found = loaded.report(**examples_of(test)) if report else None
        means = loaded.evaluate(**examples_of(test)) if found is None else found.results
        narrow = {} if weights is None else {weights.value: api.load(model, weights=weights.value).evaluate(**examples_of(test))}
    if json_:
        reports = {} if found is None else {"report": {name: each.as_dict() for name, each in found.outputs.items()}}
        print_json({"samples": test.samples, "test": means, **narrow, **reports})
        return
    print_results("test", means)
    for name, others in narrow.items():
        print_results(f"test {name}", others)
    if found is not None:
        print_report(found)
