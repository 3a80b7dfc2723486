"""Connectionist temporal classification in training: PyTorch's and Keras's numbers, every form of labels, masks, weights, errors."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.contract.metric_names import SEQUENCE_LOSSES as NAMES
from rnnspec.driver.compilation import compilation_of
from rnnspec.training import losses
from rnnspec.training.sequence_losses import CTC, REDUCTIONS, SEQUENCE_LOSSES, NativeLosses, Sequences
from tests.ctc_reference import by_states

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ctc"
TORCH: list[dict[str, Any]] = json.loads((FIXTURES / "torch.json").read_text())
KERAS: list[dict[str, Any]] = [case for case in json.loads((FIXTURES / "keras.json").read_text()) if "kind" not in case]

CLASSES = 4
SPEC = """model Reader(classes = 4) {
    input x: float[time, 3]

    Dense(classes)
    train { loss = ctc  optimizer = SGD(learning_rate = 0.5) }
}
"""


def sequences(case: dict[str, Any], loss: CTC, weights: Array | None = None) -> tuple[Array, Sequences]:
    logits, lengths, labels = np.array(case["logits"]), case["lengths"], case["labels"]
    rows = np.flatnonzero(np.arange(logits.shape[1]) < np.array(lengths)[:, None])
    flat = np.array([label for each in labels for label in each], np.int32)
    return logits, Sequences(loss, rows, np.cumsum([0, *lengths]), flat, np.cumsum([0, *map(len, labels)]), weights)


@pytest.fixture(scope="module")
def native() -> NativeLosses:
    return NativeLosses(compilation_of(SPEC, dtype="float64").sequence_loss)


@pytest.mark.parametrize("case", TORCH, ids=lambda case: case["name"])
def test_losses_and_gradients_are_pytorch_s(case: dict[str, Any], native: NativeLosses) -> None:
    logits, of_sum = sequences(case, CTC("sum", case["blank"], zero_infinity=True))
    losses, _ = native.each(of_sum, logits, np.ones(len(logits)))
    np.testing.assert_allclose(losses, case["none"], rtol=1e-12, atol=1e-13)
    for reduction in ("sum", "mean"):
        _, given = sequences(case, CTC(reduction, case["blank"], zero_infinity=True))
        value, gradient = native.value_and_gradient(given, logits)
        assert value == pytest.approx(case[reduction], rel=1e-12)
        np.testing.assert_allclose(gradient, case[f"{reduction}_gradient"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", KERAS, ids=lambda case: case["name"])
def test_losses_and_gradients_are_keras_s(case: dict[str, Any], native: NativeLosses) -> None:
    logits, given = sequences(case, CTC())
    losses, gradient = native.each(given, logits, np.ones(len(logits)))
    np.testing.assert_allclose(losses, case["loss"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, case["gradient"], rtol=0, atol=1e-10)


def data(samples: int = 6, steps: int = 9) -> tuple[Array, list[list[int]]]:
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, steps, 3)).astype(np.float32).astype(np.float64)
    return x, [[1, 2], [3, 3], [], [2, 1, 2], [1], [3, 3, 3, 1]][:samples]


def expected(model: rnnspec.Model, x: Array, labels: list[list[int]], mask: Array | None = None, blank: int = 0) -> Array:
    """Each sample's loss, of the real steps of what the model gives."""
    given = model.forward(x, mask=mask)
    real = np.ones(x.shape[:2], bool) if mask is None else mask
    return np.array([by_states(rows[own].astype(np.float64), each, blank)[0] for rows, own, each in zip(given, real, labels, strict=True)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_s_loss_is_the_mean_over_its_samples(dtype: str) -> None:
    model = rnnspec.compile(SPEC, dtype=dtype, seed=1)
    x, labels = data()
    value = expected(model, x, labels).mean()
    for batch_size in (6, 4, 1):
        assert model.evaluate(x, labels, batch_size) == {"loss": pytest.approx(value, rel=1e-12)}
    assert model.train_on_batch(x, labels) == pytest.approx(value, rel=1e-12)
    history = model.fit(x, labels, batch_size=4, epochs=30, validation_data=(x, labels), verbose=False).history
    assert list(history) == ["loss", "val_loss"]
    assert history["val_loss"][-1] < 0.7 * value
    assert model.evaluate(x, labels)["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-12)


def test_the_update_is_the_gradient_s() -> None:
    """SGD's first step, against the sum of the equations' gradients over all real steps."""
    model = rnnspec.compile(SPEC, dtype="float64", seed=1)
    x, labels = data()
    mask = np.random.default_rng(3).random(x.shape[:2]) < 0.85
    logits, before = model.forward(x, mask=mask), {name: value.copy() for name, value in model.weights.items()}
    weights = np.array([1.0, 2.0, 0.0, 0.5, 1.0, 3.0])
    value = model.train_on_batch(x, labels, weights, mask=mask)
    kernel, bias, total = np.zeros((3, CLASSES)), np.zeros(CLASSES), 0.0
    for rows, inputs, own, each, weight in zip(logits, x, mask, labels, weights, strict=True):
        loss, slope = by_states(rows[own], each)
        kernel += inputs[own].T @ slope * weight / 6
        bias += slope.sum(axis=0) * weight / 6
        total += loss * weight / 6
    assert value == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(model.weights["dense/kernel"], before["dense/kernel"] - 0.5 * kernel, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.weights["dense/bias"], before["dense/bias"] - 0.5 * bias, rtol=0, atol=1e-12)


def test_every_form_of_labels_is_the_same() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    x, labels = data()
    value = model.evaluate(x, labels)
    for padding, dtype in ((0, np.int32), (-1, np.int64), (0, np.float64), (0, np.uint8)):
        array = np.full((6, 5), padding, dtype)
        for sample, each in enumerate(labels):
            array[sample, : len(each)] = each
        assert model.evaluate(x, array) == value
        assert model.evaluate(x, list(array)) == value
    assert model.evaluate(x, [np.array(each, np.int16) for each in labels]) == value
    assert model.evaluate(x, tuple(map(tuple, labels))) == value
    none = model.evaluate(x, np.zeros((6, 0), int))
    assert none == model.evaluate(x, [[]] * 6) == model.evaluate(x, np.zeros((6, 3), int))
    assert none["loss"] == pytest.approx(expected(model, x, [[]] * 6).mean(), rel=1e-12)


def test_masked_steps_and_lists_count_the_real_ones() -> None:
    model = rnnspec.compile(SPEC, dtype="float64", seed=1)
    x, labels = data()
    lengths = [9, 4, 2, 7, 5, 8]
    mask = np.arange(9) < np.array(lengths)[:, None]
    value = expected(model, x, labels, mask).mean()
    dirty = np.where(mask[..., None], x, np.nan)
    for arguments in ({"lengths": lengths}, {"mask": mask}):
        assert model.evaluate(dirty, labels, **arguments)["loss"] == pytest.approx(value, rel=1e-12)
    ragged = [each[:length] for each, length in zip(x, lengths, strict=True)]
    assert model.evaluate(ragged, labels, 2)["loss"] == pytest.approx(value, rel=1e-12)
    by_ragged, by_mask = (rnnspec.compile(SPEC, dtype="float64", seed=1) for _ in range(2))
    by_ragged.fit(ragged, labels, batch_size=2, epochs=2, seed=3, verbose=False)
    by_mask.fit(dirty, labels, batch_size=2, epochs=2, seed=3, verbose=False, mask=mask)
    np.testing.assert_allclose(by_ragged.weights["dense/kernel"], by_mask.weights["dense/kernel"], rtol=0, atol=1e-12)


def test_masks_with_gaps_close_up() -> None:
    model = rnnspec.compile(SPEC, dtype="float64", seed=1)
    x, labels = data()
    mask = np.random.default_rng(3).random((6, 9)) < 0.85
    assert model.evaluate(x, labels, mask=mask)["loss"] == pytest.approx(expected(model, x, labels, mask).mean(), rel=1e-12)


def test_the_steps_of_windows_and_of_token_ids_are_counted() -> None:
    """The convolution halves the steps; 0 is no token."""
    random = np.random.default_rng(0)
    spec = SPEC.replace("Dense(classes)", "Conv1D(6, 3, strides = 2, carry_mask = true)\n    Dense(classes)")
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    x = [random.normal(size=(steps, 3)) for steps in (11, 7, 20)]
    labels = [[1, 2], [3], [1, 1, 2]]
    each = [by_states(rows[:steps], own)[0] for rows, steps, own in zip(model.predict(x), (5, 3, 9), labels, strict=True)]
    assert model.evaluate(x, labels)["loss"] == pytest.approx(np.mean(each), rel=1e-12)
    with pytest.raises(ValueError, match=r"^targets, sample 0: 4 labels, of which 3 equal the one before, need 7 steps, and 5 are real; "):
        model.evaluate(x, [[1] * 4, [3], [1]])

    spec = SPEC.replace("float[time, 3]", "int[time]").replace("Dense(classes)", "Embedding(9, classes, mask_zero = true)")
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    ids = random.integers(0, 9, (4, 8))
    labels = [[1], [2, 3], [], [1]]
    each = [by_states(rows[own != 0], label)[0] for rows, own, label in zip(model.predict(ids), ids, labels, strict=True)]
    assert model.evaluate(ids, labels)["loss"] == pytest.approx(np.mean(each), rel=1e-12)


def test_a_backward_output_is_read_in_its_own_order() -> None:
    spec = SPEC.replace("Dense(classes)", "GRU(classes, go_backwards = true, return_sequences = true)")
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    x, labels = data()
    lengths = np.array([9, 5, 2, 7, 5, 8])
    given = model.forward(x, lengths=lengths)
    each = [by_states(rows[9 - length :], own)[0] for rows, own, length in zip(given, labels, lengths, strict=True)]
    assert model.evaluate(x, labels, lengths=lengths)["loss"] == pytest.approx(np.mean(each), rel=1e-12)


def test_reductions_and_the_blank_come_from_a_spec_or_from_python() -> None:
    x, labels = data()
    moved = [[label - 1 for label in each] for each in labels]
    weights = np.arange(6) / 2
    for reduction in REDUCTIONS:
        spec = SPEC.replace("loss = ctc  ", f"loss = ctc(reduction = {reduction}, blank = classes - 1, zero_infinity = true)  ")
        of_spec, of_python = rnnspec.compile(spec, dtype="float64", seed=1), rnnspec.compile(SPEC, dtype="float64", seed=1)
        of_python.configure(loss=losses.CTC(reduction=reduction, blank=3, zero_infinity=True))
        each = expected(of_spec, x, moved, blank=3) * weights
        if reduction == "mean":
            each /= np.maximum([len(own) for own in labels], 1)
        value = each.sum() if reduction == "sum" else each.mean()
        for model in (of_spec, of_python):
            assert model.evaluate(x, moved, sample_weight=weights)["loss"] == pytest.approx(value, rel=1e-12)


def test_a_loss_outlives_its_model_s_file_and_copies() -> None:
    x, labels = data()
    model = rnnspec.compile(SPEC.replace("loss = ctc  ", "loss = CTC(zero_infinity = true)  "), seed=1)
    file = io.BytesIO()
    model.save(file)
    value = model.train_on_batch(x, labels)
    assert rnnspec.load(file.getvalue()).train_on_batch(x, labels) == value
    model = rnnspec.compile(SPEC, seed=1)
    model.configure(loss=CTC(zero_infinity=True))
    assert pickle.loads(pickle.dumps(model)).evaluate(x, [*labels[:5], [1] * 9]) == model.evaluate(x, [*labels[:5], [1] * 9])


def test_the_number_of_threads_changes_no_bit() -> None:
    x, labels = data()
    x = np.tile(x, (6, 8, 1))
    made: list[Array] = []
    for threads in (1, 2, 3):
        spec = SPEC.replace("Dense(classes)", "Bidirectional(LSTM(24, return_sequences = true))\n    Dense(classes)")
        model = rnnspec.compile(spec, seed=1)
        model.threads = threads
        model.fit(x, labels * 6, batch_size=12, epochs=2, seed=0, verbose=False)
        made.append(np.concatenate([value.reshape(-1) for value in model.weights.values()]))
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()


def test_one_output_of_several_can_have_it() -> None:
    spec = """model Two {
    input x: float[time, 3]

    h     = GRU(4, return_sequences = true)
    label = h -> Dense(4)
    mean  = h -> GlobalAveragePooling1D() -> Dense(1)
    output label, mean
    train { loss = [ctc, mse]  loss_weights = [0.5, 1]  optimizer = SGD()  metrics = [[], [mae]] }
}
"""
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    x, labels = data()
    logs = model.evaluate(x, {"label": labels, "mean": np.ones(6)})
    assert list(logs) == ["loss", "label_loss", "mean_loss", "mean_mean_absolute_error"]
    each = [by_states(rows, own)[0] for rows, own in zip(model.forward(x)[0], labels, strict=True)]
    assert logs["label_loss"] == pytest.approx(np.mean(each), rel=1e-12)
    assert logs["loss"] == pytest.approx(0.5 * logs["label_loss"] + logs["mean_loss"], rel=1e-12)
    with pytest.raises(ValueError, match=r"^targets of label, sample 0, label 0: expected a class in 0\.\.3 but the blank, 0, got 9$"):
        model.train_on_batch(x, [[[9], *labels[1:]], np.ones(6)])


WRONG: list[tuple[Any, str]] = [
    (None, "targets: none are given; the loss ctc holds each sample's output against a sequence of labels"),
    ([[1]], "targets: expected 2 samples, got 1"),
    ([[1], [1, 4]], "targets, sample 1, label 1: expected a class in 0..3 but the blank, 0, got 4"),
    ([[1], [1, -2]], "targets, sample 1, label 1: expected a class in 0..3 but the blank, 0, got -2"),
    ([[1], [1, 0, 2]], "targets, sample 1, label 1: expected a class in 0..3 but the blank, 0, got 0, with labels behind it"),
    ([[-1, 2], [1]], "targets, sample 0, label 0: expected a class in 0..3 but the blank, 0, got -1, with labels behind it"),
    ([[1.5], [1]], "targets, sample 0, label 0: expected a class in 0..3 but the blank, 0, got 1.5"),
    ([[np.nan], [1]], "targets, sample 0, label 0: expected a class in 0..3 but the blank, 0, got nan"),
    (np.array([[2**40], [1]]), f"targets, sample 0, label 0: expected a class in 0..3 but the blank, 0, got {2**40}"),
    ([[[1]], [[2]]], "targets, sample 0: expected the numbers of the labels, shape (labels,), got shape (1, 1)"),
    ([1, 2], "targets, sample 0: expected the numbers of the labels, shape (labels,), got shape ()"),
    (np.array([1, 2]), "targets: expected shape (2, labels), or a list with the labels of each sample, got (2,)"),
    (np.zeros((3, 2)), "targets: expected shape (2, labels), or a list with the labels of each sample, got (3, 2)"),
    (
        [[1, 2], [1, 2, 1, 3, 3]],
        "targets, sample 1: 5 labels, of which 1 equal the one before, need 6 steps, and 5 are real; "
        "`zero_infinity = true` of the loss leaves such samples out",
    ),
    (
        [[1, 2, 3, 1], [1]],
        "targets, sample 0: 4 labels need 4 steps, and 3 are real; `zero_infinity = true` of the loss leaves such samples out",
    ),
]


@pytest.mark.parametrize(("labels", "message"), WRONG)
def test_labels_that_do_not_fit_are_named(labels: object, message: str) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    before = model.weights["dense/kernel"].copy()
    for call in (model.evaluate, model.train_on_batch, model.fit):
        with pytest.raises(ValueError) as raised:
            call(np.zeros((2, 5, 3)), labels, lengths=[3, 5])
        assert str(raised.value) == message
    assert (model.weights["dense/kernel"] == before).all()


def test_samples_without_a_path_are_left_out_on_demand() -> None:
    model = rnnspec.compile(SPEC.replace("loss = ctc  ", "loss = ctc(zero_infinity = true)  "), dtype="float64", seed=1)
    x, labels = data(2)
    labels = [[1] * 9, labels[1]]
    own = expected(model, x, labels)
    assert np.isinf(own[0])
    assert model.evaluate(x, labels)["loss"] == pytest.approx(own[1] / 2, rel=1e-12)
    history = model.fit(x, labels, epochs=3, verbose=False).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((6, 9)), r"sample_weight: expected shape \(6,\), one for each sequence of labels, got \(6, 9\)"),
        ([1, 2, np.inf, 1, 1, 1], "sample_weight, sample 2: expected a finite number, got inf"),
    ],
)
def test_weights_are_one_for_each_sample(weights: object, message: str) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    with pytest.raises(ValueError, match=f"^{message}$"):
        model.evaluate(*data(), sample_weight=weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": "none"}, "CTC: reduction: expected one of sum_over_batch_size, sum, mean, got 'none'"),
        ({"blank": -1}, "CTC: blank: expected a whole number of at least 0, got -1"),
        ({"blank": 1.0}, r"CTC: blank: expected a whole number of at least 0, got 1\.0"),
        ({"zero_infinity": 2}, "CTC: zero_infinity: expected True or False, got 2"),
    ],
)
def test_a_loss_s_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        CTC(**arguments)


def test_a_loss_that_does_not_fit_its_output_is_refused_in_python_too() -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]  LSTM(4) }", seed=1)
    with pytest.raises(ValueError, match=r"^loss ctc needs a sequence, and the output is one row a sample: "):
        model.configure(loss="ctc")
    model = rnnspec.compile(SPEC, seed=1)
    with pytest.raises(ValueError, match=r"^loss ctc: the blank is class 4, and the classes are 0\.\.3$"):
        model.configure(loss=CTC(blank=4))
    with pytest.raises(ValueError, match=r"^metric accuracy is one of rows, the loss ctc takes whole sequences of labels$"):
        model.configure(metrics=["accuracy"])


def test_specs_and_training_agree_on_which_losses_take_sequences() -> None:
    assert SEQUENCE_LOSSES.keys() == NAMES
    assert {name: make().name for name, make in SEQUENCE_LOSSES.items()} == {name: name for name in NAMES}
