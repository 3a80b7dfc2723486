"""What the processes of one training say to each other: a protocol, the one process that has nobody to talk to, and MPI.

A **rank** is one of the `size` processes, from 0. Nothing here waits forever: a rank whose work fails tells all others, who then fail
too; and who hears nothing for `PATIENCE` seconds gives up. A process that dies is seen by `mpiexec`, which ends all others.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnspec.locks import LLVM

if TYPE_CHECKING:
    from mpi4py import MPI

EXTRA = "rnnspec[mpi]"

PATIENCE = 600.0
"""Seconds without a word from a rank that is waited for: longer than an epoch's validation and callbacks take."""

LAUNCHERS = ("PMI_SIZE", "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_SIZE")
"""Variables that the launchers of MPI set, of which one at least is there."""

_SAID, _SWAPPED, _FAILED = 1, 2, 3
"""Tags of messages."""

_EAGER_POLLS = 200
_PAUSE = 5e-5
"""So many looks for a message follow each other at once; between later ones are so many seconds, which others can compute in."""


class RankError(ValueError):
    """A training on several processes that can't begin, or go on, with the rank that is to blame."""


class Exchange(Protocol):
    """What the ranks of a training say to each other. Every rank makes the same calls, in the same order."""

    @property
    def rank(self) -> int:
        """This process, from 0."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    @property
    def bytes_sent(self) -> int:
        """The bytes that this rank has sent so far."""
        ...

    @property
    def messages_sent(self) -> int:
        """The messages that this rank has sent so far."""
        ...

    def everyone(self, said: bytes) -> list[bytes]:
        """What every rank said, in the order of the ranks; RankError if one failed or is gone."""
        ...

    def swap(self, given: Sequence[tuple[int, bytes]], source: int | None) -> bytes:
        """Sends each rank in `given` its bytes, and returns what `source` sent to this one; nothing without a source."""
        ...

    def fail(self, reason: str) -> None:
        """Tells all others that this rank can't go on; their next call raises RankError."""
        ...


class Alone:
    """One process, which has all shards."""

    rank = 0
    size = 1
    bytes_sent = 0
    messages_sent = 0

    def everyone(self, said: bytes) -> list[bytes]:
        """See `Exchange`."""
        return [said]

    def swap(self, given: Sequence[tuple[int, bytes]], source: int | None) -> bytes:
        """See `Exchange`: there is nobody."""
        return b""

    def fail(self, reason: str) -> None:
        """See `Exchange`: there is nobody."""


ALONE: Exchange = Alone()


