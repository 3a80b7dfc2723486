"""Where the buffers of a library's step are: in the caller's state, inputs and outputs, in the constants, on the stack."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.backend.llvm_cpu.weights_file import weights_pointers
from rnnspec.backend.protocol import LibraryExport, StepExport
from rnnspec.contract.native_function import STATE, Space
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.nodes import Buffer
from rnnspec.kernel.target import Target


def alignment(target: Target) -> int:
    """Bytes that vectors, and so constants and what lies on the stack, are aligned to."""
    return max(16, target.vector_bytes)


def step_pointers(export: LibraryExport) -> list[str]:
    """The parameters of all functions."""
    given = (f"%in.{number}" for number in range(len(export.inputs)))
    shown = (f"%out.{number}" for number in range(len(export.outputs)))
    return [*kept_pointers(export), *given, *shown]


def kept_pointers(export: LibraryExport) -> list[str]:
    """The parameters that are the same at each step."""
    return [*weights_pointers(export), "%state"]


def home_of(
    buffer: Buffer, export: LibraryExport, step: StepExport, stack: str, scratch: Mapping[str, int], constants: str
) -> tuple[str, int]:
    """The base and the place in bytes of a buffer."""
    _, _, name = buffer.name.partition(".")
    given, shown = [source.name for source in export.inputs], [output.name for output in export.outputs]
    match buffer.space:
        case Space.WEIGHT | Space.PREPARED:
            return constants, step.places[buffer.name]
        case Space.SCRATCH:
            return stack, scratch[buffer.name]
        case Space.INPUT if name in step.states:
            return "%state", step.states[name]
        case Space.INPUT:
            return f"%in.{given.index(name)}", 0
        case Space.OUTPUT if buffer.name.startswith(STATE):
            return stack, step.states[name]
        case Space.OUTPUT:
            return f"%out.{shown.index(name)}", 0
        case _:
            raise InternalError(f"a library's step reads or writes {buffer.name}: {buffer.space.value}")
