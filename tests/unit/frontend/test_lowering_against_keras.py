"""Specs lowered to the tensor IR and interpreted, against Keras 3.15: the meaning is right before any pass has run."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Role
from rnnspec.ir.verify import verify
from rnnspec.source import SourceFile
from tests.keras_cases import Case, load


@pytest.mark.parametrize("case", [*load("recurrent"), *load("models"), *load("activations")], ids=lambda case: case.name)
def test_outputs(case: Case) -> None:
    graph = resolve(parse(SourceFile.of_text(case.about["spec"])))
    assert [weight.path for layer in graph.layers for weight in layer.weights] == case.about["weights"]
    module = lower(graph, dtype="float64", training=False)
    verify(module)
    function = module.function("forward")

    arguments = dict(zip(case.about["weights"], case.listed("weight"), strict=True))
    arguments["x"] = case.inputs[..., None] if case.about["ids"] else case.inputs
    if case.inputs.ndim == 3 or case.about["ids"]:
        arguments["x.mask"] = np.ones(case.inputs.shape[:2], bool) if case.mask is None else case.mask
    results = interpret(function, arguments)
    outputs = [results[Role.OUTPUT, result.name] for result in function.results]
    for actual, expected in zip(outputs, case.listed("output"), strict=True):
        assert isinstance(actual, np.ndarray)
        np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-12 * max(1.0, np.abs(expected).max()))
