"""Frozen layers: Keras's numbers, no work for what isn't trained, and what a model says and keeps of it."""

from __future__ import annotations

import copy
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import LambdaCallback
from rnnspec.diagnostics import SpecError
from rnnspec.driver.compilation import compilation_of
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD, Adam, AdamW

KERAS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "fixtures/keras/frozen.json").read_text(encoding="utf-8"))
OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda: SGD(0.125, momentum=0.5, global_clipnorm=0.5),
    "AdamW": lambda: AdamW(0.0625, weight_decay=0.25),
}


def spec(frozen: list[str]) -> str:
    """The model of the fixtures, with layers that are frozen in the spec."""

    def named(name: str) -> str:
        return f'name = "{name}"{", trainable = false" if name in frozen else ""}'

    return f"""
model Frozen {{
    input x: float[4, 3]
    LSTM(2, return_sequences = true, kernel_regularizer = L2(0.125), {named("lstm")})
    BatchNormalization(gamma_regularizer = L2(0.125), {named("norm")})
    GRU(2, recurrent_regularizer = L2(0.125), {named("gru")})
    Dense(1, bias_constraint = NonNeg, {named("head")})
    train {{ loss = mse }}
}}
"""


def test_freezing_in_a_callback_acts_from_the_next_fit_on() -> None:
    """A training keeps what it trains at its beginning, whatever a callback says."""
    model = rnnspec.compile(spec([]), seed=1)
    x, y = np.ones((8, 4, 3), np.float32), np.zeros((8, 1), np.float32)
    seen: list[bytes] = []

    def look(epoch: int, logs: object) -> None:
        model.layer("head").trainable = False
        seen.append(model.weights["head/kernel"].tobytes())

    model.configure(optimizer=SGD(0.1))
    model.fit(x, y, epochs=3, verbose=False, callbacks=[LambdaCallback(on_epoch_end=look)])
    model.fit(x, y, epochs=2, verbose=False, callbacks=[LambdaCallback(on_epoch_end=look)])
    assert [one == other for one, other in pairwise(seen)] == [False, False, True, True]


@pytest.mark.parametrize("in_spec", [True, False])
@pytest.mark.parametrize("case", KERAS, ids=lambda case: f"{case['frozen']}-{case['optimizer']}-{case['later']}")
def test_a_training_is_kerass(case: dict[str, Any], in_spec: bool) -> None:
    """Weight decay, clipping, penalties, constraints and moving statistics of frozen layers, whose optimizer state stays.

    Losses are means that Keras takes in float32.
    """
    model = rnnspec.compile(spec(case["frozen"] if in_spec else []), dtype="float64", weights=case["before"])
    model.configure(optimizer=OPTIMIZERS[case["optimizer"]]())
    if not in_spec:
        for name in case["frozen"]:
            model.layer(name).trainable = False
    for update, (x, y) in enumerate(zip(case["x"], case["y"], strict=True)):
        if update == 2 and case["later"] is not None:
            for name in case["later"]:
                model.layer(name).trainable = False
        np.testing.assert_allclose(model.train_on_batch(x, y), case["losses"][update], rtol=1e-7)
        for ours, theirs in zip(model.get_weights(), case["weights"][update], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.evaluate(case["x"][0], case["y"][0])["loss"], case["evaluated"], rtol=1e-7)


def test_backward_has_nothing_of_a_frozen_layer_and_what_is_before_it() -> None:
    """And the recorded call keeps nothing for it."""
    text = """
model M {
    input x: float[time, 3]
    LSTM(2, return_sequences = true, name = "first")
    GRU(2, return_sequences = true, trainable = false, name = "second")
    SimpleRNN(2)
    Dense(1)
    train { loss = mse }
}
"""
    whole = compilation_of(text).module("tensor.backward", True, frozen=("second/kernel", "second/recurrent_kernel", "second/bias"))
    assert '"second/' not in str([result.name for result in whole.function("backward").results])
    assert "first/kernel" in [result.name for result in whole.function("backward").results]
    both = compilation_of(text.replace('name = "first"', 'name = "first", trainable = false'))
    backward = both.print("tensor.backward").partition("func @backward")[2]
    assert not re.search(r"(first|second)/(kernel|recurrent_kernel|bias)", backward)
    assert backward.count("scan") == 1
    forward = both.module("tensor.backward", True, frozen=both.trained("record").frozen).function("forward")
    kept = {result.name for result in forward.results if result.role.name == "RESIDUAL"}
    unfrozen = compilation_of(text.replace("trainable = false, ", "")).module("tensor.backward", True).function("forward")
    assert len(kept) < len([result for result in unfrozen.results if result.role.name == "RESIDUAL"]) / 2


BLOCKS = """
cell Leaky(units) {
    weight kernel[features, units] = glorot_uniform
    state h[units]
    h' = h * 0.5 + x @ kernel
    return h'
}
block Encoder(units) {
    Bidirectional(GRU(units, return_sequences = true, trainable = false))
    RNN([LSTM(units), Leaky(units, trainable = false)], return_sequences = true)
}
model M {
    input x: int[time]
    Embedding(9, 4, trainable = false, name = "words")
    Encoder(2, name = "one")
    Encoder(2, trainable = false, name = "two")
    repeat 2 { Dense(3, trainable = false) }
    TimeDistributed(Dense(2, trainable = false))
    shared tied = Dense(2, trainable = false)
    tied
    LSTM(2)
    Dense(1)
    train { loss = mse  optimizer = Adam() }
}
"""


