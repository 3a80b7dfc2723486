"""The number of threads for a model's calls."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from rnnspec.contract.tuning import Tuning

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


@dataclass
class ThreadCount:
    """How many threads the calls of one model may use, and by which `tuning` they share their work.

    `participants`: threads that took part in the last call that was worth sharing; 1 before the first.
    """

    number: int = 1
    tuning: Tuning = field(default_factory=Tuning)
    participants: int = 1
