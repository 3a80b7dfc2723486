"""Threads that run one function together: joining, barriers, and the division of rows.

The protocol works by atomic operations on the call's `SharedNumbers`, whose table of fields is in `contract.native_structs`. A thread
that comes late, or never, is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.templates import render
from rnnspec.contract.native_structs import CLOSED, SharedNumbers, word_places
from rnnspec.kernel.parallel_units import FETCHED, ROWS_OF_A_PASS, WAIT_COST, StepShare, waits_of
from rnnspec.kernel.target import Intrinsic

PLACES = word_places(SharedNumbers)
"""The word of each field of `SharedNumbers`, by name."""

TURNS_BEFORE_YIELD = 128
"""Turns of waiting after which a thread lets others have its processor; a power of two."""

MOST_IDLE = 3
"""The leader of a scan goes on alone once it has waited for more than 1 / MOST_IDLE of its time plus the barrier budget. Two threads on
one processor each wait for half of their time."""

OWN_ROWS = 6
"""Rows of a thread from which it does all nests of a block of time for them alone. What it reads then lies in its own caches, and it
waits for nobody, but it takes the tokens of its rows step by step: fewer at once would wait for the weights."""


@cache
def thread_runtime(pause: Intrinsic) -> str:
    """The functions that entry points for several threads call, on a processor with this instruction for waiting."""
    arguments = ", ".join(f"{kind} {number}" for kind, number in pause.arguments)
    kinds = ", ".join(kind for kind, _ in pause.arguments)
    values = {
        "pause_declaration": f"declare void @{pause.name}({kinds})",
        "pause_call": f"call void @{pause.name}({arguments})",
        "last_turn": TURNS_BEFORE_YIELD - 1,
        "shared": PLACES,
        "closed": CLOSED,
    }
    return render("thread_runtime.ll.j2", values)


def wait(writer: FunctionWriter, threads: str) -> None:
    """Emits a barrier of so many threads."""
    writer.do(f"call void @rnnspec.wait(ptr %shared, i64 {threads})")


def place_of(writer: FunctionWriter, number: str) -> str:
    """The address of a field of `SharedNumbers`, by name."""
    return writer.assign(f"getelementptr inbounds i64, ptr %shared, i64 {PLACES[number]}", "p")


def even_range(vectors: Vectors, size: str, number: str, shards: str) -> tuple[str, str]:
    """First and last + 1 of shard `number` of `size` items in `shards` even parts."""
    writer = vectors.writer
    edges = [writer.assign(f"sdiv i64 {writer.multiply(size, part)}, {shards}", "edge") for part in (number, writer.add(number, 1))]
    return edges[0], edges[1]


def token_range(vectors: Vectors, offsets: str, steps: str, rows: str, number: str, shards: str) -> tuple[str, str]:
    """The shard's range of a scan's rows, even in tokens; the last shard also has the rows without tokens."""
    writer = vectors.writer

    def edge(part: str) -> str:
        return writer.assign(f"call i64 @rnnspec.first_row(ptr {offsets}, i64 {steps}, i64 {rows}, i64 {part}, i64 {shards})", "edge")

    following = writer.add(number, 1)
    last = writer.assign(f"icmp eq i64 {following}, {shards}")
    return edge(number), writer.assign(f"select i1 {last}, i64 {rows}, i64 {edge(following)}", "edge")


def fewer_by_units(vectors: Vectors, shares: Sequence[StepShare], offsets: str, steps: str, rows: str, shards: str) -> str:
    """An i1: whether a scan of so many rows takes the busiest thread less time if they share units rather than rows.

    Rows alike make it do a whole one more than others; of rows of different lengths it has about half of one more than its share.
    """
    writer = vectors.writer

    def quotient(dividend: str, divisor: str | int) -> str:
        """Rounded up."""
        return writer.assign(f"sdiv i64 {writer.subtract(writer.add(dividend, divisor), 1)}, {divisor}", "quotient")

    def cost(tokens: str, of: Iterable[StepShare]) -> str:
        """Of nests that do so many tokens in all steps."""
        few = writer.multiply(steps, ROWS_OF_A_PASS)
        least = writer.assign(f"icmp slt i64 {tokens}, {few}")
        return writer.multiply(writer.assign(f"select i1 {least}, i64 {few}, i64 {tokens}", "tokens"), sum(share.cost for share in of))

    tokens = writer.load_index(offsets, steps)
    some = writer.assign(f"select i1 {writer.assign(f'icmp sgt i64 {rows}, 1')}, i64 {rows}, i64 1", "rows")
    half = writer.assign(f"sdiv i64 {tokens}, {writer.multiply(some, 2)}")
    part = vectors.smin(writer.multiply(quotient(rows, shards), steps), writer.add(quotient(tokens, shards), half))
    waiting = writer.multiply(writer.multiply(steps, shards), waits_of(shares) * WAIT_COST)
    by_units = writer.add(waiting, cost(part, [share for share in shares if share.blocks == 1]))
    for blocks in sorted({share.blocks for share in shares if share.blocks > 1}):
        whole = cost(tokens, [share for share in shares if share.blocks == blocks])
        whole = writer.add(whole, writer.assign(f"sdiv i64 {whole}, {FETCHED}"))
        by_units = writer.add(by_units, writer.multiply(writer.assign(f"sdiv i64 {whole}, {blocks}"), quotient(str(blocks), shards)))
    return writer.assign(f"icmp slt i64 {by_units}, {cost(part, shares)}", "by_units")
