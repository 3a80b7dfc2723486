"""The element type in which inference keeps the matrices that it multiplies by, and the tables that it looks up."""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias, get_args

StorageName: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]

STORAGE_NAMES: tuple[StorageName, ...] = get_args(StorageName)


class WeightStorage(Enum):
    """The elements of packed matrices, and of tables of embeddings, which are widened in registers: sums are the model's own float32.

    What is neither, a bias, say, stays as it is.
    """

    FULL = "float32"
    """The model's own."""
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    """Whole numbers from -127 to 127, with a scale for each column of a matrix, and for each row of a table."""


def checked_storage(value: object, dtype: str) -> WeightStorage:
    """The storage of that name for a model of a dtype; ValueError for another name, and for one that a float64 model can't have."""
    if value == dtype:
        return WeightStorage.FULL
    if value not in STORAGE_NAMES:
        raise ValueError(f"weights: expected {', '.join(STORAGE_NAMES[:-1])} or {STORAGE_NAMES[-1]}, got {value!r}")
    if dtype != "float32":
        raise ValueError(f"weights: {value} is for models of float32, this one is of {dtype}")
    return WeightStorage(value)
