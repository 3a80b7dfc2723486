"""The command, run as a user runs it, on a model and data small enough to be quick."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest

SPEC = """\
# Does the first feature rise or fall?
model Trend(units = 4) {
    input series: float[time, 3]

    Masking(mask_value = 0.0)
    LSTM(units)
    Dense(2, activation = softmax)

    train {
        loss       = sparse_categorical_crossentropy
        optimizer  = Adam(learning_rate = 0.05)
        metrics    = [accuracy]
        batch_size = 8
        epochs     = 12
    }
}
"""


TERMINAL = {"COLUMNS": "120", "NO_COLOR": "1"}


class CommandServer:
    """A process that forks for each command, see `command_server`; what a fresh one does is in the tests that start one."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
        environment = {**os.environ, **TERMINAL}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self._process.communicate)

    def run(self, request: Mapping[str, object]) -> int:
        """The exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@cache
def command_server() -> CommandServer:
    return CommandServer()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Workplace:
    """A folder with `trend.rnn`, `trend.npz` and, once trained, `trend.rnnc`."""

    folder: Path

    def rnnspec(self, *arguments: str | Path) -> Done:
        """Run the command here; a traceback on either stream fails the test whatever it expected."""
        environment = {**os.environ, **TERMINAL}
        with NamedTemporaryFile() as out, NamedTemporaryFile() as err:
            words = [*map(str, arguments)]
            request = {"arguments": words, "folder": str(self.folder), "environment": environment, "out": out.name, "err": err.name}
            code = command_server().run(request)
            done = Done(code, out.read().decode(), err.read().decode())
        assert "Traceback" not in done.out + done.err, done.out + done.err
        return done

    def succeeds(self, *arguments: str | Path) -> Done:
        done = self.rnnspec(*arguments)
        assert done.code == 0, done.out + done.err
        return done

    def refuses(self, *arguments: str | Path) -> str:
        """The message on standard error of a command that must end with 2 and write no result."""
        done = self.rnnspec(*arguments)
        assert done.code == 2, done.out + done.err
        assert done.out == ""
        assert done.err.strip()
        return done.err


def trend_data(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat frames, lengths and classes of random series that rise (1) or fall (0)."""
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 9, samples)
    classes = np.arange(samples) % 2
    series = [
        np.column_stack([np.linspace(-1, 1, length) * (2 * rises - 1), random.normal(size=(length, 2)) * 0.1])
        for length, rises in zip(lengths, classes, strict=True)
    ]
    return np.concatenate(series).astype(np.float32), lengths.astype(np.int32), classes.astype(np.uint8)


def write_trend(folder: Path) -> None:
    x_train, length_train, y_train = trend_data(48, seed=1)
    x_test, length_test, y_test = trend_data(20, seed=2)
    (folder / "trend.rnn").write_text(SPEC, encoding="utf-8")
    np.savez(
        folder / "trend.npz",
        x_train=x_train, length_train=length_train, y_train=y_train,
        x_test=x_test, length_test=length_test, y_test=y_test, classes=np.array(["falls", "rises"]),
    )  # fmt: skip


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    write_trend(tmp_path)
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace whose `trend.rnnc` is trained; tests only read it."""
    folder = tmp_path_factory.mktemp("trained")
    write_trend(folder)
    workplace = Workplace(folder)
    workplace.succeeds("train", "trend.rnn", "--data", "trend.npz", "-o", "trend.rnnc", "--seed", "0")
    return workplace
