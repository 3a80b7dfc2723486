"""Parquet files, read by pyarrow, which is loaded for them alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from rnnspec.datafiles.delimited import check_different
from rnnspec.datafiles.table import Column, Table, Wanted

EXTRA = "rnnspec[parquet]"

_NUMBERS = ("int", "uint", "float", "double", "halffloat", "bool")
"""The names of pyarrow's types of numbers, without their bits."""


def pyarrow_module(part: str, purpose: str) -> Any:
    """`pyarrow`, or a module in it; ValueError, which begins with the purpose, if it isn't installed."""
    try:
        return importlib.import_module(f"pyarrow{part}")
    except ImportError:
        raise ValueError(f"{purpose} by pyarrow, which isn't installed: pip install '{EXTRA}'") from None


def read_parquet(name: str, file: BinaryIO, wanted: Wanted) -> Table:
    """The columns of a file; ValueError if pyarrow isn't installed, and for a file that it can't read."""
    (found,) = read_parquet_parts(name, file, wanted, None)
    return found


def read_parquet_parts(name: str, file: BinaryIO, wanted: Wanted, rows: int | None) -> Iterator[Table]:
    """As `read_parquet`, at most so many rows at once, for files that memory doesn't hold; all of them at once if None.

    At least one table comes, of a file without rows one without rows.
    """
    purpose = f"{name}: Parquet files are read"
    pyarrow, parquet = pyarrow_module("", purpose), pyarrow_module(".parquet", purpose)
    first = 0
    try:
        # Without threads: those that pyarrow leaves behind an error have aborted the process at its end.
        whole = parquet.ParquetFile(file, pre_buffer=False)
        names: list[str] = list(whole.schema_arrow.names)
        check_different(name, names)
        chosen = [each for each in names if wanted(each)]
        if rows is None or whole.metadata.num_rows <= rows or not chosen:
            parts: Iterator[Any] = iter((whole.read(columns=chosen, use_threads=False),))
        else:
            batches = whole.iter_batches(batch_size=rows, columns=chosen, use_threads=False)
            parts = (pyarrow.Table.from_batches([batch]) for batch in batches)
        for part in parts:
            values = {each: _values(part.column(each)) for each in chosen}
            columns = {each: Column(name, each, found, first=first) for each, found in values.items()}
            yield Table(name, columns, tuple(names), "column")
            first += max(map(len, values.values()), default=0)
    except (pyarrow.ArrowException, OSError, NotImplementedError) as error:
        problem = f"{error}"
        raise ValueError(f"{name}: not a readable .parquet file: {' '.join(problem.split())}") from None


def parquet_types(file: BinaryIO) -> dict[str, Any]:
    """pyarrow's types of a file's columns by name."""
    schema = pyarrow_module(".parquet", "Parquet files are read").read_schema(file)
    return dict(zip(schema.names, schema.types, strict=True))


def _values(column: Any) -> Any:
    """Numbers as an array, those with decimal places as floats; texts, lists, and numbers of which some are missing as a list."""
    if str(column.type).startswith("decimal"):
        column = column.cast("float64")
    plain = column.null_count == 0 and str(column.type).rstrip("0123456789") in _NUMBERS
    return column.to_numpy() if plain else column.to_pylist()
