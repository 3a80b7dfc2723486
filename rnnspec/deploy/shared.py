"""Shared libraries, by a linker of this machine's or the one in the package `ziglang`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Literal, assert_never

from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import APPLE_NAMES
from rnnspec.kernel.target import Target

LinkKind = Literal["so", "dylib", "dll", "wasm"]

SECONDS = 300
"""The most that a linker may take: zig compiles what it needs the first time."""

_SYSTEMS: Mapping[LinkKind, tuple[str, str]] = {
    "so": ("ELF", "Linux's"),
    "dylib": ("MachO", "macOS's"),
    "dll": ("COFF", "Windows'"),
    "wasm": ("Wasm", "WebAssembly's"),
}
"""The objects of which a kind is made, and whose it is."""

KINDS: tuple[LinkKind, ...] = tuple(_SYSTEMS)

OLDEST_MACOS = "11.0"
"""The first macOS for Arm's processors."""

_VERSIONS = range(22, 13, -1)
"""Of LLVM, by which Debian names programs."""


@frozen
class Linker:
    """A linker: the command, and its arguments before the objects."""

    command: str
    arguments: tuple[str, ...]


@frozen
class Parts:
    """What is linked: objects for a target, and the functions that are seen, whose names begin with `prefix`.

    `runtime`: an object with what Windows' C library has, empty for other systems.
    """

    prefix: str
    target: Target
    objects: tuple[bytes, ...]
    symbols: tuple[str, ...]
    runtime: bytes = b""


def file_name(prefix: str, kind: LinkKind) -> str:
    """A library's, as its system has it."""
    return f"{prefix}.dll" if kind == "dll" else f"lib{prefix}.{kind}"


def check_kind(kind: LinkKind, target: Target) -> None:
    """CannotBuild for a target whose system has no such libraries."""
    made_of, whose = _SYSTEMS[kind]
    if target.object_format != made_of or (target.relocation != "pic" and kind != "wasm"):
        own = next((name for name, (other, _) in _SYSTEMS.items() if other == target.object_format and target.relocation == "pic"), "")
        instead = f"; its own are `{own}`" if own else ""
        raise CannotBuild(
            f"link: a library for {target.name} can't be a .{kind}, which is {whose}; leave it out, or leave out the target{instead}"
        )


def linkers(kind: LinkKind, parts: Parts, host: Target) -> tuple[Linker, ...]:
    """The linkers that can make a library of a kind that the target has on a machine `host`, the first one first."""
    target, symbols = parts.target, parts.symbols
    match kind:
        case "so":
            options = [f"-soname={file_name(parts.prefix, kind)}", "--version-script=seen", "--build-id=none", "-znow", "-znoexecstack"]
            compilers = [f"{target.architecture}-linux-gnu-gcc"]
            if (target.architecture, target.object_format) == (host.architecture, host.object_format):
                compilers = ["cc", "gcc", *compilers]
            through = ("-shared", "-nostdlib", *(f"-Wl,{option}" for option in options))
            own = ("-shared", *options)
            return Linker("ld.lld", own), *(Linker(name, through) for name in compilers), Linker("zig", ("ld.lld", *own))
        case "dylib":
            name = APPLE_NAMES.get(target.architecture, target.architecture)
            options = [("-install_name", f"@rpath/{file_name(parts.prefix, kind)}"), ("-undefined", "dynamic_lookup")]
            seen = [("-exported_symbol", f"_{symbol}") for symbol in symbols]
            own = ("-dylib", "-arch", name, "-platform_version", "macos", OLDEST_MACOS, OLDEST_MACOS, *chain(*options, *seen))
            names = ("ld64.lld", *(f"ld64.lld-{version}" for version in _VERSIONS))
            through = ("-shared", *(f"-Wl,{','.join(pair)}" for pair in options))
            shown = (f"-Wl,{','.join(pair)}" for pair in seen)
            apple = Linker("cc", (*through, "-arch", name, f"-mmacosx-version-min={OLDEST_MACOS}", *shown))
            zig = Linker("zig", ("cc", "-target", f"{target.architecture}-macos.{OLDEST_MACOS}", *through))
            return *([apple] if host.object_format == "MachO" else []), *(Linker(each, own) for each in names), zig
        case "dll":
            own = ("/dll", "/noentry", "/nodefaultlib", "/brepro", "/nologo", *(f"/export:{symbol}" for symbol in symbols))
            through = ("-shared", "-nostdlib", "-s", "-Wl,--entry=0", "-Wl,--no-insert-timestamp", "seen.def")
            gcc = f"{target.architecture}-w64-mingw32-gcc"
            return Linker("lld-link", own), Linker(gcc, through), Linker("zig", ("lld-link", *own))
        case "wasm":
            return ()
    assert_never(kind)


