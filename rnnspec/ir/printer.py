"""Prints the tensor IR in its one canonical form; `rnnspec.ir.parser` reads it back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rnnspec.contract.location import Location
from rnnspec.ir.fields import LAYOUTS, mnemonic
from rnnspec.ir.ops import Function, Matmul, Module, Operation, Region, Scan, Value
from rnnspec.ir.traverse import location_of, operands_of, results_of

INDENT = "  "


def print_module(module: Module, *, locations: bool = False) -> str:
    """The module's text, ending in a line break. `locations`: with the lines of the spec that each operation comes from."""
    return "\n".join([f"module {module.name}\n", *(print_function(function, locations=locations) for function in module.functions)])


def print_function(function: Function, *, locations: bool = False) -> str:
    """The function's text, ending in a line break."""
    parameters = ", ".join(
        f"{parameter.role.value} {_typed(parameter.value)}{_location(parameter.value.location) if locations else ''}"
        for parameter in function.parameters
    )
    results = ", ".join(f"{result.role.value} {json.dumps(result.name)} {_name(result.value)}" for result in function.results)
    lines = [f"func @{function.name}({parameters}) {{"]
    for operation in function.operations:
        lines.extend(INDENT + line for line in _lines(operation, locations))
    lines.append(f"{INDENT}return {results}".rstrip())
    lines.append("}\n")
    return "\n".join(lines)


def print_operation(operation: Operation, *, locations: bool = False) -> str:
    """The operation's text, without a line break at the end."""
    return "\n".join(_lines(operation, locations))


def _lines(operation: Operation, locations: bool) -> Iterator[str]:
    place = _location(location_of(operation)) if locations else ""
    results = results_of(operation)
    types = ", ".join(str(result.type) for result in results)
    opening = f"{_names(results)} = {mnemonic(operation)}"
    if isinstance(operation, Scan):
        yield f"{opening} {_scan_operands(operation)} {{"
        yield from _region_lines(operation.region, locations)
        yield f"}} : {types}{place}"
    else:
        parts = [opening, _operands(operation), _attributes(operation), f": {types}"]
        yield " ".join(part for part in parts if part) + place


def _location(location: Location) -> str:
    return f" loc({', '.join(f'{json.dumps(line.path)}:{line.number}' for line in location)})" if location else ""


def _region_lines(region: Region, locations: bool) -> Iterator[str]:
    for operation in region.operations:
        for line in _lines(operation, locations):
            yield INDENT + line
    yield f"{INDENT}yield carry({_names(region.carries)}) stack({_names(region.stacks)}) sum({_names(region.sums)})"


def _scan_operands(scan: Scan) -> str:
    carry = _bindings(scan.region.carried, scan.inits)
    over = _bindings(scan.region.slices, scan.sequences)
    return f"{_name(scan.index)} {_attributes(scan)} carry({carry}) over({over})"


def _bindings(parameters: Sequence[Value], values: Sequence[Value]) -> str:
    """A broken scan prints too, for the verifier to show: `%?` stands where one of a pair is missing."""
    pairs = zip_longest(map(_name, parameters), map(_name, values), fillvalue="%?")
    return ", ".join(f"{parameter} = {value}" for parameter, value in pairs)


def _operands(operation: Operation) -> str:
    if isinstance(operation, Matmul):
        left = "transpose " if operation.transpose_left else ""
        right = "transpose " if operation.transpose_right else ""
        start = "" if operation.init is None else f" from {_name(operation.init)}"
        return f"{left}{_name(operation.left)}, {right}{_name(operation.right)}{start}"
    return _names(operands_of(operation))


def _attributes(operation: Operation) -> str:
    layout = LAYOUTS[type(operation)]
    fields = [*layout.attributes, *(name for name, default in layout.defaults.items() if getattr(operation, name) != default)]
    if not fields:
        return ""
    return "{" + ", ".join(f"{field} = {_literal(getattr(operation, field))}" for field in fields) + "}"


def _literal(value: float | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _typed(value: Value) -> str:
    return f"{_name(value)}: {value.type}"


def _name(value: Value) -> str:
    return f"%{value.name}"


def _names(values: Sequence[Value]) -> str:
    return ", ".join(_name(value) for value in values)
