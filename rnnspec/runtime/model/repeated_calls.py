"""Direct calls for inference that is repeated with one shape and unchanged weights, for small models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array, Direct, Executable
from rnnspec.runtime.data.batches import Batch
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.fast_call import no_fast_path

MOST_SHAPES = 8


class RepeatedCalls:
    """The direct calls of one model, by the input's shape, at most `MOST_SHAPES`.

    The first array of a shape is noted, the second one makes the direct call, and the third one is the first to use it.
    """

    def __init__(self, executable: Executable, parameters: Parameters, outputs: Sequence[str]) -> None:
        self._executable, self._parameters = executable, parameters
        self._outputs = tuple(outputs)
        self._calls: dict[tuple[int, ...], Direct] = {}
        self._came: dict[tuple[int, ...], int] = {}
        """The version of the weights at the last input of a shape."""

    def outputs(self, x: object, most: int | None = None) -> Any:
        """The model's outputs for an array of at most `most` samples, by a direct call; None if there is none for its shape."""
        if type(x) is not np.ndarray:
            return None
        shape = x.shape
        call = self._calls.get(shape)
        if call is None or (most is not None and shape[0] > most):
            return None
        outputs = call(x)
        if outputs is None and self._came.get(shape) != self._parameters.version:
            self._calls.clear()  # so that nobody holds what was made of weights that there are no more
        return outputs

    def came(self, x: object, batch: Batch) -> None:
        """Notes that `x` was validated as `batch`. At the second array of a shape with the same weights, a direct call is made."""
        if type(x) is not np.ndarray:
            return
        shape = x.shape
        version = self._parameters.version
        if self._came.get(shape) == version:
            if shape not in self._calls:
                self._make(shape, batch)
            return
        if len(self._came) >= MOST_SHAPES:
            self._came.clear()
            self._calls.clear()
        self._came[shape] = version

    def _make(self, shape: tuple[int, ...], batch: Batch) -> None:
        repeater = self._executable.repeater(batch.inputs, batch.indices)
        if repeater is None:
            self._calls[shape] = no_fast_path
            return

        def taken(weights: Array, version: int) -> int:
            repeater.set_weights(weights, version)
            return version

        self._came[shape] = self._parameters.read(taken)
        self._calls[shape] = repeater.direct(shape, [repeater.outputs[name] for name in self._outputs], self._parameters.version_now)
