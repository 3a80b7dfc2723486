"""Shared libraries: what links them, what they show, and what is said where nothing links."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.deploy.shared import Parts, linkers, shared_library
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS

SPEC = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
HOST = compilation_of(SPEC).machine().architecture
NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[HOST]
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


def test_what_links_is_chosen_by_the_target() -> None:
    assert [each.command for each in linkers(BUILD_TARGETS["riscv64"], "x86_64")] == ["ld.lld", "riscv64-linux-gnu-gcc"]
    assert [each.command for each in linkers(BUILD_TARGETS["x86-64-v3"], "x86_64")] == ["ld.lld", "cc", "gcc", "x86_64-linux-gnu-gcc"]
    for name in ("cortex-m4", "wasm32", "x86-64-v3-windows", "aarch64-apple", "riscv32"):
        with pytest.raises(CannotBuild, match=f"a library for {name} can't be a .so"):
            linkers(BUILD_TARGETS[name], "x86_64")


def test_a_missing_or_failing_linker_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=f"nothing here links for {NATIVE}; tried ld.lld, cc"):
        shared_library(NOTHING, HOST, find=lambda _: None)
    (tmp_path / "ld").write_text("#!/bin/sh\necho 'an object was expected' >&2\nexit 3\n")
    (tmp_path / "ld").chmod(0o755)
    with pytest.raises(CannotBuild, match=f"ld.lld made no library for {NATIVE}: an object was expected"):
        shared_library(NOTHING, HOST, find=lambda _: str(tmp_path / "ld"))
    with pytest.raises(CannotBuild, match=r"ld\.lld didn't run"):
        shared_library(NOTHING, HOST, find=lambda _: str(tmp_path / "none"))


def test_a_kind_that_is_not_linked_is_refused(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    with pytest.raises(CannotBuild, match="no kind of linked library named `dll`"):
        rnnspec.build(model, tmp_path / "out", link="dll")
    with pytest.raises(CannotBuild, match=r"can't be a \.so"):
        rnnspec.build(model, tmp_path / "out", targets=["cortex-m4"], link="so")
    with pytest.raises(CannotBuild, match=r"no function named `steps`; did you mean `step`\?"):
        rnnspec.build(model, tmp_path / "out", functions=["steps"])
    assert not list(tmp_path.iterdir())
