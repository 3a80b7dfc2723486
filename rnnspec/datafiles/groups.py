"""Sequences with a step in each row of a table: the rows of one key are a sample.

`group_by` names the columns of the key, `order_by` the column by which the rows of a sample are sorted; without it they are in the order of
the file. What has a value for each step (a sequence input, the targets and weights of a sequence output, a mask) becomes a column of
sequences; anything else has one value a sample, which all of its rows repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast

import numpy as np

from rnnspec.contract.data_roles import GROUP_BY, ORDER_BY
from rnnspec.contract.dimensions import Dim
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature, Signature
from rnnspec.datafiles import values
from rnnspec.datafiles.roles import Role, listed
from rnnspec.datafiles.table import Column, Samples, Steps, Table, flags_of, number_of, numbers_of, shown
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows

Bound = Mapping[Role, Sequence[Column]]
"""The columns of each role."""


@frozen
class Keys:
    """What tells the samples of a set, and their steps, apart in the file.

    `names`: the columns of the key. `of_samples`: each one's value for each sample. `time`: the length of the sequences, as outputs that
    have the same steps name it, None of keys that are no sequences'. `order`: the column that sorts steps, "" without one; `of_steps`: its
    values for each sample.
    """

    path: str
    names: tuple[str, ...]
    of_samples: tuple[list[Any], ...]
    time: Dim | None
    order: str = ""
    of_steps: Sequence[list[Any]] = ()

    def only(self, rows: Rows) -> Keys:
        """Those of the chosen samples."""
        chosen = range(len(self.of_samples[0]))[rows] if isinstance(rows, slice) else [int(row) for row in rows]
        of_steps = [self.of_steps[row] for row in chosen] if self.order else ()
        of_samples = tuple([column[row] for row in chosen] for column in self.of_samples)
        return replace(self, of_samples=of_samples, of_steps=of_steps)

    def has_order_of(self, output: OutputSignature) -> bool:
        """Whether the steps of an output are those that the column of the order names."""
        return bool(self.order) and output.is_sequence and output.shape[0] == self.time and not output.flip


def grouped(found: Bound, signature: Signature, classes: Mapping[str, tuple[str, ...]]) -> tuple[Bound, Keys | None]:
    """Columns with a value for each sample, and the keys; as they are, and None, where no column is one of a key.

    `classes`: the names of the outputs' classes that are known. ValueError with the line of what doesn't fit.
    """
    keys, order = found.get(Role(GROUP_BY)), found.get(Role(ORDER_BY))
    if keys is None:
        if order is not None:
            raise ValueError(
                f"{order[0].path}: {ORDER_BY} sorts the rows of a sample, and there is no {GROUP_BY} that says which these are"
            )
        return found, None
    time = next((spec.shape[0] for spec in signature.inputs if spec.is_sequence and spec.text is None), None)
    if time is None:
        raise ValueError(f"{keys[0].path}: {GROUP_BY} makes sequences of rows, and model {signature.model} takes none of numbers")
    rows = len(keys[0].values)
    for role, columns in found.items():
        if role.kind == "length":
            raise ValueError(f"{columns[0].path}: {GROUP_BY} says how long sequences are, and {columns[0].name} is there for it as well")
        for column in columns:
            if len(column.values) != rows and role.kind != "classes":
                raise ValueError(f"{column.path}: {column.name} has {len(column.values)} rows, {keys[0].name} has {rows}")
    samples = _rows_of_samples(keys, None if order is None else order[0])
    firsts = np.array([each[0] for each in samples], np.intp)
    made: dict[Role, Sequence[Column]] = {}
    for role, columns in found.items():
        if role.kind in (GROUP_BY, ORDER_BY, "classes"):
            made[role] = columns
        elif _has_steps(role, signature):
            known = classes.get(_output(role, signature)[1].name) if role.kind == "y" else None
            made[role] = (_sequences(columns, samples, role.kind, known),)
        else:
            made[role] = tuple(_of_samples(column, samples, firsts) for column in columns)
    shown_order = [] if order is None else _shown_order(order[0])
    of_steps = () if order is None else [[shown_order[row] for row in each] for each in samples]
    names, of_samples = tuple(column.name for column in keys), tuple(_plain(column, firsts) for column in keys)
    return made, Keys(keys[0].path, names, of_samples, time, "" if order is None else order[0].name, of_steps)


def keys_by(table: Table, names: Sequence[str]) -> Keys:
    """Keys by columns that have a value for each sample; ValueError for one that isn't there."""
    for place, name in enumerate(names):
        if name not in table.columns:
            raise ValueError(f"{table.path}: there is no {table.noun} `{name}`; found {listed(table.names) or 'none'}")
        if name in names[:place]:
            raise ValueError(f"{name} is given twice as a column to keep")
    return Keys(table.path, tuple(names), tuple(_plain(table.columns[name], slice(None)) for name in names), None)


