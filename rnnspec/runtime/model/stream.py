"""Streams: a model step by step, with states carried from call to call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import value_of
from rnnspec.contract.executable import Array, CallRequest, Executable, FastPath
from rnnspec.contract.signature import OutputSignature, Signature
from rnnspec.locks import is_held, new_lock, renewed_after_fork
from rnnspec.runtime.data.batches import Batch
from rnnspec.runtime.data.columns import as_numbers
from rnnspec.runtime.data.validate import check_inputs, inputs_by_name, whole_number
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.fast_call import no_fast_path
from rnnspec.runtime.native.stateful import zero_states

Result = TypeVar("Result")


class Stream:
    """A stream of a model, `Model.stream`: each step returns, bit for bit, `forward`'s output at that step of the whole sequence.

    Several threads' steps take turns, in no order that is known. Each step uses the model's weights of that moment.
    """

    def __init__(self, signature: Signature, executable: Executable, parameters: Parameters, batch: int) -> None:
        if signature.stream.refusal:
            raise ValueError(f"model {signature.model} can't stream: {signature.stream.refusal}")
        self._signature = signature
        self._executable = executable
        self._parameters = parameters
        self._batch = whole_number("batch", batch, 1)
        self._dtype = np.dtype(signature.dtype)
        self._states = zero_states(signature.stream.states, self._batch, self._dtype)
        self._shown: dict[str, Array] = {}
        self._started: dict[str, Array] = {}
        self._plain = None if any(values for _, values in signature.sources()) else _PlainSteps(signature, executable, parameters, batch)
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """Makes the lock anew, in a fork's child."""
        self._turn = new_lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream can't be pickled or copied: copy the model, and make a stream of the copy with `model.stream()`")

    @property
    def state(self) -> Mapping[str, Array]:
        """Copies of the carried states, by name, (batch, width) each."""
        return self._alone(lambda: {name: value.copy() for name, value in (self._plain or self).states.items()})

    @property
    def states(self) -> Mapping[str, Array]:
        """The states themselves, by name, (batch, width) each; see `state` for copies."""
        return self._states

    def _alone(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, with no step at the same time. RuntimeError in the middle of a step, for a signal handler."""
        if is_held(self._turn):
            raise RuntimeError("this stream is in the middle of a step, which this call has interrupted")
        with self._turn:
            return work() if self._plain is None else self._plain.indirectly(work)

    def reset(self, rows: object = None) -> None:
        """Sets states back to zeros: of all rows, or of the given row numbers, for the next sequences in their place.

        ValueError for numbers that aren't integers from 0 to batch - 1.
        """
        if rows is None:
            chosen = np.arange(self._batch)
        else:
            chosen = np.atleast_1d(np.asarray(rows))
            if chosen.shape == (0,):  # an empty list has no integers, and no others
                chosen = chosen.astype(np.intp)
            if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or ((chosen < 0) | (chosen >= self._batch)).any():
                raise ValueError(f"rows: expected numbers from 0 to {self._batch - 1}, got {rows!r}")
        self._alone(lambda: self._reset(chosen))

    def _reset(self, rows: NDArray[np.integer]) -> None:
        if self._plain is not None:
            for value in self._plain.states.values():
                value[rows] = 0
            return
        for kept in (self._states, self._started):
            for name, value in kept.items():
                kept[name] = value.copy()
                kept[name][rows] = 0

    def step(self, x: object) -> Any:
        """The output of the next step, newly allocated; a tuple if the model has several.

        `x`: (batch, features), or ids (batch,); a mapping from input names if there are several. A step that the model masks leaves the
        states as they are, and a sequence output shows its value at masked steps. ValueError for a bad input; then no step is made.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> stream = model.stream(batch=2)
        >>> stream.step(np.zeros((2, 3))).shape
        (2, 1)
        >>> sorted(stream.state)
        ['lstm/c', 'lstm/h', 'lstm/return']
        """
        plain = self._plain
        if plain is not None:
            shown = plain.fast_path(x)
            if shown is not None:
                return shown
        return self._step_in_turn(x, plain)

    def _step_in_turn(self, x: object, plain: _PlainSteps | None) -> Any:
        # Not in `step`: what a lambda takes from there would make each direct step a tenth slower.
        if plain is not None and type(x) is np.ndarray and x.shape == plain.shape and x.dtype == self._dtype:
            return self._alone(lambda: plain.step(x))
        checked = check_inputs(self._signature, self._with_time(x))
        if checked.samples != self._batch:
            raise ValueError(f"this stream has a batch of {self._batch}, got {checked.samples} samples")
        batch = checked.batch()
        if plain is not None:
            return self._alone(lambda: plain.step_of(batch.inputs))
        return self._alone(lambda: self._stepped(batch))

    def _stepped(self, batch: Batch) -> Any:
        given = {**batch.inputs, **self._states}
        outputs = self._parameters.read(
            lambda weights, version: self._executable.stream(CallRequest(given, batch.indices, weights, version))
        )
        signatures, states = self._signature.outputs, self._signature.stream.states
        self._states = {state.name: value for state, value in zip(states, outputs[len(signatures) :], strict=True)}
        shown = tuple(self._show(output, value, batch) for output, value in zip(signatures, outputs, strict=False))
        return shown[0] if len(shown) == 1 else shown

    def _with_time(self, x: object) -> dict[str, object]:
        """The inputs with a time of one step."""
        named = inputs_by_name(self._signature, x)
        sequences = {spec.name: spec for spec in self._signature.inputs if spec.is_sequence}
        given: dict[str, object] = {}
        for name, value in named.items():
            if name in sequences:
                array = as_numbers(value, f"input {name}")
                expected = sequences[name].shape[1:]
                if array.ndim != 1 + len(expected):
                    shown = f"({', '.join(map(str, (self._batch, *expected)))}{',' if not expected else ''})"
                    raise ValueError(f"input {name}: expected one step of shape {shown}, got {array.shape}")
                value = array[:, None]
            given[name] = value
        return given

    def _show(self, output: OutputSignature, value: Array, batch: Batch) -> Array:
        """A sequence's step; where it is masked and the sequence holds, what was shown before."""
        if output.index is None:
            return value
        step, real = value.reshape(self._batch, value.shape[-1]), batch.reals[output.index]
        if not output.hold:
            return step
        started = self._started.get(output.name, np.zeros(self._batch, bool))
        if real is not None:
            masked = ~real[:, 0] & started
            step[masked] = self._shown.get(output.name, step)[masked]
        self._started[output.name] = started | (True if real is None else real[:, 0])
        self._shown[output.name] = step.copy()
        return step


class _PlainSteps:
    """The steps of a stream that no layer masks a step of: all that they need is made once.

    `shape`: of one step of the only input, if that is one of floats. `fast_path`: a step without a detour, for any thread at any time.
    """

    def __init__(self, signature: Signature, executable: Executable, parameters: Parameters, batch: int) -> None:
        dtype = np.dtype(signature.dtype)
        inputs = {
            spec.name: np.zeros(
                (batch, *(1 if place == 0 and spec.is_sequence else value_of(extent, {}) for place, extent in enumerate(spec.shape))),
                np.int32 if spec.integer else dtype,
            )
            for spec in signature.inputs
        }
        indices = check_inputs(signature, inputs).batch().indices
        states = zero_states(signature.stream.states, batch, dtype)
        self._prepared = executable.prepare_step(inputs, states, indices)
        self.fast_path: FastPath = no_fast_path
        self._made: FastPath = no_fast_path
        self._parameters = parameters
        self._version = -1
        steps = (self._prepared.outputs[output.name] for output in signature.outputs)
        self._shown = tuple(step.reshape(batch, step.shape[-1]) for step in steps)
        self._input = next(iter(self._prepared.inputs.values()))
        if signature.inputs[0].is_sequence:
            self._input = self._input[:, 0]
        self.shape = self._input.shape if len(inputs) == 1 and not signature.inputs[0].integer else None

    @property
    def states(self) -> Mapping[str, Array]:
        return self._prepared.states

    def indirectly(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, with no direct step at the same time."""
        self.fast_path = no_fast_path
        try:
            return work()
        finally:
            self.fast_path = self._made

    def step(self, x: Array) -> Any:
        self._input[...] = x
        return self._run()

    def step_of(self, inputs: Mapping[str, Array]) -> Any:
        for name, value in inputs.items():
            self._prepared.inputs[name][...] = value
        return self._run()

    def _run(self) -> Any:
        if self._version != self._parameters.version:
            self._parameters.read(self._take)
            self._made = self._prepared.fast_path(self._input.shape, self._shown, self._parameters.version_now)
        self._prepared.run()
        if len(self._shown) == 1:
            return self._shown[0].copy()
        return tuple(value.copy() for value in self._shown)

    def _take(self, weights: Array, version: int) -> None:
        self._prepared.set_weights(weights, version)
        self._version = version
