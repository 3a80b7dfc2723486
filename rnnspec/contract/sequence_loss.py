"""Protocols of the losses of whole sequences: the driver compiles them, training calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

NativeLoss: TypeAlias = Callable[[Sequence[int], Sequence[int]], None]
"""Takes addresses and dims as `backend.llvm_cpu.sequence_losses` describes."""

LossCompiler: TypeAlias = Callable[[str], NativeLoss]
"""The native function of the loss of a name, for predictions of a model's dtype."""

MOST_LANES = 8
"""The most doubles in a vector of any target."""


def ctc_scratch(classes: int, steps: int, labels: int) -> int:
    """The doubles of scratch memory that connectionist temporal classification needs.

    `steps` and `labels`: of the samples with the most of each. For each step there are a normalizer, and the emissions and the forward
    variables of all states; once there are the backward variables, what skips cost, the states' shares and the sums of a row.
    """
    states = 2 * labels + 1
    width = states + MOST_LANES - 1  # rounded up from an odd number
    padded = width + 2
    return classes + MOST_LANES + 2 * padded + width + steps * (1 + width) + (steps + 1) * padded
