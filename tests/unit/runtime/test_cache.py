"""The cache of compiled objects: atomic, bounded, never in the way, shared by processes."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import rnnspec
from rnnspec.files import is_part
from rnnspec.runtime.storage import object_cache as module
from rnnspec.runtime.storage.object_cache import DIGEST_BYTES, ObjectCache, default_folder

KEYS = [ObjectCache.key(str(number)) for number in range(8)]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def aged(cache: ObjectCache, key: str, seconds: int) -> None:
    """As if the entry had been used at that second."""
    assert cache.folder is not None
    os.utime(cache.folder / f"{key}.object", (seconds, seconds))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "deep" / "cache")
    assert cache.read(KEYS[0]) is None
    for data in (b"object", b"", b"x" * 100_000):
        cache.write(KEYS[0], data)
        assert cache.read(KEYS[0]) == data
        assert ObjectCache(tmp_path / "deep" / "cache").read(KEYS[0]) == data
    assert cache.read(KEYS[1]) is None
    assert names(tmp_path / "deep" / "cache") == [f"{KEYS[0]}.object"]


def test_a_key_stands_for_its_parts_in_their_order() -> None:
    keys = [ObjectCache.key(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("c", "ab"), (), ("",))]
    assert len(set(keys)) == len(keys)
    assert ObjectCache.key("ä", "b") == ObjectCache.key("ä", "b")
    assert all(key.isalnum() for key in keys)


def test_no_folder_is_no_cache() -> None:
    cache = ObjectCache(None)
    cache.write(KEYS[0], b"x")
    assert cache.read(KEYS[0]) is None


@pytest.mark.parametrize("place", [0, DIGEST_BYTES - 1, DIGEST_BYTES, -1])
def test_a_damaged_entry_is_no_entry(tmp_path: Path, place: int) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"object")
    path = tmp_path / f"{KEYS[0]}.object"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.read(KEYS[0]) is None
    assert names(tmp_path) == []
    cache.write(KEYS[0], b"object")
    assert cache.read(KEYS[0]) == b"object"


def test_a_truncated_entry_is_no_entry(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"object")
    path = tmp_path / f"{KEYS[0]}.object"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert cache.read(KEYS[0]) is None, length


def test_oldest_out_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, most_bytes=3 * (DIGEST_BYTES + 10))
    for number in range(3):
        cache.write(KEYS[number], b"0123456789")
        aged(cache, KEYS[number], 1000 + number)
    assert cache.read(KEYS[0]) is not None  # used now, so that the second is the oldest
    cache.write(KEYS[3], b"0123456789")
    assert names(tmp_path) == sorted(f"{KEYS[number]}.object" for number in (0, 2, 3))
    aged(cache, KEYS[3], 999)
    cache.write(KEYS[4], b"x" * (DIGEST_BYTES + 20))
    assert cache.read(KEYS[4]) is not None
    assert cache.read(KEYS[3]) is None
    assert cache.read(KEYS[2]) is None
    assert cache.read(KEYS[0]) is not None


def test_one_write_in_sixteen_goes_through_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small entries exceed the bound by the few that are written in between; a large one is looked at at once."""
    looks: list[object] = []
    scan = os.scandir
    monkeypatch.setattr(module.os, "scandir", lambda folder: (looks.append(folder), scan(folder))[1])
    entry, most = DIGEST_BYTES + 10, 100
    cache = ObjectCache(tmp_path, most_bytes=most * entry)
    for number in range(10 * most):
        cache.write(cache.key(str(number)), b"0123456789")
        assert len(names(tmp_path)) < 3 * most
    assert 20 < len(looks) < 200
    looks.clear()
    key = next(key for key in map(cache.key, "abcdefgh") if not key.startswith("0"))
    cache.write(key, b"x" * (most * entry // 2))
    assert len(looks) == 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= most * entry


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, most_bytes=100)
    cache.write(KEYS[0], b"x" * 100)
    assert names(tmp_path) == []


def test_what_a_killed_process_left_counts_and_goes(tmp_path: Path) -> None:
    """Half-written files are no entries, yet the folder stays within its bound; nobody else's files are touched."""
    (tmp_path / "left.part").write_bytes(b"x" * 500)
    os.utime(tmp_path / "left.part", (1000, 1000))
    (tmp_path / "notes.txt").write_bytes(b"x" * 500)
    cache = ObjectCache(tmp_path, most_bytes=600)
    cache.write(KEYS[0], b"x" * 10)
    assert "left.part" in names(tmp_path)
    cache.write(KEYS[1], b"x" * 100)
    assert names(tmp_path) == sorted([f"{KEYS[0]}.object", f"{KEYS[1]}.object", "notes.txt"])


def full(*arguments: object, **named: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fdopen", "replace"])
def test_a_full_disk_keeps_the_old_entry_and_leaves_nothing_half_written(tmp_path: Path, step: str) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*((os, step) if step == "fdopen" else (Path, step)), full)
        cache.write(KEYS[0], b"new")
        cache.write(KEYS[1], b"new")
    assert cache.read(KEYS[0]) == b"old"
    assert cache.read(KEYS[1]) is None
    assert names(tmp_path) == [f"{KEYS[0]}.object"]


def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ObjectCache(tmp_path).write(KEYS[0], b"x")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        cache = ObjectCache(folder)
        cache.write(KEYS[0], b"x")
        assert cache.read(KEYS[0]) is None
    assert (tmp_path / "file").read_bytes() == b""


def test_a_folder_that_can_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that can't be marked as used is an entry all the same."""
    ObjectCache(tmp_path).write(KEYS[0], b"x")

    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(module, "write_beside", refuse)
    cache = ObjectCache(tmp_path)
    assert cache.read(KEYS[0]) == b"x"
    cache.write(KEYS[1], b"y")
    assert names(tmp_path) == [f"{KEYS[0]}.object"]


def test_an_entry_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / f"{KEYS[0]}.object").mkdir()
    cache = ObjectCache(tmp_path, most_bytes=0)
    assert cache.read(KEYS[0]) is None
    cache.write(KEYS[0], b"x")
    cache.write(KEYS[1], b"x")
    assert cache.read(KEYS[0]) is None


