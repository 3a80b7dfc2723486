"""The coordinator's end of a worker's pipe."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.environments import BUILD, PEERS, file_stem, pin, program_of, python_of, root_of, variables


class PeerError(Exception):
    """What a worker couldn't do, in its words."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds a call, and the processor time used, in cores: below 1, others had the core for a part of the turn."""

    times: list[float]
    share: float


class Process:
    """One peer's worker, started and pinned; ended with the block."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = peer
        self._log = (BUILD / f"{file_stem(peer)}.log").open("w")
        self._process = subprocess.Popen(
            [python_of(peer), "-m", "benchmarks.worker", program_of(peer)],
            cwd=root_of(peer),
            env=variables(threads, root_of(peer)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            preexec_fn=lambda: pin(threads),
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ask(self, name: str, *arguments: object) -> Any:
        """What the worker's method of that name gives; PeerError if it raises or the process ends."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            print(json.dumps([name, *arguments]), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"{self.peer} ended: see {self._log.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.peer}: {answer['error']}")
        return answer["result"]

    def versions(self) -> dict[str, str]:
        return self.ask("versions", list(PEERS[program_of(self.peer)]))

    def load(self, workload: str, data: Path) -> list[str]:
        return self.ask("load", workload, str(data))

    def check(self, setting: str, to: Path) -> float:
        return self.ask("check", setting, str(to))

    def time(self, setting: str, seconds: float, processor: bool) -> Turn:
        return Turn(*self.ask("time", setting, seconds, processor))
