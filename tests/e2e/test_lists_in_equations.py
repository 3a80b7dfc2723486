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

    metric above_sorted(levels = [0.7, -1, 0.2], also = 0.5) {
        return total(where(prediction > concat(sort(levels), sort(also)), 1, 0)) / total(1)
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


def test_a_sorted_list_is_a_constant_row_in_rising_order() -> None:
    np.testing.assert_array_equal(value("above_sorted"), [1.0, 0.75, 0.25, 0.5])


def test_thresholds_of_an_area_come_in_any_order() -> None:
    """Keras's AUC sorts them, too; its other metrics give one number for each, in their order."""
    model = rnnspec.compile("model M { input p: float[1] Activation(linear) }", dtype="float64")
    native, truth = model._executable, np.array([[0.0], [1.0], [0.0], [1.0]])  # pyright: ignore[reportPrivateUsage]

    def of(name: str, *thresholds: float) -> Array:
        return of_rows(native, Config(name, (("thresholds", thresholds),)), PREDICTION, truth, np.ones(len(PREDICTION)))

    np.testing.assert_allclose(of("auc", 0.2, 0.5, 0.8), [0.75])
    np.testing.assert_array_equal(of("auc", 0.8, 0.2, 0.5), of("auc", 0.2, 0.5, 0.8))
    np.testing.assert_array_equal(of("precision", 0.8, 0.2, 0.5), of("precision", 0.2, 0.5, 0.8)[[2, 0, 1]])


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("sort(prediction)", "`prediction` isn't known when the spec is compiled"),
        ("sort([0.5, true])", "`sort` needs a list of numbers"),
        ("sort(none)", "`sort` needs a list of numbers"),
        ("sort([1], [2])", "takes 1 value, got 2"),
    ],
)
def test_only_a_constant_list_of_numbers_is_sorted(equation: str, message: str) -> None:
    own = f"metric own() {{ return total(sum({equation})) }}"
    with pytest.raises(rnnspec.SpecError) as caught:
        rnnspec.compile(f"{own} model M {{ input p: float[1] Dense(1) train {{ loss = mse\n metrics = [own()] }} }}")
    assert message in str(caught.value)


def test_what_is_no_list_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^metric above: `levels` expects a number or a list of numbers"):
        value("above", levels=("a",))  # pyright: ignore[reportArgumentType]
