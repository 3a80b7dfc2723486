"""Pages of the cookbook, run as a reader would: from the first block to the last, in a folder with the examples."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from docs.generate import ROOT
from tests.docs.markdown import Block, blocks

RUNS = ("sh", "python", "rnn")


@dataclass(frozen=True)
class Ran:
    """A block that ran, and what it wrote to standard output and to standard error."""

    block: Block
    out: str
    err: str


def prepare(folder: Path) -> None:
    """A folder with the examples, and with a command `rnnspec` of this checkout in `bin`."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    command = folder / "bin" / "rnnspec"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnspec "$@"\n', encoding="utf-8")
    command.chmod(0o755)


def run(page: str, folder: Path) -> list[Ran]:
    """Runs the page docs/cookbook/PAGE in a folder that was prepared; each block must succeed.

    `sh` is given to a shell, `python` sees what the blocks of Python before it have defined, and `rnn` is written to the file that its
    first line names, `# reviews.rnn`.
    """
    names: dict[str, object] = {}
    ran: list[Ran] = []
    for block in (block for block in blocks(*RUNS) if block.page == f"docs/cookbook/{page}"):
        out = err = ""
        if block.info == "sh":
            out, err = _shell(block, folder)
        elif block.info == "python":
            out = _python(block, folder, names)
        else:
            file = block.text.partition("\n")[0].removeprefix("# ")
            assert file.endswith(".rnn"), f"{block}: its first line says no file: # name.rnn"
            (folder / file).write_text(block.text, encoding="utf-8")
        ran.append(Ran(block, out, err))
    return ran


def _shell(block: Block, folder: Path) -> tuple[str, str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(
        ["sh", "-e", "-c", block.text], cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def _python(block: Block, folder: Path, names: dict[str, object]) -> str:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(block.text, str(block), "exec"), names)
    return shown.getvalue()
