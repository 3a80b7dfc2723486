"""Training a model with several outputs: Keras's numbers and names, and what Keras has no numbers for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.optimizers import SGD
from tests.keras_cases import Case, load

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(6, 5, 3))
WORD = np.array([0, 1, 2, 0, 1, 2])
SIZE = RANDOM.normal(size=(6, 2))

HEADS = """\
model Heads {
    input x: float[time, 3]

    encoded = GRU(4)
    word = encoded -> Dense(3, activation = softmax)
    size = encoded -> Dense(2)
    output word, size

    train {
        loss         = [sparse_categorical_crossentropy, mse]
        loss_weights = [1, 0.5]
        metrics      = [accuracy, mae]
        optimizer    = SGD(0.1)
    }
}
"""


def heads(**options: Any) -> Any:
    return rnnspec.compile(HEADS, dtype="float64", seed=0, **options)


# Keras


def trained_by(case: Case) -> dict[str, Any]:
    """The outputs with a loss, and what Keras gave them."""
    loss = case.about["settings"]["loss"]
    absent = [name for name, each in zip(("word", "size"), loss, strict=True) if each is None] if isinstance(loss, list) else []
    targets = {name: y.astype(int) if y.ndim == 1 else y for name, y in case.named("y").items()}
    return {name: y for name, y in targets.items() if name not in absent}


@pytest.mark.parametrize("case", load("several_outputs"), ids=lambda case: case.name)
def test_training_and_evaluation_as_in_keras(case: Case) -> None:
    """Every logged number under Keras's name, the loss of a batch, the weights after three updates, the mean over two batches."""
    model = rnnspec.compile(case.about["spec"], dtype="float64")
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    model.configure(optimizer=SGD(learning_rate=0.1), **case.about["settings"])
    y, weight, x = trained_by(case), case.named("sample_weight") or None, case.arrays["x"]
    for step, loss in enumerate(case.arrays["log/loss"]):
        before = model.evaluate(x, y, sample_weight=weight)
        assert sorted(before) == sorted(case.named("log"))
        for name, values in case.named("log").items():
            assert before[name] == pytest.approx(values[step], rel=1e-9, abs=1e-12), name
        assert model.train_on_batch(x, y, weight, return_dict=True)["loss"] == pytest.approx(loss, rel=1e-9)
    for name, values in zip(case.about["weights"], case.listed("after"), strict=True):
        np.testing.assert_allclose(model.weights[name], values, rtol=0.0, atol=1e-9 * np.abs(values).max(), err_msg=name)
    after = model.evaluate(x, y, batch_size=4, sample_weight=weight)
    for name, value in case.named("evaluated").items():
        assert after[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


# Settings and logs


def test_the_train_section_says_what_each_output_is_trained_by() -> None:
    model = heads()
    word, size = model.predict(X)
    losses = -np.log(word[np.arange(6), WORD]).mean(), np.square(size - SIZE).mean()
    assert model.evaluate(X, [WORD, SIZE]) == {
        "loss": pytest.approx(losses[0] + 0.5 * losses[1]),
        "word_loss": pytest.approx(losses[0]),
        "size_loss": pytest.approx(losses[1]),
        "word_accuracy": pytest.approx((word.argmax(axis=1) == WORD).mean()),
        "size_mean_absolute_error": pytest.approx(np.abs(size - SIZE).mean()),
    }


def test_history_has_every_log_with_and_without_val() -> None:
    names = ["loss", "word_loss", "size_loss", "word_accuracy", "size_mean_absolute_error"]
    history = heads().fit(X, [WORD, SIZE], epochs=2, validation_split=0.5, verbose=False).history
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    assert all(len(values) == 2 for values in history.values())
    held_out = {"validation_data": (X, {"word": WORD, "size": SIZE}, np.ones(6))}
    assert list(heads().fit(X, (WORD, SIZE), verbose=False, **held_out).history) == list(history)


def test_targets_as_a_list_a_tuple_or_a_mapping_are_the_same() -> None:
    given = [[WORD, SIZE], (WORD, SIZE), {"size": SIZE, "word": WORD}]
    logs = [heads().evaluate(X, y) for y in given]
    assert logs[0] == logs[1] == logs[2]


def test_one_list_of_metrics_is_for_all_outputs() -> None:
    model = heads()
    model.configure(loss="mse", metrics=["mae"])
    assert list(model.evaluate(X, [np.eye(3)[WORD], SIZE]))[3:] == ["word_mean_absolute_error", "size_mean_absolute_error"]
    model.configure(loss=[None, "mse"])
    assert list(model.evaluate(X, SIZE)) == ["loss", "size_mean_absolute_error"]


def test_an_output_without_a_loss_needs_no_targets() -> None:
    """Its own layer then stays as it is."""
    model = heads()
    model.configure(loss=[None, "mse"], metrics=[None, "mae"], loss_weights=1.0)
    before = model.weights["dense/kernel"]
    logs = model.fit(X, SIZE, verbose=False).history
    assert list(logs) == ["loss", "size_mean_absolute_error"]
    np.testing.assert_array_equal(model.weights["dense/kernel"], before)
    assert model.evaluate(X, {"size": SIZE}).keys() == logs.keys()


def test_an_output_of_weight_0_is_reported_and_not_trained() -> None:
    model = heads()
    model.configure(loss_weights={"word": 0.0})
    before = model.weights["dense/kernel"]
    logs = model.evaluate(X, [WORD, SIZE])
    assert logs["loss"] == logs["size_loss"]
    assert logs["word_loss"] > 0
    model.train_on_batch(X, [WORD, SIZE])
    np.testing.assert_array_equal(model.weights["dense/kernel"], before)


def test_sample_weights_for_all_outputs_or_for_each() -> None:
    model = heads()
    weight = np.arange(6.0)
    shared = model.evaluate(X, [WORD, SIZE], sample_weight=weight)
    for same in (weight.tolist(), [weight, weight], {"word": weight, "size": weight}):
        assert model.evaluate(X, [WORD, SIZE], sample_weight=same) == shared
    apart = model.evaluate(X, [WORD, SIZE], sample_weight=[None, weight])
    assert apart["word_loss"] == model.evaluate(X, [WORD, SIZE])["word_loss"]
    assert apart["size_loss"] == shared["size_loss"]
    assert model.evaluate(X, [WORD, SIZE], sample_weight={"size": weight}) == apart
    assert model.evaluate(X, [WORD, SIZE], sample_weight={"size": weight, "word": None}) == apart
    assert model.evaluate(X, [WORD, SIZE], sample_weight={}) == model.evaluate(X, [WORD, SIZE])
    held_out = (X, [WORD, SIZE], {"size": weight})
    model.configure(optimizer=SGD(learning_rate=0.0))
    history = model.fit(X, [WORD, SIZE], validation_data=held_out, verbose=False).history
    assert history["val_size_loss"] == pytest.approx([apart["size_loss"]])


def test_weighted_metrics_and_class_weights_of_each_output() -> None:
    """From the train section, in the logs behind all metrics; the section's class weights have an entry for each output."""
    section = "metrics      = [accuracy, mae]\n        weighted_metrics = [[accuracy], [mae, mse]]\n        class_weight = [[1, 2.5], none]"
    model = rnnspec.compile(HEADS.replace("metrics      = [accuracy, mae]", section), dtype="float64", seed=0)
    weight = np.arange(6.0)
    logs = model.evaluate(X, [WORD, SIZE], sample_weight=[None, weight])
    assert list(logs)[5:] == ["word_weighted_accuracy", "size_weighted_mean_absolute_error", "size_mean_squared_error"]
    word, size = model.predict(X)
    assert logs["word_weighted_accuracy"] == logs["word_accuracy"]
    sizes = np.abs(size - SIZE).mean(axis=1)
    assert logs["size_weighted_mean_absolute_error"] == pytest.approx((sizes * weight).sum() / weight.sum())
    trained = model.train_on_batch(X, [WORD, SIZE], return_dict=True)
    of_classes = np.array([1, 2.5, 1])[WORD]
    assert trained["word_loss"] == pytest.approx((-np.log(word[np.arange(6), WORD]) * of_classes).mean())
    assert trained["size_loss"] == pytest.approx(np.square(size - SIZE).mean())
    names = sorted(logs)
    order = ["loss", "word_loss", "size_loss", *(name for name in names if not name.endswith("loss"))]
    tested = model.test_on_batch(X, [WORD, SIZE], return_dict=True)
    assert model.test_on_batch(X, [WORD, SIZE]) == [tested[name] for name in order]
    model.configure(loss=["sparse_categorical_crossentropy", None], metrics=[], weighted_metrics=[])
    assert model.train_on_batch(X, WORD) > 0
    model.configure(loss=[None, "mse"], weighted_metrics=["mse"])
    with pytest.raises(
        ValueError, match="output word: metric accuracy needs a loss: give the output one, or `weighted_metrics` without it"
    ):
        model.configure(weighted_metrics=["accuracy", None])


def test_a_saved_model_keeps_its_weighted_metrics_and_class_weights(tmp_path: Path) -> None:
    for written in ("[1, 2.5]", "[[1, 2.5]]", "[]"):
        section = f"loss = sparse_categorical_crossentropy  optimizer = SGD()  weighted_metrics = [accuracy]  class_weight = {written}"
        spec = f"model One {{ input x: float[time, 3]  GRU(4)  Dense(3, activation = softmax)  train {{ {section} }} }}"
        model = rnnspec.compile(spec, dtype="float64", seed=0)
        model.save(tmp_path / "one.rnnc")
        loaded = rnnspec.load(tmp_path / "one.rnnc")
        assert loaded.signature.train == model.signature.train
        assert loaded.train_on_batch(X, WORD) == model.train_on_batch(X, WORD)
        assert list(loaded.evaluate(X, WORD)) == ["loss", "accuracy"]


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (WORD, {}, "targets: expected a list or a mapping with one for each of word, size, got ndarray"),
        ([WORD], {}, "targets: expected a list or a mapping with one for each of word, size, got 1 values"),
        ({"word": WORD, "length": SIZE}, {}, "targets: the outputs with a loss are word, size; missing: size; unknown: length"),
        ([WORD, SIZE[:3]], {}, "targets of size: expected shape (6, 2), got (3, 2)"),
        ([WORD + 1, SIZE], {}, "targets of word, sample 2: expected a class in 0..2, got 3; classes are counted from 0: `y - 1`"),
        ([WORD, SIZE], {"sample_weight": [np.ones(6), np.ones(5)]}, "sample_weight of size: expected shape (6,), got (5,)"),
        (
            [WORD, SIZE], {"sample_weight": {"size": np.ones(6), "length": None}},
            "sample_weight: the outputs with a loss are word, size; unknown: length",
        ),
    ],
)  # fmt: skip
def test_refusals_name_the_output(y: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        heads().fit(X, y, verbose=False, **options)
    assert str(raised.value) == message


def test_a_metric_that_does_not_fit_names_its_output() -> None:
    with pytest.raises(ValueError, match="output size: metric sparse_categorical_accuracy needs targets that are class numbers"):
        heads().configure(metrics=[["accuracy"], ["sparse_categorical_accuracy"]])


def test_a_metric_needs_a_loss_of_its_output() -> None:
    model = heads()
    for settings in ({"loss": [None, "mse"]}, {"loss": [None, "mse"], "metrics": {"word": "accuracy"}}):
        with pytest.raises(ValueError) as raised:
            model.configure(**settings)
        assert str(raised.value) == "output word: metric accuracy needs a loss: give the output one, or `metrics` without it"
    assert "word_accuracy" in model.evaluate(X, [WORD, SIZE])


def test_a_saved_model_is_trained_by_the_same(tmp_path: Any) -> None:
    model = heads()
    model.save(tmp_path / "heads.rnnc")
    loaded = rnnspec.load(tmp_path / "heads.rnnc")
    assert loaded.signature.train == model.signature.train
    assert loaded.evaluate(X, [WORD, SIZE]) == model.evaluate(X, [WORD, SIZE])


# Sequences

TWO_SEQUENCES = """\
model Tags {
    input a: float[time, 3], b: float[time, 2]

    left  = a -> GRU(4, return_sequences = true)
    right = b -> GRU(4, return_sequences = true)
    both  = [left, right] -> Add() -> Dense(1)
    last  = right -> LSTM(2)
    output both, last

    train { loss = mse  optimizer = SGD(0.1) }
}
"""
LENGTHS_A, LENGTHS_B = [4, 1, 3], [2, 4, 3]


def ragged(values: NDArray[np.float64], lengths: list[int]) -> list[NDArray[np.float64]]:
    return [row[:length] for row, length in zip(values, lengths, strict=True)]


def test_targets_in_lists_for_a_sequence_over_two_inputs() -> None:
    """A sample of the merged sequence has the real steps of both of its inputs: the loss is the one of padded arrays with masks."""
    random = np.random.default_rng(3)
    a, b, y, last = (random.normal(size=shape) for shape in ((3, 4, 3), (3, 4, 2), (3, 4, 1), (3, 2)))
    lengths = [max(pair) for pair in zip(LENGTHS_A, LENGTHS_B, strict=True)]
    model = rnnspec.compile(TWO_SEQUENCES, dtype="float64", seed=0)
    lists = {"a": ragged(a, lengths), "b": ragged(b, lengths)}
    padded, options = {"a": a, "b": b}, {"lengths": {"a": LENGTHS_A, "b": LENGTHS_B}}
    expected = model.evaluate(padded, [y, last], **options)
    both, _ = model.forward(padded, **options)
    real = np.arange(4) < np.array(lengths)[:, None]
    assert expected["both_loss"] == pytest.approx(np.square(both - y).mean(axis=2)[real].mean())
    for batch_size in (1, 2, 3):
        found = model.evaluate(lists, [ragged(y, lengths), last], batch_size=batch_size, **options)
        assert found == pytest.approx(expected, rel=1e-12)
    other = rnnspec.compile(TWO_SEQUENCES, dtype="float64", seed=0)
    loss = model.train_on_batch(lists, [ragged(y, lengths), last], **options)
    assert other.train_on_batch(padded, [y, last], **options) == pytest.approx(loss, rel=1e-12)
    for name, value in model.weights.items():
        np.testing.assert_allclose(other.weights[name], value, rtol=1e-12, atol=1e-15)
    with pytest.raises(ValueError, match="targets of both, sample 1: expected 4 steps, got 1"):
        model.evaluate(lists, [ragged(y, [4, 1, 3]), last], **options)
    with pytest.raises(ValueError, match="dimension time of sample 0 is 4 in input a and 2 in input b"):
        model.evaluate({"a": ragged(a, LENGTHS_A), "b": ragged(b, LENGTHS_B)}, [ragged(y, lengths), last])


def test_gradients_are_those_of_the_weighted_sum() -> None:
    """One update of plain descent against central differences of the reported loss."""
    model = heads()
    model.configure(optimizer=SGD(learning_rate=1.0))
    before = model.get_weights()
    model.train_on_batch(X, [WORD, SIZE])
    after = model.get_weights()
    for place, entry in ((0, (1, 2)), (2, (0, 3)), (3, (2, 1)), (5, (3, 0)), (6, (1,))):
        sides: list[float] = []
        for step in (1e-5, -1e-5):
            moved = [weight.copy() for weight in before]
            moved[place][entry] += step
            model.set_weights(moved)
            sides.append(model.evaluate(X, [WORD, SIZE])["loss"])
        assert before[place][entry] - after[place][entry] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=1e-9)
