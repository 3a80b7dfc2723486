"""This machine's processor as Linux and numpy know it, without LLVM."""

from __future__ import annotations

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
    try:
        with path.open("rb") as file:
            block = file.read(BLOCK).decode(errors="replace").partition("\n\n")[0]
    except OSError:
        return None
    lines = (line.partition(":") for line in block.split("\n"))
    known = {name.strip(): value.strip() for name, _, value in lines}
    if not all(name in known for name in FIELDS):
        return None
    return repr([*(known[name] for name in FIELDS), np.show_config(mode="dicts").get("SIMD Extensions")])
