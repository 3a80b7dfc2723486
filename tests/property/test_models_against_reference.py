"""Random small models, compiled, against the numpy oracle: any mask, any shape, outputs and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings

import rnnspec
from tests import reference
from tests.property.drawing import Drawn, drawn_models, windowed_models
from tests.specs import spec
from tests.thorough import examples


def near(actual: np.ndarray, expected: Any, scale: float = 1.0) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-9 * max(scale, float(np.abs(expected).max(initial=0.0))))


@settings(max_examples=examples(8, 18))
@given(drawn_models())
def test_outputs_and_gradients(drawn: Drawn) -> None:
    compare(drawn)


@settings(max_examples=examples(6, 12))
@given(windowed_models())
def test_outputs_and_gradients_of_windows_that_hand_the_mask_on(drawn: Drawn) -> None:
    compare(drawn)


def compare(drawn: Drawn) -> None:
    """The gradient is compared along one random direction through all weights and the input at once."""
    random = np.random.default_rng(drawn.seed)
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float64")
    weights = [random.normal(scale=0.5, size=weight.shape) for weight in model.weights.values()]
    model.set_weights(weights)
    given_x = drawn.x
    if drawn.mask is not None and given_x.dtype.kind == "f":
        given_x = np.where(drawn.mask[..., None], given_x, np.nan)

    (expected,) = reference.run(drawn.layers, weights, drawn.x, drawn.mask)
    output, tape = model.forward(given_x, mask=drawn.mask, record=True)
    assert output.shape == expected.shape
    near(output, expected)

    cotangent = random.normal(size=expected.shape)
    gradients = model.backward(tape, cotangent)
    along = [random.normal(size=weight.shape) for weight in weights]
    moved = [weight + 1j * reference.STEP * direction for weight, direction in zip(weights, along, strict=True)]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients.weights.values(), along, strict=True))
    moved_x = drawn.x
    if drawn.x.dtype.kind == "f":
        along_x = random.normal(size=drawn.x.shape)
        if drawn.mask is not None:
            along_x[~drawn.mask] = 0.0
            assert not gradients.inputs["x"][~drawn.mask].any()
        moved_x = drawn.x + 1j * reference.STEP * along_x
        slope += float(np.sum(gradients.inputs["x"] * along_x))
    (moved_output,) = reference.run(drawn.layers, moved, moved_x, drawn.mask)
    expected_slope = float(np.sum(np.imag(moved_output) * cotangent)) / reference.STEP
    near(np.float64(slope), expected_slope)
