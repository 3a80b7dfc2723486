"""Numbers that aren't finite: none gets into a weight, and which one it was is told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import BackupAndRestore, Callback, EarlyStopping, TerminateOnNaN
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature
from rnnspec.diagnostics import NotFiniteWarning
from rnnspec.runtime.data import finite_inputs
from rnnspec.training.backup import Checkpoints, checkpoints_in
from rnnspec.training.callbacks import Logs
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD, Adam, Optimizer
from tests.unit.runtime.fake import model, signature

X = np.random.default_rng(5).normal(size=(12, 3))
Y = np.random.default_rng(6).normal(size=(12, 4))


class Spoilt:
    """Half the mean square, whose value or gradient is spoilt at a number of its calls."""

    classes = from_logits = False

    def __init__(self, at: int, value: float = 1.0, gradient: float = 1.0) -> None:
        self.calls, self.at, self.value, self.gradient = 0, at, value, gradient

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        self.calls += 1
        value, gradient = (self.value, self.gradient) if self.calls == self.at else (1.0, 1.0)
        difference = predictions - targets
        return value * (difference**2).mean(axis=-1) / 2, gradient * difference / difference.shape[-1]


class Watched(Callback):
    """The weights after each batch, and what came to its end; `rates` are set before batches, counted over all epochs."""

    def __init__(self) -> None:
        self.after: list[list[Array]] = []
        self.ends: list[str] = []
        self.rates: dict[int, float] = {}

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.model.learning_rate = self.rates.get(len(self.after), 0.1)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.after.append(self.model.get_weights())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.ends.append(f"epoch {epoch}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.ends.append("training")


def made(loss: Any, optimizer: Optimizer | None = None) -> Model:
    found = model(signature(inputs=(InputSignature("x", (3,)),)))
    found.configure(loss=loss, optimizer=optimizer or SGD(0.1))
    return found


KINDS: dict[str, tuple[dict[str, float], str]] = {
    "loss": ({"value": np.nan}, "the loss is nan: the outputs are finite, the largest of them "),
    "gradient": ({"gradient": np.nan}, "the loss is finite, and the gradient of dense/bias isn't, nor those of 1 weights before it"),
    "infinite gradient": ({"gradient": np.inf}, "the loss is finite, and the gradient of dense/bias isn't"),
    "update": ({"gradient": 1e305}, "the loss and the gradient are finite, and an update would make dense/kernel, dense/bias not finite"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_ends_before_a_weight_is_spoilt(kind: str) -> None:
    """In the second batch of the second epoch; the epoch's logs are those of its batches, and all hooks of ends are called."""
    spoilt, reason = KINDS[kind]
    found = made(Spoilt(5, **spoilt))
    watched = Watched()
    watched.rates = {4: 1e6} if kind == "update" else {}
    with pytest.warns(NotFiniteWarning) as told:
        history = found.fit(X, Y, 4, 9, shuffle=False, verbose=False, callbacks=[watched])
    start = f"training ended in epoch 2 of 9, batch 2: {reason}"
    assert history.not_finite.startswith(start)
    assert [str(each.message) for each in told] == [f"{history.not_finite}; the weights are those before this batch"]
    assert (history.epoch, watched.ends, len(watched.after)) == ([0, 1], ["epoch 0", "epoch 1", "training"], 5)
    assert np.isnan(history.history["loss"][-1]) == (kind == "loss")
    assert all(map(np.array_equal, found.get_weights(), watched.after[3]))
    found.configure(optimizer=SGD(0.1))
    assert np.isfinite(found.fit(X, Y, 4, 1, verbose=False).history["loss"]).all()


def test_the_origin_of_a_loss_is_told() -> None:
    found = made("mse")
    kernel, bias = found.get_weights()
    kernel[1, 2] = -1e200
    found.set_weights([kernel, bias])
    with pytest.warns(
        NotFiniteWarning, match=r"the loss is inf: it comes from output dense; the largest weight is 1e\+200, in dense/kernel"
    ):
        found.fit(X, Y, verbose=False)
    kernel[1, 2] = np.nan
    found.set_weights([kernel, bias])
    with pytest.warns(NotFiniteWarning, match="the loss is nan: not finite are the weights dense/kernel"):
        found.train_on_batch(X, Y)
    assert found.iterations == 0


