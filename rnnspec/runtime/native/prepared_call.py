"""One native function called step after step with memory of its own, so that a step passes two addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import Size, Sizes, Steps, Tokens, value_of
from rnnspec.contract.executable import Array, FastPath, StateBank
from rnnspec.contract.native_function import STATE, Space
from rnnspec.contract.native_structs import WORD_BYTES, HeldRecord
from rnnspec.contract.packing import PackedIndex, pack
from rnnspec.contract.signature import EVERY_STEP, Clock, PairSignature, Signature
from rnnspec.frozen import frozen
from rnnspec.runtime.native.fast_call import Callee, FastPaths, is_small, no_fast_path
from rnnspec.runtime.native.loaded_function import LoadedFunction, Prepared
from rnnspec.runtime.native.made_index import DueSteps, Lookups, MadeIndex, made_indices
from rnnspec.runtime.native.memory import address, aligned_bytes, call_sizes, index_array, output_shape
from rnnspec.runtime.native.taken_inputs import TakenInputs


@frozen
class Held:
    """An output whose masked rows show what they showed last: the number of its index, what was shown, and which rows have begun."""

    output: str
    index: int
    shown: Array
    started: Array


class NativePreparedCall:
    """Implements `contract.executable.PreparedCall`. Two sets of state arrays change places at each step, one read and one written."""

    def __init__(
        self,
        bound: LoadedFunction,
        signature: Signature,
        indices: Sequence[PackedIndex],
        times: Mapping[Size, int],
        inputs: Mapping[str, Array],
        states: Mapping[str, Array] | None,
        fast_paths: FastPaths | None,
        *,
        packs: bool,
        scratch: Callable[[int], Array] = aligned_bytes,
        clocks: Sequence[Clock] = (),
        bank: StateBank | None = None,
    ) -> None:
        """`inputs`, `states`: examples, for their shapes and dtypes; no states for what isn't a stream. `times`: the padded lengths.

        `fast_paths`: the fast path's maker, if any. `packs`: whether masks may leave out steps. `scratch`: a call's memory, which
        only the fast path may share with others. `clocks`: those of a stream's indices. `bank`: the states that calls of
        several shapes carry on.
        """
        function = bound.function
        self._bound, self._indices, self._times = bound, tuple(indices), times
        self._signature = signature
        self.inputs = {name: np.zeros_like(value) for name, value in inputs.items()}
        own = tuple({name: np.zeros_like(value) for name, value in (states or {}).items()} for _ in range(2))
        self._states = own if bank is None else bank.sets
        self._turn, self._guard = (np.zeros(1, np.int64), np.zeros(1, np.int64)) if bank is None else (bank.turn, bank.guard)
        self._clocks, self._due = clocks, DueSteps((*clocks, *signature.stream.outputs) if clocks else (), samples_of(inputs))
        waiting = ((number, self._due.waiting(clock)) for number, clock in enumerate(clocks))
        self._waiting = {number: due for number, due in waiting if due is not None}
        packs = packs or bool(self._due)
        self._single, self._packs = states is not None, packs
        sizes = most_sizes(signature, self._sizes(indices), indices) if packs else self._sizes(indices)
        dtype = np.dtype(signature.dtype)
        self.outputs = {
            argument.name: np.zeros(output_shape(argument, sizes), dtype)
            for argument in function.arguments
            if argument.space is Space.OUTPUT and not argument.name.startswith(STATE)
        }
        self._arenas = {
            Space.SCRATCH: scratch(arena_bytes(function.scratch, sizes)),
            Space.TAPE: aligned_bytes(arena_bytes(function.tape, sizes)),
            Space.KEY: np.zeros(1, np.uint32),
        }
        self._dims = (ctypes.c_int64 * len(function.dims))(*(value_of(dim, sizes) for dim in function.dims))
        self.sizes = ctypes.addressof(self._dims)
        self._call = bound.loaded.functions[function.symbol]
        self._prepared: Prepared | None = None
        self._version = -1
        # On two sets of states or, without states, on one table again and again.
        self._turns = 2 if self._states[0] else 1
        self._made: Mapping[int, MadeIndex] | None = {}
        if packs:
            self._made = made_indices(function, signature, indices, self._waiting, streaming=states is not None)
        self._lookups = Lookups(function, signature, self._indices, self._made or {})
        self._fast_paths = fast_paths if self._made is not None and is_small(function, sizes, bound.threads.tuning) else None
        self._held = tuple(
            Held(output.name, output.index, np.zeros_like(self.outputs[output.name]), np.zeros(samples_of(inputs), np.bool_))
            for output in signature.outputs
            if packs and states is not None and output.hold and output.index is not None and clocks[output.index] == EVERY_STEP
        )

    def _sizes(self, indices: Sequence[PackedIndex]) -> Mapping[Size, int]:
        return call_sizes(samples_of(self.inputs), self._times, indices)

    def set_weights(self, weights: Array, version: int) -> None:
        """Takes these from now on, as they are now."""
        self._prepared = None  # whose memory the next ones take if nobody else holds them
        prepared = self._prepared = self._bound.hold(weights, version)
        self._arenas |= {
            Space.PREPARED: prepared.memory.bytes,
            Space.WEIGHT: weights[:0] if prepared.weights is None else prepared.weights,
        }
        self._lay_out()
        self._version = version

    def _lay_out(self) -> None:
        self._kept = tuple(self._arrays(turn) for turn in range(self._turns))
        self.tables = self._new_tables()

    @property
    def function(self) -> int:
        """The address of `void step(void **table, int64_t *sizes)`; `tables` take turns, `sizes` is an address too."""
        return self._bound.loaded.addresses[self._bound.function.symbol]

    def _new_tables(self) -> tuple[ctypes.Array[ctypes.c_void_p], ...]:
        return tuple((ctypes.c_void_p * len(arrays))(*map(address, arrays)) for arrays in self._kept)

    def _arrays(self, turn: int) -> list[Array]:
        """The function's arguments when it reads state set number `turn`."""
        arrays: list[Array] = []
        for argument in self._bound.function.arguments:
            match argument.space:
                case Space.INPUT:
                    array = self._states[turn].get(argument.name)
                    arrays.append(self.inputs[argument.name] if array is None else array)
                case Space.OUTPUT:
                    state = argument.name.startswith(STATE)
                    following = self._states[self._turns - 1 - turn]
                    arrays.append(following[argument.name.removeprefix(STATE)] if state else self.outputs[argument.name])
                case Space.INDEX:
                    found = self._lookups.array(argument)
                    if found is None and (made := (self._made or {}).get(argument.index)) is not None:
                        found = made.arrays[argument.name]
                    arrays.append(index_array(self._indices, argument) if found is None else found)
                case kind:
                    arrays.append(self._arenas[kind])
        return arrays

    @property
    def states(self) -> Mapping[str, Array]:
        """The states after the last step, which the next one reads; writable."""
        return self._states[int(self._turn[0])]

    def reset(self, rows: Any) -> None:
        """Sets the states of some rows to zeros, and has them begin anew."""
        self._due.reset(rows)
        for value in (*self.states.values(), *(each for held in self._held for each in (held.shown, held.started))):
            value[rows] = 0

    def take(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex]) -> None:
        """Takes these for the next step."""
        for name, value in inputs.items():
            self.inputs[name][...] = value
        if not self._packs:
            return
        self._due.advance()
        self._indices = (
            tuple(index if clock == EVERY_STEP else pack(self._due.due(clock)) for index, clock in zip(indices, self._clocks, strict=True))
            if self._due
            else tuple(indices)
        )
        sizes = self._sizes(self._indices)
        for place, dim in enumerate(self._bound.function.dims):
            self._dims[place] = value_of(dim, sizes)
        for number, made in (self._made or {}).items():
            made.take(self._indices[number])
        if self._made is None:
            self._lay_out()

    def run(self) -> None:
        """One step: reads `inputs` and `states`, writes `outputs` and `states`."""
        turn = int(self._turn[0])
        self._call(ctypes.addressof(self.tables[turn]), self.sizes)
        self._turn[0] = turn ^ self._turns - 1
        for held in self._held:
            real = self._indices[held.index].position >= 0
            output = self.outputs[held.output]
            held.shown[real] = output[real]
            output[~real & held.started] = held.shown[~real & held.started]
            held.started[real] = True

    def due(self, clock: Clock) -> Array:
        """See `PreparedCall.due`."""
        return self._due.due(clock)

    def fast_path(self, shown: Sequence[Array], version: Array, *, clocks: Sequence[Clock] = (), stay: bool = False) -> FastPath:
        """See `PreparedCall.fast_path`; `no_fast_path` if the function is too large to hold the GIL, or masks do more than it can."""
        if self._fast_paths is None:
            return no_fast_path
        function = self._bound.function
        places = {argument.name: place for place, argument in enumerate(function.arguments) if argument.space is Space.INPUT}
        sizes = {dim: self.sizes + place * WORD_BYTES for place, dim in enumerate(function.dims)}
        arguments = replace(self._signature, inputs=tuple(spec for spec in self._signature.inputs if spec.is_sequence or not stay))
        taken, made = TakenInputs(arguments, self.inputs, single=self._single), self._made or {}
        indices = taken.indices(made, self._lookups, sizes, self._waiting)
        due = [self._due.waiting(clock) for clock in clocks] or [None] * len(shown)
        held = [
            HeldRecord(
                rows=len(each.started),
                bytes=each.shown.nbytes // len(each.started),
                real=address(made[each.index].real),
                output=address(self.outputs[each.output]),
                shown=address(each.shown),
                started=address(each.started),
            )
            for each in self._held
            if each.index in made
        ]
        called = Callee(
            self.function,
            self._new_tables(),
            self.sizes,
            self._turn,
            self._guard,
            version,
            self._version,
            list(zip(shown, due, strict=True)),
            taken.inputs(places),
            taken.sources(),
            indices,
            held,
            self._due.records(),
            self._lookups.seen(sizes),
            self._lookups.paired(sizes),
            self._packs,
        )
        return self._fast_paths.of(called, (self, taken))


def most_sizes(signature: Signature, sizes: Mapping[Size, int], indices: Sequence[PackedIndex]) -> Mapping[Size, int]:
    """The sizes of a call without masks: none that has some is larger."""
    known = Sizes(sizes)
    for number, (each, index) in enumerate(zip(signature.indices, indices, strict=True)):
        # No sample has no step: the index of none has no more offsets than that, and nothing may be read behind them.
        batch = indices[each.queries].batch * indices[each.queries].time if isinstance(each, PairSignature) else index.batch
        known[Tokens(number)], known[Steps(number)] = batch * index.time, index.time if batch else 0
    return known


def samples_of(inputs: Mapping[str, Array]) -> int:
    """The number of samples."""
    return len(next(iter(inputs.values())))
