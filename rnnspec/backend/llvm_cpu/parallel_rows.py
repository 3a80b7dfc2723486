"""What threads need to run one function together: how they join, wait for each other and share rows.

A call that threads share has 16 numbers of its own, zeros but for those that the caller sets. All of it is done with atomic
operations on them, so that a thread that comes late, or never, is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.kernel.parallel_units import ROWS_OF_A_PASS, WAIT_COST, StepShare, waits_of
from rnnspec.kernel.target import Target

ARRIVED, JOINED, WANTED, PATIENCE, YIELD, IDLE, DISMISSED, WAITING = 0, 1, 2, 3, 4, 5, 6, 8
"""Places in the numbers: threads that have come, those of them that take part (written by the leader), as many as there may be,
turns that the leader waits for them, the address of a function that gives the processor to others or 0, ticks that the leader may wait in
a scan beside its part of the time, the steps after which it went on alone or 0, arrivals at barriers."""

NUMBERS = 16

CLOSED = -(1 << 62)
"""What `ARRIVED` holds when nobody can join any more."""

TURNS_BEFORE_YIELD = 128
"""Turns of waiting after which a thread lets others have its processor."""

MOST_IDLE = 3
"""One of so many parts of its time the leader of a scan may wait for others behind the steps. If two threads have one processor for both,
it waits for half of it."""


def shard_functions(target: Target) -> str:
    """The functions that entry points for several threads call."""
    if target.triple.startswith("x86_64"):
        pause, declaration = "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    else:
        pause, declaration = "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"
    return "\n".join([declaration, _rest(pause), JOIN, WAIT, FIRST_ROW])


def _rest(pause: str) -> str:
    return f"""
define internal void @rnnspec.rest(ptr %shared, i64 %turn) #0 {{
entry:
  {pause}
  %part = and i64 %turn, {TURNS_BEFORE_YIELD - 1}
  %short = icmp ne i64 %part, {TURNS_BEFORE_YIELD - 1}
  br i1 %short, label %end, label %long
long:
  %place = getelementptr inbounds i64, ptr %shared, i64 {YIELD}
  %yield = load ptr, ptr %place, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %end, label %others
others:
  %result = call i32 %yield()
  br label %end
end:
  ret void
}}
"""


JOIN = f"""
define internal i64 @rnnspec.join(ptr %shared, i64 %follows) #0 {{
entry:
  %joined = getelementptr inbounds i64, ptr %shared, i64 {JOINED}
  %number = atomicrmw add ptr %shared, i64 1 acq_rel
  %late = icmp slt i64 %number, 0
  br i1 %late, label %out, label %in
out:
  ret i64 -1
in:
  %leads = icmp eq i64 %follows, 0
  br i1 %leads, label %lead, label %follow
lead:
  %wanted.place = getelementptr inbounds i64, ptr %shared, i64 {WANTED}
  %wanted = load i64, ptr %wanted.place, align 8
  %patience.place = getelementptr inbounds i64, ptr %shared, i64 {PATIENCE}
  %patience = load i64, ptr %patience.place, align 8
  br label %look
look:
  %turn = phi i64 [ 0, %lead ], [ %turn.next, %again ]
  %there = load atomic i64, ptr %shared acquire, align 8
  %some = icmp slt i64 %there, %wanted
  %time = icmp slt i64 %turn, %patience
  %on = and i1 %some, %time
  br i1 %on, label %again, label %close
again:
  call void @rnnspec.rest(ptr %shared, i64 %turn)
  %turn.next = add nsw i64 %turn, 1
  br label %look
close:
  %all = atomicrmw xchg ptr %shared, i64 {CLOSED} acq_rel
  store atomic i64 %all, ptr %joined release, align 8
  ret i64 %number
follow:
  %waited = phi i64 [ 0, %in ], [ %waited.next, %more ]
  %shards = load atomic i64, ptr %joined acquire, align 8
  %open = icmp eq i64 %shards, 0
  br i1 %open, label %more, label %known
more:
  call void @rnnspec.rest(ptr %shared, i64 %waited)
  %waited.next = add nsw i64 %waited, 1
  br label %follow
known:
  %broken = icmp slt i64 %shards, 0
  %mine = select i1 %broken, i64 -1, i64 %number
  ret i64 %mine
}}
"""
"""The thread's number among those that take part; -1: it came too late, or the leader never will."""


WAIT = f"""
define internal void @rnnspec.wait(ptr %shared, i64 %threads) #0 {{
entry:
  %place = getelementptr inbounds i64, ptr %shared, i64 {WAITING}
  %before = atomicrmw add ptr %place, i64 1 acq_rel
  %barriers = udiv i64 %before, %threads
  %barrier = add nuw i64 %barriers, 1
  %arrivals = mul nuw i64 %barrier, %threads
  br label %look
look:
  %turn = phi i64 [ 0, %entry ], [ %turn.next, %again ]
  %there = load atomic i64, ptr %place acquire, align 8
  %all = icmp sge i64 %there, %arrivals
  br i1 %all, label %end, label %again
again:
  call void @rnnspec.rest(ptr %shared, i64 %turn)
  %turn.next = add nsw i64 %turn, 1
  br label %look
end:
  ret void
}}
"""
"""Returns when all of the threads have come as often as this one: there is one counter for all barriers."""


