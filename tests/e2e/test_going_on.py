"""Trainings that go on to the bit: after `save` and `load`, and from checkpoints, whatever broke them off."""

from __future__ import annotations

import copy
import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import Model
from rnnspec.callbacks import BackupAndRestore, CSVLogger, EarlyStopping, LambdaCallback, ReduceLROnPlateau
from rnnspec.diagnostics import UnsavedWarning
from rnnspec.runtime.storage import model_file
from rnnspec.runtime.storage.dataclass_json import from_json
from rnnspec.training.configuration import Configuration
from rnnspec.training.optimizers import SGD, Adafactor, Adam, Ftrl, Muon, Nadam, Optimizer, RMSprop
from rnnspec.training.saved_training import SavedTraining, configuration_of
from rnnspec.training.schedules import CosineDecay, LearningRateSchedule

SPEC = """model Going {
    input words: int[time]
    Embedding(4100, 2)
    LSTM(3, stateful = STATEFUL)
    Dropout(0.4)
    BatchNormalization()
    Dense(1)
    train { loss = mse  optimizer = Adam(learning_rate = 0.01)  metrics = [mae]  batch_size = 3  shuffle = SHUFFLE  SEED }
}"""
RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 4100, (9, 4)).astype(np.int32)
Y = RANDOM.normal(size=(9, 1))


def compiled(seed: int | None = 1, stateful: bool = False, train_seed: str = "") -> Model:
    text = SPEC.replace("STATEFUL", str(stateful).lower()).replace("SHUFFLE", str(not stateful).lower()).replace("SEED", train_seed)
    return rnnspec.compile(text, seed=seed)


def saved(model: Model) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def without_decay(optimizer: Optimizer) -> Optimizer:
    optimizer.exclude_from_weight_decay(var_list=["dense/kernel"], var_names=["bias"])
    return optimizer


