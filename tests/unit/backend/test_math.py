"""Every generated elementary function against the truth: error, special values, ranges, denormals."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import astuple
from functools import cache

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.elementwise import ROWS, ElementaryFunction, emit_elementwise
from rnnspec.backend.llvm_cpu.math import FUNCTIONS, LANES, math_declarations, math_definitions, math_prelude, math_symbol
from rnnspec.backend.llvm_cpu.math_error_function import ERF_IS_ONE
from rnnspec.backend.llvm_cpu.math_exponential import EXPONENTIAL
from rnnspec.backend.llvm_cpu.math_hyperbolic import HYPERBOLIC
from rnnspec.backend.llvm_cpu.math_writer import FloatName
from rnnspec.backend.llvm_cpu.module import attributes
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.diagnostics import InternalError
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.target import TARGETS, Target
from tests.thorough import ALL
from tests.unit.backend.elementary import DTYPES, FLUSHES, Array, Truth, functions, truth_f32, truth_f64
from tests.unit.backend.loops import function_of

STRIDE = 2503 if ALL else 10007
"""A prime: the bit patterns met share no low bits."""
SAMPLES = 20_000

INFINITY = math.inf
NAN = math.nan
FORMATS: tuple[FloatName, ...] = ("f32", "f64")
UNARY = [name for name, function in FUNCTIONS.items() if function.operands == 1]
"""Those of two operands are in `test_math_power`."""
EVERY_WAY = [(name, dtype, fma) for name in UNARY for dtype in FORMATS for fma in (True, False)]
every_way = pytest.mark.parametrize(
    ("name", "dtype", "fma"), EVERY_WAY, ids=[f"{name}-{dtype}-{'fma' if fma else 'plain'}" for name, dtype, fma in EVERY_WAY]
)


def around(values: Array, steps: int = 3) -> Array:
    """Each value with its nearest neighbours on either side."""
    found = [values]
    for direction in (-INFINITY, INFINITY):
        moved = values
        for _ in range(steps):
            moved = np.nextafter(moved, values.dtype.type(direction))
            found.append(moved)
    return np.concatenate(found)


def remarkable(dtype: FloatName) -> Array:
    """Finite values where something changes, and their neighbours: zeros, extremes, denormals, the functions' own thresholds."""
    kind = DTYPES[dtype]
    info = np.finfo(kind)
    exponential, hyperbolic = EXPONENTIAL[dtype], HYPERBOLIC[dtype]
    thresholds = [value for value in (*astuple(exponential), *astuple(hyperbolic)) if isinstance(value, float)]
    thresholds += [ERF_IS_ONE[dtype], float(np.log(info.max)), float(np.log(info.tiny)), float(np.log(info.smallest_subnormal))]
    thresholds += [1.0, 0.5, 2.0, math.sqrt(0.5), math.sqrt(2.0), math.log(2.0), math.log(2.0) / 2, math.log(2.0) / 4]
    thresholds += [float(info.tiny), float(info.smallest_subnormal), float(info.tiny) / 3, float(info.eps), float(info.max) / 2]
    near = around(np.array([0.0, *thresholds], kind))
    with_extremes = np.concatenate([near, np.array([info.max, np.nextafter(info.max, kind(0))], kind)])
    finite = with_extremes[np.isfinite(with_extremes)]
    return np.unique(np.concatenate([finite, -finite]))


