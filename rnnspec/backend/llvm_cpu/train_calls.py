"""Kernels as a library's training calls them: their code, and where their buffers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnspec.backend.llvm_cpu.entry import emit_entry, symbol
from rnnspec.backend.llvm_cpu.forward_indices import make_indices
from rnnspec.backend.llvm_cpu.forward_workspace import Workspace, sizes_given
from rnnspec.backend.llvm_cpu.module import emit_nests
from rnnspec.backend.llvm_cpu.size_values import SizeValues
from rnnspec.backend.llvm_cpu.structures import element_of, place_of
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import ForwardExport, LibraryExport
from rnnspec.contract.dimensions import Steps, Tokens
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.forward_memory import TAPE
from rnnspec.kernel.nodes import Buffer, KernelFunction
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import Target
from rnnspec.kernel.train_memory import COUNTS


@frozen(slots=False)
class Code:
    """The functions of some kernels, emitted: their definitions, and how they are called."""

    function: KernelFunction
    prepare: KernelFunction
    parts: tuple[str, ...]

    @staticmethod
    def of(name: str, kernels: Kernels, vectors: Vectors) -> Code:
        """Emits kernels under a name of the library's own."""
        made = replace(kernels.function, name=name), replace(kernels.prepare, name=f"{name}.prepare")
        parts: list[str] = []
        for function in made:
            nests, calls = emit_nests(function, vectors)
            parts += [*nests, emit_entry(function, calls, vectors.target, vectors.library, clocks=None, internal=True)]
        return Code(*made, tuple(parts))

    def call(self, writer: FunctionWriter, place: Place, prepared: str) -> None:
        """Prepares the weights, then runs."""
        for function in (self.prepare, self.function):
            arenas = {Space.PREPARED: prepared, **place.arenas}
            calls = calling_convention(function)
            pointers = [*map(place.pointer, calls.buffers), *(arenas[space] for space in calls.arenas)]
            table = writer.on_stack(f"[{max(1, len(pointers))} x ptr]", "table")
            dims = writer.on_stack(f"[{max(1, len(calls.dims))} x i64]", "dims")
            for number, pointer in enumerate(pointers):
                writer.do(f"store ptr {pointer}, ptr {place_of(writer, 'ptr', table, str(number))}")
            for number, dim in enumerate(calls.dims):
                writer.do(f"store i64 {place.sizes.of(dim)}, ptr {place_of(writer, 'i64', dims, str(number))}")
            writer.do(f"call void @{quoted(symbol(function.name))}(ptr {table}, ptr {dims})")


@frozen(slots=False)
class Place:
    """Where the buffers of a call are. `counts`: the addresses of two i64 of each index, its tokens and its steps."""

    export: LibraryExport
    sizes: SizeValues
    workspace: Workspace
    looked_up: Mapping[str, str]
    arenas: Mapping[Space, str]
    counts: Mapping[int, str]
    key: str = ""

    @staticmethod
    def of(writer: FunctionWriter, export: LibraryExport, forward: ForwardExport, target: Target, key: str = "") -> Place:
        """Makes the indices. Their counts are kept in the area `COUNTS`, if there is one."""
        sizes = sizes_given(writer, forward)
        workspace = Workspace(writer, sizes, forward.memory, target)
        kept = workspace.find(COUNTS)
        counts = {
            number: place_of(writer, "[2 x i64]", kept, str(place)) if isinstance(kept, str) else writer.on_stack("[2 x i64]", "counts")
            for place, number in enumerate(forward.memory.indices)
        }
        looked_up = make_indices(writer, sizes, workspace, forward, counts)
        return Place._made(writer, export, sizes, workspace, looked_up, counts, key)

    @staticmethod
    def again(writer: FunctionWriter, export: LibraryExport, forward: ForwardExport, target: Target, key: str) -> Place:
        """Finds the indices that were made in the same workspace before."""
        sizes = sizes_given(writer, forward)
        workspace = Workspace(writer, sizes, forward.memory, target)
        kept = workspace.of(COUNTS)
        counts = {number: place_of(writer, "[2 x i64]", kept, str(place)) for place, number in enumerate(forward.memory.indices)}
        looked_up = {buffer.name: workspace.of("looked up", buffer.name) for buffer in forward.memory.looked_up}
        return Place._made(writer, export, sizes, workspace, looked_up, counts, key)

    @staticmethod
    def _made(
        writer: FunctionWriter,
        export: LibraryExport,
        sizes: SizeValues,
        workspace: Workspace,
        looked_up: Mapping[str, str],
        counts: Mapping[int, str],
        key: str,
    ) -> Place:
        for number, count in counts.items():
            for place, size in enumerate((Tokens(number), Steps(number))):
                sizes.known[size] = element_of(writer, "i64", count, str(place))
        arenas = {Space.WEIGHT: "%weights", Space.SCRATCH: workspace.scratch, Space.TAPE: str(workspace.find(*TAPE) or "null")}
        arenas[Space.GRADIENT] = str(workspace.find("gradient") or "null")
        return Place(export, sizes, workspace, looked_up, arenas, counts, key)

    def pointer(self, buffer: Buffer) -> str:
        """The address of a buffer that is passed by itself."""
        if isinstance(found := self.workspace.find("buffer", buffer.name), str):
            return found
        _, _, name = buffer.name.partition(".")
        match buffer.space:
            case Space.INPUT:
                number = [each.name for each in self.export.inputs].index(name)
                return f"%in.{number}" if self.export.inputs[number].vocabulary is None else self.workspace.of("ids", name)
            case Space.COTANGENT:
                return f"%out.{[each.name for each in self.export.outputs].index(name)}"
            case Space.OUTPUT if buffer.name.startswith("gradient."):
                return f"%gradient.{[each.name for each in self.export.inputs].index(name)}"
            case Space.OUTPUT:
                return f"%out.{[each.name for each in self.export.outputs].index(name)}"
            case Space.KEY:
                return self.key
            case Space.INDEX if buffer.array is not None:
                if buffer.name in self.looked_up:
                    return self.looked_up[buffer.name]
                return self.workspace.of("index", buffer.array.index, buffer.array.name)
            case _:
                raise InternalError(f"a library's training reads or writes {buffer.name}: {buffer.space.value}")
