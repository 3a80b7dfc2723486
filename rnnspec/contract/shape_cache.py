"""Values that depend on the shapes of a call, kept for the next call of the same shapes."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TypeVar

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class ShapeCache(OrderedDict[Key, Kept]):
    """At most `most` values by shapes, or by what else tells two calls apart; the one that was kept first goes first.

    For several threads at once: two of them may make a value each, of which one is kept. To look one up changes nothing, since
    that would cost a small call as much as the rest of the search for its value.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: Key, value: Kept) -> Kept:
        """The value, which is there for the next calls from now on."""
        if key not in self:
            with suppress(KeyError):  # of a thread that has emptied it meanwhile
                while len(self) >= self.most:
                    self.popitem(last=False)
        self[key] = value
        return value