@cache
def all_float32() -> Array:
    """Every `STRIDE`th bit pattern, infinities and many NaN among them, and the remarkable values."""
    bits = np.arange(0, 1 << 32, STRIDE, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([bits.view(np.float32), remarkable("f32"), np.array([INFINITY, -INFINITY, NAN], np.float32)])


DOMAIN: Mapping[str, tuple[float, float]] = {
    "erf": (-6.5, 6.5),
    "exp": (-746.0, 710.0),
    "expm1": (-40.0, 710.0),
    "log": (0.0, INFINITY),
    "log1p": (-1.0, INFINITY),
    "cos": (-INFINITY, INFINITY),
    "sigmoid": (-746.0, 40.0),
    "sin": (-INFINITY, INFINITY),
    "tanh": (-21.0, 21.0),
}
"""Where a function isn't constant, infinite or NaN."""


@cache
def sampled_float64(name: str) -> tuple[Array, Truth]:
    """Values all over a function's domain, of all magnitudes, and the remarkable ones; and the truth."""
    random = np.random.default_rng(0)
    low, high = DOMAIN[name]
    third = SAMPLES // 3
    some = np.concatenate(
        [
            random.uniform(max(low, -1e6), min(high, 1e6), third),
            random.normal(scale=1.0, size=third),
            random.choice([-1.0, 1.0], third) * 2.0 ** random.uniform(-60, min(math.log2(high), 1000), third),
            random.integers(1, 1 << 52, 50).view(np.float64),
            remarkable("f64"),
        ]
    )
    if name == "log":
        some = np.abs(some)
    values = some[(some > low) & (some < high)]
    return values, truth_f64(name, values)


def error(name: str, dtype: FloatName, fma: bool) -> tuple[float, float]:
    """The largest error, and where."""
    values, truth = (all_float32(), truth_f32(name, all_float32())) if dtype == "f32" else sampled_float64(name)
    errors = truth.errors(functions(dtype, fma).run(name, values))
    worst = int(np.argmax(errors))
    return float(errors[worst]), float(values[worst])


@every_way
def test_error_is_within_what_is_stated(name: str, dtype: FloatName, fma: bool) -> None:
    largest, where = error(name, dtype, fma)
    assert largest <= FUNCTIONS[name].ulp, f"{name}({where!r}) is off by {largest} ULP"
    assert largest > 0.5, "no function here is correctly rounded: the measurement is broken"


def test_samples_are_as_many_as_they_should_be() -> None:
    assert all_float32().size > (1_700_000 if ALL else 400_000)
    for name in UNARY:
        assert sampled_float64(name)[0].size > SAMPLES // 2, name


# Special values

SPECIAL: Mapping[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INFINITY, INFINITY), (-INFINITY, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -1.0)],
    "log": [(0.0, -INFINITY), (-0.0, -INFINITY), (1.0, 0.0), (INFINITY, INFINITY), (-INFINITY, NAN), (-1.0, NAN), (-1e-30, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INFINITY), (INFINITY, INFINITY), (-INFINITY, NAN), (-1.5, NAN), (-1e30, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, 1.0), (-INFINITY, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INFINITY, 1.0), (-INFINITY, 0.0), (1e30, 1.0), (-1e30, 0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, NAN), (-INFINITY, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INFINITY, NAN), (-INFINITY, NAN)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INFINITY, 1.0), (-INFINITY, -1.0), (1e30, 1.0), (-1e30, -1.0)],
}


def assert_same(actual: Array, expected: Array) -> None:
    """Equal, signs of zeros included; NaN equals NaN."""
    np.testing.assert_array_equal(actual, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(expected[known]))


@every_way
def test_special_values(name: str, dtype: FloatName, fma: bool) -> None:
    values, expected = np.array([*SPECIAL[name], (NAN, NAN), (-NAN, NAN)], DTYPES[dtype]).T
    assert_same(functions(dtype, fma).run(name, values), expected)


@pytest.mark.parametrize("dtype", FORMATS)
def test_special_values_of_a_scalar(dtype: FloatName) -> None:
    for name in UNARY:
        values, expected = np.array([*SPECIAL[name], (NAN, NAN)], DTYPES[dtype]).T
        assert_same(functions(dtype, True, 1).run(name, values), expected)


