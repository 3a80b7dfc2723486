"""Logarithms of softmax, sigmoid and the like in forms that neither overflow nor vanish."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Binary, Function, Module, Operation, Scan, Unary, UnaryKind, Value
from rnnspec.ir.traverse import location_of, replace_operands, results_of, with_operations
from rnnspec.passes.logarithms import Logarithms, LogarithmWriter
from rnnspec.passes.rewrite import rewrite_functions


@frozen
class SimplifyLogarithms:
    """Takes logarithms apart by the rules of `rnnspec.passes.logarithms`: a crossentropy has neither a division nor a logarithm a class.

    And a row of shares, numbers that aren't negative divided by their sum, isn't divided by its sum again, which is 1 up to its
    rounding: so a crossentropy that scales what it is given is one of logits behind a softmax.

    Values and gradients are equal in real numbers. They differ by rounding, and where an exponential overflowed, or vanished, the new
    form has the number that the old one had lost.
    """

    name: ClassVar[str] = "simplify-logarithms"

    def run(self, module: Module) -> Module:
        """The module with its logarithms taken apart. What nothing reads any longer stays, for the elimination of dead code."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    rewriter = _Rewriter(Names.of(function), Logarithms(), {})
    operations = rewriter.operations(function.operations)
    results = tuple(replace(result, value=rewriter.renamed.get(result.value, result.value)) for result in function.results)
    return replace(function, operations=operations, results=results)


@frozen
class _Rewriter:
    """The rewriting of one function; `renamed`: values and their replacements."""

    names: Names
    known: Logarithms
    renamed: dict[Value, Value]

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        builder = Builder(self.names)
        writer = LogarithmWriter(self.known, builder)
        for operation in operations:
            current = replace_operands(operation, self.renamed)
            if isinstance(current, Scan):
                body = self.operations(current.region.operations)
                current = replace(current, region=with_operations(current.region, body, self.renamed))
            instead = self._instead(current, writer)
            if instead is None:
                builder.append(current)
                self.known.learn(current)
            else:
                self.renamed[results_of(current)[0]] = instead
        return builder.operations

    def _instead(self, operation: Operation, writer: LogarithmWriter) -> Value | None:
        """What an operation's result is equal to, if there is something simpler."""
        match operation:
            case Unary(_, UnaryKind.LOG, operand) if self.known.has_form(operand):
                before = len(writer.b.operations)
                with writer.b.at(location_of(operation)):
                    made = writer.log(operand)
                for each in writer.b.operations[before:]:
                    self.known.learn(each)
                return made
            case Binary() if self.known.is_divided_again(operation):
                return operation.left
            case _:
                return None
