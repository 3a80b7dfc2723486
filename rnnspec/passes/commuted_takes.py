"""Commuting a gather with a matrix product: rows are looked up in the product instead of multiplied after the look-up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import BinaryKind, Linearity
from rnnspec.ir.inference import is_fixed
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Binary, Broadcast, Constant, Function, Matmul, Operation, Pack, Positions, Role, Take, Value
from rnnspec.ir.traverse import definitions, location_of, operands_of, results_of
from rnnspec.ir.types import TensorType


@dataclass
class CommutedTakes(ABC):
    """Rewrites `take(table, ids) @ weights` to `take(table @ weights, ids)` in one function, and sums with rows of weights behind it.

    `taken`: for each value whose rows are a table's, the table and the ids; at first those that a subclass puts there in `begin`.
    """

    function: Function
    taken: dict[Value, tuple[Value, Value]] = field(default_factory=dict[Value, tuple[Value, Value]])
    products: set[Value] = field(default_factory=set[Value])

    def run(self) -> Function:
        """The rewritten function."""
        self.builder = Builder(Names.of(self.function))
        self.defined = definitions(self.function.operations)
        self.fixed = of_weights(self.function)
        for operation in self.function.operations:
            with self.builder.at(location_of(operation)):
                commuted = self._commuted(operation)
            self.builder.append(operation if commuted is None else commuted)
        return replace(self.function, operations=self.builder.operations)

    @abstractmethod
    def begin(self, take: Take) -> Take:
        """The replacement of a look-up of checked ids in a table of weights; adds values that may commute to `taken`."""

    def admits(self, table: Value, width: int) -> bool:
        """Whether multiplying a whole table by weights of that many columns is worth it."""
        return True

    def _commuted(self, operation: Operation) -> Take | None:
        """The `take` that replaces the operation; its operands are appended to the builder. None if the operation stays."""
        match operation:
            case Take(table=table, ids=ids) if table in self.fixed and self._are_rows(ids):
                return self.begin(operation)
            case Matmul(result=result, left=left) if left in self.taken and self.multiplies_rows(operation):
                table, ids = self.taken[left]
                width = Builder.tensor(result).shape[1]
                if not isinstance(width, int) or not self.admits(table, width):
                    return None
                return self._take(result, self.builder.matmul(table, operation.right, transpose_right=operation.transpose_right), ids)
            case Binary(result=result, kind=kind, left=left, right=right) if kind.row.linear is Linearity.TOGETHER:
                return self._sum(result, kind, left, right)
            case _:
                return None

    def multiplies_rows(self, operation: Matmul) -> bool:
        """Whether each row of the left side is multiplied by the same weights."""
        return operation.right in self.fixed and not operation.transpose_left

    def _sum(self, result: Value, kind: BinaryKind, left: Value, right: Value) -> Take | None:
        """The `take` that replaces a sum of a product with a row of weights; None if the operation is no such sum."""
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
        """The row of weights that a value repeats for all its rows; None if it doesn't."""
        match self.defined.get(value):
            case Broadcast(operand=operand) if operand in self.fixed:
                return operand
            case _:
                return None

    def _take(self, result: Value, table: Value, ids: Value) -> Take:
        self.taken[result] = table, ids
        self.products.add(result)
        return Take(result, table, ids)

    def _are_rows(self, ids: Value) -> bool:
        """The user's ids are checked before native code; those that the runtime makes may be -1."""
        return isinstance(self.defined.get(ids), Pack) or any(parameter.value == ids for parameter in self.function.parameters)


def of_weights(function: Function) -> set[Value]:
    """The values that depend on weights alone, the same in every call with the same weights."""
    known = {parameter.value for parameter in function.parameters if parameter.role is Role.WEIGHT}
    for operation in function.operations:
        operands, results = operands_of(operation), results_of(operation)
        if known.issuperset(operands) and (operands or isinstance(operation, Constant | Positions)) and _fixed(results):
            known.update(results)
    return known


def _fixed(values: Collection[Value]) -> bool:
    return all(isinstance(value.type, TensorType) and is_fixed(value.type) for value in values)
