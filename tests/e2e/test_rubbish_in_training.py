"""What careless Python gives to training: refused by name, or computed; the user's data and the other numbers stay what they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import NotFiniteWarning
from rnnspec.training.losses import Huber
from rnnspec.training.metrics import Precision

Array = NDArray[Any]

RANDOM = np.random.default_rng(3)
X, Y = RANDOM.normal(size=(6, 5, 3)), RANDOM.random((6, 2)).astype(np.float32)
MODEL = "model M { input x: float[time, 3]  LSTM(4)  Dense(2, activation = sigmoid) }"


@dataclass
class Own:
    """A loss and a metric of one's own that give anything."""

    gives: Callable[[Array, Array], Any]
    name: str = "own"
    classes: bool = False
    from_logits: bool = False

    def rows(self, predictions: Array, targets: Array) -> Any:
        return self.gives(predictions, targets)


RUBBISH: dict[str, tuple[Callable[[Array, Array], Any], str]] = {
    "nothing": (lambda p, t: None, "dtype object"),
    "one number": (lambda p, t: 1.0, "shape ()"),
    "too many": (lambda p, t: p, "shape (6, 2)"),
    "too few": (lambda p, t: p[:3, 0], "shape (3,)"),
    "texts": (lambda p, t: ["a"] * 6, "dtype <U1"),
    "complex numbers": (lambda p, t: p[:, 0] * 1j, "dtype complex64"),
    "ragged lists": (lambda p, t: [[1], [1, 2]] * 3, "no array"),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_a_metric_in_python_gives_a_number_a_row(kind: str) -> None:
    gives, found = RUBBISH[kind]
    model = rnnspec.compile(MODEL, seed=1)
    model.configure(loss="mse", optimizer="SGD", metrics=[Own(gives)])
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"^metric own: .*{re.escape(found)}.*; expected each row's value, shape \(6,\)$"):
        model.train_on_batch(X, Y)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def _spoils(predictions: Array, targets: Array) -> Any:
    predictions[:] = 7
    targets[:] = 7
    return predictions[:, 0], predictions


def test_what_a_loss_or_a_metric_writes_into_its_arguments_is_its_own() -> None:
    model = rnnspec.compile(MODEL, seed=1)
    y = Y.copy()
    spoiling = Own(lambda p, t: _spoils(p, t)[0])
    model.configure(loss="mse", metrics=[spoiling, "mae", Own(lambda p, t: np.abs(p - t).mean(axis=1), name="after")])
    logs = model.evaluate(X, y)
    assert logs["after"] == pytest.approx(logs["mean_absolute_error"], rel=1e-5)
    model.configure(loss=Own(_spoils), optimizer="SGD", metrics=[])
    model.train_on_batch(X, y)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("delta", [np.float32(2), np.float64(2), np.array(2.0), np.int64(2)])
def test_arguments_of_losses_may_be_numbers_of_numpy(delta: Any) -> None:
    model = rnnspec.compile(MODEL, seed=1)
    model.configure(loss=Huber(delta=2.0))
    expected = model.evaluate(X, Y)
    model.configure(loss=Huber(delta=delta))
    assert model.evaluate(X, Y) == expected


def test_arguments_of_metrics_may_be_arrays() -> None:
    model = rnnspec.compile(MODEL, seed=1)
    y = (Y > 0.5).astype(np.float32)
    model.configure(loss="mse", metrics=[Precision(thresholds=[0.25, 0.5])])
    expected = model.evaluate(X, y)["precision"]
    model.configure(loss="mse", metrics=[Precision(thresholds=np.array([0.25, 0.5]))])  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(model.evaluate(X, y)["precision"], expected)


@pytest.mark.parametrize("given", [[1.0, [2.0]], 10**400, 1j, {}, np.array([["a"]]), object()])
def test_other_arguments_are_refused(given: Any) -> None:
    model = rnnspec.compile(MODEL, seed=1)
    with pytest.raises(ValueError, match=r"^loss huber: .*delta"):
        model.configure(loss=Huber(delta=given))
    with pytest.raises(ValueError, match=r"^metric precision: "):
        model.configure(loss="mse", metrics=[Precision(thresholds=given)])


def test_a_constant_beyond_float32_is_infinity() -> None:
    text = "function far(x) = x * 1e300  model M { input p: float[2]  Activation(far) }"
    given = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(rnnspec.compile(text).predict(given), [[np.inf, -np.inf]])
    np.testing.assert_array_equal(rnnspec.compile(text, dtype="float64").predict(given), [[1e300, -2e300]])


def test_weights_beyond_float32_give_an_infinite_loss_and_no_update() -> None:
    model = rnnspec.compile(MODEL, seed=1)
    model.configure(loss="mse", optimizer="SGD", weighted_metrics=["mae"])
    before = model.get_weights()
    with pytest.warns(NotFiniteWarning, match="no update was made"):
        loss, error = model.train_on_batch(X, Y, np.full(6, 1e308), return_dict=True).values()
    assert np.isinf(loss) or loss > 1e300
    assert all(map(np.array_equal, model.get_weights(), before))
    assert np.isnan(error) or error >= 0


def test_class_weights_of_a_sequence_of_labels_are_refused() -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]  LSTM(4, return_sequences = true)  Dense(4) }", seed=1)
    model.configure(loss="ctc", optimizer="SGD")
    with pytest.raises(ValueError, match=r"^class_weight: the loss ctc takes whole sequences of labels"):
        model.train_on_batch(X, [[1]] * 6, class_weight={1: 2.0})


def test_metrics_of_several_outputs_have_names_of_their_own_in_logs() -> None:
    """`a` with the metric `b_c`, and `a_b` with `c`; and a metric that is called as a loss is in logs."""
    model = rnnspec.compile(
        """
        metric b_c { return mean(prediction) * 0 + 1 }
        metric c { return mean(prediction) * 0 + 2 }
        model M { input x: float[time, 3]  a = x -> LSTM(2)  a_b = x -> GRU(2)  output a, a_b }
        """,
        seed=1,
    )
    model.configure(loss="mse", metrics={"a": ["b_c", Own(lambda p, t: np.full(len(p), 4.0), name="loss")], "a_b": ["c"]})
    logs = model.evaluate(X, [Y, Y])
    assert logs["loss"] == pytest.approx(logs["a_loss"] + logs["a_b_loss"])
    assert {name: value for name, value in logs.items() if not name.endswith("loss")} == {"a_b_c": 1, "a_loss_1": 4, "a_b_c_1": 2}
