"""The pass pipeline: passes in order, with verification before the first and after each, of what it has changed."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Protocol

from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Module
from rnnspec.ir.verify import verify


class UnsuitableModule(InternalError):
    """A module that a pass isn't made for, such as a second derivative; in the compiler's own pipelines a bug."""


class Pass(Protocol):
    """A pass: a function from module to module, as a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    """As on the command line: `hoist-projection`."""

    def run(self, module: Module) -> Module:
        """The module after the pass; `UnsuitableModule` if it isn't one that the pass is made for."""
        ...


@frozen
class Pipeline:
    """Passes in their order."""

    passes: tuple[Pass, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """A label for each pass: its name, with `-2`, `-3` and so on for repetitions."""
        seen: Counter[str] = Counter()
        labels: list[str] = []
        for step in self.passes:
            seen[step.name] += 1
            labels.append(step.name if seen[step.name] == 1 else f"{step.name}-{seen[step.name]}")
        return tuple(labels)

    def run(self, module: Module, after: str | None = None) -> Module:
        """The module after all passes, or after the stage labelled `after`; raises KeyError if there is none."""
        if after is not None and after not in self.stages:
            raise KeyError(after)
        verify(module)
        for label, step in zip(self.stages, self.passes, strict=True):
            before, module = module.functions, step.run(module)
            try:
                verify(module, before)
            except InternalError as error:
                raise InternalError(f"after {label}: {error.args[0]}") from None
            if label == after:
                break
        return module
