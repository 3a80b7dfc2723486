"""A model's native functions, each compiled and loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array, CallRequest, Executable, Family, NativeTape, Scores, StateBank
from rnnspec.contract.native_function import STATE, NativeFunction
from rnnspec.contract.objective import Objective, RowEquations, target_name
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import Config, Signature
from rnnspec.contract.thread_count import ThreadCount, default_threads
from rnnspec.contract.tuning import DEFAULT_TUNING, Tuning
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.locks import new_lock, renewed_after_fork
from rnnspec.runtime.native.fast_call import FastPaths, PythonCall, fast_paths_are_possible, is_small
from rnnspec.runtime.native.jit import Jit
from rnnspec.runtime.native.loaded_function import MOST_SCRATCH, NO_BYTES, BufferPool, LoadedFunction, PooledBuffer
from rnnspec.runtime.native.memory import aligned_bytes, call_sizes, with_distinct
from rnnspec.runtime.native.prepared_call import NativePreparedCall, most_sizes
from rnnspec.runtime.native.stateful import StatefulExecutable


@frozen
class Variant:
    """Which native function is needed: "forward", "record", "backward" or "stream".

    `training`: with dropout. `input_gradients`: whether backward gives those of the inputs. `activities`:
    with what activity regularizers look at. `shared`: with an entry point for several threads. `objective`: in the place of the outputs.
    `carrying`: with the states of all layers carried over calls. `checkpoint`: the steps after which states are kept for backward, which
    computes again what lies between; 0 to keep all of it. `frozen`: the weights that backward gives no gradient of; but for
    moving statistics, which have none, it gives none of inputs either then. `storage`: of inference, how matrices are kept.
    """

    name: str
    training: bool
    input_gradients: bool = True
    activities: bool = False
    shared: bool = False
    objective: Objective = ()
    carrying: bool = False
    checkpoint: int = 0
    frozen: tuple[str, ...] = ()
    storage: WeightStorage = WeightStorage.FULL

    @property
    def infers(self) -> bool:
        """Whether it computes outputs, and nothing of a training."""
        return self.name in ("forward", "stream") and not self.training


class NativeExecutable:
    """The native functions of one model, each compiled and loaded when it is first needed.

    `build` makes a function, `print_stage` prints a stage of the compiler, `build_python_call` the builtin behind fast paths: without it
    there are none. `scores` knows losses and metrics. `storage`: how inference keeps matrices. Implements `contract.executable.Executable`.
    """

    def __init__(
        self,
        signature: Signature,
        build: Callable[[Variant], NativeFunction],
        print_stage: Callable[[str, str | None], str],
        build_python_call: Callable[[], PythonCall] | None = None,
        tuning: Tuning = DEFAULT_TUNING,
        scores: Scores | None = None,
        storage: WeightStorage = WeightStorage.FULL,
    ) -> None:
        self._dtype = np.dtype(signature.dtype)
        self._outputs = tuple(output.name for output in signature.outputs)
        self._updates = signature.updates
        self._activities = tuple(activity.name for activity in signature.activities)
        self._signature = signature
        self._states = tuple(f"{STATE}{state.name}" for state in signature.states)
        self._streamed = tuple(f"{STATE}{state.name}" for state in signature.stream.states)
        lengths = ((source.name, source.shape[0]) for source in signature.inputs if source.is_sequence)
        self._times = {name: length for name, length in lengths if isinstance(length, Size)}
        self._build = build
        self._print_stage = print_stage
        self._scores = scores
        self._storage = storage
        self._functions: dict[tuple[Variant, bool], LoadedFunction] = {}
        self._scratch = BufferPool(MOST_SCRATCH)
        self._tapes = BufferPool(2)
        self._shared_scratch = NO_BYTES
        self._jit: Jit | None = None
        self._fast_paths: FastPaths | None = None
        if build_python_call is not None and fast_paths_are_possible():
            self._fast_paths = FastPaths(build_python_call, self._loader)
        self._threads = ThreadCount(default_threads(), tuning)
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """New locks in a forked child, whose parent's other threads may have held the old ones."""
        self._lock = new_lock()

    @property
    def threads(self) -> ThreadCount:
        """The threads that calls may use."""
        return self._threads

    @property
    def functions(self) -> Mapping[Variant, LoadedFunction]:
        """The loaded functions so far, by variant."""
        return {wanted: function for (wanted, _), function in self._functions.items()}

    def _function(self, wanted: Variant) -> LoadedFunction:
        """One with an entry point for several threads once there may be several; it does for one as well."""
        if wanted.activities and not self._activities:
            wanted = replace(wanted, activities=False)
        if wanted.infers:
            wanted = replace(wanted, storage=self._storage)
        shared = self._threads.number > 1 and wanted.name != "stream"
        with self._lock:
            found = self._functions.get((wanted, True)) or (None if shared else self._functions.get((wanted, False)))
            if found is None:
                function, loaded = self._loader().load_built(partial(self._build, replace(wanted, shared=shared)))
                found = self._functions[wanted, shared] = LoadedFunction(function, loaded, self._scratch, self._tapes, self._threads)
            return found

    def _loader(self) -> Jit:
        self._jit = self._jit or Jit()
        return self._jit

    def forward(self, request: CallRequest) -> tuple[Array, ...]:
        """The outputs, padded, newly allocated; then updates and states."""
        wanted = _asked("forward", request)
        outputs, _ = self._run(wanted, request, request.indices)
        return outputs

    def record(self, request: CallRequest) -> tuple[tuple[Array, ...], NativeTape]:
        """As `forward`, and the tape for `backward`."""
        wanted = _asked("record", request)
        known = with_distinct(request.indices, self._function(wanted).function.distinct, request.inputs)
        outputs, tape = self._run(wanted, request, known)
        return outputs, NativeTape.of(request, NO_BYTES if tape is None else tape.bytes, known, tape)

    def _lengths(self, inputs: Mapping[str, Array]) -> tuple[int, dict[Size, int]]:
        """The batch, and the padded lengths by their names."""
        return next(iter(inputs.values())).shape[0], {time: inputs[name].shape[1] for name, time in self._times.items()}

    def _run(self, wanted: Variant, request: CallRequest, indices: Sequence[PackedIndex]) -> tuple[tuple[Array, ...], PooledBuffer | None]:
        """Runs a variant on a request; `indices`: the request's, and further ones that only this variant needs."""
        inputs = request.inputs
        given = {("input", name): array for name, array in inputs.items()}
        given["key", ""] = np.array([request.key], np.uint32)
        for name, target in request.targets.items():
            given["input", target_name(name)] = target
        function = self._function(wanted)
        outputs, tape = function.call(given, indices, *self._lengths(inputs), self._dtype, request.weights, request.version)
        updates = [name for name in self._updates if name not in wanted.frozen] if wanted.training else ()
        states = self._streamed if wanted.carrying else self._states
        return tuple(outputs[name] for name in (*self._given_out(wanted.activities, wanted.objective), *updates, *states)), tape

    def _given_out(self, activities: bool, objective: Objective) -> tuple[str, ...]:
        outputs = tuple(name for each in objective for name in each.results) if objective else self._outputs
        return (*outputs, *self._activities) if activities else outputs

    def apart(self) -> NativeExecutable:
        """This executable: no state is carried over."""
        return self

    def carrying(self) -> StatefulExecutable:
        """The same code with the states of all layers carried over calls, from zeros."""
        return StatefulExecutable(self, self._signature.stream.states, self._signature.dtype, carrying=True)

    def go_on_from(self, other: Executable) -> None:
        """Nothing: no state is carried over."""

    @property
    def began_with(self) -> Mapping[str, Array]:
        """Nothing: no state is carried over."""
        return {}

    def undo(self) -> None:
        """Nothing: no state is carried over."""

    def check_samples(self, samples: int, batch_size: int) -> None:
        """Nothing: calls take any number of samples."""

    def prepare_step(self, inputs: Mapping[str, Array], states: Mapping[str, Array], indices: Sequence[PackedIndex]) -> NativePreparedCall:
        """One step's call with memory of its own."""
        bound, (_, times), signature = self._function(Variant("stream", False)), self._lengths(inputs), self._signature.of_step
        packs, clocks = signature.masks_values, signature.stream.clocks
        return NativePreparedCall(bound, signature, indices, times, inputs, states, self._fast_paths, packs=packs, clocks=clocks)

    def prepare_call(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool, bank: StateBank | None = None
    ) -> NativePreparedCall | None:
        """Inference on one shape, with memory of its own but for carried states; None where it has no fast path."""
        bound, (batch, times) = self._function(Variant("forward", False)), self._lengths(inputs)
        sizes = most_sizes(self._signature, call_sizes(batch, times, indices), indices)
        if (self._states and bank is None) or self._fast_paths is None or not is_small(bound.function, sizes, self._threads.tuning):
            return None
        return NativePreparedCall(
            bound, self._signature, indices, times, inputs, None, self._fast_paths, packs=packs, scratch=self._direct_scratch, bank=bank
        )

    def _direct_scratch(self, size: int) -> Array:
        """Memory for a direct call, which holds Python's lock: one is under way at a time."""
        if len(self._shared_scratch) < size:
            self._shared_scratch = aligned_bytes(size)
        return self._shared_scratch

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
        """The weights' gradient, flat as `weights`, and the float inputs' (empty unless asked for)."""
        function = self._function(replace(_asked("backward", tape), input_gradients=input_gradients))
        gradient = np.zeros_like(weights) if gradient is None else gradient
        given = {
            ("cotangent", name): array for name, array in zip(self._given_out(tape.activities, tape.objective), cotangents, strict=True)
        }
        given["key", ""] = np.array([tape.key], np.uint32)
        given["gradient", ""] = gradient
        batch, times = self._lengths(tape.inputs)
        outputs, _ = function.call(given, tape.indices, batch, times, self._dtype, weights, version, tape.residuals)
        return gradient, outputs

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """A loss or a metric, see `contract.executable.Executable`."""
        return self._known_scores().equations(family, config, width, classes=classes)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """The value of a metric that is computed of totals."""
        return self._known_scores().result(metric, width, totals)

    def _known_scores(self) -> Scores:
        if self._scores is None:
            raise InternalError("this executable knows no losses")
        return self._scores

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The printed form of a stage."""
        return self._print_stage(stage, after)


def _asked(name: str, given: CallRequest | NativeTape) -> Variant:
    """The variant of a function that a call asks for."""
    checkpoint = 0 if name == "forward" else given.checkpoint
    asked = given.activities, False, given.objective, given.carrying, checkpoint, given.frozen
    return Variant(name, given.training, True, *asked)
