"""Metrics as means over counted rows, by Keras's formulas (keras.src.metrics, 3.15)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NoReturn, TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.metric_names import CLASS_METRICS, computed_metric, kind_of_targets
from rnnspec.frozen import frozen
from rnnspec.locks import LLVM
from rnnspec.training.constructors import absent
from rnnspec.training.losses import Loss

RowMetric: TypeAlias = Callable[[Array, Array], Array]
"""(predictions (rows, width), targets as the loss takes them) to each row's value (rows,)."""


@frozen
class Metric:
    """A named mean over rows. Sample weights don't enter, as in Keras's `metrics`."""

    name: str
    rows: RowMetric


@frozen
class MetricNames:
    """The metrics of each output, by name. `of_all`: one list for all outputs, which counts for those with a loss."""

    each: tuple[tuple[str, ...], ...]
    of_all: bool = False


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A message on an unknown name: whether Keras has it, or what was probably meant, and all there are."""
    with LLVM:  # a fork waits for who imports
        from rnnspec.training.keras_advice import unknown_name

    return unknown_name(kind, name, known)


def metric(name: str, loss: Loss, width: int) -> Metric:
    """The metric of that name beside a loss whose predictions have `width` values a row.

    Binary accuracy's threshold is 0.5, and 0 for logits, which is the same decision. ValueError for an
    unknown name, or one that needs other targets than the loss.
    """
    name_of_rows = computed_metric(name, width, loss.classes)
    if name_of_rows not in METRICS:
        raise ValueError(unknown("metric", name, ("accuracy", *METRICS)))
    if (name_of_rows in CLASS_METRICS) != loss.classes:
        wanted, given = kind_of_targets(not loss.classes), kind_of_targets(loss.classes)
        raise ValueError(f"metric {name} needs targets that are {wanted}, the loss takes {given}")
    if name_of_rows == "binary_accuracy":
        return Metric(name, _binary_accuracy(0.0 if loss.from_logits else 0.5))
    return Metric(name, METRICS[name_of_rows])


def _binary_accuracy(threshold: float) -> RowMetric:
    def rows(predictions: Array, targets: Array) -> Array:
        return ((predictions > threshold) == targets).mean(axis=1)

    return rows


def _categorical_accuracy(predictions: Array, targets: Array) -> Array:
    return (predictions.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float64)


def _sparse_categorical_accuracy(predictions: Array, targets: Array) -> Array:
    return (predictions.argmax(axis=1) == targets).astype(np.float64)


def _mean_squared_error(predictions: Array, targets: Array) -> Array:
    return np.square(predictions - targets).mean(axis=1)


def _mean_absolute_error(predictions: Array, targets: Array) -> Array:
    return np.abs(predictions - targets).mean(axis=1)


METRICS: dict[str, RowMetric] = {
    "binary_accuracy": _binary_accuracy(0.5),
    "categorical_accuracy": _categorical_accuracy,
    "sparse_categorical_accuracy": _sparse_categorical_accuracy,
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
}


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "metric", name)