def test_an_infinite_gradient_that_is_clipped_is_an_update() -> None:
    found = made(Spoilt(1, gradient=np.inf), SGD(0.1, clipvalue=0.5))
    before = found.get_weights()
    found.train_on_batch(X[:1], Y[:1])
    for weight, start in zip(found.get_weights(), before, strict=True):
        np.testing.assert_allclose(np.abs(weight - start), 0.05)


def test_the_best_weights_are_set_though_the_last_batch_failed() -> None:
    found, watched = made(Spoilt(9, value=np.nan)), Watched()
    best = EarlyStopping("loss", patience=9, restore_best_weights=True)
    with pytest.warns(NotFiniteWarning):
        found.fit(X, Y, 4, 9, verbose=False, callbacks=[watched, best])
    assert best.best_epoch == 1
    assert all(map(np.array_equal, found.get_weights(), watched.after[5]))


def test_an_error_is_had_by_terminate_on_nan() -> None:
    with pytest.warns(NotFiniteWarning), pytest.raises(RuntimeError, match="the loss is nan after batch 1"):
        made(Spoilt(2, value=np.nan)).fit(X, Y, 4, 9, verbose=False, callbacks=[TerminateOnNaN(raise_error=True)])


def test_no_checkpoint_is_of_an_epoch_that_is_not_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, 9, delete=False)
    with pytest.warns(NotFiniteWarning):
        made(Spoilt(8, value=np.nan)).fit(X, Y, 4, 9, verbose=False, callbacks=[checkpoints])
    assert [path.stem for path in checkpoints_in(tmp_path)] == ["epoch-000002", "epoch-000001"]
    assert checkpoints.save_rest() == tmp_path / "epoch-000002.rnnc"
    with pytest.warns(NotFiniteWarning):
        made(Spoilt(8, value=np.nan)).fit(X, Y, 4, 9, verbose=False, callbacks=[BackupAndRestore(tmp_path / "backup")])


@pytest.mark.parametrize("large_table", [1, 1000])
def test_a_table_whose_updates_wait_keeps_its_weights(large_table: int) -> None:
    """Its gradient is looked at in the rows that a batch reads, and after a failed update all rows are those before it."""
    spec = "model Words { input x: int[time]  Embedding(9, 4)  LSTM(4)  Dense(1) }"
    found = rnnspec.compile(spec, seed=1, tuning=rnnspec.Tuning(large_table=large_table))
    found.configure(loss="mse", optimizer=SGD(1e15, momentum=0.5))
    ids, y = np.array([[1, 2], [2, 5]]), np.ones(2)
    found.configure(optimizer=SGD(0.1, momentum=0.5))
    for _ in range(2):
        found.train_on_batch(ids, y)
    whole = rnnspec.load(saved(found)).get_weights()
    found.learning_rate = 1e30
    with pytest.warns(NotFiniteWarning, match="an update would make embedding/embeddings, lstm/kernel, .*not finite"):
        found.train_on_batch(ids, y, np.full(2, 1e17))
    assert all(map(np.array_equal, found.get_weights(), whole))
    table = found.get_weights()
    table[0][5] = np.nan
    found.set_weights(table)
    with pytest.warns(NotFiniteWarning, match="not finite are the weights embedding/embeddings"):
        found.train_on_batch(ids, y)


def saved(found: Model) -> bytes:
    file = io.BytesIO()
    found.save(file)
    return file.getvalue()


def test_moving_statistics_are_looked_at() -> None:
    found = rnnspec.compile("model M { input x: float[3]  BatchNormalization()  Dense(1) }", seed=1)
    found.configure(loss="mse", optimizer="SGD")
    with pytest.warns(NotFiniteWarning, match="the new value of batch_normalization/moving_variance isn't finite"):
        found.train_on_batch(X * 1e30, Y[:, 0])
    assert np.isfinite(found.weights["batch_normalization/moving_variance"]).all()


