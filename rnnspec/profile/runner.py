"""Calls a model's native functions as prediction or training does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from rnnspec.contract.executable import Array, CallRequest
from rnnspec.contract.objective import Objective
from rnnspec.contract.signature import Signature
from rnnspec.driver.compilation import Compilation
from rnnspec.runtime.data.batches import CallBatch
from rnnspec.runtime.model.initializers import initial_value
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.executable import LoadedFunction, NativeExecutable, Variant
from rnnspec.runtime.native.stateful import zero_states
from rnnspec.training.settings import make_optimizer
from rnnspec.training.updates import Updates


class Runner:
    """One model with drawn weights on one batch. `timed`: with clocks in its code."""

    def __init__(self, compilation: Compilation, batch: CallBatch, *, training: bool, timed: bool) -> None:
        signature = compilation.signature
        dtype = np.dtype(signature.dtype)
        self._executable = NativeExecutable(signature, partial(compilation.native, timed=timed), compilation.print)
        self._executable.threads.number = 1
        self._inputs = {**batch.inputs, **zero_states(signature.states, batch.size, dtype)}
        self._indices = batch.indices
        self._training = training
        self._weights = drawn_weights(signature)
        self._version = 0
        self._objective = compilation.objective if training else ()
        self._targets = drawn_targets(signature, batch, self._objective)
        results = sum(len(each.results) for each in self._objective) if self._objective else len(signature.outputs)
        self._given_out = results + len(signature.activities)
        self._cotangents: list[Array] = []

    @property
    def functions(self) -> Mapping[Variant, LoadedFunction]:
        """The native functions that calls have needed so far."""
        return self._executable.functions

    def call(self) -> tuple[Array, ...]:
        """What a prediction runs, or a step of training, in which the weights are new each time; all that it gives."""
        self._version += self._training
        request = CallRequest(
            self._inputs,
            self._indices,
            self._weights,
            self._version,
            self._training,
            key=int(self._training),
            activities=self._training,
            objective=self._objective,
            targets=self._targets,
        )
        if not self._training:
            return self._executable.forward(request)
        outputs, tape = self._executable.record(request)
        if not self._cotangents:
            random = np.random.default_rng(0)
            self._cotangents = [random.standard_normal(output.shape).astype(output.dtype) for output in outputs[: self._given_out]]
        gradient, _ = self._executable.backward(tape, self._cotangents, self._weights, self._version, input_gradients=False)
        return (*outputs, gradient)


def drawn_targets(signature: Signature, batch: CallBatch, objective: Objective) -> dict[str, Array]:
    """Targets of outputs with a loss: class numbers, or numbers from 0 to 1."""
    random, drawn = np.random.default_rng(0), dict[str, Array]()
    outputs = {output.name: output for output in signature.outputs}
    for each in objective:
        output = outputs[each.output]
        lead = (batch.size,) if output.index is None else (batch.size, batch.indices[output.index].time)
        values = random.integers(0, output.width, (*lead, 1)) if each.target == 1 else random.random((*lead, each.target))
        drawn[each.output] = values.astype(signature.dtype)
    return drawn


def drawn_weights(signature: Signature) -> Array:
    """All weights from their initializers, flat."""
    drawn = [initial_value(weight, 0).ravel() for weight in signature.weights]
    return np.concatenate([np.zeros(0), *drawn]).astype(signature.dtype)


def update_of(compilation: Compilation, batch: CallBatch) -> Callable[[], None] | None:
    """An update of such weights by the spec's optimizer, after one of the same batch's; None if it has none."""
    signature = compilation.signature
    if signature.train.optimizer is None:
        return None
    parameters = Parameters(signature.weights, signature.dtype)
    updates = Updates(make_optimizer(signature.train.optimizer), parameters, compilation.update)
    drawn = drawn_weights(signature)
    parameters.change(lambda weights: np.copyto(weights, drawn))

    def update() -> None:
        rows = updates.catch_up(batch.inputs)
        gradient = updates.zeros()
        parameters.change(lambda weights: updates.apply(weights, gradient, rows), flushed=False)

    return update
