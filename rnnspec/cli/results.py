"""The results of an evaluation or a training on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from rnnspec.cli.console import on_terminal, print_table, print_text, printable
from rnnspec.datafiles.predictions import plain
from rnnspec.training.progress import value_text

if TYPE_CHECKING:
    from rnnspec.training.model import Model
    from rnnspec.training.reports import Report


def print_results(name: str, means: Mapping[str, Any]) -> None:
    """Prints a line for each mean, metrics first and the loss last: "test accuracy 0.9730"; without a terminal with all digits."""
    print_text(
        "\n".join(f"{name} {key} {value_text(means[key], short=on_terminal())}" for key in sorted(means, key=lambda key: key == "loss"))
    )


def print_json(found: Mapping[str, Any]) -> None:
    """Prints one JSON object, all digits of its numbers; null stands for a number that isn't finite."""
    print_text(json.dumps(plain(found), ensure_ascii=False, allow_nan=False))


def name_classes(model: Model, classes: Mapping[str, Sequence[str]]) -> None:
    """Gives the outputs that have no names of classes those of the data file, where they are as many. `classes`: by output, or under ""."""
    for each in model.signature.outputs:
        names = classes.get(each.name, classes.get("", ()))
        if each.name not in model.classes and len(names) == max(each.width, 2) and len(set(names)) == len(names) and all(names):
            model.set_classes(names, each.name)


def print_report(report: Report) -> None:
    """Prints the tables of each output; on a terminal numbers have four digits, elsewhere all."""
    for name, of_output in report.outputs.items():
        if len(report.outputs) > 1:
            print_text(f"\noutput {name}")
        for each in of_output.tables():
            table = Table(box=box.SIMPLE_HEAD)
            for column, heading in enumerate(each.heading):
                table.add_column(printable(heading), justify="right" if column in each.numbers else "left", no_wrap=True)
            for row in each.texts(short=on_terminal()):
                table.add_row(*map(printable, row))
            print_table(table)
