"""The callbacks of a spec: what a spec may say of them, and what becomes of it in `fit`."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TensorBoard,
    TerminateOnNaN,
)
from rnnspec.contract.signature import Config, InputSignature, TrainSettings
from rnnspec.contract.written_paths import path_problem
from rnnspec.diagnostics import UnsavedWarning
from rnnspec.frontend.catalogue.argument_types import REQUIRED
from rnnspec.frontend.catalogue.callbacks import CALLBACKS as OF_SPECS
from rnnspec.runtime.storage import model_file
from rnnspec.training.callbacks import Logs
from rnnspec.training.model import Model
from rnnspec.training.named_callbacks import CALLBACKS, made_callbacks
from tests.unit.runtime.fake import model, signature

X = np.random.default_rng(5).normal(size=(10, 3))
Y = np.random.default_rng(6).normal(size=(10, 4))


def made(*callbacks: Config) -> Model:
    found = model(signature(inputs=(InputSignature("x", (3,)),), train=TrainSettings("mse", callbacks=callbacks)))  # type: ignore[arg-type]
    found.configure(loss="mse", optimizer="SGD")
    return found


def test_a_spec_has_all_callbacks_that_need_no_function() -> None:
    public = {name for name in rnnspec.callbacks.__all__ if name not in ("Callback", "History", "LambdaCallback", "LearningRateScheduler")}
    assert set(CALLBACKS) == set(OF_SPECS) == public


@pytest.mark.parametrize("name", CALLBACKS)
def test_classes_take_what_a_spec_does_in_its_order(name: str) -> None:
    given = OF_SPECS[name].arguments
    taken = inspect.signature(CALLBACKS[name]).parameters
    assert [each.name for each in given] == list(taken)
    assert {each.name: each.default for each in given if each.default is not REQUIRED} == {
        each.name: each.default for each in taken.values() if each.default is not each.empty
    }


@pytest.mark.parametrize("name", CALLBACKS)
def test_what_a_spec_lets_pass_a_class_takes(name: str) -> None:
    """With the defaults of the spec's table, and a path where there is none."""
    arguments = tuple((each.name, "a.rnnc" if each.default is REQUIRED else each.default) for each in OF_SPECS[name].arguments)
    (callback,) = made_callbacks([Config(name, arguments)])
    assert type(callback) is CALLBACKS[name]


@pytest.mark.parametrize("path", ["log.csv", "a/b/log.csv", "a b.csv", "..a/log", "~/log.csv"])
def test_a_path_below_the_working_folder(path: str) -> None:
    assert path_problem(path, places=False) is None


@pytest.mark.parametrize("path", ["{epoch:02d}-{val_loss:.3f}.rnnc", "{epoch}/{loss:e}.rnnc"])
def test_places_in_a_path(path: str) -> None:
    assert path_problem(path, places=True) is None


@pytest.mark.parametrize(
    "path",
    ["", "/", ".", "/a", "..", "../a", "a/../b", "a\0b", "a\nb", "a" * 201, "{epoch:/>3}", "{epoch:>999999999}", "{a.b}", "{a[0]}", "{"],
)
def test_any_other_path_has_a_reason(path: str) -> None:
    assert path_problem(path, places=True)


def test_each_fit_has_new_callbacks_before_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(Config("EarlyStopping", (("monitor", "loss"), ("min_delta", 100.0), ("patience", 2))))
    begun: list[Callback] = []

    def noted(callback: Callback, logs: Logs | None = None) -> None:
        begun.append(callback)

    monkeypatch.setattr(EarlyStopping, "on_train_begin", noted)
    last = Callback()
    monkeypatch.setattr(last, "on_train_begin", partial(noted, last))
    for _ in range(2):
        assert len(found.fit(X, Y, epochs=9, verbose=False, callbacks=[last]).epoch) == 3
    assert [type(each) for each in begun] == [EarlyStopping, Callback] * 2
    assert begun[0] is not begun[2]


def test_no_updates_before_a_value_is_found_missing() -> None:
    found = made(Config("EarlyStopping"))
    with pytest.raises(ValueError, match="EarlyStopping: there is no val_loss in the logs"):
        found.fit(X, Y, verbose=False)
    assert found.iterations == 0


