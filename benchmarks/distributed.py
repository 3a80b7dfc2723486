"""Training on one process and on two, each on a core of its own: `python -m benchmarks.distributed W4a-train W5b-train`.

It starts itself by `mpiexec`, once for all workloads. Rank 0 trains alone, in one piece and in two shards, while rank 1 waits;
then both train.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import rnnspec
from benchmarks.workloads import Workload, draw, workload
from rnnspec.training.exchange import Exchange, connected
from rnnspec.training.model import Model

NAMES = ("W4a-train", "W5b-train")
INSIDE = "RNNSPEC_BENCHMARK_RANKS"
"""A variable that is set where `mpiexec` has started the process."""

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Training:
    """Seconds of an update, round by round: of one process with the batch in one piece, of one with two shards, of two processes."""

    whole: list[float]
    sharded: list[float]
    two: list[float]

    @property
    def speedup(self) -> float:
        """How many times two processes are as fast as one that has the batch in one piece: the median of the rounds' ratios."""
        return statistics.median(one / two for one, two in zip(self.whole, self.two, strict=True))


def measure_training(work: Workload, exchange: Exchange, *, batches: int = 8, rounds: int = 5) -> Training:
    """Trains on `batches` batches of a workload in each round; all ranks call this."""
    drawn = draw(work)
    data = {name: np.concatenate([array] * batches) for name, array in drawn.items()}
    found = Training([], [], [])
    models = [_model(work, shards) for shards in (1, PROCESSES, PROCESSES)]
    for turn in range(rounds + 1):  # the first one compiles
        for place, (model, seconds) in enumerate(zip(models, (found.whole, found.sharded, found.two), strict=True)):
            distributed = place == 2 and exchange.size > 1
            exchange.everyone(b"")
            begin = time.perf_counter()
            if distributed or exchange.rank == 0:
                _train(model, data, work, distributed)
            if turn:
                seconds.append((time.perf_counter() - begin) / batches)
    exchange.everyone(b"")
    return found


def _model(work: Workload, shards: int) -> Model:
    model = rnnspec.compile(work.spec, seed=0, parameters=work.parameters)
    model.configure(shards=shards)
    return model


def _train(model: Model, data: Mapping[str, object], work: Workload, distributed: bool) -> None:
    inputs = {name: data[name] for name in work.inputs}
    model.fit(inputs, data["y"], work.batch, 1, shuffle=False, seed=0, verbose=False, distributed=distributed)


def main(names: Annotated[list[str] | None, typer.Argument(help=f"Workloads of training; {' and '.join(NAMES)} if none.")] = None) -> None:
    """How many times two processes of a core each are as fast as one, on W4a-train and W5b-train if none is named."""
    cores = sorted(os.sched_getaffinity(0))
    if INSIDE not in os.environ:
        raise typer.Exit(_start(names or NAMES, cores))
    exchange = connected()
    os.sched_setaffinity(0, {cores[exchange.rank]})
    for name in names or NAMES:
        found = measure_training(workload(name), exchange)
        if exchange.rank == 0:
            typer.echo(_told(name, found))


def _start(names: Sequence[str], cores: Sequence[int]) -> int:
    mpiexec = Path(sysconfig.get_path("scripts")) / "mpiexec"
    if not mpiexec.exists():
        raise typer.BadParameter(f"{mpiexec} isn't there: pip install 'rnnspec[mpi]'")
    if len(cores) < PROCESSES:
        raise typer.BadParameter(f"{PROCESSES} processes need a core each, and there is {len(cores)}")
    environment = {**os.environ, INSIDE: "1", "RNNSPEC_THREADS": "1"}
    command = [str(mpiexec), "-n", str(PROCESSES), sys.executable, "-m", "benchmarks.distributed", *names]
    return subprocess.run(command, env=environment, check=False).returncode


def _told(name: str, found: Training) -> str:
    whole, sharded, two = (f"{statistics.median(each) * 1e3:.2f}" for each in (found.whole, found.sharded, found.two))
    return (
        f"{name}: ms an update: {whole} on one process, {sharded} in two shards, {two} on two processes, {found.speedup:.2f} times as fast"
    )


if __name__ == "__main__":
    typer.run(main)
