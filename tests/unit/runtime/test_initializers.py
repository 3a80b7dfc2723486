"""First values of weights: Keras's limits and moments, orthogonality, and streams that don't know each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnspec.contract.signature import ArgumentValue, Config, InitializerPart, WeightSignature
from rnnspec.diagnostics import InternalError
from rnnspec.runtime.model.initializers import INITIALIZERS, fans, initial_value
from rnnspec.runtime.model.random_streams import draw_key, fresh_seed, generator


def configured(name: str, **arguments: ArgumentValue) -> Config:
    return Config(name, tuple(arguments.items()))


def drawn(name: str, *shape: int, seed: int = 0, weight: str = "lstm/kernel", **arguments: ArgumentValue) -> np.ndarray:
    part = InitializerPart(0, shape[-1], configured(name, **arguments))
    return initial_value(WeightSignature(weight, shape, (part,)), seed)


@pytest.mark.parametrize(
    ("shape", "expected"), [((), (1, 1)), ((7,), (7, 7)), ((3, 8), (3, 8)), ((2, 3, 8), (6, 16)), ((5, 2, 3, 8), (30, 80))]
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


def test_constants() -> None:
    assert drawn("zeros", 2, 3).tolist() == [[0] * 3] * 2
    assert drawn("ones", 2).tolist() == [1, 1]
    assert drawn("constant", 2, value=-2.5).tolist() == [-2.5, -2.5]
    assert drawn("identity", 2, 3, gain=2.0).tolist() == [[2, 0, 0], [0, 2, 0]]
    with pytest.raises(InternalError, match="identity needs a matrix"):
        drawn("identity", 3)


VARIANCES = {
    "glorot_uniform": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
    "lecun_uniform": lambda fan_in, fan_out: 1.0 / fan_in,
    "lecun_normal": lambda fan_in, fan_out: 1.0 / fan_in,
    "he_uniform": lambda fan_in, fan_out: 2.0 / fan_in,
    "he_normal": lambda fan_in, fan_out: 2.0 / fan_in,
}
"""Keras's VarianceScaling: the variance of each, by the fans."""


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("shape", [(30, 400), (400, 30)])
def test_scaled_initializers(name: str, shape: tuple[int, int]) -> None:
    """The limit is never crossed and nearly reached; mean and variance lie within six of their standard errors."""
    values = drawn(name, *shape)
    variance = VARIANCES[name](*shape)
    # Uniform numbers end at sqrt(3) deviations; Keras's truncated normal at two deviations of the normal that it cuts.
    limit = math.sqrt(3 * variance) if name.endswith("uniform") else 2 * math.sqrt(variance) / 0.87962566103423978
    assert 0.99 * limit < np.abs(values).max() <= limit
    assert abs(values.mean()) < 6 * math.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 6 * math.sqrt(2 / values.size)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling(mode: str, distribution: str) -> None:
    values = drawn("variance_scaling", 30, 400, scale=3.0, mode=mode, distribution=distribution)
    variance = 3.0 / {"fan_in": 30, "fan_out": 400, "fan_avg": 215}[mode]
    assert abs(values.mean()) < 6 * math.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 6 * math.sqrt(2 / values.size)
    largest = np.abs(values).max() / math.sqrt(variance)
    limits = {"uniform": (1.7, math.sqrt(3)), "truncated_normal": (2.2, 2 / 0.87962566103423978), "untruncated_normal": (3.0, 6.0)}
    least, most = limits[distribution]
    assert least < largest <= most


def test_the_limit_of_an_lstm_kernel_is_taken_over_all_gates() -> None:
    values = drawn("glorot_uniform", 12, 4 * 100)
    limit = math.sqrt(6 / (12 + 4 * 100))
    assert 0.99 * limit < np.abs(values).max() <= limit


def test_random_uniform() -> None:
    values = drawn("random_uniform", 200, 100)
    assert 0.0499 < values.max() <= 0.05
    assert -0.05 <= values.min() < -0.0499
    values = drawn("random_uniform", 200, 100, minval=1.0, maxval=3.0)
    assert 1 <= values.min() < 1.01
    assert 2.99 < values.max() <= 3
    assert abs(values.mean() - 2) < 0.03


