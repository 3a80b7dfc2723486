"""Truncated back-propagation: the numbers of sequences cut by hand, for a stateful model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import SpecError
from rnnspec.training.model import Model
from tests.specs import LEAKY

Array = NDArray[Any]

SAMPLES, TIME, PART = 4, 11, 4
RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(SAMPLES, TIME, 3)).astype(np.float32)
Y = RANDOM.normal(size=(SAMPLES, TIME, 2))
IDS = RANDOM.integers(1, 9, (SAMPLES, TIME))
FLOWS = {
    "LSTM": "LSTM(4, return_sequences = true{state})\nDense(2)",
    "GRU, dropout": "GRU(4, return_sequences = true, dropout = 0.3, recurrent_dropout = 0.2{state})\nDropout(0.3)\nDense(2)",
    "own cell": "Leaky(5, return_sequences = true{state})\nDense(2)",
    "layers of layers": "RNN([LSTM(3), GRU(4)], return_sequences = true{state})\nLayerNormalization()\n"
    "SimpleRNN(3, return_sequences = true{state})\nDense(2)",
    "normalized": "GRU(3, return_sequences = true{state})\nBatchNormalization()\nDense(2, kernel_regularizer = l2(0.1))",
    "two outputs": "s = GRU(3, return_sequences = true{state})\na = s -> Dense(2)\nb = s -> Dense(2)\noutput a, b",
}


def compiled(flow: str, settings: str = "", *, stateful: bool = False, source: str = "float[time, 3]") -> Model:
    body = flow.replace("{state}", ", stateful = true" if stateful else "")
    train = f"train {{ loss = mse  optimizer = Adam(learning_rate = 0.05)  {settings} }}"
    return rnnspec.compile(f"{LEAKY}\nmodel M {{ input x: {source}\n{body}\n{train} }}", seed=1)


def by_hand(model: Model, x: Array, y: Any, batches: Sequence[slice], weights: Array | None = None, **given: Array) -> None:
    """Each batch's parts one after the other, from zeros, by a stateful model."""
    for rows in batches:
        model.reset_states()
        for start in range(0, x.shape[1], PART):
            steps = slice(start, start + PART)
            targets = [each[rows, steps] for each in y] if isinstance(y, list) else y[rows, steps]
            parts = {name: array[rows, steps] for name, array in given.items()}
            parts_of = None if weights is None else weights[rows] if weights.ndim == 1 else weights[rows, steps]
            model.train_on_batch(x[rows, steps], targets, parts_of, **parts)


def equal(one: Model, other: Model) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one.get_weights(), other.get_weights(), strict=True))


BATCHES = [slice(0, 2), slice(2, 4)]
FIT: Mapping[str, Any] = {"batch_size": 2, "shuffle": False, "verbose": False}


@pytest.mark.parametrize("flow", FLOWS)
def test_parts_have_the_numbers_of_parts_by_hand(flow: str) -> None:
    """Bit for bit: weights, losses and random numbers. The last part is shorter than the others."""
    model, hand = compiled(FLOWS[flow], f"truncate = {PART}"), compiled(FLOWS[flow], stateful=True)
    before = model.get_weights()
    y: Any = [Y, Y] if "output" in FLOWS[flow] else Y
    for _ in range(2):
        model.fit(X, y, **FIT)
        by_hand(hand, X, y, BATCHES)
    assert equal(model, hand)
    assert not all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_a_part_as_long_as_the_sequence_changes_nothing() -> None:
    for steps in (0, TIME, 99):
        model, whole = compiled(FLOWS["LSTM"], f"truncate = {steps}"), compiled(FLOWS["LSTM"])
        assert model.fit(X, Y, **FIT).history == whole.fit(X, Y, **FIT).history
        assert equal(model, whole)


