"""Reassociates a scan step's sums, so that what doesn't depend on the state is added first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Binary, Concat, Operation, Region, Split, Value
from rnnspec.ir.traverse import definitions, location_of, operands_of, results_of, use_counts, yields_of


def regroup_sums(
    region: Region, state: frozenset[Value], uniform: frozenset[Value], hoisted: frozenset[Value], names: Names
) -> tuple[Region, frozenset[Value]]:
    """The region with `(h + s) + t` as `(h + t) + s` wherever h is hoisted, t doesn't depend on the state and s does; the new sums.

    `state`: the values that depend on the state. `uniform`: those that are the same for every token.
    """
    uses = use_counts(region.operations) + Counter(yields_of(region))
    terms = _Terms(region, definitions(region.operations), state, uniform, hoisted, uses, _made_of_parts(region, hoisted))
    plans, dropped = terms.plans()
    builder = Builder(names)
    early_sums: set[Value] = set()
    for operation in region.operations:
        result = results_of(operation)[0]
        if isinstance(operation, Binary) and result in plans:
            with builder.at(location_of(operation)):
                early_sums |= _append_sum(builder, operation, *plans[result])
        elif result not in dropped:
            builder.append(operation)
    return replace(region, operations=builder.operations), frozenset(early_sums)


def _append_sum(builder: Builder, whole: Binary, early: list[Value], late: list[Value]) -> set[Value]:
    """Appends ((early + early) + late) + late, the last under the name of `whole`; the sums of early terms."""
    total, sums = early[0], set[Value]()
    for term in early[1:]:
        total = builder.add(total, term)
        sums.add(total)
    for term in late[:-1]:
        total = builder.add(total, term)
    builder.append(replace(whole, left=total, right=late[-1]))
    return sums


def _made_of_parts(region: Region, hoisted: frozenset[Value]) -> frozenset[Value]:
    """The values of a region that come from a split or a concatenation in it."""
    made: set[Value] = set()
    for operation in region.operations:
        if isinstance(operation, Split | Concat) or not made.isdisjoint(operands_of(operation)):
            made.update(result for result in results_of(operation) if result not in hoisted)
    return frozenset(made)


@frozen
class _Terms:
    """The terms of the sums of a region, and where each of them is known."""

    region: Region
    defined: Mapping[Value, Operation]
    state: frozenset[Value]
    uniform: frozenset[Value]
    hoisted: frozenset[Value]
    uses: Mapping[Value, int]
    made_of_parts: frozenset[Value]

    def plans(self) -> tuple[dict[Value, tuple[list[Value], list[Value]]], set[Value]]:
        """The early and late terms of each sum to be regrouped, and the partial sums that go away."""
        plans: dict[Value, tuple[list[Value], list[Value]]] = {}
        inner: set[Value] = set()
        dropped: set[Value] = set()
        for operation in reversed(self.region.operations):
            whole = self._sum(results_of(operation)[0])
            if whole is None or whole.result in inner:
                continue
            terms, partial = self._flattened(whole)
            inner |= partial
            early = [term for term in terms if self._is_movable(term)]
            if len(early) > 1 and not self.hoisted.isdisjoint(early):
                moved = frozenset(early)
                plans[whole.result] = (early, [term for term in terms if term not in moved])
                dropped |= partial
        return plans, dropped

    def _sum(self, value: Value) -> Binary | None:
        """The addition that makes `value`, if it depends on the state."""
        match self.defined.get(value):
            case Binary(kind=kind) as operation if kind.is_sum and value in self.state:
                return operation
            case _:
                return None

    def _flattened(self, whole: Binary) -> tuple[list[Value], set[Value]]:
        """The terms of a sum, first to last, and the partial sums that nothing else reads."""
        terms: list[Value] = []
        partial: set[Value] = set()
        pending = [whole.right, whole.left]
        while pending:
            operand = pending.pop()
            inner = self._sum(operand) if self.uses[operand] == 1 else None
            if inner is None:
                terms.append(operand)
            else:
                partial.add(operand)
                pending += (inner.right, inner.left)
        return terms, partial

    def _is_movable(self, term: Value) -> bool:
        """Parts of a split stay in the loop: the whole is hoisted at once and stays together in memory."""
        if term in self.state:
            return False
        if term in self.hoisted or term in self.uniform or term in self.region.slices:
            return True
        return self.uses[term] == 1 and term not in self.made_of_parts
