"""The builder: inferred types, fresh names, and what it refuses at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from rnnspec.contract.dimensions import BATCH, ROWS, TOKENS, Name
from rnnspec.diagnostics import InternalError
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import common_shape
from rnnspec.ir.names import Names
from rnnspec.ir.ops import (
    BinaryKind,
    Compare,
    CompareKind,
    Constant,
    Function,
    Matmul,
    ReduceKind,
    Region,
    Result,
    Role,
    Scan,
    UnaryKind,
    Value,
)
from rnnspec.ir.traverse import defined_values, results_of, walk
from rnnspec.ir.types import Dim, DType, IndexType, TensorType
from rnnspec.ir.verify import expected_types, verify_function
from tests.unit.ir.drawn import functions


def f32(*shape: Dim) -> TensorType:
    return TensorType(DType.F32, shape)


class Given:
    """A builder with parameters of every sort."""

    def __init__(self) -> None:
        self.b = Builder()
        self.x = self.b.parameter(Role.INPUT, "x", f32(BATCH, Name("time"), 4))
        self.mask = self.b.parameter(Role.MASK, "m", TensorType(DType.I1, (BATCH, Name("time"))))
        self.ids = self.b.parameter(Role.RESIDUAL, "ids", TensorType(DType.I32, (BATCH, 1)))
        self.row = self.b.parameter(Role.INPUT, "row", f32(BATCH, 4))
        self.w = self.b.parameter(Role.WEIGHT, "w", f32(4, 6))
        self.v = self.b.parameter(Role.WEIGHT, "v", f32(6))
        self.key = self.b.parameter(Role.KEY, "key", TensorType(DType.I32, ()))
        self.index = self.b.index(self.mask, name="i")
        self.packed = self.b.pack(self.x, self.index, "p")
        self.fill = self.b.constant(0.0, f32(1, 4), "fill")


INFERRED: list[tuple[Callable[[Given], Value], TensorType | IndexType]] = [
    (lambda g: g.b.constant(2, f32(BATCH, 3)), f32(BATCH, 3)),
    (lambda g: g.b.constant_like(2, g.row), f32(BATCH, 4)),
    (lambda g: g.b.positions(7, DType.F32), f32(7)),
    (lambda g: g.b.unary(UnaryKind.TANH, g.row), f32(BATCH, 4)),
    (lambda g: g.b.binary(BinaryKind.MAX, g.row, g.row), f32(BATCH, 4)),
    (lambda g: g.b.compare(CompareKind.LE, g.row, g.row), TensorType(DType.I1, (BATCH, 4))),
    (lambda g: g.b.select(g.b.compare(CompareKind.EQ, g.v, g.v), g.v, g.v), f32(6)),
    (lambda g: g.b.and_(g.mask, g.mask), TensorType(DType.I1, (BATCH, Name("time")))),
    (lambda g: g.b.broadcast(g.v, (BATCH, 6)), f32(BATCH, 6)),
    (lambda g: g.b.reshape(g.v, (6, 1)), f32(6, 1)),
    (lambda g: g.b.split(g.row, [1, 3], 1)[1], f32(BATCH, 3)),
    (lambda g: g.b.split(g.w, 3, 1)[2], f32(4, 2)),
    (lambda g: g.b.concat([g.row, g.row], 1), f32(BATCH, 8)),
    (lambda g: g.b.matmul(g.row, g.w), f32(BATCH, 6)),
    (lambda g: g.b.matmul(g.row, g.row, transpose_left=True), f32(4, 4)),
    (lambda g: g.b.matmul(g.w, g.w, transpose_right=True), f32(4, 4)),
    (lambda g: g.b.reduce(ReduceKind.MIN, g.row, 1), f32(BATCH, 1)),
    (lambda g: g.b.reduce_sum(g.row, 0), f32(4)),
    (lambda g: g.b.reduce_max(g.v, 0), f32(1)),
    (lambda g: g.b.take(g.w, g.ids), f32(BATCH, 6)),
    (lambda g: g.b.scatter_add(g.ids, g.row, 9), f32(9, 4)),
    (lambda g: g.b.random(g.key, 1, f32(BATCH, 4)), f32(BATCH, 4)),
    (lambda g: g.b.mask(g.x, 0), TensorType(DType.I1, (BATCH, Name("time")))),
    (lambda g: g.b.index(g.mask, Name("others")), IndexType(BATCH, Name("time"), Name("others"))),
    (lambda g: g.b.distinct(g.ids, 9, Name("others")), IndexType(1, 9, Name("others"))),
    (lambda g: g.b.distinct_ids(g.b.distinct(g.ids, 9, Name("others"))), TensorType(DType.I32, (Name("others"), 1))),
    (lambda g: g.b.places(g.ids, g.b.distinct(g.ids, 9, Name("others"))), TensorType(DType.I32, (BATCH, 1))),
    (lambda g: g.packed, f32(TOKENS, 4)),
    (lambda g: g.b.unpack(g.packed, g.fill, g.index, hold=True, flip=False), f32(BATCH, Name("time"), 4)),
    (lambda g: g.b.pack_sum(g.x, g.index, hold=True, flip=True), f32(TOKENS, 4)),
    (lambda g: g.b.fill_sum(g.x, g.index, hold=True, flip=True), f32(1, 4)),
    (lambda g: g.b.sort_rows(g.row, g.index), f32(BATCH, 4)),
    (lambda g: g.b.restore_rows(g.row, g.index), f32(BATCH, 4)),
]


@pytest.mark.parametrize(("build", "type_"), INFERRED, ids=[f"{number}-{type_}" for number, (_, type_) in enumerate(INFERRED)])
def test_types(build: Callable[[Given], Value], type_: TensorType | IndexType) -> None:
    given_ = Given()
    value = build(given_)
    assert value.type == type_
    verify_function(given_.b.function("f", []))


UNARY_METHODS = [kind.value for kind in UnaryKind if hasattr(Builder, kind.value)]
BINARY_METHODS = [kind.value for kind in BinaryKind if hasattr(Builder, kind.value)]
COMPARE_METHODS = {"less": CompareKind.LT, "greater": CompareKind.GT, "greater_equal": CompareKind.GE, "equal": CompareKind.EQ}
"""Those that lowering and adjoints are written in have methods; any kind can be built by `unary`, `binary` and `compare`."""


def test_a_method_builds_the_kind_of_its_name() -> None:
    assert {"neg", "tanh", "sin", "cos", "stop_gradient"} <= set(UNARY_METHODS) and {"add", "pow", "min"} <= set(BINARY_METHODS)
    given_ = Given()
    for name, kind in COMPARE_METHODS.items():
        getattr(given_.b, name)(given_.row, given_.row)
        built = given_.b.operations[-1]
        assert isinstance(built, Compare) and built.kind is kind
    for name in UNARY_METHODS:
        getattr(given_.b, name)(given_.row, name)
    for name in BINARY_METHODS:
        getattr(given_.b, name)(given_.row, given_.row, name)
    built = [operation for operation in given_.b.operations if results_of(operation)[0].name in (*UNARY_METHODS, *BINARY_METHODS)]
    assert [operation.kind.value for operation in built if hasattr(operation, "kind")] == [*UNARY_METHODS, *BINARY_METHODS]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(functions())
def test_what_is_inferred_is_what_the_verifier_wants(function: Function) -> None:
    verify_function(function)
    for operation in walk(function.operations):
        assert tuple(result.type for result in results_of(operation)) == expected_types(operation)
    names = [value.name for value in defined_values(function)]
    assert len(set(names)) == len(names)


# Names


def test_names_are_numbers_or_hints_made_unique() -> None:
    names = Names(["taken", "2"])
    assert [names.fresh() for _ in range(4)] == ["0", "1", "3", "4"]
    assert [names.fresh("h") for _ in range(3)] == ["h", "h_1", "h_2"]
    assert names.fresh("taken") == "taken_1"
    assert [names.fresh("h_3"), names.fresh("h"), names.fresh("h")] == ["h_3", "h_4", "h_5"]


def test_names_of_a_function_are_those_of_its_regions_too() -> None:
    given_ = Given()
    inner = given_.b.scan(given_.index, [given_.row], [given_.packed], carried_names=["h"], slice_names=["step"])
    inner.finish([inner.add(inner.carried[0], inner.slices[0], "sum")], final_names=["last"])
    names = Names.of(given_.b.function("f", []))
    assert [names.fresh(hint) for hint in ("x", "h", "step", "sum", "last", "new")] == ["x_1", "h_1", "step_1", "sum_1", "last_1", "new"]


def test_parameters_keep_their_exact_names() -> None:
    builder = Builder()
    builder.parameter(Role.INPUT, "x", f32(BATCH, 4))
    with pytest.raises(InternalError, match="two values are named %x"):
        builder.parameter(Role.INPUT, "x", f32(BATCH, 4))


def test_a_function_is_what_was_built() -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", f32(BATCH, 4))
    y = builder.neg(x, "y")
    function = builder.function("f", [Result(Role.OUTPUT, "y", y)])
    assert [parameter.value for parameter in function.parameters] == [x]
    assert function.operations == builder.operations
    assert function.results == (Result(Role.OUTPUT, "y", y),)


# Conveniences


def test_constants_are_floats() -> None:
    builder = Builder()
    builder.constant(1, f32())
    builder.constant_like(True, builder.constant(0, f32(3)))
    assert [repr(operation.value) for operation in builder.operations if isinstance(operation, Constant)] == ["1.0", "0.0", "1.0"]


def test_broadcast_to_leaves_what_has_the_shape() -> None:
    given_ = Given()
    before = given_.b.operations
    assert given_.b.broadcast_to(given_.row, (BATCH, 4)) is given_.row
    assert given_.b.operations == before
    assert given_.b.broadcast_to(given_.v, (BATCH, 6)).type == f32(BATCH, 6)


def test_broadcast_together() -> None:
    given_ = Given()
    one = given_.b.constant(1.0, f32(BATCH, 1))
    vector = given_.b.constant(1.0, f32(4))
    left, middle, right = given_.b.broadcast_together(one, vector, given_.row)
    assert left.type == middle.type == right.type == f32(BATCH, 4)
    assert right is given_.row


@pytest.mark.parametrize(
    ("shapes", "common"),
    [
        ([(4,), (BATCH, 1)], (BATCH, 4)),
        ([(), (3, 1), (5,)], (3, 5)),
        ([(1, 1), (ROWS, 1)], (ROWS, 1)),
        ([(BATCH, 4), (BATCH, 4)], (BATCH, 4)),
    ],
)
def test_common_shape(shapes: list[tuple[Dim, ...]], common: tuple[Dim, ...]) -> None:
    assert common_shape(shapes) == common
    assert common_shape(shapes[::-1]) == common


def test_matmul_keeps_its_transpositions() -> None:
    given_ = Given()
    given_.b.matmul(given_.w, given_.w, transpose_right=True)
    matmul = given_.b.operations[-1]
    assert isinstance(matmul, Matmul)
    assert (matmul.transpose_left, matmul.transpose_right) == (False, True)


# Scans


def test_a_scan() -> None:
    given_ = Given()
    inner = given_.b.scan(given_.index, [given_.row], [given_.packed], reverse=True, carried_names=["h"], slice_names=["step"])
    (h,), (step,) = inner.carried, inner.slices
    assert (h, step) == (Value("h", f32(ROWS, 4)), Value("step", f32(ROWS, 4)))
    after = inner.add(h, step, "after")
    total = inner.reduce_sum(after, 0, "total")
    scan = inner.finish([after], [after], [total], final_names=["last"], stack_names=["all"], sum_names=["sum"])
    assert given_.b.operations[-1] is scan
    assert scan.finals == (Value("last", f32(BATCH, 4)),)
    assert scan.stacks == (Value("all", f32(TOKENS, 4)),)
    assert scan.sums == (Value("sum", f32(4)),)
    assert (scan.inits, scan.sequences, scan.reverse) == ((given_.row,), (given_.packed,), True)
    assert isinstance(scan, Scan) and isinstance(scan.region, Region)
    assert scan.region.operations == inner.operations
    verify_function(given_.b.function("f", []))


def test_a_region_shares_the_function_s_names() -> None:
    given_ = Given()
    inner = given_.b.scan(given_.index, [given_.row], [], carried_names=["x"])
    assert inner.carried[0].name == "x_1"
    assert inner.neg(inner.carried[0], "p").name == "p_1"


REFUSED: list[tuple[Callable[[Given], object], str]] = [
    (lambda g: g.b.add(g.row, g.v), "the sides of add differ: f32[batch, 4] and f32[6]"),
    (lambda g: g.b.split(g.row, 3, 1), "split of f32[batch, 4] along axis 1 into 3 equal parts"),
    (lambda g: g.b.split(g.row, 0, 1), "split of f32[batch, 4] along axis 1 into 0 equal parts"),
    (lambda g: g.b.split(g.row, 2, 0), "split of f32[batch, 4] along axis 0 into 2 equal parts"),
    (lambda g: g.b.split(g.row, [], 1), "split of f32[batch, 4] along axis 1 into []"),
    (lambda g: g.b.concat([], 0), "concat of nothing"),
    (lambda g: g.b.index(g.mask, "time"), "the tokens of an index need a name of their own, not time"),
    (lambda g: g.b.index(g.row), "index takes i1 [batch, time], not f32[batch, 4]"),
    (lambda g: g.b.scan(g.row, [], []), "must be an index, not f32[batch, 4]"),
    (lambda g: g.b.scan(g.index, [g.packed], []), "an init must be [batch, w], not f32[tokens, 4]"),
    (lambda g: g.b.scan(g.index, [], [g.row]), "a sequence must be [tokens, w], not f32[batch, 4]"),
    (lambda g: g.b.scan(g.index, [], []).scan(g.index, [], []).finish([]), "a scan inside a scan's region"),
    (
        lambda g: g.b.scan(g.index, [g.row], []).finish([g.packed]),
        "a scan's carried values change their types: from f32[rows, 4] to f32[tokens, 4]",
    ),
    (lambda g: g.b.scan(g.index, [g.row], []).finish([]), "a scan's carried values change their types: from f32[rows, 4] to "),
    (lambda g: g.b.scan(g.index, [], []).finish([], [g.row]), "a stacked value must be [rows, w], not f32[batch, 4]"),
    (lambda g: g.b.broadcast_together(g.row, g.v), "shapes don't broadcast together: (batch, 4), (6,)"),
    (lambda g: g.b.tensor(g.index), "%i must be a tensor, not index[batch, time, tokens]"),
    (lambda g: g.b.constant_like(0.0, g.index), "%i must be a tensor, not index[batch, time, tokens]"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refused(build: Callable[[Given], object], message: str) -> None:
    with pytest.raises(InternalError) as caught:
        build(Given())
    assert message in str(caught.value.args[0])
