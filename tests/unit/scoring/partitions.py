"""Data files and a model for the tests of engines, and a worker that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import rnnspec
from rnnspec.datafiles.formats import Reading
from rnnspec.scoring.engines import Engine
from rnnspec.scoring.folder import files_of, plan
from rnnspec.scoring.partition import How, ModelFile, Outcome, Partition, score_partition

SPEC = "model Tiny { input x: float[time, 2]  GRU(4)  Dense(2, name = 'y') }".replace("'", '"')
FILES, ROWS = 5, 6


def write_data(folder: Path) -> None:
    """JSON lines in `folder/in`, and the model `folder/m.rnnc`."""
    (folder / "in").mkdir()
    for file in range(FILES):
        rows = [f'{{"id": "{file}-{row}", "x": {[[file / 7, row / 3]] * (row + 1)}}}' for row in range(ROWS)]
        (folder / f"in/p{file}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    rnnspec.compile(SPEC, seed=3).save(folder / "m.rnnc")


def planned(folder: Path, out: str, engine: Engine | None = None, ending: str = ".jsonl") -> tuple[Partition, ...]:
    how = How((), ("id",), Reading(), ending, None if engine is None else engine.threads)
    files = files_of([f"{folder}/in/*.jsonl"])
    return plan(files, folder / out, ModelFile.of(folder / "m.rnnc", None), how, overwrite=False).partitions


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("p*")}


def work_of_a_dying_worker(marks: Path, deaths: int) -> Callable[[Partition], Outcome]:
    """`score_partition`, but the first processes that get the second file are killed, so many; `marks` counts them."""

    def work(partition: Partition) -> Outcome:
        if partition.source.endswith("p1.jsonl") and (died := len(list(marks.iterdir()))) < deaths:
            (marks / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return score_partition(partition)

    return work
