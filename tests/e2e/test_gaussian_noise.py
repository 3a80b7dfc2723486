"""GaussianNoise: its numbers are normal, only training sees them, and backward sees those that forward saw."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.dimensions import BATCH
from rnnspec.frontend.lowering.random_draws import standard_normal
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.builder import Builder
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Result, Role
from rnnspec.ir.types import DType, TensorType
from rnnspec.source import SourceFile

ROWS = "model M { input x: float[500]\n GaussianNoise(1.0) }"
SEQUENCE = "model M { input x: float[time, 3]\n noisy = x -> GaussianNoise(0.5)\n y = noisy -> Dense(2)\n output noisy, y }"


def test_the_formula_is_the_inverse_of_the_normal_distribution() -> None:
    """In every part of the range, the smallest and the largest number that can be drawn included."""
    places = np.unique(np.concatenate([np.arange(200), 2**24 - 1 - np.arange(200), np.linspace(0, 2**24 - 1, 5000).astype(int)]))
    builder = Builder()
    uniform = builder.parameter(Role.INPUT, "u", TensorType(DType.F64, (BATCH, 1)))
    function = builder.function("f", [Result(Role.OUTPUT, "z", standard_normal(builder, uniform))])
    results: dict[tuple[Role, str], Any] = interpret(function, {"u": places[:, None] * 2.0**-24})
    expected = [NormalDist().inv_cdf((place + 0.5) * 2.0**-24) for place in places]
    np.testing.assert_allclose(results[Role.OUTPUT, "z"][:, 0], expected, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_normal(dtype: str) -> None:
    model = rnnspec.compile(ROWS, dtype=dtype, seed=3)
    noise = np.concatenate([model.forward(np.zeros((400, 500)), training=True) for _ in range(3)]).astype(np.float64)
    flat = np.sort(noise.reshape(-1))
    count = len(flat)
    distribution = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2.0)))(flat)
    assert np.abs(distribution - (np.arange(count) + 0.5) / count).max() < 2.0 / math.sqrt(count)
    assert abs(flat.mean()) < 4.0 / math.sqrt(count)
    assert abs((flat**2).mean() - 1.0) < 6.0 / math.sqrt(count)
    assert abs((flat**4).mean() - 3.0) < 40.0 / math.sqrt(count)
    assert 3.5e-5 < (np.abs(flat) > 4.0).mean() < 9.5e-5
    assert np.abs(flat).max() < 5.5
    for one, other in ((noise[:, :-1], noise[:, 1:]), (noise[:-1], noise[1:]), (noise[:400], noise[400:800])):
        assert abs((one * other).mean()) < 5.0 / math.sqrt(one.size)


def test_the_spread_is_the_layers() -> None:
    model = rnnspec.compile("model M { input x: float[500]\n GaussianNoise(stddev = 0.2) }", dtype="float64", seed=3)
    x = np.full((200, 500), 7.0)
    noise = model.forward(x, training=True) - x
    assert abs(noise.mean()) < 0.003
    assert abs(noise.std() - 0.2) < 0.003


def test_inference_and_a_spread_of_zero_change_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(4, 500))
    np.testing.assert_array_equal(rnnspec.compile(ROWS, dtype="float64").forward(x), x)
    still = rnnspec.compile("model M { input x: float[500]\n GaussianNoise(0) }", dtype="float64")
    np.testing.assert_array_equal(still.forward(x, training=True), x)


def test_every_call_draws_anew_and_a_seed_draws_the_same() -> None:
    x = np.zeros((2, 500))
    first, second = (rnnspec.compile(ROWS, dtype="float64", seed=5) for _ in range(2))
    one, two = first.forward(x, training=True), first.forward(x, training=True)
    assert not np.any(one == two)
    np.testing.assert_array_equal(second.forward(x, training=True), one)


def test_two_layers_draw_apart() -> None:
    spec = "model M { input x: float[500]\n a = x -> GaussianNoise(1.0)\n b = x -> GaussianNoise(1.0)\n output a, b }"
    a, b = rnnspec.compile(spec, dtype="float64", seed=5).forward(np.zeros((20, 500)), training=True)
    assert abs((a * b).mean()) < 0.05


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_sees_what_forward_saw(dtype: str) -> None:
    """The kernel's gradient is made of the noisy steps, the input's passes through; masked steps have no part in either."""
    model = rnnspec.compile(SEQUENCE, dtype=dtype, seed=1)
    random = np.random.default_rng(2)
    x, mask = random.normal(size=(5, 6, 3)).astype(dtype), random.random((5, 6)) < 0.6
    (noisy, y), tape = model.forward(x, mask=mask, training=True, record=True)
    assert not np.any(noisy[mask] == x[mask])
    assert not noisy[~mask].any()
    cotangent = random.normal(size=y.shape).astype(dtype) * mask[..., None]
    gradients = model.backward(tape, [np.zeros_like(noisy), cotangent])
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(gradients.weights["dense/kernel"], noisy[mask].T @ cotangent[mask], rtol=tolerance, atol=tolerance)
    kernel = model.weights["dense/kernel"]
    np.testing.assert_allclose(gradients.inputs["x"], np.where(mask[..., None], cotangent @ kernel.T, 0), rtol=tolerance, atol=tolerance)


def test_native_code_adds_what_the_interpreter_adds() -> None:
    model = rnnspec.compile(SEQUENCE, dtype="float64", seed=1)
    (function,) = lower(resolve(parse(SourceFile.of_text(SEQUENCE))), dtype="float64", training=True).functions
    random = np.random.default_rng(2)
    x, mask = random.normal(size=(5, 6, 3)), random.random((5, 6)) < 0.6
    (noisy, y), tape = model.forward(x, mask=mask, training=True, record=True)
    key = np.uint32(tape.key).astype(np.int32)
    results: dict[tuple[Role, str], Any] = interpret(function, {"x": x, "x.mask": mask, "x.key": key, **model.weights})
    np.testing.assert_allclose(noisy, results[Role.OUTPUT, "noisy"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(y, results[Role.OUTPUT, "y"], rtol=0, atol=1e-12)
