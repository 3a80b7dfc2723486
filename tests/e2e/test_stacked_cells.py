"""RNN of several cells against the same cells as layers, one after the other; Bidirectional in either order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.model import Model
from tests import reference
from tests.specs import Graph, Statement, bidirectional, graph_spec, make

Array = NDArray[Any]

CELLS = """
cell Leaky(units, rate = 0.3) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    state y [units]

    y' = (1 - rate) * y + rate * tanh(x @ kernel + y @ recurrent_kernel)
    return y'
}

cell Narrowing(units, out) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [out, units]      = glorot_uniform
    weight projection       [units, out]      = glorot_uniform
    state h [out], c [units]

    c' = 0.5 * c + tanh(x @ kernel + h @ recurrent_kernel)
    h' = c' @ projection
    return h'
}
"""

RANDOM = np.random.default_rng(4)
X = RANDOM.normal(size=(6, 7, 3))
MASK = RANDOM.random((6, 7)) < 0.6
MASK[0], MASK[1] = True, False

STACKS = {
    "two": ("LSTM(4)", "GRU(2)"),
    "three": ("GRU(2, reset_after = false)", "SimpleRNN(5)", "LSTM(3, recurrent_activation = hard_sigmoid)"),
    "own cells": ("Leaky(4)", "Narrowing(5, out = 2)", "Leaky(3, rate = 0.5)"),
    "one": ("LSTM(3)",),
}


def compiled(body: str, inputs: str = "x: float[time, 3]", dtype: str = "float64", **options: Any) -> Model:
    return rnnspec.compile(f"{CELLS}\nmodel M {{\n input {inputs}\n {body}\n}}", dtype=dtype, seed=2, **options)


def with_option(call: str, option: str) -> str:
    return f"{call[:-1]}, {option})" if option else call


def pair(cells: tuple[str, ...], *options: str) -> tuple[Model, Model]:
    """The stack, and its cells one after the other, with the same weights."""
    stack = compiled(f"RNN([{', '.join(cells)}]{''.join(f', {option}' for option in options)})")
    layers = [with_option(cell, "return_sequences = true") for cell in cells[:-1]]
    if "go_backwards = true" in options and len(cells) > 1:
        layers[0] = with_option(layers[0], "go_backwards = true")
        options = tuple(option for option in options if option != "go_backwards = true")
    last = cells[-1]
    for option in options:
        last = with_option(last, option)
    apart = compiled("\n ".join([*layers, last]))
    weights = [0.5 * RANDOM.normal(size=value.shape) for value in stack.get_weights()]
    stack.set_weights(weights)
    apart.set_weights(weights)
    return stack, apart


@pytest.mark.every(3)
@pytest.mark.parametrize(
    "options",
    [(), ("return_sequences = true",), ("go_backwards = true",), ("return_sequences = true", "go_backwards = true"),
     ("return_sequences = true", "zero_output_for_mask = true")],
)  # fmt: skip
@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS)
def test_a_stack_is_its_cells_one_after_the_other(cells: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Bit for bit, and so are the gradients."""
    stack, apart = pair(cells, *options)
    for mask in (MASK, None):
        (y, tape), (expected, other) = (model.forward(X, mask=mask, record=True) for model in (stack, apart))
        np.testing.assert_array_equal(y, expected)
        cotangent = RANDOM.normal(size=y.shape)
        found, wanted = stack.backward(tape, cotangent), apart.backward(other, cotangent)
        np.testing.assert_array_equal(found.inputs["x"], wanted.inputs["x"])
        for one, two in zip(found.weights.values(), wanted.weights.values(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_weights_have_the_cells_names() -> None:
    model = compiled(
        'RNN([LSTM(2), LSTM(2), GRU(2, name = "top")], return_sequences = true)\nRNN(LSTM(2), return_sequences = true)\nLSTM(2)'
    )
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in model.weights))
    assert names == ["rnn/lstm", "rnn/lstm_1", "rnn/top", "rnn_1/lstm_2", "lstm_3"]


def test_dropout_is_the_cells() -> None:
    """Drawn in the same order as that of layers one after the other, so the same numbers."""
    cells = ("LSTM(4, dropout = 0.4)", "GRU(3, dropout = 0.2, recurrent_dropout = 0.5)")
    stack, apart = pair(cells, "return_sequences = true")
    y, expected = (model.forward(X, mask=MASK, training=True) for model in (stack, apart))
    np.testing.assert_array_equal(y, expected)
    assert not np.array_equal(y, stack.forward(X, mask=MASK))


