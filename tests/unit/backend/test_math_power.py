"""pow against the truth: error, special values, lanes, denormals."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.math import FUNCTIONS, LANES
from rnnspec.backend.llvm_cpu.math_writer import FloatName
from tests.unit.backend.elementary import DTYPES, FLUSHES, Array, Truth, functions, truth_f32, truth_f64
from tests.unit.backend.test_math import FORMATS, INFINITY, NAN, assert_same

every_way = pytest.mark.parametrize(("dtype", "fma"), list(itertools.product(FORMATS, (True, False))))


def bases_and_exponents(dtype: FloatName, size: int) -> tuple[Array, Array]:
    """Positive bases of all magnitudes and near 1, with exponents whose power is mostly finite, and any at all."""
    random = np.random.default_rng(5)
    logarithms = np.concatenate([random.normal(scale=scale, size=size) for scale in (1.0, 20.0, 1e-3, 0.3)])
    limit = float(np.log(np.finfo(DTYPES[dtype]).max))
    powers = random.uniform(-1.05 * limit, 1.05 * limit, logarithms.size)
    powers[::3] = random.normal(size=powers[::3].size)
    with np.errstate(over="ignore", under="ignore"):
        bases = np.exp(logarithms).astype(DTYPES[dtype])
    denormal = np.float64(np.finfo(DTYPES[dtype]).tiny) * random.uniform(0.001, 1.0, size // 10)
    anything = np.concatenate([bases, denormal.astype(DTYPES[dtype])])
    with np.errstate(divide="ignore", over="ignore"):
        exponents = powers / np.log(bases.astype(np.float64))
    exponents = np.concatenate([exponents, random.uniform(-1.0, 1.0, denormal.size)]).astype(DTYPES[dtype])
    usable = np.isfinite(exponents) & np.isfinite(anything) & (anything > 0)
    return anything[usable], exponents[usable]


@cache
def sampled(dtype: FloatName) -> tuple[tuple[Array, Array], Truth]:
    if dtype == "f64":
        operands = bases_and_exponents("f64", 5_000)
        return operands, truth_f64("pow", *operands)
    random = np.random.default_rng(6)
    bits = random.integers(0, 1 << 32, (2, 400_000), dtype=np.uint64).astype(np.uint32).view(np.float32)
    bases, exponents = bases_and_exponents("f32", 200_000)
    with np.errstate(invalid="ignore"):
        whole = np.round(bits[1] % 64)
    operands = np.concatenate([bases, bits[0], bits[0]]), np.concatenate([exponents, bits[1], whole])
    return operands, truth_f32("pow", *operands)


@every_way
def test_error_is_within_what_is_stated(dtype: FloatName, fma: bool) -> None:
    operands, truth = sampled(dtype)
    assert operands[0].size > 15_000
    errors = truth.errors(functions(dtype, fma).run("pow", *operands))
    worst = int(np.argmax(errors))
    assert errors[worst] <= FUNCTIONS["pow"].ulp, f"pow({operands[0][worst]!r}, {operands[1][worst]!r}) is off by {errors[worst]} ULP"
    assert errors[worst] > 0.5, "it isn't correctly rounded: the measurement is broken"


REMARKABLE = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -2.5, INFINITY, -INFINITY, NAN, 1e300, -1e300, 1e-320, -1e-320]


@every_way
def test_special_values(dtype: FloatName, fma: bool) -> None:
    """Zeros, infinities, what isn't a number, odd and even exponents up to those that no longer have halves: as the C library has them."""
    bits = 24 if dtype == "f32" else 53
    some = np.array([*REMARKABLE, 2.0**bits, 2.0**bits - 1, 2.0 ** (bits - 1) + 1, 2.0 ** (bits - 2) + 0.5, 2.0**bits + 2], np.float64)
    with np.errstate(over="ignore", under="ignore"):
        values = some.astype(DTYPES[dtype])
    bases, exponents = (each.ravel() for each in np.meshgrid(values, values))
    results = functions(dtype, fma).run("pow", bases, exponents)
    with np.errstate(all="ignore"):
        expected = np.float_power(bases.astype(np.float64), exponents.astype(np.float64)).astype(DTYPES[dtype])
    ordinary = np.isfinite(expected) & (expected != 0) & (np.abs(expected) != 1)
    assert_same(results[~ordinary], expected[~ordinary])
    np.testing.assert_allclose(results[ordinary], expected[ordinary], rtol=3 * np.finfo(DTYPES[dtype]).eps)


@pytest.mark.parametrize("dtype", FORMATS)
def test_lanes_don_t_change_a_result(dtype: FloatName) -> None:
    bases, exponents = bases_and_exponents(dtype, 500)
    for lanes in LANES:
        assert_same(functions(dtype, True, lanes).run("pow", bases, exponents), functions(dtype, True).run("pow", bases, exponents))


@every_way
def test_squares_and_roots(dtype: FloatName, fma: bool) -> None:
    values = np.linspace(0.01, 30.0, 3001).astype(DTYPES[dtype])
    tolerance = 4 * np.finfo(DTYPES[dtype]).eps
    run = functions(dtype, fma).run
    np.testing.assert_allclose(run("pow", -values, np.full_like(values, 2.0)), values * values, rtol=tolerance)
    np.testing.assert_allclose(run("pow", -values, np.full_like(values, 3.0)), -(values**3), rtol=tolerance)
    np.testing.assert_allclose(run("pow", values, np.full_like(values, 0.5)), np.sqrt(values), rtol=tolerance)
    np.testing.assert_allclose(run("pow", values, np.ones_like(values)), values, rtol=tolerance)


if FLUSHES:

    @every_way
    def test_flushed_denormals_count_as_zeros_of_their_sign(dtype: FloatName, fma: bool) -> None:
        tiny = float(np.finfo(DTYPES[dtype]).tiny)
        bases = np.array([tiny / 2, -tiny / 2, tiny / 2, -tiny / 2, 2.0, -2.0, 0.5], DTYPES[dtype])
        exponents = np.array([1.0, 1.0, -1.0, -1.0, tiny / 2, -tiny / 2, math.log2(1 / tiny) + 1], DTYPES[dtype])
        results = functions(dtype, fma).run("pow", bases, exponents, flush=True)
        assert_same(results, np.array([0.0, -0.0, INFINITY, -INFINITY, 1.0, 1.0, 0.0], DTYPES[dtype]))
