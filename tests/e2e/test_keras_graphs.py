"""Compiled graphs against Keras 3.15: options of recurrent layers, several inputs and outputs, and the other layers.

Keras computes with what masked steps of an input hold; here it never reaches a result. So masked steps
are 0 in these tests, and where that makes a difference the expected numbers are those of the numpy
oracle, which is held to Keras's own (`tests/fixtures/keras/make_graphs.py`). Of a stateful model both
calls are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.model import Model
from tests import reference
from tests.keras_cases import Case, load

pytestmark = [
    pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning"),
    pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning"),
]
"""Some merge a masked sequence with one that isn't."""

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
MIXED = {"Add-residual-masked"}
"""A held sequence merged with one that isn't: in masked steps Keras adds what both hold, here they are 0."""

CANCELLING = {"Dense-BatchNormalization-LSTM-training-masked"}
"""A bias before a normalization: terms that cancel but for Keras's 1e-7 make its gradient, which is as exact as they are."""

CASES = [*load("options"), *load("layers"), *load("more_layers")]


def named(case: Case) -> str:
    return case.name


def near(actual: NDArray[np.floating], expected: NDArray[np.float64], dtype: str, what: str, least: float = 1e-30) -> None:
    """Within the dtype's tolerance of the largest element, which counts as `least` at least."""
    scale = max(np.abs(expected).max(initial=0.0), least)
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=TOLERANCE[dtype] * scale, err_msg=what)


@dataclass(frozen=True)
class Expected:
    """Outputs, gradients of the trainable weights in order, and of the inputs by name."""

    outputs: Sequence[NDArray[np.float64]]
    by_weight: Sequence[NDArray[np.float64]]
    by_input: Mapping[str, NDArray[np.float64]]


def calls_of(case: Case) -> list[Case]:
    """A stateful model's two calls, any other's one."""
    return [case, case.second()] if "second/output/0" in case.arrays else [case]


def without_masked(case: Case) -> dict[str, NDArray[np.floating]]:
    """The inputs with 0 at every step that the caller masks."""
    inputs = dict(case.named_inputs)
    for name, mask in case.masks.items():
        if inputs[name].dtype.kind == "f":
            inputs[name] = np.where(mask[..., None], inputs[name], 0.0)
    return inputs


@cache
def expected_of(place: int) -> list[Expected]:
    """What each call of a case gives: the fixture's numbers, or the oracle's where masked steps make a difference."""
    case = CASES[place]
    weights, carried = case.listed("weight"), None
    training = case.about.get("training", False)
    found: list[Expected] = []
    for call in calls_of(case):
        inputs = without_masked(call)
        ran = reference.run_graph(case.graph, weights, inputs, call.masks, training, carried=carried)
        if all(np.array_equal(inputs[name], x) for name, x in call.named_inputs.items()):
            found.append(Expected(call.listed("output"), call.listed("weight_gradient"), call.input_gradients))
        else:
            by_weight, by_input = reference.graph_gradients(
                case.graph, weights, inputs, call.masks, call.listed("cotangent"), training, carried=carried
            )
            named = zip(case.about["weights"], by_weight, strict=True)
            trainable = [gradient for name, gradient in named if name in case.about["trainable"]]
            found.append(Expected([flow.value for flow in ran.outputs], trainable, by_input))
        carried = ran.call.kept
    return found


@pytest.mark.every(4)
@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("place", range(len(CASES)), ids=[case.name for case in CASES])
def test_outputs_and_gradients(place: int, dtype: str) -> None:
    case = CASES[place]
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    for call, expected in zip(calls_of(case), expected_of(place), strict=True):
        check_call(model, call, expected, dtype)


def check_call(model: Model, call: Case, expected: Expected, dtype: str) -> None:
    inputs = {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in without_masked(call).items()}
    given, tape = model.forward(inputs, mask=call.masks or None, training=call.about.get("training", False), record=True)
    several = given if isinstance(given, tuple) else (given,)
    assert all(output.dtype == dtype for output in several)
    cotangents = [cotangent.astype(dtype) for cotangent in call.listed("cotangent")]
    if call.name in MIXED:
        (real,) = call.masks.values()
        near(given * real[..., None], expected.outputs[0] * real[..., None], dtype, "real steps")
        return
    for place, values in enumerate(expected.outputs):
        near(several[place], values, dtype, f"output {place}")
    for name, values in zip(call.about.get("frozen", []), call.listed("after"), strict=False):
        near(model.weights[name], values, dtype, f"{name} after")
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    by_weight = expected.by_weight
    least = max(np.abs(values).max() for values in by_weight) if call.name in CANCELLING else 1e-30
    for name, values in zip(call.about["trainable"], by_weight, strict=True):
        near(gradients.weights[name], values, dtype, f"gradient of {name}", least)
    for name, values in expected.by_input.items():
        real = call.masks.get(name)
        near(gradients.inputs[name], values if real is None else np.where(real[..., None], values, 0.0), dtype, f"gradient of {name}")


def test_every_stateful_case_has_two_calls() -> None:
    stateful = [case for case in CASES if "stateful = true" in case.about["spec"]]
    assert len(stateful) >= 17
    assert [case.name for case in stateful] == [case.name for case in CASES if len(calls_of(case)) == 2]
