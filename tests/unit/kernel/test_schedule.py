"""The scheduler at its edges: matrices, what is prepared once, levels, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnspec.contract.dimensions import BATCH, Dim, Name
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import BinaryKind, Function, UnaryKind, Value
from rnnspec.ir.parser import parse_module
from rnnspec.ir.types import DType, TensorType
from rnnspec.ir.verify import verify
from rnnspec.kernel.analysis import analyse
from rnnspec.kernel.cpu.tiles import CpuTiling
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import (
    Buffer,
    ColumnReduce,
    Contract,
    FusedLoop,
    KernelFunction,
    Load,
    Map,
    PackPanels,
    RowReduce,
    ScanLoop,
    Store,
)
from rnnspec.kernel.op_class import OpClass, form_of, is_storable, matrix
from rnnspec.kernel.schedule import schedule
from rnnspec.kernel.target import AVX2


def parsed(text: str) -> Function:
    module = parse_module(f"module m\n{text}")
    verify(module)
    return module.functions[0]


def scheduled(text: str, offsets: dict[str, int] | None = None) -> tuple[KernelFunction, KernelFunction]:
    function = parsed(text)
    known = {parameter.value.name: 0 for parameter in function.parameters} if offsets is None else offsets
    kernels = schedule(function, CpuTiling(AVX2), known)
    return kernels.prepare, kernels.function


def maps(function: KernelFunction) -> list[object]:
    """The kinds of the elementwise operations in a function's nests."""
    bodies = [nest.node.body for nest in nests_of(function) if isinstance(nest.node, FusedLoop | RowReduce | ColumnReduce)]
    return [statement.kind for body in bodies for statement in body if isinstance(statement, Map)]


def value(*shape: Dim, dtype: DType = DType.F32) -> Value:
    return Value("v", TensorType(dtype, shape))


MATRICES = [
    (value(), (1, 1)),
    (value(5), (1, 5)),
    (value(BATCH, 5), (BATCH, 5)),
    (value(2, 5), (2, 5)),
    (value(BATCH, Name("time"), 5), (BATCH * Name("time"), 5)),
    (value(BATCH, 4, 5), (BATCH * 4, 5)),
]


@pytest.mark.parametrize(("given", "expected"), MATRICES, ids=lambda given: str(getattr(given, "type", given)))
def test_every_tensor_is_a_matrix(given: Value, expected: tuple[Dim, int]) -> None:
    assert matrix(given) == expected


def test_what_is_no_matrix() -> None:
    with pytest.raises(InternalError, match="%v: the width `time` isn't fixed"):
        matrix(value(BATCH, Name("time")))
    with pytest.raises(InternalError, match="no matrix has the shape"):
        matrix(value(2, 3, 4))
    assert not is_storable(value(BATCH, 5, dtype=DType.I1))


SIMPLE = """
func @f(input %x: f32[batch, 4], weight %w: f32[4, 4], weight %b: f32[4]) {
  %0 = neg %w : f32[4, 4]
  %2 = broadcast %b : f32[batch, 4]
  %3 = matmul %x, %0 from %2 : f32[batch, 4]
  %4 = exp %3 : f32[batch, 4]
  return output "y" %4
}
"""


def test_what_depends_on_weights_alone_is_prepared_once() -> None:
    prepare, function = scheduled(SIMPLE)
    assert [type(node) for node in prepare.nodes] == [FusedLoop, PackPanels]
    assert [type(node) for node in function.nodes] == [FusedLoop]
    (stage,) = function.nodes
    assert isinstance(stage, FusedLoop)
    (contract,) = (statement for statement in stage.body if isinstance(statement, Contract))
    assert contract.inits == ("b",), "the accumulator starts from the bias"
    assert prepare.buffer("0").space is Space.PREPARED


def test_weights_stand_at_their_offsets() -> None:
    prepare, function = scheduled(SIMPLE, {"w": 10, "b": 26})
    assert prepare.buffer("w").offset == 10
    assert function.buffer("b").offset == 26
    assert function.buffer("b") == Buffer("b", Space.WEIGHT, DType.F32, 1, 4, 26)


