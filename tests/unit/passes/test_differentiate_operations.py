"""Every operation's adjoint rule on its own, against central differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from rnnspec.contract.dimensions import BATCH, TOKENS, Name, Tokens, Windows, ceil_div
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import ZERO
from rnnspec.ir.ops import BinaryKind, CompareKind, Module, ReduceKind, Result, Role, UnaryKind, Value
from rnnspec.ir.types import DType, TensorType
from tests.unit.passes.gradient_check import MASK, check_gradients, differentiate, outputs, run_backward

F64 = DType.F64
ROW = TensorType(F64, (BATCH, 3))
MOVED = np.random.default_rng(7).uniform(0.4, 1.6, (len(MASK), 3))
"""Away from every kink and pole; far enough from each other for central differences."""


def module_of(output: Value, builder: Builder) -> Module:
    return Module("M", (builder.function("forward", [Result(Role.OUTPUT, "out", output)]),))


def of_row(make: Callable[[Builder, Value], Value]) -> Module:
    """One input row through `make`."""
    builder = Builder()
    return module_of(make(builder, builder.parameter(Role.INPUT, "x", ROW)), builder)


def of_rows(make: Callable[[Builder, Value, Value], Value]) -> Module:
    """Two input rows through `make`."""
    builder = Builder()
    left, right = (builder.parameter(Role.INPUT, name, ROW) for name in ("x", "y"))
    return module_of(make(builder, left, right), builder)


def of_weight(shape: tuple[int, ...], make: Callable[[Builder, Value], Value]) -> Module:
    """A weight of `shape` through `make`; an input tells the batch."""
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    made = make(builder, builder.parameter(Role.WEIGHT, "w", TensorType(F64, shape)))
    width = builder.tensor(made).shape[-1:]
    total = builder.reduce_sum(row, 1) if width == (1,) else row
    return module_of(builder.mul(builder.broadcast_to(made, builder.tensor(total).shape), total), builder)


def of_sequence(make: Callable[[Builder, Value, Value, Value], Value]) -> Module:
    """A sequence, its index and a weight [1, 2] through `make`, to a sequence."""
    builder = Builder()
    sequence = builder.parameter(Role.INPUT, "x", TensorType(F64, (BATCH, Name("time"), 2)))
    index = builder.index(builder.parameter(Role.MASK, "x.mask", TensorType(DType.I1, (BATCH, Name("time")))))
    weight = builder.parameter(Role.WEIGHT, "w", TensorType(F64, (1, 2)))
    return module_of(make(builder, sequence, index, weight), builder)


DIFFERENTIABLE = [kind for kind in UnaryKind if kind.row.adjoint is not ZERO]
OF_POSITIVE = (UnaryKind.SQRT, UnaryKind.LOG, UnaryKind.LOG1P)
ZERO_GRADIENT = [kind for kind in UnaryKind if kind.row.adjoint is ZERO and kind is not UnaryKind.STOP_GRADIENT]
OF_FLOATS = [kind for kind in BinaryKind if not kind.row.on_flags]


@pytest.mark.parametrize("kind", DIFFERENTIABLE)
def test_unary(kind: UnaryKind) -> None:
    gradient = check_gradients(of_row(lambda b, x: b.unary(kind, x)), arguments={"x": MOVED})["x"]
    assert np.all(gradient != 0.0)


@pytest.mark.parametrize("kind", [kind for kind in DIFFERENTIABLE if kind not in OF_POSITIVE])
def test_unary_of_negative_numbers(kind: UnaryKind) -> None:
    check_gradients(of_row(lambda b, x: b.unary(kind, x)), arguments={"x": -MOVED})


@pytest.mark.parametrize("kind", ZERO_GRADIENT)
def test_steps_have_zero_gradient(kind: UnaryKind) -> None:
    assert np.all(check_gradients(of_row(lambda b, x: b.unary(kind, x)), arguments={"x": MOVED + 0.03})["x"] == 0.0)


def test_which_rules_are_zero() -> None:
    """A row that says that it has no gradient must mean it."""
    assert ZERO_GRADIENT == [UnaryKind.SIGN, UnaryKind.FLOOR, UnaryKind.ROUND]
    assert [kind for kind in BinaryKind if kind.row.adjoint is ZERO] == [kind for kind in BinaryKind if kind.row.on_flags]


def test_stop_gradient_is_a_constant_to_the_gradient() -> None:
    gradients = gradient_of(of_rows(lambda b, x, y: b.mul(b.stop_gradient(y), x)), {"x": MOVED, "y": MOVED[::-1]})
    assert np.array_equal(gradients["x"], MOVED[::-1])
    assert np.all(gradients["y"] == 0.0)
    assert np.array_equal(gradient_of(of_row(lambda b, x: b.mul(b.stop_gradient(x), x)), {"x": MOVED})["x"], MOVED)


@pytest.mark.parametrize("kind", OF_FLOATS)
def test_binary(kind: BinaryKind) -> None:
    arguments = {"x": MOVED, "y": MOVED[::-1] + 0.07}
    gradients = check_gradients(of_rows(lambda b, x, y: b.binary(kind, x, y)), arguments=arguments)
    assert np.any(gradients["x"] != 0.0)
    assert np.any(gradients["y"] != 0.0)


@pytest.mark.parametrize("kind", [kind for kind in OF_FLOATS if kind not in (BinaryKind.MAX, BinaryKind.MIN)])
def test_binary_of_one_value_twice(kind: BinaryKind) -> None:
    check_gradients(of_row(lambda b, x: b.binary(kind, x, x)), arguments={"x": MOVED})


def test_relu_has_zero_gradient_at_zero() -> None:
    relu = of_row(lambda b, x: b.max(x, b.constant_like(0.0, x)))
    gradient = gradient_of(relu, {"x": np.array([[-1.0, 0.0, 2.0]] * len(MASK))})["x"]
    assert np.array_equal(gradient != 0.0, [[False, False, True]] * len(MASK))


@pytest.mark.parametrize("kind", [BinaryKind.MAX, BinaryKind.MIN])
def test_a_tie_goes_to_the_right(kind: BinaryKind) -> None:
    gradients = gradient_of(of_rows(lambda b, x, y: b.binary(kind, x, y)), {"x": MOVED, "y": MOVED})
    assert np.all(gradients["x"] == 0.0)
    assert np.all(gradients["y"] != 0.0)


def test_powers_at_a_base_of_zero_and_below() -> None:
    """As JAX has them: at 0 the exponent's gradient is 0 and the base's that of the power below; below 0 the exponent has none."""
    power = of_rows(lambda b, x, y: b.pow(x, y))
    bases, exponents = [0.0, 0.0, 0.0, -2.0, -2.0, -2.0], [3.0, 1.0, 0.5, 3.0, 2.0, 0.5]
    rows = [np.resize(np.array(values), (len(MASK), 3)) for values in (bases, exponents)]
    with np.errstate(all="ignore"):
        gradients = gradient_of(power, {"x": rows[0], "y": rows[1]})
    by_base = np.resize(np.array([0.0, 1.0, np.inf, 12.0, -4.0, np.nan]), (len(MASK), 3))
    by_exponent = np.resize(np.array([0.0, 0.0, 0.0, np.nan, np.nan, np.nan]), (len(MASK), 3))
    np.testing.assert_array_equal(gradients["x"], by_base)
    np.testing.assert_array_equal(gradients["y"], by_exponent)


@pytest.mark.parametrize("kind", list(CompareKind))
def test_select(kind: CompareKind) -> None:
    def chosen(b: Builder, x: Value, y: Value) -> Value:
        return b.select(b.compare(kind, x, y), b.mul(x, x), b.exp(y))

    check_gradients(of_rows(chosen), arguments={"x": MOVED, "y": MOVED[::-1] + 0.07})


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (1, 3)])
def test_broadcast_of_a_weight_to_rows(shape: tuple[int, ...]) -> None:
    check_gradients(of_weight(shape, lambda b, w: b.broadcast(w, (BATCH, 3))))


FIXED = [((), (3,)), ((1,), (3,)), ((), (1, 3)), ((3,), (1, 3)), ((1,), (1, 3)), ((1, 1), (1, 3)), ((3,), (3,)), ((1,), (1, 1))]


@pytest.mark.parametrize(("shape", "wide"), FIXED)
def test_broadcast_of_fixed_shapes(shape: tuple[int, ...], wide: tuple[int, ...]) -> None:
    check_gradients(of_weight(shape, lambda b, w: b.broadcast(w, wide)))


@pytest.mark.parametrize("shape", [(2, 1), (1, 3), (3,), (1,), ()])
def test_broadcast_to_a_fixed_matrix(shape: tuple[int, ...]) -> None:
    check_gradients(of_weight(shape, lambda b, w: b.reduce_sum(b.exp(b.broadcast(w, (2, 3))), 0)))


def test_broadcast_of_one_column() -> None:
    check_gradients(of_row(lambda b, x: b.exp(b.broadcast(b.reduce_sum(x, 1), (BATCH, 4)))))


@pytest.mark.parametrize(("shape", "reshaped"), [((3,), (1, 3)), ((1, 3), (3,)), ((3, 1), (3,)), ((), (1, 1))])
def test_reshape(shape: tuple[int, ...], reshaped: tuple[int, ...]) -> None:
    check_gradients(of_weight(shape, lambda b, w: b.exp(b.reshape(w, reshaped))))


def test_split_with_an_unused_part() -> None:
    def outer_parts(b: Builder, x: Value) -> Value:
        first, _, last = b.split(x, 3, 1)
        return b.mul(first, last)

    gradient = check_gradients(of_row(outer_parts))["x"]
    assert np.all(gradient[:, 1] == 0.0)


def test_split_along_rows_of_a_weight() -> None:
    def difference(b: Builder, w: Value) -> Value:
        first, second = b.split(w, 2, 0)
        return b.mul(first, b.exp(second))

    check_gradients(of_weight((2, 3), difference))


def test_concat_of_one_value_twice_and_a_constant() -> None:
    check_gradients(of_rows(lambda b, x, y: b.exp(b.concat([x, b.constant_like(1.0, x), y, x], 1))))


@pytest.mark.parametrize(("transpose_left", "transpose_right"), list(itertools.product([False, True], repeat=2)))
def test_matmul(transpose_left: bool, transpose_right: bool) -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    left = builder.parameter(Role.WEIGHT, "left", TensorType(F64, (2, 3) if transpose_left else (3, 2)))
    right = builder.parameter(Role.WEIGHT, "right", TensorType(F64, (4, 2) if transpose_right else (2, 4)))
    product = builder.matmul(left, right, transpose_left=transpose_left, transpose_right=transpose_right)
    check_gradients(module_of(builder.matmul(row, product), builder))


@pytest.mark.parametrize("transposed", [False, True])
def test_matmul_of_rows(transposed: bool) -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    weight = builder.parameter(Role.WEIGHT, "w", TensorType(F64, (4, 3) if transposed else (3, 4)))
    check_gradients(module_of(builder.matmul(row, weight, transpose_right=transposed), builder))


def test_matmul_from_a_value() -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    weight = builder.parameter(Role.WEIGHT, "w", TensorType(F64, (3, 3)))
    check_gradients(module_of(builder.matmul(row, weight, init=builder.exp(row)), builder))


def test_matmul_over_rows() -> None:
    def gram(b: Builder, x: Value) -> Value:
        return b.matmul(x, b.matmul(x, x, transpose_left=True))

    check_gradients(of_row(gram))


@pytest.mark.parametrize(("kind", "axis"), list(itertools.product(ReduceKind, [0, 1])))
def test_reduce(kind: ReduceKind, axis: int) -> None:
    check_gradients(of_row(lambda b, x: b.mul(x, b.broadcast(b.exp(b.reduce(kind, x, axis)), (BATCH, 3)))), arguments={"x": MOVED})


@pytest.mark.parametrize("kind", ReduceKind)
def test_reduce_of_a_vector(kind: ReduceKind) -> None:
    check_gradients(of_weight((3,), lambda b, w: b.exp(b.reduce(kind, w, 0))))


@pytest.mark.parametrize("kind", [ReduceKind.MAX, ReduceKind.MIN])
def test_tied_extrema_share_the_gradient(kind: ReduceKind) -> None:
    module = of_row(lambda b, x: b.reduce(kind, x, 1))
    sign = 1.0 if kind is ReduceKind.MAX else -1.0
    gradient = gradient_of(module, {"x": np.array([[sign * 2.0, 0.0, sign * 2.0]] * len(MASK))})["x"]
    assert np.all(gradient[:, 1] == 0.0)
    assert np.array_equal(gradient[:, 0], gradient[:, 2])
    assert np.allclose(gradient.sum(axis=1), gradient_of(module, {"x": MOVED})["x"].sum(axis=1))


def test_take_and_scatter_add() -> None:
    builder = Builder()
    ids = builder.parameter(Role.INPUT, "ids", TensorType(DType.I32, (BATCH, Name("time"), 1)))
    index = builder.index(builder.parameter(Role.MASK, "ids.mask", TensorType(DType.I1, (BATCH, Name("time")))))
    table = builder.parameter(Role.WEIGHT, "table", TensorType(F64, (4, 2)))
    packed = builder.pack(ids, index)
    collected = builder.scatter_add(packed, builder.exp(builder.take(table, packed)), 4)
    shown = builder.take(builder.exp(builder.mul(collected, builder.constant_like(0.1, collected))), packed)
    fill = builder.constant(0.0, TensorType(F64, (1, 2)))
    check_gradients(module_of(builder.unpack(shown, fill, index, hold=False, flip=False), builder))


def test_positions_are_constants() -> None:
    """What is picked by them gets the whole gradient."""
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    of_class = builder.parameter(Role.INPUT, "y", TensorType(F64, (BATCH, 1)))
    places = builder.broadcast(builder.positions(3, F64), (BATCH, 3))
    chosen = builder.equal(places, builder.broadcast(of_class, (BATCH, 3)))
    picked = builder.reduce_sum(builder.select(chosen, builder.exp(builder.mul(row, places)), builder.constant_like(0.0, row)), 1)
    classes = np.array([[2.0], [0.0], [1.0], [1.0], [2.0]])
    gradients = gradient_of(module_of(picked, builder), {"x": MOVED, "y": classes})
    places_of_units = np.arange(3.0)
    wanted = np.where(places_of_units == classes, places_of_units * np.exp(MOVED * places_of_units), 0.0)
    np.testing.assert_allclose(gradients["x"], wanted, rtol=1e-14)
    assert np.all(gradients["y"] == 0.0)


def test_random_and_its_mask_are_constants() -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    key = builder.parameter(Role.KEY, "key", TensorType(DType.I32, ()))
    drawn = builder.random(key, 3, ROW)
    kept = builder.compare(CompareKind.GE, drawn, builder.constant_like(0.5, drawn))
    dropped = builder.select(kept, builder.mul(builder.exp(row), drawn), builder.constant_like(0.0, row))
    gradient = check_gradients(module_of(dropped, builder), arguments={"key": np.array(11, np.int32)})["x"]
    assert np.any(gradient == 0.0)
    assert np.any(gradient != 0.0)


HOLD_AND_FLIP = list(itertools.product([False, True], repeat=2))


@pytest.mark.parametrize(("hold", "flip"), HOLD_AND_FLIP)
def test_pack_and_unpack(hold: bool, flip: bool) -> None:
    def shown(b: Builder, x: Value, index: Value, w: Value) -> Value:
        return b.unpack(b.exp(b.pack(x, index)), b.exp(w), index, hold=hold, flip=flip)

    assert np.all(check_gradients(of_sequence(shown))["x"][~MASK] == 0.0)


@pytest.mark.parametrize(("hold", "flip"), HOLD_AND_FLIP)
def test_pack_sum(hold: bool, flip: bool) -> None:
    def summed(b: Builder, x: Value, index: Value, w: Value) -> Value:
        return b.unpack(b.exp(b.pack_sum(x, index, hold=hold, flip=flip)), w, index, hold=False, flip=False)

    check_gradients(of_sequence(summed))


@pytest.mark.parametrize(("hold", "flip"), HOLD_AND_FLIP)
def test_fill_sum(hold: bool, flip: bool) -> None:
    def summed(b: Builder, x: Value, index: Value, w: Value) -> Value:
        fill = b.mul(w, b.fill_sum(x, index, hold=hold, flip=flip))
        zeros = b.constant(0.0, TensorType(F64, (TOKENS, 2)))
        return b.unpack(zeros, fill, index, hold=False, flip=False)

    check_gradients(of_sequence(summed))


def test_sort_and_restore_rows() -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    index = builder.index(builder.parameter(Role.MASK, "mask", TensorType(DType.I1, (BATCH, Name("time")))))
    ranked = builder.sort_rows(builder.mul(row, builder.sort_rows(row, index)), index)
    check_gradients(module_of(builder.restore_rows(builder.exp(ranked), index), builder))


def gradient_of(module: Module, arguments: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients of the sum of the output, where central differences don't hold."""
    cotangents = {name: np.ones(held.shape) for name, held in outputs(module, arguments).items()}
    return run_backward(differentiate(module), arguments, cotangents)


