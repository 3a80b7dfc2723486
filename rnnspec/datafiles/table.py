"""The table that every data file becomes: named columns, whatever the file's format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen

Samples: TypeAlias = Array | list[Any]
"""The values of all samples: an array with the samples in front, or a list with a text or an array for each."""

Wanted: TypeAlias = Callable[[str], bool]
"""Whether a column of that name is to be read; others are only listed."""

ENTRY = "sample"
"""What an entry of an array is called, which has no line or row."""

_LONGEST = 40
"""Letters that a message shows of a value."""


@frozen
class Column:
    """A named column. `values`: an array with the samples in front, or a list with a text, a number or a nested list for each sample.

    `lines`: where in the file the value of each sample stands, from 1; None for files without lines. `written`: the values are cells
    of text, whose numbers are still to be read. `unit`: what a value is called by its number where there are no lines. `steps`: of a
    column that was put together of several rows a sample, where the value of each step comes from. `first`: the number of its first row,
    of a column that is a part of a file's.
    """

    path: str
    name: str
    values: Samples
    lines: Sequence[int] | None = None
    written: bool = False
    unit: str = "row"
    steps: Steps | None = None
    first: int = 0

    @property
    def array(self) -> Array | None:
        """The values of a column that came as an array; None of any other."""
        return self.values if isinstance(self.values, np.ndarray) else None

    def fault(self, row: int, problem: str, step: int | None = None, feature: int | None = None) -> ValueError:
        """The error of one value, or of a step or a number in it: file, line or row, column, problem."""
        if self.steps is not None:
            return self.steps.fault(row, problem, step, feature)
        inside = "".join(f", {what} {number}" for what, number in (("step", step), ("feature", feature)) if number is not None)
        place = f"{self.unit} {self.first + row}" if self.lines is None else f"line {self.lines[row]}"
        where = f"{self.name}, {place}" if self.unit == ENTRY else f"{place}, column {self.name}"
        return ValueError(f"{self.path}: {where}{inside}: {problem}")


@frozen
class Steps:
    """The columns, side by side, of which a column of sequences was put together, and of each sample the rows of its steps."""

    columns: Sequence[Column]
    rows: Sequence[Array]

    def fault(self, sample: int, problem: str, step: int | None, feature: int | None) -> ValueError:
        """See `Column.fault`."""
        beside = len(self.columns) > 1 and feature is not None and feature < len(self.columns)
        column, inside = (self.columns[feature or 0], None) if beside else (self.columns[0], feature)
        return column.fault(int(self.rows[sample][step or 0]), problem, feature=inside)


@frozen
class Table:
    """The columns of one or several files that were asked for, and the names of all there are, in the files' order.

    `noun`: what its users call a column, "key" or "column".
    """

    path: str
    columns: Mapping[str, Column]
    names: tuple[str, ...]
    noun: str


def shown(value: object) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def is_textual(column: Column) -> bool:
    """Whether the values are texts, of which none was read as a number yet."""
    if (array := column.array) is not None:
        return array.dtype.kind in "UST"
    return column.written or any(isinstance(value, str) for value in column.values)


def texts_of(column: Column) -> list[str]:
    """The values of a column of texts; ValueError with the place of one that is none."""
    if (array := column.array) is not None:
        flat = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
        if flat.ndim != 1 or flat.dtype.kind not in "UT":
            raise ValueError(f"{column.path}: {column.name} should be texts, one a sample; it is {array.dtype} of shape {array.shape}")
        return cast(list[str], flat.tolist())
    for row, value in enumerate(column.values):
        if not isinstance(value, str):
            raise column.fault(row, f"expected a text, got {shown(value)}")
    return cast(list[str], column.values)


def number_of(value: object) -> int | float | None:
    """A number, or the text of one; None for anything else."""
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str) or "_" in value:  # which Python allows in numbers
        return None
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return None


def numbers_of(column: Column) -> Array:
    """A number for each sample, (samples,), or lists of one shape as (samples, ...); ValueError with the place of what is none."""
    if (array := column.array) is not None:
        return array
    if column.written and (plain := _plain_numbers(column.values)) is not None:
        return plain
    found: list[Any] = []
    for row, value in enumerate(column.values):
        number = number_of(value)
        if number is None:
            parsed = _list_of(column, row, value)
            if parsed is None:
                raise column.fault(row, _no_number(value))
            found.append(array_of(column, row, parsed))
        else:
            found.append(number)
    shapes = [np.shape(value) for value in found]
    for row, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise column.fault(row, f"expected {_sizes(shapes[0])}, as in the first, got {_sizes(shape)}")
    return _numeric(found)


def _plain_numbers(cells: Samples) -> Array | None:
    """The numbers in cells, as `number_of` reads each, at once; None if one of them is none."""
    if any("_" in cell for cell in cells):
        return None
    for read, dtype in ((int, np.int64), (float, np.float64)):
        try:
            return np.array([*map(read, cells)], dtype)
        except (ValueError, OverflowError):
            continue
    return None


def lists_of(column: Column) -> list[Array]:
    """A sequence of numbers for each sample, (steps,) or (steps, features); ValueError with the place of what is none."""
    if (array := column.array) is not None:
        return list(array)
    found: list[Array] = []
    for row, value in enumerate(column.values):
        parsed = _list_of(column, row, value)
        if parsed is None and column.written and isinstance(value, str):
            parsed = [_part(column, row, part) for part in value.split()]
        if parsed is None:
            raise column.fault(row, f"expected a list of numbers, got {shown(value)}")
        found.append(array_of(column, row, parsed))
    return found


def words_of(column: Column) -> list[Any]:
    """A list of names for each sample, of its steps; where a sample has numbers, these."""
    found: list[Any] = []
    for row, value in enumerate(column.values):
        parsed = _list_of(column, row, value)
        if parsed is None and column.written and isinstance(value, str):
            parts = value.split()
            numbers = [number_of(part) for part in parts]
            parsed = parts if None in numbers else numbers
        if parsed is None:
            raise column.fault(row, f"expected a list, got {shown(value)}")
        found.append(parsed if any(isinstance(each, str) for each in parsed) else array_of(column, row, parsed))
    return found


def flags_of(column: Column) -> Array:
    """True or false for each sample; ValueError with the place of what is neither."""
    if (array := column.array) is not None:
        return array
    words = {"true": True, "1": True, "false": False, "0": False, "1.0": True, "0.0": False}
    found: list[bool] = []
    for row, value in enumerate(column.values):
        flag = words.get(str(value).strip().lower())
        if flag is None:
            raise column.fault(row, f"expected true or false, got {shown(value)}")
        found.append(flag)
    return np.array(found, np.bool_)


def array_of(column: Column, row: int, value: Sequence[object]) -> Array:
    """A list of numbers, or of lists of one length, as an array; ValueError with its place."""
    try:
        made: Array = np.asarray(value)
    except (ValueError, OverflowError):
        raise column.fault(row, "its lists don't all have one length") from None
    if made.size and made.dtype.kind not in "biuf":
        wrong = next((each for each in _leaves(value) if number_of(each) is None or isinstance(each, str)), value)
        raise column.fault(row, _no_number(wrong))
    return made


def is_list(column: Column) -> bool:
    """Whether the values are lists, or cells that are written as lists."""
    if column.array is not None:
        return False
    if column.written:
        return all(isinstance(value, str) and value.startswith("[") for value in column.values)
    return any(isinstance(value, (list, np.ndarray)) for value in column.values)


def _list_of(column: Column, row: int, value: object) -> list[object] | None:
    """A list, also one that is written in a cell; None of anything else."""
    if isinstance(value, (list, np.ndarray)):
        return cast(list[object], value)
    if not column.written or not isinstance(value, str) or not value.startswith("["):
        return None
    try:
        return cast(list[object], json.loads(value))
    except (ValueError, RecursionError):
        raise column.fault(row, f"expected a list such as [1, 2, 3], got {shown(value)}") from None


def _part(column: Column, row: int, part: str) -> int | float:
    number = number_of(part)
    if number is None:
        raise column.fault(row, _no_number(part))
    return number


def _no_number(value: object) -> str:
    return "it is empty, a number is expected" if value in ("", None) else f"expected a number, got {shown(value)}"


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} numbers" if shape else "a number"


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for each in cast(list[object], value):
            yield from _leaves(each)
    else:
        yield value


def _numeric(values: list[Any]) -> Array:
    """Whole numbers as int64, if all are and fit, else float64."""
    made: Array = np.array(values) if values else np.zeros(0)
    return made if made.dtype.kind in "biuf" else np.array([float(value) for value in values])
