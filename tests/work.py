"""How much work something is, without a clock: the calls of Python functions that it takes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType

PACKAGES = ("rnnspec", "lark", "difflib")
"""Whose functions count: what is called by others depends on their versions."""


class TooMuch(AssertionError):
    """More calls than there may be."""


def calls(work: Callable[[], object], most: float = math.inf) -> int:
    """The number of calls; generators count each time they go on. `TooMuch` after `most`: what is exponential never ends."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event == "call" and frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES:
            count += 1
            if count > most:
                sys.setprofile(None)
                raise TooMuch(f"more than {most:.0f} calls")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
