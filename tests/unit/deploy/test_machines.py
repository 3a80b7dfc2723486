"""Libraries run on other machines: every bit is that of the target's description run by this one, silence, infinities and NaN included.

What compiles and emulates them is Debian's; where it is missing, a test names it and is left out, but for `make test-machines`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.deploy.step_layout import step_layout
from rnnspec.deploy.step_library import reference
from rnnspec.driver.compilation import compilation_of
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS

SPEC = "model Lstm20 { input x: float[time, 1]\n LSTM(20, return_sequences = true)\n Dense(1) }"
NET = """model Net { input word: int[time], x: float[n, 3]
    words = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(LSTM(4, return_sequences = true))
    seen = x -> Masking() -> Conv1D(8, 3, padding = same, carry_mask = true)
    y = [words, seen] -> Attention() -> GRU(3)
    output y, words }"""
STEPS, SEQUENCE = 1000, 250
SOURCES = Path(__file__).parent / "machines"
ALL = "RNNSPEC_MACHINES" in os.environ


@frozen
class Machine:
    """How programs for a target are made and run: a compiler and an emulator with their options, and Debian's packages of both."""

    target: str
    compiler: tuple[str, ...]
    emulator: tuple[str, ...]
    packages: str


def _cortex(target: str, options: str, board: str, flash: int = 0, ram: int = 0x20000000) -> Machine:
    script = ["-T", str(SOURCES / "cortex_m.ld"), *(f"-Wl,--defsym={name}={value}" for name, value in (("flash", flash), ("ram", ram)))]
    start = ["-Wl,--defsym=size=0x100000", "-Wl,--gc-sections", "--specs=rdimon.specs", "--specs=nano.specs"]
    compiler = ("arm-none-eabi-gcc", f"-mcpu={target}", "-mthumb", *options.split(), str(SOURCES / "cortex_m.c"), *script, *start)
    emulator = ("qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none")
    return Machine(target, compiler, emulator, "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm")


MACHINES = (
    Machine("aarch64", ("aarch64-linux-gnu-gcc", "-static"), ("qemu-aarch64",), "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"),
    Machine("riscv64", ("riscv64-linux-gnu-gcc", "-static"), ("qemu-riscv64",), "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user"),
    _cortex("cortex-m4", "-mfloat-abi=hard -mfpu=fpv4-sp-d16", "mps2-an386"),
    _cortex("cortex-m7", "-mfloat-abi=hard -mfpu=fpv5-d16", "mps2-an500"),
    _cortex("cortex-m33", "-mfloat-abi=hard -mfpu=fpv5-sp-d16", "mps2-an505", 0x10000000, 0x38000000),
    _cortex("cortex-m0plus", "", "mps2-an385"),
)


def printed(machine: Machine, folder: Path, source: str, argument: str = "", library: str = "") -> str:
    """What a program prints; it fails if it ends with anything but 0. `library`: a folder other than the target's."""
    missing = [tool for tool in (machine.compiler[0], machine.emulator[0]) if shutil.which(tool) is None]
    if missing and not ALL:
        pytest.skip(f"there is no {' and no '.join(missing)}: apt-get install {machine.packages}")
    program, archive = f"./{Path(source).stem}", f"{library or machine.target}/lib{next((folder / 'include').iterdir()).stem}.a"
    command, *options = machine.compiler
    options += [archive, "-lm"]
    subprocess.run([command, "-O2", "-Iinclude", "-I.", source, *options, "-o", program], cwd=folder, check=True, timeout=60)
    if machine.emulator[0] == "qemu-system-arm":
        semihosting = f"enable=on,target=native,arg={program}{f',arg={argument}' if argument else ''}"
        run = [*machine.emulator, "-semihosting-config", semihosting, "-kernel", program]
    else:
        run = [*machine.emulator, program, *([argument] if argument else [])]
    return subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


@cache
def weights() -> dict[str, Array]:
    return dict(rnnspec.compile(SPEC, seed=0).weights)


