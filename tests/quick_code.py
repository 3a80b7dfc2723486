"""Native code for tests that LLVM's back end makes in a fifth of the time."""

from __future__ import annotations

from zlib import crc32

import pytest

from rnnspec.backend.llvm_cpu.backend import LlvmCpu
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.protocol import Backend, Emitted
from rnnspec.driver import native
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.jit import ObjectCode
from rnnspec.runtime.storage.object_cache import ObjectCache

FULLY = 8
"""Of so many modules one is optimised as for a user."""


class QuickCpu(LlvmCpu):
    """LLVM's passes run as ever; after them its back end makes plain code of all modules but every eighth, which their text decides.

    Half of a test's time is LLVM's, and most of that its back end's. What it does changes no bit of a result: the text has no
    operations that it may reorder or fuse.
    """

    def assemble(self, text: str, target: Target) -> bytes:
        return Machine(target, 0 if crc32(text.encode()) % FULLY else None).object_code(text)


def make_code_quickly(patch: pytest.MonkeyPatch) -> None:
    """For models and what they call; not for libraries, nor where a test asks LLVM itself."""
    fully = native.assembled

    def assembled(emitted: Emitted, target: Target, backend: Backend, cache: ObjectCache) -> ObjectCode:
        return fully(emitted, target, QuickCpu() if type(backend) is LlvmCpu else backend, cache)

    patch.setattr(native, "assembled", assembled)
