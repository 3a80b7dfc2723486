"""Functions of a library that choose among its code for several levels of x86-64, by what this processor has."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.backend.llvm_cpu.exports import declared
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import LibraryExport
from rnnspec.backend.templates import render
from rnnspec.kernel.target import Target


def emit_dispatch(export: LibraryExport, levels: Mapping[int, str], target: Target) -> str:
    """The LLVM text of a library's functions, each of which calls that of a level.

    `levels`: how the names of the functions of a level of x86-64 begin; the lowest is taken to be there.
    """
    lowest, *others = sorted(levels)
    parts = [render("processor_level.ll.j2", {"triple": target.triple})]
    for function in declared(export, target):
        parameters = [f"{kind} %p.{number}" for number, kind in enumerate(function.parameters)]
        writer = FunctionWriter(function.name, parameters, linkage="dso_local", result=function.result)
        own = {level: quoted(f"{prefix}{function.name.removeprefix(export.prefix)}") for level, prefix in levels.items()}
        level = writer.assign("call i32 @processor.level()", "level")
        chosen = f"@{own[lowest]}"
        for each in others:
            chosen = writer.assign(f"select i1 {writer.assign(f'icmp uge i32 {level}, {each}')}, ptr @{own[each]}, ptr {chosen}", "chosen")
        called = f"tail call {function.result} {chosen}({', '.join(parameters)})"
        if function.result == "void":
            writer.do(called)
        result = "" if function.result == "void" else writer.assign(called, "result")
        parts += [f"declare {function.result} @{name}({', '.join(function.parameters)})" for name in own.values()]
        parts.append(writer.text(result))
    return "\n".join([*parts, "attributes #0 = { nounwind }\n"])
