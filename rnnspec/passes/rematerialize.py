"""Rematerialization: what `@backward` needs of a scan's steps is computed there again, instead of being kept by `@forward`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.inference import is_fixed
from rnnspec.ir.names import Names
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Function,
    Matmul,
    Module,
    Operation,
    Parameter,
    Positions,
    Random,
    Reduce,
    Result,
    Role,
    Scan,
    Select,
    Split,
    Unary,
    Value,
)
from rnnspec.ir.traverse import defined_by, definitions, operands_of, rename, results_of
from rnnspec.ir.types import TensorType
from rnnspec.passes.eliminate_common_subexpressions import EliminateCommonSubexpressions
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode


@frozen
class Rematerialize:
    """Moves the values of steps from `@forward`'s residuals into `@backward`, which computes them again.

    `checkpoint`: of all scans of `@forward`, here and there, see `Scan`; 0 leaves the module as it is. What is computed again are the
    residuals over the tokens of a scan that are made row by row, or by the scan itself. Their own operands that aren't made so, such as the
    packed input, are kept instead.
    """

    name: ClassVar[str] = "rematerialize"
    checkpoint: int = 32

    def run(self, module: Module) -> Module:
        """The module with the scans of `@forward` in `@backward`, if it has one."""
        names = [function.name for function in module.functions]
        if not self.checkpoint or "forward" not in names or "backward" not in names:
            return module
        forward, backward = _Moving(module.function("forward"), module.function("backward"), self.checkpoint).functions()
        moved = {"forward": forward, "backward": backward}
        changed = replace(module, functions=tuple(moved.get(function.name, function) for function in module.functions))
        return EliminateDeadCode().run(EliminateCommonSubexpressions().run(changed))


class _Moving:
    """The move of one pair of functions. Values of `@forward` are followed back from the residuals to what has to be kept."""

    def __init__(self, forward: Function, backward: Function, checkpoint: int) -> None:
        self._forward, self._backward, self._checkpoint = forward, backward, checkpoint
        self._defined_by = definitions(forward.operations)
        self._tokens = {index_type(each.index.type).tokens for each in forward.operations if isinstance(each, Scan)}
        self._ends = self._ends_of_layers()
        self._names = Names.of(backward)
        self._body = Builder(self._names)
        self._parameters = {(parameter.role, parameter.value.name): parameter.value for parameter in backward.parameters}
        self._added: list[Parameter] = []
        self._kept: list[Result] = []
        self._known: dict[Value, Value] = {}

    def functions(self) -> tuple[Function, Function]:
        """`@forward` with other residuals, and `@backward`."""
        residuals = [result for result in self._forward.results if result.role is Role.RESIDUAL]
        again = [result for result in residuals if self._is_made_of_steps(result.value) and result.value not in self._ends]
        wanted = {result.value: self._parameters[Role.RESIDUAL, result.name] for result in again}
        self._known = {result.value: self._parameters[Role.RESIDUAL, result.name] for result in residuals if result not in again}
        self._copy(wanted)
        gone = set(wanted.values())
        parameters = [parameter for parameter in self._backward.parameters if parameter.value not in gone]
        first = next((place for place, parameter in enumerate(parameters) if parameter.role is not Role.RESIDUAL), len(parameters))
        parameters[first:first] = self._added
        results = [result for result in self._forward.results if result not in again]
        operations = tuple(self._in_segments(operation) for operation in self._forward.operations)
        return (
            replace(self._forward, results=(*results, *self._kept), operations=operations),
            replace(self._backward, parameters=tuple(parameters), operations=(*self._body.operations, *self._backward.operations)),
        )

    def _ends_of_layers(self) -> set[Value]:
        """Where scans walk in both directions, or start from where others end: the stacks that others read.

        They can't go on side by side with those, segment by segment, and so are run for their own gradient alone.
        """
        scans = [operation for operation in self._forward.operations if isinstance(operation, Scan)]
        ends = {result for scan in scans for result in results_of(scan)}
        if len({scan.reverse for scan in scans}) < 2 and not any(ends & self._ancestors(scan.inits) for scan in scans):
            return set()
        read = {operand for operation in self._forward.operations for operand in operands_of(operation)}
        return {stack for scan in scans for stack in scan.stacks if stack in read}

    def _ancestors(self, values: Iterable[Value]) -> set[Value]:
        """What values are made of, and they themselves."""
        found: set[Value] = set()
        pending = list(values)
        while pending:
            value = pending.pop()
            if value not in found:
                found.add(value)
                pending.extend(operands_of(self._defined_by[value]) if value in self._defined_by else ())
        return found

    def _in_segments(self, operation: Operation) -> Operation:
        return replace(operation, checkpoint=self._checkpoint) if isinstance(operation, Scan) else operation

    def _is_made_of_steps(self, value: Value) -> bool:
        """Whether a value is over the tokens of a scan, and made by it or row by row."""
        operation = self._defined_by.get(value)
        is_over = isinstance(value.type, TensorType) and value.type.shape[:1] and value.type.shape[0] in self._tokens
        return operation is not None and bool(is_over) and _is_by_rows(operation)

    def _copy(self, wanted: dict[Value, Value]) -> None:
        """Copies all that makes `wanted`, whose results are to be the values beside them."""
        needed = self._needed(wanted)
        for operation in self._forward.operations:
            if needed.isdisjoint(results_of(operation)):
                continue
            for operand in operands_of(operation):
                if operand not in self._known:
                    self._keep(operand)
            naming = {value: self._fresh(value) for value in defined_by((operation,))}
            naming |= {result: wanted[result] for result in results_of(operation) if result in wanted}
            self._body.append(self._in_segments(rename(operation, {**self._known, **naming})))
            # Behind its last step a scan is kept, not waited for: who reads it there may run before this one.
            made = operation.stacks if isinstance(operation, Scan) else results_of(operation)
            self._known |= {result: naming[result] for result in made if result not in self._ends}

    def _needed(self, wanted: dict[Value, Value]) -> set[Value]:
        """The values to be made again: `wanted`, and what they are made of as far as that can be."""
        needed: set[Value] = set()
        pending = list(wanted)
        while pending:
            value = pending.pop()
            operation = self._defined_by.get(value)
            if value in needed or value in self._known or value in self._ends or operation is None:
                continue
            if self._is_made_of_steps(value) or isinstance(operation, Constant) or _is_of_weights(value, operation):
                needed.update(results_of(operation))
                pending.extend(operands_of(operation))
        return needed

    def _keep(self, value: Value) -> None:
        """Makes a value of `@forward` known in `@backward`: as the same weight or key, or as a residual."""
        parameter = next((each for each in self._forward.parameters if each.value == value), None)
        if parameter is not None and parameter.role in (Role.WEIGHT, Role.KEY):
            known = self._parameters.get((parameter.role, value.name))
            if known is None:
                known = self._fresh(value)
                self._added.append(Parameter(parameter.role, known))
        else:
            known = self._fresh(value)
            self._added.append(Parameter(Role.RESIDUAL, known))
            self._kept.append(Result(Role.RESIDUAL, known.name, value))
        self._known[value] = known

    def _fresh(self, value: Value) -> Value:
        return replace(value, name=self._names.fresh(value.name))


def _is_by_rows(operation: Operation) -> bool:
    """Whether a result's row is made of the operands' rows at the same place, or by a scan."""
    match operation:
        case Scan() | Constant() | Positions() | Unary() | Binary() | Compare() | Select() | Broadcast() | Concat() | Split() | Random():
            return True
        case Matmul():
            return not operation.transpose_left
        case Reduce():
            return operation.axis == 1
        case _:
            return False


def _is_of_weights(value: Value, operation: Operation) -> bool:
    """Whether a value has a fixed shape, and so is made of weights alone."""
    return isinstance(value.type, TensorType) and is_fixed(value.type) and not isinstance(operation, Scan)