def test_states_go_out_and_come_in_cell_by_cell() -> None:
    body = "y, h, c, g = x -> RNN([LSTM(4), GRU(2)], return_state = true)\n output y, h, c, g"
    model = compiled(body)
    y, h, c, g = model.forward(X[:, :4])
    np.testing.assert_array_equal(y, g)
    going = compiled(
        "y, h, c, g = x -> RNN([LSTM(4), GRU(2)], return_state = true, initial_state = [h0, c0, g0])\n output y, h, c, g",
        "x: float[time, 3], h0: float[4], c0: float[4], g0: float[2]",
    )
    going.set_weights(model.get_weights())
    after = going.forward({"x": X[:, 4:], "h0": h, "c0": c, "g0": g})
    for found, expected in zip(after, model.forward(X), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_stateful_stack_goes_on() -> None:
    whole, _ = pair(("LSTM(4)", "Leaky(2)"), "return_sequences = true")
    model = compiled("RNN([LSTM(4), Leaky(2)], return_sequences = true, stateful = true)")
    model.set_weights(whole.get_weights())
    parts = [model.forward(X[:, :3], mask=MASK[:, :3]), model.forward(X[:, 3:])]
    mask = np.concatenate([MASK[:, :3], np.ones((6, 4), bool)], axis=1)
    expected = whole.forward(X, mask=mask)
    np.testing.assert_array_equal(parts[1], expected[:, 3:])
    model.reset_states()
    np.testing.assert_array_equal(model.forward(X[:, :3], mask=MASK[:, :3]), parts[0])


@pytest.mark.every(2)
@pytest.mark.parametrize("sequences", ["true", "false"])
@pytest.mark.parametrize("cells", STACKS.values(), ids=STACKS)
def test_a_stream_gives_what_the_whole_sequence_gives(cells: tuple[str, ...], sequences: str) -> None:
    model, _ = pair(cells, f"return_sequences = {sequences}")
    stream = model.stream(batch=len(X))
    steps = [stream.step(X[:, step]) for step in range(X.shape[1])]
    whole = model.forward(X)
    np.testing.assert_array_equal(np.stack(steps, axis=1) if sequences == "true" else steps[-1], whole)


@pytest.mark.parametrize("mode", ["concat", "sum", "none"])
def test_both_directions_of_a_stack(mode: str) -> None:
    body = f"Bidirectional(RNN([LSTM(4), Leaky(2)], return_sequences = true), merge_mode = {mode})"
    model = compiled(body)
    weights = [0.5 * RANDOM.normal(size=value.shape) for value in model.get_weights()]
    model.set_weights(weights)
    options = "return_sequences = true, zero_output_for_mask = true"
    halves: list[Array] = []
    for half, backwards in ((weights[:5], ""), (weights[5:], ", go_backwards = true")):
        one = compiled(f"RNN([LSTM(4), Leaky(2)], {options}{backwards})")
        one.set_weights(half)
        y = one.forward(X, mask=MASK)
        halves.append(y[:, ::-1] if backwards else y)
    expected = {"concat": [np.concatenate(halves, axis=-1)], "sum": [halves[0] + halves[1]], "none": halves}[mode]
    found = model.forward(X, mask=MASK)
    for one, two in zip(found if mode == "none" else [found], expected, strict=True):
        np.testing.assert_array_equal(one, two)


LSTM, BACKWARDS, SEQUENCES = make("LSTM", units=2), {"go_backwards": True}, {"return_sequences": True}
FLIPPED = {
    "its own twin": bidirectional(LSTM | BACKWARDS | SEQUENCES),
    "another cell": bidirectional(LSTM | BACKWARDS | SEQUENCES, backward_layer=make("GRU", units=3, **SEQUENCES)),
    "merged": bidirectional(LSTM | BACKWARDS | SEQUENCES, merge_mode="mul", backward_layer=LSTM | SEQUENCES),
    "last steps": bidirectional(LSTM | BACKWARDS, backward_layer=make("GRU", units=3)),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", [*FLIPPED, *(f"{name}, then a GRU" for name in FLIPPED if name != "last steps")])
def test_a_forward_layer_may_go_backwards(name: str) -> None:
    """The result is in reversed order, and so is its mask for the next layer."""
    name, *then = name.split(", ")
    layers = [FLIPPED[name], *([make("GRU", units=2)] if then else [])]
    graph = Graph({"x": "float[time, 3]"}, [Statement(layers)])
    model = rnnspec.compile(graph_spec(graph), dtype="float64", seed=3)
    weights = [0.5 * RANDOM.normal(size=value.shape) for value in model.get_weights()]
    model.set_weights(weights)
    for masks in ({"x": MASK}, {}):
        x = np.where(MASK[..., None], X, 0.0) if masks else X
        ran = reference.run_graph(graph, weights, {"x": x}, masks)
        y, tape = model.forward(x, mask=masks or None, record=True)
        np.testing.assert_allclose(y, ran.outputs[0].value, rtol=0, atol=1e-12)
        cotangent = RANDOM.normal(size=y.shape)
        by_weight, by_input = reference.graph_gradients(graph, weights, {"x": x}, masks, [cotangent])
        gradients = model.backward(tape, cotangent)
        for (name, found), expected in zip(gradients.weights.items(), by_weight, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(gradients.inputs["x"], by_input["x"], rtol=0, atol=1e-11)


def test_a_state_may_be_called_like_the_output() -> None:
    """The last output is carried beside the states, whatever these are called."""
    model = compiled("Leaky(3)")
    whole = compiled("Leaky(3, return_sequences = true)")
    whole.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.forward(X), whole.forward(X)[:, -1])
    stream = model.stream(batch=6)
    steps = [stream.step(X[:, step]) for step in range(7)]
    np.testing.assert_array_equal(steps[-1], model.forward(X))
    assert set(stream.state) == {"leaky/y", "leaky/return"}
