"""The threads that share native calls: how many there are, and how they are woken.

The workers belong to the process. A call takes idle ones only, and begins without those that don't come in time,
so it never waits for another call: what it computes doesn't depend on how many take part.
"""

from __future__ import annotations

import ctypes
import os
import threading
from queue import SimpleQueue

from rnnspec.contract.native_structs import BROKEN, SharedNumbers
from rnnspec.frozen import frozen
from rnnspec.runtime.native.jit import Loaded, NativeCall
from rnnspec.signals import deferred


@frozen(slots=False)
class SharedCall:
    """A native function for several threads with its arguments; keeps alive all the memory that the last worker may still touch."""

    function: NativeCall
    table: ctypes.Array[ctypes.c_void_p]
    sizes: ctypes.Array[ctypes.c_int64]
    loaded: Loaded

    def run(self, shared: SharedNumbers, *, follows: bool) -> None:
        """Runs this thread's part; `follows`: as a worker, not as the caller."""
        self.function(ctypes.addressof(self.table), ctypes.addressof(self.sizes), ctypes.addressof(shared), int(follows))


class _Team:
    """The process's workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posts: SimpleQueue[tuple[SharedCall, SharedNumbers]] = SimpleQueue()
        self._workers = 0
        self._idle = 0

    def take(self, wanted: int) -> int:
        """Takes at most `wanted` idle workers, starting new ones up to that number; returns how many."""
        with self._lock:
            while self._workers < wanted:
                try:
                    threading.Thread(target=_work, args=(self._posts,), name=f"rnnspec-{self._workers}", daemon=True).start()
                except RuntimeError:
                    break
                self._workers += 1
                self._idle += 1
            taken = min(wanted, self._idle)
            self._idle -= taken
            return taken

    def give_back(self, taken: int) -> None:
        with self._lock:
            self._idle += taken

    def post(self, call: SharedCall, shared: SharedNumbers) -> None:
        self._posts.put((call, shared))


def _work(posts: SimpleQueue[tuple[SharedCall, SharedNumbers]]) -> None:
    while True:
        call, shared = posts.get()
        call.run(shared, follows=True)
        del call, shared


_team = _Team()


def _after_fork() -> None:
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@frozen
class Participants:
    """The number of threads that ran a function; `timed_out`: the leader left the others behind, which came too late to its barriers."""

    threads: int
    timed_out: bool


def call_together(call: SharedCall, alone: NativeCall, threads: int, spin_limit: int, barrier_budget: int) -> Participants:
    """Runs a native function on so many threads, fewer if others have them. `alone`: the same function for one.

    `spin_limit`: turns of a loop in which the others may join. `barrier_budget`: ticks that the leader may wait at barriers, beside a
    part of its time, before it goes on alone.
    No signal interrupts it: workers that were called wait for their caller.
    """
    return deferred(lambda: _called_together(call, alone, threads, spin_limit, barrier_budget))


def _called_together(call: SharedCall, alone: NativeCall, threads: int, spin_limit: int, barrier_budget: int) -> Participants:
    team, taken = _team, 0
    shared = SharedNumbers(wanted=threads, spin_limit=spin_limit, give_way=_YIELD, barrier_budget=barrier_budget)
    try:
        taken = team.take(threads - 1)
        if not taken:
            alone(ctypes.addressof(call.table), ctypes.addressof(call.sizes))
            return Participants(1, timed_out=False)
        shared.wanted = taken + 1
        for _ in range(taken):
            team.post(call, shared)
        call.run(shared, follows=False)
        return Participants(shared.joined, timed_out=bool(shared.timed_out))
    finally:
        if not shared.joined:
            shared.joined = BROKEN
        if taken:
            team.give_back(taken)


def _yield_address() -> int | None:
    """The address of sched_yield, where the system has one."""
    try:
        return ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value
    except (AttributeError, OSError, TypeError):
        return None


_YIELD = _yield_address()
