"""Shards: the parts of a batch whose gradients are summed in one fixed order, whichever process computes them.

A batch is cut into `count` contiguous parts. A binary tree over the parts says in which order their contributions are added; each rank
owns a contiguous run of parts. Where a node of the tree has parts on several ranks, its two sides are swapped between them, each rank
adding the same two numbers; a + b and b + a are the same bits. So the sum depends on the number of shards, and not on that of ranks.
Why: docs/decisions/shards.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.training.exchange import ALONE, Exchange, RankError
from rnnspec.training.updates import Rows as TableRows


def owned_by(rank: int, count: int, size: int) -> range:
    """The shards of a rank, contiguous and balanced; ValueError for more ranks than shards."""
    if size > count:
        advice = f"start {count} at most, or set `shards = {size}` in the train section"
        raise RankError(f"{size} processes can't share {count} shard{'s' * (count > 1)}: {advice}")
    return range(rank * count // size, (rank + 1) * count // size)


def cut(samples: int, count: int) -> list[range]:
    """The places of each shard's samples in a batch, contiguous and balanced; a batch with fewer samples than shards has empty ones."""
    return [range(number * samples // count, (number + 1) * samples // count) for number in range(count)]


def node_halves(node: range) -> tuple[range, range]:
    """The two sides of a node of the tree with more than one shard; the left one is the larger."""
    middle = node.start + (len(node) + 1) // 2
    return range(node.start, middle), range(middle, node.stop)


@frozen
class Swap:
    """A rank's part at a node with shards on several ranks.

    `has`: whether it has the left side, and the right one. `to`: the ranks that get the left side of it, and those that get the right one.
    `source`: who sends the missing side, None if it has both.
    """

    node: range
    has: tuple[bool, bool]
    to: tuple[tuple[int, ...], tuple[int, ...]]
    source: int | None


@cache
def local_nodes(rank: int, count: int, size: int) -> tuple[range, ...]:
    """The largest nodes whose shards are all a rank's own, in their order."""
    owned = owned_by(rank, count, size)

    def inside(node: range) -> list[range]:
        if not set(node) & set(owned):
            return []
        if set(node) <= set(owned):
            return [node]
        return [each for half in node_halves(node) for each in inside(half)]

    return tuple(inside(range(count)))


@cache
def swaps_of(rank: int, count: int, size: int) -> tuple[Swap, ...]:
    """A rank's swaps in their order: those below a node before its own. All ranks go through the nodes in the same order."""
    owners = [next(each for each in range(size) if shard in owned_by(each, count, size)) for shard in range(count)]

    def below(node: range) -> list[Swap]:
        ranks = sorted({owners[shard] for shard in node})
        if len(ranks) == 1 or rank not in ranks:
            return []
        left, right = (sorted({owners[shard] for shard in half}) for half in node_halves(node))
        return [*(swap for half in node_halves(node) for swap in below(half)), _swap(rank, node, left, right)]

    return tuple(below(range(count)))


def _swap(rank: int, node: range, left: Sequence[int], right: Sequence[int]) -> Swap:
    """Sender and receiver are paired by their places among the ranks of their sides, so that no rank sends more than it must."""
    to: list[tuple[int, ...]] = []
    source = None
    for here, there in ((left, right), (right, left)):
        wanting = [(place, other) for place, other in enumerate(there) if other not in here]
        to.append(tuple(other for place, other in wanting if here[place % len(here)] == rank))
        if rank in here and rank not in there:
            source = there[here.index(rank) % len(there)]
    return Swap(node, (rank in left, rank in right), (to[0], to[1]), source)


@frozen(eq=False)
class Contribution:
    """What shards add to an update.

    `gradient`: of all weights but large tables, flat. `sums`: float64, losses, metrics and moving statistics. `tables`: of each large
    table the rows that were read, int64 (rows,), sorted, and their gradients (rows, width).
    """

    gradient: Array
    sums: Array
    tables: tuple[tuple[TableRows, Array], ...] = ()

    def plus(self, other: Contribution) -> Contribution:
        """The sum. A row that one side alone has read is that side's."""
        with np.errstate(all="ignore"):  # what isn't finite is told once all is summed
            tables = tuple(_merged(*one, *two) for one, two in zip(self.tables, other.tables, strict=True))
            return Contribution(self.gradient + other.gradient, self.sums + other.sums, tables)

    def to_bytes(self) -> bytes:
        """The numbers one after the other, behind the counts of rows."""
        counts = np.array([len(rows) for rows, _ in self.tables], np.int64)
        arrays = [counts, self.sums, self.gradient, *(array for table in self.tables for array in table)]
        return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)

    def like(self, given: bytes) -> Contribution:
        """What `to_bytes` of a contribution to the same model gave."""
        place = 0

        def next_array(length: int, dtype: np.dtype[np.generic]) -> Array:
            nonlocal place
            array = np.frombuffer(given, dtype, length, place)
            place += array.nbytes
            return array

        counts = next_array(len(self.tables), np.dtype(np.int64))
        sums, gradient = next_array(self.sums.size, self.sums.dtype), next_array(self.gradient.size, self.gradient.dtype)
        tables: list[tuple[TableRows, Array]] = []
        for count, (_, values) in zip(counts, self.tables, strict=True):
            rows = next_array(int(count), np.dtype(np.int64))
            tables.append((rows, next_array(int(count) * values.shape[1], values.dtype).reshape(-1, values.shape[1])))
        return Contribution(gradient, sums, tuple(tables))


def _merged(rows: TableRows, values: Array, other_rows: TableRows, other_values: Array) -> tuple[TableRows, Array]:
    union = np.union1d(rows, other_rows)
    merged: Array = np.zeros((len(union), values.shape[1]), values.dtype)
    places, other_places = np.searchsorted(union, rows), np.searchsorted(union, other_rows)
    merged[places] = values
    both = np.isin(other_rows, rows, assume_unique=True)
    merged[other_places[~both]] = other_values[~both]
    merged[other_places[both]] += other_values[both]
    return union, merged


@dataclass(slots=True)
class Sent:
    """What this rank has sent in its updates so far."""

    updates: int = 0
    bytes: int = 0
    messages: int = 0


@frozen(eq=False)
class Shards:
    """The shards of a training's batches, and who computes which. `count` 1 is a batch in one piece."""

    count: int = 1
    exchange: Exchange = field(default=ALONE)
    sent: Sent = field(default_factory=Sent)

    def among(self, exchange: Exchange) -> Shards:
        """Those of the same batches, on these processes, which have sent nothing yet."""
        return Shards(self.count, exchange)

    @contextmanager
    def counted(self) -> Generator[None]:
        """Counts what this rank sends for the update in the block."""
        sent, messages = self.exchange.bytes_sent, self.exchange.messages_sent
        yield
        self.sent.updates += 1
        self.sent.bytes += self.exchange.bytes_sent - sent
        self.sent.messages += self.exchange.messages_sent - messages

    @property
    def params(self) -> dict[str, Any]:
        """What callbacks are told beside the rest, see `Callback.params`; nothing for batches in one piece."""
        if self.count == 1 and self.exchange.size == 1:
            return {}
        return {"shards": self.count, "rank": self.exchange.rank, "ranks": self.exchange.size, "sent": self.sent}

    @property
    def owned(self) -> range:
        """The shards of this rank."""
        return owned_by(self.exchange.rank, self.count, self.exchange.size)

    def summed(self, contribution: Callable[[int], Contribution | None], like: Contribution) -> Contribution:
        """The sum over all shards, the same on every rank; None for a shard without samples. `like`: one of the same model."""
        rank, size = self.exchange.rank, self.exchange.size
        known: dict[tuple[int, int], Contribution | None] = {
            (node.start, node.stop): _summed(node, contribution) for node in local_nodes(rank, self.count, size)
        }
        for swap in swaps_of(rank, self.count, size):
            known[swap.node.start, swap.node.stop] = self._swapped(swap, known, like)
        return known[0, self.count] or like

    def _swapped(self, swap: Swap, known: Mapping[tuple[int, int], Contribution | None], like: Contribution) -> Contribution | None:
        """A node's sum, of its two sides, one of which may come from another rank."""
        halves = [(half.start, half.stop) for half in node_halves(swap.node)]
        sides = [known[half] if has else None for half, has in zip(halves, swap.has, strict=True)]
        given: list[tuple[int, bytes]] = []
        for side, to in zip(sides, swap.to, strict=True):
            said = b"" if side is None or not to else side.to_bytes()
            given += [(rank, said) for rank in to]
        heard = self.exchange.swap(given, swap.source)
        missing = like.like(heard) if heard else None
        return _plus(*(side if has else missing for side, has in zip(sides, swap.has, strict=True)))


def _plus(one: Contribution | None, two: Contribution | None) -> Contribution | None:
    return two if one is None else one if two is None else one.plus(two)


def _summed(node: range, contribution: Callable[[int], Contribution | None]) -> Contribution | None:
    if len(node) == 1:
        return contribution(node.start)
    left, right = node_halves(node)
    return _plus(_summed(left, contribution), _summed(right, contribution))
