"""Compiled models against Keras 3.15: outputs, gradients of every weight and of the input, and whole training steps.

The arrays are float64 results of Keras, see `tests/fixtures/keras/make_fixtures.py`; float32 models
get the same numbers, all exact in float32, and are held to what `docs` promises of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests.keras_cases import Case, load

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
DTYPES = sorted(TOLERANCE)


def named(case: Case) -> str:
    return case.name


def near(actual: NDArray[np.floating], expected: NDArray[np.float64], dtype: str, what: str, scale: float = 1e-30) -> None:
    """Within the dtype's tolerance of the largest element, or of `scale` if that is larger."""
    assert actual.dtype == dtype
    scale = max(np.abs(expected).max(initial=0.0), scale)
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale, err_msg=what)


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*load("recurrent"), *load("models")], ids=named)
def test_outputs_and_gradients(case: Case, dtype: str) -> None:
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    x = case.inputs if case.about["ids"] else case.inputs.astype(dtype)

    expected = case.listed("output")
    outputs, tape = model.forward(x, mask=case.mask, record=True)
    alone = model.forward(x, mask=case.mask)
    for place, values in enumerate(expected):
        recorded, inferred = (outputs, alone) if len(expected) == 1 else (outputs[place], alone[place])
        near(recorded, values, dtype, f"recorded output {place}")
        near(inferred, values, dtype, f"output {place}")

    cotangents = [cotangent.astype(dtype) for cotangent in case.listed("cotangent")]
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for name, values in zip(case.about["weights"], case.listed("weight_gradient"), strict=True):
        near(gradients.weights[name], values, dtype, f"gradient of {name}")
    if "x_gradient" in case.arrays:
        near(gradients.inputs["x"], case.arrays["x_gradient"], dtype, "gradient of x")
    else:
        assert not gradients.inputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", load("activations"), ids=named)
def test_activation(case: Case, dtype: str) -> None:
    """Row by row: the last row of most is far out, and would hide the rest behind its size.

    Where an activation saturates, its derivative (1 - y² for tanh) is a difference of numbers near 1,
    so a gradient is held relative to its cotangent there.
    """
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    model.set_weights(case.listed("weight"))
    outputs, tape = model.forward(case.inputs.astype(dtype), record=True)
    (cotangent,), (expected,) = case.listed("cotangent"), case.listed("output")
    gradient = model.backward(tape, cotangent.astype(dtype)).inputs["x"]
    for row in range(len(expected)):
        near(outputs[row], expected[row], dtype, f"row {row}")
        near(gradient[row], case.arrays["x_gradient"][row], dtype, f"gradient of row {row}", np.abs(cotangent[row]).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", load("training"), ids=named)
def test_training_steps(case: Case, dtype: str) -> None:
    """Four updates on one batch: float32 drifts, so it is held a hundred times more loosely at the end."""
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    model.set_weights(case.listed("weight"))
    x = case.inputs if case.about["ids"] else case.inputs.astype(dtype)
    y = case.arrays["y"].astype(np.int32) if case.about["sparse"] else case.arrays["y"].astype(dtype)
    tolerance = 100 * TOLERANCE[dtype]
    losses = [model.train_on_batch(x, y) for _ in case.arrays["losses"]]
    np.testing.assert_allclose(losses, case.arrays["losses"], rtol=tolerance)
    for name, values in zip(case.about["weights"], case.listed("after"), strict=True):
        np.testing.assert_allclose(model.weights[name], values, rtol=0.0, atol=tolerance * np.abs(values).max(), err_msg=name)
