"""Compiled graphs against the interpreter of their tensor IR, gradients against central differences; what a sample's result depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.dimensions import Dim, Name, Size
from rnnspec.contract.signature import InputSignature, Signature
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Role
from rnnspec.source import SourceFile
from rnnspec.training.model import Model

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning"),
    pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning"),
]
"""Some merge a masked sequence with one that isn't."""

Array = NDArray[Any]

STEP = 1e-5
TIMES: dict[Dim, int] = {Name("time"): 6, Name("later"): 4}
BATCH = 5

GRAPHS: Mapping[str, str] = {
    "two inputs of different lengths": """
        model Case {
            input a: float[time, 3], b: float[later, 2]
            p = a -> LSTM(4)
            q = b -> GRU(3)
            [p, q] -> Concatenate() -> Dense(2, activation = tanh)
        }
    """,
    "encoder and decoder": """
        model Case {
            input source: float[time, 3], target: float[later, 2]
            _, h, c = source -> LSTM(4, return_state = true)
            target -> LSTM(4, initial_state = [h, c], return_sequences = true) -> Dense(2, activation = softmax)
        }
    """,
    "states of both directions": """
        model Case {
            input source: float[time, 3], target: float[later, 2]
            _, f, g = source -> Bidirectional(GRU(3, return_state = true))
            target -> Bidirectional(GRU(3, return_sequences = true), initial_state = [f, g], merge_mode = mul)
        }
    """,
    "a state from a row, states as outputs": """
        model Case {
            input a: float[time, 3], row: float[4]
            h = row -> Dense(5, activation = tanh)
            a -> LSTM(5, initial_state = [h, h], return_state = true, return_sequences = true)
        }
    """,
    "shared layers": """
        model Case {
            input story: int[time], question: int[later]
            shared embed = Embedding(7, 4, mask_zero = true)
            shared read = Bidirectional(LSTM(3, return_sequences = true))
            s = story -> embed -> read -> GRU(3)
            q = question -> embed -> read -> GlobalAveragePooling1D()
            [s, q] -> Concatenate() -> Dense(3)
        }
    """,
    "a shared block, its own shared layer made anew each round": """
        block Reader(units) {
            repeat 2 {
                shared step = GRU(units, return_sequences = true)
                step
                step
            }
            Dense(units, activation = tanh)
        }
        model Case {
            input a: float[time, 3], b: float[later, 3]
            shared read = Reader(3)
            p = a -> read -> LSTM(2)
            q = b -> read -> LSTM(2)
            [p, q] -> Concatenate()
        }
    """,
    "both directions, joined": """
        model Case {
            input a: float[time, 3]
            a -> Bidirectional(LSTM(2, return_sequences = true), merge_mode = none) -> Concatenate() -> GRU(3)
        }
    """,
    "one layer again and again": """
        model Case {
            input a: float[time, 4]
            shared step = GRU(4, return_sequences = true)
            shared square = Dense(4, activation = tanh)
            a -> step -> square -> step
            repeat 2 {
                square
            }
            step
        }
    """,
    "a block in a repeat": """
        block Residual(units, act = tanh) {
            wide = LSTM(units, return_sequences = true)
            narrow = wide -> Dense(units, activation = act)
            [wide, narrow] -> Add() -> LayerNormalization()
        }
        model Case {
            input a: float[time, 3]
            repeat 2 {
                Residual(4)
            }
            GRU(3)
        }
    """,
    "several outputs": """
        model Case {
            input a: float[time, 3], b: float[later, 3]
            p = a -> GRU(4, return_sequences = true)
            q = p -> LSTM(2)
            f, g = b -> Bidirectional(GRU(2), merge_mode = none)
            s = [f, g, q] -> Average()
            shown = b -> Dense(2, activation = sigmoid)
            output p, s, shown, f
        }
    """,
    "an input twice, masked once": """
        model Case {
            input words: int[time]
            p = words -> Embedding(6, 3, mask_zero = true) -> LSTM(3)
            q = words -> Embedding(6, 3) -> LSTM(3)
            [p, q] -> Subtract() -> Dense(2)
        }
    """,
    "differently masked sequences": """
        model Case {
            input a: float[time, 3], b: float[time, 3]
            p = a -> Masking()
            q = b -> Masking(mask_value = 1) -> Dense(3, activation = tanh)
            r = [p, q, a] -> Add()
            s = [p, q] -> Concatenate() -> GRU(3, return_sequences = true)
            [r, s] -> Concatenate() -> LSTM(2)
        }
    """,
    "each merge of two masks": """
        model Case {
            input a: float[time, 3], b: float[time, 3]
            p = a -> Masking() -> SimpleRNN(3, return_sequences = true)
            q = b -> Masking() -> Dense(3, activation = tanh)
            add = [p, q] -> Add()
            subtract = [p, q] -> Subtract()
            multiply = [p, q] -> Multiply()
            average = [p, q] -> Average()
            maximum = [p, q] -> Maximum()
            minimum = [p, q] -> Minimum()
            concatenate = [p, q] -> Concatenate()
            output add, subtract, multiply, average, maximum, minimum, concatenate
        }
    """,
    "masks that are put together in another order": """
        model Case {
            input a: float[time, 2], b: float[time, 2]
            p = a -> Masking() -> GRU(2, return_sequences = true)
            q = b -> Masking() -> GRU(2, return_sequences = true)
            r = [p, q] -> Add()
            s = [q, p] -> Multiply()
            [r, s, p] -> Concatenate() -> GRU(3)
        }
    """,
    "sequences of a length of their own": """
        model Case {
            input a: float[time, 3], five: float[5, 2]
            last = a -> GRU(2)
            steps = last -> RepeatVector(5)
            start = last -> Dense(3)
            told = [steps, five] -> Concatenate() -> LSTM(3, return_sequences = true, initial_state = [start, start])
            told -> TimeDistributed(Dense(2))
        }
    """,
    "pooled in two ways": """
        model Case {
            input a: float[time, 3], b: float[time, 3]
            both = [a, b] -> Average() -> PReLU(shared_axes = [1], alpha_initializer = constant(0.3))
            p = both -> GlobalMaxPooling1D()
            q = both -> GlobalAveragePooling1D()
            [p, q] -> Concatenate() -> Dense(2) -> LeakyReLU()
        }
    """,
    "backwards in the same way": """
        model Case {
            input a: float[time, 3]
            p = a -> GRU(2, go_backwards = true, return_sequences = true)
            q = a -> LSTM(2, go_backwards = true, return_sequences = true, zero_output_for_mask = true)
            [p, q] -> Multiply() -> SimpleRNN(3, return_sequences = true)
        }
    """,
    "sums over what is put together": """
        cell Joined(units) {
            weight kernel [features, units] = glorot_uniform
            state h [units], c [units]
            h' = tanh(x @ kernel + h - sum(concat(h, c)))
            c' = tanh(c + h' + max(concat(h, c, x)) - mean(concat(c, h')))
            return h'
        }
        model Case {
            input a: float[time, 3], row: float[3]
            p = [row, row] -> Concatenate() -> LayerNormalization() -> Softmax()
            q = a -> Joined(4)
            [p, q, q] -> Concatenate() -> PReLU(alpha_initializer = constant(0.3))
        }
    """,
    "a backward layer of its own": """
        model Case {
            input a: float[time, 3], b: float[later, 3]
            shared read = Bidirectional(LSTM(2), backward_layer = GRU(3, go_backwards = true))
            p = a -> read
            q = b -> read
            [p, q] -> Maximum() -> ELU(alpha = 0.5)
        }
    """,
    "stacks and statistics": """
        model Case {
            input a: float[time, 3], r: float[2]
            shared normal = BatchNormalization(moving_mean_initializer = constant(0.3), moving_variance_initializer = constant(2.0))
            n = a -> Masking() -> normal
            m = n -> GaussianNoise(0.5) -> Dense(3) -> normal
            s = r -> Dense(3) -> BatchNormalization(scale = false, moving_variance_initializer = constant(0.5))
            y, h, c, g = m -> RNN([LSTM(2), GRU(3)], return_state = true, return_sequences = true, initial_state = [r, r, s])
            u = y -> Bidirectional(RNN([GRU(2), SimpleRNN(3)], return_sequences = true)) -> BatchNormalization(center = false)
            output y, h, c, g, u
        }
    """,
    "forwards after backwards": """
        model Case {
            input a: float[time, 3]
            p = a -> Bidirectional(LSTM(2, go_backwards = true, return_sequences = true), backward_layer = GRU(3, return_sequences = true))
            q = p -> RNN([GRU(2), LSTM(3)], go_backwards = true, return_sequences = true)
            s = p -> RNN([SimpleRNN(2), GRU(2)])
            output p, q, s
        }
    """,
}

