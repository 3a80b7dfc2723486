"""Predictions as Parquet, written by pyarrow: a row a sample, the numbers and the steps of an output as lists."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.datafiles.parquet import pyarrow_module
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import Mask

_PURPOSE = "Parquet files are written"


@frozen
class ArrowColumns:
    """`keys`: a value for each sample by column. `outputs`: a column's name, array (samples, ...), and its real steps if it has steps."""

    keys: Mapping[str, Sequence[Any]]
    outputs: tuple[tuple[str, Array, Mask | None], ...]


def parquet_parts(parts: Iterable[ArrowColumns], types: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of a file with a row group for each part; ValueError without pyarrow, and for a key whose values aren't of one type.

    `types`: pyarrow's types of keys by name; those of others are told by the values of the first part.
    """
    pyarrow, parquet = pyarrow_module("", _PURPOSE), pyarrow_module(".parquet", _PURPOSE)
    sink, writer = _Sink(), None
    for part in parts:
        table = _table(pyarrow, part, types if writer is None else {field.name: field.type for field in writer.schema})
        if writer is None:
            writer = parquet.ParquetWriter(sink, table.schema)
        writer.write_table(table, row_group_size=max(len(table), 1))
        yield sink.taken()
    if writer is not None:
        writer.close()
        yield sink.taken()


class _Sink(io.RawIOBase):
    """Takes what is written until it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._parts.append(bytes(content))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found


def _table(pyarrow: Any, part: ArrowColumns, types: Mapping[str, Any]) -> Any:
    columns: dict[str, Any] = {}
    for name, values in part.keys.items():
        try:
            columns[name] = pyarrow.array(values, type=types.get(name))
        except (pyarrow.ArrowException, TypeError) as error:
            raise ValueError(f"the column {name} can't be kept in a Parquet file: {' '.join(str(error).split())}") from None
    for name, array, real in part.outputs:
        columns[name] = _lists(pyarrow, array, real)
    return pyarrow.table(columns)


def _lists(pyarrow: Any, array: Array, real: Mask | None) -> Any:
    """A value a sample: of one number the number; of more a list of them; of steps a list of these."""
    if real is None:
        return _nested(pyarrow, array, array.shape[1:])
    tokens: Array = array[real]
    ends = np.concatenate(([0], np.cumsum(real.sum(axis=1))))
    return pyarrow.LargeListArray.from_arrays(pyarrow.array(ends, type=pyarrow.int64()), _nested(pyarrow, tokens, tokens.shape[1:]))


def _nested(pyarrow: Any, array: Array, tail: tuple[int, ...]) -> Any:
    """Lists of that shape; a last extent of one is none."""
    extents = tail[:-1] if tail and tail[-1] == 1 else tail
    flat: Array = array.reshape(-1)
    found = pyarrow.array(flat.tolist(), mask=flat == "") if flat.dtype.kind == "U" else pyarrow.array(flat)
    for extent in reversed(extents):
        ends = np.arange(0, len(found) + 1, extent) if extent else np.zeros(1, np.int64)
        found = pyarrow.LargeListArray.from_arrays(pyarrow.array(ends, type=pyarrow.int64()), found)
    return found
