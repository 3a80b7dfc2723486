"""A model's calls of shapes that came before: neither are their inputs checked again, nor is what a call needs beside them made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array, Executable, FastPath
from rnnspec.contract.shape_cache import ShapeCache
from rnnspec.contract.signature import Signature
from rnnspec.runtime.data.batches import KEPT_STEPS, Batch
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.fast_call import no_fast_path

MOST_SHAPES = 8

Shapes: TypeAlias = tuple[int, ...] | tuple[tuple[int, ...], ...]
"""The shape of the only input, or the shapes of all in the signature's order."""


@dataclass(slots=True)
class KnownCall:
    """What calls of one shape have in common.

    `batch`: the batch that the inputs were found to be, without them. `version`: of the weights that an inference of this shape last
    had, -1 if there was none. `fast_path`: the call that needs no batch, made for that version.
    """

    batch: Batch
    version: int = -1
    fast_path: FastPath | None = None


class CallCache:
    """The known calls of one model.

    Only for floats whose steps are all real: ids are always looked at, and so are values that a layer masks. Two kinds of things
    that depend on shapes as well are kept elsewhere, by the same rule. A `CallPlan` belongs to one native function and to packing
    indices, not to a model and its inputs: training, streams and backward calls have plans and never come by here. And the indices
    of full batches are the same for all models, which plans tell apart by the very objects.
    """

    def __init__(self, signature: Signature, executable: Executable, parameters: Parameters) -> None:
        floats = not any(spec.integer for spec in signature.inputs)
        self._possible = floats and not any(values for _, values in signature.sources())
        self._names = tuple(spec.name for spec in signature.inputs)
        self._outputs = tuple(output.name for output in signature.outputs)
        self._dtype = np.dtype(signature.dtype)
        self._executable, self._parameters = executable, parameters
        self._known = ShapeCache[Shapes, KnownCall](MOST_SHAPES)
        self._find = self._known.get  # which a direct call, of one and a half microseconds, looks up in one step less

    def outputs(self, x: object, most: int | None = None) -> Any:
        """The direct call's outputs for an array of at most `most` samples; None if no direct call is known for it."""
        if type(x) is not np.ndarray:
            return None
        shape = x.shape
        known = self._find(shape)
        if known is None or (direct := known.fast_path) is None or (most is not None and shape[0] > most):
            return None
        outputs = direct(x)
        if outputs is None and known.version != self._parameters.version:
            for each in tuple(self._known.values()):
                each.fast_path = None  # so that nobody holds what was made of weights that there are no more
        return outputs

    def batch(self, x: object) -> Batch | None:
        """The batch of inputs whose shapes are known; None where they are to be looked at."""
        inputs = self._inputs(x)
        known = None if inputs is None else self._known.get(_shapes(inputs))
        if inputs is None or known is None:
            return None
        batch = known.batch
        return Batch(batch.size, inputs, batch.indices, batch.reals, batch.borrowed)

    def keep(self, x: object, batch: Batch) -> None:
        """Remembers the shapes of inputs that were checked, and found to be this batch, without a mask or lengths."""
        inputs = self._inputs(x)
        if inputs is not None and all(index.batch * index.time <= KEPT_STEPS for index in batch.indices):
            kept = Batch(batch.size, {}, batch.indices, batch.reals, batch.borrowed)
            self._known.keep(_shapes(inputs), KnownCall(kept))

    def repeat(self, x: object, batch: Batch) -> None:
        """Notes an inference on `batch`, which `batch` gave for `x`: after the second one with the same weights calls are direct."""
        if type(x) is not np.ndarray or (known := self._known.get(x.shape)) is None:
            return
        version = self._parameters.version
        if known.version != version:
            known.version = version
        elif known.fast_path is None:
            self._make(known, x.shape, batch)

    def _make(self, known: KnownCall, shape: tuple[int, ...], batch: Batch) -> None:
        prepared = self._executable.prepare_call(batch.inputs, batch.indices)
        if prepared is None:
            known.fast_path = no_fast_path
            return

        def taken(weights: Array, version: int) -> int:
            prepared.set_weights(weights, version)
            return version

        known.version = self._parameters.read(taken)
        known.fast_path = prepared.fast_path(shape, [prepared.outputs[name] for name in self._outputs], self._parameters.version_now)

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


def _shapes(inputs: Mapping[str, Array]) -> Shapes:
    first, *others = inputs.values()
    return (first.shape, *(other.shape for other in others)) if others else first.shape
