"""Lengths that come from others, as text and as numbers."""

from __future__ import annotations

import pytest

from rnnspec.contract.dimensions import Length, every, is_sum, length_of, less, names_in, plus, shortfall


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
    assert names_in(length) == ("time",)


@pytest.mark.parametrize(
    ("length", "text", "names"),
    [
        (plus("time", "later"), "later+time", ("later", "time")),
        (plus("time", 3), "time+3", ("time",)),
        (less(plus("time", "later", 4), 5), "later+time-1", ("later", "time")),
        (plus(less("time", 2), less("later", 3), 5), "later+time", ("later", "time")),
        (plus("time", "time"), "time+time", ("time",)),
        (plus(every(less("time", 2), 2), less("later", 1)), "ceil((time-2)/2)+later-1", ("time", "later")),
        (every(plus("time", "later"), 2), "ceil((later+time)/2)", ("later", "time")),
        (every(every(plus("time", every("later", 3)), 2), 2), "ceil((ceil(later/3)+time)/4)", ("later", "time")),
        (plus(every("time", 2), every("later", 2)), "ceil(later/2)+ceil(time/2)", ("later", "time")),
        (plus(3, 4), 7, ()),
    ],
)
def test_sums_of_lengths(length: Length, text: Length, names: tuple[str, ...]) -> None:
    assert length == text
    assert names_in(length) == names


def test_what_needs_brackets() -> None:
    assert [is_sum(length) for length in (7, "time", "ceil((time-2)/2)", "ceil(later/2)+ceil(time/2)", "time-2")] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_sums_mean_what_the_numbers_do() -> None:
    for time in range(2, 9):
        for later in range(1, 7):
            known = {"time": time, "later": later}
            text = plus(every(less(plus("time", "later", 4), 5), 2), less("later", 1), every("time", 3))
            assert length_of(text, known) == plus(every(time + later - 1, 2), later - 1, every(time, 3))


def test_texts_mean_what_the_numbers_do() -> None:
    for steps in range(1, 20):
        for first, second, stride, other in ((0, 1, 1, 2), (2, 3, 2, 3), (1, 0, 3, 1)):
            text = every(less(every(less("time", first), stride), second), other)
            assert length_of(text, {"time": steps}) == every(less(every(less(steps, first), stride), second), other)


def test_fixed_lengths_come_from_nothing() -> None:
    assert (less(7, 2), every(7, 2), names_in(7), shortfall(7, {})) == (5, 4, (), 0)
    assert length_of("7", {}) == 7
    with pytest.raises(KeyError, match="words"):
        length_of("words-1", {"time": 3})


@pytest.mark.parametrize(("length", "least"), [("time-2", 3), ("ceil((time-2)/2)", 3), ("ceil((time-2)/2)-1", 5)])
def test_a_window_says_what_it_lacks(length: str, least: int) -> None:
    assert shortfall(length, {"time": least - 1}) == least
    assert shortfall(length, {"time": least}) == 0
    assert shortfall("ceil(time/2)", {"time": 0}) == 0


def test_a_window_over_a_join_says_what_its_first_length_lacks() -> None:
    assert shortfall("later+time-4", {"later": 1, "time": 2}) == 3
    assert shortfall("later+time-4", {"later": 3, "time": 2}) == 0
    assert shortfall("later+time", {"later": 0, "time": 0}) == 0
