"""The command line: one module a command, no logic in it."""

from __future__ import annotations

import signal
import sys
import warnings

from rnnspec.cli.app import app
from rnnspec.cli.console import report_internal_error, report_user_error, report_warning


def main() -> None:
    """The `rnnspec` command. Exits with 0, with 2 for anything that a user can put right, with 1 for a bug in rnnspec."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a closed pipe ends the command as it ends every other one
    warnings.showwarning = report_warning
    try:
        app(prog_name="rnnspec")
    except (ValueError, OSError, MemoryError) as error:
        report_user_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        report_internal_error(error)
        sys.exit(1)
