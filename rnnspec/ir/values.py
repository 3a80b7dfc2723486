"""Values of the tensor IR: the results and parameters that operations name."""

from __future__ import annotations

from dataclasses import field

from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.frozen import frozen
from rnnspec.ir.types import Type


@frozen
class Value:
    """A named result or parameter. Names are unique in a function, its regions included.

    `location`: which lines of the spec it comes from; of no meaning to passes, and no part of equality.
    """

    name: str
    type: Type
    location: Location = field(default=UNKNOWN, compare=False, repr=False)

    def __hash__(self) -> int:
        """Of the name, which tells values apart: the type's would take most of the time of a pass."""
        return hash(self.name)