def find_program(command: str) -> str | None:
    """The path of a command; of zig that of Python's package, too."""
    path = shutil.which(command)
    if path is None and command == "zig" and (package := find_spec("ziglang")) is not None and package.origin is not None:
        inside = Path(package.origin).with_name("zig")
        return next((str(each) for each in (inside, inside.with_suffix(".exe")) if each.exists()), None)
    return path


_HINTS: Mapping[LinkKind, str] = {
    "so": "Debian's package lld has the first, and `pip install 'rnnspec[link]'` has zig",
    "dylib": "Debian's package lld has ld64.lld, and `pip install 'rnnspec[link]'` has zig",
    "dll": "Debian's package lld has the first, and `pip install 'rnnspec[link]'` has zig",
    "wasm": "",
}


def shared_library(kind: LinkKind, parts: Parts, host: Target, find: Callable[[str], str | None] = find_program) -> bytes:
    """The shared library, linked on a machine `host`.

    CannotBuild for another system's target, if nothing here links, or if what does fails.
    """
    check_kind(kind, parts.target)
    known = linkers(kind, parts, host)
    failed: CannotBuild | None = None
    for linker in known:
        if (path := find(linker.command)) is None:
            continue
        try:
            return _linked(kind, parts, linker, path)
        except CannotBuild as error:  # one behind it may have what this one hasn't
            failed = failed or error
    if failed is not None:
        raise failed
    tried = ", ".join(linker.command for linker in known)
    raise CannotBuild(f"link: nothing here links for {parts.target.name}; tried {tried}, of which {_HINTS[kind]}")


def _linked(kind: LinkKind, parts: Parts, linker: Linker, path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
        inside = Path(folder)
        own = (*parts.objects, parts.runtime) if parts.runtime else parts.objects
        objects = [f"{number}.o" for number in range(len(own))]
        for name, content in zip(objects, own, strict=True):
            (inside / name).write_bytes(content)
        (inside / "seen").write_text(f"{{ global: {' '.join(f'{symbol};' for symbol in parts.symbols)} local: *; }};\n")
        (inside / "seen.def").write_text("\n".join(("EXPORTS", *(f"    {symbol}" for symbol in parts.symbols))) + "\n")
        # Its name stands in a library of Windows.
        made = file_name(parts.prefix, kind)
        output = [f"/out:{made}"] if "lld-link" in (linker.command, *linker.arguments) else ["-o", made]
        command: Sequence[str] = [path, *linker.arguments, *objects, *output]
        try:
            done = subprocess.run(command, cwd=inside, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotBuild(f"link: {linker.command} didn't run: {error}") from None
        if done.returncode or not (inside / made).exists():
            said = next(_lines(done.stderr, done.stdout), f"it ended with {done.returncode}")
            raise CannotBuild(f"link: {linker.command} made no library for {parts.target.name}: {said}")
        return (inside / made).read_bytes()


def _lines(*texts: str) -> Iterator[str]:
    """Of each text the last line that tells of an error, or the last one."""
    for text in texts:
        if lines := text.strip().splitlines():
            yield next((line for line in reversed(lines) if "error" in line), lines[-1])
