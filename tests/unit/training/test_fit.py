"""The loop, on exact gradients in numpy: what is a mean of what, who is told when, and what repeats to the bit."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import CallRequest
from rnnspec.contract.signature import Config, InputSignature, TrainSettings
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.model.random_streams import draw_key, generator
from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD, Adam
from tests.unit.runtime.fake import executable, model, signature

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(10, 6, 3))
LENGTHS = RANDOM.integers(0, 7, 10)
Y = RANDOM.integers(0, 4, 10)
ROW = InputSignature("x", (3,))
VALUES = RANDOM.normal(size=(10, 6, 4))


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What a test draws doesn't depend on which tests ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(2).bit_generator.state


def classifier(model_seed: int = 0, **train: Any) -> Model:
    settings = TrainSettings(
        Config("sparse_categorical_crossentropy"), Config("SGD", (("learning_rate", 0.1),)), (Config("accuracy"),), **train
    )
    return model(signature(train=settings), softmax=True, seed=model_seed)


def sequences(loss: str = "mean_squared_error", metrics: tuple[str, ...] = ("mean_absolute_error",), learning_rate: float = 0.0) -> Model:
    settings = TrainSettings(Config(loss), Config("SGD", (("learning_rate", learning_rate),)), tuple(map(Config, metrics)))
    return model(signature(sequence=True, train=settings))


def frozen(of: Model) -> Model:
    """A model whose weights stay, so that an epoch's logs can be worked out by hand."""
    of.configure(optimizer=SGD(learning_rate=0.0))
    return of


def weights(of: Model) -> bytes:
    return b"".join(value.tobytes() for value in of.get_weights())


class Noted(Callback):
    """Everything that a callback is told."""

    def __init__(self, events: list[Any] | None = None) -> None:
        self.events: list[Any] = [] if events is None else events

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.events.append(("begin", self.params["epochs"], self.params["steps"]))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.events.append(("epoch begins", epoch))

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.events.append(("batch", batch, sorted(logs or {})))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.events.append(("epoch ends", epoch, sorted(logs or {})))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.events.append(("end",))

    def close(self) -> None:
        self.events.append(("closed",))


# Means


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 32])
def test_logs_are_means_over_samples_however_they_fall_into_batches(batch_size: int) -> None:
    """Dropout aside (the fake drops inputs in training), evaluation gives the plain means."""
    made = classifier()
    y = made.predict(X, lengths=LENGTHS)
    logs = made.evaluate(X, Y, batch_size, lengths=LENGTHS)
    np.testing.assert_allclose(logs["loss"], -np.log(y[np.arange(10), Y]).mean(), rtol=1e-12)
    assert logs["accuracy"] == pytest.approx((y.argmax(axis=1) == Y).mean(), rel=1e-15)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_masked_sequence_losses_are_sums_over_real_steps(batch_size: int) -> None:
    """Σ l·m / Σ m over the whole set, not a mean of batches' means; NaN in masked targets and inputs doesn't show."""
    made = sequences()
    real = np.arange(6) < LENGTHS[:, None]
    outputs = made.predict(X, lengths=LENGTHS)
    y, x = VALUES.copy(), X.copy()
    y[~real], x[~real] = np.nan, np.nan
    logs = made.evaluate(x, y, batch_size, lengths=LENGTHS)
    squares, sizes = np.square(outputs - VALUES).mean(axis=2), np.abs(outputs - VALUES).mean(axis=2)
    np.testing.assert_allclose(logs["loss"], squares[real].sum() / real.sum(), rtol=1e-12)
    np.testing.assert_allclose(logs["mean_absolute_error"], sizes[real].sum() / real.sum(), rtol=1e-12)


def test_history_is_means_over_counted_rows() -> None:
    """An epoch's log is the mean of its batches' losses weighted by their real steps."""
    made = sequences()
    history = made.fit(X, VALUES, batch_size=4, epochs=1, shuffle=False, seed=0, verbose=False, lengths=LENGTHS).history
    counts = [int(LENGTHS[start : start + 4].sum()) for start in (0, 4, 8)]
    again = sequences()
    random = RandomKeys()
    losses = [random.loss(again, slice(start, start + 4)) for start in (0, 4, 8)]
    np.testing.assert_allclose(history["loss"], np.dot(losses, counts) / sum(counts), rtol=1e-12)


