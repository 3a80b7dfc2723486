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
    """Hands out the names of one model's layers, in order of appearance."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._taken: dict[str, Span] = {}

    def automatic(self, type_name: str) -> str:
        """The next name for a layer of a type, whether it is a layer of its own or inside another."""
        stem = snake_case(type_name)
        number = self._seen[stem]
        self._seen[stem] += 1
        return f"{stem}_{number}" if number else stem

    def place(self, name: str) -> Span:
        """Where the layer of a name is."""
        return self._taken[name]

    def take(self, name: str, span: Span) -> str:
        """The name itself, taken from here on; raises `Fault` if it was."""
        if name in self._taken:
            raise Fault(LayerName(span=span, name=name, secondary=(Label(self._taken[name], "taken by this layer"),)))
        self._taken[name] = span
        return name