every_graph = pytest.mark.parametrize("name", GRAPHS)


@dataclass(frozen=True)
class Call:
    """`inputs` with 0 or NaN where `masks` say that no step is."""

    inputs: dict[str, Array]
    masks: dict[str, Array]


@cache
def function_of(name: str) -> Function:
    return lower(resolve(parse(SourceFile.of_text(GRAPHS[name]))), dtype="float64", training=False).function("forward")


@cache
def model_of(name: str) -> Model:
    model = rnnspec.compile(GRAPHS[name], dtype="float64", seed=3)
    random = np.random.default_rng(11)
    weights = {weight: random.normal(scale=0.5, size=value.shape) for weight, value in model.weights.items()}
    model.set_weights({weight: np.abs(value) if weight.endswith("variance") else value for weight, value in weights.items()})
    return model


def time_of(spec: InputSignature) -> int:
    length = spec.shape[0]
    return length if isinstance(length, int) else TIMES[length]


def drawn(signature: Signature, seed: int, batch: int = BATCH) -> Call:
    """Random inputs with steps that the caller masks, and others that hold what layers mask."""
    random = np.random.default_rng(seed)
    inputs: dict[str, Array] = {}
    masks: dict[str, Array] = {}
    for spec in signature.inputs:
        widths = [extent for extent in spec.shape if isinstance(extent, int)]
        if not spec.is_sequence:
            inputs[spec.name] = random.normal(size=(batch, *widths))
            continue
        time = time_of(spec)
        if spec.integer:
            inputs[spec.name] = random.integers(0, spec.vocabulary or 2, (batch, time)).astype(np.int32)
        else:
            inputs[spec.name] = random.normal(size=(batch, time, widths[-1]))
            for value in (0.0, 1.0):
                inputs[spec.name][random.random((batch, time)) < 0.2] = value
        mask = random.random((batch, time)) < 0.7
        mask[0], mask[1], mask[2] = True, False, np.arange(time) < 2
        masks[spec.name] = mask
    return Call(inputs, masks)


