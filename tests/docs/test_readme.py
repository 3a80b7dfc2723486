"""The README's commands and its Python are run, on the data that ships with the examples."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import ROOT
from tests.docs.markdown import blocks
from tests.e2e.conftest import Workplace

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [
    line.partition("#")[0].strip()
    for block in blocks("sh")
    if block.page == "README.md"
    for line in block.text.splitlines()
    if line.strip()
]
COMMANDS = [line for line in LINES if line.startswith("rnnspec ")]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, where the README's commands run one after the other."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def test_the_two_commands_come_first_and_in_order() -> None:
    assert LINES[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_the_target(target: str) -> None:
    """What `make test` runs is this test, so that it can only be looked at here."""
    planned = run("make", "--dry-run", "--always-make", target, cwd=ROOT)
    assert ("rnnspec train" if target == "demo" else "pytest") in planned


def test_the_demo_runs_the_commands_shown() -> None:
    planned = (ROOT / "Makefile").read_text(encoding="utf-8")
    train, predict = re.findall(r"\$\(BIN\)/(rnnspec .*)", planned)
    data = re.findall(r"^DATA := (.*)$", planned, re.MULTILINE)[0]
    for line in (train, predict):
        assert line.replace("$(DATA)", data).replace("build/", "") in COMMANDS


def test_every_command_is_one_of_these() -> None:
    assert [line for line in LINES if line not in COMMANDS] == ["make demo", "make test", "pip install ."]
    assert {line.split()[1] for line in COMMANDS} == {
        *("check", "inspect", "train", "evaluate", "predict", "compile", "profile", "fmt", "import", "export", "build"),
    }


def test_it_installs(tmp_path: Path) -> None:
    """`pip install .` without a network: what it depends on is here already."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", tmp_path)
    run(sys.executable, "-m", "pip", "install", *options, ROOT, cwd=tmp_path)
    assert (tmp_path / "rnnspec" / "stdlib" / "lstm.rnn").is_file()


def test_the_commands_run(folder: Path) -> None:
    """In the README's order, training cut down to two epochs."""
    shown: dict[str, str] = {}
    for line in COMMANDS:
        _, name, *arguments = shlex.split(line)
        shown[name] = Workplace(folder).succeeds(name, *arguments, *(["--epochs", "2"] if name == "train" else [])).out
    assert "92,209" in shown["check"]
    assert "scan" in shown["inspect"]
    assert re.match(r"test accuracy 0\.\d+\n", shown["train"])
    assert shown["evaluate"] == shown["train"]
    assert shown["predict"].count("(0.") == 9
    assert (folder / "untrained.rnnc").is_file()
    assert "@backward" in shown["profile"]


def test_the_python_runs(folder: Path) -> None:
    (block,) = (block for block in blocks("python") if block.page == "README.md")
    shown = run(sys.executable, "-W", "error", "-c", block.text, cwd=folder)
    assert shown.endswith("(128, 9) (2, 20, 12)\n")
