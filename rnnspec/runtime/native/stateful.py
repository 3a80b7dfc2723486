"""Stateful layers: the states that calls carry over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array, CallRequest, Executable, Family, NativeTape, PreparedCall
from rnnspec.contract.objective import RowEquations
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import Config, StateSignature
from rnnspec.contract.thread_count import ThreadCount
from rnnspec.locks import Lock, is_held, new_lock, renewed_after_fork


class StatefulExecutable:
    """An executable that gives each call the states that the last one left; calls take turns.

    The first call fixes the number of samples, until `reset`. Implements `contract.executable.Executable`.
    """

    def __init__(self, inner: Executable, states: Sequence[StateSignature], dtype: str, *, carrying: bool = False) -> None:
        """`carrying`: the states are those of a stream, not of stateful layers alone."""
        self._inner = inner
        self._carrying = carrying
        self._signatures = tuple(states)
        self._dtype = np.dtype(dtype)
        self._states: dict[str, Array] = {}
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """A new lock in a forked child, whose parent's other threads may have held the old one."""
        self._turn = new_lock()

    def _next_turn(self) -> Lock:
        """The lock of the call; RuntimeError in a signal handler that interrupts a call."""
        if is_held(self._turn):
            raise RuntimeError("a stateful model is in the middle of a call, which this one has interrupted")
        return self._turn

    @property
    def threads(self) -> ThreadCount:
        """The inner executable's."""
        return self._inner.threads

    def reset(self) -> None:
        """Sets all states to zeros, for any number of samples."""
        with self._next_turn():
            self._states = {}

    def apart(self) -> StatefulExecutable:
        """The same code with states of its own, from zeros."""
        return StatefulExecutable(self._inner, self._signatures, self._dtype.name, carrying=self._carrying)

    def carrying(self) -> Executable:
        """The same code with the states of all layers carried over calls: from here, or from zeros."""
        made = self._inner.carrying()
        made.go_on_from(self)
        return made

    def go_on_from(self, other: Executable) -> None:
        """Takes over the other's states of the layers that this one carries them for."""
        if isinstance(other, StatefulExecutable):
            names = {state.name for state in self._signatures}
            with self._next_turn():
                self._states = {name: value for name, value in other._states.items() if name in names}

    def check_samples(self, samples: int, batch_size: int) -> None:
        """ValueError, with what would do, for batches of several sizes, and for another size than the states have."""
        size, over = min(batch_size, samples), samples % batch_size if samples > batch_size else 0
        if over:
            divisor = next(number for number in range(batch_size, 0, -1) if samples % number == 0)
            raise ValueError(
                f"a stateful model goes on from each batch to the next one's same samples: {samples} samples in batches of {batch_size} "
                f"end with one of {over}; a batch_size of {divisor} divides them, or leave {over} out"
            )
        held = len(next(iter(self._states.values()))) if self._states else size
        if held != size:
            fits = f"; a batch_size of {held} goes on with them" if held and samples % held == 0 else ""
            raise ValueError(
                f"a stateful model goes on with the {held} samples of its first call, got {size}{fits}; reset_states() starts anew"
            )

    @property
    def states(self) -> dict[str, Array]:
        """Copies of the states that the last call left, by name; empty if there was none."""
        with self._next_turn():
            return {name: value.copy() for name, value in self._states.items()}

    def set_states(self, states: Mapping[str, Array]) -> None:
        """Takes on what `states` gave; ValueError for states that the model doesn't have."""
        widths = {state.name: state.width for state in self._signatures}
        samples = {len(value) for value in states.values() if value.ndim == 2}
        fits = {name: value.shape[1] for name, value in states.items() if value.ndim == 2} == widths and len(samples) == 1
        if states and (not fits or any(value.dtype != self._dtype for value in states.values())):
            raise ValueError("the states aren't of this model's stateful layers")
        with self._next_turn():
            self._states = {name: value.copy() for name, value in states.items()}

    def forward(self, request: CallRequest) -> tuple[Array, ...]:
        """The model's outputs, without the states; ValueError for another number of samples than the first call's."""
        with self._next_turn():
            return self._kept(self._inner.forward(self._given(request)))

    def record(self, request: CallRequest) -> tuple[tuple[Array, ...], NativeTape]:
        """As `forward`, and the tape; the tape has the states that the call began with."""
        with self._next_turn():
            outputs, tape = self._inner.record(self._given(request))
            return self._kept(outputs), tape

    def backward(
        self,
        tape: NativeTape,
        cotangents: Sequence[Array],
        weights: Array,
        version: int,
        *,
        input_gradients: bool,
        gradient: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The gradients of one call; none flows to the call before."""
        return self._inner.backward(tape, cotangents, weights, version, input_gradients=input_gradients, gradient=gradient)

    def prepare_step(self, inputs: Mapping[str, Array], states: Mapping[str, Array], indices: Sequence[PackedIndex]) -> PreparedCall:
        """A stream's steps, whose states are the stream's own."""
        return self._inner.prepare_step(inputs, states, indices)

    def prepare_call(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool) -> PreparedCall | None:
        """None: a call needs the states that the last one left."""
        return None

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The inner executable's printed stage."""
        return self._inner.inspect(stage, after)

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """The inner executable's."""
        return self._inner.equations(family, config, width, classes=classes)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """The inner executable's."""
        return self._inner.result(metric, width, totals)

    def _given(self, request: CallRequest) -> CallRequest:
        """The request with the states that the last call left."""
        inputs = request.inputs
        samples = len(next(iter(inputs.values())))
        states = zero_states(self._signatures, samples, self._dtype) if len(self._states) < len(self._signatures) else {}
        states |= self._states
        known = len(next(iter(self._states.values()))) if self._states else samples
        if known != samples:
            raise ValueError(
                f"a stateful model goes on with the {known} samples of its first call, got {samples}; reset_states() starts anew"
            )
        return request._replace(inputs={**inputs, **states}, carrying=self._carrying)

    def _kept(self, outputs: tuple[Array, ...]) -> tuple[Array, ...]:
        count = len(outputs) - len(self._signatures)
        # Copies: where a state is an output too, the caller has that array and may write to it.
        self._states = {state.name: value.copy() for state, value in zip(self._signatures, outputs[count:], strict=True)}
        return outputs[:count]


def zero_states(states: Sequence[StateSignature], samples: int, dtype: np.dtype[np.generic]) -> dict[str, Array]:
    """The states before the first call."""
    return {state.name: np.zeros((samples, state.width), dtype) for state in states}
