"""A forward call's outputs as a library for any machine gives them, computed by this one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array, CallRequest
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.constants import flat_weights, on_this_machine
from rnnspec.deploy.library import fitting
from rnnspec.driver.compilation import Compilation
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.native.executable import NativeExecutable


@frozen
class PaddedBatch:
    """A batch of whole sequences. `inputs`: by name, padded; `lengths`: int32 (batch,) and `masks`: bool (batch, time), by input."""

    inputs: Mapping[str, Array]
    lengths: Mapping[str, Array]
    masks: Mapping[str, Array]


def forward_reference(
    model: Compilation, weights: Mapping[str, Array], target: Target, batch: PaddedBatch, storage: WeightStorage = WeightStorage.FULL
) -> list[Array]:
    """What the target's library gives, bit for bit: each output, padded."""
    host = on_this_machine(model, fitting(target, np.dtype(model.dtype).itemsize))
    executable = NativeExecutable(host.signature, host.native, host.print, storage=storage)
    executable.threads.number = 1
    checked = check_inputs(host.signature, batch.inputs, batch.masks or None, batch.lengths or None).batch()
    return list(executable.forward(CallRequest(checked.inputs, checked.indices, flat_weights(host, weights), 1)))
