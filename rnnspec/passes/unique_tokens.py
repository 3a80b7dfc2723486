"""Deduplicates embedding look-ups for training: each distinct row of a batch is multiplied once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

from rnnspec.contract.dimensions import Tokens
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Matmul, Module, Take, Value
from rnnspec.ir.traverse import defined_values
from rnnspec.ir.types import IndexType
from rnnspec.locks import cached_property
from rnnspec.passes.commuted_takes import CommutedTakes
from rnnspec.passes.rewrite import rewrite_functions


@frozen
class UniqueTokens:
    """`take(table, ids) @ weights` becomes `take(take(table, distinct ids) @ weights, places)`, and so do sums with rows of weights.

    `places` says where each id stands among the distinct ones. `differentiate`, which follows, makes of it sums over equal
    ids first and products after. Whatever else needs the rows looks them up among those of the distinct ids too, so that a
    table's gradient stays one sum.
    """

    name: ClassVar[str] = "unique-tokens"

    def run(self, module: Module) -> Module:
        """The module with look-ups in products of distinct rows."""
        return rewrite_functions(module, lambda function: _Sharing(function).run())


@dataclass
class _Sharing(CommutedTakes):
    """`found`: for ids and a table's number of rows the distinct ids and the places. `multiplied`: what is multiplied row by row."""

    found: dict[tuple[Value, int], tuple[Value, Value]] = field(default_factory=dict[tuple[Value, int], tuple[Value, Value]])

    @cached_property
    def multiplied(self) -> frozenset[Value]:
        matmuls = (operation for operation in self.function.operations if isinstance(operation, Matmul))
        return frozenset(matmul.left for matmul in matmuls if self.multiplies_rows(matmul))

    @cached_property
    def unused(self) -> Iterator[Tokens]:
        """Tokens that no packing index of the function has."""
        taken = {value.type.tokens for value in defined_values(self.function) if isinstance(value.type, IndexType)}
        return (tokens for tokens in map(Tokens, count()) if tokens not in taken)

    def begin(self, take: Take) -> Take:
        rows = Builder.tensor(take.table).shape[0]
        if take.result not in self.multiplied or not isinstance(rows, int):
            return take
        key = take.ids, rows
        if key not in self.found:
            distinct = self.builder.distinct(take.ids, rows, next(self.unused))
            self.found[key] = self.builder.distinct_ids(distinct), self.builder.places(take.ids, distinct)
        ids, places = self.found[key]
        table = self.builder.take(take.table, ids)
        self.taken[take.result] = table, places
        return Take(take.result, table, places)