def interpreted(name: str, weights: Mapping[str, Array], call: Call) -> list[Array]:
    arguments: dict[str, Any] = {key: value[..., None] if value.dtype.kind == "i" else value for key, value in call.inputs.items()}
    arguments |= {f"{key}.mask": mask for key, mask in call.masks.items()}
    results: dict[tuple[Role, str], Any] = interpret(function_of(name), {**arguments, **weights})
    return [value for (role, _), value in results.items() if role is Role.OUTPUT]


def listed(outputs: Any) -> list[Array]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def weights_of(model: Model) -> dict[str, Array]:
    return dict(model.weights.items())


@every_graph
def test_outputs(name: str) -> None:
    """What masked steps hold is never looked at: NaN there changes no bit."""
    model = model_of(name)
    for seed, batch in ((0, BATCH), (1, 3), (2, 0)):
        call = drawn(model.signature, seed, batch) if batch else drawn_nothing(model.signature)
        expected = interpreted(name, weights_of(model), call)
        found = listed(model.forward(call.inputs, mask=call.masks or None))
        assert [output.shape for output in found] == [output.shape for output in expected]
        for output, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-11)
        again = listed(model.forward(with_nonsense(call), mask=call.masks or None))
        assert all(np.array_equal(first, second) for first, second in zip(found, again, strict=True))


