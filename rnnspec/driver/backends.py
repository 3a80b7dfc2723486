"""The back ends that there are. All else in the driver asks `Backend` only."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.backend import LlvmCpu
from rnnspec.backend.protocol import Backend

DEFAULT: Backend = LlvmCpu()
"""The one for this machine's processor."""
