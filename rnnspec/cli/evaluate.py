"""`rnnspec evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.options import ArtifactPath, DataPath

REPORT = "Also print each class's precision, recall and F1 and the confusion matrix, or the errors of values."


def evaluate(model: ArtifactPath, data: DataPath, report: Annotated[bool, typer.Option("--report", help=REPORT)] = False) -> None:
    """Print a model's loss and metrics on the test set of the data, or on all of it if it has no sets."""
    from rnnspec import api
    from rnnspec.cli.data import open_data, with_targets
    from rnnspec.cli.results import name_classes, print_report, print_results

    loaded = api.load(model)
    file = open_data(data, loaded.signature)
    test = with_targets(file, file.for_testing, loaded.signature)
    if not report:
        print_results("test", loaded.evaluate(test.x, test.y, sample_weight=test.weights, mask=test.mask, lengths=test.lengths))
        return
    name_classes(loaded, file.classes)
    found = loaded.report(test.x, test.y, sample_weight=test.weights, mask=test.mask, lengths=test.lengths)
    print_results("test", found.results)
    print_report(found)
