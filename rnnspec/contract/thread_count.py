"""The number of threads for a model's calls."""

from __future__ import annotations

import os
from dataclasses import dataclass

VARIABLE = "RNNSPEC_THREADS"


MOST_PER_PROCESSOR = 8
"""Threads that a call may use for each processor that the process may use; more would only wait for each other."""


def default_threads() -> int:
    """`RNNSPEC_THREADS`, bounded, else the processors that this process may use; ValueError if the variable is no number of threads."""
    chosen = os.environ.get(VARIABLE, "")
    if not chosen:
        return processors()
    digits = chosen.lstrip("0")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{VARIABLE}: expected a whole number of at least 1, got {chosen!r}")
    return bounded(int(digits[:9]))


def bounded(number: int) -> int:
    """The number of threads, or the most that this process may use."""
    return min(number, MOST_PER_PROCESSOR * processors())


def processors() -> int:
    """The number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


LEAST_SAVED = 16_000_000
"""Operations that several threads must save a call: fewer aren't worth waking them."""

PATIENCE = 4096
"""Turns, of some hundredths of a microsecond each, that a call waits for its workers to come."""

IDLE = 1 << 17
"""Ticks of the processor's counter, about 50 µs, that a call may wait at a scan's steps beside a part of its time."""

CALLS_ALONE = 16
"""Calls of a function that one thread does after one in which others had no processor of their own."""


@dataclass
class ThreadCount:
    """The number of threads that a model's calls may use, and the thresholds for using them.

    `least_saved`: operations that several threads must save. `patience`: turns to wait for a thread's arrival. `idle`: ticks that
    a call may wait in vain at a scan's steps. `took_part`: threads in the last call that was worth sharing.
    """

    number: int = 1
    least_saved: int = LEAST_SAVED
    patience: int = PATIENCE
    idle: int = IDLE
    took_part: int = 1
