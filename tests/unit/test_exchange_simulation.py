"""The simulator of what the processes of a training send, against the exchange itself and the formula of docs/distributed.md."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import exchange
from benchmarks.distributed import Training, measure_training
from benchmarks.exchange import Network, simulate
from benchmarks.workloads import workload
from rnnspec.training.exchange import ALONE, STEP, RankError, summed
from rnnspec.training.shards import Contribution, Shards

PAGE = Path(__file__).parents[2] / "docs/distributed.md"
ROWS = [[0, 3], [3], [], [1, 2, 3], [9], [0, 9], [4], [5, 6]]
"""The rows of a table that each of eight shards reads."""

Queues = dict[tuple[int, int], SimpleQueue[bytes]]


class Threads:
    """Ranks that are threads of this process; it counts as the exchange of MPI does."""

    def __init__(self, rank: int, size: int, queues: Queues) -> None:
        self.rank, self.size, self.queues = rank, size, queues
        self.bytes_sent = self.messages_sent = 0

    def everyone(self, said: bytes) -> list[bytes]:
        others = [rank for rank in range(self.size) if rank != self.rank]
        self._send([(rank, said) for rank in others])
        return [said if rank == self.rank else self._heard(rank) for rank in range(self.size)]

    def swap(self, given: Sequence[tuple[int, bytes]], source: int | None) -> bytes:
        self._send(given)
        return b"" if source is None else self._heard(source)

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)

    def _send(self, given: Sequence[tuple[int, bytes]]) -> None:
        for rank, said in given:
            self.bytes_sent += len(said)
            self.messages_sent += 1
            self.queues[self.rank, rank].put(said)

    def _heard(self, source: int) -> bytes:
        return self.queues[source, self.rank].get(timeout=60)


def contribution(shard: int) -> Contribution:
    rows = np.array(ROWS[shard], np.int64)
    values = np.full((len(rows), 3), 0.1 * shard, np.float32)
    return Contribution(np.full(5, 0.3 * shard, np.float32), np.array([0.7 * shard, 1.0]), ((rows, values),))


def node_bytes(node: range) -> int:
    union = {row for shard in node for row in ROWS[shard]}
    return 8 + 2 * 8 + 5 * 4 + len(union) * (8 + 3 * 4)


def update(ranks: Threads) -> bytes:
    summed(ranks, (STEP, 0, 8), [1])
    return Shards(8, ranks).summed(contribution, contribution(2)).to_bytes()


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8])
def test_messages_and_bytes_are_those_of_the_exchange(size: int) -> None:
    queues: Queues = {(one, two): SimpleQueue() for one in range(size) for two in range(size)}
    ranks = [Threads(rank, size, queues) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        sums = set(pool.map(update, ranks))
    assert sums == {Shards(8).summed(contribution, contribution(2)).to_bytes()}
    found = simulate(8, size, Network(1e-5, 1e9), node_bytes, [1e-3] * 8)
    assert found.messages == sum(rank.messages_sent for rank in ranks)
    assert found.bytes == sum(rank.bytes_sent for rank in ranks)


@pytest.mark.parametrize("doublings", range(7))
def test_seconds_are_those_of_the_formula(doublings: int) -> None:
    size = 2**doublings
    found = simulate(64, size, Network(1e-4, 1e9, 2e9), lambda _: 10**6, [1e-3] * 64)
    meeting = 1e-4 + (size - 1) * 40 / 1e9 if size > 1 else 0
    assert found.seconds == pytest.approx(0.064 / size + meeting + doublings * (1e-4 + 10**6 / 1e9 + 10**6 / 2e9))
    assert found.bytes == size * doublings * 10**6 + size * (size - 1) * 40


def test_all_wait_for_the_slowest() -> None:
    seconds = [1e-3] * 8
    even = simulate(8, 4, Network(0, 1e9), lambda _: 0, seconds).seconds
    seconds[5] += 0.5
    assert simulate(8, 4, Network(0, 1e9), lambda _: 0, seconds).seconds == pytest.approx(even + 0.5)


def test_more_ranks_than_shards_are_refused() -> None:
    with pytest.raises(RankError, match="4 processes can't share 2 shards"):
        simulate(2, 4, Network(0, 1e9), lambda _: 0, [0, 0])


@pytest.mark.parametrize("options", [[], ["--bandwidth", "1", "--latency", "100"]])
def test_the_page_has_the_tables_of_the_command(options: list[str]) -> None:
    app = exchange.typer.Typer()
    app.command()(exchange.main)
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0
    assert done.output in PAGE.read_text()


def test_the_benchmark_trains_each_way_in_every_round() -> None:
    small = replace(workload("W5b-train"), batch=4, time=3, features=2, units=3)
    found = measure_training(small, ALONE, batches=2, rounds=2)
    assert [len(each) for each in (found.whole, found.sharded, found.two)] == [2, 2, 2]
    assert Training([4.0, 2.0, 9.0], [], [2.0, 2.0, 3.0]).speedup == 2