def drawn_nothing(signature: Signature) -> Call:
    call = drawn(signature, 0, 3)
    return Call({key: value[:0] for key, value in call.inputs.items()}, {key: value[:0] for key, value in call.masks.items()})


def with_nonsense(call: Call) -> dict[str, Array]:
    """The inputs with NaN, or ids out of range, in the steps that the caller masks."""
    inputs = dict(call.inputs)
    for key, mask in call.masks.items():
        nonsense = np.full_like(inputs[key], -7 if inputs[key].dtype.kind == "i" else np.nan)
        inputs[key] = np.where(mask.reshape(*mask.shape, *([1] * (nonsense.ndim - 2))), inputs[key], nonsense)
    return inputs


@pytest.mark.every(3)
@every_graph
def test_gradients(name: str) -> None:
    """Along two random directions through all weights and inputs at once; of the inputs nothing flows to masked steps."""
    model = model_of(name)
    call = drawn(model.signature, 4)
    weights = weights_of(model)
    outputs, tape = model.forward(call.inputs, mask=call.masks or None, record=True)
    random = np.random.default_rng(7)
    cotangents = [random.normal(size=output.shape) for output in listed(outputs)]
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    assert set(gradients.weights) == set(weights)
    floats = {key: value for key, value in call.inputs.items() if value.dtype.kind == "f"}
    assert set(gradients.inputs) == set(floats)
    for key, mask in call.masks.items():
        assert key not in floats or not gradients.inputs[key][~mask].any()
    for _ in range(2):
        along = {weight: random.normal(size=value.shape) for weight, value in weights.items()}
        along_inputs = {key: random.normal(size=value.shape) for key, value in floats.items()}
        for key, value in floats.items():
            if value.ndim == 3:
                kept = ~((value == 0).all(axis=-1) | (value == 1).all(axis=-1))
                along_inputs[key] *= kept[..., None]
        products = [gradients.weights[weight] * along[weight] for weight in weights]
        products += [gradients.inputs[key] * along_inputs[key] for key in floats]
        slope, size = sum(float(product.sum()) for product in products), sum(float(np.abs(product).sum()) for product in products)
        values: list[float] = []
        for sign in (1, -1):
            moved_weights = {weight: value + sign * STEP * along[weight] for weight, value in weights.items()}
            moved = {key: value + sign * STEP * along_inputs[key] if key in floats else value for key, value in call.inputs.items()}
            outputs = interpreted(name, moved_weights, Call(moved, call.masks))
            values.append(sum(float((output * cotangent).sum()) for output, cotangent in zip(outputs, cotangents, strict=True)))
        np.testing.assert_allclose(slope, (values[0] - values[1]) / (2 * STEP), rtol=0, atol=1e-6 * max(1.0, size))


