"""The protocol of a back end: kernels of a function, their text, object code, and the native helpers of the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from rnnspec.contract.dimensions import Dim, Size
from rnnspec.contract.executable import Formula
from rnnspec.contract.objective import TargetKind
from rnnspec.contract.signature import Clock, Signature
from rnnspec.contract.update_rule import UpdateRule
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function
from rnnspec.kernel.forward_memory import ForwardMemory
from rnnspec.kernel.nodes import NO_ALIASES, Buffer, BufferAliases
from rnnspec.kernel.pipeline import KernelPipeline, Kernels
from rnnspec.kernel.target import Target


@frozen
class Emitted:
    """The text of a module. `symbols`: the functions that it exports; `imports`: the functions that it calls in other modules."""

    text: str
    symbols: tuple[str, ...]
    imports: tuple[str, ...] = ()


@frozen
class LibraryRow:
    """An input or an output of a library's functions, by its name in the model, and the numbers of one row of it.

    `vocabulary`: of ids, which are int32 from 0 to below it. `sequence`: whether a whole batch has steps of an input, and may have lengths
    and a mask.
    """

    name: str
    width: int
    vocabulary: int | None = None
    sequence: bool = False


@frozen
class HeldPlaces:
    """An output that repeats at masked steps what its last real one showed, by its name in the model.

    `index`: the number of its packing index. `shown`, `started`: places in bytes in the structure of states, of what was shown last, and
    of a number that is 1 from the first real step on.
    """

    output: str
    index: int
    shown: int
    started: int


@frozen
class StepExport:
    """A step of one sequence as functions of a library.

    `int32 <prefix>_step(state, inputs..., outputs...)` and `int32 <prefix>_steps(the same, size)`, for so many steps one after the other;
    they give `OK`, or `BAD_ID` for an id out of range, before anything is changed. `states`: each state's place in bytes in the structure
    that `state` points to, whose first `state_bytes` they take. Behind them lie what `held` outputs repeat, and by clock, in `clocks`, the
    number of its steps so far. `places`: each buffer's place in the library's constants. `signature`: of a step, with the packing indices
    that it makes, and the clocks; an output that isn't due is NaN. The kernels have numbers for all sizes but tokens and steps, see
    `kernel.fixed_sizes`.
    """

    kernels: Kernels
    states: Mapping[str, int]
    state_bytes: int
    places: Mapping[str, int]
    signature: Signature
    held: tuple[HeldPlaces, ...] = ()
    clocks: Mapping[Clock, int] = field(default_factory=dict[Clock, int])


@frozen
class ForwardExport:
    """A batch of whole sequences as functions of a library.

    `int32 <prefix>_forward(batch, lengths..., inputs..., outputs..., workspace, bytes)`: sizes, of the batch and of each length that the
    model has a name for; for each input its address, and for a sequence two more, which may be null: of int32 lengths (batch,) and of
    bytes (batch, time) that are 0 where a step is masked. It makes the packing indices itself and gives `OK`, or before it writes any
    output one of the other codes. `<prefix>_forward_bytes(batch, lengths...)`: the bytes of the workspace, all ones for impossible sizes.
    `signature`: has the indices and the lengths; `memory`: the workspace. `places`: each buffer's place in the library's constants.
    """

    kernels: Kernels
    signature: Signature
    memory: ForwardMemory
    places: Mapping[str, int]

    @property
    def lengths(self) -> tuple[Size, ...]:
        """The lengths of sequences that calls may choose, each once."""
        return tuple(dict.fromkeys(each.shape[0] for each in self.signature.inputs if each.is_sequence and isinstance(each.shape[0], Size)))


@frozen
class TrainedOutput:
    """An output with a loss in a training step.

    `place`: among the library's outputs. `target`, `loss`, `cotangent`: the kernels' buffers. `width`: of a target's row; `kind`: what
    its numbers must be, of class numbers below `classes`; `unlabelled`: of a row that doesn't count. `index`: the packing index of a
    sequence, which has `time` steps, reversed if `flip`. `of_sequences`: the loss has one number for each sample. `weight`: in the sum.
    """

    place: int
    target: Buffer
    loss: Buffer
    cotangent: Buffer
    width: int
    kind: TargetKind
    classes: int
    unlabelled: int | None
    index: int | None
    time: Dim | None
    flip: bool
    of_sequences: bool
    weight: float


@frozen
class GradientExport:
    """The gradient of whatever the caller makes of a model's outputs, as functions of a library.

    `int32 <prefix>_record(weights, int32 key, the batch and lengths, inputs as of a forward call, outputs, workspace, bytes)` is a call
    in training; `int32 <prefix>_backward(weights, the batch and lengths, cotangents of all outputs, gradient, the gradients of `inputs`,
    workspace, bytes)` goes back in the same workspace. `int32 <prefix>_update(weights, optimizer, double learning rate, gradient)` makes
    an update, and uses the gradient up. `<prefix>_gradient_bytes`: of the workspace.
    """

    record: ForwardExport
    backward: Kernels
    inputs: tuple[int, ...]


@frozen
class TrainExport:
    """Training as functions of a library.

    `int32 <prefix>_train_step(weights, optimizer, double learning rate, int32 key, the batch and lengths, inputs as of a forward call, a
    target for each of `outputs`, double *loss, workspace, bytes)` makes an update; `<prefix>_predict(weights, the same without what is of
    training..., outputs, workspace, bytes)` is a forward call with these weights. Both give a code, and nothing is changed but with `OK`.
    `<prefix>_train_bytes`, `<prefix>_predict_bytes`: of their workspaces. `<prefix>_initial_weights(weights)` copies the `weights` floats
    from place `initial` of the constants; `<prefix>_begin(optimizer)` begins the optimizer's state: an int64 count and the slots of `rule`.
    `updated`: the buffers with new values of weights, and their first places.
    """

    predict: ForwardExport
    record: ForwardExport
    backward: Kernels
    outputs: tuple[TrainedOutput, ...]
    updated: tuple[tuple[Buffer, int], ...]
    weights: int
    initial: int
    rule: UpdateRule
    gradient: GradientExport | None = None


@frozen
class LibraryExport:
    """Functions of a library whose names begin with `prefix`, of one target.

    `constants`: all that they read of the weights and of what is prepared of them. `inputs`, `outputs`: the model's, in its order.
    `file`: None if the constants are in the library. Else they are in a file, behind the header with these `WEIGHTS_HEADER` bytes: each
    function but for `<prefix>_forward_bytes` takes the address of the file's content, a multiple of `WEIGHTS_ALIGNMENT`, before all else;
    `int32 <prefix>_check_weights(address, size)` gives `OK`, or `BAD_WEIGHTS` for a wrong address, size or header.
    """

    prefix: str
    inputs: tuple[LibraryRow, ...]
    outputs: tuple[LibraryRow, ...]
    constants: bytes
    step: StepExport | None = None
    forward: ForwardExport | None = None
    file: bytes | None = None
    train: TrainExport | None = None


WEIGHTS_HEADER = WEIGHTS_ALIGNMENT = 64
"""The bytes of a weights' file before the constants, and what its address in memory is a multiple of."""

