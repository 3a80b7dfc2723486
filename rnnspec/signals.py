"""Signals that wait: what must be whole, or not have begun, isn't broken off by Ctrl-C, nor seen half done by a handler.

Python runs a signal's handler in the main thread, between any two of its instructions, and what the handler raises
(`KeyboardInterrupt`) is raised there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")
Handler: TypeAlias = Callable[[int, FrameType | None], Any]

SIGNALS = tuple(
    number
    for name in ("INT", "TERM", "HUP", "QUIT", "ALRM", "VTALRM", "PROF", "USR1", "USR2", "CHLD", "WINCH", "TSTP", "CONT", "IO", "BREAK")
    if isinstance(number := getattr(signal, f"SIG{name}", None), signal.Signals)
)
"""Signals that a program may have handlers for."""

# The functions behind the module's, which look every number up in an enumeration first: fifteen times the time.
_handler_of: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_set_handler: Callable[[int, Any], Any] = getattr(signal.signal, "__wrapped__", signal.signal)


def _is_python(handler: object) -> bool:
    """Whether it is a function of Python's, and neither the system's own way nor to ignore."""
    return callable(handler) and not isinstance(handler, int)


class _Section:
    """A use of `deferred`, or all uses in one `ready_to_defer`: the signals that came while it was open, with their handlers."""

    def __init__(self) -> None:
        self.open = False
        self.ready = False
        self.came: list[tuple[Handler, int]] = []
        self.replaced: list[tuple[int, _Deferring]] = []

    def replace_handlers(self) -> bool:
        """Puts a stand-in before every handler of Python's. False in an interpreter that has no handlers."""
        # A handler that raises while they are being replaced leaves stand-ins that pass signals on: the section isn't open yet.
        try:
            for number in SIGNALS:
                handler = _handler_of(number)
                if not _is_python(handler):
                    continue
                own = _Deferring(self, handler.handler if isinstance(handler, _Deferring) else handler)
                self.replaced.append((number, own))
                _set_handler(number, own)
        except BaseException as error:
            _put_back(self.replaced)
            if isinstance(error, ValueError) and "main interpreter" in str(error):
                return False
            raise
        return True

    @property
    def has_all_handlers(self) -> bool:
        """Whether each handler of Python's has its stand-in: nobody has set one since."""
        own = dict(self.replaced)
        return all(
            handler is own.get(number) for number in SIGNALS if callable(handler := _handler_of(number)) and type(handler) is not int
        )


class _Deferring:
    """Stands in for a signal's handler while a section is open. Left behind by an interrupt, it is that handler."""

    def __init__(self, section: _Section, handler: Handler) -> None:
        self._section, self.handler = section, handler

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        if self._section.open:
            # Without the frame: kept, it would keep alive what ends with the work, and that would end outside of the section.
            self._section.came.append((self.handler, number))
            return None
        if not self._section.ready:
            _set_handler(number, self.handler)
        return self.handler(number, frame)


_section = _Section()
"""The main thread's last section."""


def deferred(work: Callable[[], Result]) -> Result:
    """The result of `work`. Python's handlers of signals that come meanwhile run, and raise, after it.

    For short work alone: nothing interrupts it. In other threads than the main one no handler runs anyway.
    """
    global _section
    if _section.open or threading.current_thread() is not threading.main_thread():
        return work()
    if _section.ready and _section.has_all_handlers:
        section = _section
        section.open = True
        try:
            return work()
        finally:
            section.open = False
            came, section.came = section.came, []
            _run(came)
    section = _section = _Section()
    if not section.replace_handlers():
        return work()
    section.open = True
    try:
        return work()
    finally:
        section.open = False
        try:
            _put_back(section.replaced)
        finally:
            _run(section.came)


def ready_to_defer(work: Callable[[], Result]) -> Result:
    """The result of `work`, which uses `deferred` often: handlers are replaced once, not at each use.

    Signals that come outside of `deferred` are handled at once, as ever.
    """
    global _section
    before = _section
    if before.ready or before.open or threading.current_thread() is not threading.main_thread():
        return work()
    section = _Section()
    if not section.replace_handlers():
        return work()
    try:
        section.ready = True  # not before: stand-ins that an interrupt leaves behind go with the first signal
        _section = section
        return work()
    finally:
        section.ready = False
        _section = before
        _put_back(section.replaced)


def _put_back(replaced: Sequence[tuple[int, _Deferring]]) -> None:
    for number, own in replaced:
        if _handler_of(number) is own:
            _set_handler(number, own.handler)


def _run(came: Sequence[tuple[Handler, int]]) -> None:
    """All handlers, whatever one of them raises."""
    if came:
        handler, number = came[0]
        try:
            handler(number, None)
        finally:
            _run(came[1:])
