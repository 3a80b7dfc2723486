"""The command line: one module a command, no logic in it."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from typing import Any

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended, as in a shell."""


OBJECTS_BETWEEN_SEARCHES = 50_000
"""New objects between two searches for cyclic garbage: a command makes modules, which live on, and otherwise works on arrays."""


def main() -> None:
    """The `rnnspec` command. Exits with 0, with 2 for what a user can put right, with 1 for a bug in rnnspec, with 130 for Ctrl-C."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a closed pipe ends the command as it ends every other one
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    _take_places_of_closed_streams()
    _let_messages_be_lost()
    try:
        from rnnspec.cli.run import run

        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(code)  # at its own end Python may take an interrupt that was caught for one that wasn't
    sys.exit(code)


def _take_places_of_closed_streams() -> None:
    """The number of a stream that was closed must not go to the next file that is opened; to write results to it is an error."""
    for name, flags, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


class _Messages(io.FileIO):
    """A stream for what is no result: a disk that is full loses it, and doesn't end the work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _let_messages_be_lost() -> None:
    stream = io.BufferedWriter(_Messages(sys.stderr.fileno(), "w", closefd=False))
    sys.stderr = io.TextIOWrapper(stream, sys.stderr.encoding, "backslashreplace", line_buffering=True)
