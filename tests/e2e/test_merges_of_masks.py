"""What merges of sequences that mask different steps give: a step is real if it is real in one of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests.keras_cases import Case, load

X = np.arange(1.0, 6.0).reshape(1, 5, 1)
Z = 100.0 * X
MASKS = {"x": np.array([[True, True, False, False, False]]), "z": np.array([[False, True, True, False, False]])}


def merged(kind: str, of_x: str) -> NDArray[np.floating]:
    """`of_x` of x merged with z + 10; in masked steps z counts as 0."""
    spec = f"""model Merged {{
        input x: float[time, 1], z: float[time, 1]
        a = x -> {of_x}
        b = z -> Dense(1, kernel_initializer = ones, bias_initializer = constant(10))
        [a, b] -> {kind}()
    }}"""
    output = rnnspec.compile(spec, dtype="float64").forward({"x": X, "z": Z}, mask=MASKS)
    assert not isinstance(output, tuple)
    return output[0]


@pytest.mark.parametrize(
    ("kind", "expected"), [("Multiply", [6, 1470, 310, 0, 0]), ("Maximum", [6, 210, 310, 0, 0]), ("Minimum", [6, 7, 310, 0, 0])]
)
def test_a_masked_step_counts_as_nothing_and_all_masked_give_0(kind: str, expected: list[float]) -> None:
    given = merged(kind, "Dense(1, kernel_initializer = ones, bias_initializer = constant(5))")
    np.testing.assert_allclose(given[:, 0], expected)


@pytest.mark.parametrize("kind", ["Add", "Average", "Concatenate"])
def test_a_held_output_counts_beside_a_real_step_and_not_where_all_are_masked(kind: str) -> None:
    held = "SimpleRNN(1, activation = linear, kernel_initializer = ones, recurrent_initializer = zeros, return_sequences = true)"
    pairs = np.array([[1, 10], [2, 210], [2, 310], [0, 10], [0, 10]], dtype=float)
    expected = {"Add": pairs.sum(1, keepdims=True), "Average": pairs.mean(1, keepdims=True), "Concatenate": pairs}
    np.testing.assert_allclose(merged(kind, held), expected[kind])


@pytest.mark.parametrize("case", load("held"), ids=lambda case: case.name)
def test_a_maximum_is_keras_s_but_where_all_are_masked(case: Case) -> None:
    """There Keras gives one of the values that the two hold; here nothing is computed for the step, and it is 0."""
    model = rnnspec.compile(case.about["spec"], dtype="float64")
    model.set_weights(case.listed("weight"))
    output = model.forward(case.named_inputs, mask=case.masks)
    assert not isinstance(output, tuple)
    real = case.masks["a"] | case.masks["b"]
    (expected,) = case.listed("output")
    np.testing.assert_allclose(output[real], expected[real], rtol=0, atol=1e-9)
    assert np.count_nonzero(expected[~real]) >= 4
    assert not output[~real].any()
