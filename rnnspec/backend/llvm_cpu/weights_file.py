"""A library whose constants are in a file beside it: the file's content is a parameter, which a function of the library checks once."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.protocol import BAD_WEIGHTS, OK, WEIGHTS_ALIGNMENT, WEIGHTS_HEADER, LibraryExport
from rnnspec.kernel.target import Target

WEIGHTS = "%weights"
"""The address of a file's content, in functions that take it."""


def weights_pointers(export: LibraryExport) -> tuple[str, ...]:
    """`WEIGHTS` of a library with a file, else nothing."""
    return () if export.file is None else (WEIGHTS,)


def constants_behind(writer: FunctionWriter) -> str:
    """The address of the constants."""
    return writer.assign(f"getelementptr inbounds i8, ptr {WEIGHTS}, i64 {WEIGHTS_HEADER}", "constants")


def check_symbol(prefix: str) -> str:
    """The name of the function that checks a file's content."""
    return f"{prefix}_check_weights"


def emit_check(export: LibraryExport, target: Target) -> str:
    """The function that compares the header; it reads nothing at a wrong address, or of another number of bytes."""
    assert export.file is not None
    size = f"i{target.pointer_bits}"
    writer = FunctionWriter(check_symbol(export.prefix), [f"ptr {WEIGHTS}", f"{size} %bytes"], linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    writer.do(f"store i32 {BAD_WEIGHTS}, ptr {result}")
    address = writer.assign(f"ptrtoint ptr {WEIGHTS} to {size}", "address")
    there = writer.assign(f"icmp ne {size} {address}, 0")
    aligned = writer.assign(f"icmp eq {size} {writer.assign(f'and {size} {address}, {WEIGHTS_ALIGNMENT - 1}')}, 0")
    whole = writer.assign(f"icmp eq {size} %bytes, {WEIGHTS_HEADER + len(export.constants)}")
    sound = writer.assign(f"and i1 {writer.assign(f'and i1 {there}, {aligned}')}, {whole}")
    with writer.when(sound):
        same = "true"
        for start in range(0, WEIGHTS_HEADER, 4):
            place = writer.assign(f"getelementptr inbounds i8, ptr {WEIGHTS}, i64 {start}", "p")
            expected = int.from_bytes(export.file[start : start + 4], "little")
            equal = writer.assign(f"icmp eq i32 {writer.assign(f'load i32, ptr {place}, align 4')}, {expected}")
            same = writer.assign(f"and i1 {same}, {equal}")
        writer.do(f"store i32 {writer.assign(f'select i1 {same}, i32 {OK}, i32 {BAD_WEIGHTS}')}, ptr {result}")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))