def test_each_function_of_a_module_has_its_prepare_function_before_it() -> None:
    module = schedule(parsed(SIMPLE), CpuTiling(AVX2), {"w": 0, "b": 16}).module
    assert [function.name for function in module.functions] == ["f.prepare", "f"]
    with pytest.raises(KeyError):
        module.functions[0].buffer("unknown")


def test_costly_values_that_two_stages_need_are_stored_once() -> None:
    _, function = scheduled("""
func @f(input %x: f32[batch, 8], weight %w: f32[8, 3]) {
  %0 = tanh %x : f32[batch, 8]
  %1 = matmul %0, %w : f32[batch, 3]
  %2 = neg %0 : f32[batch, 8]
  return output "y" %1, output "z" %2
}
""")
    assert maps(function).count(UnaryKind.TANH) == 1
    stages = [node for node in function.nodes if isinstance(node, FusedLoop)]
    assert sum(isinstance(statement, Store) for stage in stages for statement in stage.body) == 3


def test_cheap_values_that_two_stages_need_are_computed_in_each() -> None:
    _, function = scheduled("""
func @f(input %x: f32[batch, 8], weight %w: f32[8, 3]) {
  %0 = tanh %x : f32[batch, 8]
  %1 = neg %0 : f32[batch, 8]
  %2 = exp %1 : f32[batch, 8]
  %3 = reduce_sum %2 {axis = 1} : f32[batch, 1]
  %4 = broadcast %3 : f32[batch, 8]
  %5 = mul %1, %4 : f32[batch, 8]
  return output "y" %5
}
""")
    assert maps(function).count(UnaryKind.NEG) == 2
    assert maps(function).count(UnaryKind.TANH) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_what_costs_once_a_row_is_computed_in_the_reduction(axis: int) -> None:
    """A root of each row; one of each element is stored before."""
    result = "f32[batch, 1]" if axis else "f32[8]"
    _, of_rows = scheduled(f"""
func @f(input %x: f32[batch, 8], input %r: f32[batch, 1]) {{
  %0 = sqrt %r : f32[batch, 1]
  %1 = broadcast %0 : f32[batch, 8]
  %2 = mul %x, %1 : f32[batch, 8]
  %3 = reduce_sum %2 {{axis = {axis}}} : {result}
  return output "y" %3
}}
""")
    assert not any(isinstance(node, FusedLoop) and node.units == 8 and node.rows != 1 for node in of_rows.nodes)
    _, of_elements = scheduled(f"""
func @f(input %x: f32[batch, 8]) {{
  %0 = sqrt %x : f32[batch, 8]
  %1 = mul %x, %0 : f32[batch, 8]
  %2 = reduce_sum %1 {{axis = {axis}}} : {result}
  return output "y" %2
}}
""")
    assert any(isinstance(node, FusedLoop) and node.units == 8 and node.rows == BATCH for node in of_elements.nodes)


def test_a_result_under_two_names_is_computed_once_and_stored_twice() -> None:
    _, function = scheduled("""
func @f(input %x: f32[batch, 8]) {
  %0 = tanh %x : f32[batch, 8]
  return output "y" %0, output "z" %0, output "copy" %x
}
""")
    stages = [node for node in function.nodes if isinstance(node, FusedLoop)]
    stored = [statement.access.buffer for stage in stages for statement in stage.body if isinstance(statement, Store)]
    assert sorted(stored) == ["output.copy", "output.y", "output.z"]
    assert maps(function).count(UnaryKind.TANH) == 1


