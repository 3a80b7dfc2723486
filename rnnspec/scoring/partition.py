"""One partition's work, in whichever process: a data file read, scored and written as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.api import load
from rnnspec.contract.weight_storage import StorageName
from rnnspec.datafiles.formats import Reading, format_of, read_parts
from rnnspec.datafiles.parquet import parquet_types
from rnnspec.datafiles.predictions import IN_PARTS, PARQUET, Predictions, encode_parts, not_finite
from rnnspec.datafiles.table import Table
from rnnspec.files import large_limit, open_file, read_file, write_parts_atomically
from rnnspec.frozen import frozen
from rnnspec.scorer import Scorer
from rnnspec.training.model import Model
from rnnspec.version import __version__

ROWS_AT_ONCE = 4096
"""Rows of a Parquet file that are in memory at once."""


@frozen
class ModelFile:
    """The file of a model by its content. `weights`: how inference keeps matrices, None for the model's own."""

    path: str
    digest: str
    weights: StorageName | None = None

    @classmethod
    def of(cls, path: Path, weights: StorageName | None) -> ModelFile:
        """That of a path; OSError if it can't be read."""
        return cls(os.fspath(path.resolve()), digest_of(read_file(path, large_limit())), weights)


@frozen
class Stamp:
    """What tells whether an input file is the same: its size in bytes, and when it was changed, in nanoseconds."""

    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> Stamp:
        """That of a file; OSError if it isn't there."""
        status = Path(path).stat()
        return cls(status.st_size, status.st_mtime_ns)


@frozen
class How:
    """How all partitions of a run are read and written.

    `columns`, `ids`: as for `Scorer`. `ending`: that of the files to write. `threads`: of one call, None for the process's own number.
    """

    columns: tuple[tuple[str, tuple[str, ...]], ...]
    ids: tuple[str, ...]
    reading: Reading
    ending: str
    threads: int | None = None


@frozen
class Partition:
    """A file to score: what it was when it was looked at, and where its predictions go."""

    source: str
    stamp: Stamp
    target: str
    model: ModelFile
    how: How
    version: str = __version__


@frozen
class Outcome:
    """What became of a partition. `not_finite`: samples whose predictions aren't; `problem`: why there are none, "" if there are."""

    partition: Partition
    samples: int = 0
    not_finite: int = 0
    problem: str = ""


def digest_of(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def score_partition(partition: Partition) -> Outcome:
    """Scores a file. What a user can put right is the outcome's problem, so that it comes back from any worker as it is."""
    try:
        if partition.version != __version__:
            raise ValueError(f"a worker has rnnspec {__version__}, the run is of {partition.version}: install the same on all machines")
        scorer = _scorer(partition.model, partition.how)
        tally = _Tally()
        parts = tally.counted(map(scorer.score, _tables(partition, scorer)))
        types = _types(partition) if partition.how.ending == PARQUET else {}
        write_parts_atomically(Path(partition.target), _unchanged(partition, encode_parts(partition.how.ending, parts, types)))
    except OSError as error:
        name = partition.source if error.filename is None else os.fsdecode(error.filename)
        return Outcome(partition, problem=f"{name}: {error.strerror or error}")
    except (ValueError, MemoryError) as error:
        problem = f"{error}" if isinstance(error, ValueError) else f"{partition.source}: not enough memory"
        return Outcome(partition, problem=problem if partition.source in problem else f"{partition.source}: {problem}")
    return Outcome(partition, tally.samples, tally.not_finite)


def _scorer(file: ModelFile, how: How) -> Scorer:
    model = model_of(file)
    if how.threads is not None:
        model.threads = how.threads
    return Scorer(model, columns=dict(how.columns), ids=how.ids)


@lru_cache(maxsize=1)
def model_of(file: ModelFile) -> Model:
    """The model of a process, which makes it once; ValueError if the file is another one by now, or on this machine."""
    content = read_file(file.path, large_limit())
    if digest_of(content) != file.digest:
        raise ValueError(f"{file.path}: the model isn't the one that the run began with")
    return load(content, weights=file.weights)


def _tables(partition: Partition, scorer: Scorer) -> Iterator[Table]:
    """The table of a file, a Parquet file's in parts where the rows don't have to be together."""
    how = partition.how
    rows = ROWS_AT_ONCE if how.ending in IN_PARTS else None
    parts = read_parts(partition.source, scorer.is_wanted, how.reading, rows)
    first = next(parts)
    if rows is not None and scorer.has_key(first):
        yield from read_parts(partition.source, scorer.is_wanted, how.reading, None)
        return
    yield first
    yield from parts


def _types(partition: Partition) -> dict[str, Any]:
    """The types of the columns to keep, where the file says them."""
    if not partition.how.ids or format_of(partition.source, partition.how.reading) != "parquet":
        return {}
    with open_file(partition.source, large_limit()) as file:
        return parquet_types(file)


class _Tally:
    """The samples of all parts, and those of them whose predictions aren't finite."""

    def __init__(self) -> None:
        self.samples = self.not_finite = 0

    def counted(self, parts: Iterable[Predictions]) -> Iterator[Predictions]:
        for found in parts:
            self.samples += len(found.arrays[0])
            self.not_finite += int(np.count_nonzero(not_finite(found)))
            yield found


def _unchanged(partition: Partition, content: Iterable[bytes]) -> Iterator[bytes]:
    """The content; ValueError at its end, before the file is there, if the input was written to meanwhile."""
    yield from content
    if Stamp.of(partition.source) != partition.stamp:
        raise ValueError(f"{partition.source}: it was changed while it was scored: run the same again")
