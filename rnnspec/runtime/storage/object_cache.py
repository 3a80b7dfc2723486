"""Compiled objects on disk, shared by a user's processes: written atomically, bounded in size but for a few writes, oldest first out.

Object code is code: whoever can write an entry can run what they like in the process that takes it. So nothing is taken from, or put
into, a folder that others own or may write to, and no file of theirs is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import warnings
from pathlib import Path

from rnnspec.files import is_part, open_file, read_at_most, remove_if_dead, write_beside

MOST_BYTES = 256 * 1024 * 1024
SUFFIX, PART = ".object", ".part"
"""Endings of entries' names, and of unfinished files from earlier versions."""

DIGEST_BYTES = 32
LOOKS = 16
"""One write in so many goes through the folder, which takes as long as a small model's LLVM code where thousands of files are in it."""

_looked_at: set[Path] = set()
"""Folders that this process has gone through: its first write to one does."""

_refused: set[Path] = set()
"""Folders for which this process has warned."""


class CacheWarning(UserWarning):
    """The reason why the cache isn't used."""


def default_folder() -> Path | None:
    """`RNNSPEC_CACHE`, else the user's cache folder; None if `RNNSPEC_CACHE` is empty: no cache. `~` is the user's home."""
    chosen = os.environ.get("RNNSPEC_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        if chosen is not None:
            return Path(chosen).expanduser() if chosen else None
        return (Path(base) if base else Path.home() / ".cache") / "rnnspec"
    except RuntimeError:
        return None


class ObjectCache:
    """Object bytes by key. A folder that can't be read or written is no error: nothing is found, nothing kept."""

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    @staticmethod
    def key(*parts: str) -> str:
        """The file name of an entry: a digest of all parts together."""
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode(errors="surrogatepass")
            digest.update(f"{len(encoded)}:".encode())
            digest.update(encoded)
        return digest.hexdigest()

    def read(self, key: str) -> bytes | None:
        """The bytes kept under a key; None if there are none, or if they are damaged or another user's."""
        if self.folder is None or not _trusted(self.folder):
            return None
        path = self.folder / (key + SUFFIX)
        try:
            with open_file(path, MOST_BYTES) as file:
                status = os.fstat(file.fileno())
                if not _own(status):
                    return None
                content = read_at_most(file.read, MOST_BYTES, status.st_size)
                with contextlib.suppress(OSError):
                    os.utime(file.fileno() if os.utime in os.supports_fd else path)
            data = b"" if content is None else content[DIGEST_BYTES:]
            if content is None or _digest(key, data) != content[:DIGEST_BYTES]:
                path.unlink(missing_ok=True)
                return None
        except OSError:
            return None
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keeps bytes under a key, in one step: another process sees all of it or nothing."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _trusted(self.folder):
                return
            write_beside(self.folder / (key + SUFFIX), _digest(key, data) + data, mode=0o600)
            first = self.folder not in _looked_at
            if first or key.startswith("0") or len(data) * LOOKS >= self.most_bytes:  # a digest's first digit is any of sixteen
                _looked_at.add(self.folder)
                self._evict()

    def remove(self, key: str) -> None:
        """Removes the entry of a key, which is of no use any more."""
        if self.folder is not None and _trusted(self.folder):
            with contextlib.suppress(OSError):
                (self.folder / (key + SUFFIX)).unlink(missing_ok=True)

    def _evict(self) -> None:
        """Removes unfinished files of killed processes, then the least recently used entries until the rest fits."""
        if self.folder is None:
            return
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if is_part(entry.name):
                    remove_if_dead(entry.path)
                elif entry.name.endswith((SUFFIX, PART)):
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.most_bytes:
                break
            Path(path).unlink(missing_ok=True)
            total -= size


def _digest(key: str, data: bytes) -> bytes:
    """Of an entry, its name included: under another one it is damaged."""
    digest = hashlib.sha256(key.encode())
    digest.update(data)
    return digest.digest()


def _own(status: os.stat_result) -> bool:
    """Whether a file or folder is this user's, or the system's, and nobody else may write to it."""
    if not hasattr(os, "geteuid"):  # where rights aren't what `stat` says, the user's folder is private by its place
        return True
    return status.st_uid in (os.geteuid(), 0) and not stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)


def _trusted(folder: Path) -> bool:
    """Whether the folder may be used; warns once of one that may not. One that isn't there may not either, without a word."""
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return False
    if _own(status):
        return True
    if folder not in _refused:
        _refused.add(folder)
        owner = f"belongs to user {status.st_uid}" if status.st_uid not in (os.geteuid(), 0) else "may be written to by others"
        advice = (
            f"`chmod go-w {folder}`, or another folder in RNNSPEC_CACHE" if owner.startswith("may") else "name another one in RNNSPEC_CACHE"
        )
        warnings.warn(
            CacheWarning(f"the cache {folder} isn't used: it {owner}, who could put code of theirs there; {advice}"), stacklevel=2
        )
    return False
