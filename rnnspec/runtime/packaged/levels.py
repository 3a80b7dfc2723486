"""The levels of x86-64 processors, and which of them this machine has: as Linux and numpy know it, without LLVM."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from rnnspec.contract.target_names import TARGET_VARIABLE
from rnnspec.frozen import frozen
from rnnspec.runtime.native.processor import CPUINFO, flags_of_linux


@frozen
class Level:
    """A level of the x86-64 psABI. `target`: what the compiler calls it on its own machine; `flags`: Linux's, without which it isn't there.

    `numpy`: names of which numpy, which asks the processor itself, says that it lacks them where an emulator does.
    """

    name: str
    target: str
    flags: frozenset[str]
    numpy: frozenset[str]


_V2 = frozenset({"sse4_2", "ssse3", "popcnt"})
_V3 = _V2 | {"avx2", "fma", "f16c", "bmi1", "bmi2", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

PACKAGED_LEVELS = (
    Level("x86-64-v4", "avx512", _V4, frozenset({"X86_V4", "AVX512_SKX"})),
    Level("x86-64-v3", "avx2", _V3, frozenset({"X86_V3", "AVX2", "FMA3"})),
    Level("x86-64-v2", "sse4.2", _V2, frozenset({"X86_V2", "SSE42"})),
)
"""From the highest to the lowest."""


class WrongMachine(ImportError):
    """A machine that a package has no code for."""


def level_here(levels: Sequence[str], cpuinfo: Path = CPUINFO) -> str:
    """The highest of these levels that this machine has, or the one of the target that `RNNSPEC_TARGET` names.

    `WrongMachine` if there is none, or if the variable names one that isn't among them or that this machine lacks.
    """
    if sys.platform != "linux" or (flags := flags_of_linux(cpuinfo)) is None:
        raise WrongMachine(f"this package's code is for Linux on x86-64 ({', '.join(levels)}), and this machine is another one")
    return _level(levels, flags, np.show_config(mode="dicts").get("SIMD Extensions", {}).get("not found", ()))


def _level(levels: Sequence[str], flags: Collection[str], missing: Collection[str]) -> str:
    there = [each for each in PACKAGED_LEVELS if each.name in levels and each.flags.issubset(flags) and each.numpy.isdisjoint(missing)]
    if chosen := os.environ.get(TARGET_VARIABLE, ""):
        there = [each for each in there if each.target == chosen]
    if not there:
        asked = f"{TARGET_VARIABLE}={chosen}, and " if chosen else ""
        raise WrongMachine(f"{asked}this package's code is for processors of {', '.join(levels)}, which this one isn't")
    return there[0].name