def test_random_normal() -> None:
    values = drawn("random_normal", 200, 100, mean=1.0, stddev=0.5)
    assert abs(values.mean() - 1) < 6 * 0.5 / math.sqrt(values.size)
    assert abs(values.std() / 0.5 - 1) < 6 / math.sqrt(2 * values.size)
    assert np.abs(values - 1).max() > 1.25
    assert 0.04 < drawn("random_normal", 200, 100).std() < 0.06


def test_truncated_normal() -> None:
    values = drawn("truncated_normal", 200, 100, mean=1.0, stddev=0.5)
    assert 0.95 < np.abs(values - 1).max() <= 1.0
    assert abs(values.std() / (0.5 * 0.87962566103423978) - 1) < 0.03


@pytest.mark.parametrize("shape", [(5, 5), (4, 12), (12, 4), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    values = drawn("orthogonal", *shape, gain=2.0).reshape(-1, shape[-1]) / 2
    rows, columns = values.shape
    product = values @ values.T if rows < columns else values.T @ values
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_takes_either_sign_and_every_direction() -> None:
    """The sign fix makes it uniform over the orthogonal matrices: without it the diagonal would lean one way."""
    corners = np.array([drawn("orthogonal", 3, 3, seed=seed)[0, 0] for seed in range(400)])
    assert abs(corners.mean()) < 6 / math.sqrt(3 * 400)
    assert abs((corners**2).mean() - 1 / 3) < 0.1
    with pytest.raises(InternalError, match="orthogonal needs two axes"):
        drawn("orthogonal", 3)


def test_an_unknown_initializer_is_a_bug() -> None:
    with pytest.raises(InternalError, match="no initializer is called nope"):
        drawn("nope", 3)


RANDOM = sorted(set(INITIALIZERS) - {"zeros", "ones", "constant", "identity"})


@pytest.mark.parametrize("name", RANDOM)
def test_a_stream_is_of_the_seed_and_the_weight_alone(name: str) -> None:
    values = drawn(name, 4, 6)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, drawn(name, 4, 6))
    assert not np.array_equal(values, drawn(name, 4, 6, seed=1))
    assert not np.array_equal(values, drawn(name, 4, 6, weight="lstm_1/kernel"))


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_of_its_own(name: str) -> None:
    values = drawn(name, 4, 6, seed=1)
    part = InitializerPart(0, 6, configured(name, seed=3))
    first, second = (initial_value(WeightSignature(weight, (4, 6), (part,)), seed) for weight, seed in (("a", 0), ("b", 1)))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, values)


def test_parts_keep_their_own_columns_of_the_whole_formula() -> None:
    """An LSTM's bias, ones in the forget gate's block; an orthogonal part is cut from the whole orthogonal matrix."""
    zeros, ones = configured("zeros"), configured("ones")
    bias = WeightSignature("bias", (8,), (InitializerPart(0, 2, zeros), InitializerPart(2, 4, ones), InitializerPart(4, 8, zeros)))
    assert initial_value(bias, 0).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    whole = drawn("orthogonal", 4, 8, weight="u")
    parts = (InitializerPart(0, 4, configured("orthogonal")), InitializerPart(4, 8, zeros))
    part = initial_value(WeightSignature("u", (4, 8), parts), 0)
    np.testing.assert_array_equal(part[:, :4], whole[:, :4])
    assert not part[:, 4:].any()


def test_the_same_numbers_for_ever() -> None:
    """A model of a seed is the same model in the next version: pinned, so that a change is a decision."""
    assert drawn("glorot_uniform", 1, 2, weight="dense/kernel").tolist() == [[-1.25463560256406, 1.2879720655474556]]
    random = generator(0, "dropout and shuffling")
    assert [draw_key(random), draw_key(random)] == [1825120111, 2611062448]


def test_streams_of_different_purposes_differ() -> None:
    keys = {draw_key(generator(seed, purpose)) for seed in range(20) for purpose in ("a", "b", "weight a")}
    assert len(keys) == 60
    assert all(0 <= key < 2**32 for key in keys)


def test_fresh_seeds_differ() -> None:
    seeds = {fresh_seed() for _ in range(8)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**64 for seed in seeds)