# Whose it is


@pytest.fixture(autouse=True)
def not_warned_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_refused", set[Path]())
    monkeypatch.setattr(module, "_looked_at", set[Path]())


def given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file or folder is another user's, neither this one's nor the system's."""
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(module.os, "geteuid", lambda: os.getuid() + 1)


def test_folder_and_files_are_their_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ObjectCache(tmp_path / "deep" / "cache").write(KEYS[0], b"x")
    finally:
        os.umask(before)
    folder = tmp_path / "deep" / "cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{KEYS[0]}.object").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    cache = ObjectCache(folder)
    cache.write(KEYS[0], b"x")
    folder.chmod(mode)
    with pytest.warns(module.CacheWarning, match=r"it may be written to by others, who could .*; `chmod go-w .*cache`") as caught:
        assert cache.read(KEYS[0]) is None
        cache.write(KEYS[1], b"x")
        cache.remove(KEYS[0])
        assert ObjectCache(folder).read(KEYS[0]) is None
    assert len(caught) == 1
    assert names(folder) == [f"{KEYS[0]}.object"]
    folder.chmod(0o755)
    assert cache.read(KEYS[0]) == b"x"


def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    cache = ObjectCache(folder)
    cache.write(KEYS[0], b"x")
    given_away(folder, monkeypatch)
    with pytest.warns(module.CacheWarning, match=r"it belongs to user \d+, .*; name another one in RNNSPEC_CACHE") as caught:
        assert cache.read(KEYS[0]) is None
        cache.write(KEYS[1], b"x")
    assert len(caught) == 1
    assert names(folder) == [f"{KEYS[0]}.object"]


