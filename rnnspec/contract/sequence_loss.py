"""Losses of whole sequences: protocols of those that the driver compiles and training calls, and the outputs that they fit."""

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
    variables of all states, in two doubles each; once there are the backward variables, alike, what skips cost, the states' shares and
    the sums of a row.
    """
    states = 2 * labels + 1
    width = states + MOST_LANES - 1  # rounded up from an odd number
    padded = width + 2
    return classes + MOST_LANES + 3 * padded + width + steps * (1 + 2 * width) + (steps + 1) * 2 * padded


def blank_problem(blank: int, width: int) -> str:
    """Why rows of `width` classes have no class for the blank of connectionist temporal classification, in words; empty if they do."""
    return "" if blank < width else f"the blank is class {blank}, and the classes are 0..{width - 1}"


def sequence_problem(loss: str) -> str:
    """Why an output of one row a sample has no loss over whole sequences, in words."""
    return f"loss {loss} needs a sequence, and the output is one row a sample: `return_sequences = true` gives one a step"
