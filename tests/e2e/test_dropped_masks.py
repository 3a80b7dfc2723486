"""A mask, lengths or samples of different lengths that a layer takes no notice of: said once, at the call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.diagnostics import MaskWarning
from tests.e2e.conftest import Workplace

TRAIN = "train { loss = mse  optimizer = SGD() }"
CONVOLVED = f"model M {{\n    input x: float[time, 3]\n    Dense(2)\n    Conv1D(4, 3, padding = same)\n    LSTM(2)\n    {TRAIN}\n}}"
CONV1D = (
    "input x: its samples are of different lengths, and Conv1D conv1d (line 4) drops the mask that tells them apart: a sample's result "
    "depends on the longest of its companions. Write `carry_mask = true` in it: its windows then leave masked steps out, and the mask "
    "goes on, or give samples of one length without a mask."
)
X = np.ones((3, 6, 3))
Y = np.zeros((3, 2))
LISTS = [X[0], X[1, :2], X[2]]
MASK = np.arange(6) != 2

Call = Callable[[rnnspec.Model], object]
CALLS: dict[str, Call] = {
    "forward": lambda model: model.forward(X, lengths=[6, 2, 6]),
    "forward, recorded": lambda model: model.forward(X, mask=np.tile(MASK, (3, 1)), record=True),
    "predict": lambda model: model.predict(X, lengths=[6, 2, 6]),
    "predict in batches": lambda model: model.predict(LISTS, batch_size=1),
    "evaluate": lambda model: model.evaluate(LISTS, Y),
    "fit": lambda model: model.fit(LISTS, Y, verbose=0),
    "fit with held out data": lambda model: model.fit(X, Y, verbose=0, validation_data=(LISTS, Y)),
    "train_on_batch": lambda model: model.train_on_batch(X, Y, mask=np.tile(MASK, (3, 1)).astype(int)),
}


def told(call: Callable[[], object]) -> list[str]:
    """What a call warns of; every warning is shown at the caller's line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(each.category is MaskWarning and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("name", CALLS)
def test_every_call_says_it_once(name: str) -> None:
    model = rnnspec.compile(CONVOLVED, seed=0)
    (text,) = told(lambda: CALLS[name](model))
    assert text.startswith("input x: ") and "Conv1D conv1d (line 4) drops the mask" in text
    for call in CALLS.values():
        assert told(lambda call=call: call(model)) == []
    assert len(told(lambda: CALLS[name](rnnspec.compile(CONVOLVED, seed=0)))) == 1, "another model says it again"


def test_the_text_says_where_and_what_to_do() -> None:
    assert told(lambda: rnnspec.compile(CONVOLVED, seed=0).predict(LISTS)) == [CONV1D]
    masked = "input x: some of its steps are masked, but Flatten flatten (line 3) drops the mask: from there on they count as real ones"
    flat = rnnspec.compile("model M {\n input x: float[6, 3]\n Flatten()\n Dense(1) }", seed=0)
    (text,) = told(lambda: flat.predict(X, lengths=[6, 2, 6]))
    assert text.startswith(masked) and "Put a layer before it that consumes the mask" in text


@pytest.mark.parametrize(
    "options",
    [
        (X, {}),
        (X, {"lengths": [6, 6, 6]}),
        (X, {"mask": np.ones((3, 6))}),
        ([X[0], X[1]], {}),
        ([X[0], X[1]], {"lengths": [6, 6]}),
        (X[:0], {"lengths": np.zeros(0, int)}),
    ],
)
def test_where_nothing_is_left_out_nothing_is_said(options: tuple[Any, dict[str, Any]]) -> None:
    model = rnnspec.compile(CONVOLVED, seed=0)
    for _ in range(3):
        assert told(lambda: model.predict(options[0], **options[1])) == []


@pytest.mark.parametrize(
    "layers",
    [
        "Conv1D(4, 3, carry_mask = true) MaxPooling1D(2, carry_mask = true) LSTM(2)",
        "Dense(3) LayerNormalization() LSTM(2)",
        "GRU(3, return_sequences = true) GlobalAveragePooling1D()",
        "Softmax(axis = 1) Bidirectional(GRU(2))",
        "y = x -> GRU(3, return_sequences = true) [x, y] -> Attention() GlobalMaxPooling1D()",
        "y = x -> Conv1D(3, 2, carry_mask = true, padding = same) [x, y] -> Add() LSTM(2)",
        "y = x -> Dense(3) [x, y] -> Concatenate(axis = 1) LSTM(2)",
        "GRU(2) RepeatVector(3) Conv1D(2, 2) Flatten()",
    ],
)
def test_a_mask_that_arrives_needs_no_word(layers: str) -> None:
    model = rnnspec.compile(f"model M {{ input x: float[time, 3]\n {layers} }}", seed=0)
    assert told(lambda: [model.predict(LISTS), model.forward(X, lengths=[6, 3, 2])]) == []


