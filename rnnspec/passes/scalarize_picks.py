"""Scalarization of picks: what is computed of a row to take one element of it is computed of that element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.names import Names
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Constant,
    Function,
    Module,
    Operation,
    Scan,
    Select,
    Unary,
    Value,
)
from rnnspec.ir.traverse import location_of, operands_of, replace_operands, results_of, with_operations
from rnnspec.ir.types import DType, TensorType
from rnnspec.passes.picks import Pick, are_positions, is_of_rows, number_of, pick_of
from rnnspec.passes.rewrite import rewrite_functions

DEEPEST = 32
"""The most operations that are computed of the element instead of the row."""


@frozen
class ScalarizePicks:
    """`pick(f(x))` becomes `f(pick(x))`, for elementwise operations on one row and on numbers that all of its units share.

    A row that is such a number, or the units' own places, isn't picked from at all. A class that the row hasn't gives 0, as before.
    Results are equal bit for bit, but the sign of a zero that is picked may change.
    """

    name: ClassVar[str] = "scalarize-picks"

    def run(self, module: Module) -> Module:
        """The module with its picks before what is elementwise. What nothing reads any longer stays, for the elimination of dead code."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    rewriter = _Rewriter(Names.of(function))
    operations = rewriter.operations(function.operations)
    results = tuple(replace(result, value=rewriter.renamed.get(result.value, result.value)) for result in function.results)
    return replace(function, operations=operations, results=results)


@frozen
class _Source:
    """Where a row's elements come from: the row that must be picked from, or None if there isn't one; how many operations lie between."""

    row: Value | None
    depth: int = 0


@dataclass
class _Rewriter:
    """The rewriting of one function. `sources`: of rows that aren't their own; `flags`: rows of i1 that come from several others."""

    names: Names
    defined: dict[Value, Operation] = field(default_factory=dict[Value, Operation])
    sources: dict[Value, _Source] = field(default_factory=dict[Value, _Source])
    flags: set[Value] = field(default_factory=set[Value])
    renamed: dict[Value, Value] = field(default_factory=dict[Value, Value])

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        builder = Builder(self.names)
        for operation in operations:
            current = replace_operands(operation, self.renamed)
            if isinstance(current, Scan):
                body = self.operations(current.region.operations)
                current = replace(current, region=with_operations(current.region, body, self.renamed))
            pick = pick_of(current, self.defined)
            if pick is not None and self._source(pick.row).row != pick.row:
                with builder.at(location_of(current)):
                    self.renamed[results_of(current)[0]] = self._scalar(pick, results_of(current)[0], builder)
            else:
                builder.append(current)
                self._learn(current)
        return builder.operations

    def _source(self, row: Value) -> _Source:
        return self.sources.get(row, _Source(row))

    def _learn(self, operation: Operation) -> None:
        self.defined.update((result, operation) for result in results_of(operation))
        match operation:
            case Constant(result) | Broadcast(result):
                if is_of_rows(result, self.defined) or are_positions(result, self.defined):
                    self.sources[result] = _Source(None)
            case Unary(result) | Binary(result) | Compare(result) | Select(result):
                of = [self._source(operand) for operand in operands_of(operation)]
                rows = {source.row for source in of if source.row is not None}
                depth = 1 + max(source.depth for source in of)
                if len(rows) < 2 and depth <= DEEPEST and self.flags.isdisjoint(rows):
                    self.sources[result] = _Source(next(iter(rows), None), depth)
                elif Builder.tensor(result).dtype is DType.I1:
                    self.flags.add(result)
            case _:
                pass

    def _scalar(self, pick: Pick, total: Value, builder: Builder) -> Value:
        """The element of the row, of the type of `total`."""
        (width,) = Builder.tensor(pick.row).shape[-1:]
        assert isinstance(width, int)
        number, source = number_of(pick.number, self.defined), self._source(pick.row).row
        type_ = Builder.tensor(total)
        if number is not None:
            if number not in range(width):
                return builder.constant(0.0, type_)
            return _Element(pick, type_, source, builder.constant(number, type_), self.defined, builder).of(pick.row)
        place = builder.stop_gradient(_of_rows(pick.number, type_, self.defined, builder))
        zero = builder.constant(0.0, type_)
        whole = builder.equal(builder.floor(place), place)
        below = builder.less(place, builder.constant(float(width), type_))
        inside = builder.and_(whole, builder.and_(builder.greater_equal(place, zero), below))
        # A class that isn't inside counts as 0, so that gradients stay finite that are multiplied by 0.
        near = builder.select(inside, place, zero)
        return builder.select(inside, _Element(pick, type_, source, near, self.defined, builder).of(pick.row), zero)


@dataclass
class _Element:
    """One pick's elements of rows, each made once. `total`: the pick's type; `place`: the number of the unit that it picks."""

    pick: Pick
    total: TensorType
    source: Value | None
    place: Value
    defined: dict[Value, Operation]
    b: Builder
    made: dict[Value, Value] = field(default_factory=dict[Value, Value])

    def of(self, row: Value) -> Value:
        if row not in self.made:
            self.made[row] = self._of(row)
        return self.made[row]

    def _of(self, row: Value) -> Value:
        b, type_ = self.b, replace(self.total, dtype=Builder.tensor(row).dtype)
        if row == self.source:
            return b.reduce_sum(b.select(self.pick.flags, row, self.pick.zeros), len(type_.shape) - 1)
        match self.defined[row]:
            case Broadcast() if are_positions(row, self.defined):
                return self.place
            case Constant() | Broadcast():
                return _of_rows(row, type_, self.defined, b)
            case Unary(_, kind, operand):
                return b.unary(kind, self.of(operand))
            case Binary(_, kind, left, right):
                return b.binary(kind, self.of(left), self.of(right))
            case Compare(_, kind, left, right):
                return b.compare(kind, self.of(left), self.of(right))
            case Select(_, condition, on_true, on_false):
                return b.select(self.of(condition), self.of(on_true), self.of(on_false))
            case operation:
                raise InternalError(f"%{row.name} isn't elementwise: {operation}")


def _of_rows(value: Value, type_: TensorType, defined: dict[Value, Operation], builder: Builder) -> Value:
    """A number that all units of a row share, of width 1."""
    match defined[value]:
        case Constant(_, number):
            return builder.constant(number, type_)
        case Broadcast(_, operand):
            return builder.broadcast_to(operand, type_.shape)
        case operation:
            raise InternalError(f"%{value.name} isn't a number for each row: {operation}")
