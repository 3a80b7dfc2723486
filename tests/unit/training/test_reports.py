"""Reports of evaluations, against numbers that are counted row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.decoding import crf_decode
from rnnspec.training.losses import CTC
from rnnspec.training.model import Model
from rnnspec.training.reports import ClassReport, ValueReport
from tests.unit.runtime.fake import model, signature

SAMPLES, STEPS = 23, 5
X = np.random.default_rng(3).normal(size=(SAMPLES, STEPS, 3))
LENGTHS = np.random.default_rng(4).integers(1, STEPS + 1, SAMPLES)
WEIGHTS = np.random.default_rng(5).integers(0, 4, (SAMPLES, STEPS)) / 2


def made(loss: str, width: int, *, sequence: bool = True, **arguments: Any) -> Model:
    train = TrainSettings(Config(loss, tuple(arguments.items())), metrics=())
    return model(signature(sequence=sequence, width=width, train=train), softmax=width > 2, seed=1)


def rows(outputs: Array) -> tuple[Array, Array]:
    """The real steps of each sample one after the other, and their weights."""
    real = np.arange(STEPS) < LENGTHS[:, None]
    return outputs[real], WEIGHTS[real]


def expected(true: Array, taken: Array, weights: Array, classes: int) -> dict[str, Any]:
    """Precision, recall, F1 and support of each class, the accuracy and the confusion matrix, row by row."""
    matrix = [[0.0] * classes for _ in range(classes)]
    for one, other, weight in zip(true.tolist(), taken.tolist(), weights.tolist(), strict=True):
        matrix[one][other] += weight
    columns = list(zip(*matrix, strict=True))
    hits, supports = [matrix[each][each] for each in range(classes)], [sum(row) for row in matrix]
    precision = [hit / sum(column) if sum(column) else 0.0 for hit, column in zip(hits, columns, strict=True)]
    recall = [hit / support if support else 0.0 for hit, support in zip(hits, supports, strict=True)]
    f1 = [2 * p * r / (p + r) if p + r else 0.0 for p, r in zip(precision, recall, strict=True)]
    return {
        "precision": precision, "recall": recall, "f1": f1, "support": supports,
        "accuracy": sum(hits) / sum(supports), "confusion": matrix,
    }  # fmt: skip


def check(found: ClassReport, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-12, err_msg=name)
    scores = np.array([wanted["precision"], wanted["recall"], wanted["f1"]])
    support = np.array(wanted["support"])
    np.testing.assert_allclose(found.averages["macro avg"], [*scores.mean(axis=1), support.sum()], rtol=1e-12)
    np.testing.assert_allclose(found.averages["weighted avg"], [*(scores @ support / support.sum()), support.sum()], rtol=1e-12)


def report(of: Model, y: Array, **given: Any) -> Any:
    shown = of.report(X, y, 4, lengths=LENGTHS, sample_weight=WEIGHTS, **given)
    assert shown.results == of.evaluate(X, y, 4, lengths=LENGTHS, sample_weight=WEIGHTS)
    (output,) = shown.outputs.values()
    return output


def test_a_tagger_of_classes_counts_real_steps_by_their_weights() -> None:
    """Class 3 is never true: its recall is 0, and a label that is ignored is no row."""
    of = made("sparse_categorical_crossentropy", 4, ignore_class=3)
    y = np.random.default_rng(6).integers(0, 4, (SAMPLES, STEPS))
    of.set_classes(["a", "b", "c", "d"])
    (true, weights), (taken, _) = rows(y), rows(of.predict(X, lengths=LENGTHS).argmax(axis=2))
    found = report(of, y)
    labelled = true != 3
    check(found, expected(true[labelled], taken[labelled], weights[labelled], 4))
    assert found.names == ("a", "b", "c", "d")
    assert found.as_dict()["b"]["f1-score"] == found.f1[1] and found.as_dict()["accuracy"] == found.accuracy


def test_rows_of_probabilities_are_of_the_largest() -> None:
    of = made("categorical_crossentropy", 3)
    y = np.eye(3)[np.random.default_rng(6).integers(0, 3, (SAMPLES, STEPS))]
    (true, weights), (taken, _) = rows(y.argmax(axis=2)), rows(of.predict(X, lengths=LENGTHS).argmax(axis=2))
    check(report(of, y), expected(true, taken, weights, 3))


@pytest.mark.parametrize(
    ("loss", "arguments", "boundary", "low"),
    [("binary_crossentropy", {}, 0.5, 0), ("binary_crossentropy", {"from_logits": True}, 0.0, 0), ("hinge", {}, 0.0, -1)],
)
def test_one_unit_is_a_class_of_two(loss: str, arguments: dict[str, Any], boundary: float, low: int) -> None:
    of = made(loss, 1, **arguments)
    y = np.random.default_rng(6).integers(0, 2, (SAMPLES, STEPS))
    (true, weights), (predicted, _) = rows(y), rows(of.predict(X, lengths=LENGTHS)[..., 0])
    found = report(of, np.where(y == 1, 1.0, low))
    check(found, expected(true, (predicted > boundary).astype(int), weights, 2))
    assert found.names == ("0", "1")


def test_units_of_a_binary_loss_are_labels_of_their_own() -> None:
    of = made("binary_crossentropy", 2, from_logits=True)
    y = np.random.default_rng(6).integers(0, 2, (SAMPLES, STEPS, 2))
    (true, weights), (taken, _) = rows(y), rows((of.predict(X, lengths=LENGTHS) > 0).astype(int))
    found = report(of, y)
    units = [expected(true[:, unit], taken[:, unit], weights, 2) for unit in range(2)]
    for name in ("precision", "recall", "f1", "support"):
        np.testing.assert_allclose(getattr(found, name), [unit[name][1] for unit in units], rtol=1e-12)
    np.testing.assert_allclose(found.confusion, [unit["confusion"] for unit in units], rtol=1e-12)
    both = expected(true.reshape(-1), taken.reshape(-1), weights.repeat(2), 2)
    np.testing.assert_allclose(
        found.averages["micro avg"], [both[name][1] for name in ("precision", "recall", "f1", "support")], rtol=1e-12
    )
    of_rows = [expected(one, other, np.ones(2), 2) for one, other in zip(true, taken, strict=True)]
    means = [
        sum(w * each[name][1] for w, each in zip(weights, of_rows, strict=True)) / weights.sum() for name in ("precision", "recall", "f1")
    ]
    np.testing.assert_allclose(found.averages["samples avg"], [*means, true.T @ weights @ np.ones(2)], rtol=1e-12)
    assert [*found.averages] == ["micro avg", "macro avg", "weighted avg", "samples avg"]
    assert found.accuracy is None and found.multi_label


def test_the_average_of_rows_is_that_of_scikit_learn() -> None:
    """The numbers of scikit-learn 1.9's `classification_report(true, taken, output_dict=True, sample_weight=weights, zero_division=0)`."""
    of = rnnspec.compile("model L { input x: float[3]  Activation(sigmoid)  train { loss = binary_crossentropy } }", dtype="float64")
    true = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    taken = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    weights = np.array([1.0, 2.0, 0.5, 0.25])
    found = of.report(np.where(taken, 2.0, -2.0), true, sample_weight=weights).as_dict()["outputs"]["activation"]
    wanted = {
        "micro avg": (0.4, 0.5333333333333333, 0.45714285714285713, 3.75),
        "macro avg": (0.38095238095238093, 0.5555555555555555, 0.411764705882353, 3.75),
        "weighted avg": (0.4285714285714286, 0.5333333333333333, 0.4470588235294118, 3.75),
        "samples avg": (0.26666666666666666, 0.2222222222222222, 0.24, 3.75),
    }
    for name, values in wanted.items():
        assert tuple(found[name].values()) == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_values_have_their_errors_unit_by_unit(offset: float) -> None:
    """Far from 0 a sum of squares would have no digit left."""
    of = made("mean_squared_error", 2)
    y = np.random.default_rng(6).normal(size=(SAMPLES, STEPS, 2)) + offset
    (true, weights), (predicted, _) = rows(y), rows(of.predict(X, lengths=LENGTHS))
    found = report(of, y)
    assert isinstance(found, ValueReport)
    for unit in range(2):
        errors = [p - t for p, t in zip(predicted[:, unit].tolist(), true[:, unit].tolist(), strict=True)]
        whole = math.fsum(weights)
        mean = math.fsum(weights * true[:, unit]) / whole
        squared = math.fsum(w * error**2 for w, error in zip(weights, errors, strict=True))
        around = math.fsum(w * (t - mean) ** 2 for w, t in zip(weights, true[:, unit].tolist(), strict=True))
        assert found.mae[unit] == pytest.approx(
            math.fsum(w * abs(error) for w, error in zip(weights, errors, strict=True)) / whole, rel=1e-12
        )
        assert found.rmse[unit] == pytest.approx(math.sqrt(squared / whole), rel=1e-12)
        assert found.r2[unit] == pytest.approx(1 - squared / around, rel=1e-9)
    assert found.as_dict()["mean"]["RMSE"] == pytest.approx(found.rmse.mean())
    assert found.support == weights.sum()


