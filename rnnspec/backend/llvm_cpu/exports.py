"""A C library's functions: here the step of one sequence, without tables of pointers and with no memory but the caller's and the stack."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.backend.llvm_cpu.denormals import begin_flushing, end_flushing
from rnnspec.backend.llvm_cpu.entry import CONSTANTS
from rnnspec.backend.llvm_cpu.forward_exports import emit_forward, forward_symbols
from rnnspec.backend.llvm_cpu.forward_inputs import is_id
from rnnspec.backend.llvm_cpu.forward_workspace import pointers_of
from rnnspec.backend.llvm_cpu.merge_functions import merge_functions
from rnnspec.backend.llvm_cpu.module import module_text
from rnnspec.backend.llvm_cpu.one_step import emit_one_step
from rnnspec.backend.llvm_cpu.step_buffers import alignment, kept_pointers, step_pointers
from rnnspec.backend.llvm_cpu.train_exports import emit_train, train_parameters
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.weights_file import check_symbol, emit_check, weights_pointers
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import BAD_ID, OK, LibraryExport
from rnnspec.frozen import frozen
from rnnspec.kernel.target import ELEMENT_BYTES, Target


@frozen
class Declared:
    """A function of a library: its name, and the types of its parameters and its result."""

    name: str
    parameters: tuple[str, ...]
    result: str


def declared(export: LibraryExport, target: Target) -> tuple[Declared, ...]:
    """A library's functions on a target."""
    size = f"i{target.pointer_bits}"
    found: list[Declared] = []
    weights = ("ptr",) * len(weights_pointers(export))
    if weights:
        found.append(Declared(check_symbol(export.prefix), (*weights, size), "i32"))
    if export.step is not None:
        pointers = ("ptr",) * len(step_pointers(export))
        step, steps = step_symbols(export.prefix)
        found += [Declared(step, pointers, "i32"), Declared(steps, (*pointers, size), "i32")]
    if export.forward is not None:
        call, bytes_ = forward_symbols(export.prefix)
        sizes = (size,) * (1 + len(export.forward.lengths))
        pointers = ("ptr",) * (len(pointers_of(export)) + 1)
        found += [Declared(call, (*weights, *sizes, *pointers, size), "i32"), Declared(bytes_, sizes, size)]
    if export.train is not None:
        further = train_parameters(export, export.train, target)
        found += [Declared(name, parameters, result) for name, (parameters, result) in further.items()]
    return tuple(found)


def step_symbols(prefix: str) -> tuple[str, str]:
    """The names of the functions for one step and for several."""
    return f"{prefix}_step", f"{prefix}_steps"


def emit_library(export: LibraryExport, target: Target) -> str:
    """The LLVM text of a library, see `LibraryExport`."""
    exported = (export.step, export.forward, export.train and export.train.record)
    dtype = next(each for each in exported if each is not None).kernels.function.dtype
    library = Library()
    vectors = Vectors(FunctionWriter("", ()), target, dtype, library)
    parts: list[str] = []
    if export.step is not None:
        parts += emit_one_step(export, export.step, vectors)
        parts += [_entry(export, vectors, several=several) for several in (False, True)]
    if export.forward is not None:
        parts += emit_forward(export, export.forward, vectors)
    if export.train is not None:
        parts += emit_train(export, export.train, vectors)
    first = _constants(export, target) if export.file is None else emit_check(export, target)
    return module_text([first, *merge_functions(parts)], target, dtype, library)


def _constants(export: LibraryExport, target: Target) -> str:
    literal = "".join(f"\\{byte:02X}" for byte in export.constants)
    return f'{CONSTANTS} = internal constant [{len(export.constants)} x i8] c"{literal}", align {alignment(target)}'


def _entry(export: LibraryExport, vectors: Vectors, *, several: bool) -> str:
    """The function for one step or several: checks ids, then runs the steps with denormals off."""
    target = vectors.target
    size = f"i{target.pointer_bits}"
    parameters = [*(f"ptr {pointer}" for pointer in step_pointers(export)), *([f"{size} %steps.given"] if several else [])]
    writer = FunctionWriter(step_symbols(export.prefix)[several], parameters, linkage="dso_local", result="i32")
    here = replace(vectors, writer=writer)
    steps = "1"
    if several:
        steps = "%steps.given" if target.pointer_bits == 64 else writer.assign(f"zext {size} %steps.given to i64", "steps")
    sound = _ids_are_sound(export, writer, steps)
    with writer.when(sound):
        flushing = begin_flushing(here)
        with writer.loop("0", steps, hint="step") as step:
            pointers = [*kept_pointers(export), *_advanced(export, writer, step, ELEMENT_BYTES[vectors.dtype])]
            writer.do(f"call void @{quoted(f'{export.prefix}.step')}({', '.join(f'ptr {pointer}' for pointer in pointers)})")
        end_flushing(writer, flushing)
    return writer.text(writer.assign(f"select i1 {sound}, i32 {OK}, i32 {BAD_ID}", "result"))


def _ids_are_sound(export: LibraryExport, writer: FunctionWriter, steps: str) -> str:
    """An i1: whether all ids are in range."""
    sound = "true"
    for number, source in enumerate(export.inputs):
        if source.vocabulary is None:
            continue
        with writer.carrying_loop("0", steps, 1, [("i1", sound)], "id") as (place, (so_far,), following):
            at = writer.assign(f"getelementptr inbounds i32, ptr %in.{number}, i64 {place}", "p")
            inside = is_id(writer, writer.assign(f"load i32, ptr {at}, align 4"), source.vocabulary)
            following.append(writer.assign(f"and i1 {so_far}, {inside}"))
        sound = so_far
    return sound


def _advanced(export: LibraryExport, writer: FunctionWriter, step: str, element: int) -> list[str]:
    """The addresses of a step's inputs and outputs."""
    rows = zip(step_pointers(export)[len(kept_pointers(export)) :], (*export.inputs, *export.outputs), strict=True)
    sizes = [(base, row.width * (element if row.vocabulary is None else 4)) for base, row in rows]
    return [writer.assign(f"getelementptr inbounds i8, ptr {base}, i64 {writer.multiply(step, size)}", "row") for base, size in sizes]
