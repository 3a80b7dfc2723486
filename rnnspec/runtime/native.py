"""Calls native functions: arenas, pointer tables, prepared weights."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rnnspec.runtime.executable import Array, NativeTape
from rnnspec.runtime.jit import Jit, Loaded
from rnnspec.runtime.lengths import length_of
from rnnspec.runtime.packing import PackedIndex, key_tokens, query_tokens, window_ids
from rnnspec.runtime.program import ALIGNMENT, Argument, Kind, NativeFunction, arena_bytes
from rnnspec.runtime.signature import Signature

SHOWN = {
    "shown_hold": (True, False),
    "shown_fill": (False, False),
    "shown_hold_flip": (True, True),
    "shown_fill_flip": (False, True),
}
"""Index arrays by name: hold and flip (see `PackedIndex.shown`)."""


def aligned_bytes(size: int) -> Array:
    """Uninitialised memory that starts at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + size]


def address(array: Array) -> int:
    return array.__array_interface__["data"][0]


class Scratch:
    """Memory for calls under way, kept for the next ones."""

    def __init__(self) -> None:
        self._free: list[Array] = []

    @contextmanager
    def taken(self, size: int) -> Generator[Array]:
        """At least `size` bytes, nobody else's until the block ends."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = aligned_bytes(size)
        if len(memory) < size:
            memory = aligned_bytes(size)
        try:
            yield memory
        finally:
            self._free.append(memory)


@dataclass
class _Prepared:
    version: int
    memory: Array
    users: int = 0


@dataclass
class BoundFunction:
    """A loaded native function with the prepared form of the weights it was last called with."""

    function: NativeFunction
    loaded: Loaded
    scratch: Scratch
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _prepared: _Prepared | None = None

    @cached_property
    def clocks(self) -> Mapping[str, Array]:
        """Of a timed build, the ticks of each loop nest by the function's symbol; calls add to them."""
        arguments = (*self.function.prepare_arguments, *self.function.arguments)
        return {each.name: np.zeros(int(each.rows), np.int64) for each in arguments if each.kind is Kind.CLOCKS}

    @contextmanager
    def prepared(self, weights: Array, version: int) -> Generator[Array]:
        """The prepared weights; made again when the weights' version is another, in place if no other call reads them."""
        with self._lock:
            prepared = self._prepared
            if prepared is None or prepared.version != version:
                if prepared is None or prepared.users:
                    memory = aligned_bytes(self.function.prepared_bytes)
                    memory[:] = 0
                else:
                    memory = prepared.memory
                self._prepared = None
                self._prepare(weights, memory)
                prepared = self._prepared = _Prepared(version, memory)
            prepared.users += 1
        try:
            yield prepared.memory
        finally:
            with self._lock:
                prepared.users -= 1

    def _prepare(self, weights: Array, memory: Array) -> None:
        with self.scratch.taken(arena_bytes(self.function.prepare_scratch, {})) as scratch:
            known = {Kind.WEIGHTS: weights, Kind.PREPARED: memory, Kind.SCRATCH: scratch}
            if self.clocks:
                known[Kind.CLOCKS] = self.clocks[self.function.prepare_symbol]
            pointers = [address(known[argument.kind]) for argument in self.function.prepare_arguments]
            self._call(self.function.prepare_symbol, pointers, ())

    def _call(self, symbol: str, pointers: Sequence[int], dims: Sequence[int]) -> None:
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        sizes = (ctypes.c_int64 * len(dims))(*dims)
        self.loaded.functions[symbol](ctypes.addressof(table), ctypes.addressof(sizes))

    def call(
        self,
        given: Mapping[tuple[Kind, str], Array],
        indices: Sequence[PackedIndex],
        sizes: CallSizes,
        dtype: np.dtype,
        weights: Array,
        weights_version: int,
        tape: Array | None = None,
    ) -> tuple[dict[str, Array], Array]:
        """Runs the function; its outputs by name, and the tape (newly made unless given). `sizes`: see `NativeFunction`."""
        outputs: dict[str, Array] = {}
        kept = aligned_bytes(arena_bytes(self.function.tape, sizes)) if tape is None else tape
        with self.scratch.taken(arena_bytes(self.function.scratch, sizes)) as scratch, self.prepared(weights, weights_version) as prepared:
            arenas = {Kind.WEIGHTS: weights, Kind.PREPARED: prepared, Kind.TAPE: kept, Kind.SCRATCH: scratch}
            alive: list[Array] = []
            for argument in self.function.arguments:
                array = arenas.get(argument.kind)
                if array is None:
                    match argument.kind:
                        case Kind.OUTPUT:
                            array = outputs[argument.name] = np.empty(_output_shape(argument, sizes), dtype)
                        case Kind.INDEX:
                            array = index_array(indices, argument)
                        case Kind.CLOCKS:
                            array = self.clocks[argument.name]
                        case _:
                            array = given[argument.kind, argument.name]
                alive.append(array)
            self._call(self.function.symbol, [address(array) for array in alive], [sizes[name] for name in self.function.dims])
        return outputs, kept


