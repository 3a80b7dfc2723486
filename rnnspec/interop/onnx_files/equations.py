"""Equations of a cell on their way to text: each value an expression of others, written where it is used if that is once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import field

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen

LONGEST = 100
"""Characters of an expression that is put into another."""

ATOM, PRODUCT, SUM, LOWEST = 4, 3, 2, 0
"""How tightly expressions bind."""


@frozen
class Expression:
    """`text` has `{0}`, `{1}` for the operands, keys of other values. `binds`: its strength; `needs`: that of its operands, each."""

    text: str
    operands: tuple[str, ...] = ()
    binds: int = ATOM
    needs: tuple[int, ...] = ()


@frozen(eq=False)
class CellText:
    """A cell of equations: its text, its weights, and the names of its states."""

    text: str
    weights: dict[str, Array] = field(default_factory=dict[str, Array])


class Equations:
    """Values by key, in the order in which they are made. A key that isn't here is a name."""

    def __init__(self) -> None:
        self.made: dict[str, Expression] = {}
        self.parts: dict[str, tuple[str, ...]] = {}
        """Of values that are split: by the key of what is split and the number of parts, the keys of these."""
        self.weights: dict[str, Array] = {}
        self.aliases: dict[str, str] = {}
        self._names: set[str] = {"x"}

    def name(self, base: str) -> str:
        """A name that nothing has yet."""
        name, number = base, 1
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
        return name

    def weight(self, base: str, array: Array) -> str:
        """A weight under a name of its own; the same numbers have one name."""
        for name, there in self.weights.items():
            if there.shape == array.shape and there.dtype == array.dtype and (there is array or there.tobytes() == array.tobytes()):
                return name
        name = self.name(base)
        self.weights[name] = array
        return name

    def add(self, key: str, expression: Expression) -> None:
        """A value by its expression."""
        self.made[key] = expression

    def alias(self, key: str, name: str) -> None:
        """Another name of a value that has one in the text."""
        self.aliases[key] = name

    def split(self, key: str, count: int) -> tuple[str, ...]:
        """The keys of the equal parts of a value."""
        mark = f"{key}/{count}"
        if mark not in self.parts:
            self.parts[mark] = tuple(f"{mark}/{place}" for place in range(count))
            self.made[mark] = Expression(f"split({{0}}, {count})", (key,), needs=(LOWEST,))
        return self.parts[mark]

    def lines(self, results: Sequence[tuple[str, str]], returned: str) -> list[str]:
        """The equations of named results, and of what is returned. `results`: names and keys."""
        wanted = self._wanted([key for _, key in results] + [returned])
        counts = Counter(key for mark in wanted for key in self.made[mark].operands)
        counts.update([key for _, key in results] + [returned])
        names: dict[str, str] = {}
        targets = {key: name for name, key in results if key in self.made and counts[key] >= 1}
        lines: list[str] = []
        shown: dict[str, tuple[str, int]] = {}

        def text_of(key: str, needed: int) -> str:
            text, binds = shown.get(key, (names.get(key, self.aliases.get(key, key)), ATOM))
            return f"({text})" if binds < needed else text

        for mark in wanted:
            expression = self.made[mark]
            needs = expression.needs or (ATOM,) * len(expression.operands)
            given = [text_of(key, need) for key, need in zip(expression.operands, needs, strict=True)]
            text = expression.text.format(*given)
            if mark in self.parts:
                used = [key for key in self.parts[mark] if counts[key]]
                for key in self.parts[mark]:
                    names[key] = self.name("part" if key in used else "_part")
                lines.append(f"{', '.join(names[key] for key in self.parts[mark])} = {text}")
            elif mark in targets:
                names[mark] = targets[mark]
                lines.append(f"{targets[mark]} = {text}")
            elif counts[mark] == 1 and len(text) <= LONGEST:
                shown[mark] = text, expression.binds
            else:
                names[mark] = self.name("v")
                lines.append(f"{names[mark]} = {text}")
        for name, key in results:
            if names.get(key) != name:
                lines.append(f"{name} = {text_of(key, LOWEST)}")
        lines.append(f"return {text_of(returned, LOWEST)}")
        return lines

    def _wanted(self, keys: Sequence[str]) -> list[str]:
        """The expressions that values need, in the order in which they were made."""
        owner = {key: mark for mark, parts in self.parts.items() for key in parts}
        stack, found = [owner.get(key, key) for key in keys], set[str]()
        while stack:
            key = stack.pop()
            if key in self.made and key not in found:
                found.add(key)
                stack += [owner.get(each, each) for each in self.made[key].operands]
        return [mark for mark in self.made if mark in found]
