"""Stateful layers: the states that calls carry over."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from rnnspec.contract.executable import FREE, HINDERED, Array, CallRequest, Executable, Family, NativeTape, PreparedCall, StateBank
from rnnspec.contract.objective import RowEquations
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import Config, StateSignature
from rnnspec.contract.thread_count import ThreadCount
from rnnspec.frozen import frozen
from rnnspec.locks import Lock, is_held, new_lock, renewed_after_fork

MOST_BANKS = 64
"""Numbers of samples whose direct calls are remembered."""


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
        self._banks: dict[int, StateBank] = {}
        self._bank: StateBank | None = None
        self._before: Mapping[str, Array] = {}
        """See `began_with`."""
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """A new lock in a forked child, whose parent's other threads may have held the old one."""
        self._turn = new_lock()
        if self._bank is not None:
            self._bank.guard[0] = FREE

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
            self._take_up(None)

    def _take_up(self, bank: StateBank | None) -> None:
        """Goes on with these states from now on, and so do direct calls; with None from zeros, which no direct call begins."""
        if self._bank is not None:
            self._bank.guard[0] = HINDERED
        self._bank = bank
        if bank is not None:
            bank.guard[0] = FREE

    def _bank_of(self, samples: int) -> StateBank:
        """The memory that direct calls for so many samples know."""
        bank = self._banks.pop(samples, None) or StateBank(self._signatures, samples, self._dtype)
        self._banks[samples] = bank
        for unused in [*self._banks][:-MOST_BANKS]:
            self._banks.pop(unused).guard[0] = HINDERED
        return bank

    def _zeros(self, samples: int) -> StateBank:
        """States of zeros, which no direct call goes on from as yet."""
        bank = self._bank_of(samples)
        bank.guard[0] = HINDERED
        bank.write(zero_states(self._signatures, samples, self._dtype))
        return bank

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
            with self._next_turn():
                self._begin(other._bank.samples, other._bank.states) if other._bank else self._take_up(None)

    def _begin(self, samples: int, states: Mapping[str, Array]) -> None:
        """Goes on from states, zeros where there is none of a name."""
        bank = self._zeros(samples)
        bank.write({**bank.states, **{name: value for name, value in states.items() if name in bank.states}})
        self._take_up(bank)

    @property
    def began_with(self) -> Mapping[str, Array]:
        """The states that the last `record` began with; empty if these were zeros before any call."""
        return self._before

    def undo(self) -> None:
        """Goes back to the states that the last `record` began with."""
        with self._next_turn():
            self._begin(len(next(iter(self._before.values()))), self._before) if self._before else self._take_up(None)

    def check_samples(self, samples: int, batch_size: int) -> None:
        """ValueError, with what would do, for batches of several sizes, and for another size than the states have."""
        size, over = min(batch_size, samples), samples % batch_size if samples > batch_size else 0
        if over:
            divisor = next(number for number in range(batch_size, 0, -1) if samples % number == 0)
            raise ValueError(
                f"a stateful model goes on from each batch to the next one's same samples: {samples} samples in batches of {batch_size} "
                f"end with one of {over}; a batch_size of {divisor} divides them, or leave {over} out"
            )
        held = size if self._bank is None else self._bank.samples
        if held != size:
            raise _another_size(held, size, f"; a batch_size of {held} goes on with them" if held and samples % held == 0 else "")

    @property
    def states(self) -> dict[str, Array]:
        """Copies of the states that the last call left, by name; empty if there was none."""
        with self._next_turn():
            return {} if self._bank is None else {name: value.copy() for name, value in self._bank.states.items()}

    def set_states(self, states: Mapping[str, Array]) -> None:
        """Takes on what `states` gave; ValueError for states that the model doesn't have."""
        widths = {state.name: state.width for state in self._signatures}
        samples = {len(value) for value in states.values() if value.ndim == 2}
        fits = {name: value.shape[1] for name, value in states.items() if value.ndim == 2} == widths and len(samples) == 1
        if states and (not fits or any(value.dtype != self._dtype for value in states.values())):
            raise ValueError("the states aren't of this model's stateful layers")
        with self._next_turn():
            self._begin(samples.pop(), states) if states else self._take_up(None)

    def forward(self, request: CallRequest) -> tuple[Array, ...]:
        """The model's outputs, without the states; ValueError for another number of samples than the first call's."""
        with self._going_on(request) as going:
            return going.kept(self._inner.forward(going.request))

    def record(self, request: CallRequest) -> tuple[tuple[Array, ...], NativeTape]:
        """As `forward`, and the tape; the tape has the states that the call began with."""
        with self._going_on(request) as going:
            outputs, tape = self._inner.record(going.request)
            self._before = going.before
            return going.kept(outputs), tape

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

    def prepare_call(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool, bank: StateBank | None = None
    ) -> PreparedCall | None:
        """A call on the states of so many samples, made directly while these are the ones to go on from."""
        if self._carrying:
            return None
        with self._next_turn():
            bank = bank or self._bank_of(len(next(iter(inputs.values()))))
        return self._inner.prepare_call(inputs, indices, packs=packs, bank=bank)

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The inner executable's printed stage."""
        return self._inner.inspect(stage, after)

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """The inner executable's."""
        return self._inner.equations(family, config, width, classes=classes)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """The inner executable's."""
        return self._inner.result(metric, width, totals)

    @contextmanager
    def _going_on(self, request: CallRequest) -> Generator[_Going]:
        """A call on the states that the last one left, with none at the same time; one that fails leaves them."""
        with self._next_turn():
            samples = len(next(iter(request.inputs.values())))
            bank = self._bank or self._zeros(samples)
            if bank.samples != samples:
                raise _another_size(bank.samples, samples)
            bank.guard[0] = HINDERED
            try:
                before = {name: value.copy() for name, value in bank.states.items()}  # which a tape keeps
                inputs = {**request.inputs, **before}
                going = _Going(bank, request._replace(inputs=inputs, carrying=self._carrying), before if self._bank else {})
                yield going
                self._take_up(bank)
            finally:
                bank.guard[0] = FREE if self._bank is bank else HINDERED


def _another_size(held: int, size: int, fits: str = "") -> ValueError:
    return ValueError(f"a stateful model goes on with the {held} samples of its first call, got {size}{fits}; reset_states() starts anew")


@frozen
class _Going:
    """One call under way: the states that it goes on from, and the request that has them."""

    bank: StateBank
    request: CallRequest
    before: Mapping[str, Array]
    """The states; empty for the zeros of a first call."""

    def kept(self, outputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The outputs without the states behind them, which the next call goes on from."""
        count = len(outputs) - len(self.bank.states)
        self.bank.write(dict(zip(self.bank.states, outputs[count:], strict=True)))
        return outputs[:count]


def zero_states(states: Sequence[StateSignature], samples: int, dtype: np.dtype[np.generic]) -> dict[str, Array]:
    """The states before the first call."""
    return {state.name: np.zeros((samples, state.width), dtype) for state in states}
