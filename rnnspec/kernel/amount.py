"""Sizes of a call as linear expressions: sums of named sizes, each with a factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SizeExpr:
    """A linear expression: the sum of `terms`, pairs of a size's name ("" for 1) and a factor other than 0, sorted."""

    terms: tuple[tuple[str, int], ...] = ()

    @staticmethod
    def of(rows: int | str) -> SizeExpr:
        """A fixed number, or the size of that name."""
        return SizeExpr.total([("", rows) if isinstance(rows, int) else (rows, 1)])

    @staticmethod
    def total(terms: Iterable[tuple[str, int]]) -> SizeExpr:
        """The sum of terms, in which a name may be repeated."""
        factors: dict[str, int] = {}
        for name, factor in terms:
            factors[name] = factors.get(name, 0) + factor
        return SizeExpr(tuple(sorted((name, factor) for name, factor in factors.items() if factor)))

    def __add__(self, other: SizeExpr) -> SizeExpr:
        return SizeExpr.total((*self.terms, *other.terms))

    def __mul__(self, factor: int) -> SizeExpr:
        return SizeExpr.total((name, each * factor) for name, each in self.terms)

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number for a call's sizes."""
        return sum(factor * (sizes[name] if name else 1) for name, factor in self.terms)

    def __str__(self) -> str:
        return " + ".join(f"{factor} {name}".rstrip() for name, factor in self.terms) or "0"


NONE = SizeExpr()
