"""What training draws: each draw of a call has a stream of its own, the same in `@forward` and in `@backward`."""

from __future__ import annotations

from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import CompareKind, Value


class Draws:
    """Draws of one function from its key; without a key, outside of training, nothing is drawn."""

    def __init__(self, builder: Builder, key: Value | None) -> None:
        self._b = builder
        self._key = key
        self._streams = 0

    def drops(self, rate: float) -> bool:
        return self._key is not None and rate > 0

    def dropped(self, rate: float, value: Value) -> Value:
        """Elements are 0 with probability `rate`, the others scaled so that the mean stays."""
        if self._key is None or not rate:
            return value
        numbers = self._uniform(self._key, value)
        kept = self._b.compare(CompareKind.GE, numbers, self._b.constant_like(rate, numbers))
        scaled = self._b.mul(value, self._b.constant_like(1.0 / (1.0 - rate), value))
        return self._b.select(kept, scaled, self._b.constant_like(0.0, value))

    def _uniform(self, key: Value, like: Value) -> Value:
        self._streams += 1
        return self._b.random(key, self._streams - 1, self._b.tensor(like))
