"""Libraries whose weights are in a file: the same bits, the check of the file, what is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.target_names import BUILD_TARGET_NAMES
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.library import Library, library
from rnnspec.deploy.step_layout import CannotBuild, step_layout
from rnnspec.deploy.step_library import reference
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from tests.unit.deploy.test_build import NATIVE, called

LAYER = "LSTM(5, return_sequences = true)"
SPEC = f"model Net {{ input x: float[time, 5]\n {LAYER}\n {LAYER}\n Dense(2) }}"
"""Two layers of one shape, whose weights are equal if all are zeros."""
BAD_WEIGHTS = 5


def made(seed: int | None = 0, storage: WeightStorage = WeightStorage.FULL, target: str = NATIVE) -> Library:
    """Of a seed's weights; None: of zeros, of which many parts are equal."""
    compilation = compilation_of(SPEC)
    weights = {
        name: value if seed is not None else np.zeros_like(value) for name, value in rnnspec.compile(SPEC, seed=seed or 0).weights.items()
    }
    layout = step_layout(compilation.signature, "net")
    return library(compilation, weights, BUILD_TARGETS[target], step=layout, storage=storage, weights_file=True)


def in_memory(content: bytes, shift: int = 0) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """A file's content at a multiple of 64, or that far behind one."""
    memory = np.zeros(len(content) + 128, np.uint8)
    start = -memory.ctypes.data % 64 + shift
    memory[start : start + len(content)] = np.frombuffer(content, np.uint8)
    return memory[start : start + len(content)]


def test_steps_have_the_same_bits_with_the_weights_of_any_file() -> None:
    """A file of a model that was trained again fits the library."""
    compilation = compilation_of(SPEC)
    layout, first = step_layout(compilation.signature, "net"), made(0)
    x = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    for seed in (0, 7):
        weights = dict(rnnspec.compile(SPEC, seed=seed).weights)
        (right,) = reference(compilation, weights, layout, BUILD_TARGETS[NATIVE], {"x": x})
        content = made(seed).weights_file
        assert content is not None
        memory, state, output = in_memory(content), np.zeros(layout.state_bytes, np.uint8), np.zeros((20, 2), np.float32)
        assert called(first.object_code, "net_check_weights", [memory], len(content)) == 0
        assert called(first.object_code, "net_steps", [memory, state, x, output], 20) == 0
        assert output.tobytes() == right.tobytes()
    assert made(None).export.file == first.export.file


def test_the_code_has_no_weights_inside() -> None:
    own = made()
    weights = own.weights_file
    assert weights is not None
    assert len(weights) == 64 + own.constants
    assert weights[64:128] not in own.object_code
    assert set(own.symbols) == {"net_check_weights", "net_step", "net_steps"}


def test_a_file_that_does_not_fit_is_found() -> None:
    own = made()
    right, narrow = own.weights_file, made(storage=WeightStorage.BFLOAT16).weights_file
    other = made(target="cortex-m4").weights_file
    assert right is not None
    assert narrow is not None
    assert other is not None

    def code(content: bytes, size: int | None = None, shift: int = 0) -> int:
        return called(own.object_code, "net_check_weights", [in_memory(content, shift)], len(content) if size is None else size)

    assert code(right) == 0
    assert code(right, shift=32) == BAD_WEIGHTS
    assert code(right, len(right) - 1) == BAD_WEIGHTS
    assert code(b"", 0) == BAD_WEIGHTS
    for content in (narrow, other):
        assert code(content) == BAD_WEIGHTS
        assert code(content[:64] + right[64:]) == BAD_WEIGHTS
    for place in (0, 40, 63):
        assert code(right[:place] + bytes([right[place] ^ 1]) + right[place + 1 :]) == BAD_WEIGHTS


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
def test_the_examples_read_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    targets = [NATIVE, "cortex-m4"]
    rnnspec.build(rnnspec.compile(SPEC, seed=2), folder, targets=targets, functions=["step", "forward"], weights_file=True)
    assert not (folder / "src").exists()
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Iinclude"]
    for name, check, said in (("example", "check", "64 steps"), ("example_forward", "check_forward", "1 outputs")):
        subprocess.run([*command, f"{name}.c", f"{NATIVE}/libnet.a", "-o", name], cwd=folder, check=True)
        run = [f"./{name}", f"{NATIVE}/{check}.bin"]
        done = subprocess.run([*run, f"{NATIVE}/net.weights"], cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{said}, 0 different\n")
        for wrong in ("cortex-m4/net.weights", "none.weights"):
            done = subprocess.run([*run, wrong], cwd=folder, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (2, "the weights can't be read, or aren't this library's\n")


def test_where_there_can_be_no_file_it_is_refused(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, seed=0)
    with pytest.raises(CannotBuild, match=r"^weights_file: a module of WebAssembly has its weights inside; leave out wasm32, or the file$"):
        rnnspec.build(model, tmp_path / "out", targets=["wasm32"], weights_file=True)
    with pytest.raises(CannotBuild, match=r"^weights_file: each level of x86-64 would need a file of its own; name one of x86-64-v2, "):
        rnnspec.build(model, tmp_path / "out", targets=["x86-64"], weights_file=True)
    named = rnnspec.compile("model M { input weights: float[time, 2]\n GRU(3) }", seed=0)
    with pytest.raises(CannotBuild, match=r"^weights_file: its address is the parameter weights, and so is called an input"):
        rnnspec.build(named, tmp_path / "out", targets=[NATIVE], weights_file=True)
    assert not list(tmp_path.iterdir())


def test_every_other_target_has_code_without_weights() -> None:
    for name in ("cortex-m0plus", "riscv32", "x86-64-v3-windows", "aarch64-apple"):
        assert name in BUILD_TARGET_NAMES
        weights = made(target=name).weights_file
        assert weights is not None
        assert weights.startswith(b"rnnspec weights\0")
