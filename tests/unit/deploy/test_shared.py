"""Shared libraries: what links them, what they show, and what is said where nothing links."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.deploy.shared import LinkKind, Parts, check_kind, find_program, linkers, shared_library
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.resources import read_resource

SPEC = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
HOST = compilation_of(SPEC).machine()
NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[HOST.architecture]
NOTHING = Parts("m", BUILD_TARGETS[NATIVE], (b"no object",), ("m_step",))


@pytest.mark.skipif(not any(map(shutil.which, ("ld.lld", "cc", "gcc"))), reason="there is no linker: ld.lld, cc or gcc")
def test_a_shared_library_is_loaded_and_called(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    (report,) = rnnspec.build(model, tmp_path / "tiny", targets=[NATIVE], link="so")
    loaded = ctypes.CDLL(str(tmp_path / "tiny" / NATIVE / "libtiny.so"))
    x, y, state = np.ones((4, 3), np.float32), np.zeros((4, 1), np.float32), np.zeros(report.state, np.uint8)
    addresses = [ctypes.c_void_p(array.ctypes.data) for array in (state, x, y)]
    assert loaded.tiny_steps(*addresses, ctypes.c_size_t(4)) == 0
    stream = model.stream(1)
    assert np.allclose(y[:, 0], [float(stream.step(row[None])[0, 0]) for row in x], rtol=1e-6)
    seen = subprocess.run(
        ["nm", "-D", "--defined-only", f"{NATIVE}/libtiny.so"], cwd=tmp_path / "tiny", capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in seen.stdout.splitlines()] == ["tiny_step", "tiny_steps"]


def commands(kind: LinkKind, target: str, host: str = "x86-64-v2") -> list[str]:
    return [each.command for each in linkers(kind, Parts("m", BUILD_TARGETS[target], (), ("m_step",)), BUILD_TARGETS[host])]


def test_what_links_is_chosen_by_the_target() -> None:
    assert commands("so", "riscv64") == ["ld.lld", "riscv64-linux-gnu-gcc", "zig"]
    assert commands("so", "x86-64-v3") == ["ld.lld", "cc", "gcc", "x86_64-linux-gnu-gcc", "zig"]
    assert commands("dylib", "aarch64-apple")[:2] == ["ld64.lld", "ld64.lld-22"] and commands("dylib", "aarch64-apple")[-1] == "zig"
    assert commands("dll", "x86-64-v3-windows") == ["lld-link", "x86_64-w64-mingw32-gcc", "zig"]


def test_a_compiler_links_for_its_own_system() -> None:
    assert commands("dylib", "aarch64-apple", "aarch64-apple")[:2] == ["cc", "ld64.lld"]
    assert commands("so", "aarch64", "aarch64-apple") == ["ld.lld", "aarch64-linux-gnu-gcc", "zig"]


@pytest.mark.parametrize(("kind", "target", "message"), [
    ("so", "cortex-m4", r"a library for cortex-m4 can't be a \.so, which is Linux's; leave it out, or leave out the target$"),
    ("so", "wasm32", "a library for wasm32 can't be a .so"),
    ("so", "riscv32", "a library for riscv32 can't be a .so"),
    ("so", "x86-64-v3-windows", "leave out the target; its own are `dll`"),
    ("so", "aarch64-apple", "its own are `dylib`"),
    ("dll", "aarch64", r"can't be a \.dll, which is Windows'; leave it out, or leave out the target; its own are `so`"),
    ("dylib", "x86-64-v3", "can't be a .dylib, which is macOS's"),
    ("wasm", "aarch64", "can't be a .wasm, which is WebAssembly's"),
])  # fmt: skip
def test_a_kind_is_one_of_the_targets_system(kind: LinkKind, target: str, message: str) -> None:
    with pytest.raises(CannotBuild, match=message):
        check_kind(kind, BUILD_TARGETS[target])


@pytest.mark.parametrize(("kind", "target", "hint"), [
    ("so", NATIVE, "tried ld.lld, cc, .*, of which Debian's package lld has the first"),
    ("dylib", "aarch64-apple", r"tried ld64.lld, .*, zig, of which .* `pip install 'rnnspec\[link\]'` has zig"),
    ("dll", "x86-64-v3-windows", "tried lld-link, x86_64-w64-mingw32-gcc, zig, of which"),
])  # fmt: skip
def test_a_missing_linker_is_named(kind: LinkKind, target: str, hint: str) -> None:
    with pytest.raises(CannotBuild, match=f"nothing here links for {target}; {hint}"):
        shared_library(kind, replace(NOTHING, target=BUILD_TARGETS[target]), HOST, find=lambda _: None)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_failing_linker_is_named(tmp_path: Path) -> None:
    bad = program(tmp_path / "ld", "echo 'an object was expected' >&2\nexit 3")
    with pytest.raises(CannotBuild, match=f"ld.lld made no library for {NATIVE}: an object was expected"):
        shared_library("so", NOTHING, HOST, find=lambda _: bad)
    with pytest.raises(CannotBuild, match=r"ld\.lld didn't run"):
        shared_library("so", NOTHING, HOST, find=lambda _: str(tmp_path / "none"))
    idle = program(tmp_path / "idle", "exit 0")
    with pytest.raises(CannotBuild, match=r"made no library .*: it ended with 0"):
        shared_library("so", NOTHING, HOST, find=lambda _: idle)


def test_another_linker_may_do_what_the_first_one_cannot(tmp_path: Path) -> None:
    """A linker's arguments end with the objects, of which what Windows' C library has is one, and the file."""
    bad = program(tmp_path / "bad", "exit 3")
    good = program(tmp_path / "good", 'for last; do :; done\necho "$@" > "$last"')
    parts = replace(NOTHING, target=BUILD_TARGETS["x86-64-v3-windows"], runtime=b"another object")
    found = {"lld-link": bad, "x86_64-w64-mingw32-gcc": good}
    made = shared_library("dll", parts, HOST, find=found.get).decode().split()
    assert made[-4:] == ["0.o", "1.o", "-o", "m.dll"] and "seen.def" in made
    first = program(tmp_path / "first", 'for last; do :; done\necho "$@" > "${last#/out:}"')
    made = shared_library("dll", parts, HOST, find={"lld-link": first}.get).decode().split()
    assert made[-3:] == ["0.o", "1.o", "/out:m.dll"] and "/export:m_step" in made
    assert shared_library("dll", parts, HOST, find={"zig": first}.get).decode().split() == ["lld-link", *made]


OTHERS = (("dylib", "aarch64-apple", "libtiny.dylib", b"\xcf\xfa\xed\xfe"), ("dll", "x86-64-v3-windows", "tiny.dll", b"MZ"))


def check_library(kind: LinkKind, target: str, file: str, begins: bytes, folder: Path, found: Callable[[str], str | None]) -> None:
    """The same bytes again, of the system's kind, with the functions' names."""
    model = rnnspec.compile(SPEC, seed=1)
    made: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnspec.deploy.build.shared_library", partial(shared_library, find=found))
        for name in ("one", "other"):
            rnnspec.build(model, folder / name, targets=[target], functions=["step", "forward"], link=kind)
            made.append((folder / name / target / file).read_bytes())
    assert made[0] == made[1] and made[0].startswith(begins)
    for symbol in (b"tiny_step", b"tiny_steps", b"tiny_forward", b"tiny_forward_bytes"):
        assert symbol + b"\0" in made[0]
    for library in (b"api-ms-win", b"msvcrt", b"KERNEL32"):
        assert library not in made[0]


@pytest.mark.parametrize(("kind", "target", "file", "begins"), OTHERS)
def test_libraries_of_other_systems(kind: LinkKind, target: str, file: str, begins: bytes, tmp_path: Path) -> None:
    parts = Parts("tiny", BUILD_TARGETS[target], (), ("tiny_step",))
    if not any(find_program(each.command) for each in linkers(kind, parts, HOST) if each.command != "zig"):
        pytest.skip(f"there is no linker for {target}: Debian's package lld has one")
    check_library(kind, target, file, begins, tmp_path, lambda command: None if command == "zig" else find_program(command))


@pytest.mark.skipif(find_program("zig") is None, reason="there is no zig: pip install 'rnnspec[link]'")
@pytest.mark.parametrize(("kind", "target", "file", "begins"), [("so", NATIVE, "libtiny.so", b"\x7fELF"), *OTHERS])
def test_libraries_by_zig(kind: LinkKind, target: str, file: str, begins: bytes, tmp_path: Path) -> None:
    """All that is linked without Debian's packages."""
    check_library(kind, target, file, begins, tmp_path, lambda command: find_program(command) if command == "zig" else None)


