"""The adjoint of a scan: a scan over the same steps in the other direction.

A row enters it at its last real step with the adjoint of its finals, and leaves it after its first
with the adjoint of its inits, which is what `Scan` means by inits and finals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TypeAlias

from rnnspec.frozen import frozen
from rnnspec.ir import inference
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Operation, Region, Scan, Value
from rnnspec.ir.traverse import free_values, location_of, operands_of, parameters_of, results_of
from rnnspec.ir.types import ROWS, TensorType
from rnnspec.passes.adjoints import Adjoints
from rnnspec.passes.residuals import choose_residuals, size_of

Binding: TypeAlias = tuple[Value, Value]
"""A value of the enclosing function, and the one that stands for it in the step."""


def reverse_scan(scan: Scan, adjoints: Adjoints, active: Collection[Value], body: Builder) -> Scan:
    """Emits the backward scan into `body` if a derivative flows through `scan`; the scan, stacking what that one needs.

    Reads the adjoints of the scan's results; adds those of its inits, its sequences and the values
    that its region uses.
    """
    if not any(result in active for result in results_of(scan)):
        return scan
    with body.at(location_of(scan)):
        return _reversed(scan, adjoints, active, body)


def _reversed(scan: Scan, adjoints: Adjoints, active: Collection[Value], body: Builder) -> Scan:
    region = scan.region
    step = Builder(body.names)
    step.location = body.location
    inner = Adjoints(step, active)
    ends = zip(scan.inits, region.carried, scan.finals, strict=True)
    walked = [place for place, (_, before, final) in enumerate(ends) if before in active or final in active]
    carried = _enter_finals(scan, walked, adjoints, inner, body)
    shown = _enter_stacks(scan, adjoints, inner, body)
    for operation in reversed(region.operations):
        with step.at(location_of(operation)):
            inner.propagate(operation)
    carries = [inner.total(region.carried[place]) or step.constant_like(0.0, region.carried[place]) for place in walked]
    stacks = _reached(inner, zip(scan.sequences, region.slices, strict=True))
    sums = _reached(inner, ((value, value) for value in free_values(region)))
    read = {value for operation in step.operations for value in operands_of(operation)}
    kept = _keep(scan, read.union(carries, (value for _, value in (*stacks, *sums))), body)
    reversed_region = Region(
        carried=tuple(value for _, value in (*carried, *kept.constants)),
        slices=tuple(value for _, value in (*kept.sequences, *shown)),
        operations=(*kept.recomputed, *step.operations),
        carries=(*carries, *(value for _, value in kept.constants)),
        stacks=tuple(value for _, value in stacks),
        sums=tuple(value for _, value in sums),
    )
    reversed_scan = Scan(
        finals=tuple(body.value(init.type) for init, _ in (*carried, *kept.constants)),
        stacks=tuple(
            replace(body.value(_over_tokens(value, scan), f"d_{sequence.name}"), location=value.location) for sequence, value in stacks
        ),
        sums=tuple(replace(body.value(value.type, f"d_{owner.name}"), location=value.location) for owner, value in sums),
        index=scan.index,
        inits=tuple(init for init, _ in (*carried, *kept.constants)),
        sequences=tuple(sequence for sequence, _ in (*kept.sequences, *shown)),
        region=reversed_region,
        reverse=not scan.reverse,
    )
    if results_of(reversed_scan):
        body.append(reversed_scan)
    for place, final in zip(walked, reversed_scan.finals[: len(walked)], strict=True):
        adjoints.add(scan.inits[place], final)
    for (owner, _), adjoint in zip((*stacks, *sums), reversed_scan.stacks + reversed_scan.sums, strict=True):
        adjoints.add(owner, adjoint)
    return kept.scan


def _enter_finals(scan: Scan, walked: Iterable[int], adjoints: Adjoints, inner: Adjoints, body: Builder) -> list[Binding]:
    """The adjoints of the carried values after the step, those at `walked`, starting from the finals'."""
    carried: list[Binding] = []
    for place in walked:
        before, after = scan.region.carried[place], scan.region.carries[place]
        init = adjoints.total(scan.finals[place]) or body.constant_like(0.0, scan.inits[place])
        adjoint = body.value(after.type, f"d_{before.name}")
        inner.add(after, adjoint)
        carried.append((init, adjoint))
    return carried


def _enter_stacks(scan: Scan, adjoints: Adjoints, inner: Adjoints, body: Builder) -> list[Binding]:
    """The adjoints of the stacked values, as slices; those of summed values are the same at every step."""
    shown: list[Binding] = []
    for stack, value in zip(scan.stacks, scan.region.stacks, strict=True):
        total = adjoints.total(stack)
        if total is not None:
            adjoint = body.value(value.type, f"d_{stack.name}")
            inner.add(value, adjoint)
            shown.append((total, adjoint))
    for outer, value in zip(scan.sums, scan.region.sums, strict=True):
        total = adjoints.total(outer)
        if total is not None:
            inner.add(value, total)
    return shown


def _reached(inner: Adjoints, pairs: Iterable[Binding]) -> list[Binding]:
    """Of values outside and in the step: those outside whose counterpart has an adjoint, with it."""
    found = ((owner, inner.total(value)) for owner, value in pairs)
    return [(owner, adjoint) for owner, adjoint in found if adjoint is not None]


@frozen
class _Kept:
    """How the backward step gets at values of the forward step.

    `scan`: the forward scan, stacking what it didn't. `constants`: carried values that no step
    changes, from their inits. `sequences`: values stacked or walked by the forward scan, as slices.
    """

    scan: Scan
    constants: tuple[Binding, ...]
    sequences: tuple[Binding, ...]
    recomputed: tuple[Operation, ...]


def _keep(scan: Scan, read: Collection[Value], body: Builder) -> _Kept:
    """`read`: what the backward step reads, values of its own among it."""
    region = scan.region
    constants = {before: init for before, after, init in zip(region.carried, region.carries, scan.inits, strict=True) if before == after}
    walked = dict(zip(region.slices, scan.sequences, strict=True)) | dict(zip(region.stacks, scan.stacks, strict=True))

    def cost(value: Value) -> int | None:
        """Bytes written and read: what the forward scan has in memory anyway is only read."""
        if value in constants:
            return 1
        size = size_of(Builder.tensor(value))
        if value in walked:
            return size or 1
        return None if size is None or inference.is_fixed(Builder.tensor(value)) else 2 * size

    own = (*parameters_of(region), *(result for operation in region.operations for result in results_of(operation)))
    residuals = choose_residuals(parameters_of(region), region.operations, [value for value in own if value in read], cost)
    stacked = [value for value in residuals.saved if value not in constants and value not in walked]
    new = {value: replace(body.value(_over_tokens(value, scan), f"{value.name}_steps"), location=value.location) for value in stacked}
    walked |= new
    return _Kept(
        replace(scan, stacks=(*scan.stacks, *new.values()), region=replace(region, stacks=(*region.stacks, *new))),
        tuple((constants[value], value) for value in residuals.saved if value in constants),
        tuple((walked[value], value) for value in residuals.saved if value not in constants),
        residuals.recomputed,
    )


def _over_tokens(value: Value, scan: Scan) -> TensorType:
    """The type of a step's value stacked: [rows, w] to [tokens, w]."""
    return inference.step_of(value.type, ROWS, inference.index(scan.index.type).tokens, f"%{value.name}")