def test_any_layer_of_a_spec_may_be_frozen() -> None:
    """Inside of others too, where the other half of a Bidirectional is a copy, in blocks, rounds of a repeat, and shared ones."""
    model = rnnspec.compile(BLOCKS, seed=1)
    assert sorted({name.rpartition("/")[0] for name in model.trainable_weights}) == ["dense_2", "lstm", "one/rnn/lstm"]
    before = model.weights
    start = {name: before[name] for name in before}
    model.fit(np.array([[1, 2, 3], [4, 5, 0]]), np.ones(2), epochs=2, verbose=False)
    moved = {name for name in before if not np.array_equal(start[name], before[name])}
    assert moved == set(model.trainable_weights)
    assert set(model.non_trainable_weights) == set(before) - moved


def trained(model: Model, updates: int) -> Model:
    for _ in range(updates):
        model.train_on_batch(np.array([[1, 2, 3], [4, 5, 0]]), np.ones(2))
    return model


def saved(model: Model) -> Model:
    file = io.BytesIO()
    model.save(file)
    return rnnspec.load(file.getvalue())


def test_a_saved_model_and_a_copy_know_what_is_frozen() -> None:
    """With the optimizer's state, to the bit; a table whose updates wait is frozen and trained again in between."""
    text = 'model W { input x: int[time]  Embedding(9, 4, name = "words")  LSTM(2)  Dense(1)  train { loss = mse  optimizer = Adam(0.1) } }'
    model = rnnspec.compile(text, seed=1, tuning=rnnspec.Tuning(large_table=1))
    trained(model, 2).layer("words").trainable = False
    table = model.weights["words/embeddings"]
    trained(model, 2)
    assert np.array_equal(model.weights["words/embeddings"], table)
    others = [saved(model), copy.deepcopy(model)]
    for other in others:
        assert not other.layer("words").trainable
    model.layer("words").trainable = True
    others[0].layer("words").trainable = True
    for ours, theirs in zip(trained(model, 2).get_weights(), trained(others[0], 2).get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert not np.array_equal(model.weights["words/embeddings"], table)
    assert saved(model).layer("words").trainable


def test_a_frozen_batch_normalization_moves_no_statistics_in_any_call() -> None:
    model = rnnspec.compile(spec(["norm"]), seed=1)
    x = np.random.default_rng(0).normal(size=(5, 4, 3))
    start = model.weights["norm/moving_mean"]
    assert np.array_equal(model.forward(x, training=True), model.forward(x))
    output, tape = model.forward(x, training=True, record=True)
    assert set(model.backward(tape, np.ones_like(output)).inputs) == {"x"}
    assert np.array_equal(model.weights["norm/moving_mean"], start)
    model.layer("norm").trainable = True
    model.forward(x, training=True)
    assert not np.array_equal(model.weights["norm/moving_mean"], start)


def test_a_model_that_is_frozen_as_a_whole_is_told() -> None:
    model = trained(rnnspec.compile(BLOCKS, seed=1), 1)
    model.trainable = False
    before = model.get_weights()
    with pytest.warns(UserWarning, match="^model M has no weights that are trained: its layers are frozen$"):
        trained(model, 1)
    assert all(map(np.array_equal, model.get_weights(), before))
    assert (model.iterations, len(model.trainable_weights)) == (1, 0)
    with pytest.raises(ValueError, match=r"^layer lstm: trainable: the model, which it is a part of, is frozen: set that first$"):
        model.layer("lstm").trainable = True
    model.trainable = True
    assert model.layer("two").trainable
    trained(model, 1)


def test_layers_by_name() -> None:
    model = rnnspec.compile(BLOCKS, seed=1)
    assert repr(model.layer("one/rnn")) == "<layer one/rnn, 4 weights>"
    assert list(model.layer("two/bidirectional").weights) == [name for name in model.weights if name.startswith("two/bidirectional/")]
    assert [layer.name for layer in model.layers][:2] == ["words", "one/bidirectional"]
    with pytest.raises(ValueError, match=r"^layer two/rnn: trainable: two, which it is a part of, is frozen: set that first$"):
        model.layer("two/rnn").trainable = True
    with pytest.raises(ValueError, match=r"^model M has no layer 'lstn'; did you mean `lstm`\?$"):
        model.layer("lstn")
    with pytest.raises(ValueError, match=r"^layer lstm: trainable: expected True or False, got 'no'$"):
        model.layer("lstm").trainable = "no"  # type: ignore[assignment]
    with pytest.raises(SpecError, match="`trainable` of LSTM expects true or false"):
        rnnspec.compile("model M { input x: float[time, 3]  LSTM(2, trainable = 0) }")


def test_state_of_other_optimizers_stays_refused() -> None:
    model = trained(rnnspec.compile(BLOCKS, seed=1), 1)
    model.configure(optimizer=Adam(0.5))
    assert saved(trained(model, 1)).iterations == 1
