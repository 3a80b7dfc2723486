"""The callbacks of a spec: what a spec may say of them, and what becomes of it in `fit`."""

from __future__ import annotations

import inspect
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import Callback, CSVLogger, EarlyStopping
from rnnspec.contract.signature import Config, InputSignature, TrainSettings
from rnnspec.contract.written_paths import path_problem
from rnnspec.frontend.catalogue.argument_types import REQUIRED
from rnnspec.frontend.catalogue.callbacks import CALLBACKS as OF_SPECS
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
