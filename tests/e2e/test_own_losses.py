"""Losses and metrics of one's own, in a spec and in Python: the same training as the library's, in every kind of model and in copies."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.losses import Huber, SparseCategoricalCrossentropy
from rnnspec.training.metrics import F1Score, Precision, R2Score
from rnnspec.training.model import Model

Array = NDArray[Any]

RANDOM = np.random.default_rng(7)
X, Y, STEPS = RANDOM.normal(size=(6, 5, 3)), RANDOM.normal(size=(6, 2)), RANDOM.normal(size=(6, 5, 2))
MASK = np.arange(5) < RANDOM.integers(2, 6, 6)[:, None]


@dataclass
class Squares:
    """Keras's mean squared error, in Python."""

    classes: bool = False
    from_logits: bool = False

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        error = predictions - targets
        return np.square(error).mean(axis=1), 2 * error / error.shape[1]


@dataclass
class Distance:
    """Keras's mean absolute error as a metric, in Python."""

    name: str = "distance"

    def rows(self, predictions: Array, targets: Array) -> Array:
        return np.abs(predictions - targets).mean(axis=1)


TEXT = """
loss squares(scale = 1.0) {
    return scale * mean(squared(target - prediction))
}
metric distance {
    return mean(abs(target - prediction))
}
"""

MODELS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "rows": ("LSTM(4)  Dense(2)", {"y": Y}),
    "rows with a mask": ("GRU(4)  Dense(2)", {"y": Y, "mask": MASK}),
    "steps": ("LSTM(2, return_sequences = true)", {"y": STEPS}),
    "steps with a mask": ("LSTM(2, return_sequences = true)", {"y": STEPS, "mask": MASK}),
    "reversed steps": ("LSTM(2, return_sequences = true, go_backwards = true)", {"y": STEPS, "mask": MASK}),
    "reversed steps without a mask": ("SimpleRNN(2, return_sequences = true, go_backwards = true)", {"y": STEPS}),
    "stateful": ("LSTM(4, stateful = true)  Dense(2)", {"y": Y}),
    "weights of steps": ("GRU(2, return_sequences = true)", {"y": STEPS, "sample_weight": RANDOM.random((6, 5))}),
    "classes by weight": ("GRU(2)", {"y": np.eye(2)[[0, 1, 1, 0, 1, 0]], "class_weight": {1: 3.0}}),
    "batch normalization": ("LSTM(4)  BatchNormalization()  Dense(2)", {"y": Y}),
    "activity": ("LSTM(4, activity_regularizer = L2(0.1))  Dense(2, activity_regularizer = L1(0.1))", {"y": Y}),
    "dropout": ("LSTM(4, dropout = 0.5)  Dropout(0.25)  Dense(2)", {"y": Y}),
}


def trained(layers: str, given: Mapping[str, Any], loss: object, metric: object) -> tuple[list[Any], list[Array]]:
    """What two updates give, and the weights after them."""
    model = rnnspec.compile(f"{TEXT} model M {{ input x: float[time, 3]  {layers} }}", dtype="float64", seed=3)
    model.configure(loss=loss, metrics=[metric], optimizer="SGD")  # pyright: ignore[reportArgumentType]
    logs = [list(model.train_on_batch(X, return_dict=True, **given).values()) for _ in range(2)]
    logs.append(list(model.evaluate(X, **{name: value for name, value in given.items() if name != "class_weight"}).values()))
    return logs, model.get_weights()


