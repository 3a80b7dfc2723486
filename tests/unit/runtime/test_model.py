"""A compiled model's own part of the work: what it hands to native code, in what order, and what it refuses before."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import LayerRow, ModelSource, summary_text
from rnnspec.contract.signature import InputSignature, OutputSignature
from rnnspec.runtime.storage import model_file
from tests.unit.runtime.fake import SOURCE, executable, model, signature

X = np.random.default_rng(0).normal(size=(4, 5, 3))
IDS = InputSignature("words", ("time",), integer=True, vocabulary=10)


def called(of: Any) -> list[str]:
    return [name for name, _, _ in executable(of).calls]


def same_tuple(first: tuple[Array, ...], second: tuple[Array, ...]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_forward_without_a_copy() -> None:
    fake = model()
    fake.forward(X, lengths=[5, 0, 2, 1])
    [(name, inputs, (index,))] = executable(fake).calls
    assert name == "forward"
    assert np.shares_memory(inputs["x"], X)
    assert index.tokens == 8


def test_a_record_owns_its_inputs() -> None:
    """What the caller does with the array afterwards doesn't reach the tape."""
    fake = model()
    x = X.copy()
    y, tape = fake.forward(x, record=True)
    expected = fake.backward(tape, np.ones_like(y))
    assert not np.shares_memory(tape.native.inputs["x"], x)
    x[...] = np.nan
    found = fake.backward(tape, np.ones_like(y))
    for name, value in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], value)
    np.testing.assert_array_equal(found.inputs["x"], expected.inputs["x"])


@pytest.mark.parametrize("ids", [[[1, 10]], [[-1, 2]], [[1.5]], [[3, 4], [1, 99]]])
def test_bad_ids_never_reach_native_code(ids: list[list[float]]) -> None:
    fake = model(signature(inputs=(IDS,), mask_values=(0.0,)))
    for call in (fake.forward, fake.predict, lambda x: fake.forward(x, record=True), lambda x: fake.forward(x, training=True)):
        with pytest.raises(
            ValueError, match=r"input words, sample \d, step \d: expected a whole number in 0..9 \(vocabulary size 10\), got"
        ):
            call(ids)
    assert called(fake) == []


def test_gradients_of_weights_and_inputs() -> None:
    fake = model()
    y, tape = fake.forward(X, lengths=[5, 0, 2, 1], record=True)
    gradients = fake.backward(tape, np.ones_like(y))
    assert list(gradients.weights) == ["dense/kernel", "dense/bias"]
    assert gradients.weights["dense/kernel"].shape == (3, 4)
    assert gradients.weights["dense/bias"].tolist() == [4.0] * 4
    assert gradients.inputs["x"].shape == X.shape
    assert not gradients.inputs["x"][1].any()
    assert not gradients.inputs["x"][2, 2:].any()
    assert gradients.inputs["x"][2, :2].all()


def test_ids_have_no_gradient() -> None:
    fake = model(signature(inputs=(IDS,), mask_values=(0.0,)))
    y, tape = fake.forward([[1, 2], [3]], record=True)
    assert dict(fake.backward(tape, y).inputs) == {}


@pytest.mark.parametrize(
    ("dy", "message"),
    [
        (np.zeros((4, 3)), "dy: expected the output's shape (4, 4), got (4, 3)"),
        (0.0, "dy: expected the output's shape (4, 4), got ()"),
        (None, "dy: expected numbers, got objects (NoneType)"),
        ([np.zeros((4, 4))], "dy: expected the output's shape (4, 4), got (1, 4, 4)"),
        (np.zeros((4, 4), complex), "dy: expected numbers, got dtype complex128"),
    ],
)
def test_dy_that_does_not_fit(dy: object, message: str) -> None:
    fake = model()
    _, tape = fake.forward(X, record=True)
    with pytest.raises(ValueError) as raised:
        fake.backward(tape, dy)
    assert str(raised.value) == message
    assert called(fake) == ["record"]


def test_dy_of_any_number_type() -> None:
    fake = model(signature(dtype="float32"))
    y, tape = fake.forward(X, record=True)
    expected = fake.backward(tape, np.ones_like(y)).weights["dense/kernel"]
    for dy in (np.ones(y.shape, int), np.ones(y.shape, ">f8"), np.asfortranarray(np.ones_like(y)), np.ones(y.shape).tolist()):
        np.testing.assert_array_equal(fake.backward(tape, dy).weights["dense/kernel"], expected)
    with pytest.raises(ValueError) as raised:
        fake.backward(tape, np.where(np.eye(4) == 1, 0.0, -1e300))
    assert str(raised.value) == "dy, entry (0, 1): expected a value that float32 holds, got -1e+300"
    with np.errstate(invalid="ignore"):
        assert np.isinf(fake.backward(tape, np.full(y.shape, np.inf)).weights["dense/bias"]).all()


