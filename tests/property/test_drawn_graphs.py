"""Graphs that nobody wrote before: what compiled code gives is what the interpreter gives, and gradients are central differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import rnnspec
from rnnspec.frontend.lower import lower
from rnnspec.frontend.parser import parse
from rnnspec.frontend.resolve import resolve
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Role
from rnnspec.source import SourceFile
from tests.property.drawing import DrawnGraph, drawn_graphs

STEP = 1e-5


def interpreted(
    function: Function, weights: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    arguments: dict[str, Any] = {name: value[..., None] if value.dtype.kind == "i" else value for name, value in inputs.items()}
    arguments |= {f"{name}.mask": mask for name, mask in masks.items()}
    results: dict[tuple[Role, str], Any] = interpret(function, {**arguments, **weights})
    return [value for (role, _), value in results.items() if role is Role.OUTPUT]


def listed(outputs: Any) -> list[np.ndarray]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def total(outputs: list[np.ndarray], cotangents: list[np.ndarray]) -> float:
    return sum(float(np.sum(output * cotangent)) for output, cotangent in zip(outputs, cotangents, strict=True))


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@settings(max_examples=25)
@given(drawn=drawn_graphs())
def test_outputs_and_gradients(drawn: DrawnGraph) -> None:
    """The gradient along one random direction through all weights, where no kink is near: a maximum has one."""
    random = np.random.default_rng(drawn.seed)
    function = lower(resolve(parse(SourceFile.of_text(drawn.text))), dtype="float64", training=False).function("forward")
    model = rnnspec.compile(drawn.text, dtype="float64", seed=1)
    weights = {name: random.normal(scale=0.4, size=weight.shape) for name, weight in model.weights.items()}
    model.set_weights(weights)

    expected = interpreted(function, weights, drawn.inputs, drawn.masks)
    outputs, tape = model.forward(drawn.inputs, mask=drawn.masks, record=True)
    for found in (listed(model.forward(drawn.inputs, mask=drawn.masks)), listed(outputs)):
        for output, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-10 * max(1.0, float(np.abs(wanted).max(initial=0.0))))

    cotangents = [random.normal(size=output.shape) for output in expected]
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for name, gradient in gradients.inputs.items():
        assert name not in drawn.masks or not gradient[~drawn.masks[name]].any()
    along = {name: random.normal(size=weight.shape) for name, weight in weights.items()}
    ahead, behind, near, nearer = (
        total(interpreted(function, {name: weights[name] + step * along[name] for name in weights}, drawn.inputs, drawn.masks), cotangents)
        for step in (STEP, -STEP, STEP / 8, -STEP / 8)
    )
    numeric, finer = (ahead - behind) / (2 * STEP), (near - nearer) / (STEP / 4)
    products = [gradients.weights[name] * along[name] for name in weights]
    size = max(1.0, sum(float(np.abs(product).sum()) for product in products))
    if abs(numeric - finer) < 1e-6 * size:
        np.testing.assert_allclose(sum(float(product.sum()) for product in products), numeric, rtol=0, atol=3e-6 * size)