@every_way
def test_denormal_arguments(name: str, dtype: FloatName, fma: bool) -> None:
    """Those with a fixed point at 0 and slope 1 are the identity there; exp and cos are 1 and sigmoid a half."""
    info = np.finfo(DTYPES[dtype])
    fractions = np.array([2.0**-20, 0.1, 0.5, 1.0 / 3.0, 0.999], np.float64)
    tiny = np.array([*(float(info.tiny) * fractions), float(info.smallest_subnormal)], DTYPES[dtype])
    values = np.concatenate([tiny, -tiny])
    assert np.all(np.abs(values) < info.tiny) and np.all(values != 0)
    results = functions(dtype, fma).run(name, values)
    match name:
        case "expm1" | "log1p" | "sin" | "tanh":
            assert_same(results, values)
        case "exp" | "cos":
            assert_same(results, np.ones_like(values))
        case "sigmoid":
            assert_same(results, np.full_like(values, 0.5))
        case "erf":
            assert_same(np.sign(results), np.sign(values))
        case _:
            assert np.all(np.isnan(results[values < 0])) and np.all(results[values > 0] < -80)


@every_way
def test_the_last_finite_result_and_the_first_infinite_one(name: str, dtype: FloatName, fma: bool) -> None:
    largest = np.finfo(DTYPES[dtype]).max
    if name not in ("exp", "expm1"):
        (result,) = functions(dtype, fma).run(name, np.array([largest], DTYPES[dtype]))
        assert np.isfinite(result)
        return
    # The largest argument whose exponential, rounded, is finite.
    last = {"f32": np.float32(88.72283), "f64": np.float64(709.782712893384)}[dtype]
    below, above = functions(dtype, fma).run(name, np.array([last, np.nextafter(last, DTYPES[dtype](1000))], DTYPES[dtype]))
    assert np.isfinite(below) and below > largest * 0.999
    assert np.isposinf(above)


# Ranges

RANGES: Mapping[str, tuple[float, float]] = {
    "erf": (-1.0, 1.0),
    "exp": (0.0, INFINITY),
    "expm1": (-1.0, INFINITY),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
}


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("name", RANGES)
def test_no_result_leaves_the_range(name: str, fma: bool) -> None:
    low, high = RANGES[name]
    in_f64 = np.concatenate([np.linspace(-50.0, 50.0, 200_001), remarkable("f64")])
    for dtype, values in (("f32", all_float32()), ("f64", in_f64)):
        results = functions(dtype, fma).run(name, values)
        assert np.array_equal(np.isnan(results), np.isnan(values))
        assert np.nanmin(results) == low
        assert np.nanmax(results) == high


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sin_and_cos_stay_within_one(name: str, fma: bool) -> None:
    in_f64 = np.concatenate([np.linspace(-50.0, 50.0, 200_001), remarkable("f64"), around(np.arange(-1000.0, 1000.0) * math.pi / 2)])
    for dtype, values in (("f32", all_float32()), ("f64", in_f64)):
        finite = values[np.isfinite(values)]
        results = functions(dtype, fma).run(name, finite)
        assert np.min(results) == -1.0 and np.max(results) == 1.0


@every_way
def test_saturation_from_the_stated_thresholds_on(name: str, dtype: FloatName, fma: bool) -> None:
    exponential, hyperbolic = EXPONENTIAL[dtype], HYPERBOLIC[dtype]
    one, erf_one = hyperbolic.tanh_is_one, ERF_IS_ONE[dtype]
    limits: Mapping[str, list[tuple[float, float]]] = {
        "erf": [(-erf_one, -1.0), (erf_one, 1.0)],
        "exp": [(exponential.underflow, 0.0), (exponential.overflow, INFINITY)],
        "expm1": [(exponential.expm1_is_minus_one, -1.0), (exponential.overflow, INFINITY)],
        "sigmoid": [(exponential.underflow, 0.0), (hyperbolic.sigmoid_is_one, 1.0)],
        "tanh": [(-one, -1.0), (one, 1.0)],
    }
    for threshold, limit in limits.get(name, []):
        values = np.geomspace(abs(threshold), 1e6, 10_001).astype(DTYPES[dtype]) * DTYPES[dtype](math.copysign(1.0, threshold))
        values[0] = threshold
        assert_same(functions(dtype, fma).run(name, values), np.full_like(values, limit))


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ["erf", "sin", "tanh"])
def test_odd_to_the_last_bit(name: str, dtype: FloatName, fma: bool) -> None:
    values = np.concatenate([np.geomspace(1e-6, 30.0, 50_001).astype(DTYPES[dtype]), remarkable(dtype)])
    run = functions(dtype, fma).run
    assert_same(run(name, -values), -run(name, values))


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", FORMATS)
def test_cos_is_even_to_the_last_bit(dtype: FloatName, fma: bool) -> None:
    values = np.concatenate([np.geomspace(1e-6, 1e30, 50_001).astype(DTYPES[dtype]), remarkable(dtype)])
    run = functions(dtype, fma).run
    assert_same(run("cos", -values), run("cos", values))


