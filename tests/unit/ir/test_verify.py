"""Every rule of the tensor IR: a module that breaks it, and what the verifier says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rnnspec.contract.dimensions import BATCH, ROWS, TOKENS, Dim, Name
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import (
    Constant,
    Function,
    Module,
    Operation,
    Parameter,
    Region,
    Result,
    Role,
    Scan,
    ScatterAdd,
    Split,
    Unary,
    UnaryKind,
    Value,
)
from rnnspec.ir.parser import parse_module
from rnnspec.ir.types import DType, IndexType, TensorType, Type
from rnnspec.ir.verify import expected_types, verify

PASSES = Path(__file__).parents[2] / "golden" / "passes"

PARAMETERS = """
input %x: f32[batch, time, 4], mask %m: i1[batch, time], input %row: f32[batch, 4], input %other: f32[batch, 6],
input %ids: i32[batch, time, 1], weight %w: f32[4, 6], weight %v: f32[4], weight %double: f64[4], weight %one: f32[1],
key %key: i32[], residual %scalar: f32[], residual %flags: i1[batch, 4], residual %some: i32[batch, 1],
residual %odd: f32[4, batch], residual %long: f32[batch, time, time], residual %i: index[batch, time, tokens],
residual %p: f32[tokens, 4], residual %zero: f32[1, 4], residual %few: i32[4], residual %sequence: f32[batch, time, 6],
residual %once: index[1, 9, words]
""".replace("\n", " ")


def function_text(body: str) -> str:
    return f"module m\nfunc @f({PARAMETERS}) {{\n{body}\nreturn \n}}\n"


def scan_text(region: str, *, carry: str = "%h = %row", over: str = "%step = %p", yields: str = "", types: str = "f32[batch, 4]") -> str:
    names = ", ".join(f"%s{number}" for number in range(types.count("[")))
    yields = yields or "carry(%h) stack() sum()"
    return f"{names} = scan %i {{reverse = false}} carry({carry}) over({over}) {{\n{region}\nyield {yields}\n}} : {types}"


def refused(module: Module) -> str:
    """The message, without what every internal error says."""
    with pytest.raises(InternalError) as caught:
        verify(module)
    return str(caught.value.args[0])


WELL_TYPED = [
    "%0 = constant {value = 1.5} : f32[batch, 4]",
    "%0 = constant {value = nan} : f64[]",
    "%0 = constant {value = 1.0} : i1[batch, 4]",
    "%0 = constant {value = -3.0} : i32[batch, 1]",
    "%0 = positions : f32[16777216]",
    "%0 = positions : f64[16777217]",
    "%0 = tanh %row : f32[batch, 4]",
    "%0 = add %row, %row : f32[batch, 4]",
    "%0 = add %x, %x : f32[batch, time, 4]",
    "%0 = and %flags, %flags : i1[batch, 4]",
    "%0 = and %m, %m : i1[batch, time]",
    "%0 = lt %row, %row : i1[batch, 4]",
    "%0 = select %flags, %row, %row : f32[batch, 4]",
    "%0 = broadcast %v : f32[batch, 4]",
    "%0 = broadcast %scalar : f32[4, 6]",
    "%0 = broadcast %row : f32[batch, 4]",
    "%0 = broadcast %one : f32[tokens, 7]",
    "%0 = reshape %v : f32[1, 4]",
    "%0 = reshape %zero : f32[4, 1]",
    "%0, %1 = split %row {axis = 1} : f32[batch, 1], f32[batch, 3]",
    "%0, %1 = split %w {axis = 0} : f32[2, 6], f32[2, 6]",
    "%0 = concat %row, %other {axis = 1} : f32[batch, 10]",
    "%0 = concat %v, %one {axis = 0} : f32[5]",
    "%0 = matmul %row, %w : f32[batch, 6]",
    "%0 = matmul %row, %w from %other : f32[batch, 6]",
    "%0 = matmul transpose %row, %other : f32[4, 6]",
    "%0 = matmul %other, transpose %w : f32[batch, 4]",
    "%0 = reduce_sum %row {axis = 1} : f32[batch, 1]",
    "%0 = reduce_max %row {axis = 0} : f32[4]",
    "%0 = reduce_min %v {axis = 0} : f32[1]",
    "%0 = take %w, %some : f32[batch, 6]",
    "%0 = take %row, %some : f32[batch, 4]",
    "%0 = scatter_add %some, %row : f32[batch, 4]",
    "%0 = scatter_add %some, %row : f32[9, 4]",
    "%0 = random %key {stream = 3} : f32[batch, 4]",
    "%0 = mask %x {value = 0.0} : i1[batch, time]",
    "%0 = mask %ids {value = 0.0} : i1[batch, time]",
    "%0 = index %m : index[batch, time, others]",
    "%0 = distinct %some : index[1, 9, others]",
    "%0 = distinct_ids %once : i32[words, 1]",
    "%0 = places %some, %once : i32[batch, 1]",
    "%0 = pack %x, %i : f32[tokens, 4]",
    "%0 = pack %ids, %i : i32[tokens, 1]",
    "%0 = unpack %p, %zero, %i {hold = true, flip = false} : f32[batch, time, 4]",
    "%0 = pack_sum %x, %i {hold = true, flip = false} : f32[tokens, 4]",
    "%0 = fill_sum %x, %i {hold = false, flip = true} : f32[1, 4]",
    "%0 = sort_rows %row, %i : f32[batch, 4]",
    "%0 = restore_rows %flags, %i : i1[batch, 4]",
    scan_text("%0 = add %h, %step : f32[rows, 4]", yields="carry(%0) stack(%0) sum()", types="f32[batch, 4], f32[tokens, 4]"),
    scan_text("%0 = matmul transpose %step, %step : f32[4, 4]", carry="", yields="carry() stack() sum(%0, %v)", types="f32[4, 4], f32[4]"),
]
"""One of each operation, so that what is refused below is refused for its fault alone."""


@pytest.mark.parametrize("body", WELL_TYPED)
def test_well_typed(body: str) -> None:
    verify(parse_module(function_text(body)))


@pytest.mark.parametrize("path", sorted(PASSES.rglob("*.ir")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_modules_are_valid(path: Path) -> None:
    verify(parse_module(path.read_text(encoding="utf-8")))


ILL_TYPED: Mapping[str, str] = {
    # Tensors and indices
    "%0 = neg %i : f32[batch, 4]": "the operand of neg must be a tensor, not index[batch, time, tokens]",
    "%0 = and %i, %i : i1[batch, time]": "the left side of and must be a tensor, not index[batch, time, tokens]",
    "%0 = pack %x, %v : f32[tokens, 4]": "the index must be an index, not f32[4]",
    "%0 = index %m : f32[4]": "the result must be an index, not f32[4]",
    "%0 = constant {value = 1.0} : index[batch, time, tokens]": "the result %0 must be a tensor, not index[batch, time, tokens]",
    # What computes takes one row of fixed width a row
    "%0 = neg %x : f32[batch, time, 4]": "the operand of neg must not be a padded sequence, not f32[batch, time, 4]",
    "%0 = mul %x, %x : f32[batch, time, 4]": "the left side of mul must not be a padded sequence, not f32[batch, time, 4]",
    "%0 = add %ids, %ids : i32[batch, time, 1]": "the left side of add must not be a padded sequence, not i32[batch, time, 1]",
    "%0 = neg %odd : f32[4, batch]": "the operand of neg has a symbolic dimension after the first: f32[4, batch]",
    "%0 = neg %flags : i1[batch, 4]": "the operand of neg must be float, not i1[batch, 4]",
    "%0 = exp %some : i32[batch, 1]": "the operand of exp must be float, not i32[batch, 1]",
    # Elementwise
    "%0 = add %row, %v : f32[batch, 4]": "the sides of add differ: f32[batch, 4] and f32[4]",
    "%0 = mul %v, %double : f32[4]": "the sides of mul differ: f32[4] and f64[4]",
    "%0 = and %row, %row : f32[batch, 4]": "and takes i1, not f32[batch, 4]",
    "%0 = sub %flags, %flags : i1[batch, 4]": "the left side of sub must be float, not i1[batch, 4]",
    "%0 = lt %row, %other : i1[batch, 4]": "the sides of a comparison differ: f32[batch, 4] and f32[batch, 6]",
    "%0 = eq %some, %some : i1[batch, 1]": "the left side of a comparison must be float, not i32[batch, 1]",
    "%0 = select %flags, %row, %other : f32[batch, 4]": "the sides of select differ: f32[batch, 4] and f32[batch, 6]",
    "%0 = select %flags, %flags, %flags : i1[batch, 4]": "a side of select must be float, not i1[batch, 4]",
    "%0 = select %row, %row, %row : f32[batch, 4]": "the condition of select over f32[batch, 4] is f32[batch, 4]",
    "%0 = select %flags, %other, %other : f32[batch, 6]": "the condition of select over f32[batch, 6] is i1[batch, 4]",
    # Shapes
    "%0 = broadcast %row : f32[4]": "f32[batch, 4] doesn't broadcast to f32[4]",
    "%0 = broadcast %v : f32[batch, 6]": "f32[4] doesn't broadcast to f32[batch, 6]",
    "%0 = broadcast %row : f32[tokens, 4]": "f32[batch, 4] doesn't broadcast to f32[tokens, 4]",
    "%0 = broadcast %one : f32[4, batch]": "the result of broadcast has a symbolic dimension after the first: f32[4, batch]",
    "%0 = broadcast %one : f32[batch, time, 4]": "the result of broadcast must not be a padded sequence, not f32[batch, time, 4]",
    "%0 = reshape %row : f32[batch, 4, 1]": "reshape takes and gives fixed dimensions, not f32[batch, 4] and f32[batch, 4, 1]",
    "%0 = reshape %one : f32[batch, 1]": "reshape takes and gives fixed dimensions, not f32[1] and f32[batch, 1]",
    "%0 = reshape %w : f32[6, 4]": "reshape from f32[4, 6] to f32[6, 4] does more than add or drop dimensions of length 1",
    "%0, %1 = split %w {axis = 2} : f32[4, 6, 1], f32[4, 6, 1]": "the operand of split has no axis 2: f32[4, 6]",
    "%0, %1 = split %row {axis = 0} : f32[2, 4], f32[2, 4]": "the operand of split isn't fixed along axis 0: f32[batch, 4]",
    "%0, %1 = split %row {axis = 1} : f32[batch, 2], f32[batch, 3]": "split of f32[batch, 4] along axis 1 into [2, 3]",
    "%0, %1 = split %row {axis = 1} : f32[batch, 4], f32[batch, 0]": "split of f32[batch, 4] along axis 1 into [4, 0]",
    "%0 = split %row {axis = 1} : f32[4]": "split along axis 1 into f32[4]",
    "%0 = split %row {axis = -1} : f32[batch, 4]": "split along axis -1 into f32[batch, 4]",
    "%0 = split %row {axis = 0} : f32[batch, 4]": "split into a symbolic length batch",
    "%0 = concat {axis = 0} : f32[batch, 4]": "concat of nothing",
    "%0 = concat %row, %row {axis = 2} : f32[batch, 8]": "an operand of concat has no axis 2: f32[batch, 4]",
    "%0 = concat %row, %row {axis = 0} : f32[batch, 4]": "an operand of concat isn't fixed along axis 0: f32[batch, 4]",
    "%0 = concat %row, %w {axis = 1} : f32[batch, 10]": "concat along axis 1 of f32[batch, 4], f32[4, 6]",
    "%0 = concat %v, %double {axis = 0} : f32[8]": "concat along axis 0 of f32[4], f64[4]",
    # Contractions and reductions
    "%0 = matmul %v, %w : f32[6]": "the left side of matmul must be a matrix, not f32[4]",
    "%0 = matmul %row, %v : f32[batch]": "the right side of matmul must be a matrix, not f32[4]",
    "%0 = matmul %some, %w : f32[batch, 6]": "the left side of matmul must be float, not i32[batch, 1]",
    "%0 = matmul %other, %w : f32[batch, 6]": "matmul of f32[batch, 6] by f32[4, 6]",
    "%0 = matmul %row, transpose %w : f32[batch, 4]": "matmul of f32[batch, 4] by transpose f32[4, 6]",
    "%0 = matmul transpose %row, %w : f32[4, 6]": "matmul of transpose f32[batch, 4] by f32[4, 6]",
    "%0 = matmul transpose %w, transpose %row : f32[6, batch]": (
        "matmul of transpose f32[4, 6] by transpose f32[batch, 4] would have a symbolic second dimension"
    ),
    "%0 = matmul %row, %w from %row : f32[batch, 6]": "matmul of f32[batch, 4] by f32[4, 6] from f32[batch, 4]",
    "%0 = reduce_sum %scalar {axis = 0} : f32[]": "reduce_sum of f32[] along axis 0",
    "%0 = reduce_max %row {axis = 2} : f32[batch, 4]": "reduce_max of f32[batch, 4] along axis 2",
    "%0 = reduce_min %row {axis = -1} : f32[batch, 1]": "reduce_min of f32[batch, 4] along axis -1",
    "%0 = reduce_sum %flags {axis = 1} : i1[batch, 1]": "the operand of reduce_sum must be float, not i1[batch, 4]",
    # Tables
    "%0 = take %v, %some : f32[batch, 4]": "the table of take must be a matrix, not f32[4]",
    "%0 = take %w, %row : f32[batch, 6]": "ids must be i32 [rows, 1], not f32[batch, 4]",
    "%0 = take %w, %few : f32[4, 6]": "ids must be i32 [rows, 1], not i32[4]",
    "%0 = scatter_add %some, %w : f32[9, 6]": "scatter_add of f32[4, 6] by ids i32[batch, 1]",
    "%0 = scatter_add %some, %v : f32[9, 4]": "the updates of scatter_add must be a matrix, not f32[4]",
    "%0 = scatter_add %some, %row : f32[]": "scatter_add gives a matrix, not f32[]",
    "%0 = random %some {stream = 0} : f32[batch, 4]": "the key of random must be an i32 scalar, not i32[batch, 1]",
    "%0 = random %key {stream = 0} : i32[batch, 4]": "the result of random must be float, not i32[batch, 4]",
    # Packing
    "%0 = mask %row {value = 0.0} : i1[batch, 4]": "mask takes [batch, time, d], not f32[batch, 4]",
    "%0 = index %flags : index[batch, 4, batch]": "the dimension batch is already taken",
    "%0 = index %m : index[batch, time, 5]": "the tokens of an index need a name of their own, not 5",
    "%0 = index %m : index[batch, time, time]": "the dimension time is already taken",
    "%0 = index %m : index[batch, time, tokens]": "the dimension tokens is already taken",
    "%0 = index %row : index[batch, time, others]": "index takes i1 [batch, time], not f32[batch, 4]",
    "%0 = distinct %row : index[1, 9, others]": "ids must be i32 [rows, 1], not f32[batch, 4]",
    "%0 = distinct %some : index[1, time, others]": "distinct of time rows",
    "%0 = distinct %some : index[1, 9, 5]": "the tokens of an index need a name of their own, not 5",
    "%0 = distinct %some : index[1, 9, words]": "the dimension words is already taken",
    "%0 = distinct %some : index[batch, 9, others]": "result types are index[batch, 9, others], must be index[1, 9, others]",
    "%0 = distinct_ids %i : i32[tokens, 1]": "distinct ids are an index of one row, not index[batch, time, tokens]",
    "%0 = places %some, %i : i32[batch, 1]": "distinct ids are an index of one row, not index[batch, time, tokens]",
    "%0 = places %few, %once : i32[4]": "ids must be i32 [rows, 1], not i32[4]",
    "%0 = pack %row, %i : f32[tokens, 4]": "the operand of pack is f32[batch, 4], its index index[batch, time, tokens]",
    "%0 = pack %long, %i : f32[tokens, time]": "the result of pack has a symbolic dimension after the first: f32[tokens, time]",
    "%0 = unpack %row, %zero, %i {hold = true, flip = true} : f32[batch, time, 4]": (
        "the operand of unpack is f32[batch, 4], its index index[batch, time, tokens]"
    ),
    "%0 = unpack %p, %v, %i {hold = true, flip = true} : f32[batch, time, 4]": "the fill of f32[tokens, 4] is f32[4]",
    "%0 = pack_sum %row, %i {hold = true, flip = true} : f32[tokens, 4]": (
        "the operand of pack_sum is f32[batch, 4], its index index[batch, time, tokens]"
    ),
    "%0 = pack_sum %ids, %i {hold = true, flip = true} : i32[tokens, 1]": "the result of pack_sum must be float, not i32[tokens, 1]",
    "%0 = fill_sum %p, %i {hold = true, flip = true} : f32[1, 4]": (
        "the operand of fill_sum is f32[tokens, 4], its index index[batch, time, tokens]"
    ),
    "%0 = fill_sum %ids, %i {hold = true, flip = true} : i32[1, 1]": "the result of fill_sum must be float, not i32[1, 1]",
    "%0 = sort_rows %p, %i : f32[tokens, 4]": "rows of f32[tokens, 4] can't be sorted by index[batch, time, tokens]",
    "%0 = restore_rows %v, %i : f32[4]": "rows of f32[4] can't be sorted by index[batch, time, tokens]",
    "%0 = sort_rows %x, %i : f32[batch, time, 4]": "the operand must not be a padded sequence, not f32[batch, time, 4]",
    # Constants
    "%0 = constant {value = 0.5} : i1[batch, 4]": "an i1 constant of 0.5",
    "%0 = constant {value = 2.0} : i1[]": "an i1 constant of 2.0",
    "%0 = constant {value = 0.5} : i32[]": "an i32 constant of 0.5",
    "%0 = constant {value = nan} : i32[]": "an i32 constant of nan",
    "%0 = constant {value = inf} : i32[]": "an i32 constant of inf",
    "%0 = constant {value = 2147483648.0} : i32[]": "an i32 constant of 2147483648.0",
    "%0 = positions : i32[4]": "the result of positions must be float, not i32[4]",
    "%0 = positions : f32[batch]": "the result of positions isn't fixed along axis 0: f32[batch]",
    "%0 = positions : f32[batch, 4]": "positions are a row, not f32[batch, 4]",
    "%0 = positions : f32[]": "positions are a row, not f32[]",
    "%0 = positions : f32[16777217]": "f32[16777217] can't hold its positions",
    # What is declared
    "%0 = neg %row : f64[batch, 4]": "result types are f64[batch, 4], must be f32[batch, 4]",
    "%0 = matmul %row, %w : f32[batch, 4]": "result types are f32[batch, 4], must be f32[batch, 6]",
    "%0 = mask %x {value = 0.0} : i1[time, batch]": "result types are i1[time, batch], must be i1[batch, time]",
    "%0 = index %m : index[time, batch, others]": "result types are index[time, batch, others], must be index[batch, time, others]",
    "%0, %1 = split %row {axis = 1} : f64[batch, 2], f32[batch, 2]": (
        "result types are f64[batch, 2], f32[batch, 2], must be f32[batch, 2], f32[batch, 2]"
    ),
    "%0 = constant {value = 1.0} : f32[rows, 4]": "the dimension rows is unknown here",
    "%0 = constant {value = 1.0} : f32[unheard_of]": "the dimension unheard_of is unknown here",
}


@pytest.mark.parametrize("body", ILL_TYPED)
def test_ill_typed(body: str) -> None:
    assert refused(parse_module(function_text(body))) == f"in @f: {ILL_TYPED[body]}\n{body}"


SCANS: Mapping[str, tuple[str, str]] = {
    "a value of the enclosing function with a symbolic dimension": (
        scan_text("%0 = add %h, %row : f32[rows, 4]"),
        "%row: f32[batch, 4] is not defined where it is read",
    ),
    "an index inside": (scan_text("%0 = sort_rows %h, %i : f32[rows, 4]"), "a scan's region must not hold this operation"),
    "distinct ids inside": (scan_text("%0 = distinct_ids %once : i32[words, 1]"), "a scan's region must not hold this operation"),
    "random inside": (scan_text("%0 = random %key {stream = 0} : f32[rows, 4]"), "a scan's region must not hold this operation"),
    "a scan inside": (
        scan_text("%t = scan %i {reverse = false} carry(%g = %row) over() {\nyield carry(%g) stack() sum()\n} : f32[batch, 4]"),
        "a scan's region must not hold this operation",
    ),
    "a dimension of the enclosing function": (
        scan_text("%0 = constant {value = 0.0} : f32[batch, 4]"),
        "the dimension batch is unknown here",
    ),
    "a carried value that changes its type": (
        scan_text("%0 = reduce_sum %h {axis = 1} : f32[rows, 1]", yields="carry(%0) stack() sum()"),
        "carried values are f32[rows, 4] before the step and f32[rows, 1] after it",
    ),
    "a sum with a symbolic dimension": (
        scan_text("", yields="carry(%h) stack() sum(%step)", types="f32[batch, 4], f32[4]"),
        "the sum %step must be float of fixed shape, not f32[rows, 4]",
    ),
    "a sum that isn't float": (
        scan_text("", yields="carry(%h) stack() sum(%few)", types="f32[batch, 4], i32[4]"),
        "the sum %few must be float of fixed shape, not i32[4]",
    ),
    "a stack that isn't the step's rows": (
        scan_text("", yields="carry(%h) stack(%zero) sum()", types="f32[batch, 4], f32[tokens, 4]"),
        "the stacked %zero must be [rows, w], not f32[1, 4]",
    ),
    "results of other types": (
        scan_text("", yields="carry(%h) stack(%step) sum()", types="f32[batch, 4], f32[batch, 4]"),
        "result types are f32[batch, 4], f32[batch, 4], must be f32[batch, 4], f32[tokens, 4]",
    ),
}


@pytest.mark.parametrize("name", SCANS)
def test_scans(name: str) -> None:
    body, message = SCANS[name]
    assert refused(parse_module(function_text(body))).splitlines()[0] == f"in @f: {message}"


def test_the_operation_inside_the_region_is_the_one_named() -> None:
    body = scan_text("%0 = neg %few : f32[rows, 4]")
    assert refused(parse_module(function_text(body))) == (
        "in @f: the operand of neg must be float, not i32[4]\n%0 = neg %few : f32[rows, 4]"
    )


# What text can't say: broken as data


def value(name: str, dtype: DType, *shape: Dim) -> Value:
    return Value(name, TensorType(dtype, shape))


X = value("x", DType.F32, BATCH, Name("time"), 4)
MASK = value("m", DType.I1, BATCH, Name("time"))
ROW = value("row", DType.F32, BATCH, 4)
PLACE = Value("i", IndexType(BATCH, Name("time"), TOKENS))
PACKED = value("p", DType.F32, TOKENS, 4)
BEFORE = value("h", DType.F32, ROWS, 4)
STEP = value("step", DType.F32, ROWS, 4)
FINAL = value("final", DType.F32, BATCH, 4)
GIVEN = (
    Parameter(Role.INPUT, X),
    Parameter(Role.MASK, MASK),
    Parameter(Role.INPUT, ROW),
    Parameter(Role.RESIDUAL, PLACE),
    Parameter(Role.RESIDUAL, PACKED),
)
REGION = Region((BEFORE,), (STEP,), (), (BEFORE,), (), ())
SCAN = Scan((FINAL,), (), (), PLACE, (ROW,), (PACKED,), REGION, False)


def module_of(*operations: Operation, parameters: tuple[Parameter, ...] = GIVEN, results: tuple[Result, ...] = ()) -> Module:
    return Module("m", (Function("f", parameters, operations, results),))


def test_the_scan_that_is_broken_below_is_valid() -> None:
    verify(module_of(SCAN))


DATA: Mapping[str, tuple[Module, str]] = {
    "a name defined twice": (
        module_of(Unary(value("row", DType.F32, BATCH, 4), UnaryKind.NEG, ROW)),
        "in @f: %row is defined twice\n%row = neg %row : f32[batch, 4]",
    ),
    "a parameter defined twice": (
        module_of(parameters=(GIVEN[2], GIVEN[2])),
        "in @f: %row is defined twice\nparameter input %row: f32[batch, 4]",
    ),
    "a name of a region that has ended": (
        module_of(SCAN, Unary(value("step", DType.F32, BATCH, 4), UnaryKind.NEG, ROW)),
        "in @f: %step is defined twice\n%step = neg %row : f32[batch, 4]",
    ),
    "a value that nothing defines": (
        module_of(Unary(value("a", DType.F32, 4), UnaryKind.NEG, value("b", DType.F32, 4))),
        "in @f: %b: f32[4] is not defined where it is read\n%a = neg %b : f32[4]",
    ),
    "a value read under another type": (
        module_of(Unary(value("a", DType.F64, BATCH, 4), UnaryKind.NEG, value("row", DType.F64, BATCH, 4))),
        "in @f: %row: f64[batch, 4] is not defined where it is read\n%a = neg %row : f64[batch, 4]",
    ),
    "a value of a region read outside": (
        module_of(SCAN, results=(Result(Role.OUTPUT, "y", BEFORE),)),
        "in @f: %h: f32[rows, 4] is not defined where it is read\nresult output 'y' %h: f32[rows, 4]",
    ),
    "a split into nothing": (
        module_of(Split((), ROW, 1)),
        "in @f: split of f32[batch, 4] along axis 1 into []\n = split %row {axis = 1} : ",
    ),
    "a scan without results": (
        module_of(replace(SCAN, finals=(), inits=(), region=Region((), (STEP,), (), (), (), ()))),
        "in @f: a scan without results\n",
    ),
    "finals that are missing": (
        module_of(replace(SCAN, finals=(), stacks=(value("s", DType.F32, TOKENS, 4),), region=replace(REGION, stacks=(STEP,)))),
        "in @f: finals, inits, carried values before and after the step are (0, 1, 1, 1) in number\n",
    ),
    "inits that are missing": (
        module_of(replace(SCAN, inits=())),
        "in @f: finals, inits, carried values before and after the step are (1, 0, 1, 1) in number\n"
        "%final = scan %i {reverse = false} carry(%h = %?) over(%step = %p) {",
    ),
    "carried values that are missing": (
        module_of(replace(SCAN, region=replace(REGION, carries=()))),
        "in @f: finals, inits, carried values before and after the step are (1, 1, 1, 0) in number\n",
    ),
    "a sequence without its slice": (
        module_of(replace(SCAN, region=replace(REGION, slices=()))),
        "in @f: 1 sequences for 0 slices\n%final = scan %i {reverse = false} carry(%h = %row) over(%? = %p) {",
    ),
    "an init that isn't the batch's": (
        module_of(replace(SCAN, inits=(PACKED,))),
        "in @f: the init %p must be [batch, w], not f32[tokens, 4]\n",
    ),
    "a sequence that isn't packed": (
        module_of(replace(SCAN, sequences=(ROW,))),
        "in @f: the sequence %row must be [tokens, w], not f32[batch, 4]\n",
    ),
    "region parameters of other types": (
        module_of(replace(SCAN, region=replace(REGION, slices=(value("step", DType.F32, ROWS, 3),)))),
        "in @f: region parameters are f32[rows, 4], f32[rows, 3], must be f32[rows, 4], f32[rows, 4]\n",
    ),
    "an index that is a tensor": (module_of(replace(SCAN, index=ROW)), "in @f: the index must be an index, not f32[batch, 4]\n"),
    "a table of no rank": (
        module_of(ScatterAdd(Value("a", PLACE.type), ROW, ROW)),
        "in @f: the result %a must be a tensor, not index[batch, time, tokens]\n",
    ),
    "two functions of one name": (
        Module("m", (Function("f", (), (), ()), Function("f", (), (), ()))),
        "module m has two functions of one name",
    ),
    "two keys": (
        module_of(parameters=(Parameter(Role.KEY, value("a", DType.I32)), Parameter(Role.KEY, value("b", DType.I32)))),
        "@f has more than one key",
    ),
    "two results of one role and name": (
        module_of(results=(Result(Role.OUTPUT, "y", ROW), Result(Role.OUTPUT, "y", ROW))),
        "@f has two results of one role and name",
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_broken_data(name: str) -> None:
    module, message = DATA[name]
    shown = refused(module)
    assert shown == message or shown.startswith(message if message.endswith(("\n", "{")) else f"{message}\n")


def test_one_name_may_stand_for_results_of_different_roles() -> None:
    verify(module_of(results=(Result(Role.OUTPUT, "y", ROW), Result(Role.RESIDUAL, "y", ROW))))


# Parameters and results

F32, I32, I1 = DType.F32, DType.I32, DType.I1
ALLOWED: Mapping[Role, list[Type]] = {
    Role.INPUT: [
        TensorType(F32, (BATCH, 4)),
        TensorType(F32, (BATCH, Name("time"), 4)),
        TensorType(F32, (BATCH, 7, 4)),
        TensorType(I32, (BATCH, Name("time"), 1)),
        TensorType(I32, (BATCH, 1)),
    ],
    Role.COTANGENT: [TensorType(F32, (BATCH, 4)), TensorType(DType.F64, (BATCH, Name("time"), 4))],
    Role.MASK: [TensorType(I1, (BATCH, Name("time"))), TensorType(I1, (BATCH, 7))],
    Role.WEIGHT: [TensorType(F32, (4,)), TensorType(DType.F64, (4, 6)), TensorType(F32, ())],
    Role.KEY: [TensorType(I32, ())],
    Role.RESIDUAL: [TensorType(F32, (TOKENS, 4)), TensorType(I32, (BATCH, 1)), IndexType(BATCH, Name("time"), TOKENS)],
}
FORBIDDEN: Mapping[Role, list[Type]] = {
    Role.INPUT: [
        TensorType(F32, (4,)),
        TensorType(F32, (3, 4)),
        TensorType(F32, (BATCH,)),
        TensorType(F32, (BATCH, Name("time"))),
        TensorType(F32, (BATCH, Name("time"), 4, 4)),
        TensorType(I32, (BATCH, Name("time"), 2)),
        TensorType(I32, (BATCH, 2)),
        TensorType(I1, (BATCH, 4)),
    ],
    Role.COTANGENT: [TensorType(I32, (BATCH, Name("time"), 1)), TensorType(F32, (4, 4))],
    Role.MASK: [TensorType(F32, (BATCH, Name("time"))), TensorType(I1, (BATCH, Name("time"), 1)), TensorType(I1, (3, 4))],
    Role.WEIGHT: [TensorType(F32, (BATCH, 4)), TensorType(I32, (4, 1))],
    Role.KEY: [TensorType(F32, ()), TensorType(I32, (1,))],
}


@pytest.mark.parametrize(("role", "type_"), [(role, type_) for role, types in ALLOWED.items() for type_ in types], ids=str)
def test_parameters(role: Role, type_: Type) -> None:
    verify(module_of(parameters=(Parameter(role, Value("a", type_)),)))


@pytest.mark.parametrize(("role", "type_"), [(role, type_) for role, types in FORBIDDEN.items() for type_ in types], ids=str)
def test_forbidden_parameters(role: Role, type_: Type) -> None:
    shown = refused(module_of(parameters=(Parameter(role, Value("a", type_)),)))
    assert shown == f"in @f: a parameter that is {role.value} can't be {type_}\nparameter {role.value} %a: {type_}"


@pytest.mark.parametrize("role", [Role.INPUT, Role.WEIGHT, Role.MASK, Role.KEY, Role.COTANGENT])
def test_only_a_residual_may_be_an_index(role: Role) -> None:
    shown = refused(module_of(parameters=(Parameter(role, Value("a", PLACE.type)),)))
    assert shown.startswith(f"in @f: a parameter that is {role.value} must be a tensor, not index[batch, time, tokens]\n")


def test_roles() -> None:
    for role in (Role.OUTPUT, Role.GRADIENT):
        assert refused(module_of(parameters=(Parameter(role, ROW),))).startswith(f"in @f: a parameter can't be {role.value}\n")
    for role in (Role.INPUT, Role.MASK, Role.WEIGHT, Role.KEY, Role.COTANGENT):
        assert refused(module_of(results=(Result(role, "y", ROW),))).startswith(f"in @f: a result can't be {role.value}\n")


@pytest.mark.parametrize("role", [Role.OUTPUT, Role.GRADIENT])
def test_results_are_float_tensors(role: Role) -> None:
    assert refused(module_of(results=(Result(role, "y", PLACE),))).startswith(
        f"in @f: a result that is {role.value} must be a tensor, not index[batch, time, tokens]\n"
    )
    assert refused(module_of(results=(Result(role, "y", MASK),))).startswith(
        f"in @f: a result that is {role.value} must be float, not i1[batch, time]\n"
    )
    verify(module_of(results=(Result(Role.RESIDUAL, "y", MASK), Result(Role.RESIDUAL, "i", PLACE))))


def test_expected_types_are_what_is_declared() -> None:
    assert expected_types(SCAN) == (FINAL.type,)
    assert expected_types(Constant(ROW, math.nan)) == (ROW.type,)
