"""PReLU with slopes for each step, on masked sequences: what masked steps hold differs from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests import reference
from tests.specs import Graph, Layer, Statement, chain, graph_spec, make

MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
GRU = make("GRU", units=2, return_sequences=True)
DENSE = make("Dense", units=2)

CHAINS = {
    "held": [GRU, make("PReLU")],
    "in reversed order": [GRU | {"go_backwards": True}, make("PReLU")],
    "on to a recurrent layer": [DENSE, make("PReLU"), DENSE, GRU],
    "seen by windows": [DENSE, make("PReLU", shared_axes=[2]), make("Conv1D", filters=2, kernel_size=3, padding="same")],
}


def compiled(graph: Graph) -> Any:
    return rnnspec.compile(graph_spec(graph), dtype="float64")


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("layers", CHAINS.values(), ids=CHAINS)
def test_masked_steps_have_slopes_of_their_own(layers: list[Layer]) -> None:
    check(chain(layers, "float[5, 3]"))


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Concatenate", "Multiply"])
def test_a_merge_goes_on_with_what_each_masked_step_holds(kind: str) -> None:
    before = [Statement([DENSE], ("x",), ("p",)), Statement([make("PReLU")], ("p",), ("q",))]
    check(Graph({"x": "float[5, 3]"}, [*before, Statement([make(kind), DENSE], ("p", "q"), ("y",))], ("y",)))


def check(graph: Graph) -> None:
    random = np.random.default_rng(5)
    model = compiled(graph)
    weights: list[NDArray[np.float64]] = [random.normal(size=weight.shape) for weight in model.get_weights()]
    model.set_weights(weights)
    x = np.where(MASK[..., None], random.normal(size=(4, 5, 3)), 0.0)
    given, tape = model.forward(x, mask=MASK, record=True)
    expected = reference.run_graph(graph, weights, {"x": x}, {"x": MASK}).outputs[0].value
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-12)
    dy = random.normal(size=expected.shape)
    by_weight, by_input = reference.graph_gradients(graph, weights, {"x": x}, {"x": MASK}, [dy])
    gradients = model.backward(tape, dy)
    for actual, wanted in zip(gradients.weights.values(), by_weight, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradients.inputs["x"], np.where(MASK[..., None], by_input["x"], 0.0), rtol=0, atol=1e-12)
