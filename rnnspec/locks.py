"""Locks that outlive an interrupt, a signal handler and a fork.

An interrupt may come between any two instructions of Python's, so every lock is taken and given back by a `with` on a lock of
Python's own, between whose taking and noting there is none. A handler runs in the thread that it interrupts, so every lock may
be taken again by the thread that has it. In a fork's child the threads that held locks are gone, so that the locks are made anew.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar, cast, overload

from rnnspec.signals import deferred

Result = TypeVar("Result")
Value = TypeVar("Value")

MOST_SLOTS = 16
"""Threads that read one model's weights at the same time; more take turns."""

LLVM = threading.RLock()
"""Held while this package uses LLVM, and by who forks: LLVM's own locks can't be made anew."""


Lock: TypeAlias = "threading.RLock"
"""A lock that its thread may take again."""


def new_lock() -> Lock:
    """A lock that its thread may take again, which suits signal handlers; see the module's text."""
    return threading.RLock()


def is_held(lock: Lock) -> bool:
    """Whether this thread has the lock; `threading.Condition` asks in the same way."""
    return cast(Any, lock)._is_owned()


class cached_property(Generic[Value]):
    """`functools.cached_property` without the lock that Python 3.11's has, which a fork's child may find taken."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute, self._name = compute, compute.__name__
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


def in_llvm(work: Callable[[], Result]) -> Result:
    """The result of `work`, which uses LLVM: one thread at a time, without interrupts, which would leave llvmlite's lock taken."""
    with LLVM:
        return deferred(work)


class Owner(Protocol):
    """An object with locks, which a fork's child must make anew."""

    def renew_locks(self) -> None:
        """Makes all its locks anew, in a fork's child."""
        ...


_owners: tuple[weakref.ref[Owner], ...] = ()
_registering = threading.RLock()


def renewed_after_fork(owner: Owner) -> None:
    """From now on `owner.renew_locks` runs in every fork's child, as long as the owner lives."""
    global _owners
    with _registering:
        _owners = (*(known for known in _owners if known() is not None), weakref.ref(owner))


class ReadersWriter:
    """A lock for many readers or one writer, each of which runs a function.

    Each thread reads under a lock of its own, its slot. A writer takes all slots, behind a gate that lets no more readers in.
    """

    def __init__(self) -> None:
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """Makes all locks anew, in a fork's child."""
        self.writers = new_lock()
        """Held by a writer, also while it reads its own change afterwards."""
        self._gate = new_lock()
        self._slots: tuple[Lock, ...] = ()
        self._numbers = count()
        self._own = threading.local()
        self._writer: int | None = None

    def read(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, with no writer meanwhile."""
        slot = self._slot()
        if is_held(slot):
            self._refuse_if_writing()
            with slot:
                return work()
        with self._gate:
            pass
        with slot:
            return work()

    def write(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, with no reader and no signal meanwhile. RuntimeError in a thread that is reading."""
        slot = self._slot()
        if is_held(slot):
            self._refuse_if_writing()
            raise RuntimeError(
                "the weights can't be changed now: this thread is computing with them, "
                "and this call comes from a signal handler, or the like, that has interrupted it"
            )
        return deferred(lambda: self._written(work))

    def write_and_read(self, first: Callable[[], None], work: Callable[[], Result]) -> Result:
        """The result of `work` as a reader, after `first` as the writer, with no other writer between."""
        slot = self._slot()
        if is_held(slot) and not is_held(self.writers):
            self._refuse_if_writing()
            raise RuntimeError(
                "the weights can't be read now: a part of their last update is still to be made, and this thread is computing with them"
            )
        with self.writers, slot:
            deferred(lambda: self._written(first))
            return work()

    def _written(self, work: Callable[[], Result]) -> Result:
        with self.writers, self._gate:
            return self._excluding(self._slots, partial(self._noted, work))

    def _noted(self, work: Callable[[], Result]) -> Result:
        self._writer = threading.get_ident()
        try:
            return work()
        finally:
            self._writer = None

    def _excluding(self, slots: Sequence[Lock], work: Callable[[], Result]) -> Result:
        if not slots:
            return work()
        with slots[0]:
            return self._excluding(slots[1:], work)

    def _slot(self) -> Lock:
        slot: Lock | None = getattr(self._own, "slot", None)
        return self._new_slot() if slot is None else slot

    def _new_slot(self) -> Lock:
        with self._gate:  # who writes has all slots that there are
            if len(self._slots) < MOST_SLOTS:
                slot = new_lock()
                self._slots = (*self._slots, slot)
            else:
                slot = self._slots[next(self._numbers) % MOST_SLOTS]
        self._own.slot = slot
        return slot

    @property
    def is_mine(self) -> bool:
        """Whether this thread reads or writes."""
        slot: Lock | None = getattr(self._own, "slot", None)
        return slot is not None and is_held(slot)

    def _refuse_if_writing(self) -> None:
        if self._writer == threading.get_ident():
            raise RuntimeError("the weights can't be used now: this very thread is changing them")


class _OverFork(threading.local):
    """The locks that a thread holds while it forks."""

    def __init__(self) -> None:
        self.held: list[Lock] = []

    def hold(self, lock: Lock) -> None:
        lock.__enter__()
        self.held.append(lock)


_over_fork = _OverFork()


def _before_fork() -> None:
    """Nobody changes weights or uses LLVM while the process forks: the child finds both whole."""
    for owner in _living():
        # While this thread reads nobody else can be writing; who waits to write has the lock, and waits for this thread.
        if isinstance(owner, ReadersWriter) and not owner.is_mine:
            _over_fork.hold(owner.writers)
    _over_fork.hold(LLVM)


def _release() -> None:
    while _over_fork.held:
        _over_fork.held.pop().__exit__(None, None, None)


def _after_fork_in_child() -> None:
    global _registering
    _release()
    _registering = threading.RLock()
    for owner in _living():
        owner.renew_locks()


def _living() -> list[Owner]:
    return [owner for known in _owners if (owner := known()) is not None]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_release, after_in_child=_after_fork_in_child)
