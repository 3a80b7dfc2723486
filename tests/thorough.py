"""How much of a test `make test` takes, and `make test-all`."""

from __future__ import annotations

import os

ALL = bool(os.environ.get("RNNSPEC_TEST_ALL"))
"""Whether all cases of all tests are wanted."""


def examples(few: int, many: int) -> int:
    """The number of drawn examples: `few`, or `many` where all are wanted."""
    return many if ALL else few
