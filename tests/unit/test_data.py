"""Windows and splits, against loops written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.data import split, windows
from rnnspec.diagnostics import ClassWarning

SERIES = np.arange(60.0).reshape(20, 3)


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("rate", [1, 2])
def test_windows_are_what_a_loop_gives(length: int, horizon: int, stride: int, rate: int) -> None:
    x, y = windows(SERIES, length, horizon=horizon, stride=stride, sampling_rate=rate, targets=SERIES[:, 1])
    begins = [begin for begin in range(0, 20, stride) if begin + (length + horizon - 1) * rate < 20]
    expected = [[SERIES[begin + step * rate] for step in range(length)] for begin in begins]
    following = [[SERIES[begin + (length + step) * rate, 1] for step in range(horizon)] for begin in begins]
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, following)
    assert np.shares_memory(x, SERIES) and np.shares_memory(y, SERIES)
    assert not x.flags.writeable and not y.flags.writeable


def test_a_series_of_one_axis_and_targets_of_several() -> None:
    x, y = windows(np.arange(7), 3)
    assert (x.shape, y.shape) == ((4, 3, 1), (4, 1))
    _, y = windows(SERIES, 5, horizon=2)
    assert y.shape == (14, 2, 3)


WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "short": ((SERIES[:5], 4), {"horizon": 2}, "series: expected at least 6 steps, for 4 in a window and 2 after it, got 5"),
    "axes": ((np.zeros((2, 3, 4)), 1), {}, r"series: expected shape \(time,\) or \(time, features\), got \(2, 3, 4\)"),
    "texts": ((["a", "b"], 1), {}, "series: expected numbers"),
    "length": ((SERIES, 0), {}, "length: expected a whole number of at least 1, got 0"),
    "horizon": ((SERIES, 1), {"horizon": 1.5}, "horizon: expected a whole number"),
    "stride": ((SERIES, 1), {"stride": -1}, "stride: expected a whole number"),
    "targets": ((SERIES, 1), {"targets": np.zeros(3)}, "targets: expected the 20 steps of the series, got 3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_windows_that_cannot_be(name: str) -> None:
    given, settings, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        windows(*given, **settings)


def test_a_split_keeps_what_belongs_together() -> None:
    x, y, lists = np.arange(50), np.arange(50) * 2.0, [np.full(n % 3 + 1, n) for n in range(50)]
    for first, second in (split(x, lists, y, fraction=0.3, seed=1), split(x, lists, y, fraction=0.3, shuffle=False)):
        assert len(first[0]) == 35 and len(second[0]) == 15
        for xs, pieces, ys in (first, second):
            np.testing.assert_array_equal(xs * 2, ys)
            assert [piece[0] for piece in pieces] == xs.tolist()
        assert sorted((*first[0], *second[0])) == list(range(50))
    assert second[0].base is x
    np.testing.assert_array_equal(second[0], range(35, 50))


def test_shares_of_classes() -> None:
    y = np.array(["a"] * 40 + ["b"] * 10 + ["c"] * 2)
    (_, train), (_, test) = split(np.zeros(52), y, fraction=0.2, stratify=True, seed=0)
    assert [np.sum(test == each) for each in "abc"] == [8, 2, 1] and len(train) == 41


def test_classes_that_a_part_lacks_are_told() -> None:
    y = np.repeat([0, 1, 2], 10)
    with pytest.warns(ClassWarning, match=r"class 2 is in the second part \(100% of its samples\) and not in the first part"):
        split(np.zeros(30), y, fraction=1 / 3, shuffle=False)


BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "none": ((), {}, "data: expected arrays or lists"),
    "lengths": ((np.zeros(3), np.zeros(4)), {}, "expected the same number of samples in each, got 3, 4"),
    "number": ((np.zeros(3), 1), {}, "expected the same number of samples"),
    "fraction": ((np.zeros(3),), {"fraction": 1.0}, "fraction: expected a number above 0 and below 1, got 1.0"),
    "few": ((np.zeros(3),), {"fraction": 0.1}, "0.1 of 3 samples leaves a part without any"),
    "no classes": ((np.zeros(9), np.zeros(9)), {"stratify": True}, "stratify: the last of the data isn't classes"),
    "single": ((np.zeros(3), np.array([0, 0, 1])), {"stratify": True}, "stratify: class 1 has a single sample"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_split_that_cannot_be(name: str) -> None:
    given, settings, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        split(*given, **settings)
