"""The numpy oracle against Keras 3.15: it reads the masked loop as Keras does, and its gradients are exact."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.keras_cases import Case, load


def near(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-12 * max(1.0, np.abs(expected).max(initial=0.0)))


@pytest.mark.parametrize("case", [*load("recurrent"), *load("models"), *load("activations")], ids=lambda case: case.name)
def test_outputs(case: Case) -> None:
    outputs = reference.run(case.about["layers"], case.listed("weight"), case.inputs, case.mask)
    for actual, expected in zip(outputs, case.listed("output"), strict=True):
        near(actual, expected)


@pytest.mark.parametrize("name", ["SimpleRNN-return_sequences", "LSTM", "GRU-return_sequences-go_backwards", "Bidirectional-LSTM-mul"])
def test_gradients(name: str) -> None:
    (case,) = (case for case in load("recurrent") if case.name == name)
    of_weights, of_x = reference.gradients(case.about["layers"], case.listed("weight"), case.inputs, case.mask, case.listed("cotangent"))
    for actual, expected in zip(of_weights, case.listed("weight_gradient"), strict=True):
        near(actual, expected)
    assert of_x is not None
    near(of_x, case.arrays["x_gradient"])
