"""Inputs of one number, or one id, a sample: the same as with an axis of one, in Python, in training, in streams and from the command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import SpecError
from rnnspec.driver import commands
from rnnspec.training.model import Model
from rnnspec.training.optimizers import Adam
from tests.e2e.conftest import Workplace

Array = NDArray[Any]

SPEC = """model Shops {
    input past: float[time, 3], shop: int, temperature: float
    [past, temperature] -> Concatenate() -> GRU(2)
    e = shop -> Embedding(3000, 12)
    p = [past, e] -> Concatenate() -> GRU(3)
    [p, e, temperature] -> Concatenate() -> Dense(1)
}
"""
WRITTEN_OUT = SPEC.replace("int,", "int[1],").replace("float\n", "float[1]\n").replace("12)", "12) -> Flatten()")

RANDOM = np.random.default_rng(2)
PAST, SHOP, TEMPERATURE = RANDOM.normal(size=(6, 5, 3)), np.array([1, 2999, 0, 1, 7, 7]), RANDOM.normal(size=6)
X = {"past": PAST, "shop": SHOP, "temperature": TEMPERATURE}
LENGTHS = {"past": [5, 1, 3, 2, 5, 4]}


def both(dtype: Any = "float64") -> tuple[Model, Model, dict[str, Array]]:
    """A model with scalar inputs, the same with axes of one, and the inputs of the latter."""
    models = [rnnspec.compile(text, dtype=dtype, seed=0) for text in (SPEC, WRITTEN_OUT)]
    return models[0], models[1], X | {"shop": SHOP[:, None], "temperature": TEMPERATURE[:, None]}


def test_outputs_and_gradients_are_those_with_an_axis_of_one() -> None:
    """Each call again, as a direct call takes another way."""
    scalar, written, x = both()
    y, tape = scalar.forward(X, lengths=LENGTHS, record=True)
    expected, other = written.forward(x, lengths=LENGTHS, record=True)
    np.testing.assert_array_equal(y, expected)
    for _ in range(3):
        np.testing.assert_array_equal(scalar.predict(X, lengths=LENGTHS), y)
        np.testing.assert_array_equal(scalar.predict(X, batch_size=4), written.predict(x))
    cotangent = RANDOM.normal(size=y.shape)
    found, wanted = scalar.backward(tape, cotangent), written.backward(other, cotangent)
    np.testing.assert_allclose(found.inputs["temperature"], wanted.inputs["temperature"][:, 0], rtol=1e-13)
    np.testing.assert_allclose(found.inputs["past"], wanted.inputs["past"], rtol=1e-12, atol=1e-15)
    for name, value in found.weights.items():
        np.testing.assert_allclose(value, wanted.weights[name], rtol=1e-12, atol=1e-14)


def test_training_with_tables_updated_late_or_at_once() -> None:
    scalar, written, x = both()
    scalar.tuning = replace(scalar.tuning, large_table=1)
    written.tuning = replace(written.tuning, large_table=10**9)
    losses: list[Any] = []
    for model, given in ((scalar, X), (written, x)):
        model.configure("mse", Adam(learning_rate=0.05))
        losses.append(model.fit(given, PAST[:, 0, 0], batch_size=2, epochs=3, seed=1, lengths=LENGTHS, verbose=False).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    for found, expected in zip(scalar.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)


def test_alone_they_are_arrays_with_one_axis() -> None:
    ids = rnnspec.compile("model M { input shop: int  Embedding(5, 4)  Dense(1) }", seed=0)
    assert ids.predict(np.array([1, 2, 3])).shape == ids.predict([1, 2, 3]).shape == (3, 1)
    numbers = rnnspec.compile("model M { input t: float  Normalization()  Dense(1) }", seed=0)
    numbers.adapt(np.array([1.0, 2.0, 3.0]))
    assert numbers.weights["normalization/mean"] == 2
    numbers.configure("mse", "Adam")
    assert len(numbers.fit(np.array([1.0, 2.0]), [0, 1], verbose=False).history["loss"]) == 1
    batches = ((np.array([1, 2]), [0, 1]) for _ in range(3))
    ids.configure("mse", "Adam")
    assert len(ids.fit(batches, verbose=False).history["loss"]) == 1


WRONG: dict[str, tuple[Any, str]] = {
    "too large": ([1, 3000, 0, 1, 7, 7], r"input shop, sample 1: expected a whole number in 0..2999 \(vocabulary size 3000\), got 3000"),
    "below 0": ([1, 2, 0, 1, 7, -1], "input shop, sample 5: expected a whole number in 0..2999"),
    "a fraction": ([1, 2, 0, 1.5, 7, 7], "input shop, sample 3: expected a whole number in 0..2999"),
    "an axis too many": (SHOP[:, None], r"input shop: expected shape \(batch,\), got \(6, 1\); there is an axis too many: shop\[..., 0\]"),
    "no axis": (3, r"input shop: expected shape \(batch,\), got \(\)"),
    "fewer": (SHOP[:5], "input shop has 5 samples, input past has 6"),
    "texts": (list("abcdef"), "input shop: expected numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_the_sample(name: str) -> None:
    scalar, _, _ = both("float32")
    value, message = WRONG[name]
    scalar.predict(X)
    scalar.predict(X)
    with pytest.raises(ValueError, match=message):
        scalar.predict(X | {"shop": np.array(value)})
    with pytest.raises(ValueError, match="lengths: shop isn't a sequence input"):
        scalar.predict(X, lengths={"shop": SHOP})


def test_a_stream_takes_them_with_each_step() -> None:
    lines = ["input past: float[time, 3], shop: int", "h = past -> GRU(3)", "e = shop -> Embedding(3000, 2)", "[h, e] -> Concatenate()"]
    model = rnnspec.compile("model M {" + "\n".join(lines) + "}", seed=0)
    stream, past = model.stream(6), PAST.astype(np.float32)
    steps = [stream.step({"past": past[:, step], "shop": SHOP}) for step in range(5)]
    np.testing.assert_array_equal(steps[-1], model.predict({"past": past, "shop": SHOP}))


def test_a_list_behind_one_is_the_next_statement() -> None:
    """Where its names are those of values; else they are dimensions."""
    text = "model M { input s: float[3], t: float\n [s, t] -> Concatenate() -> Dense(2) }"
    _, formatted = commands.format(text)
    assert "    input s: float[3], t: float\n" in formatted
    assert rnnspec.compile(formatted).predict({"s": np.ones((2, 3)), "t": np.ones(2)}).shape == (2, 2)
    for wrong in ("input x: float[time, 3] -> LSTM(4)", "input x: int[time] -> Embedding(3, 4)", "input x: float [x, 2] -> Add()"):
        with pytest.raises(SpecError, match="unexpected `->`"):
            rnnspec.compile(f"model M {{ {wrong}\n Dense(1) }}")


def test_the_command_takes_them_as_columns(workplace: Workplace) -> None:
    lines = ["input shop: int, t: float", "e = shop -> Embedding(9, 2)", "[e, t] -> Concatenate() -> Dense(1)"]
    spec = "model C {" + "\n".join([*lines, "train { loss = mse  optimizer = Adam() }"]) + "}"
    (workplace.folder / "c.rnn").write_text(spec, encoding="utf-8")
    shop, t = np.array([1, 2, 3, 8]), np.array([0.5, 1.5, 2.5, 3.5])
    np.savez(workplace.folder / "c.npz", allow_pickle=False, shop_train=shop, t_train=t, y_train=t)
    workplace.succeeds("train", "c.rnn", "-d", "c.npz", "-o", "c.rnnc", "--seed", "1")
    made = rnnspec.compile(spec, seed=1)
    made.fit({"shop": shop, "t": t}, t, seed=1, verbose=False)
    for found, expected in zip(rnnspec.load(workplace.folder / "c.rnnc").get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
