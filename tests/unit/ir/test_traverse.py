"""Uniform access to operations: what they read and define, and how that is exchanged."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given, settings

from rnnspec.diagnostics import InternalError
from rnnspec.ir.elementwise import BinaryKind
from rnnspec.ir.fields import LAYOUTS
from rnnspec.ir.ops import Binary, Concat, Constant, Function, Matmul, Operation, Region, Scan, Value, Window
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_operation
from rnnspec.ir.traverse import (
    defined_values,
    definitions,
    free_values,
    function_use_counts,
    operands_of,
    parameters_of,
    rename,
    replace_operands,
    results_of,
    substitute,
    use_counts,
    walk,
    with_results,
    yields_of,
)
from tests.unit.ir.drawn import functions
from tests.unit.ir.test_text import EVERYTHING

TEXT = """module m
func @f(input %x: f32[batch, time, 2], mask %m: i1[batch, time], input %row: f32[batch, 2], weight %w: f32[2, 2], weight %b: f32[2]) {
  %i = index %m : index[batch, time, tokens]
  %p = pack %x, %i : f32[tokens, 2]
  %last, %all, %sum = scan %i {reverse = false} carry(%h = %row) over(%step = %p) {
    %0 = matmul %h, %w : f32[rows, 2]
    %1 = add %0, %step : f32[rows, 2]
    %2 = matmul %1, %w : f32[rows, 2]
    yield carry(%2) stack(%1) sum(%b)
  } : f32[batch, 2], f32[tokens, 2], f32[2]
  %left, %right = split %row {axis = 1} : f32[batch, 1], f32[batch, 1]
  %both = concat %right, %left, %right {axis = 1} : f32[batch, 3]
  return output "y" %both, output "z" %both, output "last" %last
}
"""
FUNCTION = parse_module(TEXT).functions[0]
INDEX, PACK, SCAN, SPLIT, CONCAT = FUNCTION.operations
VALUES = {value.name: value for value in defined_values(FUNCTION)}
EVERY_OPERATION = list(walk(parse_module(EVERYTHING.read_text(encoding="utf-8")).functions[0].operations))


def names(values: tuple[Value, ...]) -> list[str]:
    return [value.name for value in values]


def renamed(value: Value) -> Value:
    return Value(f"new_{value.name}", value.type)


def test_fields_are_what_the_classes_declare() -> None:
    assert LAYOUTS.keys() == set(get_args(Operation))
    assert LAYOUTS[Window].operands == ("source", "index")
    assert LAYOUTS[Window].attributes == {"stride": int, "offset": int, "span": int, "clamp": bool, "at_end": bool, "own": bool}
    assert LAYOUTS[Matmul].operands == ("left", "right") and LAYOUTS[Matmul].optional == ("init",) and not LAYOUTS[Matmul].attributes
    assert LAYOUTS[Concat].listed == ("operands",) and LAYOUTS[Concat].attributes == {"axis": int}
    assert LAYOUTS[Scan].results == ("finals", "stacks", "sums") and LAYOUTS[Scan].listed == ("inits", "sequences")
    assert LAYOUTS[Scan].operands == ("index",) and LAYOUTS[Scan].attributes == {"reverse": bool}
    assert [operation for operation, layout in LAYOUTS.items() if layout.defaults] == [Scan] and LAYOUTS[Scan].defaults == {"checkpoint": 0}
    assert LAYOUTS[Constant].attributes == {"value": float} and LAYOUTS[Binary].kind is BinaryKind
    for operation, layout in LAYOUTS.items():
        known = {
            *layout.results,
            *layout.operands,
            *layout.listed,
            *layout.optional,
            *layout.attributes,
            *layout.defaults,
            "kind",
            "region",
        }
        missing = [field.name for field in fields(operation) if field.name not in known]
        assert missing == (["transpose_left", "transpose_right"] if operation is Matmul else []), operation


def test_results() -> None:
    assert names(results_of(SCAN)) == ["last", "all", "sum"]
    assert names(results_of(SPLIT)) == ["left", "right"]
    assert names(results_of(PACK)) == ["p"]


def test_operands() -> None:
    assert names(operands_of(PACK)) == ["x", "i"]
    assert names(operands_of(CONCAT)) == ["right", "left", "right"]
    assert names(operands_of(SCAN)) == ["i", "row", "p", "w", "b"]


def test_regions() -> None:
    assert isinstance(SCAN, Scan)
    assert names(parameters_of(SCAN.region)) == ["h", "step"]
    assert names(yields_of(SCAN.region)) == ["2", "1", "b"]
    assert names(free_values(SCAN.region)) == ["w", "b"]
    assert free_values(Region((), (), (), (), (), ())) == ()


def test_walking_enters_regions() -> None:
    assert [result.name for operation in walk(FUNCTION.operations) for result in results_of(operation)] == (
        ["i", "p", "last", "all", "sum", "0", "1", "2", "left", "right", "both"]
    )


def test_defined_values() -> None:
    assert [value.name for value in defined_values(FUNCTION)] == (
        ["x", "m", "row", "w", "b", "i", "p", "last", "all", "sum", "h", "step", "0", "1", "2", "left", "right", "both"]
    )


def test_definitions_don_t_enter_regions() -> None:
    found = definitions(FUNCTION.operations)
    assert {value.name for value in found} == {"i", "p", "last", "all", "sum", "left", "right", "both"}
    assert found[VALUES["right"]] is SPLIT


def test_use_counts() -> None:
    counts = use_counts(FUNCTION.operations)
    assert {value.name: count for value, count in counts.items()} == {
        "m": 1,
        "x": 1,
        "i": 2,
        "row": 2,
        "p": 1,
        "h": 1,
        "w": 2,
        "0": 1,
        "step": 1,
        "1": 2,
        "2": 1,
        "b": 1,
        "left": 1,
        "right": 2,
    }
    with_function = function_use_counts(FUNCTION)
    assert (with_function[VALUES["both"]], with_function[VALUES["last"]], with_function[VALUES["all"]]) == (2, 1, 0)


def test_substitute_keeps_what_isn_t_mapped() -> None:
    left, right = VALUES["left"], VALUES["right"]
    assert substitute((left, right, left), {left: right}) == (right, right, right)


def test_replacing_operands_reaches_into_regions_and_leaves_results() -> None:
    mapping = {VALUES[name]: renamed(VALUES[name]) for name in ("i", "row", "p", "w", "b")}
    replaced = replace_operands(SCAN, mapping)
    assert print_operation(replaced) == (
        "%last, %all, %sum = scan %new_i {reverse = false} carry(%h = %new_row) over(%step = %new_p) {\n"
        "  %0 = matmul %h, %new_w : f32[rows, 2]\n"
        "  %1 = add %0, %step : f32[rows, 2]\n"
        "  %2 = matmul %1, %new_w : f32[rows, 2]\n"
        "  yield carry(%2) stack(%1) sum(%new_b)\n"
        "} : f32[batch, 2], f32[tokens, 2], f32[2]"
    )
    assert names(operands_of(replaced)) == ["new_i", "new_row", "new_p", "new_w", "new_b"]


def test_an_operation_that_reads_nothing_mapped_is_the_same_object() -> None:
    assert replace_operands(PACK, {VALUES["row"]: renamed(VALUES["row"])}) is PACK


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=lambda operation: print_operation(operation).split("\n")[0])
def test_replacing_and_restoring_operands(operation: Operation) -> None:
    mapping = {value: renamed(value) for value in operands_of(operation)}
    replaced = replace_operands(operation, mapping)
    assert operands_of(replaced) == tuple(map(renamed, operands_of(operation)))
    assert results_of(replaced) == results_of(operation)
    assert replace_operands(replaced, {new: old for old, new in mapping.items()}) == operation


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=lambda operation: print_operation(operation).split("\n")[0])
def test_other_results(operation: Operation) -> None:
    others = tuple(map(renamed, results_of(operation)))
    changed = with_results(operation, others)
    assert results_of(changed) == others
    assert operands_of(changed) == operands_of(operation)
    assert with_results(changed, results_of(operation)) == operation
    with pytest.raises(InternalError, match=f"{len(others) + 1} results for an operation with {len(others)}"):
        with_results(operation, (*others, others[0]))


def test_scan_results_go_back_to_their_groups() -> None:
    assert isinstance(SCAN, Scan)
    changed = with_results(SCAN, tuple(map(renamed, results_of(SCAN))))
    assert isinstance(changed, Scan)
    assert (names(changed.finals), names(changed.stacks), names(changed.sums)) == (["new_last"], ["new_all"], ["new_sum"])


def test_renaming_changes_definitions_too() -> None:
    mapping = {value: renamed(value) for value in VALUES.values()}
    changed = rename(SCAN, mapping)
    assert "%h" not in print_operation(changed).replace("%new_h", "")
    assert print_operation(changed) == "".join(
        part if not part.startswith("%") else f"%new_{part[1:]}" for part in split_names(print_operation(SCAN))
    )
    assert rename(changed, {new: old for old, new in mapping.items()}) == SCAN


def split_names(text: str) -> list[str]:
    """The text cut into names and what is between them."""
    parts = [""]
    for character in text:
        if character == "%" or (parts[-1].startswith("%") and not character.isalnum()):
            parts.append("")
        parts[-1] += character
    return parts


@settings(max_examples=50, deadline=None, derandomize=True)
@given(functions())
def test_renaming_a_drawn_function_there_and_back(function: Function) -> None:
    mapping = {value: renamed(value) for value in defined_values(function)}
    back = {new: old for old, new in mapping.items()}
    for operation in function.operations:
        there = rename(operation, mapping)
        assert results_of(there) == tuple(map(renamed, results_of(operation)))
        assert rename(there, back) == operation


@settings(max_examples=50, deadline=None, derandomize=True)
@given(functions())
def test_counts_are_those_of_each_operation_s_operands(function: Function) -> None:
    """Outside regions an operation's operands are what it reads; a region's free values are counted where they are read."""
    counts = function_use_counts(function)
    defined = set(defined_values(function))
    assert set(counts) <= defined
    for operation in function.operations:
        for operand in operands_of(operation):
            assert counts[operand] >= 1
    plain = [operation for operation in function.operations if not isinstance(operation, Scan)]
    once = use_counts(plain)
    assert sum(once.values()) == sum(len(operands_of(operation)) for operation in plain)
