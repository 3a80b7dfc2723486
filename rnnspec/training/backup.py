"""Checkpoints from which a training goes on to the bit, by Keras's BackupAndRestore (keras.src.callbacks.backup_and_restore, 3.15)."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.files import remove_dead_parts, try_to_write_beside
from rnnspec.runtime.data.validate import true_or_false
from rnnspec.runtime.storage import model_file
from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.constructors import clear_arguments
from rnnspec.training.log_callbacks import path_of

if TYPE_CHECKING:
    from rnnspec.training.callback_list import CallbackList

_NAME = re.compile(r"epoch-([0-9]{6,})\.rnnc")


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first; none if there is no folder."""
    if not folder.is_dir():
        return []
    found = {int(named[1]): path for path in folder.iterdir() if (named := _NAME.fullmatch(path.name))}
    return [found[epoch] for epoch in sorted(found, reverse=True)]


class Checkpoints(Callback):
    """Saves the whole state of a training after epochs, and goes on from the newest one that is whole.

    `every`: so many epochs lie between two. `keep`: so many stay. `delete`: all go at the training's end. `restored`: the epochs that the
    checkpoint had behind it from which this training went on; 0 if there was none.
    """

    def __init__(self, folder: Path, every: int, keep: int, *, delete: bool) -> None:
        self.folder, self._every, self._keep, self._delete = folder, every, keep, delete
        self._run: CallbackList | None = None
        self.restored = 0
        self.last: Path | None = None
        self._rest: tuple[int, model_file.Artifact] | None = None
        """The last epoch's state, if it has no checkpoint."""

    def __getstate__(self) -> dict[str, Any]:
        """A copy belongs to no run."""
        return {**super().__getstate__(), "_run": None, "_rest": None}

    @property
    def leads(self) -> bool:
        """Whether this process, of several that train one model, writes the checkpoints; all of them read them."""
        return self._run is None or self._run.leads

    def attach(self, run: CallbackList) -> None:
        """Takes the run whose place is kept."""
        self._run = run

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Goes on from the newest checkpoint that is whole."""
        if self.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            try_to_write_beside(self.folder.resolve() / "epoch")
        self.restored, self.last, self._rest = 0, None, None
        for path in checkpoints_in(self.folder):
            try:
                saved = model_file.load(path)
            except (model_file.ArtifactError, OSError) as error:
                warnings.warn(f"a checkpoint isn't whole, and the one before it is taken: {error}", stacklevel=2)
                continue
            self._go_on_from(path, saved)
            return

    def _go_on_from(self, path: Path, saved: model_file.Artifact) -> None:
        assert self._run is not None
        source = self.model.source
        if (saved.text, dict(saved.parameters), saved.dtype) != (source.text, dict(source.parameters), source.dtype):
            raise ValueError(f"{path}: it is a checkpoint of another model than this one: take another folder, or remove it")
        try:
            self.model.set_weights(dict(saved.weights))
            run = self.model.take_training(saved, running=True)
            if run is None:
                raise ValueError("it is a model without the place of a run")
            self._run.go_on_from(run)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self.restored, self.last = self._run.begin, path

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves; it is called behind all other callbacks."""
        assert self._run is not None
        if self._run.not_finite or not self.leads:  # the epoch isn't whole, or another process saves
            return
        self._rest = epoch + 1, self.model.state_artifact(self._run.place(epoch + 1))[0]
        if (epoch + 1) % self._every == 0 or self._run.stopped or epoch + 1 == self.params["epochs"]:
            self.save_rest()

    def save_rest(self) -> Path | None:
        """Saves the last epoch's state if it isn't yet, as after an interrupt; the newest checkpoint, None if there is none."""
        if self._rest is not None:
            epoch, artifact = self._rest
            path = self.folder / f"epoch-{epoch:06d}.rnnc"
            model_file.save(artifact, path)
            self.last, self._rest = path, None
            for old in checkpoints_in(self.folder)[self._keep :]:
                old.unlink(missing_ok=True)
        return self.last

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Removes the checkpoints, if they aren't to stay."""
        if self._delete:
            self.remove()

    def remove(self) -> None:
        """Removes all checkpoints, and the folder if it is empty then."""
        if not self.leads:
            return
        for path in checkpoints_in(self.folder):
            path.unlink(missing_ok=True)
        remove_dead_parts(self.folder)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


@clear_arguments("callback")
class BackupAndRestore(Checkpoints):
    """Saves the state of a training after epochs, and goes on from it, to the bit, where one was broken off, as Keras's BackupAndRestore.

    argument           type         meaning                                                                     default
    -----------------  -----------  --------------------------------------------------------------------------  --------
    backup_dir         path         folder for the checkpoints, of this training alone                          required
    save_freq          "epoch"      after each epoch; a whole number is refused: between epochs nothing is      "epoch"
                                    saved
    double_checkpoint  bool         whether the one before stays too                                            False
    delete_checkpoint  bool         whether they are removed at the training's end                              True

    A checkpoint has the weights, the optimizer's state, the random numbers, what `configure` set, and the state of the other callbacks;
    `fit` is called again with the same arguments, in another process too. ValueError for a checkpoint of another model.

    >>> import tempfile
    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import BackupAndRestore, LambdaCallback
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
    >>> x, y = np.ones((8, 5, 3)), np.ones((8, 1))
    >>> def broken_off(epoch, logs):
    ...     if epoch == 2:
    ...         raise OSError("no power")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         callbacks = [BackupAndRestore(folder), LambdaCallback(on_epoch_begin=broken_off)]
    ...         _ = rnnspec.compile(spec, seed=1).fit(x, y, epochs=4, verbose=False, callbacks=callbacks)
    ...     except OSError:
    ...         model = rnnspec.compile(spec)
    ...         callbacks = [BackupAndRestore(folder), LambdaCallback()]
    ...         history = model.fit(x, y, epochs=4, verbose=False, callbacks=callbacks)
    >>> whole = rnnspec.compile(spec, seed=1)
    >>> whole.fit(x, y, epochs=4, verbose=False).history == history.history
    True
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        folder = path_of("BackupAndRestore: backup_dir", backup_dir)
        if save_freq != "epoch":
            raise ValueError(f"BackupAndRestore: save_freq: expected 'epoch', after which alone a training can go on, got {save_freq!r}")
        keep = 2 if true_or_false("BackupAndRestore: double_checkpoint", double_checkpoint) else 1
        super().__init__(folder, 1, keep, delete=true_or_false("BackupAndRestore: delete_checkpoint", delete_checkpoint))
