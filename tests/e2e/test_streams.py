"""A model step by step: the bits of the whole sequence at once, what is carried, rows that start anew, and what can't stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.model import Model

Array = NDArray[Any]
DType = Literal["float32", "float64"]

BATCH, TIME = 4, 7
EXAMPLES = Path(__file__).parents[2] / "examples" / "cells"

BODIES: Mapping[str, str] = {
    "SimpleRNN": "a -> SimpleRNN(5, return_sequences = true)",
    "LSTM": "a -> LSTM(5, return_sequences = true)",
    "GRU": "a -> GRU(17, return_sequences = true)",
    "more weights than the first-level cache holds": "a -> LSTM(70, return_sequences = true) -> Dense(3)",
    "GRU, reset before": "a -> GRU(5, reset_after = false, return_sequences = true)",
    "the last output": "a -> LSTM(5)",
    "the last output, masked": "a -> Masking() -> GRU(5)",
    "held": "a -> Masking() -> LSTM(5, return_sequences = true)",
    "held, through other layers": "a -> Masking() -> LSTM(5, return_sequences = true) -> Dense(3, tanh) -> LayerNormalization()",
    "zeros where masked": "a -> Masking() -> LSTM(5, return_sequences = true, zero_output_for_mask = true)",
    "no cell": "a -> Masking() -> Dense(3, tanh) -> SpatialDropout1D(0.5) -> PReLU(shared_axes = [1])",
    "ids": "words -> Embedding(6, 3, mask_zero = true) -> GRU(4, return_sequences = true) -> TimeDistributed(Dense(2, softmax))",
    "states": "a -> Masking() -> LSTM(5, return_sequences = true, return_state = true)",
    "a stack": "a -> GRU(4, return_sequences = true) -> Dropout(0.5) -> LSTM(3, return_sequences = true, dropout = 0.5) -> SimpleRNN(2)",
    "around": "p = a -> Masking() -> GRU(3, return_sequences = true)\n q = p -> Dense(3)\n [p, q] -> Add() -> LSTM(2)",
    "a convolution": "a -> Conv1D(4, 3, padding = causal) -> GRU(3, return_sequences = true)",
    "convolutions": "a -> Conv1D(4, 2, padding = causal, dilation_rate = 3) -> Conv1D(17, 2, padding = causal) -> LSTM(3)",
    "a convolution of ids": "words -> Embedding(6, 3) -> Conv1D(5, 4, padding = causal, use_bias = false) -> Dense(2)",
    "a convolution of a cell": "a -> LSTM(5, return_sequences = true) -> Conv1D(3, 1, padding = causal) -> Conv1D(3, 3, padding = causal)",
    "the last step": "a -> Masking() -> Last() -> Dense(2)",
    "the last step of a cell": "s = a -> LSTM(5, return_sequences = true)\n p = s -> Last()\n q = a -> Last()\n output s, p, q",
    "two inputs": "p = a -> LSTM(3, return_sequences = true)\n q = b -> GRU(3, return_sequences = true)\n [p, q] -> Add() -> LSTM(2)",
    "stateful": "a -> LSTM(4, stateful = true, return_sequences = true)",
    "a row beside it": "last = a -> GRU(3)\n [last, row] -> Concatenate() -> Dense(2)",
    "an initial state": "h = row -> Dense(4, tanh)\n a -> Masking() -> LSTM(4, initial_state = [h, h]) -> Dense(2)",
    "initial states of a stack": "a -> RNN([GRU(3), SimpleRNN(3)], initial_state = [row, row], return_sequences = true)",
    "shared": "shared g = GRU(3)\n p = a -> g\n q = b -> g\n r = p -> ReLU()\n [r, q] -> Add()",
    "shared, with windows": "shared c = Conv1D(3, 2, padding = causal)\n p = a -> c\n q = p -> c -> LSTM(3)\n output q, p",
    "several outputs": "p = a -> Masking() -> LSTM(3, return_sequences = true)\n q = p -> GRU(2)\n r = p -> ELU()\n output q, r, p",
}
every_body = pytest.mark.parametrize("name", BODIES)


def spec_of(body: str) -> str:
    used = {"a": "a: float[time, 3]", "b": "b: float[time, 3]", "words": "words: int[time]", "row": "row: float[3]"}
    inputs = [declared for name, declared in used.items() if name in body.replace("[", " ").replace("]", " ").replace(",", " ").split()]
    return f"model Case {{\n input {', '.join(inputs)}\n {body}\n}}"


@cache
def model_of(name: str, dtype: DType = "float32") -> Model:
    return rnnspec.compile(spec_of(BODIES[name]), dtype=dtype, seed=1)


def inputs_of(model: Model, dtype: DType = "float32", seed: int = 0) -> dict[str, Array]:
    """Random steps; row 0 begins with masked ones, row 1 has nothing else, row 2 has holes."""
    random = np.random.default_rng(seed)
    masked = np.zeros((BATCH, TIME), bool)
    masked[0, :2], masked[1], masked[2, [1, 2, 5]] = True, True, True
    given: dict[str, Array] = {}
    for source in model.signature.inputs:
        if source.integer:
            given[source.name] = np.where(masked, 0, random.integers(1, 6, (BATCH, TIME))).astype(np.int32)
        elif source.is_sequence:
            given[source.name] = np.where(masked[..., None], 0.0, random.normal(size=(BATCH, TIME, 3))).astype(dtype)
        else:
            given[source.name] = random.normal(size=(BATCH, 3)).astype(dtype)
    return given


def step_of(model: Model, inputs: Mapping[str, Array], step: int, rows: slice = slice(None)) -> dict[str, Array]:
    sequences = {source.name for source in model.signature.inputs if source.is_sequence}
    return {name: value[rows, step] if name in sequences else value[rows] for name, value in inputs.items()}


def listed(outputs: Any) -> list[Array]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def check_same_bits(model: Model, inputs: Mapping[str, Array]) -> None:
    """What each step shows is what the whole shows there; a row shows at each step what the sequence so far gives."""
    model.reset_states()
    stream = model.stream(BATCH)
    sequences = {source.name for source in model.signature.inputs if source.is_sequence}
    whole = listed(model.forward(inputs))
    for step in range(TIME):
        shown = listed(stream.step(step_of(model, inputs, step)))
        model.reset_states()
        so_far = listed(model.forward({name: value[:, : step + 1] if name in sequences else value for name, value in inputs.items()}))
        for output, one, all_, last in zip(model.signature.outputs, shown, whole, so_far, strict=True):
            assert np.array_equal(one, all_[:, step] if output.is_sequence else last), f"{output.name}, step {step}"


@pytest.mark.every(2)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_body
def test_steps_are_the_bits_of_the_whole(name: str, dtype: DType) -> None:
    model = model_of(name, dtype)
    check_same_bits(model, inputs_of(model, dtype))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.rnn")), ids=lambda path: path.stem)
def test_cells_of_users_stream_as_well(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (name,) = re.findall(r"^cell (\w+)", text, re.MULTILINE)
    cell = text[: text.index("\nmodel ")]
    more = ", proj_size = 3" if "proj_size" in cell else ""
    layer = f"{name}(5{more}, return_sequences = true)"
    model = rnnspec.compile(f"{cell}\nmodel Case {{ input a: float[time, 3] Masking() {layer} }}", seed=1)
    check_same_bits(model, inputs_of(model))


SUMS: Mapping[str, tuple[str, ...]] = {
    "a state and a product of the input": ("h' = tanh(h + x @ kernel)", "return h'"),
    "the other way round": ("h' = tanh(x @ kernel + h)", "return h'"),
    "a state, a product and a bias": ("h' = tanh(h + x @ kernel + bias)", "return h'"),
    "from a product of both": ("h' = tanh(h + x @ kernel + h @ square + bias + peephole * h)", "return h'"),
    "differences": ("h' = tanh(h - x @ kernel - (bias - h @ square))", "return h'"),
    "products of products": ("h' = tanh((x @ kernel + h) @ square + h @ square + h)", "return h' + (x @ kernel) * h"),
    "reduced": ("h' = tanh(h + mean(h + x @ kernel) + sum(x @ kernel) * h)", "return h'"),
    "behind a norm": ("z = h + x @ kernel", "d = z - mean(z)", "h' = h + d / sqrt(mean(d * d) + 0.01)", "return h' - x @ kernel"),
    "parts": ("a, b = split(x @ wide, 2)", "h' = tanh(h + a + (h @ square + b) * h)", "return h' + b"),
    "a state that nothing reads": ("p = h @ square", "h' = tanh(p + x @ kernel)", "c' = p", "return h'"),
    "two equal states": ("z = tanh(h @ square + c @ square + x @ kernel)", "h' = z", "c' = z", "return h + c"),
    "an output of constants": ("h' = h + x @ kernel", "return 0.1 * 3 + 0.0 * h"),
}
WEIGHTS = {
    "kernel": "[features, units] = glorot_uniform",
    "wide": "[features, 2 * units] = glorot_uniform",
    "square": "[units, units] = orthogonal",
    "bias": "[units] = random_normal",
    "peephole": "[units] = random_normal",
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", SUMS)
def test_every_sum_is_added_in_one_order(name: str) -> None:
    """Whether a product is made before the steps or in them; for several steps, one, one row, and recorded."""
    *lines, output = SUMS[name]
    text = " ".join(SUMS[name])
    weights = [f"weight {weight} {declared}" for weight, declared in WEIGHTS.items() if re.search(rf"\b{weight}\b", text)]
    states = ["state h [units]", *(["state c [units]"] if "c' =" in text else [])]
    cell = "\n".join(["cell Sums(units) {", *weights, *states, *lines, output, "}"])
    layers = "Sums(5, return_sequences = true)\n Sums(17, return_sequences = true)\n Dense(3, use_bias = false)"
    model = rnnspec.compile(f"{cell}\nmodel Case {{ input a: float[time, 3]\n {layers} }}", seed=1)
    inputs = {"a": np.random.default_rng(0).normal(size=(BATCH, TIME, 3)).astype(np.float32)}
    check_same_bits(model, inputs)
    whole = model.forward(inputs)
    assert np.array_equal(model.forward({"a": inputs["a"][1:2]}), whole[1:2])
    assert np.array_equal(model.forward(inputs, record=True)[0], whole)


def test_a_model_that_reads_no_step_streams_as_well() -> None:
    cell = "cell Clock(units) {\n weight rate [units] = ones\n state h [units]\n h' = h + rate\n return h'\n}"
    model = rnnspec.compile(f"{cell}\nmodel Case {{ input a: float[time, 3]\n Clock(2, return_sequences = true) }}")
    x = np.zeros((1, 3, 3), np.float32)
    stream = model.stream(1)
    assert [stream.step(x[:, step]).tolist() for step in range(3)] == [[[1.0, 1.0]], [[2.0, 2.0]], [[3.0, 3.0]]]
    assert np.array_equal(model.forward(x)[0, :, 0], [1.0, 2.0, 3.0])


def test_one_sequence_alone_is_the_default() -> None:
    model = model_of("LSTM")
    x = inputs_of(model)["a"][3:]
    stream = model.stream()
    assert np.array_equal(np.stack([stream.step(x[:, step]) for step in range(TIME)], axis=1), model.forward(x))


def test_state_is_what_return_state_gives() -> None:
    model = model_of("states")
    inputs = inputs_of(model)
    stream = model.stream(BATCH)
    assert {name: value.shape for name, value in stream.state.items()} == {"lstm/h": (BATCH, 5), "lstm/c": (BATCH, 5)}
    assert not any(value.any() for value in stream.state.values())
    for step in range(TIME):
        _, h, c = stream.step(inputs["a"][:, step])
        assert np.array_equal(stream.state["lstm/h"], h)
        assert np.array_equal(stream.state["lstm/c"], c)
    _, h, c = model.forward(inputs)
    assert np.array_equal(stream.state["lstm/h"], h)
    assert np.array_equal(stream.state["lstm/c"], c)


def test_state_is_a_copy() -> None:
    model = model_of("LSTM")
    x = inputs_of(model)["a"]
    stream, other = model.stream(BATCH), model.stream(BATCH)
    first = stream.step(x[:, 0])
    for value in stream.state.values():
        value[:] = 7.0
    first[:] = 7.0
    other.step(x[:, 0])
    assert np.array_equal(stream.step(x[:, 1]), other.step(x[:, 1]))


@every_body
def test_rows_that_start_anew(name: str) -> None:
    """They go on as a stream that begins there, the others as if nothing had happened."""
    model = model_of(name)
    inputs = inputs_of(model)
    stream, undisturbed, late = (model.stream(BATCH) for _ in range(3))
    for step in range(4):
        stream.step(step_of(model, inputs, step))
        undisturbed.step(step_of(model, inputs, step))
    stream.reset(rows=[0, 2])
    for step in range(4, TIME):
        given = step_of(model, inputs, step)
        shown, kept, new = (listed(each.step(given)) for each in (stream, undisturbed, late))
        for place in range(len(shown)):
            assert np.array_equal(shown[place][[1, 3]], kept[place][[1, 3]])
            assert np.array_equal(shown[place][[0, 2]], new[place][[0, 2]])


@pytest.mark.parametrize("rows", [None, range(BATCH), np.arange(BATCH)])
def test_all_rows_start_anew(rows: object) -> None:
    model = model_of("held")
    x = inputs_of(model)["a"]
    stream = model.stream(BATCH)
    first = [stream.step(x[:, step]) for step in range(TIME)]
    stream.reset(rows)
    assert not any(value.any() for value in stream.state.values())
    assert all(np.array_equal(stream.step(x[:, step]), first[step]) for step in range(TIME))


def test_one_row_by_its_number_and_none() -> None:
    model = model_of("GRU")
    x = inputs_of(model)["a"]
    stream = model.stream(BATCH)
    stream.step(x[:, 3])
    before = stream.state["gru/h"]
    stream.reset(rows=np.array([], int))
    stream.reset(rows=[])
    assert np.array_equal(stream.state["gru/h"], before)
    stream.reset(rows=3)
    assert not stream.state["gru/h"][3].any()
    assert np.array_equal(stream.state["gru/h"][:3], before[:3])


def test_streams_and_calls_know_nothing_of_each_other() -> None:
    """Of a stateful model too: its own states stay where its calls left them."""
    model = model_of("stateful")
    x = inputs_of(model)["a"]
    model.reset_states()
    expected = [model.forward(x[:, :3]), model.forward(x[:, 3:])]
    model.reset_states()
    stream = model.stream(2)
    assert np.array_equal(model.forward(x[:, :3]), expected[0])
    alone = [stream.step(x[:2, step]) for step in range(3)]
    assert np.array_equal(model.forward(x[:, 3:]), expected[1])
    assert np.array_equal(np.stack(alone, axis=1), expected[0][:2])


def test_weights_are_those_of_the_moment() -> None:
    model = rnnspec.compile(spec_of(BODIES["SimpleRNN"]), seed=1)
    x = inputs_of(model)["a"]
    stream = model.stream(BATCH)
    stream.step(x[:, 0])
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    assert not stream.step(x[:, 1]).any()


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize(
    ("inputs", "body", "reason"),
    [
        ("a: float[time, 3]", "Bidirectional(GRU(3))", "bidirectional reads the sequence from its end as well (line 1)"),
        ("a: float[time, 3]", "GRU(3, go_backwards = true)", "gru reads the sequence from its end (line 1)"),
        ("a: float[time, 3]", "GlobalMaxPooling1D()", "global_max_pooling1d pools over the whole sequence (line 1)"),
        ("a: float[time, 3]", "GlobalAveragePooling1D()", "global_average_pooling1d pools over the whole sequence (line 1)"),
        (
            "a: float[time, 3]",
            "Dense(2)\n Conv1D(2, 3, padding = same)",
            "conv1d looks ahead: with `padding = same` a window sees steps behind its own (line 2)",
        ),
        (
            "a: float[time, 3]",
            "Masking() Conv1D(2, 3, padding = causal, carry_mask = true)",
            "conv1d looks at several steps at once, of which some may be masked (line 1)",
        ),
        (
            "a: float[time, 3]",
            "Masking() GRU(2, return_sequences = true) MaxPooling1D(2)",
            "max_pooling1d looks at several steps at once, of which some may be masked (line 1)",
        ),
        (
            "a: float[time, 3]",
            "ZeroPadding1D()",
            "zero_padding1d adds steps at the sequence's ends, and a stream has one step at a time and no end (line 1)",
        ),
        ("a: float[time, 3]", "UpSampling1D()", "up_sampling1d makes several steps of each, and a stream has one step at a time (line 1)"),
        ("a: float[3]", "RepeatVector(3) LSTM(2)", "repeat_vector makes a sequence of its own (line 1)"),
        ("a: float[3]", "Dense(2)", "it has no sequence input"),
        ("a: float[5, 3]", "LSTM(2)", "input a has a fixed number of steps; a name, as `time`, is any number"),
        ("a: int[5]", "Embedding(3, 2) LSTM(2)", "input a has a fixed number of steps; a name, as `time`, is any number"),
    ],
)
def test_what_cannot_stream_says_why(inputs: str, body: str, reason: str) -> None:
    model = rnnspec.compile(f"model Case {{ input {inputs} {body} }}", seed=1)
    with pytest.raises(ValueError) as raised:
        model.stream()
    assert str(raised.value) == f"model Case can't stream: {reason}"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 3)), "this stream has a batch of 4, got 3 samples"),
        (np.zeros((4, 2)), r"input a: expected 3 features, got 2"),
        (np.zeros((4, 1, 3)), r"input a: expected one step of shape \(4, 3\), got \(4, 1, 3\)"),
        (np.zeros(3), r"input a: expected one step of shape \(4, 3\), got \(3,\)"),
        (np.full((4, 3), "x"), "input a"),
        ({"b": np.zeros((4, 3))}, "b"),
    ],
)
def test_a_wrong_step_changes_nothing(x: object, message: str) -> None:
    model = model_of("LSTM")
    right = inputs_of(model)["a"]
    stream = model.stream(BATCH)
    stream.step(right[:, 3])
    before = stream.state
    with pytest.raises(ValueError, match=message):
        stream.step(x)
    assert all(np.array_equal(value, before[name]) for name, value in stream.state.items())


def test_ids_that_there_are_not() -> None:
    stream = model_of("ids").stream(2)
    with pytest.raises(ValueError, match="words"):
        stream.step(np.array([1, 6]))


@pytest.mark.parametrize("rows", [4, -1, [0, 4], [0.5], "all", [True, False, True, False], [[0]]])
def test_rows_that_there_are_not(rows: object) -> None:
    with pytest.raises(ValueError, match="rows: expected numbers from 0 to 3, got"):
        model_of("LSTM").stream(BATCH).reset(rows)


@pytest.mark.parametrize("batch", [0, -1, 1.5, "2", None])
def test_a_batch_that_cannot_be(batch: Any) -> None:
    with pytest.raises(ValueError, match="batch"):
        model_of("LSTM").stream(batch)


def test_a_stream_of_ids_alone_without_states() -> None:
    """Nothing that goes in has the model's dtype."""
    model = rnnspec.compile("model M { input x: int[time] Embedding(5, 3) Dense(2) }", dtype="float64", seed=0)
    ids = np.array([[1, 4, 0], [2, 2, 3]], np.int32)
    stream = model.stream(2)
    steps = [stream.step(ids[:, step]) for step in range(3)]
    assert np.array_equal(np.stack(steps, axis=1), model.forward(ids))