def bits(model: Model) -> bytes:
    return b"".join(weight.tobytes() for weight in model.get_weights())


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize(
    "optimizer",
    [
        None,
        SGD(0.1, momentum=0.9),
        RMSprop(0.01, centered=True),
        Adam(CosineDecay(0.01, 9), amsgrad=True, clipnorm=1.0),
        Nadam(CosineDecay(0.01, 9), gradient_accumulation_steps=4, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
        Ftrl(0.1),
        without_decay(Muon(0.01)),
        Adafactor(0.1, gradient_accumulation_steps=4),
    ],
)
def test_two_epochs_saved_and_two_more_are_four(stateful: bool, optimizer: Any) -> None:
    """The table with late updates, moments, dropout's stream, moving statistics, carried states."""
    whole, parted = compiled(stateful=stateful), compiled(stateful=stateful)
    for each in (whole, parted):
        if optimizer is not None:
            each.configure(optimizer=optimizer.fresh(), loss="mae", metrics=["mse"])
    averaged = optimizer is not None and optimizer.use_ema  # at the end of each fit the weights become their averages
    history = whole.fit(X, Y, epochs=2 if averaged else 4, verbose=False).history
    if averaged:
        history = {name: history[name] + more for name, more in whole.fit(X, Y, epochs=4, initial_epoch=2, verbose=False).history.items()}
    first = parted.fit(X, Y, epochs=2, verbose=False).history
    content = saved(parted)
    loaded = rnnspec.load(content)
    assert saved(loaded) == content
    assert loaded.iterations == parted.iterations
    assert loaded.optimizer.batches == parted.optimizer.batches == 6
    assert loaded.optimizer.undecayed == parted.optimizer.undecayed
    second = loaded.fit(X, Y, epochs=4, initial_epoch=2, verbose=False).history
    assert {name: values + second[name] for name, values in first.items()} == history
    assert bits(loaded) == bits(whole)


def test_a_loaded_model_has_what_configure_set() -> None:
    """Of reports W4: another loss under the same name."""
    model = compiled()
    model.configure(loss="mae", metrics=["mse", rnnspec_metric()], loss_weights=0.5)
    with pytest.warns(
        UnsavedWarning, match=r"the metric own can't be written to a model's file: after loading, give it to model\.configure"
    ):
        content = saved(model)
    logs = model.evaluate(X, Y)
    assert rnnspec.load(content).evaluate(X, Y) == {name: value for name, value in logs.items() if name != "own"}


def test_all_of_a_configuration_is_in_the_file() -> None:
    """Each of its fields, but for the optimizer, which the file has by itself."""
    model = compiled()
    model.configure(loss="mae", checkpoint=3)
    content = saved(model)
    found = from_json(SavedTraining, model_file.decode(content).training).configuration
    assert found is not None and found.checkpoint == 3
    assert configuration_of(found, ["dense"]).keys() == {each.name for each in fields(Configuration)} - {"optimizer"}
    assert saved(rnnspec.load(content)) == content


def rnnspec_metric() -> Any:
    class Own:
        name = "own"

        def rows(self, predictions: Any, targets: Any) -> Any:
            return np.abs(predictions - targets)[:, 0]

    return Own()


class Pinball:
    classes = False
    from_logits = False

    def rows(self, predictions: Any, targets: Any) -> Any:
        error = targets - predictions
        return np.maximum(0.9 * error, -0.1 * error)[:, 0], np.where(error > 0, -0.9, 0.1)


def test_a_loss_of_ones_own_is_named_at_save_and_after_load() -> None:
    model = compiled()
    model.configure(loss=Pinball())
    before = model.evaluate(X, Y)
    with pytest.warns(UnsavedWarning, match=r"^the loss Pinball can't be written"):
        content = saved(model)
    loaded = rnnspec.load(content)
    for call in (loaded.evaluate, loaded.fit):
        with pytest.raises(ValueError, match=r"saved with the loss Pinball; its file can't hold it: call model\.configure\(loss="):
            call(X, Y)
    loaded.configure(loss=Pinball())
    assert loaded.evaluate(X, Y) == before
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()


class Halving(LearningRateSchedule):
    def __call__(self, step: int) -> float:
        return 0.5 ** (step + 1)


def test_a_schedule_of_ones_own_is_named_at_save_and_its_place_is_kept() -> None:
    whole, parted = compiled(), compiled()
    for each in (whole, parted):
        each.learning_rate = Halving()
        each.fit(X, Y, epochs=2, verbose=False)
    with pytest.warns(UnsavedWarning, match=r"^the schedule Halving can't be written"):
        content = saved(parted)
    loaded = rnnspec.load(content)
    with pytest.raises(ValueError, match=r"the schedule Halving, which its file can't hold: set model\.learning_rate again"):
        rnnspec.load(content).fit(X, Y, verbose=False)
    loaded.learning_rate = Halving()
    for each in (whole, loaded):
        each.fit(X, Y, epochs=2, verbose=False)
    assert bits(loaded) == bits(whole)


def test_a_rate_that_was_set_before_any_training_is_saved_and_copied() -> None:
    model = compiled()
    model.learning_rate = 0.125
    assert rnnspec.load(saved(model)).learning_rate == 0.125
    assert copy.deepcopy(model).learning_rate == 0.125
    assert compiled().learning_rate == 0.01


def test_a_model_that_was_never_trained_has_no_state_in_its_file() -> None:
    """So that files of older versions and of this one are the same."""
    model = compiled()
    artifact = model_file.decode(saved(model))
    assert (artifact.training, artifact.arrays) == (b"", {})
    assert b"training.json" not in saved(model)
    model.predict(X)
    assert b"training.json" not in saved(model)


def test_a_damaged_state_is_refused() -> None:
    model = compiled()
    model.fit(X, Y, verbose=False)
    artifact = model_file.decode(saved(model))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"arrays": {}}, "the state isn't of this Adam"),
        ({"arrays": {**artifact.arrays, "optimizer/0": np.zeros(3, np.float32)}}, "the state isn't of this Adam"),
        ({"arrays": {**artifact.arrays, "states/lstm": np.zeros((3, 3), np.float32)}}, "the file has states, and the model isn't stateful"),
        ({"training": b"{}"}, "not a SavedTraining"),
        ({"training": artifact.training.replace(b"Adam", b"Evil")}, "no optimizer is called Evil"),
    ]
    for change, message in wrong:
        fields = {
            name: getattr(artifact, name) for name in ("name", "text", "parameters", "dtype", "weights", "texts", "training", "arrays")
        }
        content = model_file.encode(model_file.Artifact(**{**fields, **change}))
        with pytest.raises(model_file.ArtifactError, match=message):
            rnnspec.load(content)


# Checkpoints


def callbacks(folder: Path, broken_off: int | None, **options: Any) -> list[Any]:
    def begin(epoch: int, logs: Any) -> None:
        if epoch == broken_off:
            raise OSError("no power")

    stopping = EarlyStopping("loss", patience=3, restore_best_weights=True)
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1)
    backup = BackupAndRestore(folder / "backup", **options)
    return [backup, stopping, plateau, CSVLogger(folder / "log.csv"), LambdaCallback(on_epoch_begin=begin)]


