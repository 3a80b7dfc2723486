"""What the models of `fixtures/keras/names_of_weights.json` are given, there and here: waves, which need no file."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BATCH, STEPS, FEATURES, VOCABULARY = 2, 4, 3, 5


def wave(shape: tuple[int, ...], start: float) -> NDArray[np.float64]:
    return np.sin(start + 0.7 * np.arange(math.prod(shape))).reshape(shape)


def value(path: str, shape: tuple[int, ...], place: int) -> NDArray[np.float64]:
    """Of the weight at that place among all of Keras's; a variance is above 0."""
    return wave(shape, place) + (1.5 if path.endswith("variance") else 0.0)


def values_in(*, integer: bool) -> NDArray[np.float64] | NDArray[np.int64]:
    """A batch of ids, the last ones 0, or of features."""
    if integer:
        return np.array([[1, 4, 2, 0], [3, 2, 0, 0]])
    return wave((BATCH, STEPS, FEATURES), 0.5)