class RandomKeys:
    """The dropout keys of `fit(seed=0, shuffle=False)`, one after the other."""

    def __init__(self) -> None:
        self._random = generator(0, "fit")

    def loss(self, made: Model, rows: slice) -> float:
        batch = check_inputs(made.signature, X[rows], lengths=LENGTHS[rows]).batch()
        flat = np.concatenate([value.reshape(-1) for value in made.get_weights()])
        request = CallRequest(batch.inputs, batch.indices, flat, version=0, training=True, key=draw_key(self._random))
        (output,) = executable(made).forward(request)
        real = np.arange(6) < LENGTHS[rows][:, None]
        return float(np.square(output - VALUES[rows]).mean(axis=2)[real].mean())


def test_train_on_batch_gives_the_loss_before_its_update() -> None:
    made = model(signature(inputs=(ROW,), train=TrainSettings(Config("mean_squared_error"), Config("SGD"))))
    x, y = X[:, 0], VALUES[:, 0]
    before = made.evaluate(x, y)["loss"]
    loss = made.train_on_batch(x, y)
    assert type(loss) is float
    assert loss == pytest.approx(before, rel=1e-15)
    assert made.evaluate(x, y)["loss"] < before


def test_one_step_of_sgd_is_the_gradient_by_hand() -> None:
    made = model(signature(inputs=(ROW,), train=TrainSettings(Config("mean_squared_error"), Config("SGD"))))
    x, y = X[:, 0], VALUES[:, 0]
    kernel, bias = made.get_weights()
    dy = 2 * (x @ kernel + bias - y) / y.size
    made.train_on_batch(x, y)
    np.testing.assert_allclose(made.weights["dense/kernel"], kernel - 0.01 * x.T @ dy, rtol=1e-12)
    np.testing.assert_allclose(made.weights["dense/bias"], bias - 0.01 * dy.sum(axis=0), rtol=1e-12)


def test_sample_weights_scale_losses_without_entering_the_divisor() -> None:
    made = classifier()
    y = made.predict(X)
    losses = -np.log(y[np.arange(10), Y])
    weight = np.arange(10.0)
    assert made.evaluate(X, Y, 3, sample_weight=weight)["loss"] == pytest.approx((losses * weight).sum() / 10, rel=1e-12)
    assert made.evaluate(X, Y, sample_weight=weight)["accuracy"] == made.evaluate(X, Y)["accuracy"]
    zero, other = classifier(), classifier(0)
    zero.fit(X, Y, sample_weight=np.zeros(10), verbose=False)
    assert weights(zero) == weights(other)


def test_no_real_step_at_all() -> None:
    made = sequences(learning_rate=0.1)
    before = weights(made)
    assert made.evaluate(X, VALUES, lengths=np.zeros(10, int)) == {"loss": 0.0, "mean_absolute_error": 0.0}
    history = made.fit(X, VALUES, epochs=2, verbose=False, lengths=np.zeros(10, int))
    assert history.history == {"loss": [0.0, 0.0], "mean_absolute_error": [0.0, 0.0]}
    assert made.train_on_batch(X, VALUES, mask=np.zeros((10, 6))) == [0.0, 0.0]
    assert weights(made) == before


# Validation


@pytest.mark.parametrize(
    ("samples", "fraction", "kept"), [(10, 0.2, 8), (10, 0.25, 7), (10, 0.99, 0), (10, 0.1, 9), (10, 0.05, 9), (3, 0.5, 1), (7, 0.3, 4)]
)
def test_validation_takes_the_last_fraction_before_shuffling(samples: int, fraction: float, kept: int) -> None:
    """Keras trains on the first floor(n (1 - fraction))."""
    made = frozen(classifier())
    if not kept:
        with pytest.raises(ValueError) as raised:
            made.fit(X, Y, validation_split=fraction, verbose=False)
        assert str(raised.value) == f"validation_split: {fraction} of {samples} samples leaves nothing to train or validate on"
        return
    x, y = X[:samples], np.ones(samples, np.int64)
    history = made.fit(x, y, batch_size=4, validation_split=fraction, verbose=False).history
    expected = made.evaluate(x[kept:], y[kept:])
    assert history["val_loss"] == [pytest.approx(expected["loss"], rel=1e-12)]
    assert history["val_accuracy"] == [pytest.approx(expected["accuracy"])]
    trained = [inputs["x"] for name, inputs, _ in executable(made).calls if name == "record"]
    assert sorted(np.concatenate(trained)[:, 0, 0].tolist()) == sorted(x[:kept, 0, 0].tolist())


