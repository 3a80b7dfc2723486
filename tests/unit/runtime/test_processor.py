"""The processor that code is kept for, as it is known without LLVM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnspec.runtime.native import processor

BLOCK = """processor\t: 0
vendor_id\t: A
cpu family\t: 6
model\t\t: 1
model name\t: B
stepping\t: 2
cpu MHz\t\t: 1.5
flags\t\t: fpu avx2

processor\t: 1
"""


def test_processors_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    texts = (BLOCK, BLOCK.replace("avx2", "avx"), BLOCK.replace("1.5", "2.5"), BLOCK.replace("flags", "Features"), "")
    found: list[str | None] = []
    for text in texts:
        path.write_text(text)
        found.append(processor.processor_of_linux(path))
    assert found[0] is not None
    assert "avx2" in found[0]
    assert found[0] == found[2] != found[1]
    assert found[3:] == [None, None]
    assert processor.processor_of_linux(tmp_path / "nothing") is None


def test_an_emulated_processor_is_another_one() -> None:
    """numpy asks the processor itself; here it is told that there is less of it."""
    code = "from rnnspec.runtime.native.jit import host_identity; print(host_identity())"
    disabled = np.show_config(mode="dicts")["SIMD Extensions"]["found"][-1:]  # pyright: ignore
    if not disabled:
        pytest.skip("numpy has nothing that it could do without here")
    shown = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment).stdout
        for environment in ({}, {"NPY_DISABLE_CPU_FEATURES": disabled[0]})
    ]
    assert shown[0] != shown[1]
