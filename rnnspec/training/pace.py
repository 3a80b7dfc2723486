"""The pace of a training: how long its epochs take, how many batches a second it makes, what remains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_RECENT = 10
"""The last epochs, by whose mean the rest is estimated; the first, which compiles, isn't one of them if there are others."""


class Pace:
    """The times of a training, told where it is; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._finished: list[float] = []
        self._epoch = self._epochs = 0
        self._steps: int | None = None
        self._batches = 0
        self._began = 0.0
        self._trained: float | None = None

    def begin(self, params: Mapping[str, Any]) -> None:
        """A training begins; `params` as those of a callback."""
        self._finished = []
        self._epochs, self._steps = params["epochs"], params["steps"]

    def begin_epoch(self, epoch: int) -> None:
        """An epoch begins."""
        self._epoch, self._batches, self._trained, self._began = epoch, 0, None, self._clock()

    def count_batch(self) -> None:
        """A batch begins."""
        self._batches += 1

    def end_batches(self) -> None:
        """The epoch's batches are over, and a validation begins, or the epoch is over."""
        if self._trained is None:
            self._trained = self._clock() - self._began

    def end_epoch(self) -> None:
        """The epoch is over, its validation too."""
        self.end_batches()
        self._finished.append(self._clock() - self._began)

    def text(self, *, within: bool = False) -> str:
        """The last epoch's seconds, its batches a second, and what remains: "1.2 s, 350 batches/s, 45 s left".

        `within` an epoch it is of what was done so far, and without the seconds. What isn't known is left out.
        """
        seconds = self._clock() - self._began if within else self._finished[-1]
        training = seconds if self._trained is None else self._trained
        parts = [] if within else [duration(seconds)]
        if self._batches and training > 0:
            rate = self._batches / training
            parts.append(f"{rate:,.0f} batches/s" if rate >= 100 else f"{rate:.3g} batches/s")
        left = self._left(seconds if within else 0.0, within)
        if left is not None and (within or self._epoch + 1 < self._epochs):
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _left(self, spent: float, within: bool) -> float | None:
        """Seconds; None before anything is known."""
        epochs = self._epochs - self._epoch - (not within)
        if known := self._finished[1:][-_RECENT:] or self._finished:
            return max(sum(known) / len(known) * epochs - spent, 0.0)
        if self._steps is None or not self._batches:
            return None
        return max(spent / self._batches * (self._steps * epochs - self._batches), 0.0)


def duration(seconds: float) -> str:
    """A time in two digits or a little more: "0.042 s", "1.2 s", "45 s", "3 min 05 s", "2 h 05 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 1 or seconds == 0 else f"{float(f'{seconds:.2g}'):g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
