"""A data set's columns: padding, places, and lists brought together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.runtime.data.columns import PaddedArray, RaggedArray, as_numbers, place, ragged
from rnnspec.runtime.data.sources import source_of


def column() -> RaggedArray:
    return ragged([np.array([1, 2]), np.array([], np.int64), np.array([3, 4, 5])], (), "x", "shape (time,)")


def test_a_list_becomes_one_array() -> None:
    joined = column()
    assert joined.flat.tolist() == [1, 2, 3, 4, 5]
    assert joined.lengths.tolist() == [2, 0, 3]
    assert joined.starts.tolist() == [0, 2, 2]
    assert (joined.samples, joined.longest) == (3, 3)


def test_dtypes_are_brought_together() -> None:
    assert ragged([np.ones((1, 2), np.float32), np.ones((2, 2))], (2,), "x", "").flat.dtype == np.float64
    assert ragged([np.ones(1, np.int8), np.ones(1, np.int32)], (), "x", "").flat.dtype == np.int32
    assert ragged([np.ones(1, np.int32), []], (), "x", "").flat.dtype == np.int32


def test_an_empty_list() -> None:
    empty = ragged([], (2,), "x", "")
    assert (empty.samples, empty.longest) == (0, 0)
    assert empty.padded(slice(None), 3).shape == (0, 3, 2)


def test_padding_takes_rows_in_any_order_and_as_often_as_asked() -> None:
    assert column().padded(np.array([2, 0, 2]), 4).tolist() == [[3, 4, 5, 0], [1, 2, 0, 0], [3, 4, 5, 0]]
    assert column().padded(slice(1, 3), 3).tolist() == [[0, 0, 0], [3, 4, 5]]
    assert column().padded(slice(0, 2), 2, np.array([True, True, False, False, False])).tolist() == [[True, True], [False, False]]
    assert column().grid(slice(None), 3).astype(int).tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]


def test_place() -> None:
    assert place(column(), (0,), sequence=True) == "sample 0, step 0"
    assert place(column(), (2,), sequence=True) == "sample 2, step 0"
    assert place(column(), (4, 7), sequence=True) == "sample 2, step 2, feature 7"
    assert place(PaddedArray(np.zeros((2, 3, 4)), borrowed=False), (1, 2, 3), sequence=True) == "sample 1, step 2, feature 3"
    assert place(PaddedArray(np.zeros((2, 3)), borrowed=False), (1, 2), sequence=False) == "sample 1, feature 2"


class Unconvertible:
    """What a tensor on another device does: `error` is what numpy gets from it."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise self.error("no array in here")


def test_as_numbers() -> None:
    x = np.zeros(3)
    assert as_numbers(x, "x") is x
    assert as_numbers(3, "x").shape == ()
    for value, message in (
        (Unconvertible(ValueError), "x: not an array: no array in here"),
        (Unconvertible(TypeError), "x: not an array: no array in here"),
        (Unconvertible(RuntimeError), "x: not an array: no array in here"),
        ([10**400], "x: expected numbers, got dtype object; the number at place 0 is larger than 64 bits hold"),
        (b"abc", "x: expected numbers, got dtype |S3"),
    ):
        with pytest.raises(ValueError) as raised:
            as_numbers(value, "x")
        assert str(raised.value) == message
    with pytest.raises(ValueError, match="x: not an array: "):
        as_numbers([[1, 2], [3]], "x")


class Foreign:
    """An array of another library: it has DLPack, and nothing else that numpy knows."""

    def __init__(self, values: np.ndarray[Any, Any], device: int = 1) -> None:
        self.values, self.device = values, device

    def __dlpack__(self, **settings: Any) -> Any:
        if self.device != 1:
            raise BufferError("it lies on another device")
        return self.values.__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


def test_arrays_by_dlpack_are_taken_without_a_copy() -> None:
    values = np.ones((2, 3), np.float32)
    found = as_numbers(Foreign(values), "x")
    assert np.shares_memory(found, values)
    assert source_of(Foreign(values)) is None
    assert ragged([Foreign(values), Foreign(values[:1])], (3,), "x", "steps").longest == 2


def test_an_array_by_dlpack_that_numpy_cannot_read_is_told() -> None:
    with pytest.raises(ValueError, match="x: Foreign can't be read by DLPack: it lies on another device"):
        as_numbers(Foreign(np.ones(3, np.float32), device=2), "x")
