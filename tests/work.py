"""How much work something is, without a clock: the calls of Python functions that it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

PACKAGES = ("rnnspec", "lark", "difflib")
"""Whose functions count: what is called by others depends on their versions."""


def calls(work: Callable[[], object]) -> int:
    """The number of calls; generators count each time they go on."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event == "call" and frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES:
            count += 1

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
