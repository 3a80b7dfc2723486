"""Callbacks: who is called when, what each does by Keras's recorded runs, and what isn't one."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from rnnspec.contract.metric_names import better
from rnnspec.contract.signature import InputSignature
from rnnspec.training import callback_list
from rnnspec.training.callbacks import Logs
from rnnspec.training.event_files import EventFile, masked_checksum
from rnnspec.training.losses import LOSSES
from rnnspec.training.metrics import METRICS
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD
from tests.unit.runtime.fake import model, signature

KERAS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures/keras/callbacks.json").read_text(encoding="utf-8"))
X = np.random.default_rng(5).normal(size=(10, 3))
Y = np.random.default_rng(6).normal(size=(10, 4))


def made(learning_rate: float = 0.1, metrics: list[str] | None = None) -> Model:
    found = model(signature(inputs=(InputSignature("x", (3,)),)))
    found.configure(loss="mse", optimizer=SGD(learning_rate), metrics=metrics or [])
    return found


class Scripted(Callback):
    """Puts given values into the logs, whatever the model does."""

    def __init__(self, values: list[float], name: str = "val_loss") -> None:
        self.values, self.name = values, name

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        logs[self.name] = self.values[epoch]


# By Keras's recorded runs


@pytest.mark.parametrize("case", KERAS["cases"], ids=lambda case: f"{case['callback']}-{case['kind']}-{case['options']}")
def test_a_callback_does_what_keras_does(case: dict[str, Any], tmp_path: Path) -> None:
    kinds: dict[str, Any] = {"EarlyStopping": EarlyStopping, "ReduceLROnPlateau": ReduceLROnPlateau, "ModelCheckpoint": ModelCheckpoint}
    options = dict(case["options"])
    if "filepath" in options:
        options["filepath"] = f"{tmp_path}/{options['filepath']}.rnnc"
    callback = kinds[case["callback"]](**options)
    found = made(0.5)
    before: list[list[np.ndarray]] = []
    weights = LambdaCallback(on_epoch_end=lambda epoch, logs: before.append(found.get_weights()))
    rates: list[float] = []
    rate = LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(found.learning_rate))
    fitted = [Scripted(case["values"]), weights, callback, rate]
    history = found.fit(X, Y, epochs=len(case["values"]), verbose=False, callbacks=fitted)
    did = case["did"]
    assert len(history.epoch) == did["epochs"]
    np.testing.assert_allclose(rates, did["rates"], rtol=1e-6)
    expected = before[-1 if did["restored"] is None else did["restored"]]
    assert all(map(np.array_equal, found.get_weights(), expected))
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted({Path(name).stem for name in did["saved"]})


@pytest.mark.parametrize("case", KERAS["csv"])
def test_a_csv_file_is_kerass_to_the_byte(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,loss\r\n0,1.0\r\n")
    logger = CSVLogger(path, append=case["append"])
    logger.on_train_begin()
    for epoch, logs in enumerate(case["logs"]):
        logger.on_epoch_end(epoch, logs)
    logger.close()
    assert path.read_bytes().decode() == case["text"]


def test_a_training_in_float64_is_kerass() -> None:
    """Its rates, the epoch in which it stops, each value in the logs, and the weights that are set in the end."""
    run = KERAS["run"]
    found = model(signature(inputs=(InputSignature("x", (3,)),), width=2))
    found.configure(loss="mse", optimizer=SGD(0.875, momentum=0.5))
    found.set_weights([np.array(run["kernel"]), np.zeros(2)])
    callbacks = [
        ReduceLROnPlateau(patience=2, factor=0.5, min_lr=0.0078125, cooldown=1),
        EarlyStopping(patience=12, restore_best_weights=True),
    ]
    history = found.fit(
        np.array(run["x"]), np.array(run["y"]), 8, 50, validation_split=0.333, shuffle=False, verbose=False, callbacks=callbacks
    ).history
    assert sorted(history) == sorted(run["history"])
    for name, values in run["history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6 if name == "learning_rate" else 1e-9)
    for weight, after in zip(found.get_weights(), run["after"], strict=True):
        np.testing.assert_allclose(weight, after, rtol=1e-9, atol=1e-12)


def test_a_training_whose_rate_a_function_sets_is_kerass(tmp_path: Path) -> None:
    """Its rates, the values in the logs, the epoch in which it stops, the weights that are set in the end, and the files in their order."""
    run = KERAS["scheduled"]
    found = model(signature(inputs=(InputSignature("x", (3,)),), width=2))
    found.configure(loss="mse", optimizer=SGD(0.25, momentum=0.75, nesterov=True))
    found.set_weights([np.array(run["kernel"]), np.zeros(2)])
    factors: dict[str, float] = run["factors"]
    callbacks = [
        LearningRateScheduler(lambda epoch, rate: rate * factors.get(str(epoch), 1.0)),
        ModelCheckpoint(f"{tmp_path}/{{epoch:02d}}-{{batch}}.rnnc", save_freq=3),
        ModelCheckpoint(f"{tmp_path}/best{{epoch}}-{{val_loss:.4f}}.rnnc", save_best_only=True),
        EarlyStopping(restore_best_weights=True, **run["stopping"]),
    ]
    given = np.array(run["x"]), np.array(run["y"])
    fitted = found.fit(*given, 4, 40, validation_split=0.333, shuffle=False, verbose=False, callbacks=callbacks).history
    assert found.iterations == 2 * len(run["history"]["loss"]) > 50
    assert sorted(fitted) == sorted(run["history"])
    for name, values in run["history"].items():
        np.testing.assert_allclose(fitted[name], values, rtol=1e-6 if name == "learning_rate" else 1e-9)
    for weight, after in zip(found.get_weights(), run["after"], strict=True):
        np.testing.assert_allclose(weight, after, rtol=1e-9, atol=1e-12)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(run["saved"])


# Who is called when


class Everything(Callback):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
            return lambda *given: self.events.append((name[3:], *(each for each in given if not isinstance(each, dict))))
        return super().__getattribute__(name)


def test_hooks_come_in_kerass_order() -> None:
    noted = Everything()
    made().fit(X, Y, 4, 1, validation_split=0.2, verbose=False, callbacks=[noted])
    batches = [("train_batch_begin", 0), ("train_batch_end", 0), ("train_batch_begin", 1), ("train_batch_end", 1)]
    test = [("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0), ("test_end",)]
    assert noted.events == [("train_begin",), ("epoch_begin", 0), *batches, *test, ("epoch_end", 0), ("train_end",)]


def test_an_evaluation_tells_callbacks() -> None:
    noted = Everything()
    made().evaluate(X, Y, 5, callbacks=[noted])
    of_batch = [[("test_batch_begin", number), ("test_batch_end", number)] for number in range(2)]
    assert noted.events == [("test_begin",), *of_batch[0], *of_batch[1], ("test_end",)]


def test_a_callback_knows_its_model_and_the_names_in_logs() -> None:
    found, callback = made(metrics=["mae", "r2_score"]), Callback()
    with pytest.raises(RuntimeError, match="Callback has no model"):
        _ = callback.model
    found.fit(X, Y, 4, 3, validation_split=0.2, verbose=False, callbacks=[callback])
    assert callback.model is found
    names = {"loss": "min", "mean_absolute_error": "min", "r2_score": "max"}
    held_out = {f"val_{name}": way for name, way in names.items()}
    assert callback.params == {"epochs": 3, "steps": 2, "verbose": 0, "metrics": names | held_out}
    assert list(found.fit(X, Y, validation_split=0.2, verbose=False).history) == list(names | held_out)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end", "on_epoch_begin", "on_train_batch_begin"])
def test_a_callback_stops_and_the_history_is_kept(hook: str) -> None:
    """Behind the batch or the epoch at hand, with `on_epoch_end` and `on_train_end`."""
    found, ends = made(), list[str]()

    def stop(number: int, logs: Logs) -> None:
        if number == 1:
            found.stop_training = True

    stopping = LambdaCallback(**{hook: stop}, on_train_end=lambda logs: ends.append(sorted(logs)[0]))
    history = found.fit(X, Y, 2, 5, verbose=False, callbacks=[stopping])
    assert len(history.epoch) == (1 if "batch" in hook else 2)
    assert ends == ["loss"]
    assert found.iterations == {"on_train_batch_end": 2, "on_epoch_end": 10, "on_epoch_begin": 6, "on_train_batch_begin": 2}[hook]
    assert len(found.fit(X, Y, 2, 2, verbose=False).epoch) == 2


def test_a_hook_may_predict_evaluate_and_fit() -> None:
    found = made()

    def use(batch: int, logs: Logs) -> None:
        found.predict(X)
        found.evaluate(X, Y)
        found.set_weights(found.get_weights())

    used = LambdaCallback(on_train_batch_begin=use, on_test_batch_end=use)
    found.fit(X, Y, 4, 2, validation_split=0.2, seed=0, verbose=False, callbacks=[used])
    plain = made()
    plain.fit(X, Y, 4, 2, validation_split=0.2, seed=0, verbose=False)
    assert all(map(np.array_equal, found.get_weights(), plain.get_weights()))


def test_all_are_closed_though_one_fails() -> None:
    closed: list[int] = []

    class Closing(Callback):
        def __init__(self, number: int) -> None:
            self.number = number

        def close(self) -> None:
            closed.append(self.number)
            if self.number == 1:
                raise OSError("full")

    with pytest.raises(OSError, match="full"):
        made().fit(X, Y, verbose=False, callbacks=[Closing(0), Closing(1), Closing(2)])
    assert closed == [0, 1, 2]


def test_an_initial_epoch() -> None:
    found = made()
    assert found.fit(X, Y, epochs=5, initial_epoch=3, verbose=False).epoch == [3, 4]
    assert found.fit(X, Y, epochs=2, initial_epoch=3, verbose=False).epoch == []
    with pytest.raises(ValueError, match="initial_epoch: expected a whole number of at least 0, got -1"):
        found.fit(X, Y, initial_epoch=-1)


# What is refused


WRONG: dict[str, tuple[Any, str]] = {
    "monitor": (lambda: EarlyStopping(3), "EarlyStopping: monitor: expected a name in the logs, such as 'val_loss', got 3"),
    "mode": (lambda: EarlyStopping(mode="less"), "EarlyStopping: mode: expected one of auto, min, max, got 'less'"),
    "patience": (lambda: EarlyStopping(patience=-1), "EarlyStopping: patience: expected a whole number of at least 0, got -1"),
    "delta": (lambda: EarlyStopping(min_delta="1"), "EarlyStopping: min_delta: expected a finite number, got '1'"),
    "baseline": (lambda: EarlyStopping(baseline=float("nan")), "EarlyStopping: baseline: expected a finite number, got nan"),
    "restore": (lambda: EarlyStopping(restore_best_weights=2), "EarlyStopping: restore_best_weights: expected True or False, got 2"),
    "factor": (lambda: ReduceLROnPlateau(factor=1.0), "ReduceLROnPlateau: factor: expected a number from 0 to below 1, got 1.0"),
    "least rate": (lambda: ReduceLROnPlateau(min_lr=-1), "ReduceLROnPlateau: min_lr: expected a number from 0, got -1"),
    "cooldown": (lambda: ReduceLROnPlateau(cooldown=0.5), "ReduceLROnPlateau: cooldown: expected a whole number of at least 0, got 0.5"),
    "schedule": (lambda: LearningRateScheduler(0.1), "LearningRateScheduler: schedule: expected a function of the epoch"),
    "schedule of three": (lambda: LearningRateScheduler(lambda a, b, c: a), "LearningRateScheduler: schedule: it must take (epoch, rate)"),
    "hook": (lambda: LambdaCallback(on_epoch_end=3), "LambdaCallback: on_epoch_end: expected a function, got 3"),
    "path": (lambda: CSVLogger(3), "CSVLogger: filename: expected a path, got 3"),
    "separator": (lambda: CSVLogger("a.csv", ";;"), "CSVLogger: separator: expected a single character, got ';;'"),
    "frequency": (lambda: TensorBoard(update_freq=0), "TensorBoard: update_freq: expected a whole number of at least 1, got 0"),
    "ending": (lambda: ModelCheckpoint("a.keras"), "ModelCheckpoint: filepath: expected a name that ends in .rnnc, got 'a.keras'"),
    "weights": (lambda: ModelCheckpoint("a.rnnc", save_weights_only=True), "ModelCheckpoint: filepath: expected a name that ends in .saf"),
    "save_freq": (lambda: ModelCheckpoint("a.rnnc", save_freq="batch"), "ModelCheckpoint: save_freq: expected a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        make()
    assert str(raised.value).startswith(message)


def test_arguments_that_there_are_not() -> None:
    with pytest.raises(TypeError, match="TensorBoard: Keras has the argument histogram_freq, this version doesn't"):
        TensorBoard(histogram_freq=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="EarlyStopping has no argument patients; did you mean `patience`"):
        EarlyStopping(patients=1)  # type: ignore[call-arg]


IN_FIT: dict[str, tuple[Any, str]] = {
    "no validation": (
        lambda path: EarlyStopping(),
        "EarlyStopping: there is no val_loss in the logs, which have loss, true_positives; there",
    ),
    "unknown": (lambda path: EarlyStopping("los"), "EarlyStopping: there is no los in the logs, which have loss, true_positives"),
    "neither way": (lambda path: EarlyStopping("true_positives"), "EarlyStopping: nothing is known of which way true_positives is better"),
    "file name": (lambda path: ModelCheckpoint(path / "{acc}.rnnc"), "ModelCheckpoint: filepath '"),
    "file pattern": (lambda path: ModelCheckpoint(path / "{epoch:x.}.rnnc"), "ModelCheckpoint: filepath '"),
    "twice": (lambda path: (lambda one: [one, one])(Callback()), "callbacks, number 1: Callback is in the list twice"),
}


@pytest.mark.parametrize("name", IN_FIT)
def test_what_is_refused_before_the_first_step(name: str, tmp_path: Path) -> None:
    make, message = IN_FIT[name]
    found = made(metrics=["true_positives"])
    before = found.get_weights()
    given = make(tmp_path)
    with pytest.raises(ValueError) as raised:
        found.fit(X, (Y > 0).astype(float), verbose=False, callbacks=given if isinstance(given, list) else [given])
    assert str(raised.value).startswith(message)
    assert all(map(np.array_equal, found.get_weights(), before))


@pytest.mark.parametrize(
    "make", [lambda path: CSVLogger(path), lambda path: TensorBoard(path / "a.txt"), lambda path: ModelCheckpoint(path / "a.txt/b.rnnc")]
)
def test_a_place_that_cannot_be_written_is_told_before_the_first_step(make: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    found = made()
    with pytest.raises(OSError):
        found.fit(X, Y, verbose=False, callbacks=[make(tmp_path)])
    assert found.iterations == 0


def test_a_value_that_only_a_callback_of_ones_own_may_give() -> None:
    """It isn't refused, and told once where it is missing."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made().fit(X, Y, epochs=3, verbose=False, callbacks=[Scripted([0.0] * 3, "own"), EarlyStopping("other", mode="min")])
    assert [str(each.message) for each in told] == ["EarlyStopping: there is no other in the logs, which have loss, own"]
    assert (
        len(made().fit(X, Y, epochs=9, verbose=False, callbacks=[Scripted([0.0] * 9, "own"), EarlyStopping("own", mode="min")]).epoch) == 2
    )
    with pytest.raises(ValueError, match=r"EarlyStopping: own is 2 numbers, and can't be watched"):
        made().fit(X, Y, verbose=False, callbacks=[Scripted([np.ones(2)], "own"), EarlyStopping("own", mode="min")])  # type: ignore[list-item]


