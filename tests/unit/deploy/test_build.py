"""Libraries for C: the step's bits on this machine, what is in a folder, what is refused."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.contract.executable import Array
from rnnspec.contract.target_names import BUILD_TARGET_NAMES
from rnnspec.contract.weight_storage import StorageName, WeightStorage
from rnnspec.deploy.archive import archive
from rnnspec.deploy.object_symbols import undefined_symbols
from rnnspec.deploy.step_layout import CannotBuild, StepLayout, identifier, step_layout
from rnnspec.deploy.step_library import reference, step_library
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.runtime.native.jit import Jit

STEPS = 40
NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[compilation_of("model M { input x: float[1]\n Dense(1) }").machine().architecture]
"""A target whose code this machine runs."""

TINY = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
MODELS = {
    "lstm": "model M { input x: float[time, 5]\n LSTM(20, return_sequences = true)\n Dense(3) }",
    "last": TINY,
    "normalized": "model M { input x: float[time, 3]\n GRU(4)\n LayerNormalization()\n Dense(2, activation = softmax) }",
    "ids": "model M { input word: int[time]\n Embedding(30, 6)\n SimpleRNN(7)\n Dense(30) }",
    "windows": "model M { input x: float[time, 3]\n Conv1D(4, 3, padding = causal)\n GRU(5, reset_after = false) }",
    "two": """model M { input a: float[time, 2], b: float[3]
        s = a -> LSTM(4)
        both = [s, b] -> Concatenate() -> Dense(5)
        y = both -> Dense(1)
        output both, y }""",
    "masked": """model M { input x: float[time, 3]
        s = x -> Masking() -> LSTM(4, return_sequences = true)
        y = s -> Dense(2)
        z = s -> GRU(3) -> Dense(1)
        output y, z, s }""",
    "masked by another value": "model M { input x: float[time, 3]\n Masking(mask_value = -1)\n SimpleRNN(4)\n Dense(2) }",
    "masked ids": "model M { input word: int[time]\n Embedding(9, 6, mask_zero = true)\n GRU(7, return_sequences = true)\n Dense(3) }",
    "one mask of two": """model M { input word: int[time], x: float[time, 2]
        words = word -> Embedding(9, 3, mask_zero = true)
        kept = x -> Masking()
        both = [words, kept] -> Concatenate() -> LSTM(4, return_sequences = true)
        last = kept -> GRU(3)
        output both, last, words }""",
    "strides": """model M { input x: float[time, 3]
        a = x -> LSTM(4, return_sequences = true)
        b = a -> Conv1D(3, 2, strides = 3) -> LSTM(3, return_sequences = true) -> Dense(2)
        c = b -> AveragePooling1D(2) -> GRU(2)
        output a, b, c }""",
    "own": """cell Leaky(units) {
        weight kernel [features, units] = glorot_uniform
        state h [units]
        h' = 0.9 * h + 0.1 * tanh(x @ kernel)
        return h' }
        model M { input x: float[time, 3]\n Leaky(6, return_sequences = true)\n Leaky(3) }""",
}


@cache
def model(name: str, dtype: str = "float32") -> tuple[Compilation, Mapping[str, Array]]:
    made = rnnspec.compile(MODELS[name], dtype=dtype, seed=3)
    return compilation_of(MODELS[name], dtype=dtype), dict(made.weights)


def inputs(layout: StepLayout) -> dict[str, Array]:
    """With silence, steps beyond all reason, and some that layers may mask: ids of 0, values that are all 0 or all -1."""
    random = np.random.default_rng(1)
    given: dict[str, Array] = {}
    for each in layout.inputs:
        if each.vocabulary is not None:
            given[each.source] = random.integers(0, each.vocabulary, STEPS).astype(np.int32)
            given[each.source][[0, 15, 16]] = 0
            continue
        values = random.normal(size=(STEPS, each.width))
        values[10:20] = 0
        values[0], values[1:3], values[25] = -0.0, -1, [0] * (each.width - 1) + [-1]
        values[20] = 1e-40
        values[30], values[31] = 1e30, np.inf
        given[each.source] = values.astype(np.float64 if layout.bytes == 8 else np.float32)
    return given


def called(code: bytes, symbol: str, arrays: Sequence[Array], *sizes: int) -> int:
    loaded = Jit().load(code, (symbol,))
    kinds = [ctypes.c_void_p] * len(arrays) + [ctypes.c_size_t] * len(sizes)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(loaded.addresses[symbol])
    return int(function(*(array.ctypes.data for array in arrays), *sizes))


@pytest.mark.parametrize("name", MODELS)
def test_steps_have_the_bits_of_a_stream(name: str) -> None:
    compilation, weights = model(name)
    layout, target = step_layout(compilation.signature, "m"), BUILD_TARGETS[NATIVE]
    library, given = step_library(compilation, weights, layout, target), inputs(layout)
    expected = reference(compilation, weights, layout, target, given)
    state = np.zeros(layout.state_bytes + 16, np.uint8)
    state[-16:] = 77
    outputs = [np.zeros((STEPS, each.width), np.float32) for each in layout.outputs]
    ordered = [given[each.source] for each in layout.inputs]
    assert called(library.object_code, "m_steps", [state, *ordered, *outputs], STEPS) == 0
    assert (state[-16:] == 77).all()
    for output, right in zip(outputs, expected, strict=True):
        assert output.tobytes() == right.tobytes()
    # One by one, from zeros again, is the same.
    state[:-16] = 0
    for step in range(STEPS):
        one = [np.full_like(output[:1], np.nan) for output in outputs]
        assert called(library.object_code, "m_step", [state, *(each[step : step + 1] for each in ordered), *one]) == 0
        assert all(each.tobytes() == output[step : step + 1].tobytes() for each, output in zip(one, outputs, strict=True))


def test_a_masked_step_changes_nothing_and_shows_the_last_real_one() -> None:
    compilation, weights = model("masked")
    layout = step_layout(compilation.signature, "m")
    library = step_library(compilation, weights, layout, BUILD_TARGETS[NATIVE])
    state, real, masked = np.zeros(layout.state_bytes, np.uint8), np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)
    shown = [[np.zeros((1, each.width), np.float32) for each in layout.outputs] for _ in range(2)]
    assert called(library.object_code, "m_step", [state, real, *shown[0]]) == 0
    before = state.copy()
    assert called(library.object_code, "m_step", [state, masked, *shown[1]]) == 0
    assert state.tobytes() == before.tobytes()
    assert [each.tobytes() for each in shown[0]] == [each.tobytes() for each in shown[1]]
    # The smallest number isn't 0, although the processor takes it for that while a step runs.
    assert called(library.object_code, "m_step", [state, np.full((1, 3), 1e-45, np.float32), *shown[1]]) == 0
    assert state.tobytes() != before.tobytes()


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "int8"])
def test_a_narrow_table_takes_fewer_bytes_and_has_the_bits_of_a_stream(storage: StorageName) -> None:
    spec = "model M { input word: int[time]\n Embedding(300, 19, mask_zero = true)\n GRU(7, return_sequences = true)\n Dense(2) }"
    compilation, weights = compilation_of(spec), dict(rnnspec.compile(spec, seed=3).weights)
    layout, target, kept = step_layout(compilation.signature, "m"), BUILD_TARGETS[NATIVE], WeightStorage(storage)
    library, given = step_library(compilation, weights, layout, target, kept), inputs(layout)
    whole = step_library(compilation, weights, layout, target)
    table = 300 * 21 * 4  # which was multiplied by the kernel of three gates ahead
    narrow = table / {"float16": 2, "bfloat16": 2, "int8": 4}[storage] + (300 * 4 if storage == "int8" else 0)
    assert whole.constants > table
    assert narrow < library.constants < narrow + 2500
    (expected,) = reference(compilation, weights, layout, target, given, kept)
    output = np.zeros((STEPS, 2), np.float32)
    assert called(library.object_code, "m_steps", [np.zeros(layout.state_bytes, np.uint8), given["word"], output], STEPS) == 0
    assert output.tobytes() == expected.tobytes()


def test_the_header_says_which_steps_are_left_out(tmp_path: Path) -> None:
    for name, sentences in {
        "masked": ("A step in which all of `x` is 0 is masked", "There `y`, `s` repeats the last real step's value."),
        "one mask of two": ("all of `word` is 0 or all of `x` is 0 is masked",),
        "strides": (
            "`b`: there is a value at step 2 of a sequence, counted from 1, and every 3 steps from there; at all other steps",
            "`c`: there is a value at step 5 of a sequence, counted from 1, and every 6 steps from there; at all other steps",
        ),
        "last": (),
    }.items():
        folder = tmp_path / name.replace(" ", "_")
        (report,) = rnnspec.build(rnnspec.compile(MODELS[name], seed=3), folder, targets=["cortex-m4"], name="m")
        header = (folder / "include" / "m.h").read_text()
        assert all(sentence in header for sentence in sentences), header
        assert ("masked" in header or "NaN" in header) == bool(sentences)
        # Kernels of one step: no blocks of time, and no division.
        assert report.imports is not None and "__aeabi_ldivmod" not in report.imports


def test_a_library_in_double_precision() -> None:
    compilation, weights = model("last", "float64")
    layout, target = step_layout(compilation.signature, "m"), BUILD_TARGETS[NATIVE]
    library, given = step_library(compilation, weights, layout, target), inputs(layout)
    (expected,) = reference(compilation, weights, layout, target, given)
    output = np.zeros((STEPS, 1))
    assert called(library.object_code, "m_steps", [np.zeros(layout.state_bytes, np.uint8), given["x"], output], STEPS) == 0
    assert output.tobytes() == expected.tobytes()
    # A vector has two elements at least, on machines whose registers hold a single one.
    small = step_library(compilation, weights, layout, BUILD_TARGETS["cortex-m7"])
    assert small.target.vector_bytes == 16


@pytest.mark.parametrize("storage", [WeightStorage.FLOAT16, WeightStorage.BFLOAT16, WeightStorage.INT8])
def test_matrices_in_fewer_bits(storage: WeightStorage) -> None:
    """The bits of a stream with the same matrices, in a half or a quarter of the bytes; no target needs a function for it."""
    compilation, weights = model("lstm")
    layout, target = step_layout(compilation.signature, "m"), BUILD_TARGETS[NATIVE]
    library, given = step_library(compilation, weights, layout, target, storage), inputs(layout)
    (expected,) = reference(compilation, weights, layout, target, given, storage)
    output = np.zeros((STEPS, 3), np.float32)
    assert called(library.object_code, "m_steps", [np.zeros(layout.state_bytes, np.uint8), given["x"], output], STEPS) == 0
    assert output.tobytes() == expected.tobytes()
    whole = step_library(compilation, weights, layout, target)
    assert library.constants < whole.constants * (0.4 if storage is WeightStorage.INT8 else 0.6)
    for name in ("cortex-m0plus", "cortex-m4", "riscv32", "x86-64-v2"):
        narrow, usual = (
            undefined_symbols(
                step_library(compilation, weights, layout, BUILD_TARGETS[name], kept).object_code, BUILD_TARGETS[name].object_format
            )
            for kept in (storage, WeightStorage.FULL)
        )
        soft = {"__aeabi_i2f", "__aeabi_ui2f"} if name == "cortex-m0plus" else set[str]()
        assert set(narrow) <= {*usual, *soft}


def test_an_id_out_of_range_changes_nothing() -> None:
    compilation, weights = model("ids")
    layout = step_layout(compilation.signature, "m")
    library = step_library(compilation, weights, layout, BUILD_TARGETS[NATIVE])
    for bad in (-1, 30, 2**31 - 1):
        ids = np.array([3, 4, bad, 5], np.int32)
        state, output = np.zeros(layout.state_bytes, np.uint8), np.full((4, 30), 7, np.float32)
        assert called(library.object_code, "m_steps", [state, ids, output], 4) == 4
        assert called(library.object_code, "m_step", [state, ids[2:], output]) == 4
        assert not state.any()
        assert (output == 7).all()


def test_every_target_has_code() -> None:
    compilation, weights = model("last")
    layout = step_layout(compilation.signature, "tiny")
    assert tuple(BUILD_TARGETS) == BUILD_TARGET_NAMES
    sizes: dict[str, int] = {}
    for name, target in BUILD_TARGETS.items():
        library = step_library(compilation, weights, layout, target)
        sizes[name] = compilation.backend.code_bytes(library.object_code)
        begins = {"ELF": b"\x7fELF", "COFF": b"\x64\x86", "MachO": b"\xcf\xfa\xed\xfe", "Wasm": b"\0asm"}
        assert library.object_code.startswith(begins[target.object_format])
    assert all(1000 < size < 6000 for size in sizes.values()), sizes


def test_a_waiting_thread_pauses_by_its_own_processors_instruction() -> None:
    """A description begins as a copy of another one: another processor's instruction would end the compiler."""
    own = {"x86_64": "x86", "aarch64": "aarch64", "arm64": "aarch64", "wasm32": "", "riscv32": "", "riscv64": ""}
    for target in BUILD_TARGETS.values():
        pause = target.pause.name.removeprefix("llvm.")
        assert pause.partition(".")[0] == (own.get(target.architecture, "arm") or "donothing"), target.name
        given = ", ".join(f"{kind} {number}" for kind, number in target.pause.arguments)
        kinds = ", ".join(kind for kind, _ in target.pause.arguments)
        declared = f'target triple = "{target.triple}"\ndeclare void @{target.pause.name}({kinds})'
        Machine(target).object_code(f"{declared}\ndefine void @wait() {{\n  call void @{target.pause.name}({given})\n  ret void\n}}\n")


def test_a_small_model_on_a_microcontroller() -> None:
    spec = "model Lstm20 { input x: float[time, 1]\n LSTM(20, return_sequences = true)\n Dense(1) }"
    compilation = compilation_of(spec)
    weights = dict(rnnspec.compile(spec, seed=0).weights)
    layout = step_layout(compilation.signature, "lstm20")
    library = step_library(compilation, weights, layout, BUILD_TARGETS["cortex-m4"])
    assert compilation.backend.code_bytes(library.object_code) <= 4096
    assert library.constants <= 7300
    assert layout.state_bytes == 160
    assert undefined_symbols(library.object_code, "ELF") == ("__aeabi_memcpy4",)


def test_a_folder(tmp_path: Path) -> None:
    made = rnnspec.compile(TINY, seed=1)
    first = rnnspec.build(made, tmp_path / "one", targets=["cortex-m0plus", NATIVE, NATIVE])
    made.save(tmp_path / "tiny.rnnc")
    rnnspec.build(tmp_path / "tiny.rnnc", tmp_path / "two", targets=[NATIVE])
    files = {path.relative_to(tmp_path / "one").as_posix(): path.read_bytes() for path in (tmp_path / "one").rglob("*") if path.is_file()}
    own = [f"{target}/{name}" for target in ("cortex-m0plus", NATIVE) for name in ("check.bin", "libtiny.a", "tiny.o")]
    own += ["library.properties", "src/tiny.h", "src/cortex-m0plus/libtiny.a", "examples/tiny_steps/tiny_steps.ino"]
    assert files["src/tiny.h"] == files["include/tiny.h"]
    assert files["src/cortex-m0plus/libtiny.a"] == files["cortex-m0plus/libtiny.a"]
    assert sorted(files) == sorted([*own, "example.c", "include/tiny.h", "report.json", "tiny-config.cmake", "tiny.pc"])
    again = {
        name: (tmp_path / "two" / name).read_bytes() for name in ("include/tiny.h", "example.c", f"{NATIVE}/tiny.o", f"{NATIVE}/libtiny.a")
    }
    assert again == {name: files[name] for name in again}
    told = json.loads(files["report.json"])
    assert told == [json.loads(json.dumps(each.as_dict())) for each in first]
    assert [each["target"] for each in told] == ["cortex-m0plus", NATIVE]
    # LSTM(8) of three numbers: products with 11, five elementary functions, four products or sums; Dense(1) behind it.
    assert [each.operations for each in first] == [2 * 11 * 32 + 2 * 8 + 8 * 5 + 8 * 4] * 2
    assert not list(tmp_path.glob(".rnnspec-*"))
    (narrow,) = rnnspec.build(made, tmp_path / "narrow", targets=[NATIVE], weights="int8")
    assert (first[1].weights, first[1].difference, narrow.weights) == ("float32", 0.0, "int8")
    assert 0 < narrow.difference < 0.05
    assert narrow.constants < first[1].constants


def test_the_folder_is_as_open_as_the_process_makes_folders(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        rnnspec.build(rnnspec.compile(TINY, seed=1), tmp_path / "new" / "out", targets=[NATIVE])
    finally:
        os.umask(before)
    folders = [tmp_path / "new", tmp_path / "new" / "out", tmp_path / "new" / "out" / "include"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o750] * 3


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
def test_the_example_compiles_and_compares_itself(tmp_path: Path) -> None:
    for name in ("two", "ids"):
        folder = tmp_path / name
        rnnspec.build(rnnspec.compile(MODELS[name], seed=2), folder, targets=[NATIVE], name=f"net_{name}")
        command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Iinclude", "example.c"]
        subprocess.run([*command, f"{NATIVE}/libnet_{name}.a", "-o", "example"], cwd=folder, check=True)
        done = subprocess.run(["./example", f"{NATIVE}/check.bin"], cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "64 steps, 0 different\n")
        check = bytearray((folder / NATIVE / "check.bin").read_bytes())
        check[-1] ^= 1
        (folder / "wrong.bin").write_bytes(check)
        assert subprocess.run(["./example", "wrong.bin"], cwd=folder, capture_output=True, check=False).returncode == 1
        (folder / "cut.bin").write_bytes(check[:-1])
        assert subprocess.run(["./example", "cut.bin"], cwd=folder, capture_output=True, check=False).returncode == 2
    subprocess.run(
        ["cc", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "include/net_two.h"],
        cwd=tmp_path / "two",
        check=True,
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("model M { input x: float[time, 3]\n Bidirectional(LSTM(4)) }", "it can't stream, and a library's step is a stream's: "),
        ("model M { input x: float[time, 3], X: float[time, 3]\n [x, X] -> Add() -> LSTM(4) }", "several would be called `X` in C"),
    ],
)
def test_models_without_a_step_are_refused(spec: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild) as caught:
        rnnspec.build(rnnspec.compile(spec, seed=0), tmp_path / "out", functions=["step"])
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    made = rnnspec.compile(TINY, seed=1)
    with pytest.raises(CannotBuild, match=r"no target named `cortexm4`; did you mean `cortex-m4`\?"):
        rnnspec.build(made, tmp_path / "out", targets=["cortexm4"])
    for option in ("targets", "functions"):
        with pytest.raises(CannotBuild, match=rf"{option}: expected a list of names, got a text: write \['step'\]"):
            rnnspec.build(made, tmp_path / "out", **{option: "step"})  # pyright: ignore[reportArgumentType]
    with pytest.raises(CannotBuild, match="one at least"):
        rnnspec.build(made, tmp_path / "out", targets=[])
    for name in ("2nd", "int", "a-b", "häuser"):
        with pytest.raises(CannotBuild, match="expected a name of C"):
            rnnspec.build(made, tmp_path / "out", name=name)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="a new folder or an empty one"):
        rnnspec.build(made, tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    (tmp_path / "empty").mkdir()
    rnnspec.build(made, tmp_path / "empty", targets=[NATIVE])
    assert (tmp_path / "empty" / "example.c").exists()


def test_names_of_the_model_become_names_of_c() -> None:
    assert [identifier(name) for name in ("lstm/h", "2nd", "int", "été", "a.b c")] == ["lstm_h", "_2nd", "int_", "_t_", "a_b_c"]


def test_archives_name_their_symbols() -> None:
    gnu = archive("m.o", b"code!", ["m_step", "m_steps"])
    assert gnu.startswith(b"!<arch>\n/")
    assert gnu[68:72] == (2).to_bytes(4, "big")
    place = int.from_bytes(gnu[72:76], "big")
    assert gnu[place : place + 4] == b"m.o/"
    assert gnu[place + 60 : place + 65] == b"code!"
    assert len(gnu) % 2 == 0
    bsd = archive("m.o", b"code!", ["_m_step"], bsd=True)
    assert b"__.SYMDEF" in bsd
    where = bsd.index(b"m.o\0")
    assert bsd[where + 8 : where + 13] == b"code!"
    assert int.from_bytes(bsd[8 + 60 + 16 + 8 : 8 + 60 + 16 + 12], "little") == where - 60


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    made = rnnspec.compile(TINY, seed=1)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"):
        rnnspec.build(made, tmp_path / "out", targets=[NATIVE])
    assert not list(tmp_path.iterdir())
