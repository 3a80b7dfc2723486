"""Merges carried values, slices and stacks of a scan that are always equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Constant, Function, Module, Scan, Value
from rnnspec.ir.traverse import definitions, replace_in_region, use_counts
from rnnspec.passes.rewrite import rewrite_functions, rewrite_scans


@frozen
class MergeCarries:
    """Carried values with equal inits and one yielded value are one carried value, if the step reads one of them at most;
    slices of one sequence are one slice; stacks of one value are one stack. The first stays.

    A layer's held output is carried beside its state; where the cell returns that state and both
    start from zeros, this makes them one. Of two that the step reads, their sums would become another's: a stream, which may
    not merge them, would add in another order.
    """

    name: ClassVar[str] = "merge-carries"

    def run(self, module: Module) -> Module:
        """The module with each scan's duplicates merged."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    constants = {value: operation.value for value, operation in definitions(function.operations).items() if isinstance(operation, Constant)}
    return rewrite_scans(function, partial(_scan, constants))


def _scan(constants: Mapping[Value, float], builder: Builder, scan: Scan) -> Mapping[Value, Value]:
    region = scan.region
    carried = _first_places(_carried_keys(constants, scan))
    slices = _first_places(scan.sequences)
    stacks = _first_places(region.stacks)
    inside = _merged(region.carried, carried) | _merged(region.slices, slices)
    outside = _merged(scan.finals, carried) | _merged(scan.stacks, stacks)
    region = replace_in_region(region, inside)
    region = replace(
        region,
        carried=_firsts(region.carried, carried),
        slices=_firsts(region.slices, slices),
        carries=_firsts(region.carries, carried),
        stacks=_firsts(region.stacks, stacks),
    )
    builder.append(
        replace(
            scan,
            finals=_firsts(scan.finals, carried),
            stacks=_firsts(scan.stacks, stacks),
            inits=_firsts(scan.inits, carried),
            sequences=_firsts(scan.sequences, slices),
            region=region,
        )
    )
    return outside


def _carried_keys(constants: Mapping[Value, float], scan: Scan) -> list[Hashable]:
    """Of those that the step reads, each has one of its own; what it doesn't read may be the first of them.

    Carried values that yield themselves stay apart unless their inits agree, so the yielded value is a fair part of it.
    """
    reads = use_counts(scan.region.operations)
    seen: Counter[Hashable] = Counter()
    keys: list[Hashable] = []
    for parameter, init, value in zip(scan.region.carried, scan.inits, scan.region.carries, strict=True):
        equal = _init_key(init, constants), value
        keys.append((equal, seen[equal] if reads[parameter] else 0))
        seen[equal] += reads[parameter] > 0
    return keys


def _init_key(init: Value, constants: Mapping[Value, float]) -> Hashable:
    return (init.type, repr(constants[init])) if init in constants else init


def _first_places(keys: Sequence[Hashable]) -> list[int]:
    """The index of the first equal key, for each key."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(key, place) for place, key in enumerate(keys)]


def _merged(values: Sequence[Value], places: Sequence[int]) -> dict[Value, Value]:
    return {value: values[place] for value, place in zip(values, places, strict=True) if values[place] != value}


def _firsts(values: Sequence[Value], places: Sequence[int]) -> tuple[Value, ...]:
    return tuple(value for number, (value, place) in enumerate(zip(values, places, strict=True)) if number == place)
