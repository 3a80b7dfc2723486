"""The built distributions hold what they must, and the installed wheel compiles an example away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: str, into: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, cwd=source)
    [built] = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(CHECKOUT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else: its dependencies come from this interpreter."""
    folder = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel, cwd=folder)
    return folder


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_holds_code_and_text_and_nothing_else(wheel: Path) -> None:
    package = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "rnnspec").rglob("*")}
    text = {path.relative_to(CHECKOUT) for folder in ("grammar", "templates") for path in (CHECKOUT / folder).rglob("*")}
    expected = {path.as_posix() for path in package if (CHECKOUT / path).is_file() and path.suffix != ".pyc"}
    expected |= {f"rnnspec/{path.as_posix()}" for path in text if (CHECKOUT / path).is_file()}
    assert contents(wheel) == expected
    assert {"rnnspec/py.typed", "rnnspec/grammar/rnn.lark", "rnnspec/grammar/ir.lark", "rnnspec/stdlib/lstm.rnn"} <= expected
    assert {"rnnspec/templates/python_call.ll.j2", "rnnspec/templates/thread_runtime.ll.j2"} <= expected


def test_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = build(CHECKOUT, "sdist", tmp_path / "sdist")
    with tarfile.open(source) as archive:
        # Python 3.11 before its fourth patch has no filters.
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    unpacked = tmp_path / source.name.removesuffix(".tar.gz")
    assert contents(build(unpacked, "wheel", tmp_path / "wheel")) == contents(wheel)


def test_installed_wheel_compiles_an_example_outside_the_repository(site: Path, tmp_path: Path) -> None:
    (tmp_path / "vowels.rnn").write_text((CHECKOUT / "examples" / "japanese_vowels.rnn").read_text(encoding="utf-8"), encoding="utf-8")
    code = (
        "import numpy, rnnspec\n"
        "model = rnnspec.compile('vowels.rnn', units=4, seed=0)\n"
        "print(rnnspec.__file__, model.forward(numpy.ones((2, 5, 12), numpy.float32)).shape)\n"
    )
    shown = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site), RNNSPEC_CACHE=str(tmp_path / "cache"))
    assert shown.split(maxsplit=1) == [str(site / "rnnspec" / "__init__.py"), "(2, 9)\n"]


def test_installed_command_checks_an_example(site: Path, tmp_path: Path) -> None:
    example = CHECKOUT / "examples" / "japanese_vowels.rnn"
    shown = run(site / "bin" / "rnnspec", "check", example, cwd=tmp_path, PYTHONPATH=str(site))
    assert "bidirectional" in shown
