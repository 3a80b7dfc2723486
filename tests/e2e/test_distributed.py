"""Training on several processes: the same bits for any number of them, what they send, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import BackupAndRestore
from tests import distributed_cases as cases

MPIEXEC = str(Path(sysconfig.get_path("scripts")) / "mpiexec")
ROOT = Path(__file__).parents[2]
SPEC = """model Tiny { input x: float[time, 3]  LSTM(4, dropout = 0.2)  BatchNormalization()  Dense(1)
  train { loss = mse  optimizer = Adam()  epochs = 3  shards = 8 } }"""
TRAIN = ["-m", "rnnspec", "train", "t.rnn", "--data", "d.npz", "-o", "m.rnnc", "--seed", "1", "--distributed"]


def started(processes: int, arguments: list[str], folder: Path = ROOT, **more: Any) -> subprocess.Popen[str]:
    command = [MPIEXEC, "-n", str(processes), sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RNNSPEC_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def run(processes: int, arguments: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    process = started(processes, arguments, folder)
    out, error = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(24, 5, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=x.sum(axis=(1, 2)))
    (tmp_path / "t.rnn").write_text(SPEC)
    return tmp_path


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return {name: cases.train(made, distributed=False)[1] for name, made in cases.CASES.items()}


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_any_number_of_processes_has_the_bits_of_one(processes: int, alone: dict[str, Any]) -> None:
    done = run(processes, [str(ROOT / "tests/distributed_cases.py")])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [alone] * processes


def test_the_command_tells_what_is_sent_and_writes_one_model(folder: Path) -> None:
    done = run(2, [*TRAIN, "--json"], folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["distributed"]
    assert (found["processes"], found["shards"], found["updates"], found["messages_per_update"]) == (2, 8, 3, 4)
    assert done.stderr.count("wrote m.rnnc") == 1
    weights = rnnspec.load(folder / "m.rnnc").get_weights()
    one = rnnspec.compile(SPEC, seed=1)
    data = np.load(folder / "d.npz")
    one.fit(data["x"], data["y"], seed=1, verbose=False)
    assert all(map(np.array_equal, weights, one.get_weights()))


def test_more_processes_than_shards_are_refused_once(folder: Path) -> None:
    (folder / "t.rnn").write_text(SPEC.replace("shards = 8", "shards = 1"))
    done = run(2, TRAIN, folder)
    assert done.returncode == 2
    assert done.stderr == ("error: 2 processes can't share 1 shard: start 1 at most, or set `shards = 2` in the train section\n")


def test_a_process_alone_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.load(folder / "d.npz")
    with pytest.raises(ValueError, match="this process is alone: start the command, or the script, by `mpiexec -n 4`"):
        rnnspec.compile(SPEC, seed=1).fit(data["x"], data["y"], distributed=True, verbose=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r"mpi4py isn't installed: pip install 'rnnspec\[mpi\]'"):
        rnnspec.compile(SPEC, seed=1).fit(data["x"], data["y"], distributed=True, verbose=False)


SCRIPT = """
import sys, numpy as np, rnnspec
from mpi4py import MPI
from rnnspec.callbacks import LambdaCallback
rank = MPI.COMM_WORLD.rank
what = sys.argv[1]
x = np.ones((24, 5, 3))
if what == "data" and rank == 1:
    x[3] = 2
def hook(epoch, logs):
    if rank == 1 and epoch == 1 and what == "raise":
        raise OSError("a disk is gone")
    if rank == 1 and epoch == 1 and what == "stop":
        model.stop_training = True
model = rnnspec.compile(open("t.rnn").read(), seed=rank if what == "weights" else 1)
try:
    model.fit(x, x.sum(axis=(1, 2)), distributed=True, verbose=False, callbacks=[LambdaCallback(on_epoch_end=hook)])
except (ValueError, OSError) as error:
    open(f"told{rank}.txt", "w").write(f"{type(error).__name__} {error}")
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raise", "rank 1: a disk is gone"),
        ("stop", "rank 1 is behind epoch 2"),
        ("weights", "rank 1 has another weights"),
        ("data", "rank 1 has another data than rank 0: 24 samples"),
    ],
)
def test_what_fails_on_one_rank_ends_all(what: str, told: str, folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT)
    done = run(3, ["script.py", what], folder)
    assert done.returncode == 0, done.stderr
    lines = [(folder / f"told{rank}.txt").read_text() for rank in range(3)]
    assert lines[0].startswith(f"RankError {told}") and lines[2].startswith(f"RankError {told}")
    assert lines[1].startswith("OSError a disk" if what == "raise" else f"RankError {told}")