def test_r2_of_targets_that_are_alike_and_of_one_row() -> None:
    of = made("mean_squared_error", 1, sequence=False)
    of.set_weights([np.zeros((3, 1)), np.full(1, 2.0)])
    (exact,), (wrong,), (one,) = (of.report(X[:n], np.full(n, y)).outputs["dense"].r2 for n, y in ((4, 2.0), (4, 3.0), (1, 2.0)))
    assert exact == 1.0 and wrong == 0.0 and math.isnan(one)


def test_many_classes_show_what_is_taken_for_what_most_often() -> None:
    of = made("sparse_categorical_crossentropy", 40, sequence=False)
    y = np.arange(SAMPLES)
    found = of.report(X, y).outputs["dense"]
    taken = of.predict(X).argmax(axis=1)
    _, pairs = found.tables()
    assert {(true, other) for true, other, _ in pairs.rows} <= {(str(a), str(b)) for a, b in zip(y, taken, strict=True) if a != b}
    assert 0 < len(pairs.rows) <= 20
    wide = made("sparse_categorical_crossentropy", 2001, sequence=False).report(X, y).outputs["dense"]
    assert wide.confusion is None and len(wide.tables()) == 1 and wide.as_dict()["confusion"] is None


def test_predictions_that_are_nan_are_no_class() -> None:
    of = made("sparse_categorical_crossentropy", 3, sequence=False)
    of.set_weights([np.full((3, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match="report: 4 of 4 predictions of a batch are NaN"):
        of.report(X, np.zeros(SAMPLES), 4)


SPEC = """model Tagger {
    input x: float[time, 3]
    a    = x -> LSTM(4, return_sequences = true, go_backwards = %s)
    tags = a -> Dense(3)
    last = a -> Dense(3)
    output tags, last
    train { loss = [crf, sparse_categorical_crossentropy(from_logits = true)] }
}"""


@pytest.mark.parametrize("backwards", ["false", "true"])
def test_the_classes_of_a_crf_are_those_of_the_likeliest_sequence(backwards: str) -> None:
    of = rnnspec.compile(SPEC % backwards, dtype="float64", seed=1)
    random = np.random.default_rng(7)
    weights = {name: random.normal(size=value.shape) for name, value in of.weights.items()}
    of.set_weights(weights)
    lengths = LENGTHS if backwards == "false" else np.full(SAMPLES, STEPS)
    y = random.integers(0, 3, (SAMPLES, STEPS))
    scores = of.predict(X, lengths=lengths)[0]
    turned = scores[:, ::-1] if backwards == "true" else scores
    best = crf_decode(turned, *(weights[f"crf/tags/{name}"] for name in ("transitions", "first", "last")), lengths=lengths).paths[0]
    best = best[:, ::-1] if backwards == "true" else best
    real = np.arange(STEPS) < lengths[:, None]
    found = of.report(X, {"tags": y, "last": y}, 4, lengths=lengths)
    check(found.outputs["tags"], expected(y[real], best[real], np.ones(real.sum()), 3))
    plain = of.predict(X, lengths=lengths)[1].argmax(axis=2)
    check(found.outputs["last"], expected(y[real], plain[real], np.ones(real.sum()), 3))
    assert not np.array_equal(best[real], scores.argmax(axis=2)[real])
    assert "output tags\n\n" in str(found) and "output last\n\n" in str(found)
    assert set(found.as_dict()["outputs"]) == {"tags", "last"}


def test_a_loss_of_paths_has_no_classes_of_steps() -> None:
    of = made("mean_squared_error", 3)
    of.configure(loss=CTC())
    with pytest.raises(ValueError, match="report: the loss ctc is one of whole sequences"):
        of.report(X, [[1]] * SAMPLES)
