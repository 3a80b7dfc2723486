"""Data as training takes it: batches with what belongs to them, windows of a series, splits.

>>> import numpy as np
>>> from rnnspec import data
>>> series = np.arange(10.0)
>>> x, y = data.windows(series, 4, horizon=2)
>>> x.shape, y.shape
((5, 4, 1), (5, 2))
>>> x[0].ravel(), y[0]
(array([0., 1., 2., 3.]), array([4., 5.]))
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.diagnostics import ClassWarning, caller_level
from rnnspec.runtime.data.columns import as_numbers
from rnnspec.runtime.data.missing_classes import missing_classes
from rnnspec.runtime.data.sources import Batch
from rnnspec.runtime.data.validate import finite_number, whole_number

__all__ = ["Batch", "split", "windows"]


def windows(
    series: object, length: int, *, horizon: int = 1, stride: int = 1, sampling_rate: int = 1, targets: object = None
) -> tuple[Array, Array]:
    """The windows of a series with the values that follow each of them, as views: nothing is copied, and both are read-only.

    argument       shape, type                 meaning                                                   default
    -------------  --------------------------  --------------------------------------------------------  ----------
    series         (time,), (time, features)   values one after the other, in time's order               required
    length         int from 1                  steps of a window                                         required
    horizon        int from 1                  values that follow, as targets                            1
    stride         int from 1                  steps from a window's begin to the next one's             1
    sampling_rate  int from 1                  steps from one of a window to its next, of x and y alike  1
    targets        (time,), (time, width)      another series to predict, at the same times              the series

    Returns x (windows, length, features) and y (windows, horizon, width), or (windows, horizon) for a series of one axis. `Model.fit`
    converts such views batch by batch. ValueError for a series that is too short for a window and what follows it.

    >>> import numpy as np
    >>> from rnnspec.data import windows
    >>> series = np.zeros((1000, 11))
    >>> x, y = windows(series, 96, horizon=24, targets=series[:, 6])
    >>> x.shape, y.shape
    ((881, 96, 11), (881, 24))
    """
    values = _series(series, "series")
    wanted = values if targets is None else _series(targets, "targets")
    if len(wanted) != len(values):
        raise ValueError(f"targets: expected the {len(values)} steps of the series, got {len(wanted)}")
    numbers = {"length": length, "horizon": horizon, "stride": stride, "sampling_rate": sampling_rate}
    length, horizon, stride, rate = (whole_number(name, number, 1) for name, number in numbers.items())
    span = (length + horizon - 1) * rate + 1
    if len(values) < span:
        raise ValueError(f"series: expected at least {span} steps, for {length} in a window and {horizon} after it, got {len(values)}")
    count = (len(values) - span) // stride + 1
    x = _views(values if values.ndim == 2 else values[:, None], 0, count, length, stride, rate)
    return x, _views(wanted, length * rate, count, horizon, stride, rate)


def _series(given: object, what: str) -> Array:
    values = as_numbers(given, what)
    if values.ndim not in (1, 2):
        raise ValueError(f"{what}: expected shape (time,) or (time, features), got {values.shape}")
    return values


def _views(values: Array, first: int, count: int, length: int, stride: int, rate: int) -> Array:
    """Windows of the series from `first` on, (count, length, ...)."""
    shown = np.lib.stride_tricks.sliding_window_view(values[first:], (length - 1) * rate + 1, axis=0)
    return np.moveaxis(shown[: (count - 1) * stride + 1 : stride, ..., ::rate], -1, 1)


def split(
    *data: object, fraction: float = 0.2, shuffle: bool = True, stratify: bool = False, seed: int | None = None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The data in two parts, the second with that fraction of the samples: (x, y, ...) to train on, and (x, y, ...) to test on.

    `data`: arrays (n, ...) or lists of n samples; the last of them is the targets. `shuffle`: whether the samples are drawn, by `seed`;
    else the second part is the last ones, without a copy, which is right for a series. `stratify`: whether each class of the targets has
    the same share in both parts. Warns of classes, whole numbers of at least two samples, of one part that the other one doesn't have.
    ValueError for data of different lengths, for a part without samples, and for a class that has too few samples to be in both.

    >>> import numpy as np
    >>> from rnnspec.data import split
    >>> x, y = np.zeros((50, 7, 3)), np.repeat([0, 1], 25)
    >>> (x_train, y_train), (x_test, y_test) = split(x, y, fraction=0.2, stratify=True, seed=0)
    >>> x_train.shape, np.bincount(y_test)
    ((40, 7, 3), array([5, 5]))
    """
    if not data:
        raise ValueError("data: expected arrays or lists with a sample in each place, got none")
    parts = [list(cast(Sequence[object], each)) if isinstance(each, (list, tuple)) else np.asarray(each) for each in data]
    lengths = [len(part) for part in parts if isinstance(part, list) or part.ndim]
    if len(lengths) != len(parts) or len(set(lengths)) != 1:
        raise ValueError(f"data: expected the same number of samples in each, got {', '.join(map(str, lengths)) or 'single numbers'}")
    number, samples = finite_number(fraction), lengths[0]
    if number is None or not 0 < number < 1:
        raise ValueError(f"fraction: expected a number above 0 and below 1, got {fraction!r}")
    classes = _classes(parts[-1])
    order = np.random.default_rng(seed).permutation(samples) if shuffle else np.arange(samples)
    if stratify:
        if classes is None:
            raise ValueError("stratify: the last of the data isn't classes: whole numbers or texts, one a sample")
        second = _stratified(classes[order], number)
        kept, taken = order[~second], order[second]
    else:
        cut = samples - round(samples * number)
        kept, taken = order[:cut], order[cut:]
    if not len(kept) or not len(taken):
        raise ValueError(f"fraction: {fraction} of {samples} samples leaves a part without any")
    if classes is not None and (problem := missing_classes(classes[kept], classes[taken], "the first part", "the second part")):
        warnings.warn(problem, ClassWarning, stacklevel=caller_level())
    is_cut = not shuffle and not stratify
    return tuple(_taken(part, kept, is_cut) for part in parts), tuple(_taken(part, taken, is_cut) for part in parts)


def _classes(targets: Any) -> Array | None:
    """The targets as classes; None for those that aren't."""
    if isinstance(targets, list) and any(np.ndim(each) for each in cast(list[Any], targets)):
        return None
    array: Array = np.asarray(cast(Any, targets))
    return array if array.dtype.kind in "biuUS" and array.ndim == 1 else None


def _stratified(classes: Array, fraction: float) -> Array:
    """Which samples are in the second part: of each class the last ones."""
    second = np.zeros(len(classes), np.bool_)
    for each in np.unique(classes):
        places = np.flatnonzero(classes == each)
        if len(places) < 2:
            raise ValueError(f"stratify: class {each} has a single sample, which can't be in both parts")
        count = min(max(round(len(places) * fraction), 1), len(places) - 1)
        second[places[-count:]] = True
    return second


def _taken(part: Any, rows: Array, is_cut: bool) -> Any:
    if isinstance(part, list):
        return [cast(list[Any], part)[row] for row in rows.tolist()]
    return part[int(rows[0]) : int(rows[-1]) + 1] if is_cut else part[rows]
