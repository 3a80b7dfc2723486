"""Runs passes over scheduled kernels in order, and verifies them before the first and after each."""

from __future__ import annotations

from typing import ClassVar, Protocol

from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function
from rnnspec.kernel.nodes import BufferAliases, KernelFunction, KernelModule
from rnnspec.kernel.target import Target
from rnnspec.kernel.verify import verify_kernel


@frozen
class Kernels:
    """A function of the tensor IR on a target: `prepare`, on its weights alone, and the function itself.

    `reader`: of a recorded call, the tensor-IR function that reads its tape. `aliases`: the buffers of that tape that lie in others.
    """

    prepare: KernelFunction
    function: KernelFunction
    target: Target
    reader: Function | None
    aliases: BufferAliases

    @property
    def module(self) -> KernelModule:
        """The prepare function and the function itself, as they are printed and emitted."""
        return KernelModule(self.function.name, (self.prepare, self.function))


class KernelPass(Protocol):
    """Kernels to kernels; a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    """As on the command line: `time-blocks`."""

    def run(self, kernels: Kernels) -> Kernels:
        """The kernels after the pass; those that it has nothing to do with as they were."""
        ...


@frozen
class KernelPipeline:
    """Passes in their order, each at most once."""

    passes: tuple[KernelPass, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the passes."""
        return tuple(step.name for step in self.passes)

    def run(self, kernels: Kernels, after: str | None = None) -> Kernels:
        """The kernels after all passes, or after the one named `after`; raises KeyError if there is none."""
        if after is not None and after not in self.stages:
            raise KeyError(after)
        _verify(kernels, "before the first pass")
        for step in self.passes:
            kernels = step.run(kernels)
            _verify(kernels, f"after {step.name}")
            if step.name == after:
                break
        return kernels


def _verify(kernels: Kernels, when: str) -> None:
    try:
        for function in (kernels.prepare, kernels.function):
            verify_kernel(function)
    except InternalError as error:
        raise InternalError(f"{when}: {error.args[0]}") from None
