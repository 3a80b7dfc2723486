"""Cells of a user's that take the place of classes that a file only names."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.parser import parse
from rnnspec.spec_files import Unreadable, read_source


def own_cells(given: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """By the classes of a file the names of cells, and the text that declares them.

    `given`: by a class, `PeepholeCell`, the path of a `.rnn` file with one cell, or of any with the cell's name behind a colon,
    `cells.rnn:Peephole`. ValueError for a file without such a cell.
    """
    names: dict[str, str] = {}
    texts: dict[str, None] = {}
    for theirs, place in given.items():
        path, colon, wanted = place.partition(".rnn:")
        path = f"{path}.rnn" if colon else place
        try:
            source = read_source(path)
        except Unreadable as error:
            raise ValueError(f"{path}: it can't be read as a spec: {error}") from None
        cells = [each.name.text for each in parse(source).declarations if isinstance(each, ast.Cell)]
        chosen = [name for name in cells if not wanted or name == wanted]
        if len(chosen) != 1:
            there = ", ".join(cells) or "none"
            raise ValueError(f"{path}: expected {f'the cell {wanted}' if wanted else 'one cell'} for {theirs}, there are {there}")
        names[theirs] = chosen[0]
        texts[source.text.strip()] = None
    return names, "\n\n".join(texts)
