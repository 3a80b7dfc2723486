"""Values of the tensor IR: the results and parameters that operations name."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.ir.types import Type


@dataclass(frozen=True, slots=True)
class Value:
    """A named result or parameter. Names are unique in a function, its regions included."""

    name: str
    type: Type

    def __hash__(self) -> int:
        """Of the name, which tells values apart: the type's would take most of the time of a pass."""
        return hash(self.name)
