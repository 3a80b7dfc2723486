"""Traversals that passes share: over every function of a module, and every scan of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from rnnspec.ir.builder import Builder
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Function, Module, Scan, Value
from rnnspec.ir.traverse import location_of, replace_operands


def rewrite_functions(module: Module, rewrite: Callable[[Function], Function]) -> Module:
    """The module with each function rewritten."""
    return replace(module, functions=tuple(rewrite(function) for function in module.functions))


ScanRewrite = Callable[[Builder, Scan], Mapping[Value, Value]]
"""Appends what stands in the scan's place; gives the new value of each result that is no longer its own."""


def rewrite_scans(function: Function, rewrite: ScanRewrite) -> Function:
    """The function with each scan handed to `rewrite`, first to last; everything else as it is."""
    builder = Builder(Names.of(function))
    renamed: dict[Value, Value] = {}
    for operation in function.operations:
        current = replace_operands(operation, renamed)
        if isinstance(current, Scan):
            with builder.at(location_of(current)):
                renamed.update(rewrite(builder, current))
        else:
            builder.append(current)
    results = tuple(replace(result, value=renamed.get(result.value, result.value)) for result in function.results)
    return replace(function, operations=builder.operations, results=results)
