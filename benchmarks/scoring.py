"""Scoring a folder of files on one worker of Dask and on two, each on a core of its own: `python -m benchmarks.scoring`."""

from __future__ import annotations

import importlib
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rnnspec
from benchmarks.workloads import Workload, draw, workload
from rnnspec.datafiles.formats import Reading
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.engines import Engine
from rnnspec.scoring.folder import files_of, plan
from rnnspec.scoring.partition import How, ModelFile


@dataclass(frozen=True, slots=True)
class Scoring:
    """Seconds for all files, round by round, by the number of workers; `samples` of a round."""

    samples: int
    seconds: dict[int, list[float]]

    @property
    def speedup(self) -> float:
        """How many times two workers are as fast as one: the median of the rounds, in which both took turns."""
        return statistics.median(one / two for one, two in zip(self.seconds[1], self.seconds[2], strict=True))


def measure_scoring(work: Workload, *, files: int = 8, batches: int = 96, rounds: int = 5) -> Scoring:
    """Scores `files` files of `batches` batches of a workload each, as often as `rounds` says.

    The clusters are there, and their workers have made the model, before the first round: a long run is measured, without its start.
    """
    distributed: Any = importlib.import_module("distributed")
    folder = Path(tempfile.mkdtemp(prefix="rnnspec-scoring-"))
    try:
        _write(folder, work, files, batches)
        seconds: dict[int, list[float]] = {1: [], 2: []}
        with ExitStack() as stack:
            addresses: dict[int, str] = {}
            for workers in seconds:
                settings: dict[str, Any] = {
                    "n_workers": workers,
                    "threads_per_worker": 1,
                    "dashboard_address": "127.0.0.1:0",
                    "memory_limit": 0,
                }
                cluster = stack.enter_context(distributed.LocalCluster(**settings))
                addresses[workers] = cluster.scheduler_address
                _pin(distributed, addresses[workers])
                _score(folder, addresses[workers])
            for _ in range(rounds):
                for workers, address in addresses.items():
                    seconds[workers].append(_score(folder, address))
        return Scoring(files * batches * work.batch, seconds)
    finally:
        shutil.rmtree(folder)


def _write(folder: Path, work: Workload, files: int, batches: int) -> None:
    rnnspec.compile(work.spec, seed=0, parameters=work.parameters).save(folder / "model.rnnc")
    (folder / "in").mkdir()
    drawn = draw(work)
    arrays = {name: np.concatenate([drawn[name]] * batches) for name in work.inputs}
    for file in range(files):
        np.savez(folder / f"in/{file}.npz", allow_pickle=False, **arrays)


def _pin(distributed: Any, address: str) -> None:
    """Each worker on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    with distributed.Client(address) as client:
        for core, worker in zip(cores, client.scheduler_info()["workers"], strict=False):
            client.run(_pin_here, core, workers=[worker])


def _pin_here(core: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def _score(folder: Path, address: str) -> float:
    """Seconds for all files, each scored anew."""
    how = How((), (), Reading(), ".npz", 1)
    found = plan(files_of([f"{folder}/in/*.npz"]), folder / "out", ModelFile.of(folder / "model.rnnc", None), how, overwrite=True)
    begin = time.perf_counter()
    problems = [outcome.problem for outcome in Engine(EngineName.dask, address).run(found.partitions) if outcome.problem]
    took = time.perf_counter() - begin
    if problems:
        raise RuntimeError(problems[0])
    return took


if __name__ == "__main__":
    found = measure_scoring(workload("W4a"))
    for workers, seconds in found.seconds.items():
        rounds = ", ".join(f"{each:.2f}" for each in seconds)
        print(f"{workers} of Dask: {found.samples / statistics.median(seconds):,.0f} samples a second; seconds of rounds: {rounds}")
    print(f"two workers are {found.speedup:.2f} times as fast as one")