@pytest.mark.parametrize("kind", MODELS)
def test_text_and_python_train_alike(kind: str) -> None:
    layers, given = MODELS[kind]
    logs, weights = trained(layers, given, "mse", "mae")
    for loss, metric in (("squares", "distance"), (Squares(), Distance()), ("squares", Distance()), (Squares(), "distance")):
        found, after = trained(layers, given, loss, metric)
        np.testing.assert_allclose(found, logs, rtol=1e-10)
        for one, other in zip(after, weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


BRANCHES = """
model Two {
    input x: float[time, 3]
    hidden = x -> LSTM(4, return_sequences = true)
    steps = hidden -> Dense(2)
    last = hidden -> LSTM(3)
    rows = last -> Dense(2)
    free = last -> Dense(2)
    labels = hidden -> Dense(4)
    output steps, rows, free, labels
}
"""


def test_each_output_has_a_loss_of_its_own_or_none() -> None:
    """Text, Python and a loss of sequences beside each other: each is what it is alone, by its weight."""
    targets = {"steps": STEPS, "rows": Y, "labels": [[1, 2], [3], [1, 1], [2], [], [3, 2]]}
    logs: dict[str, list[Mapping[str, Any]]] = {}
    for name, of_rows in (("text", "squares"), ("python", Squares())):
        model = rnnspec.compile(f"{TEXT} {BRANCHES}", dtype="float64", seed=3)
        loss = {"steps": "mse", "rows": of_rows, "free": None, "labels": "ctc"}
        model.configure(
            loss=loss,
            loss_weights={"steps": 0.5, "rows": 2.0, "labels": 0.25},
            metrics={"steps": ["distance"], "rows": [Distance(), "cosine_similarity"]},
            optimizer="SGD",
        )
        logs[name] = [model.train_on_batch(X, targets, return_dict=True) for _ in range(2)]
    assert list(logs["text"][0]) == [
        "loss", "steps_loss", "rows_loss", "labels_loss", "steps_distance", "rows_distance", "rows_cosine_similarity",
    ]  # fmt: skip
    for text, python in zip(logs["text"], logs["python"], strict=True):
        np.testing.assert_allclose(list(text.values()), list(python.values()), rtol=1e-10)
    first = logs["text"][0]
    assert first["loss"] == pytest.approx(0.5 * first["steps_loss"] + 2 * first["rows_loss"] + 0.25 * first["labels_loss"], rel=1e-12)


@pytest.mark.parametrize("go_backwards", ["true", "false"])
def test_rows_with_an_ignored_class_are_left_out(go_backwards: str) -> None:
    """As if they were masked: out of the loss, of its divisor and of metrics."""
    layers = f"LSTM(4, return_sequences = true, go_backwards = {go_backwards})  Dense(3, activation = softmax)"
    model = rnnspec.compile(f"model M {{ input x: float[time, 3]  {layers} }}", dtype="float64", seed=3)
    classes = RANDOM.integers(0, 3, (6, 5))
    counted = RANDOM.random((6, 5)) < 0.6
    prediction = model.predict(X)
    chosen = prediction[counted]
    expected = -np.log(np.take_along_axis(chosen, classes[counted][:, None], 1)).mean()
    model.configure(loss=SparseCategoricalCrossentropy(ignore_class=-1), metrics=["accuracy"])
    logs = model.evaluate(X, np.where(counted, classes, -1))
    assert logs["loss"] == pytest.approx(expected, rel=1e-10)
    assert logs["accuracy"] == pytest.approx((chosen.argmax(axis=1) == classes[counted]).mean(), rel=1e-12)


# Names


def test_what_a_spec_declares_goes_before_the_library() -> None:
    """Also under a short form of a name of the library's."""
    text = """
    loss mse { return 7 * mean(abs(target - prediction)) }
    metric mae { return 3 * mean(abs(target - prediction)) }
    model M { input x: float[time, 3]  LSTM(2)  train { loss = mse  metrics = [mae, mean_absolute_error] } }
    """
    model = rnnspec.compile(text, dtype="float64", seed=3)
    for _ in range(2):
        logs = model.evaluate(X, Y)
        assert logs["loss"] == pytest.approx(7 * logs["mean_absolute_error"])
        assert logs["mae"] == pytest.approx(3 * logs["mean_absolute_error"])
        model.configure(loss="mse", metrics=["mae", "MeanAbsoluteError"])


def test_unknown_names_are_told_with_those_of_the_spec() -> None:
    model = rnnspec.compile(f"{TEXT} model M {{ input x: float[time, 3]  LSTM(2) }}", seed=3)
    with pytest.raises(ValueError, match=r"^no loss is called sqares; did you mean `squares`\? there are squares, mean_squared_error"):
        model.configure(loss="sqares")
    with pytest.raises(ValueError, match=r"^no metric is called distnce; did you mean `distance`\? there are distance"):
        model.configure(loss="mse", metrics=["distnce"])


def test_a_call_is_told_from_a_name() -> None:
    """A text in Python has no arguments, which a spec's own losses get in its `train` section alone."""
    model = rnnspec.compile(f"{TEXT} model M {{ input x: float[time, 3]  LSTM(2) }}", seed=3)
    with pytest.raises(ValueError, match=r"^squares is the name of a loss, and `squares\(2\)` isn't: arguments stand in the spec"):
        model.configure(loss="squares(2)")
    with pytest.raises(ValueError, match=r"^precision is the name of a metric, and `precision\(top_k=1\)` isn't"):
        model.configure(loss="mse", metrics=["precision(top_k=1)"])


# Metrics of several numbers


def test_metrics_of_several_numbers_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Arrays in logs and lists, and in lines that don't go on for ever; duplicates have numbers."""
    classes = np.eye(4)[RANDOM.integers(0, 4, 6)]
    model = rnnspec.compile("model M { input x: float[time, 3]  LSTM(4)  Activation(softmax) }", seed=3)
    f_score, several = F1Score(), Precision(thresholds=[0.2, 0.4])
    model.configure(loss="categorical_crossentropy", optimizer="SGD", metrics=[f_score, f_score, several, "acc", "acc"])
    history = model.fit(X, classes, epochs=2, validation_split=0.5)
    names = ["loss", "f1_score", "f1_score_1", "precision", "accuracy", "accuracy_1"]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names)]
    assert [each.shape for each in history.history["val_f1_score"]] == [(4,), (4,)]
    line = capsys.readouterr().out.splitlines()[1]
    numbers = ", ".join(f"{float(number)!r}" for number in history.history["precision"][1])
    assert f"precision [{numbers}], accuracy" in line
    listed, logs = model.test_on_batch(X, classes), model.test_on_batch(X, classes, return_dict=True)
    assert isinstance(listed, list)
    assert list(logs) == names
    assert all(np.array_equal(one, other) for one, other in zip(listed, logs.values(), strict=True))
    model.configure(loss="sparse_categorical_crossentropy", metrics=["confusion_matrix"])
    model.fit(X, classes.argmax(axis=1))
    assert capsys.readouterr().out.partition("confusion_matrix [")[2].partition("]")[0].count(",") == 15


