"""States that calls carry over, in memory whose places native code knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.signature import StateSignature

Array = NDArray[Any]

FREE, HINDERED = 0, 1
"""The values of `StateBank.guard`."""


class StateBank:
    """The states of so many samples, by name, (batch, width): two sets that change places at each call, one read and one written.

    `turn`: one number, the set that the next call reads. `guard`: one number, `FREE` while direct calls may go on with the states.
    """

    def __init__(self, states: Sequence[StateSignature], samples: int, dtype: np.dtype[np.generic]) -> None:
        self.samples = samples
        self.sets = tuple({state.name: np.zeros((samples, state.width), dtype) for state in states} for _ in range(2))
        self.turn = np.zeros(1, np.int64)
        self.guard = np.full(1, HINDERED, np.int64)

    @property
    def states(self) -> Mapping[str, Array]:
        """The states after the last call, which the next one reads; writable."""
        return self.sets[int(self.turn[0])]

    def write(self, states: Mapping[str, Array]) -> None:
        """Takes the numbers of others."""
        for name, value in self.states.items():
            value[...] = states[name]
