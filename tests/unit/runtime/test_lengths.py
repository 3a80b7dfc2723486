"""Lengths that come from others, as text and as numbers."""

from __future__ import annotations

import pytest

from rnnspec.runtime.lengths import Length, every, length_of, less, name_in, shortfall


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (less("time", 2), "time-2"),
        (less(less("time", 2), 3), "time-5"),
        (less("time", 0), "time"),
        (every("time", 1), "time"),
        (every("time", 2), "ceil(time/2)"),
        (every(every("time", 2), 3), "ceil(time/6)"),
        (every(less("time", 2), 2), "ceil((time-2)/2)"),
        (less(every(less("time", 2), 2), 3), "ceil((time-2)/2)-3"),
        (every(less(every("time", 2), 3), 2), "ceil((ceil(time/2)-3)/2)"),
    ],
)
def test_equal_lengths_have_equal_texts(length: Length, text: str) -> None:
    assert length == text
    assert name_in(length) == "time"


def test_texts_mean_what_the_numbers_do() -> None:
    for steps in range(1, 20):
        for first, second, stride, other in ((0, 1, 1, 2), (2, 3, 2, 3), (1, 0, 3, 1)):
            text = every(less(every(less("time", first), stride), second), other)
            assert length_of(text, {"time": steps}) == every(less(every(less(steps, first), stride), second), other)


def test_fixed_lengths_come_from_nothing() -> None:
    assert (less(7, 2), every(7, 2), name_in(7), shortfall(7, {})) == (5, 4, None, 0)
    assert length_of("7", {}) == 7
    with pytest.raises(KeyError, match="words"):
        length_of("words-1", {"time": 3})


@pytest.mark.parametrize(("length", "least"), [("time-2", 3), ("ceil((time-2)/2)", 3), ("ceil((time-2)/2)-1", 5)])
def test_a_window_says_what_it_lacks(length: str, least: int) -> None:
    assert shortfall(length, {"time": least - 1}) == least
    assert shortfall(length, {"time": least}) == 0
    assert shortfall("ceil(time/2)", {"time": 0}) == 0
