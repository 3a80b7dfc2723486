"""Signals that wait until something is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from rnnspec import signals
from rnnspec.signals import SIGNALS, deferred


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As they were, after each test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_waits_for_the_end_and_is_raised() -> None:
    done: list[int] = []

    def work() -> None:
        for step in range(3):
            signal.raise_signal(signal.SIGINT)
            done.append(step)

    with pytest.raises(KeyboardInterrupt):
        deferred(work)
    assert done == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert deferred(lambda: 3) == 3


def test_every_handler_runs_whatever_another_raises() -> None:
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if number != signal.SIGHUP:
            raise TimeoutError(number)

    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, note)

    def work() -> None:
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
            signal.raise_signal(number)
        assert not came

    with pytest.raises(TimeoutError) as raised:
        deferred(work)
    assert came == [signal.SIGTERM, signal.SIGALRM, signal.SIGHUP]
    assert raised.value.args == (signal.SIGALRM,)
    assert isinstance(raised.value.__context__, TimeoutError)
    assert all(signal.getsignal(number) is note for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP))


def test_what_the_work_raises_is_raised_when_no_handler_does() -> None:
    with pytest.raises(KeyError):
        deferred(lambda: {}[0])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        raise KeyError

    with pytest.raises(KeyboardInterrupt) as raised:
        deferred(work)
    assert isinstance(raised.value.__context__, KeyError)


def test_a_section_within_another_waits_for_the_outer_one() -> None:
    done: list[str] = []

    def inner() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("inner")

    def outer() -> None:
        deferred(inner)
        done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        deferred(outer)
    assert done == ["inner", "outer"]


def test_signals_that_nobody_handles_and_that_are_ignored_stay_so() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    deferred(lambda: signal.raise_signal(signal.SIGUSR1))
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_a_handler_that_the_work_sets_stays() -> None:
    def own(number: int, frame: FrameType | None) -> None: ...

    deferred(lambda: signal.signal(signal.SIGINT, own))
    assert signal.getsignal(signal.SIGINT) is own


def test_a_stand_in_that_an_interrupt_has_left_behind_is_the_handler() -> None:
    stand_ins: list[object] = []
    deferred(lambda: stand_ins.append(signal.getsignal(signal.SIGINT)))
    (left,) = stand_ins
    assert callable(left) and left is not signal.default_int_handler
    signal.signal(signal.SIGINT, left)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, left)
    with pytest.raises(KeyboardInterrupt):
        deferred(lambda: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_handlers_are_left_alone() -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: deferred(lambda: seen.append(signal.getsignal(signal.SIGINT))))
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_what_the_work_holds_ends_with_it() -> None:
    """What a signal interrupted isn't kept alive by it: a destructor that runs later could be interrupted itself."""

    class Ends:
        def __del__(self) -> None:
            ended.append(signals._section.open)

    ended: list[bool] = []

    def work() -> None:
        held = Ends()
        signal.raise_signal(signal.SIGINT)
        assert held is not None

    with pytest.raises(KeyboardInterrupt):
        deferred(work)
    assert ended == [True]
