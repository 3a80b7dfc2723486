"""The names of the machines that code is generated for: the command shows them without loading the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

TargetName: TypeAlias = Literal["avx512", "avx2", "sse4.2", "neon"]

TARGET_NAMES: tuple[TargetName, ...] = get_args(TargetName)
"""`kernel.target.TARGETS` has the description of each."""

BuildTargetName: TypeAlias = Literal[
    "x86-64-v2",
    "x86-64-v3",
    "x86-64-v4",
    "x86-64-v3-windows",
    "aarch64",
    "aarch64-apple",
    "wasm32",
    "wasm32-simd",
    "cortex-m0plus",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "riscv32",
    "riscv64",
]

BUILD_TARGET_NAMES: tuple[BuildTargetName, ...] = get_args(BuildTargetName)
"""The machines that `rnnspec build` makes libraries for; `kernel.build_targets.BUILD_TARGETS` has the description of each."""

BROWSER_TARGETS: tuple[BuildTargetName, ...] = ("wasm32-simd", "wasm32")
"""The machines that browsers are, the one that pages are built for first."""

LEVELS: Mapping[int, BuildTargetName] = {2: "x86-64-v2", 3: "x86-64-v3", 4: "x86-64-v4"}
"""The levels of x86-64, lowest first."""

ALL_LEVELS = "x86-64"
"""The name, for `rnnspec build`, of all of `LEVELS` in one library, which chooses by what the processor has."""

TARGET_VARIABLE = "RNNSPEC_TARGET"
"""The environment's variable that names the target to compile for, where that isn't all that the machine has."""

WHEEL_PLATFORMS = ("manylinux_2_17_x86_64", "musllinux_1_1_x86_64")
"""The platforms, by PyPI's names, of a package for Python: its code calls nothing of the C library's but copies of memory."""
