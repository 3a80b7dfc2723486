"""What an update on many processes would take: the messages of the tree of shards, at a given latency and bandwidth.

`python -m benchmarks.exchange` prints a table; nothing is timed, nothing sent, so that it is the same everywhere. See docs/distributed.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import typer

from rnnspec.frozen import frozen
from rnnspec.training.shards import Swap, node_halves, owned_by, swaps_of

WORD = 8
"""Bytes of a number of the meeting, in which ranks say where they are and how many losses they have."""

PLACE = 4
"""Numbers of a meeting beside the losses: how long the place is, its kind, the update, the samples."""

HEADINGS = ("processes", "shards of one, at most", "milliseconds", "updates a second", "times one", "messages", "MB sent in all")


@frozen
class Network:
    """`latency`: seconds until the first byte of a message is there. `bandwidth`: bytes a second of each rank, in each direction.

    `handling`: bytes a second at which a rank makes a message, reads one and adds both sides.
    """

    latency: float
    bandwidth: float
    handling: float = math.inf


@frozen
class Update:
    """An update by a batch: `seconds` from its begin until the last rank has the sum, and what all ranks sent for it."""

    seconds: float
    messages: int
    bytes: int


def simulate(
    count: int, size: int, network: Network, bytes_of: Callable[[range], int], seconds: Sequence[float], objectives: int = 1
) -> Update:
    """An update of `count` shards on `size` ranks.

    `bytes_of`: the bytes of what a node's shards contribute together. `seconds`: what each shard takes, whoever has it, (count,).
    `objectives`: the losses of the model. RankError for more ranks than shards.
    """
    clocks, messages, sent = _meeting(size, network, WORD * (PLACE + objectives))
    for rank in range(size):
        clocks[rank] += sum(seconds[shard] for shard in owned_by(rank, count, size))
    swaps = [{(swap.node.start, swap.node.stop): swap for swap in swaps_of(rank, count, size)} for rank in range(size)]
    for node in _nodes(range(count)):
        here = {rank: each[node.start, node.stop] for rank, each in enumerate(swaps) if (node.start, node.stop) in each}
        arrivals: dict[tuple[int, int], float] = {}
        for rank, swap in here.items():
            clocks[rank], given = _sends(rank, swap, clocks[rank], network, bytes_of, arrivals)
            messages += len(given)
            sent += sum(given)
        for rank, swap in here.items():
            if swap.source is not None:
                heard = bytes_of(node_halves(node)[swap.has[0]])
                clocks[rank] = max(clocks[rank], arrivals[swap.source, rank]) + heard / network.handling
    return Update(max(clocks), messages, sent)


def _meeting(size: int, network: Network, length: int) -> tuple[list[float], int, int]:
    """Every rank says something to every other one: the clocks behind it, the messages, the bytes."""
    seconds = network.latency + (size - 1) * length / network.bandwidth if size > 1 else 0.0
    return [seconds] * size, size * (size - 1), size * (size - 1) * length


def _nodes(node: range) -> Iterator[range]:
    """The nodes of the tree with several shards, those below one before it."""
    if len(node) > 1:
        for half in node_halves(node):
            yield from _nodes(half)
        yield node


def _sends(
    rank: int, swap: Swap, clock: float, network: Network, bytes_of: Callable[[range], int], arrivals: dict[tuple[int, int], float]
) -> tuple[float, list[int]]:
    """When a rank's messages at a node are on their way, one after the other, and their bytes; `arrivals` gets when each is there."""
    given: list[int] = []
    for half, to in zip(node_halves(swap.node), swap.to, strict=True):
        for other in to:
            given.append(bytes_of(half))
            clock += given[-1] / network.bandwidth
            arrivals[rank, other] = clock + network.latency
    return clock, given


def table(shards: int, size: int, seconds: float, network: Network) -> list[tuple[str, ...]]:
    """A row for each number of processes, 1, 2, 4 and so on up to `shards`.

    `size`: bytes of a contribution. `seconds`: those of a batch on one process.
    """
    rows: list[tuple[str, ...]] = []
    processes = 1
    while processes <= shards:
        found = simulate(shards, processes, network, lambda _: size, [seconds / shards] * shards)
        most = max(len(owned_by(rank, shards, processes)) for rank in range(processes))
        speed = (f"{found.seconds * 1e3:.2f}", f"{1 / found.seconds:.1f}", f"{seconds / found.seconds:.2f}")
        rows.append((str(processes), str(most), *speed, str(found.messages), f"{found.bytes / 1e6:.1f}"))
        processes *= 2
    return rows


def main(
    shards: Annotated[int, typer.Option(min=1, help="Shards of a batch.")] = 64,
    megabytes: Annotated[float, typer.Option(min=0, help="What a shard contributes: the gradient and the rows of tables.")] = 4.0,
    milliseconds: Annotated[float, typer.Option(min=0.001, help="What a batch takes on one process.")] = 256.0,
    latency: Annotated[float, typer.Option(min=0, help="Microseconds of a message.")] = 50.0,
    bandwidth: Annotated[float, typer.Option(min=0.001, help="Gbit a second of each process.")] = 10.0,
    handling: Annotated[float, typer.Option(min=0.001, help="GB a second at which messages are read and added.")] = 2.0,
) -> None:
    """What an update takes on 1, 2, 4 and more processes, by a simulation of what they send."""
    network = Network(latency / 1e6, bandwidth * 1e9 / 8, handling * 1e9)
    for row in (HEADINGS, ("---",) * len(HEADINGS), *table(shards, round(megabytes * 1e6), milliseconds / 1e3, network)):
        typer.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    typer.run(main)
