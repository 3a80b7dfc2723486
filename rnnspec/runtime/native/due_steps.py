"""The steps of a stream that fall due only now and then: each row counts for itself, from where it began anew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnspec.contract.clock import EVERY_STEP, Clock
from rnnspec.contract.executable import Array
from rnnspec.contract.native_structs import ClockRecord
from rnnspec.frozen import frozen
from rnnspec.runtime.native.memory import address


@frozen
class Countdown:
    """One clock: `left`, int64 (batch,), each row's steps before the one in which it is due; `due`, bool (batch, 1), those of this step."""

    clock: Clock
    left: Array
    due: Array


class DueSteps:
    """The clocks of a stream but `EVERY_STEP`, in arrays whose places native code knows."""

    def __init__(self, clocks: Iterable[Clock], batch: int) -> None:
        self._batch = batch
        made = (Countdown(clock, np.zeros(batch, np.int64), np.zeros((batch, 1), np.bool_)) for clock in dict.fromkeys(clocks))
        self._countdowns = {each.clock: each for each in made if each.clock != EVERY_STEP}
        self.reset(slice(None))

    def __bool__(self) -> bool:
        return bool(self._countdowns)

    def due(self, clock: Clock) -> Array:
        """The rows that are due in this step, bool (batch, 1)."""
        due = self.waiting(clock)
        return np.ones((self._batch, 1), np.bool_) if due is None else due

    def waiting(self, clock: Clock) -> Array | None:
        """The array of the rows that are due, which each step writes; None for a clock by which all always are."""
        return self._countdowns[clock].due if clock in self._countdowns else None

    def records(self) -> list[ClockRecord]:
        """Records of the clocks for native code."""
        return [
            ClockRecord(rows=self._batch, period=each.clock.period, left=address(each.left), due=address(each.due))
            for each in self._countdowns.values()
        ]

    def reset(self, rows: Any) -> None:
        """Begins anew for some rows."""
        for each in self._countdowns.values():
            each.left[rows] = each.clock.first - 1

    def advance(self) -> None:
        """One step of all rows."""
        for each in self._countdowns.values():
            each.due[:, 0] = each.left == 0
            each.left[...] = np.where(each.left == 0, each.clock.period, each.left) - 1
