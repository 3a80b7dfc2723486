"""Compiled objects on disk, shared by processes: written atomically, bounded in size but for a few writes, oldest first out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

MOST_BYTES = 256 * 1024 * 1024
SUFFIX, PART = ".object", ".part"
DIGEST_BYTES = 32
LOOKS = 16
"""One write in so many goes through the folder, which takes as long as a small model's LLVM code where thousands of files are in it."""


def default_folder() -> Path | None:
    """`RNNSPEC_CACHE`, else the user's cache folder; None if `RNNSPEC_CACHE` is empty: no cache."""
    chosen = os.environ.get("RNNSPEC_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
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
        """A file name that stands for all the parts together."""
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode()
            digest.update(f"{len(encoded)}:".encode())
            digest.update(encoded)
        return digest.hexdigest()

    def read(self, key: str) -> bytes | None:
        """The bytes kept under a key; None if there are none, or if they are damaged."""
        if self.folder is None:
            return None
        path = self.folder / (key + SUFFIX)
        try:
            content = path.read_bytes()
            digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
            if hashlib.sha256(data).digest() != digest:
                path.unlink(missing_ok=True)
                return None
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keeps bytes under a key, in one step: another process sees all of it or nothing."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=PART)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(data).digest() + data)
                Path(name).replace(self.folder / (key + SUFFIX))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            if key.startswith("0") or len(data) * LOOKS >= self.most_bytes:  # a digest's first digit is any of sixteen
                self._evict()

    def _evict(self) -> None:
        """Removes what was used longest ago until the rest fits; that counts what a killed process left half written."""
        if self.folder is None:
            return
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, PART)):
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        found.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.most_bytes:
                break
            Path(path).unlink(missing_ok=True)
            total -= size