def test_another_users_entry_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = ObjectCache(tmp_path), tmp_path / f"{KEYS[0]}.object"
    cache.write(KEYS[0], b"theirs")
    if os.geteuid() == 0:
        given_away(path, monkeypatch)
        assert cache.read(KEYS[0]) is None
        cache.write(KEYS[0], b"ours")
        assert path.stat().st_uid == 0
    path.chmod(0o666)
    assert cache.read(KEYS[0]) is None
    cache.write(KEYS[0], b"ours")
    assert cache.read(KEYS[0]) == b"ours"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_systems_own_folder_may_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"x")
    if os.geteuid() == 0:
        monkeypatch.setattr(module.os, "geteuid", lambda: 12345)
        assert cache.read(KEYS[0]) == b"x"


def test_an_entry_under_another_name_is_no_entry(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"x")
    (tmp_path / f"{KEYS[0]}.object").rename(tmp_path / f"{KEYS[1]}.object")
    assert cache.read(KEYS[1]) is None
    assert names(tmp_path) == []


def test_entries_that_are_no_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ObjectCache(tmp_path)
    os.mkfifo(tmp_path / f"{KEYS[0]}.object")
    (tmp_path / f"{KEYS[1]}.object").symlink_to("/dev/zero")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *arguments: pytest.fail(f"opened {arguments}"))
        assert cache.read(KEYS[0]) is cache.read(KEYS[1]) is None
    for key in KEYS[:2]:
        cache.write(key, b"x")
        assert cache.read(key) == b"x"


def test_an_entry_is_removed(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.write(KEYS[0], b"x")
    cache.remove(KEYS[0])
    cache.remove(KEYS[1])
    ObjectCache(None).remove(KEYS[0])
    ObjectCache(tmp_path / "absent").remove(KEYS[0])
    assert cache.read(KEYS[0]) is None
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from rnnspec.runtime.storage.object_cache import ObjectCache

Path.replace = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
ObjectCache(Path(sys.argv[1])).write(ObjectCache.key("0"), b"x")
"""


def test_what_a_killed_process_left_goes_with_the_first_write_of_another(tmp_path: Path) -> None:
    root = Path(rnnspec.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root).returncode == -signal.SIGKILL
    assert [is_part(name) for name in names(tmp_path)] == [True]
    key = next(key for key in KEYS if not key.startswith("0"))
    ObjectCache(tmp_path).write(key, b"x")
    assert names(tmp_path) == [f"{key}.object"]


def test_a_home_is_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RNNSPEC_CACHE", "~/here")
    assert default_folder() == tmp_path / "here"
    monkeypatch.setenv("RNNSPEC_CACHE", "~no user has this name/here")
    assert default_folder() is None


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.setenv("RNNSPEC_CACHE", "")
    assert default_folder() is None
    monkeypatch.delenv("RNNSPEC_CACHE")
    assert default_folder() == tmp_path / "there" / "rnnspec"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "rnnspec"

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None


HAMMER = """
import random, sys
from pathlib import Path
from rnnspec.runtime.storage.object_cache import ObjectCache

random.seed(sys.argv[2])
cache = ObjectCache(Path(sys.argv[1]), most_bytes=40_000)
hits = 0
for turn in range(400):
    number = random.randrange(12)
    key, data = ObjectCache.key(str(number)), bytes([number]) * random.choice([0, 10, 5_000])
    if random.random() < 0.5:
        cache.write(key, data)
    else:
        found = cache.read(key)
        assert found is None or set(found) <= {number}, (number, found[:20])
        hits += found is not None
print(hits)
"""


def test_processes_hammering_one_folder(tmp_path: Path) -> None:
    """Every process sees whole entries or none, none fails, and the folder is within its bound in the end."""
    root = Path(rnnspec.__file__).parents[1]
    processes = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path), str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
        for seed in range(4)
    ]
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert error == b""
        assert process.returncode == 0
        assert int(out) > 0
    ObjectCache(tmp_path, most_bytes=40_000).write(KEYS[0], b"")
    assert not [name for name in names(tmp_path) if not name.endswith(".object")]
    assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) <= 40_000
