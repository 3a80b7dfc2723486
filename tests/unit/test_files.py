"""Files that may come from strangers, and files that are written so that nothing is lost or left behind."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

import rnnspec
from rnnspec import files
from rnnspec.files import is_part, large_limit, read_at_most, read_file, remove_dead_parts, write_atomically

PART = f".rnnspec-{'0' * 32}.part"


def modes(folder: Path) -> dict[str, int]:
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()}


# Reading


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 100])
def test_all_of_a_regular_file_within_the_limit(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file", 100) == read_file(str(tmp_path / "link"), 100) == content


def test_one_byte_too_many(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 101)
    with pytest.raises(OSError, match="it is larger than 0 MiB, the most that is read here") as raised:
        read_file(tmp_path / "file", 100)
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(tmp_path / "file"))


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


KINDS: dict[str, Callable[[Path], None]] = {"a named pipe": make_pipe, "a device": make_device, "a socket": make_socket}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is at most a hundred characters
    path = tmp_path / "strange"
    KINDS[kind](path)
    (tmp_path / "link").symlink_to("strange")
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(arguments))
    for name in ("strange", "link"):
        with pytest.raises(OSError, match=f"it is {kind}, not a regular file") as raised:
            read_file(tmp_path / name, 100)
        assert raised.value.filename == str(tmp_path / name)
    assert not opened


def test_a_pipe_put_in_a_files_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the path was looked at, and before it is opened."""
    path, real, opened = tmp_path / "file", os.open, list[int]()
    path.write_bytes(b"x")

    def exchanged(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        opened.append(real(name, flags))
        return opened[0]

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(OSError, match="it is a named pipe"):
        read_file(path, 100)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 100)
    with pytest.raises(FileNotFoundError) as raised:
        read_file(tmp_path / "absent", 100)
    assert raised.value.filename == str(tmp_path / "absent")


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    fstat = os.fstat

    def grown(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with path.open("ab") as file:
            file.write(b"y" * 60)
        return status

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(OSError, match="it is larger than"):
        read_file(path, 100)


def test_reading_asks_for_no_more_than_the_limit_and_one() -> None:
    asked: list[int] = []

    def endless(size: int) -> bytes:
        asked.append(size)
        return b"x" * min(size, 7)

    assert read_at_most(endless, 100) is None
    assert sum(min(size, 7) for size in asked) == 101
    parts = iter([b"ab", b"c", b""])
    assert read_at_most(lambda size: next(parts), 100) == b"abc"
    assert read_at_most(lambda size: None, 100) == b""


def test_a_large_file_is_never_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < large_limit() <= files.LARGE_LIMIT
    monkeypatch.setattr(files, "physical_memory", lambda: 1000)
    assert large_limit() == 1000
    monkeypatch.setattr(files, "physical_memory", lambda: None)
    assert large_limit() == files.LARGE_LIMIT


# Writing


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400, 0o777])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "model.rnnc"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert modes(tmp_path) == {"model.rnnc": mode}
    path.chmod(0o600)
    assert path.read_bytes() == b"new"


def test_what_replaces_a_private_file_is_private_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "model.rnnc", list[dict[str, int]]()
    path.write_bytes(b"old")
    path.chmod(0o600)
    real = os.fdopen

    def watched(descriptor: int, mode: str) -> IO[bytes]:
        seen.append(modes(tmp_path))
        return real(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", watched)
    write_atomically(path, b"new")
    assert [set(found.values()) for found in seen] == [{0o600}]


def test_a_link_keeps_its_targets_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to("target")
    write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_links_that_go_round_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError) as raised:
        write_atomically(tmp_path / "a", b"x")
    assert raised.value.errno == errno.ELOOP


KILLED = """
import os, signal, sys
from pathlib import Path
from rnnspec import files

def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "fsync":
    os.fsync = kill
else:
    Path.replace = kill
files.write_atomically(Path(sys.argv[1]), b"new" * 1000)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    root = Path(rnnspec.__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=root, timeout=60)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path, step: str) -> None:
    path = tmp_path / "model.rnnc"
    path.write_bytes(b"old")
    assert run(KILLED, str(path), step).returncode == -signal.SIGKILL
    left = [entry.name for entry in tmp_path.iterdir() if entry.name != "model.rnnc"]
    assert len(left) == 1 and is_part(left[0])
    assert path.read_bytes() == b"old"
    write_atomically(tmp_path / "other.rnnc", b"new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.rnnc", "other.rnnc"]


def test_what_is_being_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread or process looks for what was left while a file is written."""
    fsync, parts = os.fsync, list[str]()

    def meanwhile(descriptor: int) -> None:
        remove_dead_parts(tmp_path)
        parts.extend(entry.name for entry in tmp_path.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_atomically(tmp_path / "file", b"x")
    assert len(parts) == 1 and is_part(parts[0])
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_part_that_was_taken_for_dead_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = os.open, list[str]()

    def slow(path: Path, flags: int, mode: int) -> int:
        descriptor = real(path, flags, mode)
        made.append(str(path))
        if len(made) == 1:
            monkeypatch.setattr(os, "open", real)
            remove_dead_parts(tmp_path)
            monkeypatch.setattr(os, "open", slow)
        return descriptor

    monkeypatch.setattr(os, "open", slow)
    write_atomically(tmp_path / "file", b"x")
    assert len(made) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_nothing_else_is_taken_for_what_was_left(tmp_path: Path) -> None:
    kept = ["download.part", ".rnnspec-0.part", PART + "x", ".rnnspec", "x" + PART]
    for name in kept:
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / f".rnnspec-{'1' * 32}.part")
    (tmp_path / f".rnnspec-{'2' * 32}.part").mkdir()
    (tmp_path / f".rnnspec-{'3' * 32}.part").symlink_to("download.part")
    (tmp_path / PART).write_bytes(b"x")
    before = {entry.name for entry in tmp_path.iterdir()}
    remove_dead_parts(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == before - {PART}


def test_without_locks_files_are_written_and_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PART).write_bytes(b"x")
    monkeypatch.setattr(files, "fcntl", None)
    write_atomically(tmp_path / "file", b"x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [PART, "file"]
    assert (tmp_path / "file").read_bytes() == b"x"
