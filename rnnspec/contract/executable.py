"""Protocols of a model's native code: the driver implements them, the model calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.objective import Objective, RowEquations
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import Clock, Config, StateSignature
from rnnspec.contract.thread_count import ThreadCount
from rnnspec.frozen import frozen

Array = NDArray[Any]


def each_output(given: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    """What a model's call gives, the output or a tuple of several, as a tuple."""
    return given if isinstance(given, tuple) else (given,)


NO_TARGETS: Mapping[str, Array] = MappingProxyType({})


class CallRequest(NamedTuple):
    """One call of a model's native code; a named tuple, which is made in a third of a frozen dataclass's time.

    Everything is checked already: `inputs` by name, contiguous, of the model's dtype (ids int32), shapes as in the signature with the
    batch in front, ids in range; `indices` those of the signature. `weights`: one flat array, the signature's weights one after the
    other, and `version` their number. `key`: what dropout draws from. `activities`: whether the signature's activities follow the
    outputs. `objective`: if there is one, its results stand in the place of the outputs, and `targets` are theirs by the outputs' names,
    of the model's dtype, padded as the inputs are, in the order of the inputs' steps.
    """

    inputs: Mapping[str, Array]
    indices: Sequence[PackedIndex]
    weights: Array
    version: int
    training: bool = False
    key: int = 0
    activities: bool = False
    objective: Objective = ()
    targets: Mapping[str, Array] = NO_TARGETS
    carrying: bool = False
    """Whether all states of the signature's stream are carried, instead of the stateful layers' alone."""
    checkpoint: int = 0
    """The steps after which a recorded call keeps states for backward, which computes again what lies between; 0: all is kept."""
    frozen: tuple[str, ...] = ()
    """The weights without a gradient, and then backward gives none of inputs either; moving statistics among them stay as they are."""


@frozen
class NativeTape:
    """The residuals of one recorded forward call, with what its backward call takes from the request but for the weights.

    Owned by the caller, its memory used again when the tape is gone. `lent`: whose memory `residuals` is, if anyone is to know when it
    isn't needed any more.
    """

    residuals: Array
    inputs: Mapping[str, Array]
    indices: tuple[PackedIndex, ...]
    training: bool
    key: int
    activities: bool
    objective: Objective = ()
    lent: object = None
    carrying: bool = False
    checkpoint: int = 0
    frozen: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: CallRequest, residuals: Array, indices: Sequence[PackedIndex], lent: object = None) -> NativeTape:
        """The tape of a request; `indices`: the request's, and those that the recorded call has made besides."""
        asked = request.training, request.key, request.activities, request.objective
        return cls(residuals, request.inputs, tuple(indices), *asked, lent, request.carrying, request.checkpoint, request.frozen)


Self = TypeVar("Self")


class Number(Protocol):
    """The arithmetic of an optimizer's formula: `+ - * /` and a few functions."""

    def __add__(self: Self, other: Self, /) -> Self: ...
    def __sub__(self: Self, other: Self, /) -> Self: ...
    def __mul__(self: Self, other: Self, /) -> Self: ...
    def __truediv__(self: Self, other: Self, /) -> Self: ...
    def sqrt(self: Self) -> Self:
        """Elementwise, rounded as IEEE 754 has it."""
        ...

    def maximum(self: Self, other: Self, /) -> Self:
        """Elementwise; NaN where either side is NaN."""
        ...

    def minimum(self: Self, other: Self, /) -> Self:
        """Elementwise; NaN where either side is NaN."""
        ...

    def absolute(self: Self) -> Self:
        """Elementwise."""
        ...

    def sign(self: Self) -> Self:
        """Elementwise, 1, -1, 0 of both zeros, or NaN."""
        ...

    def power(self: Self, exponent: Self, /) -> Self:
        """Elementwise, of numbers from 0; not in native code, whose bits would be others than numpy's."""
        ...


Num = TypeVar("Num", bound=Number)


