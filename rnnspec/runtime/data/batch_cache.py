"""A cache of validated batches by shape, for inputs without masked steps that native code reads in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.runtime.data.batches import KEPT_STEPS, Batch

MOST_SHAPES = 8


class ValidatedBatchCache:
    """Packing indices by the inputs' shapes. Unknown shapes, other dtypes and layouts are a miss."""

    def __init__(self, signature: Signature) -> None:
        floats = not any(spec.integer for spec in signature.inputs)
        self._possible = floats and not any(values for _, values in signature.sources())
        self._names = tuple(spec.name for spec in signature.inputs)
        self._dtype = np.dtype(signature.dtype)
        self._known: dict[tuple[tuple[int, ...], ...], Batch] = {}

    def batch(self, x: object) -> Batch | None:
        """The batch of inputs with known shapes; None on a miss, where `check_inputs` must look at them."""
        inputs = self._inputs(x)
        if inputs is None:
            return None
        known = self._known.get(tuple(array.shape for array in inputs.values()))
        return None if known is None else Batch(known.size, inputs, known.indices, known.reals, known.borrowed)

    def keep(self, x: object, batch: Batch) -> None:
        """Adds the shapes of inputs that were checked, without a mask or lengths, and gave this batch."""
        inputs = self._inputs(x)
        if inputs is None or any(index.batch * index.time > KEPT_STEPS for index in batch.indices):
            return
        if len(self._known) >= MOST_SHAPES:
            self._known.clear()
        self._known[tuple(array.shape for array in inputs.values())] = Batch(batch.size, {}, batch.indices, batch.reals, batch.borrowed)

    def _inputs(self, x: object) -> Mapping[str, Array] | None:
        """The inputs by name, in order, if they are arrays of the model's dtype that native code can read."""
        if not self._possible:
            return None
        if type(x) is np.ndarray:
            given: dict[str, Any] = {self._names[0]: x}
        elif type(x) is dict:
            given = cast(dict[str, Any], x)
        else:
            return None
        if len(given) != len(self._names):
            return None
        inputs: dict[str, Array] = {}
        for name in self._names:
            array = given.get(name)
            if type(array) is not np.ndarray or array.dtype != self._dtype or not array.flags.c_contiguous or not array.flags.aligned:
                return None
            inputs[name] = array.view()  # whose shape nobody else changes
        return inputs
