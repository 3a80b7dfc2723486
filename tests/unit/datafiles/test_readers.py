"""Readers of data files: one table for every format, and one message, with its place, for what is none."""

from __future__ import annotations

import gzip
import io
import sys
import types
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.datafiles import content
from rnnspec.datafiles.formats import Reading, read_tables
from rnnspec.datafiles.table import Column, Table, flags_of, lists_of, numbers_of, texts_of, words_of


def everything(name: str) -> bool:
    return True


def table(path: Path, written: bytes | str, reading: Reading = Reading(), wanted: Callable[[str], bool] = everything) -> Table:  # noqa: B008
    path.write_bytes(written.encode() if isinstance(written, str) else written)
    return read_tables([str(path)], wanted, reading)


def values(found: Table) -> dict[str, Any]:
    return {name: np.asarray(column.values).tolist() for name, column in found.columns.items()}


ROWS: dict[str, tuple[str, bytes]] = {
    "plain": ("csv", b"a,b\n1,x y\n2,z\n"),
    "a mark, and lines of Windows": ("csv", b"\xef\xbb\xbfa,b\r\n1,x y\r\n2,z"),
    "quotes": ("csv", b'"a", b\n1,"x y"\n\n2,z\n'),
    "tabs": ("tsv", b"a\tb\n1\tx y\n2\tz\n"),
    "packed": ("tsv.gz", gzip.compress(b"a\tb\n1\tx y\n2\tz\n")),
    "json": ("jsonl", b'{"a": "1", "b": "x y"}\n\n{"b": "z", "a": "2"}'),
    "json, a mark, and lines of Windows": ("ndjson", b'\xef\xbb\xbf{"a": "1", "b": "x y"}\r\n{"b": "z", "a": "2"}\r\n'),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_same_table_in_any_form(tmp_path: Path, name: str) -> None:
    ending, written = ROWS[name]
    found = table(tmp_path / f"t.{ending}", written)
    assert values(found) == {"a": ["1", "2"], "b": ["x y", "z"]}
    assert found.names == ("a", "b")
    assert numbers_of(found.columns["a"]).tolist() == [1, 2]


def test_columns_that_are_not_wanted_are_named_and_left(tmp_path: Path) -> None:
    found = table(tmp_path / "t.csv", "a,b\n1,2\n", wanted=lambda name: name == "b")
    assert (list(found.columns), found.names) == (["b"], ("a", "b"))


def test_a_table_without_a_heading_has_numbered_columns(tmp_path: Path) -> None:
    assert values(table(tmp_path / "t.csv", "1,2\n3,4\n", Reading(header=False))) == {"0": ["1", "3"], "1": ["2", "4"]}
    assert table(tmp_path / "t.csv", ",b\n1,2\n").names == ("column 1", "b")


def test_a_cell_of_several_lines_and_the_line_of_the_next(tmp_path: Path) -> None:
    """A place is the line that an editor shows, whatever a cell holds."""
    found = table(tmp_path / "t.csv", 'a,b\n"one\ntwo, ""three""",1\n4,x\n')
    assert values(found)["a"] == ['one\ntwo, "three"', "4"]
    with pytest.raises(ValueError, match=r"t\.csv: line 4, column b: expected a number, got 'x'$"):
        numbers_of(found.columns["b"])


def test_quotes_in_tabs_are_letters_unless_all_are_quotes(tmp_path: Path) -> None:
    assert values(table(tmp_path / "t.tsv", 'a\tb\n"x\ty"\t1\n')) == {"a": ["x\ty"], "b": ["1"]}
    assert values(table(tmp_path / "t.tsv", 'a\tb\n"so" she said\t1\n"\t"2\n')) == {"a": ['"so" she said', '"'], "b": ["1", '"2']}
    with pytest.raises(ValueError, match=r"t\.tsv: line 3: it has 1 cell, line 1 has 2$"):
        table(tmp_path / "t.tsv", "a\tb\n1\t2\n3\n")


def test_a_line_ends_where_an_editor_says(tmp_path: Path) -> None:
    """And not at the other characters that Python splits lines at."""
    text = "a\u2028b\x85c\x0c"
    assert values(table(tmp_path / "t.tsv", f"text\tn\r\n{text}\t1\r\n")) == {"text": [text], "n": ["1"]}
    assert content.lines_of(f"{text}\r\n\nz") == [text, "", "z"]


def test_a_cell_as_large_as_the_file(tmp_path: Path) -> None:
    """The standard library's limit is 131,072 letters."""
    text = "word " * 100_000
    assert values(table(tmp_path / "t.csv", f"a,b\n1,{text}\n"))["b"] == [text]


WRONG: dict[str, tuple[str, bytes, str]] = {
    "empty": ("csv", b"", "it is empty"),
    "blank": ("tsv", b" \n\r\n", "it is empty"),
    "a mark alone": ("jsonl", b"\xef\xbb\xbf\n", "it is empty"),
    "a heading alone": ("csv", b"a,b\n", "there is nothing below the names of the columns, a, b"),
    "a short line": ("csv", b"a,b\n1,2\n\n3\n", "line 4: it has 1 cell, line 1 has 2"),
    "a long line": ("csv", b"a,b\n1,2,3\n", "line 2: it has 3 cells, line 1 has 2"),
    "a name twice": ("csv", b"a,b,a\n1,2,3\n", "line 1: there are two columns 'a'"),
    "a quote that stays open": ("csv", b'a,b\n1,2\n"3,4\n5,6\n', "line 3: a quote isn't closed"),
    "a quote in a cell": ("csv", b'a,b\n"1"2,3\n', "line 2: ',' expected after '\"'"),
    "NUL": ("csv", b"a,b\n1,\x002\n", "line 2: a NUL byte, it is no text"),
    "UTF-16": ("csv", "a,b\n1,2\n".encode("utf-16"), "it is UTF-16: save it as UTF-8"),
    "Latin-1": ("tsv", "a\tb\n1\tna\u00efve\n".encode("latin-1"), "line 2: it isn't UTF-8 text: byte 0xEF"),
    "Latin-1 behind a mark": ("csv", b"\xef\xbb\xbfa\n\xef\n", "line 2: it isn't UTF-8 text: byte 0xEF"),
    "no gzip": ("csv.gz", b"a,b\n1,2\n", "not a readable .gz file: Not a gzipped file"),
    "half a gzip": ("csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:30], "not a readable .gz file: Compressed file ended"),
    "packed arrays": ("npz.gz", gzip.compress(b"PK"), "only text is read packed by gzip: csv, tsv, jsonl"),
    "no object": ("jsonl", b'{"a": 1}\n[1, 2]\n', "line 2: expected a JSON object with the values of one sample, {...}, got [1, 2]"),
    "no JSON": ("jsonl", b'{"a": 1}\n\n{"a": }\n', "line 3: no JSON object: Expecting value at character 7"),
    "a key twice": ("jsonl", b'{"a": 1, "a": 2}\n', "line 1: there is 'a' twice"),
    "a key that is missing": ("jsonl", b'{"a": 1, "b": 2}\n{"b": 2}\n', "line 2: there is no 'a', other lines have it"),
    "deep": ("jsonl", b'{"a": ' + b"[" * 100_000 + b"\n", "line 1: its lists are nested too deeply"),
    "5000 digits": ("jsonl", b'{"a": ' + b"1" * 5000 + b"}\n", "line 1: Exceeds the limit"),
    "no parquet": ("parquet", b"PAR1", "Parquet files are read by pyarrow, which isn't installed: pip install 'rnnspec[parquet]'"),
    "an unknown ending": ("xlsx", b"PK\x03", "not a readable .npz file: it is no archive of arrays"),
    "no ending": ("dat", b"a,b\n", "the name of a data file ends in .npz, .npy, .csv, .tsv, .jsonl or .parquet; "),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ending, written, message = WRONG[name]
    path = tmp_path / f"t.{ending}"
    with pytest.raises(ValueError) as raised:
        table(path, written)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_nothing_larger_than_the_machine_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a" * 2**20)
    monkeypatch.setattr(content, "large_limit", lambda: 2**16)
    with pytest.raises(ValueError, match="it has more bytes than the machine's memory"):
        table(tmp_path / "t.csv.gz", packed)


def test_folders_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        read_tables([str(tmp_path / "folder.csv")], everything)
    with pytest.raises(FileNotFoundError):
        read_tables([str(tmp_path / "absent.csv")], everything)


def test_single_arrays(tmp_path: Path) -> None:
    """Under the file's name, or as x; several files are one table."""
    for name in ("x_train", "y_train", "series"):
        np.save(tmp_path / f"{name}.npy", np.arange(3))
    both = read_tables([str(tmp_path / "x_train.npy"), str(tmp_path / "y_train.npy")], everything)
    assert both.names == ("x_train", "y_train")
    assert read_tables([str(tmp_path / "series.npy")], lambda name: name == "x").names == ("x",)
    with pytest.raises(ValueError, match=r"x_train\.npy: x_train is in .*x_train\.npy as well$"):
        read_tables([str(tmp_path / "x_train.npy")] * 2, everything)
    np.save(tmp_path / "x.npy", np.array([None]), allow_pickle=True)
    for written in ((tmp_path / "x.npy").read_bytes(), b"\x93NUMPY", b"", b"PK\x03\x04"):
        with pytest.raises(ValueError, match=r"x\.npy: not a readable \.npy file: .") as raised:
            table(tmp_path / "x.npy", written)
        assert "allow_pickle" not in str(raised.value)


def test_standard_input_says_no_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"a,b\n1,2\n")))
    with pytest.raises(ValueError, match="standard input: say how it is written: --format csv, or another of npz, "):
        read_tables(["-"], everything)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"a,b\n1,2\n3\n")))
    with pytest.raises(ValueError, match="standard input: line 3: it has 1 cell"):
        read_tables(["-"], everything, Reading("csv"))


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyarrow gives: whole columns of numbers as arrays, texts, lists and columns with gaps as lists."""

    class Chunked:
        def __init__(self, kind: str, given: list[Any]) -> None:
            self.type, self.given, self.null_count = kind, given, given.count(None)

        def to_numpy(self) -> Any:
            return np.array(self.given)

        def cast(self, kind: str) -> Chunked:
            assert kind == "float64"
            return Chunked("double", [*map(float, self.given)])

        def to_pylist(self) -> list[Any]:
            return self.given

    columns = {
        "size": Chunked("double", [0.5, 1.5]),
        "kind": Chunked("string", ["a", "b"]),
        "ids": Chunked("list<element: int64>", [[1, 2], [3]]),
        "gap": Chunked("int64", [1, None]),
        "price": Chunked("decimal128(5, 2)", [Decimal("1.25"), Decimal(2)]),
    }
    read: list[str] = []

    class ParquetFile:
        schema_arrow = types.SimpleNamespace(names=[*columns, "more"])

        def __init__(self, file: Any, pre_buffer: bool) -> None:
            assert not pre_buffer
            if file.read() == b"PAR1?":
                raise OSError("no\n  footer")

        def read(self, columns: list[str], use_threads: bool) -> Any:
            assert not use_threads
            read.extend(columns)
            return types.SimpleNamespace(column=globals_of_columns)

    def globals_of_columns(name: str) -> Chunked:
        return columns[name]

    modules = {"pyarrow": {"ArrowException": RuntimeError}, "pyarrow.parquet": {"ParquetFile": ParquetFile}}
    for name, attributes in modules.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    found = table(tmp_path / "t.parquet", b"PAR1", wanted=lambda name: name != "more")
    assert (read, found.names) == ([*columns], (*columns, "more"))
    assert found.columns["size"].array is not None
    assert texts_of(found.columns["kind"]) == ["a", "b"]
    assert numbers_of(found.columns["price"]).tolist() == [1.25, 2.0]
    assert [each.tolist() for each in lists_of(found.columns["ids"])] == [[1, 2], [3]]
    with pytest.raises(ValueError, match=r"t\.parquet: row 1, column gap: it is empty, a number is expected$"):
        numbers_of(found.columns["gap"])
    with pytest.raises(ValueError, match=r"t\.parquet: not a readable \.parquet file: no footer$"):
        table(tmp_path / "t.parquet", b"PAR1?")


# Values


def cells(*given: str) -> Column:
    return Column("t.csv", "c", list(given), range(2, 2 + len(given)), written=True)


def objects(*given: Any) -> Column:
    return Column("t.jsonl", "c", list(given), range(1, 1 + len(given)))


def test_numbers_in_cells() -> None:
    """Whole ones stay whole, as ids and classes are."""
    assert numbers_of(cells("1", " 2", "-3")).dtype == np.int64
    assert numbers_of(cells("1", "2.5", "1e3")).tolist() == [1, 2.5, 1000]
    assert numbers_of(cells(str(2**70), "1")).tolist() == [2.0**70, 1]
    assert numbers_of(cells("[1, 2]", "[3, 4]")).tolist() == [[1, 2], [3, 4]]
    assert numbers_of(objects(True, 2, 0.5)).tolist() == [1, 2, 0.5]
    assert flags_of(cells("true", "0", "1.0", "False")).tolist() == [True, False, True, False]


def test_sequences_in_cells_and_lists() -> None:
    assert [each.tolist() for each in lists_of(cells("1 2 3", "[4, 5]", ""))] == [[1, 2, 3], [4, 5], []]
    assert [each.tolist() for each in lists_of(objects([[1, 2]], [[3, 4], [5, 6]], []))] == [[[1, 2]], [[3, 4], [5, 6]], []]
    assert words_of(cells("B I O", "O")) == [["B", "I", "O"], ["O"]]
    assert [np.asarray(each).tolist() for each in words_of(objects([1, 2], ["a"]))] == [[1, 2], ["a"]]


FAULTS: dict[str, tuple[Callable[[Column], object], Column, str]] = {
    "no number": (numbers_of, cells("1", "x" * 99), "t.csv: line 3, column c: expected a number, got '" + "x" * 39 + "..."),
    "an empty cell": (numbers_of, cells("1", ""), "t.csv: line 3, column c: it is empty, a number is expected"),
    "null": (numbers_of, objects(1, None), "t.jsonl: line 2, column c: it is empty, a number is expected"),
    "underscores": (numbers_of, cells("1_000"), "t.csv: line 2, column c: expected a number, got '1_000'"),
    "a list of another length": (
        numbers_of,
        objects([1, 2], [3]),
        "t.jsonl: line 2, column c: expected 2 numbers, as in the first, got 1 numbers",
    ),
    "a text in a list": (lists_of, objects([1], [2, "3"]), "t.jsonl: line 2, column c: expected a number, got '3'"),
    "lists of two lengths": (lists_of, objects([[1], [2, 3]]), "t.jsonl: line 1, column c: its lists don't all have one length"),
    "an object in a list": (lists_of, objects([{"a": 1}]), "t.jsonl: line 1, column c: expected a number, got {'a': 1}"),
    "no list": (lists_of, objects(1), "t.jsonl: line 1, column c: expected a list of numbers, got 1"),
    "half a list": (lists_of, cells("[1, 2"), "t.csv: line 2, column c: expected a list such as [1, 2, 3], got '[1, 2'"),
    "a word among numbers": (lists_of, cells("1 2", "1 b"), "t.csv: line 3, column c: expected a number, got 'b'"),
    "no text": (texts_of, objects("a", 1), "t.jsonl: line 2, column c: expected a text, got 1"),
    "no flag": (flags_of, cells("true", "yes"), "t.csv: line 3, column c: expected true or false, got 'yes'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_value_that_is_none_is_named_with_its_place(name: str) -> None:
    read, column, message = FAULTS[name]
    with pytest.raises(ValueError) as raised:
        read(column)
    assert str(raised.value) == message
