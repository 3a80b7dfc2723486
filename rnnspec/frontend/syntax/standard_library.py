"""The standard library's cells, written in the language itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.parser import parse
from rnnspec.resources import read_resource
from rnnspec.source import SourceFile

FILES = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
"""Every cell that needs no declaration, and the file that it is in."""
NAMES = tuple(FILES.values())


class CellLibrary(Mapping[str, ast.Cell]):
    """The cells by name: a spec's own, then those of the standard library, each parsed when it is first needed."""

    def __init__(self, own: Mapping[str, ast.Cell]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> ast.Cell:
        return self._own[name] if name in self._own else standard_cell(name)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in FILES

    def __iter__(self) -> Iterator[str]:
        return iter({**FILES, **self._own})

    def __len__(self) -> int:
        return len({**FILES, **self._own})


@cache
def standard_cell(name: str) -> ast.Cell:
    """A cell of the standard library; KeyError for any other name."""
    file = FILES[name]
    tree = parse(SourceFile(f"stdlib/{file}.rnn", read_resource("stdlib", f"{file}.rnn")))
    (cell,) = (each for each in tree.declarations if isinstance(each, ast.Cell))
    return cell
