"""The workspace of a library's forward call, and what the functions of the call pass on to each other."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.size_values import SizeValues
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.protocol import ForwardExport, LibraryExport
from rnnspec.contract.dimensions import BATCH, Size
from rnnspec.kernel.forward_memory import ForwardMemory
from rnnspec.kernel.target import Target


def take_name(export: LibraryExport) -> str:
    """The name of the function that checks and takes the inputs."""
    return f"{export.prefix}.forward.take"


def pointers_of(export: LibraryExport) -> list[str]:
    """The pointers that a call gets: of each input its address, lengths and mask, of each output its address."""
    pointers: list[str] = []
    for number, each in enumerate(export.inputs):
        pointers += [f"%in.{number}", *((f"%lengths.{number}", f"%mask.{number}") if each.sequence else ())]
    return [*pointers, *(f"%out.{number}" for number in range(len(export.outputs)))]


def size_parameters(forward: ForwardExport) -> list[str]:
    """The parameters of the batch and the lengths, as i64."""
    return ["i64 %batch", *(f"i64 %length.{number}" for number in range(len(forward.lengths)))]


def parameters_of(export: LibraryExport, forward: ForwardExport) -> list[str]:
    """The parameters of the call's inner functions, before the address of the workspace."""
    return [*(f"ptr {pointer}" for pointer in pointers_of(export)), *size_parameters(forward)]


def sizes_given(writer: FunctionWriter, forward: ForwardExport) -> SizeValues:
    """The sizes that a call gets."""
    known: dict[Size, str] = {BATCH: "%batch"}
    known |= {length: f"%length.{number}" for number, length in enumerate(forward.lengths)}
    return SizeValues(writer, known)


class Workspace:
    """The addresses of all areas behind `%base`, one after the other, and of the scratch memory behind them."""

    def __init__(self, writer: FunctionWriter, sizes: SizeValues, memory: ForwardMemory, target: Target) -> None:
        self._places: dict[tuple[object, ...], str] = {}
        align, gap = target.slot_alignment, target.slot_gap
        offset = "0"
        for area in memory.areas:
            self._places[area.key] = writer.assign(f"getelementptr inbounds i8, ptr %base, i64 {offset}", "area")
            bytes_ = writer.add(writer.multiply(sizes.of(area.rows), area.row_bytes), align - 1)
            offset = writer.add(offset, writer.add(writer.assign(f"and i64 {bytes_}, {-align}"), gap))
        self.scratch = writer.assign(f"getelementptr inbounds i8, ptr %base, i64 {offset}", "scratch")

    def of(self, *key: object) -> str:
        """The address of an area."""
        return self._places[key]

    def find(self, *key: object) -> str | int:
        """The address of an area, 0 if there is none."""
        return self._places.get(key, 0)
