"""Cells that nobody wrote before: what compiled code gives is what the interpreter gives, and gradients are central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Role
from rnnspec.source import SourceFile
from tests.property.cells import Cell, drawn_cells
from tests.property.drawing import UNITS
from tests.thorough import examples

STEP = 1e-5


def interpreted(function: Function, weights: dict[str, np.ndarray], x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    results: dict[tuple[Role, str], Any] = interpret(function, {"x": x, "x.mask": mask, **weights})
    [output] = [value for (role, _), value in results.items() if role is Role.OUTPUT]
    return output


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@settings(max_examples=examples(12, 24))
@given(cell=drawn_cells(), units=UNITS, features=st.integers(1, 9), data=st.data())
def test_outputs_and_gradients(cell: Cell, units: int, features: int, data: st.DataObject) -> None:
    layer = data.draw(
        st.sampled_from(
            [
                "Drawn({})",
                "Drawn({}, return_sequences = true)",
                "Drawn({}, go_backwards = true)",
                "Bidirectional(Drawn({}))",
                "Bidirectional(Drawn({}, return_sequences = true), merge_mode = mul)",
            ]
        )
    ).format(units)
    spec = f"{cell.text('Drawn')}\nmodel Case {{\n    input x: float[time, {features}]\n    {layer}\n    Dense(3, activation = tanh)\n}}\n"
    batch, time = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 6))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = random.normal(size=(batch, time, features))
    mask = random.random((batch, time)) < data.draw(st.sampled_from([0.2, 0.6, 1.0]))
    function = lower(resolve(parse(SourceFile.of_text(spec))), dtype="float64", training=False).function("forward")

    model = rnnspec.compile(spec, dtype="float64", seed=1)
    weights = {name: random.normal(scale=0.4, size=weight.shape) for name, weight in model.weights.items()}
    model.set_weights(weights)
    expected = interpreted(function, weights, x, mask)
    np.testing.assert_allclose(model.forward(x, mask=mask), expected, rtol=0, atol=1e-10)
    output, tape = model.forward(x, mask=mask, record=True)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-10)

    cotangent = random.normal(size=expected.shape)
    gradients = model.backward(tape, cotangent)
    assert not gradients.inputs["x"][~mask].any()
    along = {name: random.normal(size=weight.shape) for name, weight in weights.items()}
    along_x = random.normal(size=x.shape) * mask[..., None]
    slope = sum(float(np.sum(gradients.weights[name] * along[name])) for name in weights) + float(np.sum(gradients.inputs["x"] * along_x))
    ahead, behind = (
        interpreted(function, {name: weights[name] + sign * STEP * along[name] for name in weights}, x + sign * STEP * along_x, mask)
        for sign in (1, -1)
    )
    numeric = float(np.sum((ahead - behind) * cotangent)) / (2 * STEP)
    size = sum(float(np.sum(np.abs(gradients.weights[name] * along[name]))) for name in weights)
    np.testing.assert_allclose(slope, numeric, rtol=0, atol=1e-6 * max(1.0, size))


def test_a_choice_between_weights_alone() -> None:
    """Its condition depends on weights only, and can't be stored with what is prepared for them."""
    spec = """
        cell Chosen(units) {
            weight kernel [features, units] = glorot_uniform
            weight bias   [2, units]        = random_normal
            state h [units]
            h' = tanh(x @ kernel + h * relu(bias[1]) + min(bias[0], bias[0] + 0.25))
            return h'
        }
        model Case { input x: float[time, 3] Chosen(2) }
    """
    model = rnnspec.compile(spec, dtype="float64", seed=0)
    model.set_weights([np.ones((3, 2)) / 4, np.array([[0.5, -0.5], [0.5, -0.5]])])
    x = np.ones((1, 2, 3))
    first = np.tanh(0.75 + np.array([0.5, -0.5]))
    output, tape = model.forward(x, record=True)
    np.testing.assert_allclose(output[0], np.tanh(0.75 + first * [0.5, 0.0] + [0.5, -0.5]), rtol=0, atol=1e-12)
    gradient = model.backward(tape, np.ones((1, 2))).weights["chosen/bias"]
    slope = 1 - output[0] ** 2
    np.testing.assert_allclose(gradient[1], slope * first * [1.0, 0.0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradient[0], slope * (1 + [0.5, 0.0] * (1 - first**2)), rtol=0, atol=1e-12)
