"""What is no array of numbers is told what it is, and is never read without end."""

from __future__ import annotations

import datetime
from collections import UserList, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rnnspec.runtime.data.columns import as_numbers
from rnnspec.runtime.data.not_numbers import CLASS_NAMES, TEXTS


class Batches:
    """Three batches, and no end for who doesn't ask for their number: a Keras PyDataset, a dataset of PyTorch."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        assert self.asked < 10, "read without end"
        return np.zeros((2, 4, 3)), np.zeros((2, 1))


class Endless(Sequence[Any]):
    """A sequence by name, whose items never end; it says that it has three."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: Any) -> Any:
        assert place < 10, "read without end"
        return float(place)


@dataclass
class Table:
    """What is looked at of a DataFrame."""

    columns: list[str]
    dtypes: list[Any]
    values: Any

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.array(self.values, dtype=object)


class Numeric:
    """A dtype as polars has it."""

    def __init__(self, numeric: bool) -> None:
        self._numeric = numeric

    def is_numeric(self) -> bool:
        return self._numeric

    def __str__(self) -> str:
        return "Date"


def numbers() -> Iterator[float]:
    while True:
        yield 1.0


def message(value: object, texts: str = TEXTS) -> str:
    with pytest.raises(ValueError) as raised:
        as_numbers(value, "x", texts)
    return str(raised.value)


@pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: [x], lambda x: (1.0, [x])], ids=["alone", "in a list", "in lists"])
def test_batches_are_not_read(wrapped: Any) -> None:
    batches = Batches()
    assert message(wrapped(batches)).startswith("x: expected numbers, got objects (Batches); what gives one batch after the other isn't")
    assert batches.asked == 0


def test_a_generator_is_not_read() -> None:
    generator = numbers()
    assert message(generator).startswith("x: expected numbers, got objects (generator); it isn't read: make an array")
    assert next(generator) == 1.0
    assert "objects (map); it isn't read" in message(map(float, [1, 2]))
    assert message({1: 2}) == "x: expected numbers, got objects (dict)"


@pytest.mark.parametrize("value", [deque([1.0, 2.0, 3.0]), UserList([1.0, 2.0, 3.0]), range(1, 4), memoryview(np.array([1.0, 2.0, 3.0]))])
def test_other_sequences_of_numbers_are_taken(value: object) -> None:
    np.testing.assert_array_equal(as_numbers(value, "x"), [1.0, 2.0, 3.0])


def test_a_sequence_is_as_long_as_it_says() -> None:
    np.testing.assert_array_equal(as_numbers(Endless(), "x"), [0.0, 1.0, 2.0])


def test_a_column_that_holds_no_numbers_is_named() -> None:
    date = datetime.date(2020, 1, 1)
    table = Table(["load", "date"], [np.dtype(float), np.dtype("datetime64[ns]")], [[1.0, date]])
    assert message(table) == ("x: expected numbers, got datetime64[ns] in column 'date': leave the column out, or make numbers of it")
    assert "got Date in column 'date'" in message(Table(["load", "date"], [Numeric(True), Numeric(False)], [[1.0, date]]))
    np.testing.assert_array_equal(as_numbers(np.zeros((2, 2)), "x"), 0.0)


OBJECTS: dict[str, tuple[Any, str]] = {
    "date": ([1.0, datetime.date(2020, 1, 1)], "datetime.date(2020, 1, 1) isn't a number: leave it out, or put a number in its place"),
    "nothing": ([1.0, None], "None isn't a number: leave it out, or put a number in its place"),
    "text": (np.array([1.0, "high"], object), f"'high' is a text: {TEXTS}"),
    "large": ([1.0, 10**400], "the number at place 1 is larger than 64 bits hold"),
    "numbers": (np.array([1, 2.0], object), "`np.asarray(x, float)` makes numbers of them"),
    "lists": (np.array([[1.0], [1.0, 2.0]], object), "arrays of different lengths go into a list"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_of_objects_the_cause_is_told(name: str) -> None:
    value, cause = OBJECTS[name]
    assert message(value) == f"x: expected numbers, got dtype object; {cause}"


def test_advice_is_for_data() -> None:
    """A mask, a gradient or a weight that is a text isn't a text to be encoded."""
    assert message("yes", "") == "x: expected numbers, got dtype <U3"
    assert message(["pos", "neg"], CLASS_NAMES).endswith("number for each target")
    assert message([[1, 2], [3]]) == "x: not an array: the lists in it have different lengths"


DATES, HOURS = np.array(["2020-01-01", "2020-01-03"], "datetime64[D]"), np.array([[3], [5]], "timedelta64[h]")


@pytest.mark.parametrize("x", [DATES, HOURS, list(DATES), list(HOURS), np.zeros(2, [("a", "f4"), ("b", "f4")])])
def test_advice_that_can_be_written_works(x: Any) -> None:
    import numpy.lib.recfunctions

    assert numpy.lib.recfunctions is not None
    (expression,) = message(x).partition("`")[2].split("`")[:1]
    assert as_numbers(eval(expression, {"np": np, "numpy": np, "x": x}), "x").dtype.kind == "f"
