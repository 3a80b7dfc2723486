"""The samples that a training holds out to validate on: the last fraction, as Keras cuts it, before they are shuffled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rnnspec.runtime.data.columns import is_list
from rnnspec.runtime.data.sources import source_of
from rnnspec.runtime.data.validate import finite_number


def kept_samples(samples: int, fraction: object) -> int:
    """The number of samples, the first ones, that are trained on; ValueError for no fraction, and for none on either side."""
    number = 0.0 if fraction is False else finite_number(fraction)
    if number is None or not 0.0 <= number < 1.0:
        raise ValueError(f"validation_split: expected a number from 0 to below 1, got {fraction!r}")
    kept = math.floor(samples * (1.0 - number))
    if number and kept in (0, samples):
        raise ValueError(f"validation_split: {fraction} of {samples} samples leaves nothing to train or validate on")
    return kept


def without_held_out(data: object, fraction: object, inputs: int = 1) -> Any:
    """What is trained on, of data of all samples: of one sequence or input, by name, or a list of so many inputs' in their order.

    ValueError for what gives batches.
    """
    if isinstance(data, Mapping):
        return {name: _kept(value, fraction) for name, value in cast(Mapping[str, object], data).items()}
    if inputs > 1 and is_list(data):
        return [_kept(value, fraction) for value in cast(Sequence[object], data)]
    return None if data is None else _kept(data, fraction)


def _kept(data: object, fraction: object) -> Any:
    if (source := source_of(data, lists=False)) is not None:
        raise ValueError(f"validation_split: what {source.name} gives can't be split: give what is trained on")
    values: Any = data
    return values if not hasattr(values, "__len__") or isinstance(values, str) else values[: kept_samples(len(values), fraction)]
