"""Streams of layers that look at several steps: when outputs fall due, what is carried, rows out of step, wrong calls."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.dimensions import parse_dim
from rnnspec.contract.signature import Clock
from rnnspec.frontend.model.streaming import clock_of_length
from rnnspec.training.model import Model


def model_of(body: str, inputs: str = "x: float[time, 1]") -> Model:
    return rnnspec.compile(f"model Case {{ input {inputs}\n {body} }}", seed=1)


@pytest.mark.parametrize(
    ("length", "first", "period"),
    [("time", 1, 1), ("time-2", 3, 1), ("ceil(time/3)", 1, 3), ("ceil((time-2)/2)", 3, 2), ("ceil((ceil((time-2)/2)-3)/4)", 9, 8)],
)
def test_a_length_says_when_steps_fall_due(length: str, first: int, period: int) -> None:
    assert clock_of_length(parse_dim(length)) == Clock(first, period)


@pytest.mark.parametrize("length", ["time+2", "time+time", "7", "time+other"])
def test_a_sequence_that_gets_several_steps_at_once_has_no_clock(length: str) -> None:
    assert clock_of_length(parse_dim(length)) is None


@pytest.mark.parametrize(
    ("body", "due"),
    [
        ("Conv1D(1, 3)", [2, 3, 4, 5, 6, 7, 8, 9]),
        ("Conv1D(1, 3, strides = 2)", [2, 4, 6, 8]),
        ("Conv1D(1, 3, strides = 2, padding = causal)", [0, 2, 4, 6, 8]),
        ("MaxPooling1D(3)", [2, 5, 8]),
        ("Conv1D(1, 3, strides = 2) AveragePooling1D(2)", [4, 8]),
        ("Cropping1D([1, 2])", [3, 4, 5, 6, 7, 8, 9]),
        ("Conv1D(1, 2, dilation_rate = 4) GRU(2)", [4, 5, 6, 7, 8, 9]),
        ("MaxPooling1D(4) GRU(2)", [3, 7]),
    ],
)
def test_an_output_is_there_when_it_is_due(body: str, due: list[int]) -> None:
    stream = model_of(body).stream(2)
    shown = [stream.step(np.full((2, 1), step)) for step in range(10)]
    assert [step for step, value in enumerate(shown) if value is not None] == due


def test_pooled_numbers_by_hand() -> None:
    stream = model_of("p = x -> MaxPooling1D(2)\n q = x -> AveragePooling1D(3, strides = 1)\n output p, q").stream()
    shown = [stream.step([[value]]) for value in (5.0, 3.0, 1.0, 8.0)]
    assert [(p if p is None else p.item(), q if q is None else q.item()) for p, q in shown] == [
        (None, None),
        (5.0, None),
        (None, 3.0),
        (8.0, 4.0),
    ]


def test_rows_out_of_step_hold_nan_until_they_are_due() -> None:
    stream = model_of("MaxPooling1D(2)").stream(2)
    assert stream.step([[1.0], [2.0]]) is None
    assert not stream.due["max_pooling1d"].any()
    stream.reset(rows=[1])
    np.testing.assert_array_equal(stream.step([[3.0], [4.0]]), [[3.0], [np.nan]])
    assert stream.due["max_pooling1d"].tolist() == [True, False]
    np.testing.assert_array_equal(stream.step([[0.0], [1.0]]), [[np.nan], [4.0]])
    stream.reset()
    assert stream.step([[5.0], [6.0]]) is None


def test_a_delay_is_a_state() -> None:
    stream = model_of("Conv1D(2, 3, dilation_rate = 2) MaxPooling1D(2)").stream()
    for value in (1.0, 2.0, 3.0):
        stream.step([[value]])
    assert {name: state.shape for name, state in stream.state.items()} == {"conv1d/delay": (1, 4), "max_pooling1d/delay": (1, 2)}
    assert stream.state["conv1d/delay"].tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_several_steps_at_once_are_the_outputs_that_fell_due() -> None:
    model = model_of("p = x -> MaxPooling1D(2)\n q = x -> LSTM(2, return_sequences = true)\n output p, q")
    p, q = model.stream().steps([[[1.0], [2.0], [3.0]]])
    assert (p.shape, q.shape) == ((1, 1, 1), (1, 3, 2))
    p, q = model.stream().steps(np.zeros((1, 0, 1)))
    assert (p.shape, q.shape) == ((1, 0, 1), (1, 0, 2))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 1)), r"input x: expected steps of shape \(2, steps, 1\), got \(2, 1\)"),
        (np.zeros((3, 4, 1)), "this stream has a batch of 2, got 3 samples"),
        (np.zeros((2, 4, 2)), "input x: expected 1 features, got 2"),
        ([[["a"]]], "input x"),
    ],
)
def test_wrong_steps_change_nothing(x: object, message: str) -> None:
    stream = model_of("MaxPooling1D(2)").stream(2)
    stream.step([[1.0], [2.0]])
    with pytest.raises(ValueError, match=message):
        stream.steps(x)
    assert stream.step([[0.0], [0.0]]).tolist() == [[1.0], [2.0]]


def test_a_wrong_id_at_a_later_step_makes_none() -> None:
    stream = model_of("Embedding(3, 2) LSTM(2)", "x: int[time]").stream()
    with pytest.raises(ValueError, match=r"input x, sample 0, step 2: expected a whole number in 0..2"):
        stream.steps([[0, 1, 7]])
    assert not any(state.any() for state in stream.state.values())


def test_inputs_with_different_numbers_of_steps_are_refused() -> None:
    stream = model_of("p = a -> LSTM(2)\n q = b -> LSTM(2)\n [p, q] -> Add()", "a: float[m, 1], b: float[n, 1]").stream()
    with pytest.raises(ValueError, match="expected as many steps of each input, a has 2, b has 3"):
        stream.steps({"a": np.zeros((1, 2, 1)), "b": np.zeros((1, 3, 1))})
    assert stream.steps({"a": np.zeros((1, 2, 1)), "b": np.zeros((1, 2, 1))}).shape == (1, 2, 2)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
def test_a_masked_input_flows_into_windows_with_what_it_holds() -> None:
    """Without `carry_mask` windows see masked steps; a cell beside them keeps its state."""
    model = model_of(
        "p = x -> Embedding(4, 2, mask_zero = true)\n q = p -> Conv1D(2, 3, strides = 2)\n"
        "r = p -> GRU(2, return_sequences = true)\n output q, r",
        "x: int[time]",
    )
    x = np.array([[1, 0, 2, 3, 0, 0, 1, 2, 3], [0, 0, 0, 1, 1, 2, 0, 3, 3]], np.int32)
    stream, whole = model.stream(2), model.forward(x)
    for shown, expected in zip(stream.steps(x), whole, strict=True):
        np.testing.assert_array_equal(shown, expected)


def test_a_model_with_windows_is_not_cut_into_parts() -> None:
    model = model_of("Conv1D(2, 3, padding = causal, carry_mask = true) Dense(1)")
    with pytest.raises(ValueError, match="a layer's windows reach over a part's beginning"):
        model.configure(loss="mse", truncate=4)
