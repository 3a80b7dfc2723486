"""Names of layers as Keras makes them: `simple_rnn`, `lstm`, `lstm_1`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, Scope
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span


def snake_case(name: str) -> str:
    """Keras's spelling of a class name: `LSTM` is lstm, `SimpleRNN` simple_rnn, `MyCell` my_cell."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def given_names(statements: Sequence[ast.FlowStatement], scope: Scope) -> Iterator[str]:
    """The explicit layer names in statements; faulty ones are left to the place where their layer is built."""
    for statement in statements:
        match statement:
            case ast.Flow(stages=stages):
                calls = [stage for stage in stages if isinstance(stage, ast.Call)]
            case ast.Shared(name=name, call=call):
                if not any(argument.name is not None and argument.name.text == "name" for argument in call.arguments):
                    yield name.text
                calls = [call]
            case ast.Repeat(statements=inner):
                yield from given_names(inner, scope)
                continue
        for argument in [argument for call in calls for argument in call.arguments]:
            if argument.name is not None and argument.name.text == "name":
                try:
                    value = evaluate(argument.value, scope).value
                except (CheckError, AlreadyReported):
                    continue
                if isinstance(value, str):
                    yield value


class LayerNames:
    """Hands out the names of one model's or one block's layers, in order of appearance, behind a prefix.

    `taken`: the full names so far of the whole model. `repeated`: names that are taken already are handed out once more.
    """

    def __init__(
        self, prefix: str = "", taken: dict[str, Span] | None = None, repeated: bool = False, frozen: dict[str, None] | None = None
    ) -> None:
        self._prefix = prefix
        self._seen: Counter[str] = Counter()
        self._rounds: Counter[str] = Counter()
        self._reserved: set[str] = set()
        """Names that no automatic one may be: those that are given anywhere, and the automatic ones so far."""
        self._taken: dict[str, Span] = {} if taken is None else taken
        self._repeated = repeated
        self.frozen: dict[str, None] = {} if frozen is None else frozen
        """The full names of the whole model's layers that aren't trained."""

    def reserve(self, names: Iterator[str]) -> None:
        """Keeps names that layers are given, further down too, from the automatic ones: these step aside."""
        self._reserved.update(names)

    def automatic(self, type_name: str) -> str:
        """The next name for a layer of a type."""
        while (name := self.inner(type_name)) in self._reserved:
            pass
        self._reserved.add(name)
        return name

    def inner(self, type_name: str) -> str:
        """The next name for a layer of a type that is inside another and named behind it: it counts among the others, as in Keras."""
        stem = snake_case(type_name)
        number = self._seen[stem]
        self._seen[stem] += 1
        return f"{stem}_{number}" if number else stem

    def declared(self, name: str) -> str:
        """The name of a shared layer: as it is declared, with a number from the second round of a `repeat` on."""
        self._rounds[name] += 1
        if self._rounds[name] == 1:
            return name
        numbered = next(each for number in count(1) if (each := f"{name}_{number}") not in self._reserved)
        self._reserved.add(numbered)
        return numbered

    def place(self, name: str) -> Span:
        """The span of a layer by its full name."""
        return self._taken[name]

    def take(self, name: str, span: Span) -> str:
        """The full name, taken from here on; raises `CheckError` if it was."""
        full = self._prefix + name
        if self._repeated:
            return full
        if full in self._taken:
            raise CheckError(_taken_twice(name, span, self._taken[full]))
        self._taken[full] = span
        return full

    def inside(self, name: str) -> LayerNames:
        """The names of a layer's inner layers, behind its own full name."""
        return LayerNames(f"{name}/", self._taken, self._repeated, self.frozen)

    def once_more(self) -> LayerNames:
        """A copy that hands out the same names again, for another use of the layers that get them first."""
        names = LayerNames(self._prefix, self._taken, repeated=True, frozen=self.frozen)
        names._seen, names._rounds, names._reserved = self._seen.copy(), self._rounds.copy(), self._reserved.copy()
        return names


def _taken_twice(name: str, span: Span, first: Span) -> errors.layers.LayerName:
    if span == first:
        return errors.layers.LayerName(span=span, name=name, help="each round of a `repeat` makes its layers anew: leave the name to it")
    return errors.layers.LayerName(span=span, name=name, secondary=(Label(first, "taken by this layer"),))
