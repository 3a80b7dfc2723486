"""Dropout in native code: how much is kept, how it is scaled, and what the key decides."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnspec

ROWS, WIDTH = 200, 500
ONES = np.ones((ROWS, WIDTH))


def dropout(rate: float, dtype: str = "float64", seed: int = 0) -> Any:
    return rnnspec.compile(f"model Drop {{ input x: float[{WIDTH}]\n Dropout({rate}) }}", dtype=dtype, seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_kept_fraction_and_scale(rate: float, dtype: str) -> None:
    """Every value is 0 or the input over 1 - p; the kept fraction lies within six standard deviations, in every part of the batch."""
    y = dropout(rate, dtype).forward(ONES, training=True)
    assert y.dtype == dtype
    assert set(np.unique(y)) == {0.0, np.dtype(dtype).type(1 / (1 - rate))}
    kept = y != 0
    for part in (kept, kept[:, ::2], kept[::2], kept[:, :20], kept[:2]):
        assert abs(part.mean() - (1 - rate)) < 6 * math.sqrt(rate * (1 - rate) / part.size)
    for axis in (0, 1):
        spread = kept.mean(axis=axis).std() / math.sqrt(rate * (1 - rate) / kept.shape[axis])
        assert 0.8 < spread < 1.2, "rows and columns vary as independent draws do"


def test_neighbours_are_independent() -> None:
    kept = (dropout(0.5).forward(ONES, training=True) != 0) - 0.5
    bound = 6 / math.sqrt(kept.size)
    for shifted in (np.roll(kept, 1, axis=0), np.roll(kept, 1, axis=1), np.roll(kept, 8, axis=1), kept[:, ::-1]):
        assert abs((kept * shifted).mean() / 0.25) < bound


def test_no_dropout_outside_training() -> None:
    np.testing.assert_array_equal(dropout(0.5).forward(ONES), ONES)
    np.testing.assert_array_equal(dropout(0.5).predict(ONES), ONES)
    np.testing.assert_array_equal(dropout(0.0).forward(ONES, training=True), ONES)


def test_each_call_draws_anew_and_a_seed_repeats_the_calls() -> None:
    first, second = dropout(0.5), dropout(0.5)
    calls = [first.forward(ONES, training=True) for _ in range(3)]
    agreement = [np.mean((a != 0) == (b != 0)) for a, b in pairwise(calls)]
    assert all(abs(value - 0.5) < 0.02 for value in agreement)
    for call in calls:
        np.testing.assert_array_equal(call, second.forward(ONES, training=True))
    assert not np.array_equal(dropout(0.5, seed=1).forward(ONES, training=True), calls[0])


def test_the_same_key_gives_the_same_mask_forward_recorded_and_backward() -> None:
    alone, recording = dropout(0.5), dropout(0.5)
    y, tape = recording.forward(ONES, training=True, record=True)
    np.testing.assert_array_equal(alone.forward(ONES, training=True), y)
    recording.forward(ONES, training=True)
    for _ in range(2):
        np.testing.assert_array_equal(recording.backward(tape, ONES).inputs["x"], y)


def test_both_precisions_drop_the_same() -> None:
    masks = [dropout(0.5, dtype).forward(ONES, training=True) != 0 for dtype in ("float32", "float64")]
    np.testing.assert_array_equal(masks[0], masks[1])


def test_two_layers_drop_on_their_own() -> None:
    both = rnnspec.compile(f"model Drop {{ input x: float[{WIDTH}]\n Dropout(0.5)\n Dropout(0.5) }}", dtype="float64", seed=0)
    kept = both.forward(ONES, training=True) != 0
    assert abs(kept.mean() - 0.25) < 6 * math.sqrt(0.25 * 0.75 / kept.size)
