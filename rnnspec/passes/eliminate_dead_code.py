"""Dead code elimination, inside scans too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function, Module, Operation, Region, Scan, Value
from rnnspec.ir.traverse import operands_of, results_of
from rnnspec.passes.rewrite import rewrite_functions

T = TypeVar("T")


@frozen
class EliminateDeadCode:
    """Drops operations without a use, and from scans: unread stacks, sums and sequences, and carried
    values that nothing reads but their own update. A function's parameters and results stay.
    """

    name: ClassVar[str] = "eliminate-dead-code"
    keep_carried: bool = False
    """Every carried value of a scan that stays, too."""

    def run(self, module: Module) -> Module:
        """The module without unused operations."""
        return rewrite_functions(module, lambda function: _function(function, self.keep_carried))


def _function(function: Function, keep_carried: bool) -> Function:
    live = {result.value for result in function.results}
    kept: list[Operation] = []
    for operation in reversed(function.operations):
        if live.isdisjoint(results_of(operation)):
            continue
        current = _scan(operation, live, keep_carried) if isinstance(operation, Scan) else operation
        live.update(operands_of(current))
        kept.append(current)
    return replace(function, operations=tuple(reversed(kept)))


def _scan(scan: Scan, live: set[Value], keep_carried: bool) -> Scan:
    region = scan.region
    stacks = [result in live for result in scan.stacks]
    sums = [result in live for result in scan.sums]
    needed = {*_keep(region.stacks, stacks), *_keep(region.sums, sums)}
    carried = [keep_carried or result in live for result in scan.finals]
    while True:
        inside = _region_uses(region, needed | set(_keep(region.carries, carried)))
        wider = [keep or parameter in inside for keep, parameter in zip(carried, region.carried, strict=True)]
        if wider == carried:
            break
        carried = wider
    slices = [parameter in inside for parameter in region.slices]
    return replace(
        scan,
        finals=_keep(scan.finals, carried),
        stacks=_keep(scan.stacks, stacks),
        sums=_keep(scan.sums, sums),
        inits=_keep(scan.inits, carried),
        sequences=_keep(scan.sequences, slices),
        region=Region(
            carried=_keep(region.carried, carried),
            slices=_keep(region.slices, slices),
            operations=tuple(operation for operation in region.operations if not inside.isdisjoint(results_of(operation))),
            carries=_keep(region.carries, carried),
            stacks=_keep(region.stacks, stacks),
            sums=_keep(region.sums, sums),
        ),
    )


def _region_uses(region: Region, yielded: Iterable[Value]) -> set[Value]:
    """Every value that `yielded` is made of."""
    live = set(yielded)
    for operation in reversed(region.operations):
        if not live.isdisjoint(results_of(operation)):
            live.update(operands_of(operation))
    return live


def _keep(values: Sequence[T], kept: Sequence[bool]) -> tuple[T, ...]:
    return tuple(value for value, keep in zip(values, kept, strict=True) if keep)