def test_what_windows_has_in_its_c_library(tmp_path: Path) -> None:
    """Compiled for this machine, under other names."""
    text = read_resource("templates", "windows_runtime.ll").replace("@memset", "@own_set").replace("@memcpy", "@own_copy")
    compilation = compilation_of(SPEC)
    host = compilation.backend.host_target()
    parts = Parts("own", host, (compilation.backend.assemble(text, host),), ("own_set", "own_copy"))
    if not any(find_program(each.command) for each in linkers("so", parts, HOST)):
        pytest.skip("there is no linker: ld.lld, cc or gcc")
    (tmp_path / "own.so").write_bytes(shared_library("so", parts, HOST))
    own = ctypes.CDLL(str(tmp_path / "own.so"))
    source = np.arange(200, dtype=np.uint8)
    for start, count in ((0, 0), (1, 1), (3, 31), (5, 32), (7, 33), (2, 150)):
        found, expected = np.zeros(200, np.uint8), np.zeros(200, np.uint8)
        own.own_copy(ctypes.c_void_p(found.ctypes.data + start), ctypes.c_void_p(source.ctypes.data), ctypes.c_size_t(count))
        expected[start : start + count] = source[:count]
        assert np.array_equal(found, expected)
        own.own_set(ctypes.c_void_p(found.ctypes.data + start), ctypes.c_int(0x1FE), ctypes.c_size_t(count))
        expected[start : start + count] = 0xFE
        assert np.array_equal(found, expected)


def test_what_cannot_be_linked_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    with pytest.raises(CannotBuild, match="no kind of linked library named `lib`; there are so, dylib, dll, wasm"):
        rnnspec.build(model, tmp_path / "out", link="lib")
    with pytest.raises(CannotBuild, match=r"can't be a \.so"):
        rnnspec.build(model, tmp_path / "out", targets=["cortex-m4"], link="so")
    with pytest.raises(CannotBuild, match="x86-64 is for Linux, whose libraries are `so`, and not `dll`"):
        rnnspec.build(model, tmp_path / "out", targets=["x86-64"], link="dll")
    with pytest.raises(CannotBuild, match=r"no function named `steps`; did you mean `step`\?"):
        rnnspec.build(model, tmp_path / "out", functions=["steps"])
    assert not list(tmp_path.iterdir())


def test_a_module_is_what_a_target_of_webassembly_has_in_any_case(tmp_path: Path) -> None:
    rnnspec.build(rnnspec.compile(SPEC, seed=1), tmp_path / "out", targets=["wasm32"], link="wasm")
    assert (tmp_path / "out" / "wasm32" / "tiny.wasm").exists()
