"""The formats of data files by the endings of their names, and the table in a file, or in several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import BinaryIO

from rnnspec.datafiles.arrays import read_npy, read_npz
from rnnspec.datafiles.content import GZIP, STANDARD_INPUT, name_of, opened, text_of
from rnnspec.datafiles.delimited import read_csv, read_tsv
from rnnspec.datafiles.json_lines import read_json_lines
from rnnspec.datafiles.parquet import read_parquet, read_parquet_parts
from rnnspec.datafiles.table import Column, Table, Wanted
from rnnspec.file_kinds import DATA_FORMATS, DataFormat
from rnnspec.frozen import frozen

_OTHERS: dict[str, DataFormat] = {".tab": "tsv", ".ndjson": "jsonl", ".pq": "parquet"}
_ENDINGS: dict[str, DataFormat] = dict(((f".{name}", name) for name in DATA_FORMATS), **_OTHERS)
_OF_TEXT = ("csv", "tsv", "jsonl")
_STARTS: dict[bytes, DataFormat] = {b"PK": "npz", b"\x93NUMPY": "npy", b"PAR1": "parquet"}
"""How files that are no text begin."""

ENDINGS_TEXT = f"{', '.join(f'.{name}' for name in DATA_FORMATS[:-1])} or .{DATA_FORMATS[-1]}"


@frozen
class Reading:
    """How files are read. `format`: None for what their names say. `header`: whether the first line of a CSV names its columns."""

    format: DataFormat | None = None
    header: bool = True


PLAIN = Reading()


def read_tables(paths: Sequence[str], wanted: Wanted, reading: Reading = PLAIN) -> Table:
    """The columns of all files as one table; OSError if one can't be read, ValueError that says where one is wrong.

    `wanted`: the columns to read. A `.npy` file is a column of the name that the file has, or `x` if that name isn't wanted and there
    is no other file.
    """
    tables = [_table(path, wanted, reading, alone=len(paths) == 1) for path in paths]
    columns: dict[str, Column] = {}
    names: dict[str, str] = {}
    for table in tables:
        for name in table.names:
            if name in names:
                raise ValueError(f"{table.path}: {name} is in {names[name]} as well")
            names[name] = table.path
        columns |= table.columns
    noun = next((table.noun for table in tables if table.noun == "column"), tables[0].noun)
    return Table(", ".join(table.path for table in tables), columns, tuple(names), noun)


def read_parts(path: str, wanted: Wanted, reading: Reading, rows: int | None) -> Iterator[Table]:
    """The table of one file in parts, of at most so many rows where the format allows to read them so; None for all of it at once."""
    with opened(path) as file:
        kind = _format_of(path, file, reading)[1]
        if kind == "parquet":
            yield from read_parquet_parts(name_of(path), file, wanted, rows)
            return
    yield _table(path, wanted, reading, alone=True)


def format_of(path: str, reading: Reading = PLAIN) -> DataFormat:
    """The format of a file; OSError if it can't be opened, ValueError if nothing says it."""
    with opened(path) as file:
        return _format_of(path, file, reading)[1]


def _table(path: str, wanted: Wanted, reading: Reading, *, alone: bool) -> Table:
    name = name_of(path)
    with opened(path) as file:
        packed, kind = _format_of(path, file, reading)
        match kind:
            case "npz":
                return read_npz(name, file, wanted)
            case "npy":
                stem = PurePath(path).stem
                return read_npy(name, file, "x" if alone and not wanted(stem) else stem)
            case "parquet":
                return read_parquet(name, file, wanted)
            case "csv":
                return read_csv(name, text_of(name, file, packed=packed), wanted, header=reading.header)
            case "tsv":
                return read_tsv(name, text_of(name, file, packed=packed), wanted, header=reading.header)
            case "jsonl":
                return read_json_lines(name, text_of(name, file, packed=packed), wanted)


def _format_of(path: str, file: BinaryIO, reading: Reading) -> tuple[bool, DataFormat]:
    """Whether a file is packed by gzip, and its format: what was said, else its name's ending, else how it begins."""
    start = file.read(6)
    file.seek(0)
    plain = PurePath(path)
    packed = start[:2] == b"\x1f\x8b" or (path != STANDARD_INPUT and plain.suffix.lower() == GZIP)
    if plain.suffix.lower() == GZIP:
        plain = plain.with_suffix("")
    kind: DataFormat | None = reading.format or _ENDINGS.get(plain.suffix.lower())
    if kind is None:
        kind = next((each for begin, each in _STARTS.items() if start.startswith(begin)), None)
    if kind is None and path == STANDARD_INPUT:
        raise ValueError("standard input: say how it is written: --format csv, or another of " + ", ".join(DATA_FORMATS))
    if kind is None:
        raise ValueError(
            f"{path}: the name of a data file ends in {ENDINGS_TEXT}; of text also with {GZIP} behind it; --format says it, too"
        )
    if packed and kind not in _OF_TEXT:
        raise ValueError(f"{name_of(path)}: only text is read packed by gzip: {', '.join(_OF_TEXT)}")
    return packed, kind
