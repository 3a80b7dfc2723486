"""Who reads and who writes, in threads, in handlers and after a fork."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rnnspec import locks
from rnnspec.locks import LLVM, MOST_SLOTS, ReadersWriter, in_llvm, new_lock, renewed_after_fork

PATIENCE = 60


def started(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(*threads: threading.Thread) -> bool:
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def in_a_child(work: Callable[[], None]) -> int:
    """How a fork's child ended that did some work: 0 for well."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(PATIENCE)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


@pytest.fixture
def on_user_signal() -> Iterator[Callable[[Callable[[], Any]], None]]:
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda work: signal.signal(signal.SIGUSR1, lambda *_: work()) and None
    signal.signal(signal.SIGUSR1, before)


def test_more_threads_than_slots_read_and_write() -> None:
    turns = ReadersWriter()
    held: list[int] = [0]

    def add() -> None:
        value = held[0]
        held[0] = value + 1

    def work() -> None:
        for _ in range(20):
            turns.write(add)
            assert turns.read(lambda: held[0]) > 0

    assert ended(*(started(work) for _ in range(2 * MOST_SLOTS)))
    assert held == [40 * MOST_SLOTS]


def test_a_reader_of_what_it_has_written_lets_others_read_and_keeps_writers_out() -> None:
    turns = ReadersWriter()
    events: list[str] = []
    inside, read = threading.Event(), threading.Event()

    def long_read() -> None:
        inside.set()
        assert read.wait(PATIENCE)
        events.append("read what was written")

    first = started(lambda: turns.write_and_read(lambda: events.append("written first"), long_read))
    assert inside.wait(PATIENCE)
    writer = started(lambda: turns.write(lambda: events.append("written later")))
    turns.read(lambda: events.append("read by another"))
    read.set()
    assert ended(first, writer)
    assert events == ["written first", "read by another", "read what was written", "written later"]


def test_in_a_handler_a_reader_reads_and_does_not_write(on_user_signal: Callable[[Callable[[], Any]], None]) -> None:
    turns = ReadersWriter()
    came: list[Any] = []

    def handler() -> None:
        came.append(turns.read(lambda: "read"))
        with pytest.raises(RuntimeError, match="this thread is computing with them"):
            turns.write(lambda: None)
        with pytest.raises(RuntimeError, match="can't be read now"):
            turns.write_and_read(lambda: None, lambda: None)

    on_user_signal(handler)
    turns.read(lambda: signal.raise_signal(signal.SIGUSR1))
    assert came == ["read"]
    came.clear()
    on_user_signal(lambda: came.append(turns.write_and_read(lambda: came.append("written"), lambda: "read")))
    turns.write_and_read(lambda: None, lambda: signal.raise_signal(signal.SIGUSR1))
    assert came == ["written", "read"], "who reads what it has written has kept all other writers out"


def test_in_a_write_no_handler_runs_and_nobody_reads_half_of_it(on_user_signal: Callable[[Callable[[], Any]], None]) -> None:
    turns = ReadersWriter()
    events: list[str] = []
    on_user_signal(lambda: turns.read(lambda: events.append("read")))

    def write() -> None:
        signal.raise_signal(signal.SIGUSR1)
        events.append("written")
        for use in (turns.read, turns.write):
            with pytest.raises(RuntimeError, match="this very thread is changing them"):
                use(lambda: None)

    turns.write(write)
    assert events == ["written", "read"]


def test_what_fails_leaves_nothing_locked() -> None:
    turns = ReadersWriter()
    for use in (turns.read, turns.write, lambda work: turns.write_and_read(work, work)):
        with pytest.raises(ZeroDivisionError):
            use(lambda: 1 / 0)
    assert ended(started(lambda: turns.write(lambda: None)), started(lambda: turns.read(lambda: None)))


def test_a_forks_child_has_locks_of_its_own() -> None:
    turns, inside, go_on = ReadersWriter(), threading.Event(), threading.Event()

    def long_read() -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    reader = started(lambda: turns.read(long_read))
    assert inside.wait(PATIENCE)
    assert in_a_child(lambda: turns.write(lambda: None)) == 0
    go_on.set()
    assert ended(reader)
    turns.write(lambda: None)


def test_a_fork_waits_for_who_writes_and_for_llvm() -> None:
    turns, events = ReadersWriter(), list[str]()
    inside = threading.Barrier(3, timeout=PATIENCE)

    def slowly(name: str) -> None:
        inside.wait()
        events.append(f"{name} begins")
        threading.Event().wait(0.05)
        events.append(f"{name} ends")

    threads = [started(lambda: turns.write(lambda: slowly("write"))), started(lambda: in_llvm(lambda: slowly("LLVM")))]
    inside.wait()

    def whole() -> None:
        assert sum(event.endswith("begins") for event in events) == sum(event.endswith("ends") for event in events)
        turns.write(lambda: in_llvm(lambda: None))

    assert in_a_child(whole) == 0
    assert ended(*threads)
    assert in_a_child(whole) == 0
    assert ended(started(lambda: in_llvm(lambda: None))), "the parent has given LLVM back"


def test_a_fork_of_who_reads_does_not_wait_for_who_waits_for_it() -> None:
    turns = ReadersWriter()
    waiting: list[threading.Thread] = []

    def fork() -> int:
        waiting.append(started(lambda: turns.write(lambda: None)))
        return in_a_child(lambda: turns.write(lambda: None))

    turns.read(lambda: None)
    assert turns.read(fork) == 0
    assert ended(*waiting)


def test_owners_that_are_gone_are_forgotten() -> None:
    class Own:
        def __init__(self) -> None:
            self.lock = new_lock()

        def renew_locks(self) -> None:
            self.lock = new_lock()

    def known() -> list[object]:
        return [owner for each in locks._owners if isinstance(owner := each(), Own)]

    kept = Own()
    for owner in (kept, *(Own() for _ in range(5))):
        renewed_after_fork(owner)
    del owner
    renewed_after_fork(Own())
    assert known() == [kept]
    assert len([each for each in locks._owners if each() is None]) <= 1
    assert LLVM.__class__ is new_lock().__class__
