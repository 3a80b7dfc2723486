"""Looks rows up in a product that is computed once, instead of multiplying the rows that were looked up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

from rnnspec.ir.builder import Builder, Names
from rnnspec.ir.inference import is_fixed
from rnnspec.ir.ops import Binary, BinaryKind, Broadcast, Constant, Function, Matmul, Module, Operation, Pack, Role, Take, Value
from rnnspec.ir.traverse import definitions, operands_of, results_of
from rnnspec.ir.types import TensorType
from rnnspec.passes.rewrite import rewrite_functions

BUDGET = 2**25
"""Numbers that all folded tables of a function may have: 128 MB of float32. 20,000 words and two times 512 columns need 82 MB."""

SUMS = (BinaryKind.ADD, BinaryKind.SUB)


@dataclass(frozen=True, slots=True)
class FoldTables:
    """`take(table, ids) @ weights` becomes `take(table @ weights, ids)`, and so do sums with rows of weights behind it.

    What is left before the `take` depends on weights alone, so it is computed once for a set of weights. Only where every
    id is checked to be a row of the table: for a missing one `take` gives zeros, and a sum of zeros isn't always zero.
    For inference: in training the table would be another one in every step.
    """

    name: ClassVar[str] = "fold-tables"
    budget: int = BUDGET

    def run(self, module: Module) -> Module:
        return rewrite_functions(module, lambda function: _Folding(function, self.budget).run())


@dataclass
class _Folding:
    """Of one function. `taken`: the values that are rows of a table of weights, and what they are looked up in and by."""

    function: Function
    left: int
    taken: dict[Value, tuple[Value, Value]] = field(default_factory=dict[Value, tuple[Value, Value]])
    products: set[Value] = field(default_factory=set[Value])

    def run(self) -> Function:
        self.builder = Builder(Names.of(self.function))
        self.defined = definitions(self.function.operations)
        self.fixed = _of_weights(self.function)
        for operation in self.function.operations:
            folded = self._folded(operation)
            self.builder.append(operation if folded is None else folded)
        return replace(self.function, operations=self.builder.operations)

    def _folded(self, operation: Operation) -> Take | None:
        """The `take` that gives what the operation gave; what it needs before it is appended."""
        match operation:
            case Take(result=result, table=table, ids=ids) if table in self.fixed and self._are_rows(ids):
                self.taken[result] = table, ids
                return None
            case Matmul(result=result, left=left, right=right) if (
                left in self.taken and right in self.fixed and not operation.transpose_left
            ):
                table, ids = self.taken[left]
                height, width = Builder.tensor(table).shape[0], Builder.tensor(result).shape[1]
                size = prod(extent for extent in (height, width) if isinstance(extent, int))
                if size > self.left:
                    return None
                self.left -= size
                product = self.builder.matmul(table, right, transpose_right=operation.transpose_right)
                return self._take(result, product, ids)
            case Binary(result=result, kind=kind, left=left, right=right) if kind in SUMS:
                return self._sum(result, kind, left, right)
            case _:
                return None

    def _sum(self, result: Value, kind: BinaryKind, left: Value, right: Value) -> Take | None:
        """Of a folded product and a row that is the same for all."""
        product = next((value for value in (left, right) if value in self.products), None)
        if product is None:
            return None
        table, ids = self.taken[product]
        sides: list[Value] = []
        for side in (left, right):
            row = self._same_row(side)
            if side is not product and row is None:
                return None
            sides.append(table if row is None else self.builder.broadcast(row, Builder.tensor(table).shape))
        return self._take(result, self.builder.binary(kind, sides[0], sides[1]), ids)

    def _same_row(self, value: Value) -> Value | None:
        """What of weights a value repeats for each row."""
        match self.defined.get(value):
            case Broadcast(operand=operand) if operand in self.fixed:
                return operand
            case _:
                return None

    def _take(self, result: Value, table: Value, ids: Value) -> Take:
        self.fixed.add(table)
        self.taken[result] = table, ids
        self.products.add(result)
        return Take(result, table, ids)

    def _are_rows(self, ids: Value) -> bool:
        """The user's ids are checked before native code; those that the runtime makes may be -1."""
        return isinstance(self.defined.get(ids), Pack) or any(parameter.value == ids for parameter in self.function.parameters)


def _of_weights(function: Function) -> set[Value]:
    """The values that are the same in every call with the same weights."""
    known = {parameter.value for parameter in function.parameters if parameter.role is Role.WEIGHT}
    for operation in function.operations:
        operands, results = operands_of(operation), results_of(operation)
        if known.issuperset(operands) and (operands or isinstance(operation, Constant)) and _fixed(results):
            known.update(results)
    return known


def _fixed(values: Collection[Value]) -> bool:
    return all(isinstance(value.type, TensorType) and is_fixed(value.type) for value in values)
