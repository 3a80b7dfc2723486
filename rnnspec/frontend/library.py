"""The standard library's cells, written in the language itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from rnnspec.frontend import ast
from rnnspec.frontend.parser import parse
from rnnspec.resources import read_resource
from rnnspec.source import SourceFile

NAMES = ("simple_rnn", "lstm", "gru")


@cache
def standard_cells() -> Mapping[str, ast.Cell]:
    """Every cell that needs no declaration, by name."""
    cells: dict[str, ast.Cell] = {}
    for name in NAMES:
        tree = parse(SourceFile(f"stdlib/{name}.rnn", read_resource("stdlib", f"{name}.rnn")))
        cells |= {each.name.text: each for each in tree.declarations if isinstance(each, ast.Cell)}
    return MappingProxyType(cells)
