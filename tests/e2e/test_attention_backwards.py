"""Attention of sequences in reversed order, which a bare `go_backwards` gives, against the numpy oracle."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from tests import reference
from tests.specs import Graph, Statement, graph_spec, make

RANDOM = np.random.default_rng(3)
INPUTS = {"a": RANDOM.normal(size=(3, 4, 2)), "b": RANDOM.normal(size=(3, 5, 2)), "c": RANDOM.normal(size=(3, 5, 2))}
MASKS = {
    "a": np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool),
    "b": np.array([[1, 0, 1, 1, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]], bool),
    "c": np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]], bool),
}
TYPES = {"a": "float[time, 2]", "b": "float[words, 2]", "c": "float[words, 2]"}


def reversed_order(name: str) -> Statement:
    return Statement([make("GRU", units=2, return_sequences=True, go_backwards=True)], [name[-1]], [name])


@pytest.mark.parametrize(
    "takes",
    [("back_a", "b"), ("a", "back_b"), ("back_a", "back_b"), ("back_a", "b", "c"), ("a", "back_b", "again_b")],
    ids="-".join,
)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_attention_of_reversed_sequences(takes: tuple[str, ...], masked: bool) -> None:
    """Outputs, in the order of the query, and every gradient; `back_b` and `again_b` are two layers' sequences of b."""
    used = [name for name in INPUTS if name in {take[-1] for take in takes}]
    attend = Statement([make("Attention", use_scale=True)], list(takes))
    graph = Graph({name: TYPES[name] for name in used}, [*(reversed_order(name) for name in takes if name not in INPUTS), attend])
    inputs = {name: np.where(MASKS[name][..., None], INPUTS[name], 0.0) if masked else INPUTS[name] for name in used}
    masks = {name: MASKS[name] for name in used} if masked else {}
    model = rnnspec.compile(graph_spec(graph), dtype="float64", seed=1)
    weights = model.get_weights()
    (expected,) = reference.run_graph(graph, weights, inputs, masks).outputs
    output, tape = model.forward(inputs, mask=masks or None, record=True)
    np.testing.assert_allclose(output, expected.value, rtol=0, atol=1e-12)
    cotangent = RANDOM.normal(size=output.shape)
    by_weight, by_input = reference.graph_gradients(graph, weights, inputs, masks, [cotangent])
    gradients = model.backward(tape, cotangent)
    for found, values in zip(gradients.weights.values(), by_weight, strict=True):
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-12)
    for name, values in by_input.items():
        real = masks.get(name)
        np.testing.assert_allclose(
            gradients.inputs[name], values if real is None else np.where(real[..., None], values, 0.0), rtol=0, atol=1e-12, err_msg=name
        )
