"""Imports: which files are read, what becomes of their cells and blocks, and a text that needs none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rnnspec.diagnostics import SpecError
from rnnspec.driver.commands import check
from rnnspec.driver.source_files import parse_all, read_spec
from rnnspec.frontend.model.graph_printer import print_graph
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.imports import Followed, Unreadable, follow_imports
from rnnspec.frontend.syntax.parser import parse
from rnnspec.source import SourceFile

MODEL = "model Case { input x: float[time, 3] Tower(2) }\n"
TOWER = "block Tower(units) { LSTM(units) Dense(units) }\n"


def reading(files: Mapping[str, str], log: list[str] | None = None) -> Callable[[str], SourceFile]:
    def read(path: str) -> SourceFile:
        if log is not None:
            log.append(path)
        if path not in files:
            raise Unreadable("no such file")
        return SourceFile(path, files[path])

    return read


def followed(files: Mapping[str, str], start: str = "main.rnn", log: list[str] | None = None) -> Followed:
    read = reading(files, log)
    return follow_imports(parse(SourceFile(start, files[start])), read)


def faults(files: Mapping[str, str]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        followed(files)
    return [f"{error.code} {error.span.source.path}: {error.message}" for error in caught.value.diagnostics]


def names(found: Followed) -> list[str]:
    """Of the declarations, in their order."""
    assert not any(isinstance(declaration, ast.Import) for declaration in found.tree.declarations)
    return [declaration.name.text for declaration in found.tree.declarations if not isinstance(declaration, ast.Import)]


def same_graph(found: Followed) -> None:
    """The bundled text compiles to the same graph, and says the same when it is bundled again."""
    alone = parse(SourceFile.of_text(found.text))
    assert resolve(alone) == resolve(found.tree)
    assert print_graph(resolve(alone)) == print_graph(resolve(found.tree))
    again = follow_imports(alone, reading({}))
    assert again.text == found.text


def test_a_spec_without_imports_stays_as_it_is() -> None:
    log: list[str] = []
    text = f"# a remark\n{TOWER}{MODEL}"
    found = followed({"main.rnn": text}, log=log)
    assert (found.text, names(found), log) == (text, ["Tower", "Case"], [])
    assert found.tree == parse(SourceFile("main.rnn", text))


def test_cells_and_blocks_of_another_file() -> None:
    found = followed({"main.rnn": f'import "towers.rnn"\n{MODEL}', "towers.rnn": TOWER})
    assert names(found) == ["Tower", "Case"]
    same_graph(found)


def test_what_is_imported_stands_where_the_import_stood() -> None:
    files = {"main.rnn": f'cell A() {{ state h [1] h\' = h return h }}\nimport "b.rnn"\n{MODEL}import "c.rnn"\n', "b.rnn": TOWER}
    found = followed({**files, "c.rnn": "block Ending() { Dense(2) }"})
    assert names(found) == ["A", "Tower", "Case", "Ending"]
    same_graph(found)


def test_paths_are_relative_to_the_file_that_imports() -> None:
    log: list[str] = []
    files = {
        "models/main.rnn": f'import "../parts/towers.rnn"\n{MODEL}',
        "parts/towers.rnn": f'import "inner/cells.rnn"\nimport "./more.rnn"\n{TOWER.replace("LSTM", "Leaky")}',
        "parts/inner/cells.rnn": 'import "../../top.rnn"\n'
        "cell Leaky(units) { weight w [features, units] = ones state h [units] h' = h + x @ w return h' }\n",
        "parts/more.rnn": "block More() { Dense(3) }\n",
        "top.rnn": "block Top() { Dense(3) }\n",
    }
    found = followed(files, "models/main.rnn", log)
    assert log == ["parts/towers.rnn", "parts/inner/cells.rnn", "top.rnn", "parts/more.rnn"]
    assert names(found) == ["Top", "Leaky", "More", "Tower", "Case"]
    same_graph(found)


def test_a_file_that_is_imported_twice_is_read_once() -> None:
    log: list[str] = []
    files = {
        "main.rnn": f'import "a.rnn"\nimport "b.rnn"\nimport "./x/../a.rnn"\n{MODEL}',
        "a.rnn": f'import "base.rnn"\n{TOWER}',
        "b.rnn": 'import "base.rnn"\nblock B() { Base() }\n',
        "base.rnn": "block Base() { Dense(2) }\n",
    }
    found = followed(files, log=log)
    assert log == ["a.rnn", "base.rnn", "b.rnn"]
    assert names(found) == ["Base", "Tower", "B", "Case"]
    same_graph(found)


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"main.rnn": 'import "main.rnn"'}, "main.rnn -> main.rnn"),
        ({"main.rnn": 'import "./x/../main.rnn"'}, "main.rnn -> main.rnn"),
        ({"main.rnn": 'import "a.rnn"', "a.rnn": 'import "main.rnn"'}, "main.rnn -> a.rnn -> main.rnn"),
        ({"main.rnn": 'import "a.rnn"', "a.rnn": 'import "b.rnn"', "b.rnn": 'import "a.rnn"'}, "a.rnn -> b.rnn -> a.rnn"),
    ],
)
def test_circles(files: dict[str, str], circle: str) -> None:
    with pytest.raises(SpecError) as caught:
        followed(files)
    (error,) = caught.value.diagnostics
    assert (error.code, error.label_text) == ("E0516", f"closes the circle {circle}")


def test_faults_of_all_imports_at_once() -> None:
    files = {
        "main.rnn": f'import "gone.rnn"\nimport "torn.rnn"\nimport "model.rnn"\n{MODEL}',
        "torn.rnn": "block Torn( { }\nblock More() { Dense( }\n",
        "model.rnn": f"{TOWER}{MODEL}",
    }
    assert faults(files) == [
        "E0515 main.rnn: `gone.rnn` can't be imported: no such file",
        "E0001 torn.rnn: unexpected `{`",
        "E0001 torn.rnn: unexpected `}`",
        "E0517 model.rnn: an imported file has a model",
    ]


def test_a_parse_error_in_an_imported_file_says_where_it_was_imported() -> None:
    files = {"main.rnn": f'import "a.rnn"\n{MODEL}', "a.rnn": '\nimport "torn.rnn"\n', "torn.rnn": "block"}
    with pytest.raises(SpecError) as caught:
        followed(files)
    (error,) = caught.value.diagnostics
    assert [(label.span.source.path, label.text) for label in error.secondary] == [("a.rnn", "imported here")]


def test_faults_in_what_is_imported_come_after_those_of_the_spec() -> None:
    files = {
        "main.rnn": f'import "towers.rnn"\n{MODEL.replace("Tower(2)", "Tower(2) Dens(3)")}',
        "towers.rnn": "block Tower(u) { LSTN(u) }",
    }
    with pytest.raises(SpecError) as caught:
        resolve(followed(files).tree)
    assert [(error.code, error.span.source.path) for error in caught.value.diagnostics] == [("E0102", "main.rnn"), ("E0102", "towers.rnn")]


def test_a_name_in_two_files_is_declared_twice() -> None:
    with pytest.raises(SpecError) as caught:
        resolve(followed({"main.rnn": f'{TOWER}import "towers.rnn"\n{MODEL}', "towers.rnn": TOWER}).tree)
    (error,) = caught.value.diagnostics
    assert (error.code, error.span.source.path, error.secondary[0].span.source.path) == ("E0119", "towers.rnn", "main.rnn")


def test_remarks_stay_and_marks_go() -> None:
    """Byte-order marks, line ends of any kind and imports beside other things on a line."""
    files = {
        "main.rnn": f'\ufeff# first\r\nimport "towers.rnn" # which has a Tower\r\n\r\n{MODEL}# last',
        "towers.rnn": f'\ufeff# towers\nimport\n  "base.rnn"{TOWER}',
        "base.rnn": "# nothing but a remark",
    }
    found = followed(files)
    assert "\ufeff" not in found.text
    assert "import" not in found.text
    for remark in ("# first", "# which has a Tower", "# towers", "# nothing but a remark", "# last"):
        assert remark in found.text
    same_graph(found)


def test_an_import_in_a_remark_or_a_text_is_none() -> None:
    files = {
        "main.rnn": 'import "a.rnn" # import "b.rnn"\nmodel Case { input x: float[3] Dense(2, name = "import") }',
        "a.rnn": '# import "c.rnn"\n',
    }
    found = followed(files)
    assert '# import "b.rnn"' in found.text and '# import "c.rnn"' in found.text and '"import"' in found.text
    same_graph(found)


# Files


def test_files_beside_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder, by a relative path or an absolute one, links followed."""
    (tmp_path / "specs" / "parts").mkdir(parents=True)
    (tmp_path / "specs" / "main.rnn").write_text(f'import "parts/towers.rnn"\n{MODEL}')
    (tmp_path / "specs" / "parts" / "towers.rnn").write_text(TOWER)
    monkeypatch.chdir(tmp_path)
    for path in ("specs/main.rnn", "./specs/../specs/main.rnn", tmp_path / "specs" / "main.rnn"):
        tree, text = parse_all(read_spec(path))
        assert resolve(tree) == resolve(parse(SourceFile.of_text(text)))
    monkeypatch.chdir(tmp_path / "specs" / "parts")
    assert check("../main.rnn").model == "Case"


def test_a_text_imports_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "towers.rnn").write_text(TOWER)
    monkeypatch.chdir(tmp_path)
    assert check(f'import "towers.rnn"\n{MODEL}').model == "Case"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "main.rnn").write_text(f'import "gone.rnn"\nimport "latin.rnn"\nimport "."\n{MODEL}')
    (tmp_path / "latin.rnn").write_bytes(b"# caf\xe9\n")
    with pytest.raises(SpecError) as caught:
        check(tmp_path / "main.rnn")
    assert [error.message for error in caught.value.diagnostics] == [
        "`gone.rnn` can't be imported: No such file or directory",
        "`latin.rnn` can't be imported: it isn't UTF-8 text: byte 5 is 0xE9",
        "`.` can't be imported: Is a directory",
    ]
