"""This machine's processor as Linux and numpy know it, without LLVM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

CPUINFO = Path("/proc/cpuinfo")
"""A block for each processor; its fields are those of proc(5)."""

FIELDS = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
"""The fields of an x86 processor's block that say which code it runs, and how that is best arranged."""

BLOCK = 8192
"""Bytes of the first block at most."""


def processor_of_linux(path: Path = CPUINFO) -> str | None:
    """The processor's model and features; None where Linux doesn't say, or for another kind of processor.

    An emulator that runs this process may have fewer features than the machine that the file describes: numpy asks the processor itself.
    """
    known = _first_block(path)
    if known is None or not all(name in known for name in FIELDS):
        return None
    return repr([*(known[name] for name in FIELDS), np.show_config(mode="dicts").get("SIMD Extensions")])


def flags_of_linux(path: Path = CPUINFO) -> frozenset[str] | None:
    """The features of an x86 processor, by Linux's names; None where Linux doesn't say, or for another kind of processor."""
    known = _first_block(path)
    return frozenset(known["flags"].split()) if known is not None and "flags" in known else None


def _first_block(path: Path) -> Mapping[str, str] | None:
    """The fields of the first processor; None for a file that can't be read."""
    try:
        with path.open("rb") as file:
            block = file.read(BLOCK).decode(errors="replace").partition("\n\n")[0]
    except OSError:
        return None
    lines = (line.partition(":") for line in block.split("\n"))
    return {name.strip(): value.strip() for name, _, value in lines}