@pytest.mark.parametrize(
    ("layers", "layer"),
    [
        ("MaxPooling1D(2) GRU(2)", "MaxPooling1D max_pooling1d"),
        ("Dense(2) AveragePooling1D(2, name = \"mean\") GRU(2)", "AveragePooling1D mean"),
        ("GRU(2, return_sequences = true) Conv1D(2, 2) GRU(2)", "Conv1D conv1d"),
        ("Reshape([3, 6]) GRU(2)", "Reshape reshape"),
        ("Permute([2, 1]) GRU(2)", "Permute permute"),
        ("y = x -> GRU(3) [x, y] -> Dot(axes = [2, 1]) Dense(2)", "Dot dot"),
        ("y = x -> GRU(3) -> RepeatVector(6) [x, y] -> Add() GRU(2)", "Add add"),
        ("Conv1D(2, 2, carry_mask = true) Conv1D(2, 2) GRU(2)", "Conv1D conv1d_1"),
        ("shared mixing = Conv1D(2, 2)\n x -> mixing -> GRU(2)", "Conv1D mixing"),
    ],
)  # fmt: skip
def test_every_layer_that_drops_it_is_named(layers: str, layer: str) -> None:
    model = rnnspec.compile(f"model M {{ input x: float[6, 3]\n {layers} }}", seed=0)
    (text,) = told(lambda: model.forward(X, lengths=[6, 3, 2]))
    assert f", but {layer} (line " in text


def test_only_what_reaches_an_output_counts() -> None:
    text = "model M { input x: float[time, 3]\n y = x -> LSTM(2)\n _unused = x -> Conv1D(2, 2)\n output y }"
    assert told(lambda: rnnspec.compile(text, seed=0).predict(LISTS)) == []


def test_each_input_and_each_layer_is_told_of() -> None:
    text = "model M { input a: float[time, 3], b: float[later, 3]\n [a, b] -> Concatenate(axis = 1) -> Conv1D(2, 2) -> GRU(2) }"
    model = rnnspec.compile(text, seed=0)
    whole = {"a": X, "b": X}
    assert told(lambda: model.forward(whole)) == []
    (of_b,) = told(lambda: model.forward(whole, lengths={"b": [1, 2, 3]}))
    assert of_b.startswith("input b: ")
    (of_a,) = told(lambda: model.forward(whole, lengths={"a": [1, 2, 3], "b": [1, 2, 3]}))
    assert of_a.startswith("input a: ")


def test_what_two_inputs_mask_between_them_is_lost_only_where_both_do() -> None:
    """A merge's step is real if it is real in one of the two."""
    model = rnnspec.compile("model M { input a: float[time, 3], b: float[time, 3]\n [a, b] -> Add() -> Conv1D(2, 2) -> GRU(2) }", seed=0)
    whole = {"a": X, "b": X}
    assert told(lambda: model.forward(whole, lengths={"a": [1, 2, 3]})) == []
    assert len(told(lambda: model.forward(whole, lengths={"a": [1, 2, 3], "b": [6, 2, 3]}))) == 2


def test_where_warnings_are_errors_every_call_raises_and_changes_nothing() -> None:
    model = rnnspec.compile(CONVOLVED, seed=0)
    before = model.get_weights()
    for _ in range(2):
        with warnings.catch_warnings(), pytest.raises(MaskWarning):
            warnings.simplefilter("error")
            model.fit(LISTS, Y, verbose=0)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_the_command_shows_it(workplace: Workplace) -> None:
    """On standard error, beside the result."""
    (workplace.folder / "model.rnn").write_text(CONVOLVED, encoding="utf-8")
    flat = np.concatenate(LISTS)
    np.savez(workplace.folder / "data.npz", x_train=flat, length_train=[6, 2, 6], y_train=Y, x_test=flat, length_test=[6, 2, 6], y_test=Y)
    done = workplace.rnnspec("train", "model.rnn", "--data", "data.npz", "-o", "model.rnnc", "--epochs", "1", "--seed", "0")
    assert done.code == 0, done.err
    assert done.err.replace("\n", " ").count("warning: input x: its samples are of different lengths") == 1
    assert "carry_mask = true" in done.err
