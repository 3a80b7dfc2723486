"""The standard library's cells are where the table says, and are parsed only where they are used."""

from __future__ import annotations

import pytest

from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax import standard_library
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frontend.syntax.standard_library import FILES, CellLibrary, standard_cell
from rnnspec.source import SourceFile


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_the_cell_of_its_name(name: str) -> None:
    assert standard_cell(name).name.text == name


def test_a_cell_of_the_spec_comes_before_that_of_the_library() -> None:
    own = standard_cell("GRU")
    cells = CellLibrary({"LSTM": own, "Own": own})
    assert cells["LSTM"] is own
    assert cells["SimpleRNN"].name.text == "SimpleRNN"
    assert set(cells) == {"SimpleRNN", "LSTM", "GRU", "Own"}
    assert len(cells) == 4
    assert "GRU" in cells and "Other" not in cells
    assert cells.get("Other") is None


def test_only_what_a_spec_uses_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parse_file = standard_library.parse
    monkeypatch.setattr(standard_library, "parse", lambda source: (read.append(source.path), parse_file(source))[1])
    standard_cell.cache_clear()
    resolve(parse(SourceFile.of_text("model One { input x: float[time, 2] GRU(3, return_sequences = true) GRU(2) Dense(1) }")))
    assert read == ["stdlib/gru.rnn"]