def inputs() -> Array:
    """Sequences of a sound with silence and denormal numbers, an infinity, NaN, and numbers beyond all reason."""
    values = np.random.default_rng(5).normal(size=(STEPS // SEQUENCE, SEQUENCE)).astype(np.float32)
    values[:, 50:100] = 0
    values[0, 100:110] = 1e-40
    values[1, 200] = np.inf
    values[2, 220] = np.nan
    values[3, 120:130] = -1e38
    return values.reshape(-1, 1)


def expected(target: str) -> Array:
    compilation = compilation_of(SPEC)
    layout, values = step_layout(compilation.signature, "lstm20"), inputs()
    parts = [values[start : start + SEQUENCE] for start in range(0, STEPS, SEQUENCE)]
    return np.concatenate([reference(compilation, weights(), layout, BUILD_TARGETS[target], {"x": part})[0] for part in parts]).ravel()


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.target)
def test_a_thousand_steps_and_a_batch_have_their_bits(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    rnnspec.build(rnnspec.compile(SPEC, seed=0), folder, targets=[machine.target], functions=["step", "forward"])
    bits = ", ".join(map(str, inputs().view(np.uint32).ravel()))
    text = f"enum {{ STEPS = {STEPS}, SEQUENCE = {SEQUENCE} }};\nstatic const uint32_t inputs[] = {{{bits}}};\n"
    (folder / "inputs.h").write_text(text)
    *lines, stack = printed(machine, folder, str(SOURCES / "steps.c")).splitlines()
    found, right = np.array([int(line, 16) for line in lines], np.uint32).view(np.float32), expected(machine.target)
    # Machines choose which of all NaN they give.
    assert np.array_equal(np.isnan(found), np.isnan(right))
    assert np.isnan(right).any()
    assert (found.view(np.uint32) == right.view(np.uint32))[~np.isnan(right)].all()
    painted = int(stack.removeprefix("stack "))
    assert painted <= 512
    if machine.target.startswith("cortex"):
        step_alone = rnnspec.build(rnnspec.compile(SPEC, seed=0), tmp_path / "step", targets=[machine.target])
        # What was painted has the frame of the program, too, and what memcpy takes.
        assert painted - 64 <= step_alone[0].stack <= painted + 64
    assert printed(machine, folder, "example_forward.c", f"{machine.target}/check_forward.bin") == "1 outputs, 0 different\n"


@pytest.mark.parametrize(
    "machine", [each for each in MACHINES if each.target in ("aarch64", "riscv64", "cortex-m4")], ids=lambda each: each.target
)
def test_masks_windows_and_pairs_are_made_on_the_machine(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    rnnspec.build(rnnspec.compile(NET, seed=1), folder, targets=[machine.target])
    assert printed(machine, folder, "example_forward.c", f"{machine.target}/check_forward.bin") == "2 outputs, 0 different\n"


LEFT_OUT = """model Net { input word: int[time], x: float[time, 3]
    words = word -> Embedding(20, 7, mask_zero = true)
    seen = x -> Masking()
    y = [words, seen] -> Concatenate() -> LSTM(5, return_sequences = true) -> Dense(2)
    z = x -> Conv1D(4, 2, strides = 3) -> GRU(3)
    output y, z }"""


@pytest.mark.parametrize(
    "machine", [each for each in MACHINES if ALL or each.target in ("aarch64", "cortex-m4")], ids=lambda each: each.target
)
def test_steps_that_are_left_out_and_narrow_tables_have_their_bits(machine: Machine, tmp_path: Path) -> None:
    for weights in ("float16", "int8") if ALL else ("int8",):
        folder = tmp_path / weights
        rnnspec.build(rnnspec.compile(LEFT_OUT, seed=1), folder, targets=[machine.target], functions=["step"], weights=weights)
        assert printed(machine, folder, "example.c", f"{machine.target}/check.bin") == "64 steps, 0 different\n"


TRAINED = """model Net { input word: int[time], x: float[n, 3]
    words = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(LSTM(4, dropout = 0.1))
    seen = x -> Masking() -> Conv1D(8, 3, padding = same, carry_mask = true) -> GRU(5)
    y = [words, seen] -> Concatenate() -> BatchNormalization() -> Dense(3, activation = softmax)
    output y
    train { loss = sparse_categorical_crossentropy  optimizer = Adam(0.01, clipnorm = 0.5) } }"""


@pytest.mark.parametrize("machine", MACHINES, ids=lambda each: each.target)
def test_training_on_the_machine_has_the_bits_of_pythons(machine: Machine, tmp_path: Path) -> None:
    lstm = SPEC.replace(", return_sequences = true", "").replace("}", "train { loss = mse  optimizer = Adam(0.01) } }")
    for place, spec in enumerate((lstm, TRAINED)):
        folder = tmp_path / str(place)
        rnnspec.build(rnnspec.compile(spec, seed=1), folder, targets=[machine.target], functions=["train"])
        assert printed(machine, folder, "example_train.c", f"{machine.target}/check_train.bin") == "20 updates, 0 different\n"


def test_a_target_of_ones_own_has_its_bits(tmp_path: Path) -> None:
    """A 32-bit processor with vectors, which no described target is; QEMU's user emulation has what newlib asks of a debugger."""
    options = ("-mcpu=cortex-a7", "-mfloat-abi=hard", "-mfpu=neon-vfpv4", "--specs=rdimon.specs")
    machine = Machine("pi", ("arm-none-eabi-gcc", *options), ("qemu-arm",), "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-user")
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (tmp_path / "pi.toml").write_text(page.partition("```toml\n")[2].partition("```")[0])
    folder = tmp_path / "library"
    rnnspec.build(rnnspec.compile(SPEC, seed=0), folder, targets=[tmp_path / "pi.toml"], functions=["step", "forward"])
    assert printed(machine, folder, "example.c", "pi/check.bin") == "64 steps, 0 different\n"
    assert printed(machine, folder, "example_forward.c", "pi/check_forward.bin") == "1 outputs, 0 different\n"


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m33"])
def test_arduinos_boards_pass_numbers_in_their_own_way(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    rnnspec.build(rnnspec.compile(SPEC, seed=0), folder, targets=[target])
    machine = next(each for each in MACHINES if each.target == target)
    (unit,) = [option for option in machine.compiler if option.startswith("-mfpu=")]
    found = {path.parent.relative_to(folder).as_posix() for path in (folder / "src").rglob("*.a")}
    assert found == {f"src/{target}/{unit.removeprefix('-mfpu=')}-{passing}" for passing in ("hard", "softfp")}
    for passing in ("hard", "softfp"):
        compiler = tuple(option.replace("-mfloat-abi=hard", f"-mfloat-abi={passing}") for option in machine.compiler)
        own = Machine(target, compiler, machine.emulator, machine.packages)
        library = f"src/{target}/{unit.removeprefix('-mfpu=')}-{passing}"
        assert printed(own, folder, "example.c", f"{target}/check.bin", library) == "64 steps, 0 different\n"


WINE = ("/usr/lib/wine/wine64", "wine64")
"""Debian's package has it off the path."""


def test_a_dll_has_its_bits(tmp_path: Path) -> None:
    """Loaded by programs for Windows, under Wine."""
    linkers = [tool for tool in ("lld-link", "x86_64-w64-mingw32-gcc") if shutil.which(tool)]
    wine = next((path for each in WINE if (path := shutil.which(each))), None)
    if (wine is None or len(linkers) < 2) and not ALL:
        pytest.skip("there is no Wine, or no linker for Windows: apt-get install wine64 lld gcc-mingw-w64-x86-64")
    assert wine is not None
    target = "x86-64-v3-windows"
    folder = tmp_path / "net"
    rnnspec.build(rnnspec.compile(SPEC, seed=1), folder, targets=[target], functions=["step", "forward"], link="dll")
    shutil.copy(folder / target / "lstm20.dll", folder)
    environment = {**os.environ, "WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"}
    for source, check, said in (
        ("example.c", "check.bin", "64 steps, 0 different"),
        ("example_forward.c", "check_forward.bin", "1 outputs, 0 different"),
    ):
        command = ["x86_64-w64-mingw32-gcc", "-Iinclude", source, "lstm20.dll", "-o", "example.exe"]
        subprocess.run(command, cwd=folder, check=True, timeout=60)
        run = [wine, "example.exe", f"{target}/{check}"]
        shown = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True, timeout=120, env=environment)
        assert said in shown.stdout
