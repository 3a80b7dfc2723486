"""Compiled graphs against Keras 3.15: options of recurrent layers, several inputs and outputs, and the other layers.

Keras computes with what masked steps of an input hold; here it never reaches a result. So masked steps
are 0 in these tests, and where that makes a difference the expected numbers are those of the numpy
oracle, which is held to Keras's own (`tests/fixtures/keras/make_graphs.py`).
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests import reference
from tests.keras_cases import Case, load

pytestmark = pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
"""Some merge a masked sequence with one that isn't."""

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
NOT_YET = re.compile(
    r"\b(Attention|AveragePooling1D|BatchNormalization|Conv1D|Dot|Flatten|MaxPooling1D|Permute|RNN|Reshape)\("
    r"|axis = 1|keepdims|rms_scaling|go_backwards = true[^)]*\), backward_layer|float\[5, 3\]\s+PReLU"
)
"""What a later version brings; a spec with it is refused, and says so."""

MIXED = {"Add-residual-masked"}
"""A held sequence merged with one that isn't: in masked steps Keras adds what both hold, here they are 0."""

CASES = [*load("options"), *load("layers")]


def is_refused(case: Case) -> bool:
    return NOT_YET.search(case.about["spec"]) is not None


KNOWN = [case for case in CASES if not is_refused(case)]


def named(case: Case) -> str:
    return case.name


def near(actual: NDArray[np.floating], expected: NDArray[np.float64], dtype: str, what: str) -> None:
    """Within the dtype's tolerance of the largest element."""
    scale = max(np.abs(expected).max(initial=0.0), 1e-30)
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale, err_msg=what)


def without_masked(case: Case) -> dict[str, NDArray[np.floating]]:
    """The inputs with 0 at every step that the caller masks."""
    inputs = dict(case.named_inputs)
    for name, mask in case.masks.items():
        if inputs[name].dtype.kind == "f":
            inputs[name] = np.where(mask[..., None], inputs[name], 0.0)
    return inputs


def expected_of(case: Case, inputs: dict[str, NDArray[np.floating]]) -> tuple[list, list, dict]:
    """Outputs, gradients of the trainable weights and of the inputs."""
    if all(np.array_equal(inputs[name], x) for name, x in case.named_inputs.items()):
        return case.listed("output"), case.listed("weight_gradient"), case.input_gradients
    weights, cotangents = case.listed("weight"), case.listed("cotangent")
    outputs = [flow.value for flow in reference.run_graph(case.graph, weights, inputs, case.masks).outputs]
    by_weight, by_input = reference.graph_gradients(case.graph, weights, inputs, case.masks, cotangents)
    trainable = [gradient for name, gradient in zip(case.about["weights"], by_weight, strict=True) if name in case.about["trainable"]]
    return outputs, trainable, by_input


@pytest.mark.parametrize("dtype", ["float64"])
@pytest.mark.parametrize("case", KNOWN, ids=named)
def test_outputs_and_gradients(case: Case, dtype: str) -> None:
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    inputs = without_masked(case)
    outputs, by_weight, by_input = expected_of(case, inputs)

    given, tape = model.forward(inputs, mask=case.masks or None, record=True)
    several = given if isinstance(given, tuple) else (given,)
    cotangents = case.listed("cotangent")
    if case.name in MIXED:
        (real,) = case.masks.values()
        near(given * real[..., None], outputs[0] * real[..., None], dtype, "real steps")
        return
    for place, values in enumerate(outputs):
        near(several[place], values, dtype, f"output {place}")
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for name, values in zip(case.about["trainable"], by_weight, strict=True):
        near(gradients.weights[name], values, dtype, f"gradient of {name}")
    for name, values in by_input.items():
        real = case.masks.get(name)
        near(gradients.inputs[name], values if real is None else np.where(real[..., None], values, 0.0), dtype, f"gradient of {name}")


@pytest.mark.parametrize("case", [case for case in CASES if is_refused(case)], ids=named)
def test_what_is_not_yet_says_so(case: Case) -> None:
    with pytest.raises(rnnspec.SpecError) as caught:
        rnnspec.compile(case.about["spec"])
    assert {each.code for each in caught.value.diagnostics} <= {"E0006", "E0103", "E0118", "E0213"}
