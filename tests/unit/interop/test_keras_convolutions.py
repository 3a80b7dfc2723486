"""Keras's convolutions that look at parts of the features, as plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import Array
from rnnspec.interop.keras_files.convolutions import DEPTHWISE, PLAIN, SEPARABLE, PlainConvolution, looks_at_parts, plain_convolutions

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(7, 4))
BIAS = RANDOM.normal(size=6)


def windows(size: int) -> Array:
    """(steps, size, features)."""
    return np.stack([X[step : step + size] for step in range(len(X) - size + 1)])


def applied(convolution: PlainConvolution, x: Array) -> Array:
    kernel = convolution.weights[0]
    looked = np.stack([x[step : step + len(kernel)] for step in range(len(x) - len(kernel) + 1)])
    sums = np.einsum("tkf,kfo->to", looked, kernel)
    return sums + convolution.weights[1] if convolution.settings.get("use_bias", True) else sums


def test_of_groups_each_filter_looks_at_its_own() -> None:
    kernel = RANDOM.normal(size=(3, 2, 6))
    (made,) = plain_convolutions(PLAIN, {"filters": 6, "kernel_size": [3], "groups": 2}, [kernel, BIAS])
    halves = [np.einsum("tkf,kfo->to", windows(3)[..., half], kernel[..., out]) for half, out in (
        (slice(2), slice(3)), (slice(2, 4), slice(3, 6)))]  # fmt: skip
    assert made.settings["groups"] == 1 and np.allclose(applied(made, X), np.concatenate(halves, 1) + BIAS)


def depthwise(kernel: Array) -> Array:
    """All multiples of the first feature, then of the second: as Keras has them."""
    return np.einsum("tkf,kfm->tfm", windows(len(kernel)), kernel).reshape(-1, kernel.shape[1] * kernel.shape[2])


def test_depthwise() -> None:
    kernel = RANDOM.normal(size=(3, 4, 2))
    settings = {"kernel_size": [3], "depth_multiplier": 2, "depthwise_initializer": "zeros", "use_bias": False, "activation": "relu"}
    (made,) = plain_convolutions(DEPTHWISE, settings, [kernel])
    assert made.settings == {"kernel_size": [3], "use_bias": False, "activation": "relu", "filters": 8}
    assert np.allclose(applied(made, X), depthwise(kernel))


def test_separable() -> None:
    deep, point = RANDOM.normal(size=(3, 4, 2)), RANDOM.normal(size=(1, 8, 6))
    settings = {"filters": 6, "kernel_size": [3], "strides": [2], "padding": "same", "activation": "relu", "bias_initializer": "zeros",
                "depth_multiplier": 2, "pointwise_initializer": "zeros"}  # fmt: skip
    first, then = plain_convolutions(SEPARABLE, settings, [deep, point, BIAS])
    assert first.settings == {"filters": 8, "kernel_size": [3], "strides": [2], "padding": "same", "use_bias": False}
    assert then.settings == {"filters": 6, "kernel_size": 1, "activation": "relu", "bias_initializer": "zeros"}
    assert np.allclose(applied(then, applied(first, X)), depthwise(deep) @ point[0] + BIAS)


@pytest.mark.parametrize(("kind", "settings", "expected"), [
    (PLAIN, {}, False), (PLAIN, {"groups": 1}, False), (PLAIN, {"groups": 2}, True), (SEPARABLE, {}, True), ("Dense", {"groups": 2}, False),
])  # fmt: skip
def test_which_look_at_parts(kind: str, settings: dict[str, Any], expected: bool) -> None:
    assert looks_at_parts(kind, settings) is expected


@pytest.mark.parametrize(("settings", "arrays", "message"), [
    ({"groups": 2}, [], "expected 2 arrays, a kernel of three axes first, found 0"),
    ({"groups": 2}, [BIAS, BIAS], "a kernel of three axes"),
    ({"groups": 4}, [RANDOM.normal(size=(3, 1, 6)), BIAS], "6 filters in 4 groups"),
    ({"groups": "2"}, [RANDOM.normal(size=(3, 1, 6)), BIAS], "6 filters in 2 groups"),
])  # fmt: skip
def test_what_is_no_such_layer(settings: dict[str, Any], arrays: list[Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plain_convolutions(PLAIN, settings, arrays)
