"""From nothing to a first result: whole processes that import, compile W3a and call it once, in turns."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.environments import BUILD, pin, program_of, python_of, root_of, variables
from benchmarks.measure import Measured, Plan, prepare
from benchmarks.processes import Process, Turn
from benchmarks.results import OURS, Row
from benchmarks.workloads import Workload

WORK = "a process of its own: import, compile W3a's spec, first result"


def cold(work: Workload, peers: Sequence[str], plan: Plan) -> list[Row]:
    """Two rows: without and with what this project's cache holds; the peers keep nothing, and are the same in both."""
    data = BUILD / "data" / f"{work.name}.npz"
    prepare(work, data)
    able = [found for peer in peers if (found := _able(peer, work, data))]
    cached = [Measured(found.peer, "from its cache", 0.0, 0.0, found.versions) for found in able if program_of(found.peer) == OURS]
    with ExitStack() as stack:
        folders = {found.peer: stack.enter_context(tempfile.TemporaryDirectory()) for found in cached}
        for _ in range(plan.rounds):
            for found in able:
                with tempfile.TemporaryDirectory() as empty:
                    found.turns.append(Turn([_seconds(found.peer, work, data, empty, plan)], 1.0))
            for found in cached:
                kept = folders[found.peer]
                if not any(Path(kept).iterdir()):
                    _seconds(found.peer, work, data, kept, plan)
                found.turns.append(Turn([_seconds(found.peer, work, data, kept, plan)], 1.0))
    others = [found for found in able if program_of(found.peer) != OURS]
    return [Row("cold", WORK, work.threads, able), Row("cached", f"{WORK}, compiled before", work.threads, [*cached, *others])]


def _able(peer: str, work: Workload, data: Path) -> Measured | None:
    """A peer that can do the workload, with its first setting."""
    with Process(peer, work.threads) as process:
        settings = process.load(work.name, data)
        return Measured(peer, settings[0], 0.0, 0.0, process.versions()) if settings else None


def _seconds(peer: str, work: Workload, data: Path, cache: str, plan: Plan) -> float:
    clock = _time_of_children if plan.processor else time.perf_counter
    begun = clock()
    subprocess.run(
        [python_of(peer), "-m", "benchmarks.worker", program_of(peer), work.name, data],
        cwd=root_of(peer),
        env={**variables(work.threads, root_of(peer)), "RNNSPEC_CACHE": cache},
        check=True,
        capture_output=True,
        preexec_fn=lambda: pin(work.threads),
    )
    return clock() - begun


def _time_of_children() -> float:
    """The processor time of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system