def test_gradients_of_parts_are_those_of_numpy() -> None:
    """h' = tanh(x w + h u), the loss mean(h' ** 2): back-propagation written out, float64, with SGD from part to part."""
    spec = f"""model M {{ input x: float[time, 1]
        SimpleRNN(1, return_sequences = true, use_bias = false)
        train {{ loss = mse  optimizer = SGD(learning_rate = 0.1)  truncate = {PART} }} }}"""
    model = rnnspec.compile(spec, seed=3, dtype="float64")
    x = RANDOM.normal(size=(2, TIME, 1))
    w, u = (float(weight[0, 0]) for weight in model.get_weights())
    h = np.zeros(2)
    for start in range(0, TIME, PART):
        inputs = x[:, start : start + PART, 0].T
        states = [h]
        for row in inputs:
            states.append(np.tanh(row * w + states[-1] * u))
        d_h, d_w, d_u = np.zeros(2), 0.0, 0.0
        for step in reversed(range(len(inputs))):
            d_z = (d_h + 2 * states[step + 1] / (2 * len(inputs))) * (1 - states[step + 1] ** 2)
            d_w += float(d_z @ inputs[step])
            d_u += float(d_z @ states[step])
            d_h = d_z * u
        w, u, h = w - 0.1 * d_w, u - 0.1 * d_u, states[-1]
    model.fit(x, np.zeros((2, TIME, 1)), verbose=False)
    assert [float(weight[0, 0]) for weight in model.get_weights()] == pytest.approx([w, u], rel=1e-12)


MASK = np.arange(TIME) < np.array([TIME, 2, 9, 7])[:, None]
HOLES = MASK & (RANDOM.random((SAMPLES, TIME)) < 0.7)


@pytest.mark.parametrize("mask", [MASK, HOLES], ids=["lengths", "holes"])
def test_masked_steps_are_cut_with_the_others(mask: Array) -> None:
    """A sample that has ended keeps its state, and has no part in a later part's loss."""
    model, hand = compiled(FLOWS["layers of layers"], f"truncate = {PART}"), compiled(FLOWS["layers of layers"], stateful=True)
    model.fit(X, Y, mask=mask, **FIT)
    by_hand(hand, X, Y, BATCHES, mask=mask)
    assert equal(model, hand)


def test_a_list_is_cut_as_the_padded_array() -> None:
    lengths = MASK.sum(axis=1)
    ragged, padded = (compiled(FLOWS["own cell"], f"truncate = {PART}") for _ in range(2))
    weights = RANDOM.random((SAMPLES, TIME))
    ragged.fit([x[:n] for x, n in zip(X, lengths, strict=True)], [y[:n] for y, n in zip(Y, lengths, strict=True)],
               sample_weight=[w[:n] for w, n in zip(weights, lengths, strict=True)], **FIT)  # fmt: skip
    padded.fit(X, Y, lengths=lengths, sample_weight=weights, **FIT)
    assert equal(ragged, padded)


def test_padding_has_no_part_of_its_own() -> None:
    """An update without a step would still move what has moments: results would depend on how far a caller pads."""
    longer, plain = (compiled(FLOWS["LSTM"], f"truncate = {PART}") for _ in range(2))
    more = np.zeros((SAMPLES, 20, 3), np.float32)
    lengths = np.full(SAMPLES, TIME)
    longer.fit(np.concatenate([X, more], axis=1), np.concatenate([Y, more[..., :2]], axis=1), lengths=lengths, epochs=2, **FIT)
    plain.fit(X, Y, epochs=2, **FIT)
    assert equal(longer, plain)


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, TIME)])
def test_weights_of_samples_and_of_steps(shape: tuple[int, ...]) -> None:
    weights = RANDOM.random(shape)
    model, hand = compiled(FLOWS["LSTM"], f"truncate = {PART}"), compiled(FLOWS["LSTM"], stateful=True)
    model.fit(X, Y, sample_weight=weights, **FIT)
    by_hand(hand, X, Y, BATCHES, weights)
    assert equal(model, hand)