def test_gathered_gradients_are_those_of_one_large_batch() -> None:
    spec = "model T { input x: float[time, 3]  GRU(5)  Dense(1) train { loss = mse optimizer = SGD(0.5, 0.5) } }"
    x = RANDOM.normal(size=(9, 4, 3))
    gathering, whole = (rnnspec.compile(spec, seed=1, dtype="float64") for _ in range(2))
    gathering.configure(optimizer=SGD(0.5, 0.5, gradient_accumulation_steps=3))
    for _ in range(2):
        for begin in range(0, 9, 3):
            before = bits(gathering)
            gathering.train_on_batch(x[begin : begin + 3], Y[begin : begin + 3])
            assert (bits(gathering) != before) == (begin == 6)
        whole.train_on_batch(x, Y)
    assert gathering.iterations == whole.iterations == 2
    for one, other in zip(gathering.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("train_seed", "settings"), [("", {}), ("seed = 7", {"gradient_accumulation_steps": 4, "use_ema": True})])
def test_a_training_that_is_broken_off_twice_has_the_bits_of_one_that_was_not(
    tmp_path: Path, train_seed: str, settings: dict[str, Any]
) -> None:
    """Weights, history, log file, rates, and the epoch in which it stops."""
    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    whole = compiled(train_seed=train_seed)
    whole.configure(optimizer=Adam(0.01, **settings))
    history = whole.fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path / "whole", None)).history
    for broken_off in (2, 5, None):
        model = compiled(seed=1 if broken_off == 2 else None, train_seed=train_seed)
        model.configure(optimizer=Adam(0.01, **settings))
        given = callbacks(tmp_path / "parts", broken_off)
        if broken_off is not None:
            with pytest.raises(OSError, match="no power"):
                model.fit(X, Y, epochs=9, verbose=False, callbacks=given)
        else:
            assert model.fit(X, Y, epochs=9, verbose=False, callbacks=given).history == history
    assert bits(model) == bits(whole)
    assert (tmp_path / "parts/log.csv").read_bytes() == (tmp_path / "whole/log.csv").read_bytes()
    assert not (tmp_path / "parts/backup").exists()


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no power"):
        compiled().fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path, 4, double_checkpoint=True))
    newest = sorted((tmp_path / "backup").iterdir())[-1]
    assert newest.name == "epoch-000004.rnnc"
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"a checkpoint isn't whole, and the one before it is taken: .*epoch-000004\.rnnc"):
        history = compiled().fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path, None))
    whole = compiled()
    assert whole.fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path / "..", None)).history == history.history
    assert bits(history.model) == bits(whole)


def test_checkpoints_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no power"):
        compiled().fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path, 2))
    with pytest.raises(ValueError, match="it is a checkpoint of another model than this one"):
        compiled(stateful=True).fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path, None))
    with pytest.raises(ValueError, match=r"the training that was broken off had the callbacks EarlyStopping, .* this one has History"):
        compiled().fit(X, Y, epochs=9, verbose=False, callbacks=[BackupAndRestore(tmp_path / "backup")])
    with pytest.raises(ValueError, match="had 3 batches an epoch, this one has 5"):
        compiled().fit(X, Y, 2, epochs=9, verbose=False, callbacks=callbacks(tmp_path, None))
    other = compiled()
    other.configure(optimizer="SGD")
    with pytest.raises(ValueError, match="it is of a training by Adam, this one has another optimizer"):
        other.fit(X, Y, epochs=9, verbose=False, callbacks=callbacks(tmp_path, None))


def test_a_training_goes_on_however_it_is_shown(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no power"):
        compiled().fit(X, Y, epochs=4, verbose=True, callbacks=callbacks(tmp_path, 2))
    model = compiled()
    model.fit(X, Y, epochs=4, verbose=False, callbacks=callbacks(tmp_path, None))
    assert model.iterations == 12


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    save = model_file.save

    def full(artifact: Any, file: Any) -> None:
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device", str(file))
        save(artifact, file)

    monkeypatch.setattr(model_file, "save", full)
    with pytest.raises(OSError, match="No space left"):
        compiled().fit(X, Y, epochs=9, verbose=False, callbacks=[BackupAndRestore(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000002.rnnc"]