def test_nan_is_never_better() -> None:
    stopping = EarlyStopping(patience=3, restore_best_weights=True)
    values = [float("nan"), 0.5, float("nan"), 0.6, float("nan")]
    assert len(made().fit(X, Y, epochs=5, verbose=False, callbacks=[Scripted(values), stopping]).epoch) == 5
    assert (stopping.best, stopping.best_epoch) == (0.5, 1)


def test_every_metric_of_the_library_has_a_way_or_is_a_count() -> None:
    counts = {"true_positives", "false_positives", "true_negatives", "false_negatives", "confusion_matrix"}
    assert {each.name for each in METRICS.values() if better(each.name) is None} <= counts
    assert {better(each.name) for each in LOSSES.values() if each.name != "crf"} <= {"min", "max"}


# The others


def test_the_rate_that_a_schedule_gives() -> None:
    found = made()
    history = found.fit(X, Y, epochs=3, verbose=False, callbacks=[LearningRateScheduler(lambda epoch: 0.5 ** (epoch + 1))])
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    by_hand = made()
    for rate in (0.5, 0.25, 0.125):
        by_hand.learning_rate = rate
        by_hand.fit(X, Y, verbose=False)
    assert all(map(np.array_equal, found.get_weights(), by_hand.get_weights()))
    for wrong in ("fast", -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"LearningRateScheduler: schedule gave .* for epoch 0; expected a finite number from 0"):
            found.fit(X, Y, verbose=False, callbacks=[LearningRateScheduler(lambda epoch, rate, given=wrong: given)])  # type: ignore[misc]


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    found = made(1e200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(found.fit(X, Y, 2, 9, verbose=False, callbacks=[TerminateOnNaN()]).epoch) == 1
        assert "the loss is " in capsys.readouterr().out
        assert found.iterations < 5
        with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) after batch"):
            made(1e200).fit(X, Y, 2, 9, verbose=False, callbacks=[TerminateOnNaN(raise_error=True)])


