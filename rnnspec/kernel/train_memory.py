"""The memory of a training step that makes its packing indices itself: one workspace, as of a forward call, with tape and gradient."""

from __future__ import annotations

from collections.abc import Iterable

from rnnspec.contract.dimensions import Dim
from rnnspec.contract.native_function import Space
from rnnspec.contract.signature import Signature
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.forward_memory import Area, ForwardMemory, forward_memory
from rnnspec.kernel.nodes import Buffer, KernelFunction
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import ELEMENT_BYTES, Target

COUNTS = "counts"
"""The key of the area with the tokens and steps of each index, two int64, between a recorded call and backward; then the call's sizes."""


def gradient_memory(record: Kernels, backward: Kernels, signature: Signature, target: Target) -> ForwardMemory:
    """The memory of a recorded call of the model itself and of backward, in which what the first one leaves is the second one's."""
    functions = [record.prepare, record.function, backward.prepare, backward.function]
    areas = [prepared_area("record", record.prepare, target), prepared_area("backward", backward.prepare, target)]
    areas.append(Area((COUNTS,), 2 * (len(signature.indices) + len(record.function.distinct)) + 2 + len(signature.inputs), 8))
    tape = calling_convention(record.function).tape.slots
    return forward_memory(functions, signature, target, areas=areas, tape=tape)


def predict_memory(kernels: Kernels, signature: Signature, target: Target) -> ForwardMemory:
    """The memory of a forward call with weights that it prepares first."""
    areas = [prepared_area("predict", kernels.prepare, target)]
    return forward_memory([kernels.prepare, kernels.function], signature, target, areas=areas)


def train_memory(
    record: Kernels, backward: Kernels, signature: Signature, target: Target, *, weights: int, rows: Iterable[Dim], counted: Iterable[int]
) -> ForwardMemory:
    """The memory of a step. `weights`: how many numbers there are; `rows`: of each output with a loss; `counted`: their packing indices."""
    functions = [record.prepare, record.function, backward.prepare, backward.function]
    own = [*record.function.buffers, *backward.function.buffers]
    named = {buffer.name: buffer for buffer in own if _is_of_step(buffer)}
    numbers = ELEMENT_BYTES[record.function.dtype]
    areas = [prepared_area("record", record.prepare, target), prepared_area("backward", backward.prepare, target)]
    areas += [Area(("buffer", name), buffer.rows, buffer.width * ELEMENT_BYTES[buffer.dtype]) for name, buffer in named.items()]
    areas.append(Area(("gradient",), weights, numbers))
    rows = tuple(rows)
    areas += [Area(("counted", number), each, 1) for number, each in enumerate(rows)]
    areas += [Area(("losses", number), each, 8) for number, each in enumerate(rows)]
    tape = calling_convention(record.function).tape.slots
    return forward_memory(functions, signature, target, areas=areas, tape=tape, indices=counted)


def prepared_area(name: str, prepare: KernelFunction, target: Target) -> Area:
    """The area of what is prepared of weights."""
    slots = calling_convention(prepare).prepared.slots
    align, gap = target.slot_alignment, target.slot_gap
    total = 0
    for slot in slots:
        assert isinstance(slot.rows, int)  # of weights
        total += -(-max(slot.rows, 1) * slot.row_bytes // align) * align + gap
    return Area(("prepared", name), 1, max(total, 1))


def _is_of_step(buffer: Buffer) -> bool:
    """Whether a buffer that is passed by itself is neither an input of the model nor an index."""
    match buffer.space:
        case Space.OUTPUT | Space.COTANGENT:
            return True
        case Space.INPUT:
            return buffer.name.startswith("input.target/")
        case _:
            return False
