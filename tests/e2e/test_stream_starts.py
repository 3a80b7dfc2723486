"""Streams that start from given values: values that stay, rows that start from others, wrong ones; states of each use of a layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import rnnspec

SPEC = """model Case {
    input x: float[time, 3], a: float[4], b: float[2]
    h = b -> Dense(4)
    y = x -> LSTM(4, initial_state = [a, h], return_sequences = true)
    z = y -> GRU(4, initial_state = a)
    output y, z
}"""
MODEL = rnnspec.compile(SPEC, seed=1)
RANDOM = np.random.default_rng(0)
X, OTHER = (RANDOM.normal(size=(2, 6, 3)).astype(np.float32) for _ in range(2))
ROWS = {"a": RANDOM.normal(size=(2, 4)).astype(np.float32), "b": RANDOM.normal(size=(2, 2)).astype(np.float32)}
ONE = {name: value[:1] + 1 for name, value in ROWS.items()}


def test_values_that_stay_are_given_once() -> None:
    """The first call takes them, and all the others what it left: as the whole sequence does, bit for bit."""
    y, z = MODEL.forward({"x": X, **ROWS})
    stream = MODEL.stream(2, inputs=ROWS)
    shown = [stream.step(X[:, step] if step % 2 else {"x": X[:, step]}) for step in range(6)]
    assert np.array_equal(np.stack([each[0] for each in shown], axis=1), y)
    assert np.array_equal(shown[-1][1], z)
    stream.reset()
    assert np.array_equal(stream.steps(X)[0], y)


def test_rows_start_again_from_the_same_values_or_from_others() -> None:
    stream = MODEL.stream(2, inputs=ROWS)
    stream.steps(X)
    stream.reset(rows=[1], inputs=ONE)
    y, _ = stream.steps(OTHER)
    assert np.array_equal(y[1:], MODEL.forward({"x": OTHER[1:], **ONE})[0])
    assert np.array_equal(
        y[:1], MODEL.forward({"x": np.concatenate([X, OTHER], axis=1)[:1], "a": ROWS["a"][:1], "b": ROWS["b"][:1]})[0][:, 6:]
    )
    stream.reset(rows=[1])
    assert np.array_equal(stream.steps(X)[0][1:], MODEL.forward({"x": X[1:], **ONE})[0])


@pytest.mark.parametrize("stay", [False, True])
def test_a_step_may_have_all_inputs(stay: bool) -> None:
    """Values that stay are then others from now on; a layer that has begun doesn't look at them."""
    y, _ = MODEL.forward({"x": X, **ROWS})
    stream = MODEL.stream(2, inputs={name: value + 7 for name, value in ROWS.items()} if stay else None)
    for step in range(6):
        assert np.array_equal(stream.step({"x": X[:, step], **ROWS})[0], y[:, step])
    stream.reset()
    assert np.array_equal(stream.steps({"x": X, **ROWS})[0], y)
    if stay:
        stream.reset()
        assert np.array_equal(stream.steps(X)[0], y)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": ROWS["a"]}, "the inputs of model Case are a, b; missing: b"),
        ({**ROWS, "x": X}, "the inputs of model Case are a, b; unknown: x"),
        ({"a": ROWS["a"], "b": ROWS["b"][:1]}, "input b has 1 samples, input a has 2"),
        (ONE, "inputs: expected values of 2 rows, got 1"),
        ({**ROWS, "a": np.zeros((2, 3))}, "input a: expected 4 features, got 3"),
    ],
)
def test_wrong_values_make_no_stream(inputs: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODEL.stream(2, inputs=inputs)


def test_wrong_values_leave_a_stream_as_it_is() -> None:
    y, _ = MODEL.forward({"x": X, **ROWS})
    stream = MODEL.stream(2, inputs=ROWS)
    stream.steps(X[:, :3])
    with pytest.raises(ValueError, match="inputs: expected values of 1 row, got 2"):
        stream.reset([0], ROWS)
    with pytest.raises(ValueError, match="the inputs of model Case are x, a, b; missing: b"):
        stream.step({"x": X[:, 3], "a": ROWS["a"]})
    assert np.array_equal(stream.steps(X[:, 3:])[0], y[:, 3:])
    with pytest.raises(ValueError, match="this stream takes a, b with each step"):
        MODEL.stream(2).reset(inputs=ROWS)
    with pytest.raises(ValueError, match="all inputs of model M are sequences"):
        rnnspec.compile("model M { input x: float[time, 3]  GRU(2) }").stream(inputs=ROWS)


def test_states_of_each_use_have_names_of_their_own() -> None:
    body = "shared g = GRU(2)\n p = a -> g\n q = b -> g\n [p, q] -> Add()"
    stream = rnnspec.compile(f"model M {{ input a: float[m, 1], b: float[n, 1]\n {body} }}").stream()
    assert sorted(stream.state) == ["g/h", "g/h/2", "g/return", "g/return/2"]


def test_parts_of_a_sequence_go_on_from_its_initial_state() -> None:
    """Truncated back-propagation: the gradient of the first part flows to the given values, that of the others to none."""
    spec = """model M {{ input x: float[time, 3], a: float[2]
        {before}
        y = x -> GRU(2, initial_state = h, return_sequences = true, name = "gru")
        y -> Dense(3, name = "out")
        train {{ loss = mse  optimizer = SGD(learning_rate = 0.5) }} }}"""
    model, first = (rnnspec.compile(spec.format(before="h = a -> Dense(2)"), seed=1, dtype="float64") for _ in range(2))
    a, target = RANDOM.normal(size=(2, 2)), RANDOM.normal(size=(2, 6, 3))
    state = first.stream(2, inputs=a)
    state.steps(X[:, :3])
    first.train_on_batch({"x": X[:, :3], "a": a}, target[:, :3])
    then = rnnspec.compile(spec.format(before="h = a -> Dropout(0)"), dtype="float64")
    then.set_weights({name: value for name, value in first.weights.items() if not name.startswith("dense")})
    then.train_on_batch({"x": X[:, 3:], "a": state.state["gru/h"]}, target[:, 3:])
    model.configure(truncate=3)
    model.train_on_batch({"x": X, "a": a}, target)
    for name, value in model.weights.items():
        np.testing.assert_array_equal(value, (first if name.startswith("dense") else then).weights[name])