def test_dy_of_several_outputs() -> None:
    made_for = signature()
    several = model(replace(made_for, outputs=(*made_for.outputs, OutputSignature("other", (4,)))))
    _, tape = model(made_for).forward(X, record=True)
    both = replace(tape, shapes=tape.shapes * 2)
    for dy, message in (
        (np.zeros((4, 4)), "dy: expected a list of 2 arrays, for dense, other; got 1"),
        ([np.zeros((4, 4))] * 3, "dy: expected a list of 2 arrays, for dense, other; got 3"),
        ([np.zeros((4, 4)), np.zeros(4)], "dy of other: expected the output's shape (4, 4), got (4,)"),
    ):
        with pytest.raises(ValueError) as raised:
            several.backward(both, dy)
        assert str(raised.value) == message


# Tapes

STALE = (
    "this tape can't be used: it was recorded with other weights. They have changed since "
    "(set_weights, train_on_batch, fit, or BatchNormalization in a forward with training=True), "
    "or it is another model's; call forward(record=True) again"
)


def test_a_stale_tape_is_refused() -> None:
    fake = model()
    y, tape = fake.forward(X, record=True)
    fake.set_weights(fake.get_weights())
    with pytest.raises(ValueError) as raised:
        fake.backward(tape, y)
    assert str(raised.value) == STALE
    assert called(fake) == ["record"]


def test_another_models_tape_is_refused() -> None:
    first, second = model(), model()
    y, tape = first.forward(X, record=True)
    with pytest.raises(ValueError) as raised:
        second.backward(tape, y)
    assert str(raised.value) == STALE


@pytest.mark.parametrize("tape", [None, 3, "tape", ()])
def test_what_is_no_tape(tape: Any) -> None:
    with pytest.raises(ValueError) as raised:
        model().backward(tape, 0)
    assert str(raised.value) == f"tape: expected what forward(record=True) gave, got {type(tape).__name__}"


def test_two_tapes_and_one_used_twice() -> None:
    fake = model()
    ys, tapes = zip(*(fake.forward(x, record=True) for x in (X, 2 * X, X[:2])), strict=True)
    first = [fake.backward(tape, y).weights["dense/kernel"] for tape, y in zip(tapes, ys, strict=True)]
    again = [fake.backward(tape, y).weights["dense/kernel"] for tape, y in reversed(list(zip(tapes, ys, strict=True)))]
    assert same_tuple(tuple(first), tuple(reversed(again)))
    assert not np.array_equal(first[0], first[1])