FIRST_ROW = """
define internal i64 @rnnspec.first_row(ptr %offsets, i64 %steps, i64 %rows, i64 %shard, i64 %shards) #0 {
entry:
  %end = getelementptr inbounds i32, ptr %offsets, i64 %steps
  %total.short = load i32, ptr %end, align 4
  %total = sext i32 %total.short to i64
  %share = mul nsw i64 %total, %shard
  br label %search
search:
  %low = phi i64 [ 0, %entry ], [ %low.next, %counted ]
  %high = phi i64 [ %rows, %entry ], [ %high.next, %counted ]
  %open = icmp slt i64 %low, %high
  br i1 %open, label %halve, label %found
halve:
  %both = add nsw i64 %low, %high
  %middle = lshr i64 %both, 1
  br label %count
count:
  %step = phi i64 [ 0, %halve ], [ %after, %add ]
  %tokens = phi i64 [ 0, %halve ], [ %tokens.next, %add ]
  %on = icmp slt i64 %step, %steps
  br i1 %on, label %add, label %counted
add:
  %after = add nsw i64 %step, 1
  %this.place = getelementptr inbounds i32, ptr %offsets, i64 %step
  %next.place = getelementptr inbounds i32, ptr %offsets, i64 %after
  %this = load i32, ptr %this.place, align 4
  %next = load i32, ptr %next.place, align 4
  %here.short = sub nsw i32 %next, %this
  %here = sext i32 %here.short to i64
  %fewer = icmp slt i64 %here, %middle
  %below = select i1 %fewer, i64 %here, i64 %middle
  %tokens.next = add nsw i64 %tokens, %below
  br label %count
counted:
  %scaled = mul nsw i64 %tokens, %shards
  %enough = icmp sge i64 %scaled, %share
  %above = add nsw i64 %middle, 1
  %low.next = select i1 %enough, i64 %low, i64 %above
  %high.next = select i1 %enough, i64 %middle, i64 %high
  br label %search
found:
  ret i64 %low
}
"""
"""The first of a scan's rows that belongs to a shard: those before it have the tokens of the shards before it, or just more."""


def wait(writer: FunctionWriter, threads: str) -> None:
    """For all other threads."""
    writer.do(f"call void @rnnspec.wait(ptr %shared, i64 {threads})")


def place_of(writer: FunctionWriter, place: int) -> str:
    """The address of one of the numbers."""
    return writer.assign(f"getelementptr inbounds i64, ptr %shared, i64 {place}", "p")


def even_range(vectors: Vectors, size: str, number: str, shards: str) -> tuple[str, str]:
    """First and last + 1 of the shard's part of `size` things."""
    writer = vectors.writer
    edges = [writer.assign(f"sdiv i64 {writer.multiply(size, part)}, {shards}", "edge") for part in (number, writer.add(number, 1))]
    return edges[0], edges[1]


def token_range(vectors: Vectors, offsets: str, steps: str, rows: str, number: str, shards: str) -> tuple[str, str]:
    """As `even_range`, of a scan's rows: by tokens. The last shard has the rows without any too."""
    writer = vectors.writer

    def edge(part: str) -> str:
        return writer.assign(f"call i64 @rnnspec.first_row(ptr {offsets}, i64 {steps}, i64 {rows}, i64 {part}, i64 {shards})", "edge")

    following = writer.add(number, 1)
    last = writer.assign(f"icmp eq i64 {following}, {shards}")
    return edge(number), writer.assign(f"select i1 {last}, i64 {rows}, i64 {edge(following)}", "edge")


def fewer_by_units(vectors: Vectors, shares: Sequence[StepShare], offsets: str, steps: str, shards: str) -> str:
    """An i1: whether a scan takes the busiest thread less time if they share units rather than rows, at an average step."""
    writer = vectors.writer

    def quotient(dividend: str, divisor: str | int) -> str:
        """Rounded up."""
        return writer.assign(f"sdiv i64 {writer.subtract(writer.add(dividend, divisor), 1)}, {divisor}", "quotient")

    def cost(rows: str, of: Iterable[StepShare]) -> str:
        """Of nests that do so many rows."""
        return writer.multiply(larger(rows), sum(share.cost for share in of))

    def larger(rows: str) -> str:
        few = writer.assign(f"icmp slt i64 {rows}, {ROWS_OF_A_PASS}")
        return writer.assign(f"select i1 {few}, i64 {ROWS_OF_A_PASS}, i64 {rows}", "rows")

    some = writer.assign(f"select i1 {writer.assign(f'icmp sgt i64 {steps}, 1')}, i64 {steps}, i64 1", "steps")
    rows = quotient(writer.load_index(offsets, steps), some)
    part = quotient(rows, shards)
    waiting = writer.multiply(shards, waits_of(shares) * WAIT_COST)
    by_units = writer.add(waiting, cost(part, [share for share in shares if share.blocks == 1]))
    for blocks in sorted({share.blocks for share in shares if share.blocks > 1}):
        whole = cost(rows, [share for share in shares if share.blocks == blocks])
        by_units = writer.add(by_units, writer.assign(f"sdiv i64 {writer.multiply(whole, quotient(str(blocks), shards))}, {blocks}"))
    return writer.assign(f"icmp slt i64 {by_units}, {cost(part, shares)}", "by_units")