class MPIExchange:
    """The processes that `mpiexec` started, on a communicator of their own, by messages of bytes."""

    def __init__(self, patience: float = PATIENCE) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._ranks = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._ranks.rank, self._ranks.size
        self.bytes_sent = self.messages_sent = 0
        self._patience = patience
        self._failed = False
        self._unread: list[tuple[MPI.Request, bytes]] = []
        """Words of failure on their way, which nobody may ever read."""

    def everyone(self, said: bytes) -> list[bytes]:
        """See `Exchange`."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = [self._send(said, rank, _SAID) for rank in others]
        heard = {rank: self._receive(rank, _SAID) for rank in others}
        self._await(sent, others)
        return [said if rank == self.rank else heard[rank] for rank in range(self.size)]

    def swap(self, given: Sequence[tuple[int, bytes]], source: int | None) -> bytes:
        """See `Exchange`."""
        sent = [self._send(each, rank, _SWAPPED) for rank, each in given]
        heard = b"" if source is None else self._receive(source, _SWAPPED)
        self._await(sent, [rank for rank, _ in given])
        return heard

    def fail(self, reason: str) -> None:
        """See `Exchange`."""
        if self._failed:
            return
        self._failed = True
        said = reason.encode()[:4000]
        for rank in range(self.size):
            if rank != self.rank:
                self._unread.append((self._ranks.Isend([said, self._mpi.BYTE], rank, _FAILED), said))

    def _send(self, given: bytes, to: int, tag: int) -> MPI.Request:
        self.bytes_sent += len(given)
        self.messages_sent += 1
        return self._ranks.Isend([given, self._mpi.BYTE], to, tag)

    def _receive(self, source: int, tag: int) -> bytes:
        status = self._mpi.Status()
        for _ in self._looks([source]):
            message = self._ranks.Improbe(source, tag, status)
            if message is not None:
                given = bytearray(status.Get_count(self._mpi.BYTE))
                message.Recv([given, self._mpi.BYTE])
                return bytes(given)
        raise AssertionError("looks end by RankError alone")

    def _await(self, sent: Sequence[MPI.Request], to: Sequence[int]) -> None:
        """Until messages are on their way, and their memory is free."""
        requests = list(sent)
        for _ in self._looks(to):
            if self._mpi.Request.Testall(requests):
                return

    def _looks(self, ranks: Sequence[int]) -> Generator[None]:
        """Looks, one after the other, until the caller has found what it looks for; RankError if a rank has failed, or after `PATIENCE`."""
        begin, number = time.monotonic(), 0
        while True:
            yield
            status = self._mpi.Status()
            if self._ranks.Iprobe(self._mpi.ANY_SOURCE, _FAILED, status):
                reason = bytearray(status.Get_count(self._mpi.BYTE))
                self._ranks.Recv([reason, self._mpi.BYTE], status.Get_source(), _FAILED)
                raise RankError(f"rank {status.Get_source()}: {reason.decode(errors='replace')}")
            number += 1
            if number < _EAGER_POLLS:
                os.sched_yield()
                continue
            time.sleep(_PAUSE)
            if time.monotonic() - begin > self._patience:
                named = ", ".join(map(str, ranks))
                raise RankError(f"rank {named} has said nothing to rank {self.rank} for {self._patience:.0f} seconds")


@contextmanager
def telling(exchange: Exchange) -> Generator[None]:
    """What fails in the block is told to the other ranks, so that none of them waits for this one."""
    try:
        yield
    except RankError:  # whoever failed has told all
        raise
    except BaseException as error:
        exchange.fail("interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__)
        raise


def connected() -> Exchange:
    """The processes that `mpiexec` started this one among; ValueError where there is no MPI, or no `mpiexec` started this one."""
    try:
        with LLVM:  # a fork waits for who imports
            import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except (ImportError, RuntimeError) as error:
        found = "isn't installed" if isinstance(error, ModuleNotFoundError) else f"found no library of MPI ({error})"
        raise ValueError(f"distributed: mpi4py {found}: pip install '{EXTRA}' installs it, and MPI") from None
    if not any(name in os.environ for name in LAUNCHERS):
        raise ValueError("distributed: this process is alone: start the command, or the script, by `mpiexec -n 4`, say")
    return _connected()


_EXCHANGES: list[MPIExchange] = []
"""The process's own, once it is connected: duplicates of a communicator are made by all ranks together."""


def _connected() -> Exchange:
    if not _EXCHANGES:
        _EXCHANGES.append(MPIExchange())
    return _EXCHANGES[0]


def agreed(exchange: Exchange, known: dict[str, str]) -> None:
    """RankError, naming the first difference, unless every rank knows the same."""
    first, *others = (json.loads(each) for each in exchange.everyone(json.dumps(known).encode()))
    for rank, other in enumerate(others, 1):
        for name in {**first, **other}:
            if first.get(name) != other.get(name):
                raise RankError(f"rank {rank} has another {name} than rank 0: {other.get(name)}, and not {first.get(name)}")


STEP, EPOCH, END = 1, 2, 3
"""The places in a training where ranks meet."""


def summed(exchange: Exchange, place: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """The sums of whole numbers over all ranks; RankError unless all have come to the same place of the training."""
    said = np.array([len(place), *place, *numbers], np.int64)
    heard = [np.frombuffer(each, np.int64) for each in exchange.everyone(said.tobytes())]
    for rank, each in enumerate(heard):
        there = each[1 : 1 + int(each[0])]
        if not np.array_equal(there, heard[0][1 : 1 + int(heard[0][0])]):
            advice = "callbacks and batches must be the same on every rank"
            raise RankError(f"rank {rank} is {_told(there)}, and rank 0 {_told(heard[0][1:])}: {advice}")
    return [int(total) for total in np.sum([each[1 + len(place) :] for each in heard], axis=0)]


def _told(place: NDArray[np.int64]) -> str:
    """A place in words."""
    match int(place[0]):
        case 1:  # STEP
            return f"at update {place[1]}, of {place[2]} samples"
        case 2:  # EPOCH
            return f"behind epoch {place[1]}, with other weights or rates"
        case _:
            return f"at the end, behind epoch {place[1]}"