def test_model_checkpoint_each_so_many_batches(tmp_path: Path) -> None:
    found = made()
    found.fit(X, Y, 2, 2, verbose=False, callbacks=[ModelCheckpoint(tmp_path / "new/{epoch}-{batch}.rnnc", save_freq=3)])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["1-3.rnnc", "2-1.rnnc", "2-4.rnnc"]
    found.fit(X, Y, 2, 1, verbose=False, callbacks=[ModelCheckpoint(tmp_path / "w.safetensors", save_weights_only=True)])
    assert (tmp_path / "w.safetensors").stat().st_size > 0


def records(path: Path) -> list[bytes]:
    content, found = path.read_bytes(), list[bytes]()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert struct.unpack("<I", content[8:12]) == (masked_checksum(content[:8]),)
        assert struct.unpack("<I", content[12 + length : 16 + length]) == (masked_checksum(content[12 : 12 + length]),)
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def fields(message: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message: a reader of its own, sharing nothing with the writer."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = message[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value, at

    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(message):
        key, at = varint(at)
        match key & 7:
            case 0:
                value, at = varint(at)
            case 1:
                value, at = struct.unpack_from("<d", message, at)[0], at + 8
            case 5:
                value, at = struct.unpack_from("<f", message, at)[0], at + 4
            case _:
                length, at = varint(at)
                value, at = message[at : at + length], at + length
        found.append((key >> 3, value))
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    (path,) = folder.iterdir()
    first, *others = records(path)
    assert (3, b"brain.Event:2") in fields(first)
    for record in others:
        event = dict(fields(record))
        assert event[1] > 1e9
        for _, value in fields(event[5]):
            named = dict(fields(value))
            found.setdefault(named[1].decode(), []).append((event[2], named[2]))
    return found


def test_checksums_are_those_of_the_standard() -> None:
    """RFC 3720, B.4: 32 bytes of zeros, of ones, and rising."""
    for content, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert masked_checksum(content) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tensorboard_has_the_logs(tmp_path: Path) -> None:
    found = made(metrics=["mae"])
    history = found.fit(X, Y, 4, 2, validation_split=0.2, verbose=False, callbacks=[TensorBoard(tmp_path, update_freq="batch")]).history
    train, held_out = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert set(train) == {f"{of}_{name}" for of in ("epoch", "batch") for name in ("loss", "mean_absolute_error")} | {"epoch_learning_rate"}
    assert [step for step, _ in train["batch_loss"]] == [1, 2, 3, 4]
    np.testing.assert_allclose([value for _, value in train["epoch_loss"]], history["loss"], rtol=1e-6)
    assert [step for step, _ in held_out["epoch_loss"]] == [0, 1]
    np.testing.assert_allclose([value for _, value in held_out["epoch_loss"]], history["val_loss"], rtol=1e-6)
    assert [step for step, _ in held_out["evaluation_loss_vs_iterations"]] == [2, 4]


def test_numbers_in_event_files(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "train")
    values = {"a": 1e300, "b": -1e300, "ä": float("nan"), "c": 0.1}
    file.write(2**40, values)
    file.close()
    found = scalars(tmp_path / "train")
    assert found["a"] == [(2**40, float("inf"))]
    assert found["b"] == [(2**40, float("-inf"))]
    assert np.isnan(found["ä"][0][1])
    assert found["c"] == [(2**40, float(np.float32(0.1)))]


@pytest.mark.parametrize("kind", [History, EarlyStopping, ReduceLROnPlateau, lambda: CSVLogger("log.csv"), TensorBoard])
def test_a_state_goes_over_to_a_new_object(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut in two at any epoch, a training does what one without a cut does."""
    monkeypatch.chdir(tmp_path)
    values = [1.0, 0.8, 0.9, 0.79, 0.95, 0.96, 0.97]
    whole = kind()
    seen: list[Any] = []
    for cut in (None, 2, 5):
        found = made(0.5)
        callback = whole if cut is None else kind()
        callback_list.CallbackList([callback], found, {"epochs": 7, "steps": 1, "metrics": {"val_loss": "min"}})
        callback.on_train_begin({})
        for epoch, value in enumerate(values):
            if epoch == cut:
                state = json.loads(json.dumps(callback.state_dict()))
                callback.close()
                callback = kind()
                callback.set_model(found)
                callback.set_params({"metrics": {"val_loss": "min"}})
                callback.on_train_begin({})
                callback.load_state_dict(state)
            callback.on_epoch_end(epoch, {"val_loss": value})
        file = Path("log.csv")
        seen.append((callback.state_dict(), found.learning_rate, file.read_bytes() if file.exists() else b""))
        callback.close()
    assert seen[0] == seen[1] == seen[2]