def _output_shape(argument: Argument, sizes: CallSizes) -> tuple[int, ...]:
    if isinstance(argument.rows, int):
        return argument.rows, argument.width
    if argument.rows == "batch":
        return sizes["batch"], argument.width
    return sizes["batch"], sizes.time(argument.rows.removeprefix("batch*")), argument.width


class CallSizes(dict[str, int]):
    """The numbers that a call's native functions take, by name (see `NativeFunction`).

    `times`: lengths by theirs, kept apart: a spec may call a length `steps`.
    """

    def __init__(self, batch: int, times: Mapping[str, int], indices: Sequence[PackedIndex]) -> None:
        super().__init__(batch=batch)
        self._times = dict(times)
        for number, index in enumerate(indices):
            suffix = f"_{number}" if number else ""
            self |= {f"tokens{suffix}": index.tokens, f"steps{suffix}": index.steps}

    def __missing__(self, name: str) -> int:
        """The steps of a padded sequence: "batch*time", "batch*(time-2)"."""
        batch, star, time = name.partition("*")
        if not star:
            raise KeyError(name)
        return self[batch] * self.time(time)

    def time(self, name: str) -> int:
        """A length by its name or by what it comes from, or a fixed one."""
        return length_of(name.removeprefix("(").removesuffix(")") if name.startswith("(") else name, self._times)


