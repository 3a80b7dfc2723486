"""GaussianDropout and AlphaDropout: their numbers' mean and deviation, Keras's formulas, and gradients that see the same draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.diagnostics import SpecWarning
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Role
from rnnspec.source import SourceFile

ROWS, WIDTH = 400, 500
LAYERS = ("GaussianDropout", "AlphaDropout")
ALPHA, SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""SELU's, as in Keras's AlphaDropout."""


def of_rows(layer: str, dtype: str = "float64") -> Any:
    return rnnspec.compile(f"model M {{ input x: float[{WIDTH}]\n {layer} }}", dtype=dtype, seed=3)


def sequence(layer: str) -> str:
    return f"model M {{ input x: float[time, 3]\n dropped = x -> {layer}(0.4)\n y = dropped -> Dense(2)\n output dropped, y }}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_multiplies_by_normal_numbers_of_mean_1(rate: float, dtype: str) -> None:
    factors = of_rows(f"GaussianDropout({rate})", dtype).forward(np.full((ROWS, WIDTH), 2.0), training=True).astype(np.float64) / 2.0
    deviation = math.sqrt(rate / (1.0 - rate))
    normal = (factors - 1.0) / deviation
    assert abs(normal.mean()) < 5.0 / math.sqrt(normal.size)
    assert abs((normal**2).mean() - 1.0) < 8.0 / math.sqrt(normal.size)
    assert abs((normal**3).mean()) < 20.0 / math.sqrt(normal.size)
    assert abs((normal**4).mean() - 3.0) < 50.0 / math.sqrt(normal.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_alpha_dropout_is_keras_s_formula_of_what_it_kept(rate: float, dtype: str) -> None:
    x = np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(dtype)
    y = of_rows(f"AlphaDropout({rate})", dtype).forward(x, training=True)
    least = -ALPHA * SCALE
    a = ((1.0 - rate) * (1.0 + rate * least**2)) ** -0.5
    b = -a * least * rate
    dropped = np.isclose(y, a * least + b, rtol=0.0, atol=1e-6)
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(y, a * np.where(dropped, least, x) + b, rtol=tolerance, atol=tolerance)
    assert abs(dropped.mean() - rate) < 6.0 * math.sqrt(rate * (1.0 - rate) / dropped.size)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate: float) -> None:
    x = np.random.default_rng(1).normal(size=(ROWS, WIDTH))
    y = of_rows(f"AlphaDropout({rate})").forward(x, training=True)
    assert abs(y.mean()) < 5.0 / math.sqrt(y.size)
    assert abs(y.var() - 1.0) < 12.0 / math.sqrt(y.size)


@pytest.mark.parametrize("layer", LAYERS)
def test_inference_and_a_rate_of_0_change_nothing(layer: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, WIDTH))
    np.testing.assert_array_equal(of_rows(f"{layer}(0.5)").forward(x), x)
    np.testing.assert_array_equal(of_rows(f"{layer}(0)").forward(x, training=True), x)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_call_draws_anew_and_a_seed_draws_the_same(layer: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, WIDTH))
    first, second = of_rows(f"{layer}(0.5)"), of_rows(f"{layer}(0.5)")
    one, two = first.forward(x, training=True), first.forward(x, training=True)
    assert np.any(one != two)
    np.testing.assert_array_equal(second.forward(x, training=True), one)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_those_of_the_draws_that_forward_made(layer: str) -> None:
    """By central differences of the interpreter with the same key; masked steps have no part in it."""
    spec = sequence(layer)
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    (function,) = lower(resolve(parse(SourceFile.of_text(spec))), dtype="float64", training=True).functions
    random = np.random.default_rng(2)
    x, mask = random.normal(size=(3, 4, 3)), random.random((3, 4)) < 0.7
    (dropped, y), tape = model.forward(x, mask=mask, training=True, record=True)
    key = np.uint32(tape.key).astype(np.int32)
    cotangents = [random.normal(size=dropped.shape), random.normal(size=y.shape)]

    def scalar(at: np.ndarray) -> float:
        results: dict[tuple[Role, str], Any] = interpret(function, {"x": at, "x.mask": mask, "x.key": key, **model.weights})
        return sum(float(np.sum(results[Role.OUTPUT, name] * g)) for name, g in zip(("dropped", "y"), cotangents, strict=True))

    results: dict[tuple[Role, str], Any] = interpret(function, {"x": x, "x.mask": mask, "x.key": key, **model.weights})
    np.testing.assert_allclose(dropped, results[Role.OUTPUT, "dropped"], rtol=0, atol=1e-12)
    expected = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-3
        expected[place] = (scalar(x + step) - scalar(x - step)) / 2e-3
    np.testing.assert_allclose(model.backward(tape, cotangents).inputs["x"], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_mask_passes_and_a_loss_looks_through(layer: str) -> None:
    """Masked steps stay as they are; `Dense` says what the output is made of, as before a Dropout."""
    model = rnnspec.compile(f"model M {{ input x: float[time, 3]\n Masking(0.0) {layer}(0.5) LSTM(2, return_sequences = true) }}")
    assert model.source.rows[1].mask == "passed on"
    spec = f"model M {{ input x: float[3]\n Dense(2, activation = relu) {layer}(0.5) train {{ loss = binary_crossentropy }} }}"
    with pytest.warns(SpecWarning, match="dense ends with relu"):
        rnnspec.compile(spec)
