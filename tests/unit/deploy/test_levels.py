"""All levels of x86-64 in one library: the processor's own is taken, and no other name is seen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import rnnspec
from rnnspec.contract.target_names import ALL_LEVELS, LEVELS
from rnnspec.deploy.archive import Member, archive_of
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS

SPEC = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
TRIPLES = {BUILD_TARGETS[target].triple for target in LEVELS.values()}
MACHINE = compilation_of(SPEC).machine()
"""This one: its description has the name of the best level that it is, by other words."""

OWN = {"sse4.2": 2, "avx2": 3, "avx512": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("levels") / "tiny"
    rnnspec.build(rnnspec.compile(SPEC, seed=1), made, targets=[ALL_LEVELS], functions=["step", "forward"])
    for example in ("example", "example_forward"):
        if shutil.which("cc") is not None and MACHINE.architecture == "x86_64":
            command = ["cc", "-Iinclude", f"{example}.c", f"{ALL_LEVELS}/libtiny.a", "-o", example]
            subprocess.run(command, cwd=made, check=True)
    return made


def test_a_folder_of_all_levels(folder: Path) -> None:
    inside = folder / ALL_LEVELS
    assert {"x86_64-unknown-linux-gnu"} == TRIPLES
    assert sorted(path.name for path in inside.iterdir()) == sorted(["libtiny.a", *LEVELS.values()])
    assert sorted(path.name for path in (inside / LEVELS[3]).iterdir()) == ["check.bin", "check_forward.bin"]


@pytest.mark.skipif(MACHINE.architecture != "x86_64" or shutil.which("cc") is None, reason="no x86-64, or no C compiler: cc")
def test_this_processors_level_is_taken(folder: Path) -> None:
    level = LEVELS[OWN[MACHINE.name]]
    for example, check in (("./example", "check.bin"), ("./example_forward", "check_forward.bin")):
        subprocess.run([example, f"{ALL_LEVELS}/{level}/{check}"], cwd=folder, check=True)


@pytest.mark.skipif(MACHINE.architecture != "x86_64" or shutil.which("cc") is None, reason="no x86-64, or no C compiler: cc")
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="there is no qemu-x86_64: apt-get install qemu-user")
def test_the_level_is_that_of_the_processor(folder: Path) -> None:
    for processor, level in (("Nehalem", 2), ("Haswell", 3), ("Haswell,abm=off", 2), ("Haswell,avx2=off", 2), ("Haswell,fma=off", 2)):
        for example, check in (("./example", "check.bin"), ("./example_forward", "check_forward.bin")):
            run = ["qemu-x86_64", "-cpu", processor, example]
            for each, target in LEVELS.items():
                done = subprocess.run([*run, f"{ALL_LEVELS}/{target}/{check}"], cwd=folder, check=False, capture_output=True)
                # Levels round alike but for the lowest, which doesn't multiply and add at once.
                assert (done.returncode == 0) == ((each == 2) == (level == 2)), (processor, each, done.stderr)


def test_archives_of_several_objects_say_where_each_name_is() -> None:
    members = [Member("a_name_of_many_letters.o", b"first", ("one", "two")), Member("b.o", b"second!", ("three",))]
    whole = archive_of(members)
    assert whole[68:72] == (3).to_bytes(4, "big")
    places = [int.from_bytes(whole[72 + 4 * number :][:4], "big") for number in range(3)]
    assert places[0] == places[1]
    assert [whole[place + 60 :].startswith(content) for place, content in zip(places, (b"first", b"first", b"second"), strict=True)] == [
        True
    ] * 3
    assert whole[places[0] : places[0] + 16] == b"a_name_of_many_/"
    bsd = archive_of(members, bsd=True)
    table = 8 + 60 + 16 + 4
    found = [int.from_bytes(bsd[table + 8 * number + 4 :][:4], "little") for number in range(3)]
    assert found[0] == found[1]
    assert [bsd[place : place + 3] for place in found] == [b"#1/"] * 3
