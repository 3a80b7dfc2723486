"""Random draws of training. Each draw has its own stream of the call's key, the same stream in `@forward` and in `@backward`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value

RESOLUTION = 2.0**-24
"""The spacing of uniform numbers: 24 bits, a float32's significand."""

SELU_LEAST = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
"""The limit of SELU towards minus infinity (Klambauer et al. 2017): minus its alpha times its scale."""

CENTRE = (
    1.50140941,
    0.246640727,
    -0.00417768164,
    -0.00125372503,
    0.00021858087,
    -4.39150654e-06,
    -3.5233877e-06,
    3.43273939e-07,
    2.81022636e-08,
)
TAIL = (2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257)
"""Coefficients of `standard_normal`'s polynomials, lowest power first (Giles 2012, table 5: relative error up to 4e-7)."""


class Draws:
    """The random draws of one function, from its key. Without a key, outside of training, nothing is drawn and values stay as they are."""

    def __init__(self, builder: Builder, key: Value | None) -> None:
        self._b = builder
        self._key = key
        self._streams = 0

    def drops(self, rate: float) -> bool:
        """Whether dropout at this rate changes anything: in training and above 0."""
        return self._key is not None and rate > 0

    def dropped(self, rate: float, value: Value) -> Value:
        """Dropout: elements are 0 with probability `rate` and otherwise divided by 1 - `rate`, so that the mean stays."""
        if self._key is None or not rate:
            return value
        numbers = self._uniform(self._key, value)
        kept = self._b.greater_equal(numbers, self._b.constant_like(rate, numbers))
        scaled = self._b.mul(value, self._b.constant_like(1.0 / (1.0 - rate), value))
        return self._b.select(kept, scaled, self._b.constant_like(0.0, value))

    def noisy(self, stddev: float, value: Value) -> Value:
        """Additive noise: the value plus normal numbers of mean 0 and deviation `stddev`, its shape."""
        if self._key is None or not stddev:
            return value
        noise = standard_normal(self._b, self._uniform(self._key, value))
        return self._b.add(value, self._b.mul(noise, self._b.constant_like(stddev, noise)))

    def multiplied(self, rate: float, value: Value) -> Value:
        """Times normal numbers of mean 1 that deviate as `dropped` with this rate would: by the root of rate / (1 - rate)."""
        if self._key is None or not rate:
            return value
        noise = standard_normal(self._b, self._uniform(self._key, value))
        deviation = self._b.mul(noise, self._b.constant_like(math.sqrt(rate / (1.0 - rate)), noise))
        return self._b.mul(value, self._b.add(deviation, self._b.constant_like(1.0, deviation)))

    def saturated(self, rate: float, value: Value) -> Value:
        """Elements are SELU's least value with probability `rate`; then all scaled and moved so that mean 0 and variance 1 stay."""
        if self._key is None or not rate:
            return value
        numbers = self._uniform(self._key, value)
        kept = self._b.greater_equal(numbers, self._b.constant_like(rate, numbers))
        scale = ((1.0 - rate) * (1.0 + rate * SELU_LEAST**2)) ** -0.5
        offset = -scale * SELU_LEAST * rate
        either = self._b.select(kept, value, self._b.constant_like(SELU_LEAST, value))
        return self._b.add(self._b.mul(either, self._b.constant_like(scale, value)), self._b.constant_like(offset, value))

    def _uniform(self, key: Value, like: Value) -> Value:
        self._streams += 1
        return self._b.random(key, self._streams - 1, self._b.tensor(like))


def standard_normal(b: Builder, uniform: Value) -> Value:
    """Normal numbers from uniform ones in [0, 1): the inverse of the distribution, √2 erf⁻¹(2u - 1), in the middle of each step of u.

    Mike Giles, "Approximating the erfinv function" (GPU Computing Gems, 2012).
    """

    def constant(value: float) -> Value:
        return b.constant_like(value, uniform)

    def polynomial(coefficients: Sequence[float], at: Value) -> Value:
        result = constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            result = b.add(b.mul(result, at), constant(coefficient))
        return result

    x = b.add(b.mul(uniform, constant(2.0)), constant(RESOLUTION - 1.0))
    w = b.neg(b.log(b.mul(b.sub(constant(1.0), x), b.add(constant(1.0), x))))
    centre = polynomial(CENTRE, b.sub(w, constant(2.5)))
    tail = polynomial(TAIL, b.sub(b.sqrt(b.max(w, constant(5.0))), constant(3.0)))
    inverse = b.mul(b.select(b.less(w, constant(5.0)), centre, tail), x)
    return b.mul(inverse, constant(math.sqrt(2.0)))
