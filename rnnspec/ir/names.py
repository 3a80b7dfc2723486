"""Unique names of the values in a function."""

from __future__ import annotations

from collections.abc import Iterable

from rnnspec.ir.ops import Function
from rnnspec.ir.traverse import defined_values


class Names:
    """Hands out names that are unique in one function."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    @classmethod
    def of(cls, function: Function) -> Names:
        """Names that are not yet in `function`."""
        return cls(value.name for value in defined_values(function))

    def fresh(self, hint: str | None = None) -> str:
        """`hint` itself if it is free, else `hint_1`, `hint_2`, ...; without a hint a number."""
        if hint is not None and hint not in self._taken:
            self._taken.add(hint)
            return hint
        key = hint or ""
        while True:
            number = self._next.get(key, 0 if hint is None else 1)
            self._next[key] = number + 1
            name = str(number) if hint is None else f"{hint}_{number}"
            if name not in self._taken:
                self._taken.add(name)
                return name
