"""The tables of the language reference have all of the library's losses and metrics, as its text declares them."""

from __future__ import annotations

import pytest

from docs.library_text import declared
from rnnspec.frontend.catalogue.choices import LOSSES, METRICS
from rnnspec.frontend.syntax import ast, standard_library


@pytest.mark.parametrize(
    ("file", "kind", "library"),
    [("losses", "loss", standard_library.losses({})), ("metrics", "metric", standard_library.metrics({}))],
)
def test_a_table_has_every_declaration(file: str, kind: str, library: standard_library.Library[ast.Loss | ast.Metric]) -> None:
    found = {each.name: each for each in declared(file, kind)}
    assert found.keys() == library.keys()
    for name, each in found.items():
        tree = library[name]
        parameters = [parameter.name.text for parameter in tree.parameters]
        assert each.head.startswith(f"{name}({parameters[0]}" if parameters else name)
        assert all(f"{parameter} = " in each.head or f"{parameter}," in each.head for parameter in parameters)
        assert each.target == (tree.target.text if tree.target else "values")
        assert each.words.endswith(".")


def test_a_declaration_says_where_it_is_from() -> None:
    """Keras's class by its name, or a paper, or what it is."""
    classes = {spelling: entry.name for entry in (*LOSSES.values(), *METRICS.values()) for spelling in entry.spellings}
    for each in (*declared("losses", "loss"), *declared("metrics", "metric")):
        own = {spelling for spelling, name in classes.items() if name == each.name and spelling[0].isupper()}
        assert not own or any(spelling in each.words for spelling in own), each.name


def test_a_function_without_a_comment_is_for_the_library_alone() -> None:
    shown = {each.name for each in declared("functions", "function")}
    assert {"pick", "argmax", "above"} <= shown
    assert {"above_among", "places_among"} & shown == set()
