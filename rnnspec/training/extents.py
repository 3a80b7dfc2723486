"""The places of weights in the flat array, and which of them an optimizer's decay leaves alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rnnspec.diagnostics import nearest
from rnnspec.frozen import frozen


@frozen
class WeightExtent:
    """A weight's place in the flat array, its name and its shape."""

    start: int
    stop: int
    trainable: bool = True
    name: str = ""
    shape: tuple[int, ...] = ()


@frozen
class Undecayed:
    """Weights without decay: by their names, and by regular expressions that are found in the last part of the names."""

    weights: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Whether a weight is among them."""
        return name in self.weights or any(re.search(pattern, name.rpartition("/")[2]) for pattern in self.patterns)

    def check(self, names: Sequence[str]) -> None:
        """ValueError for a name that no weight of the model has."""
        for name in self.weights:
            if name not in names:
                advice = nearest(name, names) or f"there are {', '.join(names)}"
                raise ValueError(f"exclude_from_weight_decay: there is no weight {name}; {advice}")


def decayed_runs(extents: Sequence[WeightExtent], decay_of: Callable[[WeightExtent], float | None]) -> list[tuple[int, int, float | None]]:
    """The extents with neighbours of one decay joined."""
    runs: list[tuple[int, int, float | None]] = []
    for extent in extents:
        decay = decay_of(extent)
        if runs and runs[-1][1:] == (extent.start, decay):
            runs[-1] = (runs[-1][0], extent.stop, decay)
        else:
            runs.append((extent.start, extent.stop, decay))
    return runs


def joined_runs(extents: Sequence[WeightExtent]) -> list[tuple[int, int]]:
    """The extents with neighbours joined."""
    runs: list[tuple[int, int]] = []
    for extent in extents:
        if runs and runs[-1][1] == extent.start:
            runs[-1] = (runs[-1][0], extent.stop)
        else:
            runs.append((extent.start, extent.stop))
    return runs