# Copies


MODEL = f"""{TEXT}
metric root {{
    return sqrt(total(sum(squared(target - prediction))) / total(1))
}}
model Own {{
    input x: float[time, 3]
    LSTM(2)
    train {{ loss = squares(scale = 2)  optimizer = SGD()  metrics = [distance, root]  weighted_metrics = [root] }}
}}
"""


@pytest.fixture(scope="module")
def own() -> Model:
    return rnnspec.compile(MODEL, seed=3)


CHOSEN: dict[str, Mapping[str, Any]] = {
    "the spec's": {},
    "an object": {"loss": Huber(delta=0.5), "metrics": ["root", R2Score()]},
    "the spec's by name": {"loss": "squares", "metrics": [Distance(), "squares"]},
    "Python's": {"loss": Squares()},
}


@pytest.mark.parametrize("name", CHOSEN)
def test_copies_go_on_alike(name: str, tmp_path: Path) -> None:
    model = rnnspec.compile(MODEL, seed=3)
    if CHOSEN[name]:
        model.configure(**CHOSEN[name])
    copies = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    if not CHOSEN[name]:
        model.save(tmp_path / "model.rnnc")
        copies.append(rnnspec.load(tmp_path / "model.rnnc"))
    first = model.evaluate(X, Y, sample_weight=np.arange(6))
    assert model.train_on_batch(X, Y) is not None
    after = model.evaluate(X, Y)
    for each in copies:
        assert each.evaluate(X, Y, sample_weight=np.arange(6)) == first
        each.train_on_batch(X, Y)
        assert each.evaluate(X, Y) == after


def evaluated(model: Model) -> dict[str, Any]:
    """In another process."""
    model.train_on_batch(X, Y)
    return model.evaluate(X, Y)


def test_another_process_knows_what_the_spec_declares(own: Model) -> None:
    found = copy.copy(own)
    with get_context("spawn").Pool(1) as pool:
        (there,) = pool.map(evaluated, [own])
    assert there == evaluated(found)


CACHED = """
import sys
import numpy as np
import rnnspec

model = rnnspec.compile(sys.argv[1], seed=0)
x = np.linspace(-1, 1, 4 * 5 * 3).reshape(4, 5, 3)
model.fit(x, x[:, 0, :2], epochs=2, verbose=False)
model.configure(loss="mae", metrics=["mse", "acc", "ce"])
model.evaluate(x, np.eye(2)[[0, 1, 1, 0]])
print(*sorted(name for name in sys.modules if name.startswith(("rnnspec.frontend", "rnnspec.driver", "lark"))))
"""


def test_a_second_start_trains_without_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, and metrics that are means, of the library and of the spec."""
    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path))
    text = MODEL.replace(", root", "").replace("[root]", "[distance]")
    runs = [subprocess.run([sys.executable, "-c", CACHED, text], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert "rnnspec.frontend" in runs[0]
    assert runs[1] == "\n"
