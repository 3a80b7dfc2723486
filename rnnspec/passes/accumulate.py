"""Fuses sums with the product they add to, which fixes the order of addition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Function,
    Matmul,
    Module,
    Operation,
    Reshape,
    Scan,
    Select,
    Split,
    Unary,
    Value,
)
from rnnspec.ir.traverse import function_use_counts, fused_locations, located, operands_of, results_of
from rnnspec.passes.commuted_takes import of_weights
from rnnspec.passes.rewrite import rewrite_functions


@frozen
class Accumulate:
    """`s + a @ b`, where nothing else reads the product, becomes a product that starts from s.

    This says in which order a sum of floats is added: a kernel adds to the start, product after product, and without a start it
    adds up the product first. It is decided where a stream and a whole sequence are still one text, so both add in one order,
    whatever the kernels of either put together. A sum with a product of the same left side stays: those two are one contraction.
    """

    name: ClassVar[str] = "accumulate"
    only: str | None = None
    """The name of the one function whose sums aren't settled yet; None for all."""

    def run(self, module: Module) -> Module:
        """The module with sums as starts of products."""
        return rewrite_functions(module, lambda function: _function(function) if self.only in (None, function.name) else function)


def _function(function: Function) -> Function:
    walk = _Walk(function_use_counts(function), of_weights(function))
    return replace(function, operations=walk.operations(function.operations))


@frozen
class _Walk:
    """`weights`: the values that are computed once for a set of weights."""

    uses: Mapping[Value, int]
    weights: Collection[Value]

    def operations(self, operations: Iterable[Operation]) -> tuple[Operation, ...]:
        """Of a function's body, or of a region: nothing in it starts a product that is made outside."""
        kept: list[Operation] = []
        products: dict[Value, Matmul] = {}
        multiplied: dict[Value, frozenset[Value]] = {}
        gone: set[Value] = set()
        for operation in operations:
            current = operation
            match operation:
                case Scan():
                    region = operation.region
                    current = replace(operation, region=replace(region, operations=self.operations(region.operations)))
                case Binary(kind=kind) if kind.is_sum:
                    for value, other in ((operation.right, operation.left), (operation.left, operation.right)):
                        product = products.get(value)
                        if product is not None and self._starts(product, other, multiplied.get(other, NOTHING)):
                            current = located(replace(product, result=operation.result, init=other), fused_locations(product, operation))
                            gone.add(value)
                            break
                case Matmul(result=result, transpose_left=False, init=None):
                    products[result] = operation
                case _:
                    pass
            multiplied |= dict.fromkeys(results_of(current), _multiplied(current, multiplied))
            kept.append(current)
        return tuple(operation for operation in kept if gone.isdisjoint(results_of(operation)))

    def _starts(self, product: Matmul, other: Value, multiplied: Collection[Value]) -> bool:
        """Not if the product would be made anew in each call where it was made once."""
        prepared = product.result in self.weights and other not in self.weights
        return self.uses[product.result] == 1 and product.left not in multiplied and not prepared


NOTHING: frozenset[Value] = frozenset()


def _multiplied(operation: Operation, before: Mapping[Value, frozenset[Value]]) -> frozenset[Value]:
    """The left sides of the products that an operation's results are made of, element by element."""
    match operation:
        case Matmul(left=left, init=init):
            found = NOTHING if init is None else before.get(init, NOTHING)
            return found | {left}
        case Unary() | Binary() | Compare() | Select() | Broadcast() | Reshape() | Split() | Concat():
            return NOTHING.union(*(before.get(operand, NOTHING) for operand in operands_of(operation)))
        case _:
            return NOTHING