def test_parts_of_a_joint_value_are_one_stage_of_their_own_width() -> None:
    """A concatenation that a matmul reads whole is written part by part."""
    _, function = scheduled("""
func @f(input %x: f32[batch, 4], weight %w: f32[8, 3]) {
  %0 = tanh %x : f32[batch, 4]
  %1 = exp %x : f32[batch, 4]
  %2 = concat %0, %1 {axis = 1} : f32[batch, 8]
  %3 = matmul %2, %w : f32[batch, 3]
  return output "y" %3
}
""")
    parts, product = function.nodes
    assert isinstance(parts, FusedLoop) and isinstance(product, FusedLoop)
    assert (parts.units, product.units) == (4, 3)
    assert [statement.access.column for statement in parts.body if isinstance(statement, Store)] == [0, 4]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("%1 = split %x {axis = 1} : f32[batch, 8]", OpClass.POINTWISE),
        ("%1 = split %w {axis = 0} : f32[4, 3], f32[4, 3]", OpClass.VIEW),
        ("%1 = concat %x, %x {axis = 1} : f32[batch, 16]", OpClass.POINTWISE),
        ("%1 = concat %w, %w {axis = 0} : f32[16, 3]", OpClass.NODE),
        ("%1 = matmul %x, %w : f32[batch, 3]", OpClass.LEAF),
        ("%1 = matmul transpose %x, %x : f32[8, 8]", OpClass.NODE),
        ("%1 = reshape %b : f32[1, 3]", OpClass.POINTWISE),
        ("%1 = reshape %b : f32[3, 1]", OpClass.VIEW),
        ("%1 = reduce_sum %x {axis = 1} : f32[batch, 1]", OpClass.NODE),
    ],
)
def test_forms(text: str, form: OpClass) -> None:
    names = "%1, %2" if text.count("f32[") == 2 and "split" in text else "%1"
    function = parsed(
        "func @f(input %x: f32[batch, 8], weight %w: f32[8, 3], weight %b: f32[3]) {\n"
        + text.replace("%1", names, 1)
        + '\nreturn output "y" %1\n}'
    )
    assert form_of(function.operations[0]) is form


def test_levels_count_the_waits_before_a_value() -> None:
    function = parsed("""
func @f(input %x: f32[batch, 8], weight %w: f32[8, 8]) {
  %a = exp %x : f32[batch, 8]
  %b = matmul %a, %w : f32[batch, 8]
  %c = exp %b : f32[batch, 8]
  %d = matmul %c, %w : f32[batch, 8]
  return output "y" %d
}
""")
    stored = [parameter.value for parameter in function.parameters]
    analysis = analyse(function.operations, stored, [function.results[0].value], panels_wait=False)
    levels = {found.name: level for found, level in analysis.level.items()}
    assert levels == {"x": 0, "w": 0, "a": 0, "b": 1, "c": 1, "d": 2}
    assert [root.name for root in analysis.roots] == ["a", "c", "d"]


# What it refuses


def no_float() -> None:
    scheduled("func @f(input %x: i32[batch, time, 1], mask %m: i1[batch, time]) {\nreturn \n}")


def sums_in_a_scan() -> None:
    scheduled("""
func @f(input %x: f32[batch, time, 4], mask %m: i1[batch, time]) {
  %i = index %m : index[batch, time, tokens]
  %p = pack %x, %i : f32[tokens, 4]
  %s = scan %i {reverse = false} carry() over(%step = %p) {
    %0 = reduce_sum %step {axis = 0} : f32[4]
    yield carry() stack() sum(%0)
  } : f32[4]
  return output "y" %s
}
""")


def two_transposed_sides() -> None:
    scheduled("""
func @f(input %x: f32[batch, 4], weight %w: f32[3, 3]) {
  %0 = matmul transpose %w, transpose %w : f32[3, 3]
  return output "y" %0
}
""")


def ids_of_a_step() -> None:
    scheduled("""
func @f(input %x: i32[batch, time, 1], mask %m: i1[batch, time], weight %table: f32[6, 4]) {
  %i = index %m : index[batch, time, tokens]
  %p = pack %x, %i : i32[tokens, 1]
  %s = scan %i {reverse = false} carry() over(%step = %p) {
    %0 = take %table, %step : f32[rows, 4]
    yield carry() stack(%0) sum()
  } : f32[tokens, 4]
  return output "y" %s
}
""")


def a_right_side_that_is_computed() -> None:
    scheduled("""
func @f(input %x: f32[batch, 4], weight %w: f32[4, 4]) {
  %0 = matmul transpose %x, %x : f32[4, 4]
  %1 = matmul %x, %0 : f32[batch, 4]
  return output "y" %1
}
""")