HARD = [
    6381956970095103.0 * 2.0**797,
    5.319372648326541e255,
    1.5e300,
    2.0**1023,
    1e22,
    2.0**21,
    2.0**21 - 2.0**-31,
    355.0,
    103993.0 / 33102.0 * 33102.0,
]
"""Arguments that a careless reduction gets wrong: the double that is nearest to a multiple of pi / 2 for its size, very large ones."""


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_reduction_of_hard_and_of_large_arguments(name: str, fma: bool) -> None:
    random = np.random.default_rng(3)
    multiples = np.concatenate([np.arange(1.0, 2000.0), random.integers(1, 1 << 50, 300).astype(np.float64)]) * (math.pi / 2)
    values = np.concatenate([HARD, around(multiples, 1), random.choice([-1.0, 1.0], 2000) * 2.0 ** random.uniform(20, 1023.9, 2000)])
    assert truth_f64(name, values).errors(functions("f64", fma).run(name, values)).max() <= FUNCTIONS[name].ulp
    singles = np.concatenate([around(multiples.astype(np.float32)), np.float32(2.0) ** random.uniform(20, 127.9, 2000).astype(np.float32)])
    assert truth_f32(name, singles).errors(functions("f32", fma).run(name, singles)).max() <= FUNCTIONS[name].ulp


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_far_neighbour_changes_no_bit(name: str, dtype: FloatName) -> None:
    """The second way of the reduction is taken by a whole vector if one of its elements is far away."""
    near = np.linspace(-30.0, 30.0, 1024).astype(DTYPES[dtype])
    mixed = near.copy()
    mixed[::5] = 1e10
    run = functions(dtype, True).run
    alone, together = run(name, near), run(name, mixed)
    is_near = np.arange(near.size) % 5 != 0
    assert_same(together[is_near], alone[is_near])
    assert np.all(together[~is_near] == run(name, np.full(near.size, 1e10, near.dtype))[0])


# Denormals where the machine flushes them

if FLUSHES:

    def flushed(values: Array) -> Array:
        return np.where(np.abs(values) < np.finfo(values.dtype).tiny, np.copysign(values.dtype.type(0), values), values)

    @every_way
    def test_a_flushed_denormal_counts_as_a_zero_of_its_sign_and_nothing_else_changes(name: str, dtype: FloatName, fma: bool) -> None:
        in_f64 = np.concatenate([np.linspace(-50.0, 50.0, 20_001), remarkable("f64"), np.array([INFINITY, -INFINITY, NAN])])
        values = all_float32() if dtype == "f32" else in_f64
        run = functions(dtype, fma).run
        results, expected = run(name, values, flush=True), run(name, flushed(values))
        if name == "erf" and not fma:
            tiny = np.finfo(values.dtype).tiny
            near = np.abs(values) < 8 * tiny
            assert np.max(np.abs(results[near] - expected[near])) <= tiny
            results, expected = results[~near], expected[~near]
        # expm1, log1p and sin hand a denormal back as it is.
        assert_same(flushed(results), flushed(expected))
        if name not in ("expm1", "log1p", "sin"):
            assert_same(flushed(results), results)


# Text


def test_text_is_the_same_for_the_same_sets() -> None:
    once = math_prelude(["tanh", "exp", "tanh"], "f32", [8, 4, 8], True)
    assert once == math_prelude({"exp", "tanh"}, "f32", (4, 8), True)
    assert once.index("@rnnspec.exp.v4f32(") < once.index("@rnnspec.exp.v8f32(") < once.index("@rnnspec.tanh.v4f32(")


