"""The recipes of docs/extending.md name files that there are, and tests that there are."""

from __future__ import annotations

import re

import pytest

from docs.generate import ROOT
from rnnspec.frontend.layers import registry

TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PATH = re.compile(r"`((?:rnnspec|tests|docs|templates)/[\w./-]*)`")

EXPECTED = {
    "An elementwise operation",
    "A function, an activation",
    "An operation with a structure",
    "A layer",
    "An argument of a layer",
    "A pass over the tensor IR",
    "A pass over kernels",
    "An optimizer",
    "A learning-rate schedule",
    "A loss",
    "A metric",
    "A callback",
    "A target",
    "A back end, or another output",
    "A schedule: how a function becomes loop nests",
    "A subcommand",
    "A public name in Python",
    "A page of the cookbook",
    "A format of data files",
}


def test_there_is_a_recipe_for_each() -> None:
    assert RECIPES.keys() == EXPECTED


@pytest.mark.parametrize("recipe", RECIPES)
def test_its_files_exist(recipe: str) -> None:
    paths = PATH.findall(RECIPES[recipe])
    assert len(paths) >= 3
    for path in paths:
        assert (ROOT / path).exists(), f"{recipe}: {path}"


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_says_what_to_edit(recipe: str) -> None:
    edited = re.findall(
        r"^\| (.+?) \| .+ \|$", RECIPES[recipe].partition("| file | edit |\n|---|---|\n")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert edited
    assert all(PATH.search(row) for row in edited)


def test_a_family_of_layers_is_one_file_and_one_line() -> None:
    """As the recipe has it: the registry imports rules from the files of families, and from nowhere else."""
    for rules in registry.ALL:
        module = rules.layer.__module__
        assert module.startswith("rnnspec.frontend.layers."), rules.layer
        assert module == rules.check.check.__module__ == rules.lower.__module__, rules.layer


def test_the_page_can_be_reached() -> None:
    for page in ("CONTRIBUTING.md", "docs/architecture.md"):
        assert "extending.md)" in (ROOT / page).read_text(encoding="utf-8")
