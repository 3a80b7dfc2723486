"""Shared libraries, by a linker of this machine's: no package of Python's brings one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target

SECONDS = 60
"""The most that a linker may take."""


@frozen
class Linker:
    """A linker's command; `options` come before those of all linkers, which a compiler is given through `-Wl`."""

    command: str
    options: tuple[str, ...] = ()
    through: bool = False


def linkers(target: Target, host_architecture: str) -> tuple[Linker, ...]:
    """The linkers that can make a target's shared library, the first one first; CannotBuild for a target that has none."""
    if target.object_format != "ELF" or target.relocation != "pic":
        raise CannotBuild(f"link: a library for {target.name} can't be a .so, which is Linux's; leave it out, or leave out the target")
    compilers = [f"{target.architecture}-linux-gnu-gcc"]
    if target.architecture == host_architecture:
        compilers = ["cc", "gcc", *compilers]
    return (Linker("ld.lld"), *(Linker(name, ("-shared", "-nostdlib"), through=True) for name in compilers))


@frozen
class Parts:
    """What is linked: objects for a target, and the functions that are seen, whose names begin with `prefix`."""

    prefix: str
    target: Target
    objects: tuple[bytes, ...]
    symbols: tuple[str, ...]


def shared_library(parts: Parts, host_architecture: str, find: Callable[[str], str | None] = shutil.which) -> bytes:
    """The shared library; CannotBuild if nothing here links, or what does fails."""
    known = linkers(parts.target, host_architecture)
    for linker in known:
        if (path := find(linker.command)) is not None:
            return _linked(parts, linker, path)
    tried = ", ".join(linker.command for linker in known)
    raise CannotBuild(f"link: nothing here links for {parts.target.name}; tried {tried}, of which Debian's package lld has the first")


def _linked(parts: Parts, linker: Linker, path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
        inside = Path(folder)
        objects = [f"{number}.o" for number in range(len(parts.objects))]
        for name, content in zip(objects, parts.objects, strict=True):
            (inside / name).write_bytes(content)
        (inside / "seen").write_text(f"{{ global: {' '.join(f'{symbol};' for symbol in parts.symbols)} local: *; }};\n")
        options = [f"-soname=lib{parts.prefix}.so", "--version-script=seen", "--build-id=none", "-znow", "-znoexecstack"]
        passed = [f"-Wl,{option}" for option in options] if linker.through else ["-shared", *options]
        command: Sequence[str] = [path, *linker.options, *passed, *objects, "-o", "library.so"]
        try:
            done = subprocess.run(command, cwd=inside, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotBuild(f"link: {linker.command} didn't run: {error}") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise CannotBuild(f"link: {linker.command} made no library for {parts.target.name}: {said}")
        return (inside / "library.so").read_bytes()