KILLED = """
import os, signal, sys
import numpy as np, rnnspec
from rnnspec.callbacks import BackupAndRestore, LambdaCallback
dies, at, begin = map(int, sys.argv[1:])
def hook(batch, logs):
    global begin
    begin += 1
    if model._last_rank == dies and begin == at:
        os.kill(os.getpid(), signal.SIGKILL)
class Count(LambdaCallback):
    def set_params(self, params):
        super().set_params(params)
        model._last_rank = params["rank"]
x = np.load("d.npz")["x"]
model = rnnspec.compile(open("t.rnn").read(), seed=1)
callbacks = [BackupAndRestore("backup", delete_checkpoint=False), Count(on_train_batch_end=hook)]
model.fit(x, x.sum(axis=(1, 2)), batch_size=8, epochs=5, distributed=True, verbose=False, callbacks=callbacks)
if model._last_rank == 0:
    model.save("m.rnnc")
"""


@pytest.mark.parametrize("kill", range(2 * int(os.environ.get("SOAK_RANKS", "1"))))
def test_a_killed_rank_ends_the_run_and_another_number_goes_on(kill: int, folder: Path) -> None:
    """The newest checkpoint is whole, and the resumed training has the bits of one that nothing disturbed."""
    (folder / "script.py").write_text(KILLED)
    processes, dies, at = 2 + kill % 3, kill % 2, 4 + 3 * (kill // 2 % 4)
    died = run(processes, ["script.py", str(dies), str(at), "0"], folder)
    assert died.returncode != 0
    assert "BAD TERMINATION" in died.stdout  # mpiexec's own words
    assert not (folder / "m.rnnc").exists()
    assert [path.name for path in folder.glob("backup/*")] == [f"epoch-{at // 3:06d}.rnnc"]
    resumed = run(3 if kill % 2 else 1, ["script.py", "-1", "0", "0"], folder)
    assert resumed.returncode == 0, resumed.stderr
    data = np.load(folder / "d.npz")
    whole = rnnspec.compile(SPEC, seed=1)
    whole.fit(data["x"], data["x"].sum(axis=(1, 2)), batch_size=8, epochs=5, verbose=False)
    assert all(map(np.array_equal, rnnspec.load(folder / "m.rnnc").get_weights(), whole.get_weights()))


def test_an_interrupt_of_one_rank_ends_all(folder: Path) -> None:
    script = KILLED.replace("signal.SIGKILL", "signal.SIGINT")
    (folder / "script.py").write_text(script)
    done = run(2, ["script.py", "1", "4", "0"], folder)
    assert done.returncode != 0
    assert "RankError: rank 1: interrupted" in done.stderr


@pytest.mark.parametrize(
    ("layers", "more", "reason"),
    [
        ("LSTM(4, stateful = true)  Dense(1)", "", "it is stateful, and its states stay with the process that has them"),
        ("LSTM(4, return_sequences = true)  Dense(1)", "truncate = 2", "`truncate` carries states from part to part"),
    ],
)
def test_states_are_refused_in_shards(layers: str, more: str, reason: str) -> None:
    text = f"model M {{ input x: float[time, 3]  {layers}  train {{ loss = mse  optimizer = Adam()  shards = 2  {more} }} }}"
    with pytest.raises(ValueError, match=f"shards: model M can't be trained in shards: {reason}"):
        rnnspec.compile(text, seed=1)
    model = rnnspec.compile(text.replace("shards = 2", ""), seed=1)
    with pytest.raises(ValueError, match=reason):
        model.configure(shards=2)


def test_shards_give_the_gradient_of_the_batch() -> None:
    """With plain descent the weights after an update tell the gradient, beside rounding."""
    x = np.random.default_rng(0).normal(size=(13, 5, 3))
    text = "model M { input x: float[time, 3]  LSTM(4)  Dense(1)  train { loss = mse  optimizer = SGD(0.5)  metrics = [mae] } }"
    found: list[tuple[list[np.ndarray], Any]] = []
    for shards in (1, 2, 8, 16):
        model = rnnspec.compile(text, seed=1, dtype="float64")
        model.configure(shards=shards)
        logs = model.train_on_batch(x, x.sum(axis=(1, 2)), sample_weight=np.arange(13.0), lengths=np.arange(13) % 5 + 1, return_dict=True)
        found.append((model.get_weights(), logs))
    for weights, logs in found[1:]:
        assert all(np.allclose(one, other, rtol=0, atol=1e-14) for one, other in zip(weights, found[0][0], strict=True))
        assert logs == pytest.approx(found[0][1], rel=1e-12)


def test_a_loss_that_isn_t_finite_ends_a_training_in_shards() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    before = model.get_weights()
    x = np.full((24, 5, 3), 1.0)
    with pytest.warns(rnnspec.diagnostics.NotFiniteWarning, match="it comes from a sample of one of the shards"):
        model.fit(x, np.full(24, 3e38), verbose=False)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_checkpoint_of_other_shards_is_refused(tmp_path: Path) -> None:
    x = np.ones((24, 5, 3))
    for shards, told in ((8, nullcontext()), (4, pytest.raises(ValueError, match="had 8 shards, this one has 4"))):
        model = rnnspec.compile(SPEC.replace("  shards = 8", ""), seed=1)
        model.configure(shards=shards)
        with told:
            model.fit(x, x[:, 0, 0], verbose=False, callbacks=[BackupAndRestore(tmp_path / "b", delete_checkpoint=False)])
