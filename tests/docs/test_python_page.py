"""docs/python.md has every public module, and of each every public name."""

from __future__ import annotations

import re
from importlib import import_module

from docs.generate import ROOT
from docs.python_text import HIDDEN, MODULES, api, public

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_every_module_with_an_all_is_on_the_page() -> None:
    found = {
        f"rnnspec.{path.stem}".removesuffix(".__init__")
        for path in (ROOT / "rnnspec").glob("*.py")
        if re.search(r"^__all__ =", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found <= set(MODULES)
    assert re.findall(r"<!-- begin: python (\S+) -->", PAGE) == list(MODULES)


def test_every_name_of_an_all_is_shown_or_said_to_be_hidden() -> None:
    for name in MODULES:
        module = import_module(name)
        classes = {each for each in getattr(module, "__all__", ()) if callable(getattr(module, each))}
        assert classes - HIDDEN <= {each for each, _ in public(module)}, name


def test_methods_have_signatures_and_examples_are_whole() -> None:
    shown = api("", "rnnspec")
    assert "#### `Model.predict(x, batch_size=None, *, mask=None, lengths=None, steps=None, verbose=False)`" in shown
    assert "```text\n>>> import numpy as np\n" in shown and "#### `Model.learning_rate`" in shown
    assert shown.count("```") % 2 == 0
    assert "#### `Model._" not in shown and "0x" not in shown


def test_what_markdown_would_take_for_markup_is_as_it_was() -> None:
    outside = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[*_](?=\w)", re.sub(r"<!--.*?-->", "", outside))
