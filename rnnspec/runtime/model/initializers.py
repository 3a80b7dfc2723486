"""First values of weights, by Keras's formulas (keras.src.initializers, 3.15), from numpy's generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, WeightSignature
from rnnspec.diagnostics import InternalError
from rnnspec.runtime.model.random_streams import generator

Shape = tuple[int, ...]
Draw = Callable[..., Array]

_TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a unit normal cut off at two: Keras divides by it so that the cut keeps the variance."""


def initial_value(weight: WeightSignature, seed: int) -> Array:
    """The weight's first value, float64, from the stream of (seed, weight name).

    An initializer with a seed of its own draws from that alone, as in Keras. A part's formula is
    taken over the whole weight's shape: fans, and the matrix that orthogonal factors; the part then
    keeps its own columns.
    """
    random = generator(seed, f"weight {weight.name}")
    value = np.zeros(weight.shape, np.float64)
    columns = np.atleast_1d(value)
    for part in weight.initializer:
        columns[..., part.start : part.stop] = np.atleast_1d(_draw(part.initializer, random, weight.shape))[..., part.start : part.stop]
    return value


def _draw(initializer: Config, random: np.random.Generator, shape: Shape) -> Array:
    draw = INITIALIZERS.get(initializer.name)
    if draw is None:
        raise InternalError(f"no initializer is called {initializer.name}")
    arguments = dict(initializer.arguments)
    own_seed = arguments.pop("seed", None)
    if isinstance(own_seed, int):
        random = generator(own_seed, "initializer")
    return draw(random, shape, **arguments)


def fans(shape: Shape) -> tuple[int, int]:
    """Fan in and fan out of a weight (Keras's `compute_fans`)."""
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _zeros(random: np.random.Generator, shape: Shape) -> Array:
    return np.zeros(shape)


def _ones(random: np.random.Generator, shape: Shape) -> Array:
    return np.ones(shape)


def _constant(random: np.random.Generator, shape: Shape, *, value: float = 0.0) -> Array:
    return np.full(shape, float(value))


def _identity(random: np.random.Generator, shape: Shape, *, gain: float = 1.0) -> Array:
    if len(shape) != 2:
        raise InternalError(f"identity needs a matrix, got shape {shape}")
    return gain * np.eye(*shape)


def _random_uniform(random: np.random.Generator, shape: Shape, *, minval: float = -0.05, maxval: float = 0.05) -> Array:
    return random.uniform(minval, maxval, shape)


def _random_normal(random: np.random.Generator, shape: Shape, *, mean: float = 0.0, stddev: float = 0.05) -> Array:
    return mean + stddev * random.standard_normal(shape)


def _truncated_normal(random: np.random.Generator, shape: Shape, *, mean: float = 0.0, stddev: float = 0.05) -> Array:
    values = random.standard_normal(math.prod(shape))
    while (outside := np.flatnonzero(np.abs(values) > 2.0)).size:
        values[outside] = random.standard_normal(outside.size)
    return mean + stddev * values.reshape(shape)


def _orthogonal(random: np.random.Generator, shape: Shape, *, gain: float = 1.0) -> Array:
    if len(shape) < 2:
        raise InternalError(f"orthogonal needs two axes, got shape {shape}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    from threadpoolctl import threadpool_limits

    drawn = random.standard_normal((max(rows, columns), min(rows, columns)))
    with threadpool_limits(1):  # so that the bits don't depend on the machine's cores, and no core waits for others that are busy
        q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    return gain * (q.T if rows < columns else q).reshape(shape)


def _variance_scaling(
    random: np.random.Generator, shape: Shape, *, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Array:
    """A variance of scale over the fan, drawn uniformly or from a normal distribution, truncated or not."""
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[mode]
    variance = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = math.sqrt(3.0 * variance)
        return _random_uniform(random, shape, minval=-limit, maxval=limit)
    if distribution == "untruncated_normal":
        return _random_normal(random, shape, stddev=math.sqrt(variance))
    return _truncated_normal(random, shape, stddev=math.sqrt(variance) / _TRUNCATED_DEVIATION)


def _scaled(scale: float, mode: str, distribution: str) -> Draw:
    return partial(_variance_scaling, scale=scale, mode=mode, distribution=distribution)


INITIALIZERS: dict[str, Draw] = {
    "zeros": _zeros,
    "ones": _ones,
    "constant": _constant,
    "identity": _identity,
    "random_uniform": _random_uniform,
    "random_normal": _random_normal,
    "truncated_normal": _truncated_normal,
    "orthogonal": _orthogonal,
    "glorot_uniform": _scaled(1.0, "fan_avg", "uniform"),
    "glorot_normal": _scaled(1.0, "fan_avg", "truncated_normal"),
    "lecun_uniform": _scaled(1.0, "fan_in", "uniform"),
    "lecun_normal": _scaled(1.0, "fan_in", "truncated_normal"),
    "variance_scaling": _variance_scaling,
    "he_uniform": _scaled(2.0, "fan_in", "uniform"),
    "he_normal": _scaled(2.0, "fan_in", "truncated_normal"),
}
"""Keras's initializers by name; arguments are Keras's."""
