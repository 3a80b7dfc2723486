"""Values of the graph in the tensor IR: rows, and sequences in padded or packed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from rnnspec.frontend.graph.graph import StepMask
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value


@frozen
class RowValue:
    """A row value, [batch, w] in the caller's order."""

    value: Value


@frozen
class PaddedSequence:
    """An input's sequence as it was given, [batch, time, w]; packed by what uses it."""

    value: Value
    steps: StepMask


@frozen
class PackedSequence:
    """A packed sequence, [tokens, w], with the values of its masked steps, which appear when it is padded again.

    `fill` [1, w]: the value of each masked step; with `hold` only of those before the first unmasked step, while later masked steps
    repeat the last unmasked one. `flip`: shown in reversed time order; the tokens keep their places. `every` [all steps, w]: the
    whole sequence as it is shown, where masked steps differ from each other; None otherwise.
    """

    value: Value
    fill: Value
    steps: StepMask
    hold: bool = False
    flip: bool = False
    every: Value | None = None

    def through(self, step: Callable[[Value], Value]) -> PackedSequence:
        """The sequence with `step` applied to each step, masked steps included."""
        every = None if self.every is None else step(self.every)
        return replace(self, value=step(self.value), fill=step(self.fill), every=every)


Computed: TypeAlias = RowValue | PackedSequence
Flow: TypeAlias = RowValue | PaddedSequence | PackedSequence


def over_steps(b: Builder, row: Value, index: Value) -> Value:
    """A row [batch, w] repeated at each of its sequence's steps, [tokens, w]: a scan that carries the row along."""
    scan = b.scan(index, [b.sort_rows(row, index)], [], carried_names=["row"])
    return scan.finish(scan.carried, scan.carried).stacks[0]
