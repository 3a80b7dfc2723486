"""The back end for processors: kernels tiled for vector registers, as LLVM text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.backend.llvm_cpu import entry, exports, objects, sequence_losses, stack_frames, updates
from rnnspec.backend.llvm_cpu.dispatch import emit_dispatch
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.python_call import SYMBOL, emit_python_call, imported_functions
from rnnspec.backend.protocol import SCHEDULE, Emitted, LibraryExport
from rnnspec.contract.executable import Formula
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function
from rnnspec.kernel.cpu.prefetch import PrefetchTokens
from rnnspec.kernel.cpu.segments import SegmentScans
from rnnspec.kernel.cpu.tape_aliasing import AliasTape
from rnnspec.kernel.cpu.tiles import CpuTiling
from rnnspec.kernel.cpu.time_blocks import TimeBlocks
from rnnspec.kernel.nodes import NO_ALIASES, BufferAliases
from rnnspec.kernel.pipeline import KernelPipeline, Kernels
from rnnspec.kernel.schedule import schedule
from rnnspec.kernel.target import TARGETS, Target

INFERENCE = KernelPipeline((TimeBlocks(), PrefetchTokens()))

TRAINING = KernelPipeline((SegmentScans(), TimeBlocks(), AliasTape(), PrefetchTokens()))
"""Prefetching comes last: it names buffers, of which a tape in place has others."""

POINTER_BITS = 64
"""Of an address in all text: sizes and places are counted in i64."""


@frozen
class LlvmCpu:
    """Implements `backend.protocol.Backend`."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """The processors of `kernel.target.TARGETS`."""
        return TARGETS

    @property
    def pipelines(self) -> Mapping[str, KernelPipeline]:
        """Inference blocks time and prefetches; training aliases its tape as well."""
        return {"kernel": INFERENCE, "kernel.backward": TRAINING}

    @property
    def texts(self) -> tuple[str, ...]:
        """LLVM text as generated, LLVM text after its passes, assembly."""
        return ("llvm", "llvm.opt", "asm")

    def host_target(self) -> Target:
        """This machine's processor; ValueError for one that isn't among the targets."""
        return objects.host_target()

    def of_triple(self, target: Target) -> Target:
        """As LLVM reads the triple."""
        return objects.of_triple(target)

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
        """Kernels tiled for the target's registers, see `Backend.schedule`."""
        scheduled = schedule(function, CpuTiling(target), offsets, reader=reader, aliases=aliases, storage=storage)
        return scheduled if after == SCHEDULE else self.pipelines[stage].run(scheduled, after)

    def emit(self, kernels: Kernels, *, timed: bool = False, shared: bool = True) -> Emitted:
        """LLVM text; InternalError for a target with other pointers than `POINTER_BITS`."""
        _check(kernels.target)
        names = [function.name for function in (kernels.function, kernels.prepare)]
        symbols = [*map(self.symbol, names), *(map(self.shared_symbol, names) if shared and not timed else ())]
        return Emitted(emit_module(kernels.module, kernels.target, timed=timed, shared=shared), tuple(symbols))

    def symbol(self, name: str) -> str:
        """The kernel function's name with the package's prefix, see `entry.symbol`."""
        return entry.symbol(name)

    def shared_symbol(self, name: str) -> str:
        """The name of its entry point for several threads, see `entry.shared_symbol`."""
        return entry.shared_symbol(name)

    def assemble(self, text: str, target: Target) -> bytes:
        """An object file of the target's kind; InternalError if LLVM refuses the text."""
        return Machine(target).object_code(text)

    def stack_bytes(self, text: str, target: Target, roots: Sequence[str]) -> int:
        """The most that the deepest chain of calls takes, see `stack_frames`."""
        return stack_frames.stack_bytes(Machine(target).assembly(stack_frames.unwound(text)), target, roots)

    def code_bytes(self, object_code: bytes) -> int:
        """The sum of all sections of instructions."""
        return objects.code_bytes(object_code)

    def identity(self, target: Target) -> tuple[str, ...]:
        """The processor, its features and the version of LLVM with its options."""
        return (target.cpu, target.features, Machine(target).identity)

    def show(self, stage: str, kernels: Kernels) -> str:
        """One of `texts`; InternalError for any other stage."""
        text, machine = self.emit(kernels).text, Machine(kernels.target)
        match stage:
            case "llvm":
                return text
            case "llvm.opt":
                return str(machine.optimise(text))
            case "asm":
                return machine.assembly(text)
            case _:
                raise InternalError(f"there is no text named {stage}")

    def emit_update(self, formula: Formula, states: int, constants: int, dtype: str, target: Target) -> Emitted:
        """LLVM text of `rnnspec_update_rows`, see `updates.emit_update`."""
        _check(target)
        return Emitted(updates.emit_update(formula, states, constants, dtype, target), (updates.SYMBOL,))

    def emit_sequence_loss(self, name: str, dtype: str, target: Target) -> Emitted:
        """LLVM text of one of `sequence_losses.SYMBOLS`; InternalError for another name."""
        _check(target)
        if name not in sequence_losses.SYMBOLS:
            raise InternalError(f"there is no loss of sequences named {name}")
        return Emitted(sequence_losses.emit_sequence_loss(name, dtype, target), (sequence_losses.SYMBOLS[name],))

    def emit_library(self, export: LibraryExport, target: Target) -> Emitted:
        """LLVM text of the functions of `protocol.LibraryExport`, for a target of any width of addresses."""
        return Emitted(exports.emit_library(export, target), _names(export, target))

    def emit_dispatch(self, export: LibraryExport, levels: Mapping[int, str], target: Target) -> Emitted:
        """LLVM text of functions that ask the processor what it has, see `dispatch.emit_dispatch`."""
        return Emitted(emit_dispatch(export, levels, target), _names(export, target))

    def emit_python_call(self, target: Target) -> Emitted:
        """LLVM text of a CPython builtin; `imports` are the functions of CPython's C API in it."""
        _check(target)
        text = emit_python_call(target)
        return Emitted(text, (SYMBOL,), imported_functions(text))


def _names(export: LibraryExport, target: Target) -> tuple[str, ...]:
    return tuple(function.name for function in exports.declared(export, target))


def _check(target: Target) -> None:
    if target.pointer_bits != POINTER_BITS:
        raise InternalError(f"{target.name}: addresses of {target.pointer_bits} bits, where {POINTER_BITS} are counted with")
