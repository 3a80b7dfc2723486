"""Signals that wait until something is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from rnnspec import signals
from rnnspec.signals import SIGNALS, deferred, ready_to_defer


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


def test_what_is_ready_to_defer_is_interrupted_between_its_sections_at_once() -> None:
    done: list[str] = []

    def work() -> None:
        deferred(lambda: done.append("first"))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        done.append("interrupted")
        with pytest.raises(KeyboardInterrupt):
            deferred(lambda: (signal.raise_signal(signal.SIGINT), done.append("whole")))
        deferred(lambda: done.append("last"))

    ready_to_defer(work)
    assert done == ["first", "interrupted", "whole", "last"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_its_handlers_are_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[int] = []
    setting = signals._set_handler

    def counted(number: int, handler: object) -> object:
        replaced.append(number)
        return setting(number, handler)

    monkeypatch.setattr(signals, "_set_handler", counted)
    ready_to_defer(lambda: [deferred(lambda: ready_to_defer(lambda: deferred(list[int]))) for _ in range(5)])
    assert len(replaced) == 2 * len(
        [number for number in SIGNALS if callable(handler := signal.getsignal(number)) and type(handler) is not int]
    )


def test_a_handler_that_is_set_in_it_waits_and_stays() -> None:
    came: list[int] = []

    def work() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: came.append(number))
            deferred(lambda number=number: (signal.raise_signal(number), came.append(0)))
            deferred(lambda: came.append(1))

    ready_to_defer(work)
    assert came == [0, signal.SIGINT, 1, 0, signal.SIGTERM, 1]
    signal.raise_signal(signal.SIGINT)
    assert came[-1] == signal.SIGINT


def test_its_stand_in_that_is_left_behind_is_the_handler() -> None:
    left: list[object] = []
    ready_to_defer(lambda: left.append(signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, left[0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_it_raises_ends_it() -> None:
    def work() -> None:
        deferred(lambda: None)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        ready_to_defer(work)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not signals._section.ready