def test_tapes_of_several_threads() -> None:
    fake = model()
    inputs = [X * (number + 1) for number in range(8)]
    expected = [fake.backward(*reversed_pair(fake.forward(x, record=True))).weights["dense/kernel"] for x in inputs]
    found: list[Array | None] = [None] * len(inputs)

    def work(number: int) -> None:
        y, tape = fake.forward(inputs[number], record=True)
        for _ in range(20):
            found[number] = fake.backward(tape, y).weights["dense/kernel"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for values, kernel in zip(expected, found, strict=True):
        np.testing.assert_array_equal(kernel, values)


def reversed_pair(pair: tuple[Array, Any]) -> tuple[Any, Array]:
    return pair[1], pair[0]


# Dropout's keys


def test_training_draws_a_key_a_call_and_inference_draws_none() -> None:
    first, second = model(), model()
    first.forward(X)
    outputs = [first.forward(X, training=True) for _ in range(3)]
    assert not np.array_equal(outputs[0], outputs[1])
    assert same_tuple(tuple(outputs), tuple(second.forward(X, training=True) for _ in range(3)))
    assert not np.array_equal(outputs[0], model(seed=1).forward(X, training=True))


def test_backward_sees_the_dropout_of_its_forward() -> None:
    fake = model()
    y, tape = fake.forward(X, training=True, record=True)
    fake.forward(X, training=True)
    gradient = fake.backward(tape, np.ones_like(y))
    kept = gradient.inputs["x"] != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose((gradient.inputs["x"] * X).sum() + 4 * fake.weights["dense/bias"].sum(), y.sum(), rtol=1e-12)


# Weights


def test_weights_of_a_seed() -> None:
    first, second = model(), model()
    for name, value in first.weights.items():
        np.testing.assert_array_equal(value, second.weights[name])
    assert not np.array_equal(model(seed=1).weights["dense/kernel"], first.weights["dense/kernel"])
    assert not np.array_equal(model(seed=None).weights["dense/kernel"], model(seed=None).weights["dense/kernel"])


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_seed_that_is_none(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed: expected a whole number of at least 0, got"):
        model(seed=seed)


def test_get_and_set_weights() -> None:
    fake = model()
    kernel, bias = fake.get_weights()
    assert list(fake.weights) == ["dense/kernel", "dense/bias"]
    fake.set_weights([kernel + 1, bias + 2])
    np.testing.assert_array_equal(fake.weights["dense/kernel"], kernel + 1)
    fake.set_weights({"dense/bias": bias, "dense/kernel": kernel})
    np.testing.assert_array_equal(fake.get_weights()[1], bias)
    kernel[...] = 7
    assert not (fake.weights["dense/kernel"] == 7).any()
    for wrong in (None, [kernel], [bias, kernel]):
        before = fake.get_weights()
        with pytest.raises(ValueError):
            fake.set_weights(wrong)  # type: ignore[arg-type]
        assert same_tuple(tuple(before), tuple(fake.get_weights()))


def test_weights_are_no_attribute_to_set() -> None:
    with pytest.raises(AttributeError):
        model().weights = {}  # type: ignore[misc]


# Predictions


@pytest.mark.parametrize(
    ("samples", "time", "batches"), [(100, 4, 1), (9000, 1, 3), (130, 1000, 5), (70, 5000, 3), (700, 50, 5), (0, 4, 1), (40, 0, 1)]
)
def test_predict_takes_as_many_samples_at_once_as_are_worth_a_call(samples: int, time: int, batches: int) -> None:
    fake = model()
    assert len(fake.predict(np.zeros((samples, time, 3)))) == samples
    assert len(called(fake)) == batches


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 100])
def test_predict_is_forward_in_pieces(batch_size: int) -> None:
    for sequence in (False, True):
        fake = model(signature(sequence=sequence))
        expected = fake.forward(X, lengths=[5, 0, 2, 1])
        executable(fake).calls.clear()
        np.testing.assert_allclose(fake.predict(X, batch_size, lengths=[5, 0, 2, 1]), expected, rtol=1e-12)
        assert len(called(fake)) == -(-4 // batch_size)


def test_predict_of_nothing_and_of_lists() -> None:
    fake = model(signature(sequence=True))
    assert fake.predict(np.zeros((0, 5, 3))).shape == (0, 5, 4)
    assert fake.predict([]).shape == (0, 0, 4)
    lists = [X[0], X[1, :2], X[2, :0]]
    np.testing.assert_allclose(fake.predict(lists, 1), fake.forward(lists), rtol=1e-12)
    with pytest.raises(ValueError, match="batch_size: expected a whole number of at least 1, got 0"):
        fake.predict(X, 0)


# The rest


def test_inspect_and_repr() -> None:
    fake = model()
    assert fake.inspect("tensor", "lower") == "tensor after lower"
    assert repr(fake) == "<Model Fake, float64, 16 weights>"


def test_save_writes_the_weights_of_the_moment(tmp_path: Path) -> None:
    fake = model()
    kernel, bias = fake.get_weights()
    fake.set_weights([kernel, bias + 3])
    fake.save(tmp_path / "fake.rnnc")
    found = model_file.load(tmp_path / "fake.rnnc")
    assert (found.name, found.text, dict(found.parameters), found.dtype) == ("Fake", SOURCE.text, {"units": 4}, "float64")
    np.testing.assert_array_equal(found.weights["dense/kernel"], kernel)
    np.testing.assert_array_equal(found.weights["dense/bias"], bias + 3)


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model().summary()
    expected = """\
Fake(units = 4), float64

layer  type   output shape  mask  weights
-----  -----  ------------  ----  -------
dense  Dense  (batch, 4)    -          16

16 weights
"""
    assert capsys.readouterr().out == expected


def test_summary_of_wide_rows() -> None:
    rows = (
        LayerRow("embedding", "Embedding", "(batch, time, 100)", "created", 2_000_000),
        LayerRow("lstm", "LSTM", "(batch, 8)", "", 12),
    )
    assert summary_text(ModelSource("Words", "", {}, "float32", rows)).splitlines() == [
        "Words(), float32",
        "",
        "layer      type       output shape        mask       weights",
        "---------  ---------  ------------------  -------  ---------",
        "embedding  Embedding  (batch, time, 100)  created  2,000,000",
        "lstm       LSTM       (batch, 8)                          12",
        "",
        "2,000,012 weights",
    ]
    assert summary_text(ModelSource("None", "", {"a": 1, "b": "tanh"}, "float64")).splitlines()[0] == "None(a = 1, b = tanh), float64"