@every_graph
def test_batch_mates_and_padding_change_no_bit(name: str) -> None:
    """Each sample alone, with new masked steps between its own, the same in all inputs of one length."""
    model = model_of(name)
    call = drawn(model.signature, 5)
    whole = listed(model.forward(call.inputs, mask=call.masks or None))
    random = np.random.default_rng(9)
    for row in range(BATCH):
        added = {length: int(random.integers(1, 4)) for length in TIMES}
        places = {length: np.sort(random.permutation(time + added[length])[:time]) for length, time in TIMES.items()}
        inputs: dict[str, Array] = {}
        masks: dict[str, Array] = {}
        for spec in model.signature.inputs:
            own = call.inputs[spec.name][row : row + 1]
            length = spec.shape[0]
            if not spec.is_sequence or isinstance(length, int):
                inputs[spec.name] = own
                if spec.is_sequence:
                    masks[spec.name] = call.masks[spec.name][row : row + 1]
                continue
            time = TIMES[length] + added[length]
            inputs[spec.name] = np.full((1, time, *own.shape[2:]), -1 if spec.integer else np.nan, own.dtype)
            inputs[spec.name][:, places[length]] = own
            masks[spec.name] = np.zeros((1, time), bool)
            masks[spec.name][:, places[length]] = call.masks[spec.name][row]
        alone = listed(model.forward(inputs, mask=masks or None))
        for output, found, expected in zip(model.signature.outputs, alone, whole, strict=True):
            result = found[0]
            if output.is_sequence and isinstance(output.shape[0], Size):
                spread = places[output.shape[0]]
                result = result[len(result) - 1 - spread[::-1]] if output.flip else result[spread]
            assert np.array_equal(result, expected[row]), f"{output.name}, sample {row}"


@every_graph
def test_lengths_lists_and_masks_say_the_same(name: str) -> None:
    model = model_of(name)
    call = drawn(model.signature, 6)
    lengths = {
        spec.name: np.array([time_of(spec), 0, 2, 1, time_of(spec)])
        for spec in model.signature.inputs
        if spec.is_sequence and isinstance(spec.shape[0], Size)
    }
    by_lengths = listed(model.forward(call.inputs, lengths=lengths))
    masks = {key: np.arange(call.inputs[key].shape[1]) < own[:, None] for key, own in lengths.items()}
    by_masks = listed(model.forward(call.inputs, mask=masks))
    ragged: dict[str, Any] = dict(call.inputs)
    ragged |= {key: [row[:length] for row, length in zip(call.inputs[key], own, strict=True)] for key, own in lengths.items()}
    by_lists = listed(model.forward(ragged))
    in_pieces = listed(model.predict(ragged, batch_size=2))
    for found, expected, third, fourth in zip(by_lengths, by_masks, by_lists, in_pieces, strict=True):
        assert np.array_equal(found, expected)
        assert np.array_equal(found, third)
        assert np.array_equal(found, fourth)


# Merges


def elementwise(kind: str, first: Array, second: Array) -> Array:
    match kind:
        case "add":
            return first + second
        case "subtract":
            return first - second
        case "average":
            return (first + second) * 0.5
        case _:
            return np.concatenate([first, second], axis=-1)


def test_a_merge_is_that_of_what_is_shown() -> None:
    """Of two sequences with different masks, at the steps that are real in one of them: what each holds, put together."""
    spec = """
        model Case {
            input a: float[time, 2], b: float[time, 2]
            p = a -> Masking() -> GRU(2, return_sequences = true)
            q = b -> Masking() -> LSTM(2, return_sequences = true)
            add = [p, q] -> Add()
            subtract = [p, q] -> Subtract()
            average = [p, q] -> Average()
            concatenate = [p, q] -> Concatenate()
            output p, q, add, subtract, average, concatenate
        }
    """
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    call = drawn(model.signature, 8)
    p, q, *merged = model.forward(call.inputs, mask=call.masks)
    real = np.zeros((BATCH, TIMES[Name("time")]), bool)
    for key, mask in call.masks.items():
        real |= mask & (call.inputs[key] != 0).any(axis=-1)
    for kind, found in zip(("add", "subtract", "average", "concatenate"), merged, strict=True):
        np.testing.assert_allclose(found[real], elementwise(kind, p, q)[real], rtol=0, atol=1e-14, err_msg=kind)


# Files


