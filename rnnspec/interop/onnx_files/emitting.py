"""What the operations of a graph are written with: layers of a model, or equations of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.onnx_files.elements import Entry, Numbers, Pool
from rnnspec.interop.onnx_files.nodes import Node


@frozen
class Function:
    """A function of one value: an activation of the language, or one with a `text` of its own that declares it.

    `equation`: a function of the language that equations can call in its place.
    """

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()
    text: str = ""
    equation: str = ""

    @property
    def word(self) -> Word:
        """As an argument of a layer."""
        return Word(self.name, self.arguments)


LARGEST = 1e38
"""What stands for infinity, which no text has: nothing that it is compared with is as large."""

NUMBERED: dict[str, Function] = {
    name: Function(name, (("number", 0.0),), f"function {name}(x, number = {default}) = {text}\n")
    for name, default, text in (
        ("plus_number", "0.0", "x + number"),
        ("times_number", "1.0", "x * number"),
        ("over_number", "1.0", "x / number"),
        ("number_minus", "0.0", "number - x"),
        ("number_over", "1.0", "number / x"),
        ("to_power", "1.0", "pow(x, number)"),
        ("at_most", "0.0", "min(x, number)"),
        ("at_least", "0.0", "max(x, number)"),
        ("is_more", "0.0", "where(x > number, 1, 0)"),
        ("is_at_least", "0.0", "where(x >= number, 1, 0)"),
        ("is_less", "0.0", "where(x < number, 1, 0)"),
        ("is_at_most", "0.0", "where(x <= number, 1, 0)"),
        ("is_equal", "0.0", "where(x == number, 1, 0)"),
    )
}
"""Functions with a number, for values that a graph computes with. A condition is 1 where it holds, and 0 where it doesn't."""

REDUCED: dict[str, Function] = {
    kind: Function(f"{kind}_of_units", (), f"function {kind}_of_units(x) = {kind}(x)\n") for kind in ("mean", "sum", "max", "min")
}
"""Functions of a row whose result is the same in all units."""


def numbered(name: str, number: float) -> Function:
    """One of `NUMBERED` with its number."""
    function = NUMBERED[name]
    return Function(name, (("number", min(max(number, -LARGEST), LARGEST)),), function.text)


class Emitter(Protocol):
    """Where a model's operations go. Each gives the value that it makes."""

    @property
    def pool(self) -> Pool:
        """The values so far."""
        ...

    @property
    def in_steps(self) -> bool:
        """Whether there are sequences, and layers of them; else all values are rows of one step."""
        ...

    def value(self, first: Numbers, node: Node) -> Entry:
        """The value of elements of the first sample, (steps, features)."""
        ...

    def dense(self, value: Entry, kernel: Array, bias: Array | None, node: Node) -> Entry:
        """`value @ kernel + bias`; `kernel` (features, units)."""
        ...

    def apply(self, value: Entry, function: Function, node: Node) -> Entry:
        """A function of each number, or of each row."""
        ...

    def reduce(self, value: Entry, kind: str, node: Node) -> Entry:
        """The mean, sum, max or min of each row."""
        ...

    def merge(self, kind: str, values: Sequence[Entry], node: Node) -> Entry:
        """Values of the same size, or with rows of one step or of one number among them, element by element: by ONNX's names."""
        ...

    def affine(self, value: Entry, scale: Array | None, shift: Array | None, node: Node) -> Entry:
        """`value * scale + shift`, by features."""
        ...

    def choose(self, condition: Entry, sides: tuple[Entry | float, Entry | float], node: Node) -> Entry:
        """The first side where the condition is 1, the second where it is 0; each a value or a number. All have as many features."""
        ...

    def layer_norm(self, value: Entry, scale: Array | None, shift: Array | None, epsilon: float, node: Node) -> Entry:
        """Each row less its mean, over its deviation, times `scale` plus `shift`."""
        ...
