"""Uniform access to operations: results, operands, free values of regions, substitution, walking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rnnspec.contract.location import Location, fused
from rnnspec.diagnostics import InternalError
from rnnspec.ir.fields import LAYOUTS
from rnnspec.ir.ops import Function, Operation, Region, Scan, Split
from rnnspec.ir.values import Value


def results_of(operation: Operation) -> tuple[Value, ...]:
    """The results in printed order; a scan's are its finals, stacks and sums."""
    match operation:
        case Split():
            return operation.results
        case Scan():
            return operation.finals + operation.stacks + operation.sums
        case _:
            return (operation.result,)


def with_results(operation: Operation, results: tuple[Value, ...]) -> Operation:
    """The same operation with other results, as many as before."""
    if len(results) != len(results_of(operation)):
        raise InternalError(f"{len(results)} results for an operation with {len(results_of(operation))}")
    match operation:
        case Split():
            return replace(operation, results=results)
        case Scan():
            finals, stacks = len(operation.finals), len(operation.stacks)
            return replace(operation, finals=results[:finals], stacks=results[finals : finals + stacks], sums=results[finals + stacks :])
        case _:
            return replace(operation, result=results[0])


def location_of(operation: Operation) -> Location:
    """The lines of the spec that an operation comes from."""
    return fused(result.location for result in results_of(operation))


def fused_locations(*operations: Operation) -> Location:
    """The common location of several operations that are replaced by one."""
    return fused(location_of(operation) for operation in operations)


def located(operation: Operation, location: Location) -> Operation:
    """The same operation, come from other lines."""
    return with_results(operation, tuple(replace(result, location=location) for result in results_of(operation)))


def operands_of(operation: Operation) -> tuple[Value, ...]:
    """The values an operation reads; a scan's are its index, inits, sequences and its region's free values."""
    layout = LAYOUTS[type(operation)]
    values = [getattr(operation, field) for field in layout.operands]
    for field in layout.listed:
        values += getattr(operation, field)
    values += [value for field in layout.optional if (value := getattr(operation, field)) is not None]
    if isinstance(operation, Scan):
        values += free_values(operation.region)
    return tuple(values)


def yields_of(region: Region) -> tuple[Value, ...]:
    """The values that a region hands back, in printed order: carries, stacks, sums."""
    return region.carries + region.stacks + region.sums


def parameters_of(region: Region) -> tuple[Value, ...]:
    """The values that a region gets each step: the carried ones, then the slices."""
    return region.carried + region.slices


def free_values(region: Region) -> tuple[Value, ...]:
    """Values of the enclosing function that a region uses, each once, in order of first use."""
    defined = set(parameters_of(region))
    free: dict[Value, None] = {}
    for operation in region.operations:
        free.update((value, None) for value in operands_of(operation) if value not in defined)
        defined.update(results_of(operation))
    free.update((value, None) for value in yields_of(region) if value not in defined)
    return tuple(free)


def substitute(values: tuple[Value, ...], mapping: Mapping[Value, Value]) -> tuple[Value, ...]:
    """The values, each replaced if `mapping` has it."""
    return tuple(mapping.get(value, value) for value in values)


def replace_operands(operation: Operation, mapping: Mapping[Value, Value]) -> Operation:
    """The operation reading `mapping[v]` wherever it read v, inside its region too; results stay."""
    layout = LAYOUTS[type(operation)]
    held = {field: getattr(operation, field) for field in (*layout.operands, *layout.optional)}
    changed: dict[str, Any] = {field: mapping[value] for field, value in held.items() if value in mapping}
    for field in layout.listed:
        values: tuple[Value, ...] = getattr(operation, field)
        if any(value in mapping for value in values):
            changed[field] = substitute(values, mapping)
    if isinstance(operation, Scan):
        changed["region"] = replace_in_region(operation.region, mapping)
    return replace(operation, **changed) if changed else operation


def replace_in_region(region: Region, mapping: Mapping[Value, Value]) -> Region:
    """The region reading `mapping[v]` wherever it read v; its parameters stay."""
    return with_operations(region, tuple(replace_operands(operation, mapping) for operation in region.operations), mapping)


def with_operations(region: Region, operations: tuple[Operation, ...], mapping: Mapping[Value, Value]) -> Region:
    """The region of other operations, yielding `mapping[v]` wherever it yielded v; its parameters stay."""
    return replace(
        region,
        operations=operations,
        carries=substitute(region.carries, mapping),
        stacks=substitute(region.stacks, mapping),
        sums=substitute(region.sums, mapping),
    )


def rename(operation: Operation, mapping: Mapping[Value, Value]) -> Operation:
    """The operation with values replaced wherever they are defined or read: operands, results, region parameters."""
    replaced = replace_operands(operation, mapping)
    if isinstance(replaced, Scan):
        region = replaced.region
        replaced = replace(
            replaced,
            region=replace(
                region,
                carried=substitute(region.carried, mapping),
                slices=substitute(region.slices, mapping),
                operations=tuple(rename(inner, mapping) for inner in region.operations),
            ),
        )
    return with_results(replaced, substitute(results_of(replaced), mapping))


def walk(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Every operation, a scan before the operations of its region."""
    for operation in operations:
        yield operation
        if isinstance(operation, Scan):
            yield from walk(operation.region.operations)


def defined_values(function: Function) -> Iterator[Value]:
    """Every value of a function, those of its regions included."""
    for parameter in function.parameters:
        yield parameter.value
    yield from defined_by(function.operations)


def defined_by(operations: Iterable[Operation]) -> Iterator[Value]:
    """Every value that operations define, those of their regions included."""
    for operation in walk(operations):
        yield from results_of(operation)
        if isinstance(operation, Scan):
            yield from parameters_of(operation.region)


def use_counts(operations: Iterable[Operation]) -> Counter[Value]:
    """How often each value is read by operations or yielded, inside regions too."""
    counts: Counter[Value] = Counter()
    for operation in operations:
        if isinstance(operation, Scan):
            counts.update((operation.index, *operation.inits, *operation.sequences))
            counts.update(use_counts(operation.region.operations))
            counts.update(yields_of(operation.region))
        else:
            counts.update(operands_of(operation))
    return counts


def function_use_counts(function: Function) -> Counter[Value]:
    """How often each value is read in a function, its results included."""
    counts = use_counts(function.operations)
    counts.update(result.value for result in function.results)
    return counts


def definitions(operations: Iterable[Operation]) -> dict[Value, Operation]:
    """The operation that defines each result, regions not entered."""
    return {result: operation for operation in operations for result in results_of(operation)}