class Formula(Protocol):
    """The update rule of an optimizer."""

    def __call__(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """The new weight, followed by the new states, of a step: all elementwise, of one shape."""
        ...


NativeUpdate: TypeAlias = Callable[[Sequence[int], Sequence[int]], None]
"""Takes addresses and dims as `backend.llvm_cpu.updates.emit_update` describes."""

UpdateCompiler: TypeAlias = Callable[[Formula, int, int], NativeUpdate]
"""The native update of a formula with so many states and constants."""


NOTHING_DUE = object()
"""The result of a fast path whose only output has no value in a step of a stream."""

FastPath: TypeAlias = Callable[..., Any]
"""From x, or from x, a mask and lengths, to newly allocated outputs; None for arguments that aren't of the call's shapes, or wrong.

x: an array, or for several inputs a list or a mapping of them. Ids of one axis may be in a list. A mask and lengths may be None.
"""


FREE, HINDERED = 0, 1
"""The values of `StateBank.guard`."""


class StateBank:
    """The states of so many samples, by name, (batch, width): two sets that change places at each call, one read and one written.

    `turn`: one number, the set that the next call reads. `guard`: one number, `FREE` while direct calls may go on with the states.
    """

    def __init__(self, states: Sequence[StateSignature], samples: int, dtype: np.dtype[np.generic]) -> None:
        self.samples = samples
        self.sets = tuple({state.name: np.zeros((samples, state.width), dtype) for state in states} for _ in range(2))
        self.turn = np.zeros(1, np.int64)
        self.guard = np.full(1, HINDERED, np.int64)

    @property
    def states(self) -> Mapping[str, Array]:
        """The states after the last call, which the next one reads; writable."""
        return self.sets[int(self.turn[0])]

    def write(self, states: Mapping[str, Array]) -> None:
        """Takes the numbers of others."""
        for name, value in self.states.items():
            value[...] = states[name]


class PreparedCall(Protocol):
    """A native call with memory of its own: a stream's step, or one shape's inference. All but `fast_path` is for one thread at a time."""

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The arrays that a step reads, by name, to be written before it; a sequence of a stream has a time of one."""
        ...

    @property
    def outputs(self) -> Mapping[str, Array]:
        """The arrays that each step writes, always the same."""
        ...

    @property
    def states(self) -> Mapping[str, Array]:
        """The states after the last step, which the next one reads; writable."""
        ...

    def set_weights(self, weights: Array, version: int) -> None:
        """Prepares the flat weights as they are now, for the steps from now on."""
        ...

    def reset(self, rows: NDArray[np.integer]) -> None:
        """Sets the states of some rows to zeros, and has what they show begin anew."""
        ...

    def take(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex]) -> None:
        """Takes checked inputs, and the packing indices that belong to them, for the next step, which then must be made.

        The indices of steps that fall due only now and then are the call's own to make.
        """
        ...

    def run(self) -> None:
        """One step."""
        ...

    def due(self, clock: Clock) -> Array:
        """The rows that have a value by a stream's clock in the last step, bool (batch, 1)."""
        ...

    def fast_path(self, shown: Sequence[Array], version: Array, *, clocks: Sequence[Clock] = (), stay: bool = False) -> FastPath:
        """A function that makes the step and returns copies of `shown`, views of `outputs`.

        `clocks`: of a stream, those of the outputs, which have NaN in rows that aren't due and are None where no row is, an only one
        `NOTHING_DUE`. `stay`: inputs that are no sequences aren't arguments, but what `inputs` has.
        It returns None while another thread is in it, and once `version`, an array of one number, differs from the version of its weights.
        """
        ...


Family: TypeAlias = Literal["loss", "metric"]


class Scores(Protocol):
    """The losses and metrics of a model's spec, and those of the library."""

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """A loss or a metric of the spec or of the library, its arguments filled in, for predictions of a width.

        `classes`: whether a metric's targets are class numbers, which the one behind `accuracy` depends on. A name is the spec's own, or
        one of the library in any spelling.

        UnknownEquations for an unknown name, ValueError for arguments that don't fit, and for equations that don't fit the width.
        """
        ...

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """The value of a metric that is computed of totals, which are float64."""
        ...


class Executable(Scores, Protocol):
    """Native forward and backward of one model, reentrant."""

    @property
    def threads(self) -> ThreadCount:
        """The threads that calls may use; can be changed at any time."""
        ...

    def forward(self, request: CallRequest) -> tuple[Array, ...]:
        """The padded outputs, newly allocated; then, in training, the updated weights' new values; of a stateful model, the states.

        A stateful model's request has the states before among its `inputs`.
        """
        ...

    def record(self, request: CallRequest) -> tuple[tuple[Array, ...], NativeTape]:
        """As `forward`, and the tape for `backward`."""
        ...

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
        """The weights' gradient, flat as `weights`, and the float inputs' (empty unless asked for).

        `cotangents`: of the outputs, or of the objective's results, and of the activities if they were asked for. `weights` with their
        `version`: those that the call
        was recorded with. `gradient`: zeros, to be filled and returned instead of a new array.
        """
        ...

    def apart(self) -> Executable:
        """The same code with states of its own, from zeros; without states that calls carry over, this executable itself."""
        ...

    def carrying(self) -> Executable:
        """The same code for one sequence after the other in parts: calls carry over the states of all layers.

        States that this executable carries over go on from here, all others begin with zeros. Only for a model that can stream.
        """
        ...

    def go_on_from(self, other: Executable) -> None:
        """Takes over the states of one that `carrying` gave; without states that calls carry over, nothing."""
        ...

    @property
    def began_with(self) -> Mapping[str, Array]:
        """The states that the last `record` began with; empty for zeros, and without states that calls carry over."""
        ...

    def undo(self) -> None:
        """Goes back to the states that the last `record` began with; without states that calls carry over, nothing."""
        ...

    def check_samples(self, samples: int, batch_size: int) -> None:
        """ValueError if calls that carry states over couldn't take so many samples in batches of that size, one after the other."""
        ...

    def prepare_step(self, inputs: Mapping[str, Array], states: Mapping[str, Array], indices: Sequence[PackedIndex]) -> PreparedCall:
        """The step of one stream; `inputs` and `states`: for their shapes and dtypes, sequences with a time of one."""
        ...

    def prepare_call(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool, bank: StateBank | None = None
    ) -> PreparedCall | None:
        """Inference on inputs of these shapes; None for a large model, which has no fast path.

        `packs`: whether masks, lengths or values that a layer masks may leave out steps. `bank`: a stateful model's states, which the
        executable that carries them gives.
        """
        ...

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The printed form of a stage."""
        ...
