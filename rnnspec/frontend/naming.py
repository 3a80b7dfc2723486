"""Names of layers as Keras makes them: `simple_rnn`, `lstm`, `lstm_1`."""

from __future__ import annotations

import re
from collections import Counter

from rnnspec.diagnostics import Label
from rnnspec.frontend.errors.layers import LayerName
from rnnspec.frontend.values import Fault
from rnnspec.source import Span


def snake_case(name: str) -> str:
    """Keras's spelling of a class name: `LSTM` is lstm, `SimpleRNN` simple_rnn, `MyCell` my_cell."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


class LayerNames:
    """Hands out the names of one model's or one block's layers, in order of appearance, behind a prefix.

    `taken`: the full names so far of the whole model. `repeated`: names that are taken already are handed out once more.
    """

    def __init__(self, prefix: str = "", taken: dict[str, Span] | None = None, repeated: bool = False) -> None:
        self._prefix = prefix
        self._seen: Counter[str] = Counter()
        self._taken: dict[str, Span] = {} if taken is None else taken
        self._repeated = repeated

    def automatic(self, type_name: str) -> str:
        """The next name for a layer of a type, whether it is a layer of its own or inside another."""
        stem = snake_case(type_name)
        number = self._seen[stem]
        self._seen[stem] += 1
        return f"{stem}_{number}" if number else stem

    def place(self, name: str) -> Span:
        """Where the layer of a full name is."""
        return self._taken[name]

    def take(self, name: str, span: Span) -> str:
        """The full name, taken from here on; raises `Fault` if it was."""
        full = self._prefix + name
        if self._repeated:
            return full
        if full in self._taken:
            raise Fault(LayerName(span=span, name=name, secondary=(Label(self._taken[full], "taken by this layer"),)))
        self._taken[full] = span
        return full

    def inside(self, name: str) -> LayerNames:
        """The names of what a layer of a full name is made of."""
        return LayerNames(f"{name}/", self._taken, self._repeated)

    def once_more(self) -> LayerNames:
        """The names that come next, for a further use of the layers that get them first."""
        names = LayerNames(self._prefix, self._taken, repeated=True)
        names._seen = self._seen.copy()
        return names