def _rows_of_samples(keys: Sequence[Column], order: Column | None) -> list[Array]:
    """The rows of each sample in the order of its steps; samples in the order of their first rows."""
    numbers: dict[tuple[Any, ...], int] = {}
    lists = [_plain(column, slice(None)) for column in keys]
    for column, given in zip(keys, lists, strict=True):
        if None in given or "" in given:
            raise column.fault(
                next(row for row, each in enumerate(given) if each in (None, "")), "it is empty, a sequence's key is expected"
            )
        wrong = None if column.written else next((row for row, each in enumerate(given) if _is_no_key(each)), None)
        if wrong is not None:
            raise column.fault(wrong, f"expected a text or a number, the key of a sequence, got {shown(given[wrong])}")
    group = np.array([numbers.setdefault(key, len(numbers)) for key in zip(*lists, strict=True)], np.intp)
    if order is None:
        places = np.argsort(group, kind="stable")
    else:
        given = _order(order)
        places = np.lexsort((given, group))
        again = (group[places[1:]] == group[places[:-1]]) & (given[places[1:]] == given[places[:-1]])
        if again.any():
            first, second = sorted((int(places[again.argmax()]), int(places[again.argmax() + 1])))
            what = f"the sequence {', '.join(str(each[first]) for each in lists)}"
            raise order.fault(second, f"{what} has {shown(_plain(order, [first])[0])} twice")
    return np.split(places, np.flatnonzero(np.diff(group[places])) + 1)


def _is_no_key(value: object) -> bool:
    """Whether a value is none to tell sequences apart by: a list, an object or NaN."""
    return isinstance(value, (list, dict)) or value != value


def _order(column: Column) -> Array:
    """Numbers to sort by, (rows,): those of the column, or its dates and times."""
    given = _plain(column, slice(None))
    if _is_numeric(column):
        found = numbers_of(column)
        if found.ndim != 1:
            raise column.fault(0, f"expected a number, got {shown(given[0])}")
        if found.dtype.kind == "f" and (wrong := np.flatnonzero(np.isnan(found))).size:
            raise column.fault(int(wrong[0]), "expected a number to sort by, got nan")
        return found
    times = [_time(column, row, each) for row, each in enumerate(given)]
    zoned = times[0].tzinfo is not None
    for row, each in enumerate(times):
        if (each.tzinfo is not None) != zoned:
            raise column.fault(row, f"expected a time {'with' if zoned else 'without'} a zone, as in the first, got {shown(given[row])}")
    return np.array([each.astimezone(UTC).replace(tzinfo=None) if zoned else each for each in times], "datetime64[us]").astype(np.int64)


def _is_numeric(column: Column) -> bool:
    """Whether a column sorts by its numbers: its first value is one."""
    array = column.array
    return array.dtype.kind in "biuf" if array is not None else number_of(column.values[0]) is not None


def _shown_order(column: Column) -> list[Any]:
    """What sorts steps, numbers as numbers."""
    return cast(list[Any], numbers_of(column).tolist()) if _is_numeric(column) else _plain(column, slice(None))


def _time(column: Column, row: int, value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    try:
        return datetime.fromisoformat(str(value).strip())
    except ValueError:
        problem = f"expected a number to sort by, or a date or time such as 2024-05-31 or 2024-05-31T08:30:00, got {shown(value)}"
        raise column.fault(row, problem) from None


def _has_steps(role: Role, signature: Signature) -> bool:
    """Whether the values of a role are those of steps, each in a row of its own; else all rows of a sample have the same value."""
    if role.kind == "mask":
        return True
    if role.kind == "x":
        spec = next(spec for spec in signature.inputs if spec.name == role.of)
        return spec.is_sequence and spec.text is None
    if role.kind not in ("y", "sample_weight"):
        return False
    place, output = _output(role, signature)
    return output.is_sequence and not values.takes_labels(signature, place)


def _output(role: Role, signature: Signature) -> tuple[int, OutputSignature]:
    """The output that targets are of: the named one, or else the first with a loss."""
    loss = signature.train.loss
    for place, output in enumerate(signature.outputs):
        if output.name == role.of or (not role.of and not (isinstance(loss, tuple) and loss[place] is None)):
            return place, output
    return 0, signature.outputs[0]


def _sequences(columns: Sequence[Column], samples: Sequence[Array], kind: str, known: tuple[str, ...] | None) -> Column:
    """One column with a sequence for each sample."""
    name = ", ".join(column.name for column in columns)
    given: Samples
    if len(columns) > 1:
        given = values.beside(columns, ())
    elif kind == "mask":
        given = flags_of(columns[0])
    else:
        given = values.numbers_or_names(columns[0], known) if kind == "y" else numbers_of(columns[0])
    found = [given[rows] if isinstance(given, np.ndarray) else [given[row] for row in rows] for rows in samples]
    return Column(columns[0].path, name, found, steps=Steps(columns, samples))


def _of_samples(column: Column, samples: Sequence[Array], firsts: Array) -> Column:
    """One value for each sample; ValueError with the line of one that is another than the first of its sample."""
    plain = _plain(column, slice(None))
    for rows in samples:
        first = plain[rows[0]]
        for row in rows[1:]:
            if plain[row] != first and (plain[row] == plain[row] or first == first):  # NaN is as NaN
                problem = f"expected one value for all rows of a sample: it is {shown(plain[row])}, in its first row {shown(first)}"
                raise column.fault(int(row), problem)
    chosen: Samples = [plain[row] for row in firsts] if column.array is None else column.array[firsts]
    return replace(column, values=chosen, lines=None if column.lines is None else [column.lines[row] for row in firsts])


def _plain(column: Column, rows: Rows | Sequence[int]) -> list[Any]:
    """Chosen values as Python's own; cells without blanks around them."""
    if (array := column.array) is not None:
        chosen: Array = array[rows]
        return cast(list[Any], chosen.tolist())
    given = column.values[rows] if isinstance(rows, slice) else [column.values[row] for row in rows]
    return [each.strip() if isinstance(each, str) else each for each in given]
