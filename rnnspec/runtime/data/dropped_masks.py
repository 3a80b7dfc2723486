"""Warnings for masks, lengths or ragged samples of a caller that a layer of the model drops; one for each input and layer."""

from __future__ import annotations

import warnings

import numpy as np

from rnnspec.contract.signature import Signature
from rnnspec.diagnostics import MaskWarning, caller_level
from rnnspec.runtime.data.batches import CheckedInputs
from rnnspec.runtime.data.columns import RaggedArray


class DroppedMasks:
    """The warnings of one model that its calls haven't given yet."""

    def __init__(self, signature: Signature) -> None:
        self._untold = {(dropped, name): None for dropped in signature.dropped_masks for name in dropped.inputs}

    @property
    def untold(self) -> bool:
        """Whether there are any left."""
        return bool(self._untold)

    def tell(self, inputs: CheckedInputs) -> None:
        """Warns of the caller's masks that a layer drops, at the frame that called the package, once for each."""
        for dropped, name in list(self._untold):
            left_out = _left_out(inputs, name)
            if left_out is not None and inputs.real_steps(dropped.index) is not None:
                warnings.warn(
                    MaskWarning(left_out.format(name=name, drops=f"{dropped.layer} ({dropped.place})") + dropped.advice),
                    stacklevel=caller_level(),
                )
                self._untold.pop((dropped, name), None)


DIFFERENT = (
    "input {name}: its samples are of different lengths, and {drops} drops the mask that tells them apart: a sample's result depends on "
    "the longest of its companions. "
)
MASKED = (
    "input {name}: some of its steps are masked, but {drops} drops the mask: from there on they count as real ones, with what they hold. "
)


def _left_out(inputs: CheckedInputs, name: str) -> str | None:
    """The text for what the caller leaves out of an input; None for nothing."""
    column, sequence = inputs.columns[name], inputs.sequences[name]
    if isinstance(column, RaggedArray) and np.any(column.lengths < sequence.time):
        return DIFFERENT
    return MASKED if sequence.given is not None and not sequence.given.all() else None