def test_a_log_of_a_spec_empties_no_file_but_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own empties any, as Keras's does."""
    monkeypatch.chdir(tmp_path)
    found, path = made(Config("CSVLogger", (("filename", "log.csv"),))), Path("log.csv")
    path.write_text("my results\n")
    with pytest.raises(FileExistsError, match=r"CSVLogger: log.csv is there, and isn't a log of a training: move it"):
        found.fit(X, Y, verbose=False)
    assert (path.read_text(), found.iterations) == ("my results\n", 0)
    made().fit(X, Y, verbose=False, callbacks=[CSVLogger("log.csv")])
    for epochs in (1, 3):
        found.fit(X, Y, epochs=epochs, verbose=False)
        assert len(path.read_text().splitlines()) == epochs + 1
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"CSVLogger: log\.csv isn't a regular file"):
        found.fit(X, Y, verbose=False)


SPEC = """
model Watched {
    input x: float[time, 3]
    LSTM(2)
    Dense(1)
    train {
        loss             = mse
        optimizer        = SGD()
        validation_split = 0.5
        epochs           = 50
        callbacks        = [
            EarlyStopping(val_loss, 100, 2),
            CSVLogger("log.csv"),
            ModelCheckpoint("{epoch:02d}.rnnc", save_best_only = true)
        ]
    }
}
"""


def test_callbacks_of_a_spec_from_text_file_and_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation gets worse from the first epoch on, so that patience ends each of the trainings in its third."""
    monkeypatch.chdir(tmp_path)
    x = np.ones((8, 4, 3))
    y = np.array([1.0] * 4 + [-1.0] * 4)
    compiled = rnnspec.compile(SPEC, seed=1)
    compiled.save("saved.rnnc")
    for found in (compiled, rnnspec.load("saved.rnnc"), pickle.loads(pickle.dumps(compiled))):
        history = found.fit(x, y, verbose=False)
        assert len(history.epoch) == 3
        assert len(Path("log.csv").read_text(encoding="utf-8").splitlines()) == 4
        assert [path.name for path in tmp_path.glob("0*.rnnc")] == ["01.rnnc"]


# Chosen by `configure`


def test_callbacks_of_configure_are_those_of_each_fit() -> None:
    """In the place of the spec's, and before those that a fit is given."""
    found, seen = made(Config("EarlyStopping")), []
    first, second = (LambdaCallback(on_epoch_end=lambda epoch, logs, name=name: seen.append(name)) for name in "ab")
    found.configure(callbacks=[first])
    found.fit(X, Y, epochs=2, verbose=False, callbacks=[second])
    found.fit(X, Y, verbose=False)
    assert seen == ["a", "b", "a", "b", "a"]
    with pytest.raises(ValueError, match="LambdaCallback is in the list twice"):
        found.fit(X, Y, verbose=False, callbacks=[first])
    found.configure(metrics=["mae"])
    found.fit(X, Y, verbose=False)
    assert seen[5:] == ["a"]
    found.configure(callbacks=[])
    found.fit(X, Y, verbose=False)
    assert seen[6:] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([print], "callbacks, number 0: <built-in function print> is no callback"),
        (EarlyStopping(), "callbacks: expected a list of callbacks, got one EarlyStopping"),
        ([EarlyStopping], "callbacks, number 0: EarlyStopping is a class: write EarlyStopping()"),
    ],
)
def test_what_is_no_callback_is_told_by_configure(given: Any, message: str) -> None:
    found = made()
    with pytest.raises(ValueError, match=re.escape(message)):
        found.configure(loss="mae", callbacks=given)
    assert [*found.fit(X, Y, verbose=False).history] == ["loss"]


PLAIN = "model Plain { input x: float[3]  Dense(1)  train { loss = mse  optimizer = SGD(0.1) } }"


