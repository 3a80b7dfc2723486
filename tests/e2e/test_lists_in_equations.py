"""Lists of numbers in equations: constant rows, whose width and elements are known when the spec is compiled."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.signature import Config
from tests.row_equations import Array, of_rows

METRICS = """
    metric above(levels = [0.25, 0.5]) {
        return total(where(prediction > levels * 2 - levels, 1, 0)) / total(1)
    }

    metric above_either(low = 0.25, high = 0.5) {
        return total(where(prediction > concat(low, high), 1, 0)) / total(1)
    }

    metric above_one(levels = none) {
        when levels == none {
            return total(where(prediction > 0.5, 1, 0))
        } else {
            return total(where(prediction > levels[width(levels) - 1], 1, 0))
        }
    }
"""
PREDICTION = np.array([[0.1], [0.3], [0.6], [0.9]])


def value(name: str, **arguments: float | tuple[float, ...] | None) -> Array:
    model = rnnspec.compile(f"{METRICS} model M {{ input p: float[1] Activation(linear) }}", dtype="float64")
    native = model._executable  # pyright: ignore[reportPrivateUsage]
    return of_rows(native, Config(name, tuple(arguments.items())), PREDICTION, PREDICTION, np.ones(len(PREDICTION)))


def test_a_list_is_a_row() -> None:
    np.testing.assert_array_equal(value("above"), [0.75, 0.5])
    np.testing.assert_array_equal(value("above", levels=(0.0, 0.2, 0.7)), [1.0, 0.75, 0.25])


@pytest.mark.parametrize(("levels", "count"), [(None, 2.0), ((0.0, 0.2), 3.0), (0.7, 1.0)])
def test_a_list_isnt_none_and_a_number_is_a_list_of_one(levels: float | tuple[float, ...] | None, count: float) -> None:
    np.testing.assert_array_equal(value("above_one", levels=levels), [count])


def test_numbers_one_after_the_other_are_a_row() -> None:
    np.testing.assert_array_equal(value("above_either"), value("above"))


def test_what_is_no_list_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="metric above: `levels` of above expects a number or a list of numbers"):
        value("above", levels=("a",))  # pyright: ignore[reportArgumentType]