def test_validation_data_goes_before_the_split() -> None:
    made = frozen(classifier())
    for data in ((X[:3], Y[:3]), [X[:3], Y[:3]], (X[:3].tolist(), Y[:3].tolist()), (X[:3], Y[:3], np.ones(3))):
        history = made.fit(X, Y, validation_data=data, validation_split=0.5, verbose=False).history
        assert history["val_loss"] == [pytest.approx(made.evaluate(X[:3], Y[:3])["loss"], rel=1e-12)]
        assert sum(len(inputs["x"]) for name, inputs, _ in executable(made).calls if name == "record") == 10
        executable(made).calls.clear()
    weighted = made.fit(X, Y, validation_data=(X[:3], Y[:3], [2, 2, 2]), verbose=False).history
    assert weighted["val_loss"] == [pytest.approx(2 * made.evaluate(X[:3], Y[:3])["loss"], rel=1e-12)]


def test_steps_of_validation_data_that_do_not_count() -> None:
    made = sequences()
    for given in ({"lengths": LENGTHS}, {"mask": np.arange(6) < LENGTHS[:, None]}, {}):
        named = {f"validation_{name}": value for name, value in given.items()}
        history = made.fit(X[:2], VALUES[:2], validation_data=(X, VALUES), verbose=False, **named).history
        assert history["val_loss"] == [pytest.approx(made.evaluate(X, VALUES, **given)["loss"], rel=1e-12)]


def test_validation_sees_no_dropout_and_changes_nothing() -> None:
    first, second = classifier(), classifier()
    first.fit(X, Y, epochs=3, seed=1, verbose=False)
    second.fit(X, Y, epochs=3, seed=1, verbose=False, validation_data=(X[:4], Y[:4]))
    assert weights(first) == weights(second)


# Order


def test_shuffling_only_changes_the_order() -> None:
    """Every sample once an epoch with its own target, in another order each epoch."""
    made = frozen(classifier())
    made.fit(X, Y, batch_size=3, epochs=3, seed=0, verbose=False)
    calls = [inputs["x"] for name, inputs, _ in executable(made).calls]
    epochs = [np.concatenate(calls[start : start + 4])[:, 0, 0] for start in (0, 4, 8)]
    for order in epochs:
        assert sorted(order.tolist()) == sorted(X[:, 0, 0].tolist())
    assert len({tuple(order) for order in epochs}) == 3
    assert [len(call) for call in calls] == [3, 3, 3, 1] * 3


def test_without_shuffling_the_order_is_the_callers() -> None:
    made = frozen(classifier())
    made.fit(X, Y, batch_size=4, shuffle=False, verbose=False)
    np.testing.assert_array_equal(np.concatenate([inputs["x"] for _, inputs, _ in executable(made).calls]), X)


def test_targets_and_weights_are_shuffled_with_their_inputs() -> None:
    """Learns a mapping that only holds sample by sample."""
    made = model(signature(inputs=(ROW,), width=1, train=TrainSettings(Config("mean_squared_error"))))
    made.configure(optimizer=SGD(learning_rate=0.1))
    x = RANDOM.normal(size=(64, 3))
    history = made.fit(x, x @ [[1.0], [2.0], [3.0]], batch_size=8, epochs=60, verbose=False).history
    assert history["loss"][-1] < 1e-10
    np.testing.assert_allclose(made.weights["dense/kernel"][:, 0], [1, 2, 3], atol=1e-4)


# To the bit


def test_a_seed_repeats_to_the_bit() -> None:
    first, second, third = classifier(), classifier(), classifier()
    histories = [
        made.fit(X, Y, 3, 4, seed=seed, verbose=False, lengths=LENGTHS).history for made, seed in ((first, 7), (second, 7), (third, 8))
    ]
    assert histories[0] == histories[1]
    assert weights(first) == weights(second)
    assert weights(first) != weights(third)


def test_the_models_own_stream_goes_on() -> None:
    """Without a seed two fits of one epoch are one fit of two: weights, optimizer and random numbers all go on."""
    together, apart, other = classifier(3), classifier(3), classifier(4)
    for made in (together, apart, other):
        made.configure(optimizer=Adam(learning_rate=0.01))
    whole = together.fit(X, Y, 3, 2, verbose=False).history["loss"]
    parts = [apart.fit(X, Y, 3, 1, verbose=False).history["loss"][0] for _ in range(2)]
    assert whole == parts
    assert weights(together) == weights(apart)
    other.set_weights(classifier(3).get_weights())
    assert other.fit(X, Y, 3, 2, verbose=False).history["loss"] != whole


