"""Thresholds that calls and updates are made by."""

from __future__ import annotations

from rnnspec.frozen import frozen


@frozen(kw_only=True)
class Tuning:
    """Knobs of a model's speed: the defaults were measured, and no bit of a result depends on any of them.

    `rnnspec.compile` and `rnnspec.load` take one; `model.tuning` shows it, and may be set. How many threads there are is `model.threads`.
    """

    least_saved_operations: int = 16_000_000
    """Operations that several threads must save a call: fewer aren't worth waking them."""

    spin_limit: int = 4096
    """Turns, of some hundredths of a microsecond each, that a call waits for its workers to come."""

    barrier_ticks: int = 1 << 17
    """Ticks of the processor's counter, about 50 µs, that threads may wait at a scan's steps beside a part of the call's time."""

    calls_alone: int = 16
    """The calls of a function that run on one thread after a call whose threads had to share a processor."""

    direct_operations: int = 2**24
    """Operations of the largest function that Python calls directly, holding its lock: it takes some tenths of a millisecond."""

    large_table: int = 1 << 15
    """Elements from which on a table's updates wait until its rows are read: a smaller one stays in the cache while all is updated.

    This one and the next two hold for optimizers that are set after it.
    """

    late_steps: int = 1024
    """Updates that a row of such a table may miss: the constants of so many are kept."""

    native_updates: bool = True
    """Whether native code updates large weights; else numpy does, but for tables whose updates wait."""


DEFAULT_TUNING = Tuning()


def checked_tuning(value: object) -> Tuning:
    """The value; ValueError if it is something else."""
    if not isinstance(value, Tuning):
        raise ValueError(f"tuning: expected an rnnspec.Tuning, got {value!r}")
    return value
