"""How many modules know a thing by name: where it is one place and a line in a table, the next one costs no more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.layers.registry import ALL
from tests.unit.test_architecture import MODULES, room


@cache
def imported_and_defined(module: str) -> frozenset[str]:
    """The names that a module defines as classes, or takes from another one, by themselves or after a dot."""

    def names(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            match node:
                case ast.ClassDef(name=name):
                    yield name
                case ast.ImportFrom(names=aliases, module=str(source)) if source.startswith("rnnspec.frontend"):
                    yield from (alias.name for alias in aliases)
                case ast.Attribute(attr=name):
                    yield name
                case _:
                    pass

    return frozenset(names(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


@pytest.mark.parametrize("layer", [rules.layer for rules in ALL], ids=lambda layer: layer.__name__)
def test_a_layer_is_named_in_two_modules_at_most(layer: type) -> None:
    """Its own, and that of a layer around it; the registry names the rules alone, and other rooms nothing of it.

    What another format has for each layer is a table by their classes, in the room of its exporter.
    """
    naming = [name for name in MODULES if layer.__name__ in imported_and_defined(name) and room(name) != "interop.onnx_export"]
    assert layer.__module__ in naming
    assert len(naming) <= 2, f"{layer.__name__} is named in {', '.join(naming)}"
    assert {room(name) for name in naming} == {"frontend.layers"}


def test_every_type_in_the_catalogue_has_the_rules_of_one_layer() -> None:
    names = [name for rules in ALL for name in rules.names]
    assert sorted(names) == sorted(LAYERS)
    assert len({rules.layer for rules in ALL}) == len(ALL)


def test_rules_have_no_defaults() -> None:
    """A rule that is forgotten is an error of the type checker, and of the import."""
    for rules in ALL:
        first = type(rules)
        assert all(field.default is field.default_factory for field in first.__dataclass_fields__.values())