def test_train_on_batch_is_a_fit_of_one_batch() -> None:
    first, second = classifier(3), classifier(3)
    logs = first.train_on_batch(X, Y, lengths=LENGTHS, return_dict=True)
    history = second.fit(X, Y, batch_size=10, shuffle=False, verbose=False, lengths=LENGTHS).history
    assert history == {name: [value] for name, value in logs.items()}
    assert weights(first) == weights(second)


def test_lists_train_as_padded_arrays_do() -> None:
    first, second = classifier(), classifier()
    first.fit(X, Y, 3, 2, seed=0, shuffle=False, verbose=False, lengths=LENGTHS)
    lists = [row[:length] for row, length in zip(X, LENGTHS, strict=True)]
    second.fit(lists, Y, 3, 2, seed=0, shuffle=False, verbose=False)
    assert weights(first) == weights(second)


# Settings


def test_defaults_come_from_the_train_section() -> None:
    made = classifier(batch_size=4, epochs=3, validation_split=0.2, shuffle=False, seed=9)
    noted = Noted()
    history = made.fit(X, Y, verbose=False, callbacks=[noted])
    assert history.epoch == [0, 1, 2]
    assert noted.events[0] == ("begin", 3, 2)
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    again = classifier()
    again.fit(X, Y, 4, 3, validation_split=0.2, shuffle=False, seed=9, verbose=False)
    assert weights(made) == weights(again)
    made.fit(X, Y, 5, 1, validation_split=0.0, verbose=False, callbacks=[noted])
    assert ("begin", 1, 2) in noted.events