@pytest.mark.parametrize("masking", ["", "Masking()"])
def test_a_step_in_the_middle_of_another_is_refused_and_changes_nothing(masking: str) -> None:
    """As a signal's handler would make it."""
    model = rnnspec.compile(f"model Case {{\n    input x: float[time, 2]\n    {masking}\n    LSTM(3)\n}}\n", seed=0)
    stream, x = model.stream(), np.ones((1, 2))
    expected = [stream.step(x) for _ in range(2)]
    stream.reset()
    for use in (lambda: stream.step(x), lambda: stream.state, stream.reset):
        with pytest.raises(RuntimeError, match="in the middle of a step"):
            stream._alone(use)
    assert all(np.array_equal(stream.step(x), each) for each in expected)


@pytest.mark.parametrize("masking", ["", "Masking()"])
@pytest.mark.parametrize("layer", ["LSTM(2", "GRU(2", "RNN([LSTM(2), GRU(3)]"])
def test_states_that_are_outputs_too_have_places_of_their_own(layer: str, masking: str) -> None:
    """Outputs without a name of the spec's are called as the states that they are."""
    model = rnnspec.compile(
        f"model M {{ input x: float[time, 2] {masking} {layer}, return_sequences = true, return_state = true) }}", seed=1
    )
    assert "/h" in "".join(output.name for output in model.signature.outputs)
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    whole = model.forward(x)
    stream = model.stream(3)
    steps = [stream.step(x[:, step]) for step in range(4)]
    assert np.array_equal(np.stack([step[0] for step in steps], axis=1), whole[0])
    for last, expected in zip(steps[-1][1:], whole[1:], strict=True):
        assert np.array_equal(last, expected)
