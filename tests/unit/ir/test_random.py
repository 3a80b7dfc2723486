"""Random numbers as a function of key, stream and place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.ir.random import STREAM_STEP, lowbias32, uniform

KEYS = st.integers(-(2**31), 2**31 - 1)
STREAMS = st.integers(0, 1000)


def by_hand(key: int, stream: int, place: int) -> float:
    """The same in Python's integers."""

    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D & 0xFFFFFFFF
        x ^= x >> 15
        x = x * 0x846CA68B & 0xFFFFFFFF
        return x ^ x >> 16

    seed = mix((key + stream * 0x9E3779B9) & 0xFFFFFFFF)
    return (mix(mix(place ^ seed) + seed & 0xFFFFFFFF) >> 8) / 2**24


@settings(max_examples=100, deadline=None, derandomize=True)
@given(KEYS, STREAMS, st.integers(0, 40), st.integers(1, 7))
def test_each_number_is_the_definition_s(key: int, stream: int, rows: int, width: int) -> None:
    drawn = uniform(key, stream, (rows, width))
    assert drawn.shape == (rows, width)
    expected = [by_hand(key, stream, place) for place in range(rows * width)]
    assert drawn.reshape(-1).tolist() == expected


def test_golden_values() -> None:
    assert (uniform(1, 0, (4,)) * 2**24).tolist() == [77877, 1990255, 14148016, 16307916]
    assert (uniform(-7, 3, (2, 2)) * 2**24).tolist() == [[1880756, 15591617], [5622705, 5646859]]


def test_range_and_grid() -> None:
    drawn = uniform(12345, 2, (300, 500))
    assert drawn.min() >= 0.0 and drawn.max() < 1.0
    np.testing.assert_array_equal(drawn, drawn.astype(np.float32))
    np.testing.assert_array_equal(drawn * 2**24, np.floor(drawn * 2**24))
    assert float(np.float32(drawn.max())) < 1.0


def test_uniform() -> None:
    """Mean, variance and the share of each of 16 bins, within five standard errors."""
    for key, stream in ((0, 0), (0, 1), (1, 0), (-1, 7)):
        drawn = uniform(key, stream, (200_000,))
        assert abs(drawn.mean() - 0.5) < 5 * np.sqrt(1 / 12 / drawn.size)
        assert abs(drawn.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / drawn.size)
        shares = np.bincount((drawn * 16).astype(int), minlength=16) / drawn.size
        assert np.abs(shares - 1 / 16).max() < 5 * np.sqrt(1 / 16 / drawn.size)


def test_neighbours_don_t_depend_on_each_other() -> None:
    """Correlation of neighbouring places, streams and keys, within five standard errors."""
    size = 100_000
    base = uniform(5, 1, (size + 1,)) - 0.5
    others = [base[1:], uniform(5, 2, (size,)) - 0.5, uniform(6, 1, (size,)) - 0.5]
    for other in others:
        assert abs(np.mean(base[:size] * other)) < 5 / 12 / np.sqrt(size)


def test_the_same_at_every_call_and_in_every_shape() -> None:
    np.testing.assert_array_equal(uniform(3, 4, (6, 5)), uniform(3, 4, (6, 5)))
    np.testing.assert_array_equal(uniform(3, 4, (6, 5)).reshape(-1), uniform(3, 4, (30,)))
    np.testing.assert_array_equal(uniform(3, 4, (2, 5)), uniform(3, 4, (6, 5))[:2])


def test_shapes_without_elements() -> None:
    assert uniform(0, 0, (0, 3)).shape == (0, 3)
    assert uniform(0, 0, ()).shape == ()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(KEYS, STREAMS)
def test_keys_and_streams_wrap_at_32_bits(key: int, stream: int) -> None:
    np.testing.assert_array_equal(uniform(key, stream, (3,)), uniform(key + 2**32, stream, (3,)))
    np.testing.assert_array_equal(uniform(key, stream, (3,)), uniform((key + stream * STREAM_STEP) % 2**32, 0, (3,)))


@pytest.mark.parametrize("start", [0, 2**31 - 50_000, 2**32 - 100_000])
def test_the_mixing_is_one_to_one(start: int) -> None:
    mixed = lowbias32(np.arange(start, start + 100_000, dtype=np.uint64).astype(np.uint32))
    assert np.unique(mixed).size == mixed.size


def test_the_mixing_flips_half_of_the_bits() -> None:
    """For each input bit, each output bit changes about half of the time."""
    random = np.random.default_rng(0)
    x = random.integers(0, 1 << 32, 20_000, dtype=np.uint64).astype(np.uint32)
    for bit in range(32):
        changed = lowbias32(x) ^ lowbias32(x ^ np.uint32(1 << bit))
        rates = [float(np.mean((changed >> np.uint32(place)) & np.uint32(1))) for place in range(32)]
        assert min(rates) > 0.4 and max(rates) < 0.6
