"""The names of the machines that code is generated for: the command shows them without loading the compiler."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

TargetName: TypeAlias = Literal["avx512", "avx2", "sse4.2", "neon"]

TARGET_NAMES: tuple[TargetName, ...] = get_args(TargetName)
"""`kernel.target.TARGETS` has the description of each."""

TARGET_VARIABLE = "RNNSPEC_TARGET"
"""The environment's variable that names the target to compile for, where that isn't all that the machine has."""
