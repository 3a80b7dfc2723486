"""Estimators of scikit-learn's kind: forms of data, search of a spec's parameters, copies, what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rnnspec
from rnnspec.callbacks import LambdaCallback
from rnnspec.diagnostics import SpecError
from rnnspec.optimizers import SGD
from rnnspec.sklearn import RNNClassifier, RNNForecaster, RNNRegressor, SequenceTransformer

RNG = np.random.default_rng(0)
RAGGED = [RNG.normal(size=(3 + number % 4, 2)) for number in range(36)]
PADDED = RNG.normal(size=(36, 5, 2))
ROWS = RNG.normal(size=(36, 5))

Y = np.array([sequence[:, 0].sum() > 0 for sequence in RAGGED])
LABELS = np.where(Y, "up", "down")
NUMBERS = np.array([300 + 10 * sequence[:, 0].sum() for sequence in RAGGED])

SMALL: dict[str, Any] = {"units": 4, "epochs": 3, "random_state": 0}

SPEC = """
model Own(features, classes, units = 4, rate = 0.01) {
    input x: float[time, features]
    GRU(units)
    Dense(classes, activation = softmax)
    train { loss = sparse_categorical_crossentropy  optimizer = Adam(learning_rate = rate)  epochs = 2 }
}
"""


# Forms of data


FORMS: dict[str, tuple[Any, int]] = {
    "a list of sequences": (RAGGED, 2),
    "an array of sequences": (np.array([*RAGGED, None], object)[:-1], 2),
    "a list of lists": ([sequence.tolist() for sequence in RAGGED], 2),
    "a list of sequences of numbers": ([sequence[:, 0] for sequence in RAGGED], 1),
    "three axes": (PADDED, 2),
    "two axes": (ROWS, 5),
    "a table": (pd.DataFrame(ROWS, columns=list("abcde")), 5),
    "a list of tables": ([pd.DataFrame(sequence) for sequence in RAGGED], 2),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_data_is_taken(name: str) -> None:
    x, features = FORMS[name]
    classifier = RNNClassifier(**SMALL).fit(x, LABELS)
    assert classifier.n_features_in_ == features
    assert classifier.classes_.tolist() == ["down", "up"]
    assert classifier.predict_proba(x).shape == (36, 2)
    assert set(classifier.predict(x)) <= {"down", "up"}
    assert classifier.predict(x).tolist() == classifier.classes_[classifier.predict_proba(x).argmax(axis=1)].tolist()
    assert np.array_equal(classifier.decision_function(x) > 0, classifier.predict(x) == "up")


def test_sequences_of_equal_lengths_are_what_the_ragged_ones_were() -> None:
    classifier = RNNClassifier(**SMALL).fit([sequence[:, 0] for sequence in RAGGED], LABELS)
    one = [np.ones(4), np.zeros(4)]
    assert np.array_equal(classifier.predict_proba(one), classifier.predict_proba([each[:, None] for each in one]))


def test_a_tables_columns_are_compared() -> None:
    table = pd.DataFrame(ROWS, columns=list("abcde"))
    regressor = RNNRegressor(**SMALL).fit(table, NUMBERS)
    assert regressor.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(table.rename(columns={"a": "z"}))


def test_texts_and_ids() -> None:
    texts = ["a good film", "a bad film"] * 8
    found = RNNClassifier(units=4, epochs=8, random_state=0, learning_rate=0.05).fit(texts, ["+", "-"] * 8)
    assert found.score(texts, ["+", "-"] * 8) == 1.0
    spec = "model Ids { input t: int[time]  Embedding(9, 4)  LSTM(4)  Dense(2, activation = softmax) }"
    ids = [np.array([1, 2, 3]), np.array([4, 5])] * 8
    assert RNNClassifier(spec, epochs=2).fit(ids, [0, 1] * 8).predict(ids).shape == (16,)
    assert RNNClassifier(spec, epochs=2).fit(np.ones((16, 3), int), [0, 1] * 8).predict(np.ones((2, 3), int)).shape == (2,)


def test_several_inputs_by_name() -> None:
    spec = """
    model Two { input a: float[time, 2]  input b: float[3]
      left = a -> LSTM(3)
      [left, b] -> Concatenate() -> Dense(1) }
    """
    x = {"a": RAGGED, "b": np.ones((36, 3))}
    found = RNNRegressor(spec, epochs=1, early_stopping=True).fit(x, NUMBERS)
    assert found.predict(x).shape == (36,)
    with pytest.raises(ValueError, match=r"X: model Two has 2 inputs: give a dict with the keys a, b"):
        RNNRegressor(spec).fit(RAGGED, NUMBERS)
    with pytest.raises(ValueError, match=r"X: expected as many samples of each input, got \{'a': 36, 'b': 2\}"):
        RNNRegressor(spec).fit({"a": RAGGED, "b": np.ones((2, 3))}, NUMBERS)


# Targets


def test_labels_and_numbers_of_steps() -> None:
    tags = [np.where(sequence[:, 0] > 0, "+", "-") for sequence in RAGGED]
    classifier = RNNClassifier(units=8, epochs=12, random_state=0, class_weight="balanced").fit(RAGGED, tags)
    assert [each.shape for each in classifier.predict(RAGGED)] == [each.shape for each in tags]
    assert classifier.predict_proba(RAGGED)[1].shape == (4, 2)
    assert classifier.score(RAGGED, tags) > 0.8
    found = RNNRegressor(units=8, epochs=12, random_state=0).fit(RAGGED, [sequence[:, 1] for sequence in RAGGED])
    assert [each.shape for each in found.predict(RAGGED)] == [each.shape for each in tags]
    assert found.score(RAGGED, [sequence[:, 1] for sequence in RAGGED]) > 0.5
    padded = RNNClassifier(**SMALL).fit(PADDED, (PADDED[:, :, 0] > 0).astype(int))
    assert [each.shape for each in padded.predict(PADDED)] == [(5,)] * 36


def test_several_outputs() -> None:
    two = np.stack([LABELS, np.where(np.arange(36) % 3, "some", "few")], axis=1)
    classifier = RNNClassifier(**SMALL, class_weight=[None, {"some": 1, "few": 2}]).fit(RAGGED, two)
    assert classifier.predict(RAGGED).shape == (36, 2)
    assert [each.tolist() for each in classifier.classes_] == [["down", "up"], ["few", "some"]]
    assert [each.shape for each in classifier.predict_proba(RAGGED)] == [(36, 2), (36, 2)]
    assert 0 <= classifier.score(RAGGED, two) <= 1
    assert not hasattr(classifier, "decision_function")
    spec = """
    model Heads(features) { input x: float[time, features]
      h = LSTM(3)
      a = h -> Dense(1)
      b = h -> Dense(2)
      output a, b }
    """
    values = np.stack([NUMBERS, -NUMBERS, NUMBERS], axis=1)
    assert RNNRegressor(spec, epochs=1).fit(RAGGED, values).predict(RAGGED).shape == (36, 3)
    with pytest.raises(ValueError, match="y: expected 3 columns, one for each unit of the spec's outputs, got 1"):
        RNNRegressor(spec, epochs=1).fit(RAGGED, NUMBERS)


def test_predictions_are_in_the_units_of_the_targets() -> None:
    regressor = RNNRegressor(units=16, random_state=0).fit(RAGGED, NUMBERS)
    assert regressor.score(RAGGED, NUMBERS) > 0.9
    assert regressor.n_iter_ == 30 == len(regressor.history_["loss"])


def test_a_single_unit_is_two_classes() -> None:
    spec = "model Yes { input x: float[time, 2]  LSTM(4)  Dense(1, activation = sigmoid) }"
    classifier = RNNClassifier(spec, epochs=2, random_state=0).fit(RAGGED, LABELS)
    found = classifier.predict_proba(RAGGED)
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(found[:, 1], classifier.model_.predict(RAGGED)[:, 0])
    assert classifier.model_.classes == {"dense": ("down", "up")}
    assert classifier.predict(RAGGED).tolist() == classifier.model_.predict_classes(RAGGED).tolist()


def test_a_probability_of_nan_is_of_no_class() -> None:
    spec = "model Yes { input x: float[time, 2]  LSTM(4)  Dense(1, activation = sigmoid)  train { allow_nan = true } }"
    classifier = RNNClassifier(spec, epochs=1, random_state=0).fit(RAGGED, LABELS)
    wrong = [*RAGGED[:2], np.full_like(RAGGED[2], np.nan)]
    assert np.isnan(classifier.predict_proba(wrong)).any(axis=1).tolist() == [False, False, True]
    with pytest.raises(ValueError, match=r"^output dense, sample 2: the prediction is NaN, which is of no class$"):
        classifier.predict(wrong)


def test_logits_become_probabilities() -> None:
    from rnnspec.losses import BinaryCrossentropy, SparseCategoricalCrossentropy

    for units, loss in ((1, BinaryCrossentropy(from_logits=True)), (2, SparseCategoricalCrossentropy(from_logits=True))):
        spec = f"model Raw {{ input x: float[time, 2]  LSTM(4)  Dense({units}) }}"
        classifier = RNNClassifier(spec, loss=loss, epochs=2, random_state=0).fit(RAGGED, LABELS)
        found, raw = classifier.predict_proba(RAGGED), classifier.model_.predict(RAGGED)
        assert np.allclose(found.sum(axis=1), 1) and (found >= 0).all()
        assert np.allclose(classifier.decision_function(RAGGED), raw[:, -1] - (raw[:, 0] if units == 2 else 0), atol=1e-5)


def test_class_names_of_a_spec_are_the_order_of_the_classes() -> None:
    spec = SPEC.replace("epochs = 2", 'epochs = 2  classes = ["up", "level", "down"]')
    classifier = RNNClassifier(spec, classes=3, random_state=0).fit(RAGGED, LABELS)
    assert classifier.classes_.tolist() == ["up", "level", "down"]
    assert classifier.predict(RAGGED).tolist() == classifier.model_.predict_classes(RAGGED).tolist()
    with pytest.raises(ValueError, match="y: sideways isn't among the classes up, level, down"):
        RNNClassifier(spec, classes=3).fit(RAGGED, ["sideways", *LABELS[1:]])


# Arguments


def test_parameters_of_a_spec_are_an_estimators() -> None:
    classifier = RNNClassifier(SPEC, units=8)
    found = classifier.get_params()
    assert found["parameters"] == {"units": 8}
    assert {name: value for name, value in found.items() if name.startswith("parameters__")} == {
        "parameters__units": 8,
        "parameters__rate": 0.01,
        "parameters__features": None,
        "parameters__classes": None,
    }
    copy = clone(classifier).set_params(units=3, parameters__rate=0.5, epochs=1)
    assert copy.parameters == {"units": 3, "rate": 0.5} and copy.epochs == 1 and classifier.parameters == {"units": 8}
    copy.fit(RAGGED, LABELS)
    assert copy.model_.source.parameters == {"units": 3, "rate": 0.5, "features": 2, "classes": 2}
    with pytest.raises(ValueError, match=r"(?s)Invalid parameter 'unit' for estimator .*units"):
        classifier.set_params(unit=3)
    with pytest.raises(ValueError, match="Invalid parameter 'parameters__unit'"):
        classifier.set_params(parameters__unit=3)
    with pytest.raises(SpecError, match="unit"):
        RNNClassifier(SPEC, unit=8).fit(RAGGED, LABELS)
    with pytest.raises(ValueError, match="parameters: expected a dict of the spec's parameters, got 3"):
        RNNClassifier(SPEC, parameters=3).fit(RAGGED, LABELS)  # type: ignore[arg-type]


def test_a_search_over_parameters_and_optimizers_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "own.rnn").write_text(SPEC)
    grid = {"units": [2, 3], "optimizer": ["adam", SGD(learning_rate=0.1)]}
    search = GridSearchCV(RNNClassifier(tmp_path / "own.rnn", random_state=0), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(RAGGED, LABELS)
    assert search.best_estimator_.model_.source.parameters["units"] == search.best_params_["units"]
    assert search.predict(RAGGED).shape == (36,)
    alone = clone(search.best_estimator_).fit(RAGGED, LABELS)
    assert np.array_equal(alone.predict_proba(RAGGED), search.predict_proba(RAGGED))


def test_early_stopping_and_callbacks() -> None:
    epochs: list[int] = []
    told = LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    found = RNNRegressor(
        units=4, epochs=50, early_stopping=True, validation_fraction=0.25, n_iter_no_change=1, callbacks=[told], random_state=0
    )
    found.set_params(learning_rate=1.0).fit(RAGGED, NUMBERS, sample_weight=np.ones(36))
    assert len(epochs) == found.n_iter_ == len(found.history_["val_loss"]) < 50
    assert found.model_.learning_rate == 1.0


def test_parts_of_a_training() -> None:
    classifier = RNNClassifier(units=4, random_state=0)
    for _ in range(3):
        classifier.partial_fit(RAGGED, LABELS, classes=["up", "down", "level"])
    assert classifier.n_iter_ == 3
    assert classifier.predict_proba(RAGGED).shape == (36, 3)
    classifier.partial_fit(RAGGED[:1], LABELS[:1])
    with pytest.raises(ValueError, match="y: left isn't among the classes down, level, up"):
        classifier.partial_fit(RAGGED[:1], ["left"])
    with pytest.raises(ValueError, match="X has 3 features, but RNNClassifier is expecting 2 features as input"):
        classifier.partial_fit([np.ones((2, 3))], ["up"])
    warm = RNNRegressor(**SMALL, warm_start=True).fit(RAGGED, NUMBERS)
    model = warm.model_
    assert warm.fit(RAGGED, NUMBERS).model_ is model and warm.n_iter_ == 6
    assert warm.set_params(warm_start=False).fit(RAGGED, NUMBERS).model_ is not model


def test_weights_of_samples_and_classes_count() -> None:
    rare = np.arange(36) % 6 == 0
    plain = RNNClassifier(**SMALL).fit(RAGGED, rare)
    balanced = RNNClassifier(**SMALL, class_weight="balanced").fit(RAGGED, rare)
    weighted = RNNClassifier(**SMALL).fit(RAGGED, rare, sample_weight=np.where(rare, 3.0, 0.6))
    assert balanced.predict_proba(RAGGED)[:, 1].mean() > plain.predict_proba(RAGGED)[:, 1].mean()
    assert np.allclose(balanced.predict_proba(RAGGED), weighted.predict_proba(RAGGED), atol=1e-6)


# Copies


@pytest.mark.parametrize("kind", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_a_fitted_estimator_is_pickled(kind: Any) -> None:
    classifier = RNNClassifier(**SMALL).fit(RAGGED, LABELS)
    found = pickle.loads(kind.dumps(classifier))
    assert np.array_equal(found.predict_proba(RAGGED), classifier.predict_proba(RAGGED))
    for each in (found, classifier):
        each.partial_fit(RAGGED, LABELS)
    assert np.array_equal(found.predict_proba(RAGGED), classifier.predict_proba(RAGGED))


def test_a_clone_of_a_fitted_estimator_is_not_fitted() -> None:
    fitted = RNNClassifier(**SMALL, optimizer=SGD(learning_rate=0.1)).fit(RAGGED, LABELS)
    copy = clone(fitted)
    assert not hasattr(copy, "model_")
    assert np.array_equal(copy.fit(RAGGED, LABELS).predict_proba(RAGGED), fitted.predict_proba(RAGGED))
    assert np.array_equal(fitted.fit(RAGGED, LABELS).predict_proba(RAGGED), copy.predict_proba(RAGGED))


# Pipelines, features, forecasts


def test_pipelines_and_cross_validation() -> None:
    assert cross_val_score(make_pipeline(StandardScaler(), RNNClassifier(**SMALL)), ROWS, LABELS, cv=2).shape == (2,)
    assert cross_val_score(make_pipeline(SequenceTransformer(units=4), LogisticRegression()), RAGGED, LABELS, cv=2).shape == (2,)


def test_states_are_those_behind_the_last_step() -> None:
    outputs = SequenceTransformer(units=4, random_state=0)
    states = SequenceTransformer(units=4, random_state=0, features="states")
    sequences = SequenceTransformer(
        "model Steps(features) { input x: float[time, features]  Normalization()  LSTM(4, return_sequences = true) }", random_state=0
    )
    last = outputs.fit_transform(RAGGED)
    assert last.shape == (36, 4)
    assert np.array_equal(states.fit_transform(RAGGED)[:, :4], last)
    assert np.array_equal(sequences.fit_transform(RAGGED), last)
    assert np.array_equal(states.fit_transform(PADDED)[:, :4], outputs.fit_transform(PADDED))
    table = outputs.set_output(transform="pandas").transform(PADDED)
    assert isinstance(table, pd.DataFrame) and table.columns[0] == "sequencetransformer0"


@pytest.mark.parametrize("form", ["estimator", "model", "path", "dict"])
def test_features_of_a_trained_model(form: str, tmp_path: Path) -> None:
    classifier = RNNClassifier(**SMALL).fit(RAGGED, LABELS)
    classifier.model_.save(tmp_path / "model.rnnc")
    weights: dict[str, Any] = {
        "estimator": classifier,
        "model": classifier.model_,
        "path": tmp_path / "model.rnnc",
        "dict": dict(classifier.model_.weights),
    }
    features = SequenceTransformer(units=4, weights=weights[form]).fit_transform(RAGGED)
    kernel, bias = (classifier.model_.weights[f"dense/{name}"] for name in ("kernel", "bias"))
    logits = features @ kernel + bias
    assert np.array_equal(classifier.classes_[logits.argmax(axis=1)], classifier.predict(RAGGED))
    with pytest.raises(ValueError, match="weights: none has the name and the shape of one of the spec's"):
        SequenceTransformer(units=4, weights={"other": np.ones(3)}).fit(RAGGED)


def test_a_forecast_goes_on_from_forecasts() -> None:
    series = 300 + 40 * np.sin(np.arange(300) * 2 * np.pi / 12)
    forecaster = RNNForecaster(window=12, horizon=3, units=8, epochs=20, random_state=0).fit(series)
    ahead = forecaster.predict(steps=7)
    assert np.array_equal(ahead[:3], forecaster.predict())
    assert np.array_equal(ahead[3:6], forecaster.predict(np.concatenate([series, ahead[:3]])))
    assert np.allclose(ahead, 300 + 40 * np.sin(np.arange(300, 307) * 2 * np.pi / 12), atol=12)
    assert forecaster.predict_windows(series).shape == (286, 3)
    assert cross_val_score(forecaster.set_params(epochs=1), series[:, None], cv=TimeSeriesSplit(2)).shape == (2,)
    with pytest.raises(ValueError, match="X: expected at least the 12 steps of a window, got 4"):
        forecaster.predict(series[:4])
    with pytest.raises(ValueError, match="series: expected at least 15 steps, for 12 in a window and 3 after it, got 4"):
        forecaster.fit(series[:4])


def test_a_forecast_of_another_series_ends_with_the_horizon() -> None:
    table = pd.DataFrame({"load": np.sin(np.arange(80.0)), "hour": np.arange(80) % 24})
    forecaster = RNNForecaster(window=5, horizon=5, early_stopping=True, **SMALL).fit(table, table["load"])
    assert forecaster.predict(table).shape == (5,)
    assert forecaster.feature_names_in_.tolist() == ["load", "hour"]
    assert forecaster.score(table, table["load"]) <= 1
    with pytest.raises(ValueError, match="steps: at most 5, the horizon"):
        forecaster.predict(steps=6)
    assert RNNForecaster(window=5, horizon=2, **SMALL).fit(table).predict(steps=3).shape == (3, 2)


# What is refused


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "one class": (lambda: RNNClassifier().fit(RAGGED, ["a"] * 36), "y: expected labels of at least 2 classes, got 1 class"),
    "no labels": (lambda: RNNClassifier().fit(RAGGED, None), "requires y to be passed"),
    "an empty list": (lambda: RNNClassifier().fit([], []), "Found array with 0 sample|Expected 2D array"),
    "too few labels": (lambda: RNNClassifier().fit(RAGGED, LABELS[:-1]), "inconsistent numbers of samples"),
    "other features": (
        lambda: RNNClassifier().fit([np.ones((3, 2)), np.ones((3, 1))], [0, 1]),
        "X: sample 1 has 1 features, and sample 0 has 2",
    ),
    "texts in sequences": (
        lambda: RNNClassifier().fit([np.array([["a"]]), np.array([["b"], ["c"]])], [0, 1]),
        "X: sample 0: expected numbers",
    ),
    "numbers that are none": (lambda: RNNClassifier(units=4).fit([*RAGGED[:-1], np.full((2, 2), np.nan)], LABELS), "Input X contains NaN"),
    "targets that are none": (lambda: RNNRegressor(units=4).fit(RAGGED, [*NUMBERS[:-1], np.nan]), "Input y contains NaN"),
    "infinite numbers": (lambda: RNNRegressor(units=4).fit(PADDED + np.inf, NUMBERS), "Input X contains infinity"),
    "rows for sequences": (
        lambda: RNNRegressor("model M { input x: float[time, 3]  LSTM(2)  Dense(1) }").fit(ROWS, NUMBERS),
        "X: input x takes sequences of 3 features",
    ),
    "another number of classes": (
        lambda: RNNClassifier("model M { input x: float[time, 2]  LSTM(2)  Dense(3, activation = softmax) }").fit(RAGGED, LABELS),
        "y: output dense has 3 classes, and there are 2 labels: down, up",
    ),
    "another form": (
        lambda: RNNClassifier(**SMALL).fit(RAGGED, LABELS).predict(ROWS[:, :2]),
        "X: RNNClassifier was fitted on sequences, got rows",
    ),
    "weights of nothing": (lambda: RNNRegressor(units=4).fit(RAGGED, NUMBERS, sample_weight=np.zeros(36)), "all of them are zero"),
    "an unknown kind of features": (lambda: SequenceTransformer(features="all").fit(RAGGED), "features: expected 'outputs' or 'states'"),
    "states of a reversed layer": (
        lambda: SequenceTransformer("model M { input x: float[time, 2]  Bidirectional(LSTM(2)) }", features="states").fit(RAGGED),
        "can't stream",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "estimator", [RNNClassifier(), RNNRegressor(), RNNForecaster(), SequenceTransformer()], ids=lambda each: type(each).__name__
)
def test_nothing_is_predicted_before_fit(estimator: Any) -> None:
    with pytest.raises(NotFittedError):
        estimator.transform(PADDED) if isinstance(estimator, SequenceTransformer) else estimator.predict(PADDED)


def test_integers_without_a_class_between_have_its_unit() -> None:
    spec = "model M { input x: float[time, 2]  LSTM(2)  Dense(4, activation = softmax) }"
    classifier = RNNClassifier(spec, epochs=1).fit(RAGGED, np.arange(36) % 2 * 3)
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert classifier.predict_proba(RAGGED).shape == (36, 4)


def test_the_model_is_one_of_rnnspecs() -> None:
    classifier = RNNClassifier(SPEC, dtype="float64", random_state=0).fit(RAGGED, LABELS)
    assert isinstance(classifier.model_, rnnspec.Model)
    assert classifier.model_.signature.dtype == "float64"
    assert np.array_equal(classifier.model_.predict(RAGGED), classifier.predict_proba(RAGGED))
