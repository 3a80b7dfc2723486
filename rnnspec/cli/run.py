"""A run of the command, and how each way that it may end is told."""

from __future__ import annotations

import os
import sys
import warnings

from rnnspec.cli.app import app_for
from rnnspec.cli.console import report_internal_error, report_user_error, report_warning, results


def run() -> int:
    """The exit status; KeyboardInterrupt may leave it."""
    warnings.showwarning = report_warning
    code = 0
    try:
        app_for(sys.argv[1:])(prog_name="rnnspec")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except (ValueError, OSError, MemoryError) as error:
        report_user_error(error)
        code = 2
    except Exception as error:
        report_internal_error(error)
        code = 1
    return _flushed(code)


def _flushed(code: int) -> int:
    """The status, or 2 where results can't be written out; nothing is left in the streams that Python would fail on at its end."""
    try:
        with results():
            sys.stdout.flush()
    except OSError as error:
        if not code:
            report_user_error(error)
            code = 2
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return code
