"""The tensor IR's text: printing and parsing are inverse, and text that isn't tensor IR is told by its line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings

from rnnspec.diagnostics import InternalError
from rnnspec.ir.fields import SPELLINGS, layout_of, mnemonic
from rnnspec.ir.ops import (
    Binary,
    BinaryKind,
    Compare,
    CompareKind,
    Constant,
    Module,
    Operation,
    Reduce,
    ReduceKind,
    Role,
    Unary,
    UnaryKind,
    Value,
)
from rnnspec.ir.parser import IRSyntaxError, parse_module
from rnnspec.ir.printer import print_function, print_module, print_operation
from rnnspec.ir.types import DType, TensorType
from rnnspec.ir.verify import verify
from tests.unit.ir.drawn import modules

GOLDENS = sorted((Path(__file__).parents[2] / "golden").rglob("*.ir"))


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_text_is_printed_as_it_was_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    module = parse_module(text)
    assert print_module(module) == text
    assert parse_module(print_module(module)) == module


@settings(max_examples=120, deadline=None, derandomize=True)
@given(modules())
def test_a_drawn_module_is_read_as_it_was(module: Module) -> None:
    verify(module)
    text = print_module(module)
    read = parse_module(text)
    assert read == module
    assert print_module(read) == text


FLAGS = [f"{flag} = {value}" for flag in ("clamp", "causal", "of_keys", "transpose") for value in ("true", "false")]
EVERYTHING = Path(__file__).parents[2] / "golden" / "ir" / "everything.ir"


def test_one_golden_holds_every_operation_in_every_form() -> None:
    """All kinds, all roles, both values of every flag."""
    text = EVERYTHING.read_text(encoding="utf-8")
    module = parse_module(text)
    verify(module)
    found = {line.split(" = ")[1].split()[0] for line in text.splitlines() if " = " in line}
    assert found == set(SPELLINGS)
    for role in Role:
        assert f"{role.value} " in text
    for flag in ("hold = true", "hold = false", "flip = true", "flip = false", "reverse = true", "reverse = false", *FLAGS):
        assert flag in text
    for left, right in (("", "transpose "), ("transpose ", "")):
        assert f"matmul {left}%" in text and f", {right}%" in text
    assert any(" = matmul " in line and " from %" in line for line in text.splitlines())


def test_layout_and_comments_are_free() -> None:
    tidy = parse_module('module m\n\nfunc @f(input %x: f32[batch, 4]) {\n  %0 = neg %x : f32[batch, 4]\n  return output "y" %0\n}\n')
    loose = 'module m # a comment\n func@f(input %x:f32[batch,4]){%0=neg %x:f32[batch,4]\n#another\nreturn output"y"%0}'
    assert parse_module(loose) == tidy


def test_a_module_without_functions_and_a_function_without_anything() -> None:
    assert print_module(parse_module("module m")) == "module m\n"
    text = "module m\n\nfunc @f() {\n  return\n}\n"
    assert print_module(parse_module(text)) == text


def test_functions_are_set_apart_by_a_blank_line() -> None:
    text = "module m\n\nfunc @f() {\n  return\n}\n\nfunc @g() {\n  return\n}\n"
    module = parse_module(text)
    assert print_module(module) == text
    assert print_function(module.function("g")) == "func @g() {\n  return\n}\n"
    with pytest.raises(KeyError):
        module.function("h")


NUMBERS = [0.0, -0.0, 1.0, -2.5, 1e-30, 3.4028234663852886e38, 5e-324, math.inf, -math.inf, math.nan, 0.1, 123456789.123]


@pytest.mark.parametrize("number", NUMBERS)
def test_constants_keep_every_bit(number: float) -> None:
    value = Value("0", TensorType(DType.F64, ()))
    text = f"module m\nfunc @f() {{\n{print_operation(Constant(value, number))}\nreturn \n}}"
    (constant,) = parse_module(text).functions[0].operations
    assert isinstance(constant, Constant)
    assert repr(constant.value) == repr(number)


def test_constants_of_nan_are_equal() -> None:
    text = "module m\nfunc @f() {\n%0 = constant {value = nan} : f32[]\nreturn \n}"
    assert parse_module(text) == parse_module(text)


HEAD = "module m\n\nfunc @f(input %x: f32[batch, 4], mask %m: i1[batch, time], residual %i: index[batch, time, tokens]) {\n"
SYNTAX: Mapping[str, str] = {
    "%0 = sinh %x : f32[batch, 4]": "line 4, column 6: no operation is called sinh",
    "%0 = neg %y : f32[batch, 4]": "line 4, column 10: %y is not defined before it is read",
    "%0 = neg %0 : f32[batch, 4]": "line 4, column 10: %0 is not defined before it is read",
    "%x = neg %x : f32[batch, 4]": "line 4, column 1: %x is defined twice",
    "%0 = neg %x, %x : f32[batch, 4]": "line 4, column 6: neg takes 1 operands, not 2",
    "%0 = add %x : f32[batch, 4]": "line 4, column 6: add takes 2 operands, not 1",
    "%0, %1 = neg %x : f32[batch, 4], f32[batch, 4]": "line 4, column 10: neg has one result",
    "%0, %1 = neg %x : f32[batch, 4]": "line 4, column 10: 2 results with 1 types",
    "%0 = neg transpose %x : f32[batch, 4]": "line 4, column 6: neg doesn't transpose its operands",
    "%0 = add %x, %x from %x : f32[batch, 4]": "line 4, column 6: add doesn't start from a value",
    "%0 = matmul %x from %x : f32[batch, 4]": "line 4, column 6: matmul takes 2 operands, not 1",
    "%0 = neg %x {axis = 1} : f32[batch, 4]": "line 4, column 6: Unary has the attributes none, not axis",
    "%0 = reduce_sum %x : f32[batch, 1]": "line 4, column 6: Reduce has the attributes axis, not none",
    "%0 = pack_sum %x, %i {hold = true} : f32[tokens, 4]": "line 4, column 6: PackSum has the attributes hold, flip, not hold",
    "%0 = reduce_sum %x {axis = 1, axis = 1} : f32[batch, 1]": "line 4, column 6: Reduce has the attributes axis, not axis",
    "%0 = reduce_sum %x {axis = true} : f32[batch, 1]": "line 4, column 28: true is no int",
    "%0 = reduce_sum %x {axis = 1.5} : f32[batch, 1]": "line 4, column 28: 1.5 is no integer",
    "%0 = reduce_sum %x {axis = nan} : f32[batch, 1]": "line 4, column 28: nan is no integer",
    "%0 = fill_sum %x, %i {hold = 1, flip = true} : f32[1, 4]": "line 4, column 30: 1 is no bool",
    "%0 = constant {value = true} : f32[]": "line 4, column 24: true is no float",
    "%0 = neg %x : f16[batch, 4]": "line 4, column 15: no element type is called f16",
    "%0 = neg %x : f32[batch, 4.5]": "line 4, column 26: 4.5 is no integer",
    "%0 = index %m : index[batch, time]": "line 4, column 17: an index has three dimensions",
    "%0 = scan %x {reverse = true} carry() over() {\nyield carry() stack() sum()\n} : f32[4]": (
        "line 4, column 11: %x is no index but f32[batch, 4]"
    ),
    "%0 = scan %i {reverse = true} carry(%h = %m) over() {\nyield carry(%h) stack() sum()\n} : i1[batch, time]": (
        "line 4, column 37: %m has a symbolic dimension after the first: i1[batch, time]"
    ),
    "%0 = scan %i {reverse = true} carry() over(%s = %x) {\nyield carry() stack(%s) sum()\n} : f32[tokens, 4]": (
        "line 4, column 44: %x must be [tokens, w], not f32[batch, 4]"
    ),
    "%0, %1 = scan %i {reverse = true} carry(%h = %x) over() {\nyield carry(%h) stack() sum()\n} : f32[batch, 4], f32[batch, 4]": (
        "line 4, column 15: 2 results of a scan that yields 1"
    ),
    "%0 = scan %i {axis = 1} carry(%h = %x) over() {\nyield carry(%h) stack() sum()\n} : f32[batch, 4]": (
        "line 4, column 11: Scan has the attributes reverse, not axis"
    ),
}


@pytest.mark.parametrize("body", SYNTAX)
def test_errors(body: str) -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse_module(f"{HEAD}{body}\nreturn \n}}\n")
    assert str(caught.value) == SYNTAX[body]


WHOLE: Mapping[str, str] = {
    "func @f() {\nreturn \n}": "line 1, column 1: not tensor IR",
    "module m\nfunc @f( {": "line 2, column 10: not tensor IR",
    "module m\nfunc @f() {\n%0 = neg\n": "line 3, column 6: not tensor IR",
    "module m\nfunc @f() {\n&\n}": "line 3, column 1: not tensor IR",
    "module m\nfunc @f(weights %w: f32[4]) {\nreturn \n}": "line 2, column 9: no role is called weights",
    'module m\nfunc @f(weight %w: f32[4]) {\nreturn outputs "y" %w\n}': "line 3, column 8: no role is called outputs",
    'module m\nfunc @f(weight %w: f32[4]) {\nreturn output "\\q" %w\n}': 'line 3, column 15: "\\q" is no JSON string',
    'module m\nfunc @f(weight %w: f32[4]) {\nreturn output "y" %v\n}': "line 3, column 19: %v is not defined before it is read",
    "module m\nfunc @f(weight %w: f32[4], weight %w: f32[4]) {\nreturn \n}": "line 2, column 35: %w is defined twice",
}


@pytest.mark.parametrize("text", WHOLE)
def test_errors_of_the_whole(text: str) -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse_module(text)
    assert str(caught.value).splitlines()[0] == WHOLE[text]


def test_text_that_ends_too_soon() -> None:
    with pytest.raises(IRSyntaxError, match="not tensor IR"):
        parse_module("module m\nfunc @f() {\n")


def test_every_operation_has_one_spelling() -> None:
    kinds = {Unary: UnaryKind, Binary: BinaryKind, Compare: CompareKind, Reduce: ReduceKind}
    assert {operation for operation, _ in SPELLINGS.values()} == set(get_args(Operation))
    assert len(SPELLINGS) == len(get_args(Operation)) - len(kinds) + sum(map(len, kinds.values()))
    value = Value("0", TensorType(DType.F32, (4,)))
    built: list[Unary | Binary | Compare | Reduce] = [
        *(Unary(value, kind, value) for kind in UnaryKind),
        *(Binary(value, kind, value, value) for kind in BinaryKind),
        *(Compare(value, kind, value, value) for kind in CompareKind),
        *(Reduce(value, kind, value, 0) for kind in ReduceKind),
    ]
    for operation in built:
        assert SPELLINGS[mnemonic(operation)] == (type(operation), operation.kind)
    assert [spelling for spelling in SPELLINGS if "_" in spelling and not spelling.startswith(("reduce_", "stop_"))] == [
        *("scatter_add", "window_mask", "pair_tokens", "distinct_ids", "pack_sum", "fill_sum", "sort_rows", "restore_rows")
    ]


@dataclass(frozen=True)
class Odd:
    """No operation: a field of its own kind."""

    result: Value
    operand: Value
    label: str


def test_a_field_that_is_neither_value_nor_attribute_is_an_error() -> None:
    with pytest.raises(InternalError, match=r"Odd\.label: a field of type str"):
        layout_of(Odd)