def test_defaults_where_nothing_says_anything() -> None:
    noted = Noted()
    classifier().fit(np.repeat(X, 4, axis=0)[:33], np.repeat(Y, 4)[:33], verbose=False, callbacks=[noted])
    assert noted.events[0] == ("begin", 1, 2)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size": ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
    "batch_size fraction": ({"batch_size": 2.0}, "batch_size: expected a whole number of at least 1, got 2.0"),
    "epochs": ({"epochs": -1}, "epochs: expected a whole number of at least 0, got -1"),
    "seed": ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
    "split": ({"validation_split": 1.0}, "validation_split: expected a number from 0 to below 1, got 1.0"),
    "split below": ({"validation_split": -0.1}, "validation_split: expected a number from 0 to below 1, got -0.1"),
    "split nan": ({"validation_split": float("nan")}, "validation_split: expected a number from 0 to below 1, got nan"),
    "split text": ({"validation_split": "a"}, "validation_split: expected a number from 0 to below 1, got 'a'"),
    "held out": ({"validation_data": (X,)}, "validation_data: expected (x, y) or (x, y, sample_weight), got 1 values"),
    "held out array": ({"validation_data": X}, "validation_data: expected (x, y) or (x, y, sample_weight), got ndarray"),
    "held out number": ({"validation_data": 5}, "validation_data: expected (x, y) or (x, y, sample_weight), got int"),
    "held out targets": ({"validation_data": (X, [4] * 10)}, "validation, targets, sample 0: expected a class in 0..3, got 4"),
    "held out of nothing": (
        {"validation_lengths": [1]},
        "validation_mask and validation_lengths are of validation_data, and there is none",
    ),
    "held out nothing": ({"validation_data": (X[:0], Y[:0])}, "validation, there are no samples to train or evaluate on"),
    "weights": ({"sample_weight": [1]}, "sample_weight: expected shape (10,), got (1,)"),
    "mask": ({"mask": np.ones((10, 5))}, "mask: expected shape (10, 6) for input x, got (10, 5)"),
    "lengths": ({"lengths": [7] * 10}, "lengths: expected 0 to 6 for sample 0 of input x, got 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusal_before_the_first_step(name: str) -> None:
    options, message = WRONG[name]
    made = classifier()
    before = weights(made)
    noted = Noted()
    with pytest.raises(ValueError) as raised:
        made.fit(X, Y, **{"verbose": False, "callbacks": [noted], **options})
    assert str(raised.value) == message
    assert weights(made) == before
    assert noted.events == []
    assert executable(made).calls == []


def test_nothing_to_train_on() -> None:
    for call in (classifier().fit, classifier().train_on_batch, classifier().evaluate):
        with pytest.raises(ValueError, match="there are no samples to train or evaluate on"):
            call(X[:0], Y[:0])


HELP = "write `train { loss = mse  optimizer = Adam() }` in the spec, or call model.configure(loss=..., optimizer=...)"


def test_a_model_without_loss_or_optimizer() -> None:
    made = model()
    for call in (made.fit, made.train_on_batch, made.evaluate):
        with pytest.raises(ValueError) as raised:
            call(X, Y)
        assert str(raised.value) == f"model Fake has no loss: {HELP}"
    made.configure(loss="mse")
    assert made.evaluate(X, VALUES[:, 0])["loss"] > 0
    for call in (made.fit, made.train_on_batch):
        with pytest.raises(ValueError) as raised:
            call(X, VALUES[:, 0])
        assert str(raised.value) == f"model Fake has no optimizer: {HELP}"


# Callbacks


def test_callbacks_in_their_order() -> None:
    events: list[Any] = []
    first, second = Noted(), Noted(events)
    history = classifier().fit(X, Y, 5, 2, validation_split=0.3, verbose=False, callbacks=[first, second])
    logs, with_validation = ["accuracy", "loss"], ["accuracy", "loss", "val_accuracy", "val_loss"]
    expected = [("begin", 2, 2)]
    for epoch in range(2):
        expected += [("epoch begins", epoch), ("batch", 0, logs), ("batch", 1, logs), ("epoch ends", epoch, with_validation)]  # type: ignore[list-item]
    assert first.events == events == [*expected, ("end",), ("closed",)]
    assert history.epoch == [0, 1]
    shared: list[Any] = []
    classifier().fit(X, Y, verbose=False, callbacks=[Noted(shared), Noted(shared)])
    assert shared[0::2] == shared[1::2]


def test_batch_logs_are_means_so_far() -> None:
    seen: list[float] = []

    class Losses(Callback):
        def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
            seen.append((logs or {})["loss"])

    made = frozen(classifier())
    history = made.fit(X, Y, 5, 1, verbose=False, callbacks=[Losses()])
    assert history.history["loss"] == [seen[-1]]
    assert seen[0] != seen[1]


def test_a_fit_that_is_broken_off_closes_callbacks_and_leaves_the_model_usable() -> None:
    """As in Keras nobody is told of an end; what a callback holds it gives back, and the history is kept."""

    class Stop(Callback):
        def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    made, noted = classifier(), Noted()
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, Y, 10, 3, verbose=False, callbacks=[noted, Stop()])
    assert noted.events[-1] == ("closed",)
    assert ("end",) not in noted.events
    assert made.history is not None
    assert made.history.epoch == [0]
    made.fit(X, Y, verbose=False)


def test_a_callback_may_use_the_model() -> None:
    class Looks(Callback):
        def __init__(self, of: Model) -> None:
            self.of = of
            self.found: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
            self.found.append(self.of.evaluate(X, Y)["loss"])
            self.of.set_weights(self.of.get_weights())
            self.of.predict(X)

    made = classifier()
    looks = Looks(made)
    made.fit(X, Y, epochs=3, verbose=False, callbacks=[looks])
    assert len(looks.found) == 3
    assert looks.found[2] < looks.found[0]


def test_no_epochs() -> None:
    noted = Noted()
    history = classifier().fit(X, Y, epochs=0, verbose=False, callbacks=[noted])
    assert (history.history, history.epoch) == ({}, [])
    assert noted.events == [("begin", 0, 1), ("end",), ("closed",)]


def test_lines_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """A line an epoch on standard output where there is no terminal, none at all if so asked."""
    made = frozen(classifier())
    history = made.fit(X, Y, 5, 10).history
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].partition(" (")[0] == f"epoch  1/10: loss {history['loss'][0]!r}, accuracy {history['accuracy'][0]!r}"
    assert lines[9].startswith("epoch 10/10: loss ")
    made.fit(X, Y, verbose=False)
    assert capsys.readouterr().out == ""


def test_two_fits_at_once_take_turns() -> None:
    """A model is trained by one thread at a time; the result is that of one fit after the other."""
    expected, made = classifier(), classifier()
    for _ in range(2):
        expected.fit(X, Y, 3, 5, seed=1, verbose=False)
    threads = [threading.Thread(target=made.fit, args=(X, Y, 3, 5), kwargs={"seed": 1, "verbose": False}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert weights(made) == weights(expected)