REFUSED: list[tuple[Callable[[], None], str]] = [
    (no_float, "@f has no float at all"),
    (sums_in_a_scan, "hoist_weight_gradients must run first"),
    (two_transposed_sides, "%0: a matmul of two transposed sides"),
    (a_right_side_that_is_computed, "0: the right side of a contraction isn't made of weights alone"),
    (ids_of_a_step, "%step: ids must be all rows of a buffer"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[build.__name__ for build, _ in REFUSED])
def test_refused(build: Callable[[], None], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        build()


def test_conditions_that_look_like_masks_are_kept() -> None:
    """Of the shape [batch, fixed], as a mask of fixed time, but made of comparisons."""
    _, function = scheduled("""
func @f(input %x: f32[batch, 4]) {
  %0 = lt %x, %x : i1[batch, 4]
  %1 = and %0, %0 : i1[batch, 4]
  %2 = neg %x : f32[batch, 4]
  %3 = select %1, %x, %2 : f32[batch, 4]
  return output "y" %3
}
""")
    assert maps(function).count(BinaryKind.AND) == 1


def test_masks_and_the_index_are_the_caller_s() -> None:
    _, function = scheduled("""
func @f(input %x: f32[batch, time, 4], mask %m: i1[batch, time]) {
  %0 = mask %x {value = 0.0} : i1[batch, time]
  %1 = and %0, %m : i1[batch, time]
  %i = index %1 : index[batch, time, tokens]
  %p = pack %x, %i : f32[tokens, 4]
  %fill = constant {value = 0.0} : f32[1, 4]
  %u = unpack %p, %fill, %i {hold = true, flip = false} : f32[batch, time, 4]
  return output "y" %u
}
""")
    assert {buffer.name for buffer in function.buffers if buffer.space is Space.INDEX} == {"index.source", "index.shown_hold"}
    assert not any(isinstance(node, ScanLoop) for node in function.nodes)


NARROW = """
func @f(input %x: f32[batch, 4], input %g: f32[batch, 3]) {
  %a, %b, %c = split %g {axis = 1} : f32[batch, 1], f32[batch, 1], f32[batch, 1]
  %both = concat %c, %b {axis = 1} : f32[batch, 2]
  %d, %e = split %both {axis = 1} : f32[batch, 1], f32[batch, 1]
  %0 = broadcast %b : f32[batch, 4]
  %1 = mul %x, %0 : f32[batch, 4]
  %2 = tanh %d : f32[batch, 1]
  %3 = broadcast %2 : f32[batch, 4]
  %4 = add %1, %3 : f32[batch, 4]
  return output "y" %4
}
"""


def test_a_part_that_stands_for_a_row_is_an_element_at_its_column() -> None:
    """A part of what lies in memory, and a part of parts that were put together, which then are nowhere."""
    _, function = scheduled(NARROW)
    (stage,) = function.nodes
    assert isinstance(stage, FusedLoop)
    loads = {
        (statement.access.buffer, statement.access.column, statement.access.splat)
        for statement in stage.body
        if isinstance(statement, Load)
    }
    assert loads == {("input.x", 0, False), ("input.g", 1, True), ("input.g", 2, True)}


REDUCED = """
func @f(input %x: f32[batch, 2], input %y: f32[batch, 3], weight %w: f32[5, 4], weight %v: f32[5, 1]) {
  %both = concat %x, %y {axis = 1} : f32[batch, 5]
  %0 = matmul %both, %w : f32[batch, 4]
  %1 = mul %both, %both : f32[batch, 5]
  %2 = reduce_sum %1 {axis = 1} : f32[batch, 1]
  %3 = broadcast %2 : f32[batch, 4]
  %4 = matmul %both, %v : f32[batch, 1]
  %6 = broadcast %4 : f32[batch, 4]
  %7 = mul %0, %3 : f32[batch, 4]
  %8 = add %7, %6 : f32[batch, 4]
  return output "y" %8
}
"""


def test_a_reduction_waits_for_a_concatenation_that_is_stored_for_another_s_sake() -> None:
    """A matmul's left side: the reduction of its squares comes after it, not beside it. What is repeated waits for its own product."""
    _, function = scheduled(REDUCED)
    assert [type(node) for node in function.nodes] == [FusedLoop, FusedLoop, FusedLoop, RowReduce, FusedLoop]
    _, _, _, reduction, last = function.nodes
    assert isinstance(reduction, RowReduce) and isinstance(last, FusedLoop)
    assert [statement.access.buffer for statement in reduction.body if isinstance(statement, Load)] == ["both"]
    assert [(load.access.buffer, load.access.splat) for load in last.body if isinstance(load, Load)] == [("2", True), ("4", True)]
