"""The numbers of sizes in native code, from those of the names that they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.dimensions import AtLeastZero, CeilDiv, Dim, Name, Size, Steps, Sum, Tokens


@dataclass
class SizeValues:
    """i64 registers of sizes, each computed where it is first asked for. `known`: those of names, tokens and steps."""

    writer: FunctionWriter
    known: dict[Size, str]

    def of(self, dim: Dim) -> str:
        """The register of a dimension, or its number; KeyError for a name that isn't known."""
        if isinstance(dim, int):
            return str(dim)
        if dim not in self.known:
            self.known[dim] = self._computed(dim)
        return self.known[dim]

    def _computed(self, size: Size) -> str:
        writer = self.writer
        match size:
            case Name() | Tokens() | Steps():
                raise KeyError(size)
            case CeilDiv():  # sdiv rounds towards zero, which is upwards below it
                dividend = self.of(size.dividend)
                added = writer.assign(f"select i1 {self._is_positive(dividend)}, i64 {size.divisor - 1}, i64 0")
                return writer.assign(f"sdiv i64 {writer.add(dividend, added)}, {size.divisor}")
            case AtLeastZero():
                inner = self.of(size.size)
                return writer.assign(f"select i1 {self._is_positive(inner)}, i64 {inner}, i64 0")
            case Sum():
                total = "0"
                for factors, coefficient in size.terms:
                    product = self.of(factors[0]) if factors else str(coefficient)
                    for factor in factors[1:]:
                        product = writer.multiply(product, self.of(factor))
                    total = writer.add(total, writer.multiply(product, coefficient) if factors else product)
                return total
        assert_never(size)

    def _is_positive(self, number: str) -> str:
        return self.writer.assign(f"icmp sgt i64 {number}, 0")
