"""What flows between layers in the tensor IR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from rnnspec.frontend.graph.graph import StepMask
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value


@dataclass(frozen=True, slots=True)
class RowValue:
    """A row value, [batch, w] in the caller's order."""

    value: Value


@dataclass(frozen=True, slots=True)
class PaddedSequence:
    """An input's sequence as it was given, [batch, time, w]; packed by what uses it."""

    value: Value
    steps: StepMask


@dataclass(frozen=True, slots=True)
class PackedSequence:
    """A sequence, [tokens, w], with what its masked steps hold once it is padded again.

    `fill` ([1, w]) is what they hold, or with `hold` what those before the first real step do, the
    others repeating the last real step. `flip`: in reversed time order; the tokens stay where they are.
    `every`: where no one row says what masked steps hold, the sequence as it is shown, as tokens of all its steps.
    """

    value: Value
    fill: Value
    steps: StepMask
    hold: bool = False
    flip: bool = False
    every: Value | None = None

    def through(self, step: Callable[[Value], Value]) -> PackedSequence:
        """Every step for itself, the masked ones too: what they hold goes through like the rest."""
        every = None if self.every is None else step(self.every)
        return replace(self, value=step(self.value), fill=step(self.fill), every=every)


Computed: TypeAlias = RowValue | PackedSequence
Flow: TypeAlias = RowValue | PaddedSequence | PackedSequence


def over_steps(b: Builder, row: Value, index: Value) -> Value:
    """A row at each of its steps, [tokens, w]: a scan that carries it along."""
    scan = b.scan(index, [b.sort_rows(row, index)], [], carried_names=["row"])
    return scan.finish(scan.carried, scan.carried).stacks[0]
