"""Inlines the step of every scan for calls in which each row has exactly one step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.ops import (
    Function,
    Index,
    Mask,
    Module,
    Operation,
    Pack,
    Parameter,
    RestoreRows,
    Role,
    Scan,
    SortRows,
    Unpack,
    Value,
    WindowMask,
)
from rnnspec.ir.traverse import defined_values, operands_of, rename, results_of, walk
from rnnspec.ir.types import BATCH, ROWS, Dim, IndexType, TensorType
from rnnspec.passes.rewrite import rewrite_functions


@frozen
class PromoteSingleStep:
    """For functions that are called with exactly one step in each row, a real one: a stream's, if its model masks nothing.

    Packing, sorting and what undoes them do nothing then: tokens and running rows are the rows of the batch, in their order,
    and a sequence is the matrix of its only steps. A function with other operations over an index, with residuals, or with steps that
    fall due only now and then, stays as it is.
    """

    name: ClassVar[str] = "promote-single-step"

    def run(self, module: Module) -> Module:
        """The module without scans, as far as its functions admit."""
        return rewrite_functions(module, _promoted)


def _promoted(function: Function) -> Function:
    if any(each.role in (Role.RESIDUAL, Role.DUE) for each in (*function.parameters, *function.results)):
        return function
    sequences = {parameter.value for parameter in function.parameters if _is_sequence(parameter)}
    sequences |= {operation.result for operation in function.operations if isinstance(operation, Unpack)}
    if not all(_is_promotable(operation, sequences) for operation in walk(function.operations)):
        return function
    types = [value.type for value in defined_values(function)]
    return _Promotion({ROWS, *(each.tokens for each in types if isinstance(each, IndexType))}).of(function)


def _is_sequence(parameter: Parameter) -> bool:
    return parameter.role is Role.INPUT and isinstance(parameter.value.type, TensorType) and parameter.value.type.rank == 3


def _is_promotable(operation: Operation, sequences: set[Value]) -> bool:
    match operation:
        case Scan():
            return not operation.sums
        case Index() | Pack() | Unpack() | SortRows() | RestoreRows():
            return True
        case Mask() | WindowMask():
            return False
        case _:
            return not any(isinstance(value.type, IndexType) or value in sequences for value in operands_of(operation))


@dataclass
class _Promotion:
    """Of one function. `rows`: the dimensions that are as long as the batch. `now`: what stands for each value."""

    rows: set[Dim]
    now: dict[Value, Value] = field(default_factory=dict[Value, Value])
    operations: list[Operation] = field(default_factory=list[Operation])

    def of(self, function: Function) -> Function:
        parameters = tuple(replace(each, value=self._parameter(each)) for each in function.parameters)
        for operation in function.operations:
            self._put(operation)
        results = tuple(replace(result, value=self.now[result.value]) for result in function.results)
        return replace(function, parameters=parameters, operations=tuple(self.operations), results=results)

    def _parameter(self, parameter: Parameter) -> Value:
        value = parameter.value
        if _is_sequence(parameter) and isinstance(value.type, TensorType):
            batch, _, width = value.type.shape
            self.now[value] = replace(value, type=value.type.with_shape((batch, width)))
        else:
            self.now[value] = value
        return self.now[value]

    def _put(self, operation: Operation) -> None:
        match operation:
            case Index():
                pass
            case Pack() | Unpack() | SortRows() | RestoreRows():
                self.now[operation.result] = self.now[operation.operand]
            case Scan(region=region):
                before = (*operation.inits, *operation.sequences)
                for inner, outer in zip((*region.carried, *region.slices), before, strict=True):
                    self.now[inner] = self.now[outer]
                for inner in region.operations:
                    self._put(inner)
                after = (*region.carries, *region.stacks)
                for outer, inner in zip((*operation.finals, *operation.stacks), after, strict=True):
                    self.now[outer] = self.now[inner]
            case _:
                for result in results_of(operation):
                    self.now[result] = self._with_rows(result)
                self.operations.append(rename(operation, self.now))

    def _with_rows(self, value: Value) -> Value:
        if not isinstance(value.type, TensorType):
            return value
        return replace(value, type=value.type.with_shape(tuple(BATCH if dim in self.rows else dim for dim in value.type.shape)))
