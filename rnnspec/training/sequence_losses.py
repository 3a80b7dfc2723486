"""Losses of whole sequences against sequences of labels, as native operations with stated gradients.

Where a loss of rows looks at one step at a time, these see all real steps of a sample together: one loss for each sample.

>>> from rnnspec.training.sequence_losses import CTC
>>> CTC(zero_infinity=True)
CTC(reduction='sum_over_batch_size', blank=0, zero_infinity=True)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.contract.sequence_loss import LossCompiler, NativeLoss, blank_problem, ctc_scratch, sequence_problem
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.runtime.data.validate import true_or_false, whole_number
from rnnspec.training.constructors import clear_arguments

REDUCTIONS = ("sum_over_batch_size", "sum", "mean")


@clear_arguments("loss")
@frozen
class CTC:
    """Connectionist temporal classification (Graves et al. 2006): -log of the probability of all paths that stand for the labels.

    A path has a class for each real step. It stands for the labels that are left when of equal neighbours one stays, and then blanks go.
    Predictions are logits, one for each class and one for the blank; logarithms of probabilities do as well.

    argument       type                   meaning                                                              default
    -------------  ---------------------  -------------------------------------------------------------------  ---------------------
    reduction      "sum_over_batch_size"  the mean over the samples, Keras's                                   "sum_over_batch_size"
                   "sum"                  the sum over the samples of a batch
                   "mean"                 PyTorch's mean: each loss is divided by its number of labels first
    blank          int from 0             the blank's class; at the end of a sample's labels it is padding     0
    zero_infinity  bool                   whether a sample that no path stands for counts as 0, gradient too   False

    ValueError for other arguments.
    """

    reduction: str = "sum_over_batch_size"
    blank: int = 0
    zero_infinity: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"CTC: reduction: expected one of {', '.join(REDUCTIONS)}, got {self.reduction!r}")
        whole_number("CTC: blank", self.blank, 0)
        true_or_false("CTC: zero_infinity", self.zero_infinity)

    @property
    def name(self) -> str:
        """The name in a spec, and of the native function."""
        return "ctc"

    def check_output(self, *, is_sequence: bool, width: int) -> None:
        """ValueError for an output that isn't a sequence, or whose rows have no class for the blank."""
        if not is_sequence:
            raise ValueError(sequence_problem(self.name))
        if problem := blank_problem(self.blank, width):
            raise ValueError(f"loss {self.name}: {problem}")

    def factors(self, lengths: NDArray[np.int64], weights: Array | None, of_batch: int | None = None) -> NDArray[np.float64]:
        """The factors of each sample's loss in the whole one, float64 (samples,); `lengths`: how many labels each sample has.

        `of_batch`: the samples of a batch that these are a part of.
        """
        factors = np.ones(len(lengths)) if weights is None else weights.astype(np.float64)
        if self.reduction == "mean":
            factors = factors / np.maximum(lengths, 1)
        return factors if self.reduction == "sum" else factors / max(len(lengths) if of_batch is None else of_batch, 1)


SequenceLoss = CTC
"""The losses of whole sequences."""

SEQUENCE_LOSSES: dict[str, Callable[..., SequenceLoss]] = {"ctc": CTC}
"""By their names in a spec."""


@frozen(slots=False, eq=False)
class Sequences:
    """A batch of samples as `loss` takes them.

    `rows`: int64 (real steps,), the rows of an output that hold the real steps, sample after sample; `starts`: int64 (samples + 1,), where
    each sample's begin in `rows`. `labels`: int32, sample after sample; `label_starts` likewise. `weights`: (samples,) or None.
    """

    loss: SequenceLoss
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    label_starts: NDArray[np.int64]
    weights: Array | None

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.starts) - 1


@dataclass(slots=True)
class NativeLosses:
    """The native functions of losses, each compiled when it is first needed."""

    compile: LossCompiler | None
    _known: dict[str, NativeLoss] = field(default_factory=dict[str, NativeLoss])

    def value_and_gradient(
        self, sequences: Sequences, output: Array, weight: float = 1.0, *, derive: bool = True, of_batch: int | None = None
    ) -> tuple[float, Array | None]:
        """The reduced loss, and its gradient times `weight` by the output, of the output's shape and dtype; None unless `derive`.

        `output`: (..., width), float32 or float64. The gradient of rows that aren't real steps is 0.
        """
        lengths = np.diff(sequences.label_starts)
        factors = sequences.loss.factors(lengths, sequences.weights, of_batch)
        losses, gradient = self.each(sequences, output, factors * weight, derive=derive)
        with np.errstate(all="ignore"):
            return float((losses * factors).sum()), gradient

    def each(self, sequences: Sequences, output: Array, scales: Array, *, derive: bool = True) -> tuple[NDArray[np.float64], Array | None]:
        """The loss of each sample, float64 (samples,), and the gradient of their sum, each times its scale."""
        loss, width, output = sequences.loss, output.shape[-1], np.ascontiguousarray(output)
        steps, lengths = np.diff(sequences.starts), np.diff(sequences.label_starts)
        gradient = np.zeros_like(output) if derive else None
        losses = np.zeros(sequences.size)
        scratch = np.empty(ctc_scratch(width, int(steps.max(initial=0)), int(lengths.max(initial=0))))
        arrays = [
            output, sequences.rows, sequences.starts, sequences.labels, sequences.label_starts,
            scales.astype(np.float64, copy=False), losses, losses if gradient is None else gradient, scratch,
        ]  # fmt: skip
        dims = [sequences.size, width, loss.blank, int(loss.zero_infinity), int(derive)]
        self._native(loss.name)([array.__array_interface__["data"][0] for array in arrays], dims)
        return losses, gradient

    def _native(self, name: str) -> NativeLoss:
        if name not in self._known:
            if self.compile is None:
                raise InternalError(f"there is no compiler for the loss {name}")
            self._known[name] = self.compile(name)
        return self._known[name]
