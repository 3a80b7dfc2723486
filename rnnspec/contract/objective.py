"""An objective: the losses and metrics of a model's outputs, which native code computes row by row beside the outputs.

A row is a sample, or an unmasked step of a sequence. What is said here are names and arguments; the compiler finds the equations.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from rnnspec.contract.signature import Config
from rnnspec.frozen import frozen

TargetKind: TypeAlias = Literal["values", "probabilities", "binary", "class"]
"""What a target must be: a row as wide as the prediction of any finite numbers, of numbers in 0..1, or of 0 and 1; or one class number."""


@frozen
class RowEquations:
    """A loss or a metric for predictions of a width, as training sees it.

    `unlabelled`: the class number of rows without a label, which don't count. `columns`: how many numbers a row gives, 1 but for a metric
    that is computed of totals. `totals`: whether its value is computed of the sums over rows; else it is their mean.
    `of_sequences`: whether a loss is one of a whole sequence, a number for each sample. `outputs`: of a loss with weights, those of the
    model's outputs for which it has them; None of a loss without.
    """

    config: Config
    target: TargetKind
    unlabelled: int | None
    columns: int
    totals: bool = False
    of_sequences: bool = False
    outputs: tuple[str, ...] | None = None


@frozen
class OutputObjective:
    """What is computed beside one output, named `output`; without a loss and metrics the output is given as it is.

    `target`: the width of a target's row.
    """

    output: str
    target: int
    loss: Config | None = None
    metrics: tuple[Config, ...] = ()
    shown: bool = False
    """Whether the output itself is given, too."""

    @property
    def results(self) -> tuple[str, ...]:
        """The names of what is computed, in their order: each row's loss, each row's numbers for all metrics, the output."""
        names = [loss_name(self.output)] if self.loss is not None else []
        names += [metrics_name(self.output)] if self.metrics else []
        return (*names, self.output) if self.shown else tuple(names)


class UnknownEquations(LookupError):
    """A name that no loss, or no metric, has; `known`: those that there are."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(known)
        self.known = known


Objective: TypeAlias = tuple[OutputObjective, ...]
"""Of the outputs that have a loss or metrics, in the model's order."""


def loss_name(output: str) -> str:
    """The name of an output's loss, (batch, 1) or (batch, time, 1)."""
    return f"loss/{output}"


def metrics_name(output: str) -> str:
    """The name of the numbers for an output's metrics, side by side."""
    return f"metrics/{output}"


def target_name(output: str) -> str:
    """The name of the input that brings an output's target."""
    return f"target/{output}"