@pytest.mark.parametrize(("stride", "offset", "span", "clamp"), [(1, -1, 0, False), (2, 1, 0, False), (2, 0, 3, True), (1, 2, 4, False)])
def test_take_by_windows(stride: int, offset: int, span: int, clamp: bool) -> None:
    def windowed(b: Builder, x: Value, index: Value, w: Value) -> Value:
        tokens = b.mul(b.pack(x, index), b.pack(x, index))
        every = b.index(b.constant(1.0, TensorType(DType.I1, (BATCH, ceil_div(Name("time"), stride)))), Tokens(1))
        seen = b.take(tokens, b.window(index, every, stride=stride, offset=offset, span=span, clamp=clamp))
        return b.unpack(seen, w, every, hold=False, flip=False)

    check_gradients(of_sequence(windowed))


@pytest.mark.parametrize("windows", [Windows(3, 1, 1, 0, same=True), Windows(2, 2, 1, 0, same=False), Windows(2, 1, 2, -2, same=False)])
def test_take_by_windows_over_the_steps_that_are_real(windows: Windows) -> None:
    b = Builder()
    x = b.parameter(Role.INPUT, "x", TensorType(F64, (BATCH, Name("time"), 2)))
    mask = b.parameter(Role.MASK, "x.mask", TensorType(DType.I1, (BATCH, Name("time"))))
    w = b.parameter(Role.WEIGHT, "w", TensorType(F64, (1, 2)))
    index, over = b.index(mask), b.index(b.window_mask(mask, windows), Tokens(1))
    tokens = b.mul(b.pack(x, index), b.pack(x, index))
    span = windows.span if windows.same else 0
    ids = b.window(index, over, stride=windows.stride, offset=windows.start + windows.dilation, span=span, own=True)
    gradients = check_gradients(module_of(b.unpack(b.take(tokens, ids), w, over, hold=False, flip=False), b))
    assert np.all(gradients["x"][~MASK] == 0.0)