def test_a_model_with_imports_is_saved_whole(tmp_path: Path) -> None:
    """Nothing of the folder is needed any more; a parameter from outside is kept."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "main.rnn").write_text(
        "\ufeff# a graph of several files\n"
        'import "parts/blocks.rnn"\n'
        "model Whole(units = 3) {\n"
        "    input a: float[time, 2], b: float[later, 2]\n"
        "    shared read = Reader(4)\n"
        "    p = a -> Tower(units)\n"
        "    q = b -> Tower(units)\n"
        "    r = a -> read\n"
        "    [p, q, r] -> Concatenate()\n"
        "}\n",
        encoding="utf-8",
    )
    (tmp_path / "parts" / "blocks.rnn").write_text(
        'import "cells.rnn"  # Reader\nblock Tower(units) {\n    LSTM(units, return_sequences = true)\n    Reader(units)\n}\n'
    )
    (tmp_path / "parts" / "cells.rnn").write_text(
        "cell Reader(units) {\n    weight kernel [features, units] = glorot_uniform\n    state h [units]\n"
        "    h' = tanh(0.5 * h + x @ kernel)\n    return h'\n}\n"
    )
    model = rnnspec.compile(tmp_path / "main.rnn", seed=4, units=5)
    random = np.random.default_rng(0)
    inputs = {key: random.normal(size=(3, time, 2)).astype(np.float32) for key, time in (("a", 4), ("b", 6))}
    expected = model.forward(inputs)
    assert expected.shape == (3, 14)
    model.save(tmp_path / "whole.rnnc")
    for path in ("main.rnn", "parts/blocks.rnn", "parts/cells.rnn"):
        (tmp_path / path).unlink()
    loaded = rnnspec.load(tmp_path / "whole.rnnc")
    assert np.array_equal(loaded.forward(inputs), expected)
    assert list(loaded.weights) == list(model.weights)
    assert loaded.signature == model.signature
    loaded.save(tmp_path / "again.rnnc")
    assert np.array_equal(rnnspec.load(tmp_path / "again.rnnc").forward(inputs), expected)


# Training


def test_training_a_model_of_two_inputs() -> None:
    """Questions about stories: does the story have the word? Lists of any length, by batches that are padded apart."""
    spec = """
        model Answer {
            input story: int[time], question: int[words]
            shared embed = Embedding(9, 8, mask_zero = true)
            s = story -> embed -> LSTM(8)
            q = question -> embed -> GRU(8)
            product = [s, q] -> Multiply()
            [s, q, product] -> Concatenate() -> Dropout(0.1) -> Dense(1, activation = sigmoid)
            train {
                loss = binary_crossentropy
                optimizer = Adam(0.02)
                metrics = [accuracy]
            }
        }
    """
    random = np.random.default_rng(1)
    stories = [random.integers(1, 9, size=random.integers(1, 6)) for _ in range(120)]
    questions = [random.integers(1, 9, size=1) for _ in range(120)]
    answers = np.array([[float(question[0] in story)] for story, question in zip(stories, questions, strict=True)])
    model = rnnspec.compile(spec, seed=2)
    inputs = {"story": stories, "question": questions}
    before = model.evaluate(inputs, answers)
    history = model.fit(inputs, answers, epochs=12, batch_size=16, validation_split=0.1, seed=3, verbose=False).history
    after = model.evaluate(inputs, answers)
    assert after["loss"] < 0.8 * before["loss"]
    assert history["loss"][-1] < history["loss"][0]
    again = rnnspec.compile(spec, seed=2)
    assert again.fit(inputs, answers, epochs=12, batch_size=16, validation_split=0.1, seed=3, verbose=False).history == history
    assert model.train_on_batch(inputs, answers, return_dict=True)["loss"] == pytest.approx(after["loss"], rel=0.5)


def test_training_on_the_steps_of_two_inputs() -> None:
    """What counts of the targets of a merge of two inputs is what is real in one of them."""
    spec = """
        model Steps {
            input a: float[time, 2], b: float[time, 2]
            [a, b] -> Concatenate() -> GRU(6, return_sequences = true) -> Dense(1)
            train { loss = mse  optimizer = Adam(0.02) }
        }
    """
    random = np.random.default_rng(5)
    model = rnnspec.compile(spec, seed=2)
    inputs = {key: random.normal(size=(40, 5, 2)) for key in "ab"}
    lengths = {key: random.integers(1, 6, 40) for key in "ab"}
    targets = np.cumsum(inputs["a"][..., :1] * 0.3, axis=1)
    real = np.arange(5) < np.maximum(lengths["a"], lengths["b"])[:, None]
    targets[~real] = np.nan
    history = model.fit(inputs, targets, epochs=8, batch_size=8, lengths=lengths, seed=1, verbose=False).history["loss"]
    assert history[-1] < 0.7 * history[0]
    with pytest.raises(ValueError, match="targets, sample 0, step 0, feature 0: expected a finite float32, got nan"):
        model.evaluate(inputs, np.full_like(targets, np.nan), lengths=lengths)


# Step by step

STREAMED: Mapping[str, str] = {
    "held and merged": "p = a -> Masking() -> LSTM(2, return_sequences = true)\n q = a -> Masking() -> GRU(2, return_sequences = true)\n"
    "r = [p, q] -> Add()\n s = [p, q] -> Multiply()\n t = [r, s] -> Concatenate() -> Dense(2)\n u = s -> GRU(3)\n output r, s, t, u",
    "different masks that one decides": "p = a -> Masking() -> LSTM(2, return_sequences = true)\n"
    "q = b -> Masking(1) -> GRU(2, return_sequences = true)\n"
    "r = [p, q] -> Multiply()\n s = [p, q] -> Maximum() -> Dense(3)\n output r, s, p",
    "different masks of what isn't held": "p = a -> Masking() -> Dense(2, tanh)\n q = b -> Masking(1) -> Dense(2, tanh)\n"
    "[p, q] -> Average() -> LSTM(3, return_sequences = true)",
}


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_of_two_inputs(name: str) -> None:
    """Step by step what `forward` gives for all steps at once, to the bit; of a row at the last step."""
    model = rnnspec.compile(f"model Case {{\n input a: float[time, 3], b: float[time, 3]\n {STREAMED[name]}\n}}", seed=1)
    inputs = {key: value.astype(np.float32) for key, value in drawn(model.signature, 10).inputs.items()}
    expected = listed(model.forward(inputs))
    stream = model.stream(BATCH)
    steps = [listed(stream.step({key: value[:, step] for key, value in inputs.items()})) for step in range(TIMES[Name("time")])]
    for place, output in enumerate(model.signature.outputs):
        shown = [outputs[place] for outputs in steps]
        assert np.array_equal(np.stack(shown, axis=1) if output.is_sequence else shown[-1], expected[place]), output.name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "shared read = GRU(3, stateful = true)\n p = a -> read\n q = b -> read\n [p, q] -> Add()",
            "read is stateful and used twice, from the end of one sequence on (line 3)",
        ),
        (
            "p = a -> Masking() -> GRU(3, return_sequences = true)\n [p, b] -> Add()",
            "add merges sequences that mask different steps (line 4)",
        ),
        ("a -> GRU(3) -> RepeatVector(3)", "repeat_vector makes a sequence of its own (line 3)"),
        (
            "h = b -> GRU(3)\n a -> GRU(3, initial_state = h)",
            "gru_1 starts from what a sequence gives, whose end a stream never sees (line 4)",
        ),
    ],
)
def test_graphs_that_cannot_stream(body: str, reason: str) -> None:
    model = rnnspec.compile(f"model Case {{\n input a: float[time, 3], b: float[time, 3]\n {body}\n}}", seed=1)
    with pytest.raises(ValueError) as raised:
        model.stream()
    assert str(raised.value) == f"model Case can't stream: {reason}"
