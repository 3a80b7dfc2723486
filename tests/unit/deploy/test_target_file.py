"""Targets of one's own: what a file may say, what it is refused for, and that its code is the target's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.objects import of_triple
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.deploy.target_file import FIELDS, chosen_targets, read_target
from rnnspec.kernel.build_targets import BUILD_TARGETS

TINY = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
PAGE = Path(__file__).parents[3] / "docs" / "deploy.md"
PI = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
"""The example of the page."""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_triples_of_described_targets_say_what_the_descriptions_do() -> None:
    """So what a target of one's own takes from its triple is right for it, too."""
    for target in BUILD_TARGETS.values():
        assert of_triple(replace(target, architecture="", object_format="", pointer_bits=0)) == target


def test_a_library_for_a_target_of_ones_own(tmp_path: Path) -> None:
    file = written(tmp_path, PI, "pi.toml")
    made = rnnspec.compile(TINY, seed=1)
    first, second = rnnspec.build(made, tmp_path / "out", targets=[file, "cortex-m4", str(file)])
    assert (first.target, second.target) == ("pi", "cortex-m4")
    assert [each["target"] for each in json.loads((tmp_path / "out" / "report.json").read_text())] == ["pi", "cortex-m4"]
    code = (tmp_path / "out" / "pi" / "tiny.o").read_bytes()
    assert code[:5] == b"\x7fELF\x01"
    assert code[18] == 40  # EM_ARM
    # A vector of the file has four elements, one of its base's two.
    assert first.constants > second.constants
    assert not (tmp_path / "out" / "src" / "cortex-a7").exists()


def test_what_a_file_does_not_say_is_as_in_its_base(tmp_path: Path) -> None:
    target = read_target(written(tmp_path, 'base = "aarch64"\nname = "mine"\nsecond_level_bytes = 1048576\n'))
    assert target == replace(BUILD_TARGETS["aarch64"], name="mine", second_level_bytes=2**20)
    assert {"triple", "cpu", "features", "abi", "vector_bytes", "fused_multiply_add"} < {*FIELDS}


def test_arduinos_part_has_described_targets_alone(tmp_path: Path) -> None:
    """Two libraries for one processor would lie in one place there."""
    own = written(tmp_path, 'base = "cortex-m0plus"\nfeatures = "+strict-align"\n')
    rnnspec.build(rnnspec.compile(TINY, seed=1), tmp_path / "out", targets=["cortex-m0plus", own])
    given = (tmp_path / "out" / "cortex-m0plus" / "libtiny.a").read_bytes()
    assert (tmp_path / "out" / "src" / "cortex-m0plus" / "libtiny.a").read_bytes() == given
    assert [path.name for path in (tmp_path / "out" / "src").iterdir() if path.is_dir()] == ["cortex-m0plus"]
    assert (tmp_path / "out" / "mine" / "libtiny.a").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = ", "mine.toml: this isn't TOML: "),
        ('base = "cortex-m4"\nvector_byte = 8', "mine.toml: there is no field named `vector_byte`; did you mean `vector_bytes`?"),
        ("cpu = 'cortex-m4'", "mine.toml: base: expected the name of the described target that this one is like, got nothing"),
        ("base = 'cortexm4'", "mine.toml: base: there is no target named `cortexm4`; did you mean `cortex-m4`?"),
        ("base = 'aarch64'\nname = '../x'", "mine.toml: name: expected letters, digits"),
        ("base = 'aarch64'\nname = 'cortex-m4'", "mine.toml: name: expected letters, digits"),
        ("base = 'aarch64'\nname = 'include'", "mine.toml: name: expected letters, digits"),
        ("base = 'aarch64'\ntriple = 'aarch64'", "mine.toml: triple: expected LLVM's name of a machine"),
        ("base = 'aarch64'\ncpu = ''", "mine.toml: cpu: expected LLVM's name of a processor, got ''"),
        ("base = 'aarch64'\nfeatures = 'neon'", "mine.toml: features: expected LLVM's names of features, each after + or -"),
        ("base = 'aarch64'\nabi = 1", "mine.toml: abi: expected LLVM's name of a calling convention, got 1"),
        ("base = 'aarch64'\nrelocation = 'PIC'", 'mine.toml: relocation: expected "pic" or "static", got \'PIC\''),
        ("base = 'aarch64'\nvector_bytes = 12", "mine.toml: vector_bytes: expected a power of two from 8 to 64, got 12"),
        ("base = 'aarch64'\nvector_bytes = 4", "mine.toml: vector_bytes: expected a power of two from 8 to 64, got 4"),
        ("base = 'aarch64'\nregisters = true", "mine.toml: registers: expected a whole number from 2 to 64, got True"),
        ("base = 'aarch64'\nfused_multiply_add = 1", "mine.toml: fused_multiply_add: expected true or false, got 1"),
        ("base = 'aarch64'\nslot_gap = 12", "mine.toml: slot_gap: expected a multiple of 8 from 0 to 65536, got 12"),
        ("base = 'aarch64'\nfirst_level_bytes = 1.5e4", "mine.toml: first_level_bytes: expected a whole number from 1024 to 1073741824"),
    ],
)
def test_a_file_with_a_fault_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild) as caught:
        read_target(written(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = 'aarch64'\ncpu = 'cortex-a1'", "mine.toml: LLVM says: 'cortex-a1' is not a recognized processor"),
        ("base = 'aarch64'\nfeatures = '+neo'", "mine.toml: LLVM says: '+neo' is not a recognized feature"),
        # LLVM ends the process.
        (
            "base = 'x86-64-v3'\ntriple = 'aarch64-unknown-linux-gnu'\ncpu = 'cortex-a72'",
            "mine.toml: no code can be made for this target: ",
        ),
        ("base = 'aarch64'\ntriple = 'aarch64_be-unknown-linux-gnu'", "has the highest byte of a number first"),
        ("base = 'cortex-m4'\ntriple = 'thumbv7em-none-eabihf'", "mine.toml: triple: expected four parts, as in thumbv7em-unknown"),
    ],
)
def test_a_target_that_llvm_has_no_code_for_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """LLVM takes no notice of names that it doesn't know, and ends the process on contradictions: neither may come to a user."""
    with pytest.raises(CannotBuild) as caught:
        rnnspec.build(rnnspec.compile(TINY, seed=1), tmp_path / "out", targets=[written(tmp_path, text)])
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [written(folder, "base = 'aarch64'") for folder in (tmp_path, tmp_path / "other")]
    message = f"{files[1]}: name: {files[0]} describes a target named mine, too"
    with pytest.raises(CannotBuild, match=f"^{re.escape(message)}$"):
        chosen_targets([*files])
    with pytest.raises(FileNotFoundError):
        chosen_targets([tmp_path / "none.toml"])
