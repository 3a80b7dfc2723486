"""Canonicalization: brings operations into their simplest equal form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function, Module, Operation, Scan, Value
from rnnspec.ir.traverse import replace_operands, results_of, with_operations
from rnnspec.passes.rewrite import rewrite_functions
from rnnspec.passes.simplify import simplify


@frozen
class Canonicalize:
    """Applies the rules of `rnnspec.passes.simplify` until none applies.

    Results are equal bit for bit but for two stated liberties: `x + 0` becomes x (the sign of a
    zero may change), and constants are folded in float64.
    """

    name: ClassVar[str] = "canonicalize"

    def run(self, module: Module) -> Module:
        """The module with each function simplified in one walk."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    rewriter = _Rewriter({}, {})
    operations = rewriter.operations(function.operations)
    results = tuple(replace(result, value=rewriter.renamed.get(result.value, result.value)) for result in function.results)
    return replace(function, operations=operations, results=results)


@frozen
class _Rewriter:
    """The rewriting of one function.

    `defined`: the operation behind each value so far. `renamed`: values and their replacements. A single walk is enough: rules look at
    operands only, which are in simplest form by then.
    """

    defined: dict[Value, Operation]
    renamed: dict[Value, Value]

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        kept: list[Operation] = []
        for operation in operations:
            current = replace_operands(operation, self.renamed)
            if isinstance(current, Scan):
                body = self.operations(current.region.operations)
                current = replace(current, region=with_operations(current.region, body, self.renamed))
            while True:
                simpler = simplify(current, self.defined)
                if simpler is None:
                    kept.append(current)
                    self.defined.update((result, current) for result in results_of(current))
                    break
                if isinstance(simpler, tuple):
                    self.renamed.update(zip(results_of(current), simpler, strict=True))
                    break
                current = simpler
        return tuple(kept)
