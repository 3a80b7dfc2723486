"""Data files and a model for the tests of engines, and a worker that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
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


def work_of_dying_workers(marks: Path, deaths: Mapping[str, int]) -> Callable[[Partition], Outcome]:
    """`score_partition`, but the first processes that get a file are killed, so many by the file's stem; `marks` has one for each."""

    def work(partition: Partition) -> Outcome:
        name = Path(partition.source).stem
        died = len(list(marks.glob(f"{name}-*")))
        if died < deaths.get(name, 0):
            (marks / f"{name}-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return score_partition(partition)

    return work
