"""A model as pure functions of weights and inputs, on numpy arrays: what a framework calls from its own programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array, each_output
from rnnspec.contract.signature import InputSignature
from rnnspec.locks import new_lock, renewed_after_fork
from rnnspec.training.model import Model

Arrays: TypeAlias = Mapping[str, Array]

Arguments: TypeAlias = tuple[Arrays, Arrays, Arrays, Arrays]
"""The weights, inputs, masks and lengths of a call, each by name."""


class PureModel:
    """The outputs and gradients of a model in inference, with weights that each call gives. Several threads take turns.

    `batched`: the axes of each input with its batch. All arrays may have more axes in front, which are broadcast: the calls of a `vmap`.
    """

    def __init__(self, model: Model) -> None:
        signature = model.signature
        if signature.states:
            raise ValueError(f"model {signature.model} is stateful: a function that carries states from call to call isn't pure")
        if any(spec.text is not None for spec in signature.inputs):
            raise ValueError(f"model {signature.model} takes texts, which these frameworks have no arrays of")
        self.model = model
        self.dtype = np.dtype(signature.dtype)
        self.inputs = {spec.name: spec for spec in signature.inputs}
        self.batched = {spec.name: batched_axes(spec) for spec in signature.inputs}
        self.sequences = [spec.name for spec in signature.inputs if spec.is_sequence]
        self.floats = [spec.name for spec in signature.inputs if not spec.integer]
        self._shapes = {weight.name: weight.shape for weight in signature.weights}
        self._worker = deepcopy(model)
        """With the weights that were given last; the model's own stay as they are."""
        self._given: dict[str, Array] = {}
        self._known: dict[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]] = {}
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """Makes the lock anew, in a fork's child."""
        self._turn = new_lock()

    def by_name(self, given: object, what: str) -> dict[str, Any]:
        """A value for each input, or each sequence of masks, by name: of a dict, of a list in order, or of the only one."""
        names = list(self.inputs) if what == "x" else self.sequences
        if given is None:
            return {}
        if isinstance(given, Mapping):
            named = dict(cast(Mapping[str, Any], given))
        elif len(names) == 1:
            named = {names[0]: given}
        else:
            listed = list(cast(Sequence[Any], given)) if isinstance(given, (list, tuple)) else []
            named = dict(zip(names, listed, strict=True)) if len(listed) == len(names) else {}
        if not named or not set(named) <= set(names) or (what == "x" and len(named) < len(names)):
            raise ValueError(f"{what}: expected arrays by the names {', '.join(names)}")
        return named

    def check_weights(self, names: Sequence[str]) -> None:
        """ValueError for a name that isn't a weight's."""
        if unknown := [name for name in names if name not in self._shapes]:
            raise ValueError(f"weights: model {self.model.signature.model} has no weight {unknown[0]}; there are {', '.join(self._shapes)}")

    def output_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        """The outputs' shapes for inputs of these shapes, batch in front; ValueError for inputs that don't fit."""
        batch = next(iter(shapes.values()))[0]
        of_one = tuple((1, *shapes[name][1:]) for name in self.inputs)
        if of_one not in self._known:
            zeros = {
                name: np.zeros(shape, np.int32 if spec.integer else self.dtype)
                for (name, spec), shape in zip(self.inputs.items(), of_one, strict=True)
            }
            given = self._worker.forward(zeros)
            self._known[of_one] = tuple(each.shape[1:] for each in each_output(given))
        return tuple((batch, *shape) for shape in self._known[of_one])

    def outputs(self, arguments: Arguments) -> tuple[Array, ...]:
        """The outputs; weights that aren't given are the model's own of this moment."""
        weights, *rest = arguments
        lead = self._lead(arguments)
        if not lead:
            return self._called(arguments)
        if all(prod(value.shape[: value.ndim - len(self._shapes[name])]) == 1 for name, value in weights.items()):
            alone = {name: value.reshape(self._shapes[name]) for name, value in weights.items()}
            x, masks, lengths = (self._merged(each, lead) for each in rest)
            return tuple(each.reshape(*lead, -1, *each.shape[1:]) for each in self._called((alone, x, masks, lengths)))
        calls = [self._called(self._at(arguments, lead, place)) for place in np.ndindex(lead)]
        return tuple(np.stack(each).reshape(*lead, *each[0].shape) for each in zip(*calls, strict=True))

    def gradients(self, arguments: Arguments, cotangents: Sequence[Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """The gradients by the weights that were given, and by the inputs of floats; of several calls those of each."""
        axes = [1 + len(output.shape) for output in self.model.signature.outputs]
        pairs = list(zip(cotangents, axes, strict=True))
        lead = np.broadcast_shapes(self._lead(arguments), *(each.shape[: each.ndim - count] for each, count in pairs))
        if not lead:
            return self._differentiated(arguments, cotangents)
        found = [
            self._differentiated(self._at(arguments, lead, place), [_one(each, each.ndim - count, lead, place) for each, count in pairs])
            for place in np.ndindex(lead)
        ]
        return _stacked([weights for weights, _ in found], lead), _stacked([inputs for _, inputs in found], lead)

    def _called(self, arguments: Arguments) -> tuple[Array, ...]:
        weights, x, masks, lengths = arguments
        with self._turn:
            given = self._with(weights).forward(x, mask=masks or None, lengths=lengths or None)
        return each_output(given)

    def _differentiated(self, arguments: Arguments, cotangents: Sequence[Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        weights, x, masks, lengths = arguments
        with self._turn:
            worker = self._with(weights)
            _, tape = worker.forward(x, mask=masks or None, lengths=lengths or None, record=True)
            found = worker.backward(tape, list(cotangents) if len(cotangents) > 1 else cotangents[0])
        return {name: found.weights[name] for name in weights}, dict(found.inputs)

    def _with(self, weights: Arrays) -> Model:
        """The worker with these weights; they are set only where they are others than before."""
        own = self.model.weights
        wanted = {name: np.asarray(weights[name] if name in weights else own[name], self.dtype) for name in self._shapes}
        if not self._given or any(not np.array_equal(value, self._given[name]) for name, value in wanted.items()):
            self._worker.set_weights(wanted)
            self._given = {name: value.copy() for name, value in wanted.items()}
        return self._worker

    # Calls of a `vmap`

    def _lead(self, arguments: Arguments) -> tuple[int, ...]:
        """The axes that all arrays have in front, broadcast."""
        weights, x, masks, lengths = arguments
        counted = [
            *((value, len(self._shapes[name])) for name, value in weights.items()),
            *((value, self.batched[name]) for name, value in x.items()),
            *((value, 2) for value in masks.values()),
            *((value, 1) for value in lengths.values()),
        ]
        return np.broadcast_shapes(*(value.shape[: value.ndim - axes] for value, axes in counted))

    def _merged(self, arrays: Arrays, lead: tuple[int, ...]) -> dict[str, Array]:
        """The axes in front as a part of the batch."""
        found: dict[str, Array] = {}
        for name, value in arrays.items():
            own = value.shape[len(lead) :]
            found[name] = np.broadcast_to(value, (*lead, *own)).reshape(-1, *own[1:])
        return found

    def _at(self, arguments: Arguments, lead: tuple[int, ...], place: tuple[int, ...]) -> Arguments:
        weights, x, masks, lengths = ({name: _one(value, len(lead), lead, place) for name, value in each.items()} for each in arguments)
        return weights, x, masks, lengths


def _stacked(calls: Sequence[Arrays], lead: tuple[int, ...]) -> dict[str, Array]:
    """The arrays of several calls as one by each name, with axes in front."""
    joined = {name: np.stack([each[name] for each in calls]) for name in calls[0]}
    return {name: value.reshape(*lead, *value.shape[1:]) for name, value in joined.items()}


def batched_axes(spec: InputSignature) -> int:
    """The axes of an input with its batch."""
    return 1 + len(spec.shape)


def _one(value: Array, axes: int, lead: tuple[int, ...], place: tuple[int, ...]) -> Array:
    """The array of one call, whose axes in front have the size of `lead` or 1."""
    return value[tuple(at if size > 1 else 0 for at, size in zip(place[len(lead) - axes :], value.shape[:axes], strict=True))]