def index_array(indices: Sequence[PackedIndex], argument: Argument) -> Array:
    """One of an index's arrays under the name that native functions know it by."""
    index = indices[argument.index]
    match argument.name:
        case "window":
            source, stride, offset, span, clamp = argument.parameters
            return window_ids(indices[source], index, stride, offset, span, clamp=bool(clamp))
        case "pair_queries":
            return query_tokens(index)
        case "pair_keys":
            queries, keys = argument.parameters
            return key_tokens(index, indices[queries], indices[keys])
        case name if name in SHOWN:
            return index.shown(*SHOWN[name])
        case name:
            return {"source": index.source, "order": index.order, "rank": index.rank, "offsets": index.offsets}[name]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which native function is needed: "forward", "record", "backward" or "stream".

    `training`: with dropout. `input_gradients`: whether backward gives those of the inputs. `activities`:
    with what activity regularizers look at.
    """

    name: str
    training: bool
    input_gradients: bool = True
    activities: bool = False


class NativeExecutable:
    """The native functions of one model, each compiled and loaded when it is first needed.

    `build` makes a function, `print_stage` prints a stage of the compiler. Implements `runtime.executable.Executable`.
    """

    def __init__(
        self,
        signature: Signature,
        build: Callable[[Wanted], NativeFunction],
        print_stage: Callable[[str, str | None], str],
    ) -> None:
        self._dtype = np.dtype(signature.dtype)
        self._outputs = tuple(output.name for output in signature.outputs)
        self._updates = signature.updates
        self._activities = tuple(activity.name for activity in signature.activities)
        self._states = tuple(state.name for state in signature.states)
        self._streamed = tuple(state.name for state in signature.stream.states)
        self._times = {source.name: str(source.shape[0]) for source in signature.inputs if source.is_sequence}
        self._build = build
        self._print_stage = print_stage
        self._functions: dict[Wanted, BoundFunction] = {}
        self._lock = threading.Lock()
        self._scratch = Scratch()
        self._jit: Jit | None = None

    @property
    def functions(self) -> Mapping[Wanted, BoundFunction]:
        """Those that were needed so far."""
        return self._functions

    def _function(self, wanted: Wanted) -> BoundFunction:
        if not self._activities:
            wanted = replace(wanted, activities=False)
        with self._lock:
            if wanted not in self._functions:
                function = self._build(wanted)
                self._jit = self._jit or Jit()
                loaded = self._jit.load(function.object_code, (function.symbol, function.prepare_symbol))
                self._functions[wanted] = BoundFunction(function, loaded, self._scratch)
            return self._functions[wanted]

    def forward(
        self,
        inputs: Mapping[str, Array],
        indices: Sequence[PackedIndex],
        weights: Array,
        *,
        weights_version: int,
        training: bool,
        key: int,
        activities: bool = False,
    ) -> tuple[Array, ...]:
        """The outputs, padded, newly allocated; then updates and states."""
        outputs, _ = self._run(Wanted("forward", training, activities=activities), inputs, indices, weights, weights_version, key)
        return outputs

    def record(
        self,
        inputs: Mapping[str, Array],
        indices: Sequence[PackedIndex],
        weights: Array,
        *,
        weights_version: int,
        training: bool,
        key: int,
        activities: bool = False,
    ) -> tuple[tuple[Array, ...], NativeTape]:
        """As `forward`, and the tape for `backward`."""
        outputs, tape = self._run(Wanted("record", training, activities=activities), inputs, indices, weights, weights_version, key)
        return outputs, NativeTape(tape, inputs, tuple(indices))

    def _sizes(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex]) -> CallSizes:
        times = {time: inputs[name].shape[1] for name, time in self._times.items()}
        return CallSizes(next(iter(inputs.values())).shape[0], times, indices)

    def _run(
        self, wanted: Wanted, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], weights: Array, weights_version: int, key: int
    ) -> tuple[tuple[Array, ...], Array]:
        given = {(Kind.INPUT, name): array for name, array in inputs.items()}
        given[Kind.KEY, ""] = np.array([key], np.uint32)
        sizes = self._sizes(inputs, indices)
        outputs, tape = self._function(wanted).call(given, indices, sizes, self._dtype, weights, weights_version)
        updates = self._updates if wanted.training else ()
        states = self._streamed if wanted.name == "stream" else self._states
        return tuple(outputs[name] for name in (*self._given_out(wanted.activities), *updates, *states)), tape

    def _given_out(self, activities: bool) -> tuple[str, ...]:
        return (*self._outputs, *self._activities) if activities else self._outputs

    def stream(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], weights: Array, *, weights_version: int
    ) -> tuple[Array, ...]:
        """The outputs of one step, then the states after it."""
        outputs, _ = self._run(Wanted("stream", False), inputs, indices, weights, weights_version, 0)
        return outputs

    def backward(
        self,
        tape: NativeTape,
        cotangents: Sequence[Array],
        weights: Array,
        *,
        weights_version: int,
        training: bool,
        key: int,
        input_gradients: bool,
        activities: bool = False,
    ) -> tuple[Array, dict[str, Array]]:
        """The weights' gradient, flat as `weights`, and the float inputs' (empty unless asked for)."""
        function = self._function(Wanted("backward", training, input_gradients, activities))
        gradient = np.zeros_like(weights)
        given = {(Kind.COTANGENT, name): array for name, array in zip(self._given_out(activities), cotangents, strict=True)}
        given[Kind.KEY, ""] = np.array([key], np.uint32)
        given[Kind.GRADIENT, ""] = gradient
        sizes = self._sizes(tape.inputs, tape.indices)
        outputs, _ = function.call(given, tape.indices, sizes, self._dtype, weights, weights_version, tape.residuals)
        return gradient, outputs

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The printed form of a stage."""
        return self._print_stage(stage, after)
