"""Files, which may come from strangers: read if they are regular and not too large, written so that nothing is lost or left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from rnnspec.signals import deferred

try:
    import fcntl
except ImportError:  # not on every system; there nothing is locked, and nothing that was left behind is removed
    fcntl = None

SPEC_LIMIT = 4 * 2**20
"""Bytes of a spec's file that are read at all. The language allows far fewer, and says so: see `frontend.limits`."""

LARGE_LIMIT = 64 * 2**30
"""Bytes of a file of weights or data, where the machine has memory for so many."""

CHUNK = 2**20

_READING = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_WRITING = os.O_WRONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))

_PART = re.compile(r"\.rnnspec-[0-9a-f]{32}\.part")
"""The names of files that are being written."""

_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"))


def large_limit() -> int:
    """`LARGE_LIMIT`, or the machine's memory if that is less."""
    there = physical_memory()
    return LARGE_LIMIT if there is None else min(LARGE_LIMIT, there)


def physical_memory() -> int | None:
    """The machine's memory in bytes; None where the system doesn't say."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return size if size > 0 else None


def open_file(path: str | os.PathLike[str], limit: int) -> BinaryIO:
    """A file, opened to be read; OSError, naming it, if it isn't a regular one of at most `limit` bytes.

    It is looked at before it is opened, since opening a device may already do something, and again once
    it is open, when nobody can put another one in its place. A pipe without a writer is never waited for.
    """
    name = os.fspath(path)
    _check(Path(name).stat(), name, limit)
    descriptor = os.open(name, _READING)
    try:
        _check(os.fstat(descriptor), name, limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """All of a file; OSError as for `open_file`, also if the file grows beyond the limit meanwhile."""
    name = os.fspath(path)
    with open_file(name, limit) as file:
        try:
            content = read_at_most(file.read, limit, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from None
    if content is None:
        raise _too_large(name, limit)
    return content


def read_at_most(read: Callable[[int], bytes | None], limit: int, expected: int = CHUNK) -> bytes | None:
    """All bytes from `read`, which is called with a size until it returns none; None if there are more than `limit` bytes."""
    parts: list[bytes] = []
    left, chunk = limit + 1, max(expected, 0) + 1
    while left > 0 and (part := read(min(left, chunk))):
        parts.append(part)
        left -= len(part)
        chunk = CHUNK
    if left <= 0:
        return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check(status: os.stat_result, name: str, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for test, kind in _KINDS if test(status.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", name)
    if status.st_size > limit:
        raise _too_large(name, limit)


def _too_large(name: str, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {limit / 2**20:,.0f} MiB, the most that is read here", name)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file beside its place and move it there; OSError, which names the path, leaves an older file as it was.

    The older file's mode is kept, and a link stays a link. What killed processes left of such writes in the folder is removed.
    """
    write_parts_atomically(path, (content,))


def write_parts_atomically(path: Path, parts: Iterable[bytes]) -> None:
    """As `write_atomically`, of the parts of a content one after the other; an error that making one of them raises stays as it is."""
    try:
        place = path.resolve()
        before = _regular(path, place)
        remove_dead_parts(place.parent)
        write_beside(place, parts, before=before, to_disk=True)
    except _OfParts as error:
        raise error.cause from None
    except RuntimeError:  # what `resolve` calls links that go round in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path)) from None
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


class _OfParts(Exception):
    """The error of who makes the parts of a content, told from those of writing them."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def _made(parts: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    except Exception as error:
        raise _OfParts(error) from None


def _regular(path: Path, place: Path) -> os.stat_result | None:
    """The file in that place, None if there is none."""
    try:
        status = place.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} exists and isn't a regular file")
    return status


def write_beside(
    place: Path, content: bytes | Iterable[bytes], *, before: os.stat_result | None = None, mode: int = 0o666, to_disk: bool = False
) -> None:
    """Write a file under another name in its folder, then move it to its place; whatever fails, nothing is left of it.

    `content`: its bytes, or parts of them in order. `before`: the file there, whose mode and owner are kept; `mode`: of a new one, less
    what the process masks. `to_disk`: it outlives a loss of power.
    """
    made: list[tuple[Path, BinaryIO]] = []
    try:
        deferred(lambda: made.append(_new_part(place.parent, mode if before is None else 0o600)))
        ((temporary, file),) = made
        with file:
            for part in (content,) if isinstance(content, bytes) else _made(content):
                file.write(part)
            file.flush()
            if before is not None:
                _make_alike(file.fileno(), before)
            if to_disk:
                os.fsync(file.fileno())
            if fcntl is not None:
                temporary.replace(place)  # while it is still locked
        if fcntl is None:
            temporary.replace(place)
    except BaseException:
        for temporary, file in made:
            file.close()
            temporary.unlink(missing_ok=True)
        raise


def _make_alike(descriptor: int, before: os.stat_result) -> None:
    """Gives an open file the owner, if the process may, and the mode of another."""
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid) and hasattr(os, "fchown"):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    mode = stat.S_IMODE(before.st_mode) & 0o777
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode and hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def try_to_write_beside(place: Path) -> None:
    """Make a part in a file's folder, as writing it will, and take it away; OSError if that isn't possible."""
    path, file = _new_part(place.parent, 0o600)
    file.close()
    path.unlink()


def _new_part(folder: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file of a name of its own, locked as long as it is open.

    The lock goes with the process, however that ends: a part whose lock can be had is nobody's any more.
    """
    while True:
        path = folder / f".rnnspec-{os.urandom(16).hex()}.part"
        descriptor = os.open(path, (_WRITING & ~getattr(os, "O_NONBLOCK", 0)) | os.O_CREAT | os.O_EXCL, mode)
        try:
            if _locked(descriptor, path):
                return path, os.fdopen(descriptor, "wb")
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    """Locks a part that was just made; False if another process took it for a dead one before it was locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the others can't lock it either
        return True
    return path.exists()


def is_part(name: str) -> bool:
    """Whether a file's name is one of those that files have while they are written here."""
    return _PART.fullmatch(name) is not None


def remove_dead_parts(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for path in [entry.path for entry in entries if is_part(entry.name)]:
            remove_if_dead(path)


def remove_if_dead(path: str) -> None:
    """Removes a part that no process is writing any more."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, _WRITING)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(path).unlink()
        finally:
            os.close(descriptor)