# Inputs

SERIES = """
model S {
    input x: float[time, 2], row: float[3]
    s = x -> LSTM(2)
    [s, row] -> Concatenate()
    Dense(1)
    train { loss = mse  optimizer = SGD() }
}
"""
T, R, D = np.ones((4, 5, 2)), np.ones((4, 3)), np.ones(4)


def spoilt(place: tuple[int, ...], value: float = np.nan, of: Array = T) -> Array:
    given = of.copy()
    given[place] = value
    return given


CALLS = ("fit", "evaluate", "train_on_batch", "test_on_batch")


def called(name: str, found: Any, x: object, **more: Any) -> Any:
    return getattr(found, name)(x, D, **({"verbose": False} if name == "fit" else {}), **more)


@pytest.fixture(scope="module")
def series() -> Model:
    return rnnspec.compile(SERIES, seed=1)


@pytest.mark.parametrize("call", CALLS)
def test_a_number_in_a_real_step_is_refused(call: str, series: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite_inputs, "PART", 20)
    before = series.get_weights()
    for x, place in (
        ([spoilt((2, 3, 1)), R], "x, sample 2, step 3, feature 1: expected a finite number, got nan; mask the step, or write allow_nan"),
        ([spoilt((3, 0, 0), -np.inf), R], "x, sample 3, step 0, feature 0: expected a finite number, got -inf"),
        ([list(spoilt((2, 3, 1))), R], "x, sample 2, step 3, feature 1"),
        ([T, spoilt((1, 2), of=R)], "row, sample 1, feature 2: expected a finite number, got nan"),
    ):
        with pytest.raises(ValueError) as raised:
            called(call, series, x)
        assert str(raised.value).startswith(f"input {place}")
    assert all(map(np.array_equal, series.get_weights(), before))


@pytest.mark.parametrize("call", CALLS)
def test_masked_steps_may_hold_anything(call: str, series: Model) -> None:
    x = [spoilt((2, 3)), R]
    for more in ({"lengths": [5, 5, 3, 5]}, {"mask": np.isfinite(x[0][..., 0])}):
        called(call, series, x, **more)
    for wrong in ({"lengths": [5, 5, 4, 5]}, {"mask": np.ones((4, 5))}):
        with pytest.raises(ValueError, match="sample 2, step 3"):
            called(call, series, x, **wrong)


def test_batches_are_looked_at_one_by_one(series: Model) -> None:
    def batches() -> Iterator[tuple[object, object]]:
        yield [T, R], D
        yield [spoilt((0, 1)), R], D

    with pytest.raises(ValueError, match=r"batch 1: input x, sample 0, step 1, feature 0: expected a finite number"):
        series.evaluate(batches())
    with pytest.raises(ValueError, match="input x, sample 0, step 1"):
        series.fit([T, R], D, verbose=False, validation_data=([spoilt((0, 1)), R], D))


def test_allow_nan_lets_them_through(series: Model) -> None:
    """In an argument, by `configure`, and from the spec, whose word a saved model keeps."""
    x = [spoilt((2, 3)), R]
    for call in ("evaluate", "test_on_batch"):
        called(call, series, x, allow_nan=True)
    with pytest.warns(NotFiniteWarning, match="the input x has NaN or infinity, which allow_nan lets through"):
        series.fit(x, D, verbose=False, allow_nan=True)
    with pytest.raises(ValueError, match="allow_nan: expected True or False, got 'yes'"):
        series.fit(x, D, verbose=False, allow_nan="yes")  # type: ignore[arg-type]
    chosen = rnnspec.load(saved(series))
    chosen.configure(allow_nan=True)
    of_spec = rnnspec.compile(SERIES.replace("loss =", "allow_nan = true  loss ="), seed=1)
    for each in (chosen, rnnspec.load(saved(chosen)), of_spec, rnnspec.load(saved(of_spec))):
        assert np.isnan(each.evaluate(x, D)["loss"])
        with pytest.raises(ValueError, match="input x, sample 2, step 3"):
            each.evaluate(x, D, allow_nan=False)


