"""Predictions of the partitions of tables: of pandas, of numpy arrays by name, of records; what engines for data of any size call.

Dask's `map_partitions`, Ray Data's `map_batches` and Spark's `mapInPandas` give a function one part after the other, in processes of
their own. A `Scorer` is such a function: it pickles as its model's file, and each process makes the model once.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.datafiles.places import placed
from rnnspec.datafiles.predictions import Predictions, arrow_columns, as_data, predictions_of
from rnnspec.datafiles.roles import Roles
from rnnspec.datafiles.sets import bound
from rnnspec.datafiles.table import Column, Samples, Table

PARTITION = "the partition"
"""How messages call a part that is no file."""


class Predictor(Protocol):
    """What a scorer asks of a model."""

    @property
    def signature(self) -> Signature:
        """The inputs and outputs."""
        ...

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of classes by output."""
        ...

    @property
    def class_thresholds(self) -> Mapping[str, float]:
        """By output the value above which one unit is of class 1."""
        ...

    def predict(self, x: Any, *, mask: Any = None, lengths: Any = None) -> Any:
        """The outputs of all samples."""
        ...

    def real_steps(self, x: Any, mask: Any = None, lengths: Any = None) -> list[Any]:
        """The real steps of each output."""
        ...


class Scorer:
    """A function of a part of a table that gives its predictions, in the part's order and of its kind.

    A pandas DataFrame gives a DataFrame with the same index, a dict of numpy arrays such a dict, and a list of dicts a list of dicts. A
    column has the output's name and a number for each sample, or a list of numbers, or a list with one of these for each real step, and
    `name.class` the names of the classes. In front are the columns of `ids`. Columns that no input is called like are left aside.
    """

    def __init__(
        self, model: Predictor, *, columns: Mapping[str, str | Sequence[str]] = MappingProxyType({}), ids: str | Sequence[str] = ()
    ) -> None:
        """`columns`: the column, or columns side by side, of an input by its name, where they aren't called so; also `length`, `mask`.

        `ids`: columns to keep beside the predictions. ValueError for a name that the model doesn't have, for targets among the columns,
        and for a stateful model, whose predictions depend on the samples before; TypeError for `columns` or `ids` of another kind.
        """
        self.model = model
        if not isinstance(_as_object(columns), Mapping):
            raise TypeError(f"columns: expected a dict of columns by input, got {type(columns).__name__}")
        if not isinstance(_as_object(ids), Sequence):
            raise TypeError(f"ids: expected the name of a column, or a list of them, got {type(ids).__name__}")
        self.columns = {role: (names,) if isinstance(names, str) else tuple(names) for role, names in columns.items()}
        self.ids = (ids,) if isinstance(ids, str) else tuple(ids)
        if model.signature.states:
            raise ValueError(
                f"model {model.signature.model} is stateful: what it gives for a sample depends on those before, "
                "and partitions have no order; use model.predict"
            )
        self._roles = Roles(model.signature, self.columns)
        if wrong := [role for role, names in self.columns.items() if not any(map(self._roles.is_input, names))]:
            raise ValueError(f"{', '.join(wrong)} is no input; to score, inputs alone are read")

    def __reduce__(self) -> tuple[Any, tuple[bytes, dict[str, tuple[str, ...]], tuple[str, ...]]]:
        return _restored, (pickle.dumps(self.model), self.columns, self.ids)

    def is_wanted(self, name: str) -> bool:
        """Whether a column of that name is read."""
        return name in self.ids or self._roles.is_input(name)

    def has_key(self, table: Table) -> bool:
        """Whether the rows of the table are steps of sequences, told apart by `group_by`."""
        return any(role.kind == "group_by" for role in self._roles.assigned(table))

    def score(self, table: Table) -> Predictions:
        """The predictions of a table with the wanted columns; ValueError that names the place of what is wrong."""
        model = self.model
        data = bound(table, model.signature, self._roles, model.classes, ids=self.ids, unused=False).for_testing
        inputs: dict[str, Any] = {"x": data.x, "mask": data.mask, "lengths": data.lengths}
        with placed(data.origin):
            given, reals = model.predict(**inputs), model.real_steps(**inputs)
        return predictions_of(model.signature.outputs, given, reals, model.classes, model.class_thresholds, data.keys)

    def __call__(self, part: Any) -> Any:
        """The predictions of a part, of its kind; ValueError that names row and column of what is wrong, TypeError for another kind."""
        if isinstance(part, Mapping):
            given = cast(Mapping[str, Any], part)
            return {name: _as_array(values) for name, values in self._columns_of(given, given).items()}
        if hasattr(part, "columns") and hasattr(part, "index"):
            pandas = import_module("pandas")
            given: Mapping[str, Any] = {}
            for place, label in enumerate(part.columns):
                if (name := str(label)) in given and self.is_wanted(name):
                    raise ValueError(f"{PARTITION}: there are two columns {name}: leave one")
                given[name] = part.iloc[:, place]
            found = self._columns_of(given, {name: series.dtype for name, series in given.items()})
            return pandas.DataFrame(
                {name: pandas.Series(values, index=part.index, dtype=_dtype(given, name, values)) for name, values in found.items()},
                index=part.index,
            )
        if isinstance(part, Iterable) and not isinstance(part, (str, bytes)):
            return self._of_records(list(cast(Iterable[Mapping[str, Any]], part)))
        raise TypeError(f"expected a DataFrame of pandas, a dict of arrays or a list of dicts, got {type(part).__name__}")

    def map_in_pandas(self, frames: Iterable[Any]) -> Iterator[Any]:
        """The predictions of DataFrames, one after the other, as Spark's `DataFrame.mapInPandas` wants its function."""
        return map(self, frames)

    def _of_records(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        names = list(dict.fromkeys(name for record in records for name in record))
        given: dict[str, list[Any]] = {}
        for name in filter(self.is_wanted, names):
            if (lacking := next((row for row, record in enumerate(records) if name not in record), None)) is not None:
                raise ValueError(f"{PARTITION}: row {lacking}: there is no {name!r}, other rows have it")
            given[name] = [record[name] for record in records]
        return as_data(self._scored(given, names)) if records else []

    def _columns_of(self, given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """The predictions by column: an array of a number a sample, or a list."""
        found = arrow_columns(self._scored(given, [*names]))
        columns: dict[str, Any] = {name: given[name] for name in found.keys}
        for name, array, real in found.outputs:
            values = array[..., 0] if array.ndim > 1 and array.shape[-1] == 1 and array.dtype.kind != "U" else array
            if real is not None:
                columns[name] = [each[there].tolist() for each, there in zip(values, real, strict=True)]
            else:
                columns[name] = values if values.ndim == 1 else values.tolist()
        return columns

    def _scored(self, given: Mapping[str, Any], names: Sequence[str]) -> Predictions:
        columns = {name: Column(PARTITION, name, _values(values)) for name, values in given.items() if self.is_wanted(name)}
        table = Table(PARTITION, columns, tuple(names), "column")
        if self.has_key(table):
            raise ValueError(f"{PARTITION}: group_by makes sequences of rows, which partitions may cut: give a column with a list a sample")
        return self.score(table)


@lru_cache(maxsize=4)
def _restored_model(content: bytes) -> Predictor:
    return cast(Predictor, pickle.loads(content))


def _restored(content: bytes, columns: dict[str, tuple[str, ...]], ids: tuple[str, ...]) -> Scorer:
    """A copy of a scorer; those in one process share the model that the bytes say."""
    return Scorer(_restored_model(content), columns=columns, ids=ids)


def _values(given: Any) -> Samples:
    """The values of a column: an array of numbers, or a list; what pandas calls missing is None."""
    found = _as_object(given.to_numpy() if hasattr(given, "to_numpy") else given)
    if isinstance(found, np.ndarray):
        array = cast(Array, found)
        if not array.size and array.ndim == 1:
            return []  # pandas gives an empty column any type, and no shape of its samples
        if array.dtype.kind in "biufU":
            return array
        values = [_plain(each) for each in array]
    else:
        values = list(cast(Iterable[Any], found))
    if not hasattr(given, "isna"):
        return values
    return [None if gone else value for value, gone in zip(values, given.isna().to_numpy(), strict=True)]


def _as_object(value: Any) -> object:
    """A value whose type is still to be looked at."""
    return value


def _plain(value: object) -> Any:
    """A list in a cell, whose lists pyarrow gives as arrays of arrays, as lists; a number of numpy as Python's."""
    if isinstance(value, np.ndarray):
        array = cast(Array, value)
        return [_plain(each) for each in array] if array.dtype.kind == "O" else array
    return cast(Any, value).item() if isinstance(value, np.generic) else value


def _as_array(values: Any) -> Any:
    """An array; of lists of different lengths one of objects."""
    if not isinstance(values, list):
        return values
    rows = cast(list[Any], values)
    try:
        return np.array(rows)
    except ValueError:
        made = np.empty(len(rows), object)
        made[:] = rows
        return made


def _dtype(given: Mapping[str, Any], name: str, values: Any) -> Any:
    """That of a column that is kept; of lists and texts `object`, so that empty partitions have it as well."""
    if name in given and values is given[name]:
        return given[name].dtype
    array = cast(Array, values)
    return array.dtype if isinstance(values, np.ndarray) and array.dtype.kind != "U" else object
