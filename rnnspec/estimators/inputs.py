"""Data as scikit-learn's users have it, as the inputs of a model: rows, padded and ragged sequences, texts, tables, inputs by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import assert_all_finite, validate_data

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.estimators.default_specs import Form
from rnnspec.frozen import frozen


@frozen
class Data:
    """The samples of a call. `values`: an array, a list of arrays (time, features), a list of texts, or what an input's name stands for.

    `features`: of rows the columns, of sequences the features of a step, None for anything else.
    """

    form: Form
    values: Any
    samples: int
    features: int | None = None

    def chosen(self, rows: NDArray[np.intp]) -> Data:
        """Some of the samples."""
        if self.form == "named":
            values: Any = {name: _chosen(value, rows) for name, value in self.values.items()}
        else:
            values = _chosen(self.values, rows)
        return Data(self.form, values, len(rows), self.features)


def _chosen(values: Any, rows: NDArray[np.intp]) -> Any:
    return [values[row] for row in rows.tolist()] if isinstance(values, list) else values[rows]


def read(estimator: Any, x: object, *, reset: bool) -> Data:
    """The samples, checked as scikit-learn does it: TypeError or ValueError for what no estimator takes.

    `reset`: the estimator learns of it its number of features, and the names of columns; else they are compared.
    """
    if _is_named(x):
        named: dict[str, Any] = dict(cast(Mapping[str, Any], x))
        counts = {name: len(values) for name, values in named.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"X: expected as many samples of each input, got {counts}")
        found = Data("named", named, next(iter(counts.values())))
    elif (texts := _texts(x)) is not None:
        found = Data("texts", texts, len(texts))
    elif (items := sequences(x, certain=not reset and estimator.form_ == "sequences")) is not None:
        found = _of_sequences(items)
    elif getattr(x, "ndim", 2) == 3 or (isinstance(x, (list, tuple)) and _depth(cast(Sequence[object], x)) == 3):
        array: Array = check_array(x, allow_nd=True, ensure_all_finite=False, input_name="X")
        found = Data("sequences", array, len(array), array.shape[2])
    else:
        array = validate_data(estimator, x, reset=reset, ensure_all_finite=False)
        found = Data("rows", array, len(array), array.shape[1])
    if reset:
        estimator.form_ = found.form
        if found.form == "sequences":
            estimator.n_features_in_ = found.features
            cast(dict[str, Any], vars(estimator)).pop("feature_names_in_", None)
        return found
    _compare(estimator, found)
    return found


def _is_named(x: object) -> bool:
    """Whether it is a dict of inputs; of scipy's sparse matrices one is a dict as well."""
    return isinstance(x, Mapping) and not hasattr(cast(object, x), "tocsr")


def _compare(estimator: Any, found: Data) -> None:
    name, given, known = type(estimator).__name__, found.form, estimator.form_
    if given != known:
        raise ValueError(f"X: {name} was fitted on {known}, got {given}")
    if given == "sequences" and found.features != estimator.n_features_in_:
        raise ValueError(f"X has {found.features} features, but {name} is expecting {estimator.n_features_in_} features as input.")


def _texts(x: object) -> list[str] | None:
    """The texts of a list, of an array or of a column of texts; None for anything else."""
    if isinstance(x, (list, tuple)) or (getattr(x, "ndim", 0) == 1 and hasattr(x, "__len__")):
        items: list[Any] = list(cast(Any, x))
        return items if items and all(isinstance(item, str) for item in items) else None
    return None


def sequences(x: object, *, certain: bool = False) -> list[Any] | None:
    """The items of a list, or of an array of objects, that are sequences of their own lengths; None for anything else.

    `certain`: also where all have the same length.
    """
    if not isinstance(x, (list, tuple)) and not (isinstance(x, np.ndarray) and cast(Array, x).dtype == object and x.ndim == 1):
        return None
    items: list[Any] = list(cast(Any, x))
    if any(not isinstance(item, (list, tuple)) and not hasattr(item, "__len__") for item in items):
        return None
    axes = {np.ndim(item) if not isinstance(item, (list, tuple)) else _depth(cast(Sequence[object], item)) for item in items}
    if axes == {2}:
        return items
    if axes == {1} and (certain or len({len(item) for item in items}) > 1):
        return items
    return None


def _depth(value: Sequence[object]) -> int:
    """How many lists are in each other, by their first items."""
    if not value:
        return 1
    first = value[0]
    return 1 + (_depth(cast(Sequence[object], first)) if isinstance(first, (list, tuple)) else np.ndim(cast(Any, first)))


def _of_sequences(items: Sequence[Any]) -> Data:
    arrays: list[Array] = []
    for number, item in enumerate(items):
        array: Array = np.asarray(item)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"X: sample {number}: expected numbers, got dtype {array.dtype}")
        arrays.append(array if array.ndim == 2 else array[:, None])
    features = arrays[0].shape[1]
    for number, array in enumerate(arrays):
        if array.shape[1] != features:
            raise ValueError(f"X: sample {number} has {array.shape[1]} features, and sample 0 has {features}")
    return Data("sequences", arrays, len(arrays), features)


def for_model(signature: Signature, data: Data, *, name: str) -> Any:
    """The samples as the model's inputs take them. ValueError for numbers that aren't finite, unless the spec allows them."""
    refuse = signature.train.allow_nan is not True
    if data.form == "named":
        named = cast(Mapping[str, Any], data.values)
        return {each: _finite(values, name) if refuse else values for each, values in named.items()}
    if len(signature.inputs) > 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise ValueError(f"X: model {signature.model} has {len(signature.inputs)} inputs: give a dict with the keys {names}")
    if data.form == "texts":
        return data.values
    return _shaped(signature, _finite(data.values, name) if refuse else data.values, data)


def _finite(values: Any, name: str) -> Any:
    for each in cast(list[Any], values) if isinstance(values, list) else [values]:
        if getattr(each, "dtype", np.dtype(object)).kind == "f":
            assert_all_finite(each, estimator_name=name, input_name="X")
    return cast(Any, values)


def _shaped(signature: Signature, values: Any, data: Data) -> Any:
    (spec,) = signature.inputs
    if spec.integer and data.form == "sequences" and data.features == 1:
        return _first_features(cast(list[Any], values)) if isinstance(values, list) else values[..., 0]
    if data.form == "rows" and not spec.integer and len(spec.shape) == 2:
        if spec.shape[1] != 1:
            expected = f"sequences of {spec.shape[1]} features, (samples, time, {spec.shape[1]}) or a list of (time, {spec.shape[1]})"
            raise ValueError(f"X: input {spec.name} takes {expected}, got rows of shape {values.shape}")
        return values[..., None]
    return values


def _first_features(sequences: list[Any]) -> list[Any]:
    return [each[:, 0] for each in sequences]