OK, WORKSPACE_TOO_SMALL, BAD_SIZE, BAD_LENGTH, BAD_ID, BAD_WEIGHTS, BAD_TARGET, BAD_RATE, NOT_FINITE = range(9)
"""What functions of a library give."""


class Backend(Protocol):
    """A back end: from functions of the tensor IR to object code for one kind of machine. Stateless: equal arguments, equal results."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """The machines that it generates code for, by name."""
        ...

    @property
    def pipelines(self) -> Mapping[str, KernelPipeline]:
        """The passes over kernels, by the compiler's stage: "kernel" of inference, "kernel.backward" of training."""
        ...

    @property
    def texts(self) -> tuple[str, ...]:
        """The stages behind the kernels, as `show` takes them."""
        ...

    def host_target(self) -> Target:
        """This machine; ValueError if it is none of the targets."""
        ...

    def of_triple(self, target: Target) -> Target:
        """A target with what its triple says: architecture, kind of objects, bits of an address; ValueError for a triple without code."""
        ...

    def schedule(
        self,
        function: Function,
        target: Target,
        offsets: Mapping[str, int],
        stage: str,
        *,
        reader: Function | None = None,
        aliases: BufferAliases = NO_ALIASES,
        storage: WeightStorage = WeightStorage.FULL,
        after: str | None = None,
    ) -> Kernels:
        """The kernels of a function, after all passes of a stage, or after one of them, or before the first one (`SCHEDULE`).

        `offsets`, `reader`, `aliases`, `storage`: see `kernel.schedule.schedule`.
        """
        ...

    def emit(self, kernels: Kernels, *, timed: bool = False, shared: bool = True) -> Emitted:
        """The text of kernels: functions named `symbol` of each, and `shared_symbol`.

        `timed`: each takes one pointer more, to a clock for each loop nest. `shared`: with entry points for several threads, too;
        timed ones have none.
        """
        ...

    def symbol(self, name: str) -> str:
        """The exported name of a kernel function."""
        ...

    def shared_symbol(self, name: str) -> str:
        """The exported name of its entry point for several threads."""
        ...

    def assemble(self, text: str, target: Target) -> bytes:
        """The object code of a text; InternalError if the text is wrong."""
        ...

    def stack_bytes(self, text: str, target: Target, roots: Sequence[str]) -> int:
        """The most that the deepest chain of calls from the functions `roots` of a text takes, without what those of others take."""
        ...

    def code_bytes(self, object_code: bytes) -> int:
        """The bytes of instructions in object code of any target."""
        ...

    def identity(self, target: Target) -> tuple[str, ...]:
        """The facts that object code depends on beside the text: the compilers and their settings, for cache keys."""
        ...

    def show(self, stage: str, kernels: Kernels) -> str:
        """The printed form of one of `texts`."""
        ...

    def emit_update(self, formula: Formula, states: int, constants: int, dtype: str, target: Target) -> Emitted:
        """The update of a table's rows by an optimizer's formula, see `contract.executable.NativeUpdate`."""
        ...

    def emit_sequence_loss(self, name: str, dtype: str, target: Target) -> Emitted:
        """The loss of that name over whole sequences, see `contract.sequence_loss.NativeLoss`; InternalError if there is none."""
        ...

    def emit_library(self, export: LibraryExport, target: Target) -> Emitted:
        """The text of a library, see `LibraryExport`."""
        ...

    def emit_dispatch(self, export: LibraryExport, levels: Mapping[int, str], target: Target) -> Emitted:
        """The text of a library's functions that choose among those of several levels of x86-64, by what the processor has.

        `levels`: how the names of each level's functions begin.
        """
        ...

    def emit_python_call(self, target: Target) -> Emitted:
        """A builtin function of CPython's for direct calls, see `contract.native_structs.CallRecord`."""
        ...


SCHEDULE = "schedule"
"""The name, for `after`, of the kernels before the first pass."""
