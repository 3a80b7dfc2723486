"""ModelCheckpoint, by Keras's rules (keras.src.callbacks.model_checkpoint, 3.15)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnspec.contract.written_paths import CHECKPOINT_ENDINGS
from rnnspec.files import try_to_write_beside
from rnnspec.interop.safetensors import write_weights
from rnnspec.runtime.data.validate import true_or_false, whole_number
from rnnspec.training.callbacks import Logs
from rnnspec.training.constructors import clear_arguments
from rnnspec.training.log_callbacks import path_of
from rnnspec.training.monitors import Monitor, number


@clear_arguments("callback")
class ModelCheckpoint(Monitor):
    """Saves the model after epochs or batches, as Keras's ModelCheckpoint; files are written aside and moved to their place.

    argument                 type                  meaning                                                                 default
    -----------------------  --------------------  ----------------------------------------------------------------------  ----------
    filepath                 path                  the file, ending in .rnnc, or .safetensors for weights only. It may     required
                                                   have places for values: `{epoch:02d}`, from 1, `{batch}`, from 1, and
                                                   names of the logs, `{val_loss:.2f}`
    monitor                  str                   name of a value in the logs                                             "val_loss"
    verbose                  bool, 0 or 1          whether it says what it saves                                           0
    save_best_only           bool                  whether only what is better than all before is saved                    False
    save_weights_only        bool                  whether the weights are saved without the model                         False
    mode                     "auto", "min", "max"  which way is better; "auto" knows it of losses and metrics              "auto"
    save_freq                "epoch", int from 1   after each epoch, or after each so many batches                         "epoch"
    initial_value_threshold  float                 with `save_best_only` the value that the first one must be better than  None

    ValueError as for `EarlyStopping`, and before the first step for a name in `filepath` that the logs won't have; OSError where the
    folder can't be written to.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import ModelCheckpoint
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = ModelCheckpoint(folder + "/{epoch:02d}.rnnc")
    ...     history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=3, verbose=False, callbacks=[saved])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['01.rnnc', '02.rnnc', '03.rnnc']
    """

    writes = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, verbose=verbose)
        self.filepath = os.fspath(path_of("ModelCheckpoint: filepath", filepath))
        self.save_best_only = true_or_false("ModelCheckpoint: save_best_only", save_best_only)
        self.save_weights_only = true_or_false("ModelCheckpoint: save_weights_only", save_weights_only)
        ending = CHECKPOINT_ENDINGS[self.save_weights_only]
        if not self.filepath.endswith(ending):
            raise ValueError(f"ModelCheckpoint: filepath: expected a name that ends in {ending}, got {self.filepath!r}")
        self.save_freq = save_freq if save_freq == "epoch" else whole_number("ModelCheckpoint: save_freq", save_freq, 1)
        if initial_value_threshold is not None:
            self.best = number("ModelCheckpoint: initial_value_threshold", initial_value_threshold)
        self._epoch = self._batches = 0

    @property
    def watches(self) -> bool:
        """Whether only the best is saved."""
        return self.save_best_only

    def check(self) -> None:
        """ValueError also for a file name that can't be made of the logs' names."""
        super().check()
        names = self.params.get("metrics", {})
        known = names if self.save_freq == "epoch" else {name: None for name in names if not name.startswith("val_")}
        self._path(0, 0, dict.fromkeys(known, 0.5))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Sees whether files can be written."""
        folder = Path(self.filepath).parent
        if "{" not in os.fspath(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try_to_write_beside(Path(self.filepath).resolve())

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Saves, each so many batches."""
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves, each epoch."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if self.save_best_only and (value := self.value_in(logs)) is not None:
            if not self.is_better(value, self.best):
                self.say(f"epoch {epoch + 1}: {self.monitor} {value:.5g} isn't better than {self.best}")
                return
            self.best = value
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            write_weights(path, self.model.weights)
        else:
            self.model.save(path)
        self.say(f"epoch {epoch + 1}: wrote {path}")

    def _path(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> Path:
        places = {"epoch": epoch + 1, **({} if batch is None or "batch" in logs else {"batch": batch + 1}), **logs}
        try:
            return Path(self.filepath.format(**places))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            there = ", ".join(places)
            raise ValueError(f"ModelCheckpoint: filepath {self.filepath!r} can't be filled in: {reason}; there are {there}") from None

    def state_dict(self) -> dict[str, Any]:
        """The best value, and the batches since the last save."""
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with them."""
        self.best, self._batches = state["best"], state["batches"]
