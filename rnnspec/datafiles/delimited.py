"""Tables of text: a line a sample, cells between commas or tabs, the names of the columns in the first line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from rnnspec.datafiles.content import lines_of
from rnnspec.datafiles.table import Column, Table, Wanted, shown


def read_csv(name: str, text: str, wanted: Wanted, *, header: bool) -> Table:
    """Comma-separated values, RFC 4180: quotes around a cell, and doubled in it; ValueError with the line of what isn't."""
    return _table(name, *_cells(name, _quoted(name, text, ",")), wanted, header=header)


def read_tsv(name: str, text: str, wanted: Wanted, *, header: bool) -> Table:
    """Tab-separated values.

    Where all of the file can be read as a CSV with tabs, quotes are what they are there. Where it can't they are letters like
    others, as IANA's text/tab-separated-values has it: then no cell has a tab or a line end.
    """
    try:
        lines, rows = _cells(name, _quoted(name, text, "\t"))
    except ValueError as error:
        try:
            lines, rows = _cells(name, enumerate((line.split("\t") for line in lines_of(text)), 1))
        except ValueError:
            raise error from None
    return _table(name, lines, rows, wanted, header=header)


def _quoted(name: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with the line where it begins; ValueError for quotes that aren't closed or stand in the middle of a cell."""
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = "a quote isn't closed" if "end of data" in str(error) else str(error)
                raise ValueError(f"{name}: line {line}: {problem}") from None
            yield line, row
    finally:
        csv.field_size_limit(limit)


def _cells(name: str, found: Iterator[tuple[int, list[str]]]) -> tuple[list[int], list[list[str]]]:
    """The rows that aren't blank and their lines; ValueError for one of another number of cells than the first."""
    lines: list[int] = []
    rows: list[list[str]] = []
    for line, row in found:
        if not row or row == [""]:
            continue
        if rows and len(row) != len(rows[0]):
            cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
            raise ValueError(f"{name}: line {line}: it has {cells}, line {lines[0]} has {len(rows[0])}")
        lines.append(line)
        rows.append(row)
    return lines, rows


def _table(name: str, lines: Sequence[int], rows: Sequence[list[str]], wanted: Wanted, *, header: bool) -> Table:
    if not rows:
        raise ValueError(f"{name}: it is empty")
    names = [cell.strip() or f"column {place}" for place, cell in enumerate(rows[0], 1)] if header else [*map(str, range(len(rows[0])))]
    check_different(f"{name}: line {lines[0]}", names)
    lines, rows = (lines[1:], rows[1:]) if header else (lines, rows)
    if not rows:
        raise ValueError(f"{name}: there is nothing below the names of the columns, {', '.join(names[:12])}")
    columns = {
        each: Column(name, each, [row[place] for row in rows], lines, written=True) for place, each in enumerate(names) if wanted(each)
    }
    return Table(name, columns, tuple(names), "column")


def check_different(where: str, names: Sequence[str]) -> None:
    """ValueError for a name that comes twice."""
    there: set[str] = set()
    for each in names:
        if each in there:
            raise ValueError(f"{where}: there are two columns {shown(each)}")
        there.add(each)