def test_predictions_pass_them_through(series: Model) -> None:
    x = [spoilt((2, 3)), R]
    for given in (series.predict(x), series.forward(x)):
        assert np.isnan(np.asarray(given)).tolist() == [[False], [False], [True], [False]]


def test_a_learning_rate_beyond_all_measure_spoils_no_weight() -> None:
    """The gradient is a usual one: only the rate makes the update what float32 can't hold."""
    spec = "model Big { input x: float[3]  Dense(2)  train { loss = mse  optimizer = SGD(learning_rate = 1e38) } }"
    model = rnnspec.compile(spec, seed=1)
    before = model.get_weights()
    with pytest.warns(NotFiniteWarning, match="an update would make dense/kernel, dense/bias not finite"):
        history = model.fit(np.ones((4, 3), np.float32), np.full((4, 2), 1e4), epochs=2, verbose=False)
    assert history.not_finite
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "optimizer", ["Adam(epsilon = 0.0)", "RMSprop(epsilon = 0.0)", "Ftrl(initial_accumulator_value = 0)", "Adam(1e39)"]
)
def test_an_update_that_divides_by_0_spoils_no_row(optimizer: str) -> None:
    """Of ids that no batch has, whose gradient is 0."""
    layers = "input x: int[time]  Embedding(10, 4)  GlobalAveragePooling1D()  Dense(1)"
    model = rnnspec.compile(f"model Rows {{ {layers}  train {{ loss = mse  optimizer = {optimizer} }} }}", seed=1)
    x = np.random.default_rng(0).integers(1, 6, size=(8, 5))
    with pytest.warns(NotFiniteWarning, match="an update would make embedding"):
        model.fit(x, np.ones(8), epochs=2, verbose=False)
    assert all(np.isfinite(value).all() for value in model.get_weights())


def test_with_parts_the_weights_are_those_before_the_part() -> None:
    layers = "input x: float[time, 2]  GRU(4, return_sequences = true)  Dense(1)"
    model = rnnspec.compile(f"model Parts {{ {layers}  train {{ loss = mse  optimizer = SGD()  truncate = 3 }} }}", seed=1)
    x = np.ones((4, 8, 2), np.float32)
    x[3, 6, 0] = np.nan
    with pytest.warns(NotFiniteWarning, match="those before this part of the batch"):
        model.fit(x, np.ones((4, 8, 1)), allow_nan=True, verbose=False)
    assert model.iterations == 2


STATEFUL = "input x: float[time, 2]  SimpleRNN(4, stateful = true, activation = relu)  Dense(1)"


def stateful(settings: str = "", output: str = "") -> Model:
    layers = STATEFUL.replace("stateful", "return_sequences = true, stateful") if output else STATEFUL
    return rnnspec.compile(f"model Kept {{ {layers}  train {{ loss = mse  optimizer = Adam(0.01)  {settings} }} }}", seed=1)


@pytest.mark.parametrize("call", ["train_on_batch", "fit"])
@pytest.mark.parametrize("begun", [True, False])
def test_states_are_those_before_a_batch_without_an_update(call: str, begun: bool) -> None:
    """NaN in a batch is in the states behind it, and would be in all that comes after."""
    model, other = stateful(), stateful()
    x, y = np.ones((3, 5, 2), np.float32), np.ones((3, 1))
    wrong = x.copy()
    wrong[1, 2] = np.nan
    for each in (model, other) if begun else ():
        each.train_on_batch(x, y)
    with pytest.warns(NotFiniteWarning, match="the input x has NaN or infinity"):
        if call == "fit":
            model.fit(wrong, y, shuffle=False, verbose=False, allow_nan=True)
        else:
            model.train_on_batch(wrong, y, allow_nan=True)
    assert model.train_on_batch(x, y) == other.train_on_batch(x, y)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


