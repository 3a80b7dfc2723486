"""The stack that functions take, read from their assembly: LLVM writes it into no object that `llvmlite` makes.

What a frame takes is told by the directives for whoever unwinds the stack, so each function is given a table for that first. Where the
arguments of calls are pushed, too, the instructions themselves are followed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target

_DEFINED = re.compile(r"^(define [^\n]*) \{$", re.MULTILINE)

_LABEL = re.compile(r'^"?([A-Za-z_][^\s":]*)"?:')
_BEGIN = re.compile(r"^\s*\.(cfi_startproc|fnstart|seh_proc)\b")
_END = re.compile(r"^\s*\.(cfi_endproc|fnend|seh_endproc)\b")
_CALL = re.compile(r'^\s+(?:call|callq|bl|blx|jal|tail|jmp|b|b\.w)\s+"?([A-Za-z_][^\s"@]*)"?')
_OFFSET = re.compile(r"^\s*\.cfi_def_cfa_offset (\d+)")
_SAVED = re.compile(r"^\s*\.(v?)save\s*\{([^}]*)\}")
_PAD = re.compile(r"^\s*\.pad\s*#(\d+)")
_SET_FRAME = re.compile(r"^\s*\.setfp\b")

_PUSH = re.compile(r"^\s+pushq\s")
_POP = re.compile(r"^\s+popq\s")
_ALIGN = re.compile(r"^\s+andq\s+\$-(\d+), %rsp")
_MOVE = re.compile(r"^\s+(sub|add)q\s+\$(-?\d+), %rsp")
_LARGE = re.compile(r"^\s+movl\s+\$(\d+), %eax")
_BY_REGISTER = re.compile(r"^\s+subq\s+%rax, %rsp")
_RETURN = re.compile(r"^\s+retq")
_PROLOGUE = re.compile(r"^\s+(pushq|subq|andq|movq\s+%rsp, %rbp|leaq\s+\d+\(%rsp\), %rbp|movl\s+\$\d+, %eax|callq\s+__chkstk|\.)")

WORD = 8
"""The bytes of a register, and of the return address that a call pushes."""


@frozen
class _Function:
    """The bytes that it takes itself, and the functions that it calls."""

    bytes: int
    calls: frozenset[str]


def unwound(text: str) -> str:
    """The LLVM text with a table for unwinding for each function."""
    return _DEFINED.sub(r"\1 uwtable {", text)


def stack_bytes(assembly: str, target: Target, roots: Collection[str]) -> int:
    """The most that the deepest chain of calls from the functions `roots` takes, without what functions of others take.

    `assembly`: of a text that is `unwound`. InternalError for a function that calls itself, or that isn't there.
    """
    underscored = "_" if target.object_format == "MachO" else ""
    # A function of Windows that takes nothing has no directives.
    functions = {match[1]: _Function(WORD, frozenset()) for match in map(_LABEL.match, assembly.splitlines()) if match is not None}
    functions |= {name: _function(body, target) for name, body in _bodies(assembly)}
    running: set[str] = set()

    @cache
    def deepest(name: str) -> int:
        if name in running:
            raise InternalError(f"{name} calls itself")
        running.add(name)
        function = functions[name]
        below = max((deepest(each) for each in function.calls if each in functions), default=0)
        running.discard(name)
        return function.bytes + below

    missing = [root for root in roots if f"{underscored}{root}" not in functions]
    if missing:
        raise InternalError(f"no function {missing[0]} in the assembly for {target.name}")
    return max(deepest(f"{underscored}{root}") for root in roots)


def _bodies(assembly: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of each function, by the last label before them that isn't the assembler's own."""
    name = ""
    lines: list[str] | None = None
    for line in assembly.splitlines():
        if lines is None:
            label = _LABEL.match(line)
            name = name if label is None else label[1]
            lines = [] if _BEGIN.match(line) else None
        elif _END.match(line):
            yield name, lines
            lines = None
        else:
            lines.append(line)


def _function(body: list[str], target: Target) -> _Function:
    calls = frozenset(match[1] for line in body if (match := _CALL.match(line)) is not None)
    match target.frames:
        case "instructions":
            return _Function(_of_instructions(body), calls)
        case "saves":
            return _Function(_of_saves(body, target), calls)
        case "offsets":
            offsets = (int(match[1]) for line in body if (match := _OFFSET.match(line)) is not None)
            return _Function(max(offsets, default=0), calls)
    assert_never(target.frames)


def _of_saves(body: list[str], target: Target) -> int:
    total = 0
    for line in body:
        if (saved := _SAVED.match(line)) is not None:
            total += sum(_registers(each) for each in saved[2].split(",")) * (WORD if saved[1] else 4)
        elif (pad := _PAD.match(line)) is not None:
            total += int(pad[1])
        elif _SET_FRAME.match(line):  # a frame that begins where vectors can lie, up to so many bytes further down
            total += max(16, target.vector_bytes) - WORD
    return total


def _registers(text: str) -> int:
    """How many registers a part of a list names, `r4` or `d8-d11`."""
    first, _, last = (part.strip() for part in text.partition("-"))
    return int(last[1:]) - int(first[1:]) + 1 if last else 1


def _of_instructions(body: list[str]) -> int:
    """The deepest point that its pushes and subtractions reach; behind a return that of the body."""
    depth = most = WORD
    inside = large = 0
    for line in body:
        if not inside and not _PROLOGUE.match(line):
            inside = depth
        if _PUSH.match(line):
            depth += WORD
        elif _POP.match(line):
            depth -= WORD
        elif (align := _ALIGN.match(line)) is not None:
            depth += int(align[1]) - WORD
        elif (move := _MOVE.match(line)) is not None:
            depth += int(move[2]) if move[1] == "sub" else -int(move[2])
        elif (amount := _LARGE.match(line)) is not None:
            large = int(amount[1])
        elif _BY_REGISTER.match(line):
            depth += large
        elif _RETURN.match(line):
            depth = inside
        most = max(most, depth)
    return most
