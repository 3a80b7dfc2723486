"""Parquet files, read by pyarrow, which is loaded for them alone."""

from __future__ import annotations

import importlib
from typing import Any, BinaryIO

from rnnspec.datafiles.delimited import check_different
from rnnspec.datafiles.table import Column, Table, Wanted

EXTRA = "rnnspec[parquet]"

_NUMBERS = ("int", "uint", "float", "double", "halffloat", "bool")
"""The names of pyarrow's types of numbers, without their bits."""


def read_parquet(name: str, file: BinaryIO, wanted: Wanted) -> Table:
    """The columns of a file; ValueError if pyarrow isn't installed, and for a file that it can't read."""
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ValueError(f"{name}: Parquet files are read by pyarrow, which isn't installed: pip install '{EXTRA}'") from None
    try:
        # Without threads: those that pyarrow leaves behind an error have aborted the process at its end.
        whole = parquet.ParquetFile(file, pre_buffer=False)
        names: list[str] = list(whole.schema_arrow.names)
        check_different(name, names)
        chosen = [each for each in names if wanted(each)]
        read = whole.read(columns=chosen, use_threads=False)
        values = {each: _values(read.column(each)) for each in chosen}
    except (pyarrow.ArrowException, OSError, NotImplementedError) as error:
        problem = f"{error}"
        raise ValueError(f"{name}: not a readable .parquet file: {' '.join(problem.split())}") from None
    return Table(name, {each: Column(name, each, found) for each, found in values.items()}, tuple(names), "column")


def _values(column: Any) -> Any:
    """Numbers as an array, those with decimal places as floats; texts, lists, and numbers of which some are missing as a list."""
    if str(column.type).startswith("decimal"):
        column = column.cast("float64")
    plain = column.null_count == 0 and str(column.type).rstrip("0123456789") in _NUMBERS
    return column.to_numpy() if plain else column.to_pylist()