def test_a_model_is_copied_in_the_middle_of_a_training_with_files(tmp_path: Path) -> None:
    """Open files and the run aren't copied with it, nor the model itself a second time."""
    found, copies = rnnspec.compile(PLAIN, seed=1), []
    logs = [
        CSVLogger(tmp_path / "log.csv"),
        TensorBoard(tmp_path / "events"),
        BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
    ]
    found.configure(callbacks=logs)
    copying = LambdaCallback(on_epoch_end=lambda epoch, logs: copies.append((copy.deepcopy(found), pickle.dumps(found))))
    found.fit(np.ones((4, 3)), np.ones(4), verbose=False, callbacks=[copying])
    made, content = copies[0]
    for other in (made, pickle.loads(content)):
        for path in (tmp_path / "backup").iterdir():
            path.unlink()
        assert len(other.fit(np.ones((4, 3)), np.ones(4), epochs=2, verbose=False).epoch) == 2
        assert len((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()) == 3


class Own(EarlyStopping):
    """Which another process doesn't know."""


def test_callbacks_of_configure_are_in_file_and_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what they were made with, and with settings that were changed since."""
    monkeypatch.chdir(tmp_path)
    x, y = np.ones((8, 3)), np.array([1.0] * 4 + [-1.0] * 4)
    found = rnnspec.compile(PLAIN, seed=1)
    stopping = EarlyStopping("val_loss", 1000.0, patience=np.int64(9), restore_best_weights=True)  # pyright: ignore[reportArgumentType]
    stopping.patience = 2
    saving = ModelCheckpoint(Path("{epoch:02d}.rnnc"), save_best_only=True, initial_value_threshold=np.float64(1e9))
    found.configure(callbacks=[stopping, saving, BackupAndRestore("backup"), CSVLogger("log.csv"), TensorBoard("events"), TerminateOnNaN()])
    found.fit(x, y, epochs=9, validation_split=0.5, verbose=False)
    file = io.BytesIO()
    found.save(file)
    for path in [*tmp_path.glob("*.rnnc")]:
        path.unlink()
    for each in (rnnspec.load(file.getvalue()), pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        history = each.fit(x, y, epochs=9, validation_split=0.5, verbose=False)
        assert len(history.epoch) == 3
        assert len(Path("log.csv").read_text(encoding="utf-8").splitlines()) == 4
        each.save(again := io.BytesIO())
        assert len(rnnspec.load(again.getvalue()).fit(x, y, epochs=9, validation_split=0.5, verbose=False).epoch) == 3


@pytest.mark.parametrize(
    ("callback", "what"),
    [
        (LambdaCallback(), "the callback LambdaCallback can't be written"),
        (Own(), "the callback Own can't be written"),
        (CSVLogger("/tmp/log.csv"), "the callback CSVLogger, whose filename isn't below the working folder, can't be written"),
        (ModelCheckpoint("../best.rnnc"), "the callback ModelCheckpoint, whose filepath leads upwards, can't be written"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_callback_that_cannot_be_written_is_named_at_save(callback: Callback, what: str) -> None:
    found = rnnspec.compile(PLAIN, seed=1)
    found.configure(callbacks=[callback, EarlyStopping("loss", 1000.0, 2)])
    file = io.BytesIO()
    with pytest.warns(UnsavedWarning, match=re.escape(what)):
        found.save(file)
    assert len(rnnspec.load(file.getvalue()).fit(np.ones((4, 3)), np.ones(4), epochs=9, verbose=False).epoch) == 3


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b"log.csv", b"/x.csv!", "callback CSVLogger: filename isn't below the working folder"),
        (b"CSVLogger", b"CSVBurner", "there is no callback CSVBurner to be saved"),
        (b'"append"', b'"depend"', "CSVLogger has no argument depend"),
    ],
)
def test_a_strangers_file_writes_nowhere_else(before: bytes, after: bytes, message: str) -> None:
    """What a file names is made of what a spec could name, or the file isn't loaded."""
    found = rnnspec.compile(PLAIN, seed=1)
    found.configure(callbacks=[CSVLogger("log.csv", append=True)])
    found.save(file := io.BytesIO())
    artifact = model_file.decode(file.getvalue())
    assert artifact.training.count(before) == 1
    fields = {name: getattr(artifact, name) for name in ("name", "text", "parameters", "dtype", "weights", "texts", "arrays")}
    content = model_file.encode(model_file.Artifact(**fields, training=artifact.training.replace(before, after)))
    with pytest.raises(model_file.ArtifactError, match=re.escape(message)):
        rnnspec.load(content)
