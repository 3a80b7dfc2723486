"""Interrupts, kills, forks and other threads at any moment: a short form; `make soak` runs them by the thousand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.soak import SOAKS

SHORT = {
    "interrupted_steps": 80,
    "interrupted_compiles": 10,
    "saves_in_handlers": 25,
    "forks": 12,
    "changed_ids": 40,
    "shared_streams": 200,
    "killed_trainings": 12,
}
"""Rounds of a test run; `SOAK` in the environment multiplies them."""

MOST = {"killed_trainings": 200}
"""Rounds that a long run has at most: each is a training that is killed once or more often, and resumed."""


@pytest.mark.parametrize("name", SOAKS)
def test_it_holds_however_often_it_is_tried(name: str) -> None:
    rounds = min(SHORT[name] * int(os.environ.get("SOAK", "1")), MOST.get(name, sys.maxsize))
    run = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-W",
            "ignore::ResourceWarning",
            "-m",
            "tests.soak.soak",
            name,
            str(rounds),
        ],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "RNNSPEC_CACHE": ""} if name == "interrupted_compiles" else None,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert run.returncode == 0, run.stderr[-8000:]
    assert run.stdout.startswith("ok: ")
    print(run.stdout)
