"""Items made ready by another thread while the last ones are in use, or drawn where they are used.

A thread draws from an iterator, a few items ahead, and ends with it. Nobody waits for ever: whatever ends the drawing is handed over
(the end, an error, an interrupt), the thread stops when its items are no longer wanted, and it doesn't keep the process alive.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import TypeVar

from rnnspec.frozen import frozen
from rnnspec.locks import Lock

Item = TypeVar("Item")

AHEAD = 2
"""Items that are drawn before they are wanted."""

PATIENCE = 5.0
"""Seconds for which a thread that isn't wanted any more may go on with the item that it has begun, before it is left alone."""

INTERRUPTED = 0.1
"""The same seconds where the caller was interrupted, by Ctrl-C for one, and wants to go."""

_NOBODY = 0
"""No thread's number: of the holder of a lock that not even its own thread may have again."""

_HELD: ContextVar[tuple[tuple[Lock, int], ...]] = ContextVar("held", default=())
"""Locks that are held while items are waited for, each with the thread that holds it."""


QUICK = 1e-3
"""Seconds of a batch below which the next pass is drawn where it is used: handing a batch over takes a thread some 0.1 to 0.3 ms."""


@dataclass
class DrawTime:
    """How long it takes to draw the items of a source."""

    seconds: float = 0.0
    items: int = 0

    @property
    def is_quick(self) -> bool:
        """Whether a thread takes longer than it saves; False as long as nothing is known."""
        return self.items > 0 and self.seconds < QUICK * self.items


def drawn_here(items: Iterator[Item]) -> Generator[Item]:
    """The items, drawn by the caller; else as `prefetched`. What draws them can't have locks that their user holds."""
    try:
        while True:
            held = _HELD.set(tuple((lock, _NOBODY) for lock, _ in _HELD.get()))
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                _HELD.reset(held)
            yield item
            del item  # its memory is whose it is now
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


@frozen
class _End:
    """The last thing that the thread hands over. `error`: what ended the drawing, None for the iterator's own end."""

    error: BaseException | None


def prefetched(items: Iterator[Item], taken: DrawTime | None = None) -> Generator[Item]:
    """The items, drawn by a thread of their own, which also closes a generator `items` at the end; its errors are raised here.

    `taken`: how long the drawing takes is added to it. To be closed by its user, with `closing`. RuntimeError in a fork's child, which
    has no such thread.
    """
    process = os.getpid()
    ready = SimpleQueue[Item | _End]()
    wanted = SimpleQueue[bool]()
    for _ in range(AHEAD):
        wanted.put(True)
    thread = threading.Thread(
        target=copy_context().run, args=(_draw, items, wanted, ready, taken or DrawTime()), name="rnnspec batches", daemon=True
    )
    patience = INTERRUPTED
    try:
        thread.start()
        while True:
            if os.getpid() != process:
                raise RuntimeError("batches are made ready by a thread of the process that began, and this is its fork's child")
            found = ready.get()
            if isinstance(found, _End):
                patience = PATIENCE
                if found.error is not None:
                    raise found.error
                return
            wanted.put(True)
            try:
                yield found
            except GeneratorExit:
                patience = PATIENCE
                raise
    finally:
        wanted.put(False)
        if thread.ident is not None and os.getpid() == process:
            thread.join(patience)


def _draw(items: Iterator[Item], wanted: SimpleQueue[bool], ready: SimpleQueue[Item | _End], taken: DrawTime) -> None:
    """The thread's work."""
    end: BaseException | None = None
    try:
        try:
            while wanted.get():
                begun = perf_counter()
                try:
                    item = next(items)
                except StopIteration:
                    break
                taken.seconds += perf_counter() - begun
                taken.items += 1
                ready.put(item)
                del item  # its memory is whose it is now
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
    except BaseException as error:
        end = error
    ready.put(_End(end))


@contextmanager
def closing(items: Generator[Item]) -> Generator[Generator[Item]]:
    """As contextlib's, but what interrupts their user is told to the items too: these then wait for no thread."""
    try:
        yield items
    except Exception:
        raise
    except BaseException as interrupt:
        with suppress(type(interrupt)):
            items.throw(interrupt)
        raise
    finally:
        items.close()


class awaiting_under:
    """While it is open, threads that prefetch items for this one can't have the lock, which it holds: see `refuse_if_awaited`."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._token = _HELD.set((*_HELD.get(), (self._lock, threading.get_ident())))

    def __exit__(self, *_: object) -> None:
        _HELD.reset(self._token)


def refuse_if_awaited(lock: Lock) -> None:
    """RuntimeError in a thread that prefetches for the lock's holder: the two would wait for each other for ever."""
    held = _HELD.get()
    if held and any(each is lock and holder != threading.get_ident() for each, holder in held):
        raise RuntimeError(
            "the model can't be changed by what gives its batches, which runs in a thread of its own, while it is trained on them; "
            "a callback can change it"
        )
