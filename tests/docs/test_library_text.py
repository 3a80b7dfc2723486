"""The tables of the language reference have all of the library's losses and metrics, as its text declares them."""

from __future__ import annotations

import pytest

from docs.library_text import declared
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.frontend.syntax.expression_layout import parameter_text
from rnnspec.keras_names import names


@pytest.mark.parametrize(
    ("file", "kind", "library"),
    [("losses", "loss", standard_library.losses({})), ("metrics", "metric", standard_library.metrics({}))],
)
def test_a_table_has_every_declaration(file: str, kind: str, library: standard_library.Library[ast.Loss | ast.Metric]) -> None:
    found = {each.name: each for each in declared(file, kind)}
    assert found.keys() == library.keys()
    for name, each in found.items():
        tree = library[name]
        parameters = ", ".join(map(parameter_text, tree.parameters))
        assert each.head == (f"{name}({parameters})" if parameters else name)
        assert each.target == (tree.target.text if tree.target else "values")
        assert each.words.endswith(".")


@pytest.mark.parametrize(("file", "family"), [("losses", "loss"), ("metrics", "metric")])
def test_a_declaration_says_the_class_that_it_is_in_keras(file: str, family: str) -> None:
    for each in declared(file, family):
        member = names.keras_name(family, each.name)
        assert member is None or member.name in each.words, each.name


def test_a_function_without_a_comment_is_for_the_library_alone() -> None:
    shown = {each.name for each in declared("functions", "function")}
    assert {"pick", "argmax", "above"} <= shown
    assert {"above_among", "places_among"} & shown == set()