def test_states_are_those_before_a_batch_whose_loss_raises() -> None:
    class Breaking(Spoilt):
        def rows(self, predictions: Any, targets: Any) -> Any:
            if targets[0, 0] == 9:
                raise RuntimeError("broken")
            return super().rows(predictions, targets)

    model, other = stateful(), stateful()
    x, y = np.ones((3, 5, 2), np.float32), np.ones((3, 1))
    for each in (model, other):
        each.configure(loss=Breaking(10**9))
        each.train_on_batch(x, y)
    with pytest.raises(RuntimeError, match="broken"):
        model.train_on_batch(x, 9 * y)
    assert model.train_on_batch(x, y) == other.train_on_batch(x, y)


def test_parts_of_a_batch_without_an_update_leave_the_states_before_it() -> None:
    model, other = (stateful("truncate = 3", "sequence") for _ in range(2))
    x, y = np.ones((3, 6, 2), np.float32), np.ones((3, 6, 1))
    wrong = x.copy()
    wrong[1, 1] = np.nan
    for each in (model, other):
        each.train_on_batch(x, y)
    with pytest.warns(NotFiniteWarning):
        model.train_on_batch(wrong, y, allow_nan=True)
    assert model.train_on_batch(x, y) == other.train_on_batch(x, y)


def test_states_that_an_earlier_call_has_spoilt_are_told() -> None:
    """A prediction passes NaN on, to the states as well, and these are the reason for all that follows."""
    model = stateful()
    x, y = np.ones((3, 5, 2), np.float32), np.ones((3, 1))
    model.predict(x * np.float32(np.nan))
    with pytest.warns(NotFiniteWarning, match="an earlier call has left NaN or infinity in the states .*: reset_states"):
        model.train_on_batch(x, y)
    assert np.isnan(model.test_on_batch(x, y))
    model.reset_states()
    assert np.isfinite(model.train_on_batch(x, y))


def test_validation_on_nan_leaves_no_state_behind() -> None:
    """It has states of its own, anew at each epoch; so has a stream, whatever the model's are."""
    model, other = stateful(), stateful()
    x, y = np.ones((3, 5, 2), np.float32), np.ones((3, 1))
    held_out = x * np.float32(np.nan)
    stream = model.stream(3)
    stream.step(held_out[:, 0])
    found = model.fit(x, y, epochs=2, shuffle=False, verbose=False, validation_data=(held_out, y), allow_nan=True).history
    assert np.isnan(found["val_loss"]).all()
    assert found["loss"] == other.fit(x, y, epochs=2, shuffle=False, verbose=False).history["loss"]
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9, nesterov=True), Adam(0.1, use_ema=True)], ids=["SGD", "Adam"])
def test_an_update_that_is_taken_back_leaves_the_optimizer_as_it_was(optimizer: SGD | Adam) -> None:
    """Its averages too, such as the squares that are infinite before a weight is: they would spoil every update from then on."""
    found, other = (made(Spoilt(3, gradient=1e305) if spoils else Spoilt(10**9), optimizer.fresh()) for spoils in (True, False))
    for each in (found, other):
        each.train_on_batch(X, Y)
        each.train_on_batch(X, Y)
    found.learning_rate = 1e10
    with pytest.warns(NotFiniteWarning, match="an update would make"):
        found.train_on_batch(X, Y)
    found.learning_rate = 0.1
    assert found.iterations == other.iterations == 2
    for each in (found, other):
        each.train_on_batch(X, Y)
    assert all(map(np.array_equal, found.get_weights(), other.get_weights()))


def test_weights_stay_those_before_the_batch_though_averages_are_kept() -> None:
    """At the end of a whole training they would become their averages; this one says that they are those before the batch."""
    found, watched = made(Spoilt(3, value=np.nan), Adam(0.1, use_ema=True)), Watched()
    with pytest.warns(NotFiniteWarning, match="the weights are those before this batch"):
        found.fit(X, Y, 4, 1, verbose=False, callbacks=[watched])
    assert all(map(np.array_equal, found.get_weights(), watched.after[1]))