def test_ids_and_their_classes() -> None:
    """An embedding with masked ids, classes as targets, weights of classes."""
    flow = "Embedding(9, 3, mask_zero = true)\nGRU(4, return_sequences = true{state})\nDense(9, activation = softmax)"
    settings = "class_weight = [1, 1, 2]"
    models = [compiled(flow, settings, stateful=stateful, source="int[time]") for stateful in (False, True)]
    ids = np.where(MASK, IDS, 0)
    for model in models:
        model.configure(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    models[0].configure(truncate=PART)
    history = models[0].fit(ids, IDS, validation_data=(ids, IDS), **FIT).history
    by_hand(models[1], ids, IDS, BATCHES)
    assert equal(*models)
    fresh = compiled(flow, source="int[time]")
    fresh.set_weights(models[0].get_weights())
    fresh.configure(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    expected = fresh.evaluate(ids, IDS, batch_size=2)
    assert {name: values[-1] for name, values in history.items() if name.startswith("val_")} == {
        f"val_{name}": value for name, value in expected.items()
    }, "whole sequences are validated on"


def test_stateful_layers_go_on_behind_the_last_part() -> None:
    """Their batches begin where the batch before has ended, those of other layers with zeros."""
    flow = "LSTM(3, return_sequences = true, stateful = true)\nGRU(3, return_sequences = true)\nDense(2)"
    model, hand = (
        compiled(flow, f"truncate = {PART}"),
        compiled(FLOWS["LSTM"].replace("Dense", "GRU(3, return_sequences = true{state})\nDense").replace("4", "3"), stateful=True),
    )
    hand.set_weights(model.get_weights())
    model.train_on_batch(X, Y)
    by_hand(hand, X, Y, [slice(None)])
    assert equal(model, hand)
    whole = compiled(flow, stateful=True)
    whole.set_weights(model.get_weights())
    shown = model.predict(X)
    assert not np.array_equal(shown, whole.predict(X))
    model.reset_states()
    whole.reset_states()
    assert np.array_equal(model.predict(X), whole.predict(X))


def test_train_on_batch_and_copies_are_cut_too() -> None:
    model, hand = compiled(FLOWS["LSTM"]), compiled(FLOWS["LSTM"], stateful=True)
    model.configure(truncate=PART)
    copied = copy.deepcopy(model)
    for each in (model, copied):
        each.train_on_batch(X, Y)
    by_hand(hand, X, Y, [slice(None)])
    assert equal(model, hand)
    assert equal(model, copied)
    assert rnnspec.load(saved(compiled(FLOWS["LSTM"], f"truncate = {PART}"))).fit(X, Y, **FIT).history != (
        compiled(FLOWS["LSTM"]).fit(X, Y, **FIT).history
    )


def saved(model: Model) -> bytes:
    from io import BytesIO

    file = BytesIO()
    model.save(file)
    return file.getvalue()


REFUSED = {
    "Bidirectional(LSTM(3, return_sequences = true))\nDense(2)": "bidirectional reads the sequence from its end",
    "LSTM(3, go_backwards = true, return_sequences = true)\nDense(2)": "lstm reads the sequence from its end",
    "LSTM(3)\nDense(2)": "dense is one row a sample, which only the end of the sequence gives",
    "LSTM(3, return_sequences = true)\nConv1D(2, 3, padding = causal)": "a layer computes with all padded steps",
}


@pytest.mark.parametrize("flow", REFUSED)
def test_what_has_no_parts_is_refused(flow: str) -> None:
    """In a spec at its place, from Python before anything has changed."""
    with pytest.raises(SpecError) as error:
        compiled(flow, "truncate = 4")
    assert "E0412" in str(error.value)
    assert REFUSED[flow] in str(error.value)
    model = compiled(flow)
    with pytest.raises(ValueError, match="truncate: model M can't be trained by truncated back-propagation") as refused:
        model.configure(loss="mae", truncate=4)
    assert REFUSED[flow] in str(refused.value)
    model.configure(truncate=0)
    assert model.train_on_batch(X, np.zeros(model.predict(X).shape)) == pytest.approx(float((compiled(flow).predict(X) ** 2).mean()), 1e-5)


def test_other_lengths_and_losses_are_refused() -> None:
    spec = """model M { input a: float[time, 2], b: float[other, 2]
        one = a -> LSTM(3, return_sequences = true)
        two = b -> LSTM(3, return_sequences = true)
        output one, two
        train { loss = mse  optimizer = SGD()  truncate = 4 } }"""
    with pytest.raises(SpecError, match="different lengths, time and other"):
        rnnspec.compile(spec)
    with pytest.raises(SpecError, match="the loss of lstm is one of the whole sequence"):
        rnnspec.compile("model M { input x: float[time, 2]  LSTM(3, return_sequences = true) train { loss = ctc  truncate = 4 } }")
    model = compiled(FLOWS["LSTM"])
    for wrong in (-1, 2.5, "4"):
        with pytest.raises(ValueError, match="truncate: expected a whole number"):
            model.configure(truncate=wrong)  # pyright: ignore[reportArgumentType]