def test_take_for_a_join() -> None:
    def joined(b: Builder, x: Value, index: Value, w: Value) -> Value:
        tokens = b.mul(b.pack(x, index), b.pack(x, index))
        every = b.constant(1.0, TensorType(DType.I1, (BATCH, Name("time"))))
        both = b.index(b.concat([every, every], 1), Tokens(1))
        first, last = (b.take(tokens, b.window(index, both, stride=1, offset=0, at_end=at_end)) for at_end in (False, True))
        return b.unpack(b.add(first, b.mul(last, last)), w, both, hold=False, flip=False)

    check_gradients(of_sequence(joined))


def test_take_of_distinct_ids() -> None:
    b = Builder()
    ids = b.parameter(Role.INPUT, "ids", TensorType(DType.I32, (BATCH, Name("time"), 1)))
    mask = b.parameter(Role.MASK, "m", TensorType(DType.I1, (BATCH, Name("time"))))
    table, w = (b.parameter(Role.WEIGHT, name, TensorType(F64, shape)) for name, shape in (("table", (4, 3)), ("w", (3, 2))))
    index = b.index(mask)
    tokens = b.pack(ids, index)
    distinct = b.distinct(tokens, 4, Tokens(1))
    rows = b.matmul(b.take(table, b.distinct_ids(distinct)), w)
    found = b.take(b.mul(rows, rows), b.places(tokens, distinct))
    fill = b.constant(0.0, TensorType(F64, (1, 2)))
    gradients = check_gradients(module_of(b.unpack(b.exp(found), fill, index, hold=True, flip=False), b))
    assert all(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("causal", [False, True])
def test_sums_over_pairs(causal: bool) -> None:
    def attended(b: Builder, x: Value, index: Value, w: Value) -> Value:
        tokens = b.pack(x, index)
        pairs = b.pairs(index, index, Name("pairs"), causal=causal)
        queries, keys = (b.pair_tokens(pairs, index, index, of_keys=of_keys) for of_keys in (False, True))
        products = b.mul(b.take(tokens, queries), b.exp(b.take(tokens, keys)))
        return b.unpack(b.scatter_add(queries, products, TOKENS), w, index, hold=False, flip=False)

    check_gradients(of_sequence(attended))


@pytest.mark.parametrize(
    ("shape", "transpose"), [((4, 3), False), ((12,), False), ((4, 3), True), ((12,), True), ((2, 6), True), ((3, 4), False)]
)
def test_rearrange(shape: tuple[int, ...], transpose: bool) -> None:
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", TensorType(F64, (BATCH, 3, 4)))
    rows = builder.rearrange(builder.rearrange(x, (BATCH, *shape), transpose=transpose), (BATCH, 12))
    gradient = check_gradients(module_of(builder.mul(rows, rows), builder))["x"]
    assert np.all(gradient != 0.0)
