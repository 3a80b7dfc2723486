"""What one drawn model may take in `make fuzz`: far more than any does, far less than what hangs."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

FUZZ = "FUZZ_MODELS" in os.environ

SECONDS = 120
"""For one model. The slowest drawn one takes a few, on a machine that does something else too."""

BYTES = 2**31
"""By which the process may grow for one model."""


@contextmanager
def bounded(shown: object, *, seconds: int = SECONDS, size: int = BYTES) -> Generator[None]:
    """Fails what takes more time or memory, naming it; outside of `make fuzz`, which alone may look at the clock, it does nothing."""
    if not FUZZ or threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_slow(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"more than {seconds} seconds for\n{shown!r}")

    before, handler = _peak(), signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    assert _peak() - before <= size, f"more than {size} bytes for\n{shown!r}"


def _peak() -> int:
    """The most bytes that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