@pytest.mark.parametrize("dtype", FORMATS)
def test_only_fma_and_the_second_way_are_called(dtype: FloatName) -> None:
    for name, lanes in itertools.product(FUNCTIONS, LANES):
        suffixes = {each if lanes == 1 else f"v{lanes}{each}" for each in ({dtype, "f64"} if name in ("sin", "cos", "pow") else {dtype})}
        far = {f"{math_symbol(name, dtype, lanes)}.far"} if FUNCTIONS[name].reduces else set[str]()
        fused, plain = (called_by(name, dtype, lanes, fma) for fma in (True, False))
        assert far < fused <= far | {f"llvm.fma.{suffix}" for suffix in suffixes}
        assert plain == far
    assert math_prelude([], dtype, [4], True) == ""


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_target_calls_the_c_library(target: Target, dtype: FloatName) -> None:
    """Every elementwise operation in the machine code of every target that is described: what it can't do LLVM would ask libm for."""
    element = DType.F32 if dtype == "f32" else DType.F64
    library = Library()
    parts: list[str] = []
    for number, (kind, row) in enumerate(ROWS.items()):
        writer = FunctionWriter(f"use_{number}", ["ptr %x", "ptr %y", "ptr %to"], linkage="dso_local")
        vectors = Vectors(writer, target, element, library)
        operands = [vectors.load("%x"), vectors.load("%y")]
        if isinstance(kind, CompareKind):
            result = vectors.select(emit_elementwise(vectors, kind, operands), *operands)
        elif isinstance(kind, BinaryKind) and kind.row.on_flags:
            flags = [vectors.compare("ogt", *operands), vectors.compare("oeq", *operands)]
            result = vectors.select(emit_elementwise(vectors, kind, flags), *operands)
        else:
            result = emit_elementwise(vectors, kind, operands[: 1 if isinstance(kind, UnaryKind) else 2])
        assert isinstance(row, ElementaryFunction) == (kind.value in FUNCTIONS)
        vectors.store(result, "%to")
        parts.append(writer.text())
    names, lanes, fma = library.elementary, [target.lanes(element)], target.fused_multiply_add
    library.declarations |= dict.fromkeys(math_declarations(names, dtype, lanes, fma))
    text = [
        f'target triple = "{target.triple}"',
        *library.declarations,
        *parts,
        math_definitions(names, dtype, lanes, fma),
        attributes(target),
    ]
    assembly = Machine(target).assembly("\n".join(text))
    called = set(re.findall(r"^\s+(?:callq?|jmp|bl|b)\s+([A-Za-z_][\w.]*)", assembly, re.MULTILINE))
    assert called == {name for name in called if name.startswith("rnnspec.")}


def called_by(name: str, dtype: FloatName, lanes: int, fma: bool) -> set[str]:
    """By a function itself; LLVM refuses a text in which something that is called isn't there."""
    text = math_prelude([name], dtype, [lanes], fma) + "attributes #0 = { nounwind }\n"
    return {each.called for each in function_of(text, math_symbol(name, dtype, lanes)).instructions if each.called}


@pytest.mark.parametrize("dtype", FORMATS)
def test_lanes_don_t_change_a_result(dtype: FloatName) -> None:
    values = np.concatenate([np.linspace(-20.0, 20.0, 1001).astype(DTYPES[dtype]), remarkable(dtype)])
    for name, lanes in itertools.product(UNARY, LANES):
        assert_same(functions(dtype, True, lanes).run(name, values), functions(dtype, True).run(name, values))


def test_unknown_functions_and_lane_counts_are_errors() -> None:
    with pytest.raises(InternalError, match="no elementary function 'sine'"):
        math_symbol("sine", "f32", 4)
    with pytest.raises(InternalError, match="no elementary functions over 3 lanes"):
        math_symbol("tanh", "f32", 3)
