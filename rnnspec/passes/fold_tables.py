"""Folds the weights behind an embedding into its table for inference."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Module, Take, Value
from rnnspec.passes.commuted_takes import CommutedTakes
from rnnspec.passes.rewrite import rewrite_functions

BUDGET = 2**25
"""Numbers that all folded tables of a function may have: 128 MB of float32. 20,000 words and two times 512 columns need 82 MB."""


@frozen
class FoldTables:
    """`take(table, ids) @ weights` becomes `take(table @ weights, ids)`, and so do sums with rows of weights behind it.

    What is left before the `take` depends on weights alone, so it is computed once for a set of weights. Only where every
    id is checked to be a row of the table: for a missing one `take` gives zeros, and a sum of zeros isn't always zero.
    For inference: in training the table would be another one in every step.
    """

    name: ClassVar[str] = "fold-tables"
    budget: int = BUDGET

    def run(self, module: Module) -> Module:
        """The module with look-ups in products of tables, as far as the budget allows."""
        return rewrite_functions(module, lambda function: _Folding(function, left=self.budget).run())


@dataclass
class _Folding(CommutedTakes):
    """The rewriting of one function. `left`: the rest of the budget."""

    left: int = BUDGET

    def begin(self, take: Take) -> Take:
        self.taken[take.result] = take.table, take.ids
        return take

    def admits(self, table: Value, width: int) -> bool:
        size = width * prod(extent for extent in Builder.tensor(table).shape[:1] if isinstance(extent, int))
        if size > self.left:
            return False
        self.left -= size
        return True
