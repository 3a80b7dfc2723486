"""The processes of `rnnspec train --distributed`: one of them speaks, and all of them end if one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rnnspec.runtime.model.random_streams import fresh_seed
from rnnspec.training.exchange import ALONE, Exchange, connected, summed, telling

if TYPE_CHECKING:
    from rnnspec.training.callbacks import History

_RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Variables by which launchers of MPI tell a process its rank, before there is MPI."""


@contextmanager
def among_ranks(distributed: bool) -> Generator[Exchange]:
    """The processes that `mpiexec` started, this one among them; this one alone unless `distributed`.

    What fails in the block, on one of them, ends all. All but rank 0 are silent from now on. ValueError without MPI or `mpiexec`.
    """
    if not distributed:
        yield ALONE
        return
    if any(os.environ.get(name, "0") != "0" for name in _RANKS):
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)
    exchange = connected()
    with telling(exchange):
        yield exchange


def shared_seed(exchange: Exchange, seed: int | None) -> int | None:
    """The seed that was given; without one, of several processes, rank 0 draws one for all."""
    if seed is not None or exchange.size == 1:
        return seed
    return int(exchange.everyone(str(fresh_seed()).encode())[0])


def exchanged(exchange: Exchange, history: History) -> Mapping[str, Any]:
    """What all ranks sent in a training, as JSON has it; every rank calls this. Bytes and messages are those of an update, of all ranks."""
    sent = history.params["sent"]
    numbers, messages = summed(exchange, (0,), (sent.bytes, sent.messages))
    updates = max(sent.updates, 1)
    return {
        "processes": exchange.size,
        "shards": history.params["shards"],
        "updates": sent.updates,
        "bytes_per_update": numbers / updates,
        "messages_per_update": messages / updates,
    }
