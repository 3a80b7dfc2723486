"""Protocols of a model's native code: the driver implements them, the model calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from numpy.typing import NDArray

from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.thread_count import ThreadCount

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class NativeTape:
    """The tape of a recorded forward call, for its backward call: residuals, inputs and packing indices.

    `lent`: the owner of the memory of `residuals`, which reuses it when the tape is gone; None if nobody does.
    """

    residuals: Array
    inputs: Mapping[str, Array]
    indices: tuple[PackedIndex, ...]
    lent: object = None


Self = TypeVar("Self")


class Number(Protocol):
    """The arithmetic of an optimizer's formula: `+ - * /` and the square root."""

    def __add__(self: Self, other: Self, /) -> Self: ...
    def __sub__(self: Self, other: Self, /) -> Self: ...
    def __mul__(self: Self, other: Self, /) -> Self: ...
    def __truediv__(self: Self, other: Self, /) -> Self: ...
    def sqrt(self: Self) -> Self:
        """The square root, elementwise."""
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


Direct: TypeAlias = Callable[[object], Any]
"""Takes one array as the model takes it; gives the outputs, newly allocated, or None where it doesn't fit as it is."""


class Stepper(Protocol):
    """A native call with memory of its own, of a stream's step or of inference; not for several threads at once, but for `direct`."""

    @property
    def inputs(self) -> Mapping[str, Array]:
        """To be written before each step, with a time of one where they are sequences."""
        ...

    @property
    def outputs(self) -> Mapping[str, Array]:
        """Written by each step, in the same arrays."""
        ...

    @property
    def states(self) -> Mapping[str, Array]:
        """As the last step left them; what is written to them the next one starts from."""
        ...

    def set_weights(self, weights: Array, version: int) -> None:
        """Take these from now on, flat, as they are now."""
        ...

    def run(self) -> None:
        """One step."""
        ...

    def direct(self, shape: Sequence[int], shown: Sequence[Array], version: Array) -> Direct:
        """The same on an array of this shape, with copies of `shown`, which are `outputs` or a part of each.

        It gives None, too, while another thread calls it and once `version`, an array of one number, isn't that of the weights it
        was made with.
        """
        ...


class Executable(Protocol):
    """Native forward and backward of one model, reentrant.

    Everything is already checked: contiguous, of the model's dtype (ids int32), shapes as in the
    signature with the batch in front, ids in range, `indices` those of the signature. `weights`: one flat
    array, the signature's weights one after the other. `key`: what dropout draws from. `activities`: the
    signature's activities follow the outputs, and have cotangents in `backward`, if `record` was asked for them.
    """

    @property
    def threads(self) -> ThreadCount:
        """What calls may use, to be changed at any time."""
        ...

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
        """The outputs, padded, newly allocated; in training the updated weights' new values; of a stateful model, the states.

        `inputs` with the states before.
        """
        ...

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
        ...

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
        gradient: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The weights' gradient, flat as `weights`, and the float inputs' (empty unless asked for).

        `gradient`: zeros, to be filled and returned instead of a new array.
        """
        ...

    def stream(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], weights: Array, *, weights_version: int
    ) -> tuple[Array, ...]:
        """The outputs of one step, then the states after it; `inputs` with the states before it."""
        ...

    def stepper(self, inputs: Mapping[str, Array], states: Mapping[str, Array], indices: Sequence[PackedIndex]) -> Stepper:
        """The steps of one stream in which no step is masked: arrays as `stream` takes them."""
        ...

    def repeater(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex]) -> Stepper | None:
        """`forward` on inputs of these shapes, in inference; None where it wouldn't be a direct call: of a large or a stateful model."""
        ...

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The printed form of a stage."""
        ...
