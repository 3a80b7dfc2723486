"""How fused loops are divided into tiles: asked while they are made, answered by the kind of machine that they are made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rnnspec.contract.dimensions import Dim
from rnnspec.ir.types import DType
from rnnspec.kernel.nodes import Contract, Statement
from rnnspec.kernel.target import Element, Target, Tile


class Tiling(Protocol):
    """The tiles of one target's fused loops."""

    @property
    def target(self) -> Target:
        """The machine that tiles are chosen for."""
        ...

    def contraction(self, sums: int, units: int, dtype: DType, panels: Element) -> Tile:
        """Of a loop that has so many sums under way for each of its units, and reads weights of elements `panels`."""
        ...

    def beside_weights(
        self, tile: Tile, contracts: Sequence[Contract], sums: int, rows: Dim, units: int, dtype: DType, panels: Element
    ) -> Tile:
        """That tile, now that the contractions over `rows` rows are known, for what they read, of elements `panels`; its
        `rows` and `vectors` stay."""
        ...

    def pointwise(self, units: int, body: Sequence[Statement], dtype: DType) -> Tile:
        """Of a loop without a contraction."""
        ...
