"""A model's calls of shapes that came before: what a call needs beside its arguments isn't made again, and native code checks these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array, Executable, FastPath
from rnnspec.contract.shape_cache import ShapeCache
from rnnspec.contract.signature import Signature
from rnnspec.runtime.data.batches import KEPT_STEPS, CallBatch
from rnnspec.runtime.data.columns import array_of_short_list
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.fast_call import no_fast_path

MOST_SHAPES = 64
"""Texts of one call each have as many lengths as this, or fewer."""

Shapes: TypeAlias = tuple[object, ...]
"""The shape of the only input, or the shapes of all in the signature's order; behind them True for a call with a mask or lengths."""


@dataclass(slots=True)
class KnownCall:
    """What calls of one shape have in common.

    `batch`: the batch that the inputs were found to be, without them; None where their values are looked at. `version`: of the weights
    that an inference of this shape last had, -1 if there was none. `fast_path`: the call that needs no batch, made for that version.
    """

    batch: CallBatch | None
    version: int = -1
    fast_path: FastPath | None = None


class CallCache:
    """The known calls of one model.

    A batch is kept only for floats whose steps are all real: ids are always looked at, and so are masks and values that a layer masks.
    The direct call does all of that itself. Two kinds of things that depend on shapes as well are kept elsewhere, by the same rule.
    A `CallPlan` belongs to one native function and to packing indices, not to a model and its inputs: training, streams and backward
    calls have plans and never come by here. And the indices of full batches are the same for all models, which plans tell apart by the
    very objects.
    """

    def __init__(self, signature: Signature, executable: Executable, parameters: Parameters) -> None:
        self._packs = signature.masks_values
        self._plain = not self._packs and not any(spec.integer for spec in signature.inputs)
        self._names = tuple(spec.name for spec in signature.inputs)
        self._sequences = tuple(spec.is_sequence for spec in signature.inputs)
        self._outputs = tuple(output.name for output in signature.outputs)
        self._dtype = np.dtype(signature.dtype)
        self._executable, self._parameters = executable, parameters
        self._known = ShapeCache[Shapes, KnownCall](MOST_SHAPES)
        self._find = self._known.get  # which a direct call, of one and a half microseconds, looks up in one step less

    def outputs(self, x: object, mask: object = None, lengths: object = None, most: int | None = None) -> Any:
        """The direct call's outputs for at most `most` samples; None if no direct call is known for the arguments."""
        if type(x) is np.ndarray and mask is None and lengths is None:
            shape = x.shape
        else:
            x, shape = self._laid_out(x)
            if shape is None:
                return None
            if not (self._packs or (mask is None and lengths is None)):
                shape = (*shape, True)
        known = self._find(shape)
        if known is None or (direct := known.fast_path) is None or (most is not None and _samples(shape) > most):
            return None
        outputs = direct(x, mask, lengths)
        if outputs is None and known.version != self._parameters.version:
            for each in tuple(self._known.values()):
                each.fast_path = None  # so that nobody holds what was made of weights that there are no more
        return outputs

    def batch(self, x: object) -> CallBatch | None:
        """The batch of inputs whose shapes are known and that need no look; None for all others."""
        inputs = self._inputs(x)
        known = None if inputs is None else self._known.get(_shapes(inputs))
        if inputs is None or known is None or known.batch is None:
            return None
        batch = known.batch
        return CallBatch(batch.size, inputs, batch.indices, batch.reals, batch.borrowed)

    def keep(self, x: object, batch: CallBatch) -> None:
        """Remembers the shapes of inputs that were checked, and found to be this batch, without a mask or lengths."""
        inputs = self._inputs(x)
        if inputs is not None and _is_small(batch):
            kept = CallBatch(batch.size, {}, batch.indices, batch.reals, batch.borrowed)
            self._known.keep(_shapes(inputs), KnownCall(kept))

    def repeat(self, x: object, batch: CallBatch, *, masked: bool = False) -> None:
        """Notes an inference on `batch`, which x was found to be: after the second one with the same weights calls are direct.

        `masked`: with a mask or lengths. Of weights that others write to no call is direct, since it wouldn't see a change.
        """
        if self._parameters.shared:
            return
        _, shapes = self._laid_out(x)
        if shapes is None:
            return
        key = (*shapes, True) if masked and not self._packs else shapes
        known = self._known.get(key)
        if known is None:
            if not _is_small(batch):
                return
            known = self._known.keep(key, KnownCall(None))
        version = self._parameters.version
        if known.version != version:
            known.version = version
        elif known.fast_path is None:
            self._make(known, batch, masked)

    def _make(self, known: KnownCall, batch: CallBatch, masked: bool) -> None:
        prepared = self._executable.prepare_call(batch.inputs, batch.indices, packs=masked or self._packs)
        if prepared is None:
            known.fast_path = no_fast_path
            return

        def taken(weights: Array, version: int) -> int:
            prepared.set_weights(weights, version)
            return version

        known.version = self._parameters.read(taken)
        known.fast_path = prepared.fast_path([prepared.outputs[name] for name in self._outputs], self._parameters.version_now)

    def _laid_out(self, x: object) -> tuple[object, Shapes | None]:
        """The inputs as a direct call takes them, and their shapes; lists of numbers are arrays, and so is a list of one array."""
        names, kind = self._names, type(x)
        if len(names) == 1:
            if kind is dict and len(_mapping(x)) == 1:
                x = _mapping(x).get(names[0])
                kind = type(x)
            if kind is list:
                x = self._as_array(_entries(x))
            return x, _shape(x)
        arrays: Sequence[object] = ()
        if kind is dict:
            arrays = [_mapping(x).get(name) for name in names] if len(_mapping(x)) == len(names) else ()
        elif kind is list or kind is tuple:
            arrays = _entries(x)
        shapes = [_shape(each) for each in arrays]
        return (x, tuple(shapes)) if len(shapes) == len(names) and None not in shapes else (x, None)

    def _as_array(self, samples: Sequence[object]) -> object:
        """An array of a list of samples; None for what is no short list of numbers and not one array."""
        if len(samples) == 1 and self._sequences[0] and isinstance(samples[0], np.ndarray):
            return cast(Array, samples[0])[None]
        return array_of_short_list(samples)

    def _inputs(self, x: object) -> Mapping[str, Array] | None:
        """The inputs by name, in order, if they are arrays of the model's dtype that native code can read without a look."""
        if not self._plain:
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


def _mapping(x: object) -> dict[object, object]:
    return cast(dict[object, object], x)


def _entries(x: object) -> Sequence[object]:
    return cast(Sequence[object], x)


def _shape(x: object) -> tuple[int, ...] | None:
    return cast(Array, x).shape if isinstance(x, np.ndarray) else None


def _is_small(batch: CallBatch) -> bool:
    return all(index.batch * index.time <= KEPT_STEPS for index in batch.indices)


def _samples(shapes: Shapes) -> int:
    """The number of samples, of one shape or of several."""
    first = shapes[0] if shapes else 0
    return first if isinstance(first, int) else cast(tuple[int, ...], first)[0]


def _shapes(inputs: Mapping[str, Array]) -> Shapes:
    first, *others = inputs.values()
    return (first.shape, *(other.shape for other in others)) if others else first.shape
