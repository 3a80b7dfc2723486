"""`rnnspec train` with checkpoints: what breaks it off loses nothing that was saved, and the resumed training has the same bits.

Kills at random moments are in `tests.soak`.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Workplace
from tests.e2e.test_cli_terminal import environment

TRAIN = ("train", "trend.rnn", "-d", "trend.npz", "-o", "out.rnnc", "--seed", "0", "--epochs", "5")
BROKEN_OFF = """
import errno, os, signal, sys
from rnnspec.cli import main
from rnnspec.training.progress import EpochLines
how, when = sys.argv.pop(1), int(sys.argv.pop(1))
written = 0

def interrupt(self, epoch, logs=None):
    if epoch == when:
        os.kill(os.getpid(), signal.SIGINT)

def full(descriptor):
    global written
    written += 1
    if written == when:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

if how == "interrupt":
    EpochLines.on_epoch_begin = interrupt
else:
    os.fsync = full
sys.argv = ["rnnspec", *sys.argv[1:]]
main()
"""
"""The command with Ctrl-C in an epoch, or with a disk that is full at a write."""


@pytest.fixture(scope="module")
def whole(trained: Workplace) -> bytes:
    """The file of an undisturbed training without checkpoints."""
    trained.succeeds(*TRAIN)
    content = (trained.folder / "out.rnnc").read_bytes()
    (trained.folder / "out.rnnc").unlink()
    return content


@pytest.fixture
def place(trained: Workplace, tmp_path: Path) -> Iterator[Workplace]:
    for name in ("trend.rnn", "trend.npz"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    yield Workplace(tmp_path)
    assert not list(tmp_path.rglob(".rnnspec-*")), "a part of a file is left"


def broken_off(place: Workplace, how: str, when: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BROKEN_OFF, how, str(when), *TRAIN, *words],
        cwd=place.folder, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def checkpoints(place: Workplace) -> list[str]:
    return sorted(path.name for path in (place.folder / "out.rnnc.checkpoints").glob("*.rnnc"))


def resumed(place: Workplace, *words: str) -> tuple[bytes, str]:
    """The model's file and what was said; the folder of the checkpoints is gone."""
    done = place.succeeds(*TRAIN, *words, "--resume")
    assert sorted(path.name for path in place.folder.iterdir()) == ["out.rnnc", "trend.npz", "trend.rnn"]
    return (place.folder / "out.rnnc").read_bytes(), done.err


@pytest.mark.parametrize(("every", "kept"), [(1, [2, 3]), (2, [2, 3]), (4, [3])])
def test_an_interrupt_saves_the_last_epoch_and_says_where(place: Workplace, whole: bytes, every: int, kept: list[int]) -> None:
    done = broken_off(place, "interrupt", 3, "--checkpoint", f"every={every}", "--keep", "2")
    newest = Path("out.rnnc.checkpoints", "epoch-000003.rnnc")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-2:] == [f"saved {newest}: go on with --resume", "interrupted"]
    assert checkpoints(place) == [f"epoch-{epoch:06d}.rnnc" for epoch in kept]
    place.succeeds("predict", str(newest), "-d", "trend.npz")
    content, said = resumed(place)
    assert f"going on after epoch 3, from {newest}" in said
    assert "epoch 4/5" in said
    assert "epoch 3/5" not in said
    assert content == whole


def test_a_training_that_has_all_its_epochs_says_so(place: Workplace) -> None:
    broken_off(place, "interrupt", 3, "--checkpoint", "every=1")
    said = resumed(place, "--epochs", "2")[1]
    assert "nothing is left to do: 2 epochs were asked for, and 3 are done; --epochs NUMBER asks for more" in said
    assert "epoch 4/" not in said


def test_an_interrupt_in_the_first_epoch_has_nothing_to_save(place: Workplace, whole: bytes) -> None:
    done = broken_off(place, "interrupt", 0, "--checkpoint", "every=1")
    assert done.stderr.splitlines() == ["no epoch was finished, there is no checkpoint", "interrupted"]
    assert resumed(place)[0] == whole


@pytest.mark.parametrize(("write", "left"), [(1, 0), (3, 2), (6, 5)])
def test_a_full_disk_keeps_what_was_saved(place: Workplace, whole: bytes, write: int, left: int) -> None:
    """The sixth write is the model's own file."""
    done = broken_off(place, "full", write, "--checkpoint", "every=1", "--keep", "9")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert len(checkpoints(place)) == left
    assert resumed(place)[0] == whole


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(place: Workplace, whole: bytes) -> None:
    broken_off(place, "full", 4, "--checkpoint", "every=1")
    newest = place.folder / "out.rnnc.checkpoints" / "epoch-000003.rnnc"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    content, said = resumed(place)
    assert "warning: a checkpoint isn't whole, and the one before it is taken" in said
    assert "going on after epoch 2" in said
    assert content == whole


def test_checkpoints_of_a_training_that_was_broken_off_are_not_written_over(place: Workplace) -> None:
    broken_off(place, "full", 3, "--checkpoint", "every=1")
    before = checkpoints(place)
    for words in (("--checkpoint", "every=1"), ()):
        said = place.refuses(*TRAIN, *words)
        assert "add --resume to go on, or remove the folder" in " ".join(said.split())
    assert "it is a checkpoint of another model than this one" in place.refuses(*TRAIN, "--resume", "-P", "units=3")
    assert "was begun without --batch-size, and is now with --batch-size 3" in place.refuses(*TRAIN, "--resume", "--batch-size", "3")
    assert checkpoints(place) == before


@pytest.mark.parametrize("words", [("--checkpoint", "1"), ("--checkpoint", "every=0"), ("--checkpoint", ""), ("--keep", "2")])
def test_options_that_do_not_fit_are_refused(place: Workplace, words: tuple[str, ...]) -> None:
    assert words[0] in place.refuses(*TRAIN, *words)
    assert not (place.folder / "out.rnnc.checkpoints").exists()


def test_only_the_same_training_is_resumed(place: Workplace, whole: bytes) -> None:
    """With another seed, size of batches or data the rest would be of another training; more epochs are of the same one."""
    broken_off(place, "full", 4, "--checkpoint", "every=1")
    for words, message in {
        ("--seed", "1"): "was begun with --seed 0, and is now with --seed 1",
        ("--batch-size", "3"): "was begun without --batch-size, and is now with --batch-size 3",
        ("--no-shuffle",): "was begun without --shuffle, and is now with --no-shuffle",
    }.items():
        told = place.refuses(*TRAIN, "--resume", *words)
        assert f"--resume: the training in out.rnnc.checkpoints {message}: to go on, give what the training was begun with" in told
    content = (place.folder / "trend.npz").read_bytes()
    np.savez(place.folder / "trend.npz", **{**np.load(io.BytesIO(content)), "more": np.ones(1)})
    assert "--resume: --data is another than it was: to go on, give" in place.refuses(*TRAIN, "--resume")
    (place.folder / "trend.npz").write_bytes(content)
    assert resumed(place)[0] == whole
