"""Types of the tensor IR: element types, symbolic dimensions, tensors and packing indices."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from rnnspec.contract.dimensions import BATCH as BATCH
from rnnspec.contract.dimensions import ROWS as ROWS
from rnnspec.contract.dimensions import TOKENS as TOKENS
from rnnspec.contract.dimensions import Dim as Dim
from rnnspec.frozen import frozen


class DType(Enum):
    """An element type; the value is its spelling in the printed IR."""

    F32 = "f32"
    F64 = "f64"
    I32 = "i32"
    I1 = "i1"

    @property
    def is_float(self) -> bool:
        """Whether arithmetic and derivatives are defined for it."""
        return self in (DType.F32, DType.F64)


@frozen
class TensorType:
    """Elements of one type over a shape; a shape of `()` is a scalar."""

    dtype: DType
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        """The number of dimensions; 0 for a scalar."""
        return len(self.shape)

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        """The same element type over another shape."""
        return TensorType(self.dtype, shape)

    def __str__(self) -> str:
        return f"{self.dtype.value}[{', '.join(str(dim) for dim in self.shape)}]"


@frozen
class IndexType:
    """The packing of a mask over `batch` rows and `time` steps into `tokens` real steps.

    Rows are sorted by their number of real steps, longest first (stable). The k-th real steps of
    all rows that have one lie together, in sorted row order, for k = 0, 1, ...: token `offset[k] + r`
    is the k-th real step of sorted row r.
    """

    batch: Dim
    time: Dim
    tokens: Dim

    def __str__(self) -> str:
        return f"index[{self.batch}, {self.time}, {self.tokens}]"


Type: TypeAlias = TensorType | IndexType
