"""Callbacks that write what a training's logs say: CSV, and TensorBoard's event files."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from rnnspec.runtime.data.validate import true_or_false, whole_number
from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.constructors import clear_arguments
from rnnspec.training.event_files import EventFile


def path_of(what: str, given: object) -> Path:
    """A path; ValueError, naming `what`, for anything else."""
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(cast(str, given)):
        raise ValueError(f"{what}: expected a path, got {given!r}")
    return Path(cast(str, given))


@clear_arguments("callback")
class CSVLogger(Callback):
    """Writes a line for each epoch to a CSV file, as Keras's CSVLogger.

    argument   type  meaning                                                                     default
    ---------  ----  --------------------------------------------------------------------------  --------
    filename   path  the file                                                                    required
    separator  str   a single character between the columns                                      ","
    append     bool  whether lines are added to a file that is there, which has a heading then   False

    The columns are `epoch`, from 0, and the names in the logs of the first epoch, in the order of the alphabet; without validation each
    name has a second column with `val_` in front, of NA. Numbers have all their digits. OSError before the first step if the file can't be
    written.
    """

    writes = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = path_of("CSVLogger: filename", filename)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"CSVLogger: separator: expected a single character, got {separator!r}")
        self.separator = separator
        self.append = true_or_false("CSVLogger: append", append)
        self.keeps_others = False
        """Whether a file that isn't a log with these columns' separator is refused, and not emptied: of a spec that anybody wrote."""
        self._file: IO[str] | None = None
        self._keys: list[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no file."""
        return {**super().__getstate__(), "_file": None}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file. It is emptied with the first line, so that a training that is resumed finds its lines."""
        self.close()
        if self.filename.exists() and not self.filename.is_file():  # a pipe would be waited for
            raise OSError(f"CSVLogger: {self.filename} isn't a regular file")
        if self.keeps_others and self.filename.exists() and not self._is_log():
            raise FileExistsError(f"CSVLogger: {self.filename} is there, and isn't a log of a training: move it, or give another name")
        self._file = self.filename.open("a", encoding="utf-8", newline="")
        self._keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the line."""
        assert self._file is not None
        logs = logs or {}
        if self._keys is None:
            self._keys = sorted(logs)
            if not any(key.startswith("val_") for key in self._keys):
                self._keys += [f"val_{key}" for key in self._keys]
            if not self.append:
                self._file.truncate(0)
            if not self._length():
                self._write(["epoch", *self._keys])
        self._write([epoch, *(_cell(logs.get(key, "NA")) for key in self._keys)])
        self._file.flush()

    def _is_log(self) -> bool:
        """Whether the file that is there is empty, or begins as a log does."""
        with self.filename.open("rb") as file:
            beginning = file.read(16)
        return not beginning or beginning.startswith(f"epoch{self.separator}".encode())

    def _length(self) -> int:
        """The file's bytes; text is added at its end, wherever the position is."""
        assert self._file is not None
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def _write(self, cells: Iterable[object]) -> None:
        csv.writer(cast(Any, self._file), csv.excel, delimiter=self.separator).writerow(cells)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> dict[str, Any]:
        """The columns, and the length of the file."""
        return {"keys": self._keys, "length": None if self._file is None else self._length()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on behind the lines that the file had, without those of epochs that are trained again."""
        if self._file is None or state["length"] is None:
            return
        if self._length() >= state["length"]:
            self._file.truncate(state["length"])
            self._keys = state["keys"]


def _cell(value: object) -> object:
    return f'"[{", ".join(map(str, cast(Iterable[object], value)))}]"' if np.ndim(cast(Any, value)) else value


@clear_arguments("callback")
class TensorBoard(Callback):
    """Writes the logs as scalars for TensorBoard, as Keras's TensorBoard; neither TensorFlow nor TensorBoard is needed for it.

    argument                type                     meaning                                                          default
    ----------------------  -----------------------  ---------------------------------------------------------------  --------
    log_dir                 path                     folder, in which `train` and `validation` are made               "logs"
    write_steps_per_second  bool                     whether the rate of updates is written, too                      False
    update_freq             "batch", "epoch", int    how often `batch_loss` and so on are written: each batch, never,  "epoch"
                                                     or each so many batches

    At an epoch's end `epoch_loss` and so on are written, and `epoch_learning_rate`; after a validation `evaluation_loss_vs_iterations`.
    A metric of several numbers has a scalar for each, `epoch_f1_score/0`. OSError before the first step if the folder can't be made.
    """

    writes = True

    def __init__(
        self, log_dir: str | os.PathLike[str] = "logs", write_steps_per_second: bool = False, update_freq: str | int = "epoch"
    ) -> None:
        self.log_dir = path_of("TensorBoard: log_dir", log_dir)
        self.write_steps_per_second = true_or_false("TensorBoard: write_steps_per_second", write_steps_per_second)
        if update_freq not in ("batch", "epoch"):
            update_freq = whole_number("TensorBoard: update_freq", update_freq, 1)
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._files: dict[str, EventFile] = {}
        self._batches = self._epoch_began_at = 0
        self._began = self._batch_began = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no files."""
        return {**super().__getstate__(), "_files": {}}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Makes the file."""
        self._batches = 0
        self.close()
        self._file("train")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes the time."""
        self._began, self._epoch_began_at = time.perf_counter(), self._batches

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Notes the time."""
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Writes the means so far, each so many batches."""
        self._batches += 1
        if isinstance(self.update_freq, int) and self._batches % self.update_freq == 0:
            scalars = _scalars("batch_", logs)
            if self.write_steps_per_second:
                scalars["batch_steps_per_second"] = 1.0 / max(time.perf_counter() - self._batch_began, 1e-9)
            self._file("train").write(self._batches, scalars)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Writes a validation's values by the number of updates."""
        steps = self.model.iterations
        self._file("validation").write(steps, {f"{name}_vs_iterations": value for name, value in _scalars("evaluation_", logs).items()})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the epoch's values."""
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        train["learning_rate"] = float(self.model.learning_rate)
        if self.write_steps_per_second:
            train["steps_per_second"] = (self._batches - self._epoch_began_at) / max(time.perf_counter() - self._began, 1e-9)
        self._file("train").write(epoch, _scalars("epoch_", train))
        if held_out := {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}:
            self._file("validation").write(epoch, _scalars("epoch_", held_out))
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def state_dict(self) -> dict[str, Any]:
        """The number of batches so far."""
        return {"batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self._batches = state["batches"]

    def _file(self, name: str) -> EventFile:
        if name not in self._files:
            self._files[name] = EventFile(self.log_dir / name)
        return self._files[name]


def _scalars(prefix: str, logs: Mapping[str, Any] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in (logs or {}).items():
        if np.ndim(value):
            found |= {f"{prefix}{name}/{place}": float(each) for place, each in enumerate(cast(list[float], np.ravel(value).tolist()))}
        else:
            found[f"{prefix}{name}"] = float(value)
    return found
