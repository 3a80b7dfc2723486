"""Tape aliasing: values for the tape are stored over scratch buffers that nothing reads any more, whose lines are still in a cache.

An example is a cell: its loop reads the projection of the input, in pieces of `units` columns, and computes the gates, as many values
for the tape. If nothing reads the projection afterwards, each gate is stored over one piece of it. The projection's buffer becomes a
part of the tape, and the gates' own buffers go: the tape stays as large, the scratch memory becomes smaller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function, Rearrange, Scan, Value
from rnnspec.kernel.accesses import accesses, with_accesses
from rnnspec.kernel.loop_nests import Nest, nests_of
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    BufferAliases,
    BufferColumns,
    Contract,
    FusedLoop,
    KernelFunction,
    Load,
    Map,
    RowMap,
    Segments,
    Store,
)
from rnnspec.kernel.parallel_rows import touches
from rnnspec.kernel.pipeline import Kernels


@frozen
class AliasTape:
    """The pass: aliases the tape of a recorded call; see the module."""

    name: ClassVar[str] = "alias-tape"

    def run(self, kernels: Kernels) -> Kernels:
        """Aliases the tape of a recorded call; kernels without a reader stay as they are."""
        if kernels.reader is None:
            return kernels
        function, aliases = alias_tape(kernels.function, opaque_uses(kernels.reader))
        return replace(kernels, function=function, aliases=aliases)


def opaque_uses(backward: Function) -> frozenset[str]:
    """The names of the tape's buffers that a backward function reads as whole buffers, so that they can't lie in a part of another."""
    whole = set[Value]()
    for operation in backward.operations:
        match operation:
            case Rearrange():
                whole.add(operation.operand)
            case Scan():
                whole.update(operation.inits)
            case _:
                pass
    return frozenset(f"{Space.TAPE.value}.{value.name}" for value in whole)


def alias_tape(function: KernelFunction, apart: Collection[str]) -> tuple[KernelFunction, BufferAliases]:
    """The function with its tape aliased, and the aliases by name. `apart`: the tape's buffers that must stay whole.

    A value that would cover all of a scratch buffer keeps its own buffer, which then replaces the scratch one.
    """
    buffers = {buffer.name: buffer for buffer in function.buffers}
    settled = _used_whole(function) | set(apart)
    settled.update(name for block in function.blocks if isinstance(block, Segments) for name in block.local)  # of a few tokens alone
    nests = _Nests(nests_of(function))
    moved: dict[str, BufferColumns] = {}
    replaced: dict[str, str] = {}
    for number, nest in enumerate(nests.all):
        stage = nest.node
        if not isinstance(stage, FusedLoop):
            continue
        for name in dict.fromkeys(statement.access.buffer for statement in stage.body if isinstance(statement, Load)):
            read = buffers[name]
            if name in settled or not _is_read_up(nests, number, stage, read):
                continue
            pieces = range(0, read.width, stage.units)
            kept = [each for each in _kept(nests, number, stage, buffers, read) if each not in settled]
            if len(kept) < len(pieces):
                continue
            shared = buffers[kept[0]]
            if len(pieces) > 1:
                shared = replace(read, name=_unique(f"{Space.TAPE.value}.{name}", buffers), space=Space.TAPE)
                buffers[shared.name] = shared
                moved |= {each: BufferColumns(shared, column) for each, column in zip(kept, pieces, strict=False)}
            replaced[name] = shared.name
            settled.update(kept[: len(pieces)])
    return _with_moved(function, moved, replaced), moved


def _unique(name: str, taken: Collection[str]) -> str:
    unique, number = name, 1
    while unique in taken:
        unique, number = f"{name}.{number}", number + 1
    return unique


def _used_whole(function: KernelFunction) -> set[str]:
    """The buffers that some node uses otherwise than by a row: as a state, as an index, rearranged."""
    uses = Counter(name for node in function.nodes for name in buffers_of(node))
    uses.subtract(access.buffer for nest in nests_of(function) for access in accesses(nest.node))
    return {name for name, number in uses.items() if number > 0}


def _is_own(access: Access, nest: Nest) -> bool:
    """Whether a nest's row r is at a buffer's row that no other row of it is at, in no other step."""
    return access.rows is (RowMap.ROW if nest.scan is None else RowMap.TOKEN) and access.via is None and access.row == 0


@dataclass
class _Nests:
    """The nests of a function in order. `accessed`, `written`: which of them access a row of each buffer, and write to it."""

    all: tuple[Nest, ...]
    accessed: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    written: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def __post_init__(self) -> None:
        for number, nest in enumerate(self.all):
            for access in accesses(nest.node):
                self.accessed.setdefault(access.buffer, []).append(number)
            for touch in touches(nest.node):
                if touch.written:
                    self.written.setdefault(touch.buffer, []).append(number)


def _is_read_up(nests: _Nests, number: int, stage: FusedLoop, buffer: Buffer) -> bool:
    """Whether a stage reads all of a scratch buffer, each element where its own row and unit are, and no one reads it after that."""
    here = nests.all[number]
    if buffer.space is not Space.SCRATCH:
        return False
    accessed = nests.accessed[buffer.name]
    if accessed[-1] > number:
        return False
    others = (nests.all[each] for each in dict.fromkeys(accessed) if each < number)
    before = [nest for nest in others if here.scan is not None and nest.scan is here.scan]
    if any(access.buffer == buffer.name and not _is_own(access, nest) for nest in before for access in accesses(nest.node)):
        return False
    loads = [statement.access for statement in stage.body if isinstance(statement, Load) and statement.access.buffer == buffer.name]
    return (
        len(loads) == sum(access.buffer == buffer.name for access in accesses(stage))
        and all(_is_own(access, here) and not access.splat for access in loads)
        and sorted(access.column for access in loads) == list(range(0, buffer.width, stage.units))
    )


def _kept(nests: _Nests, number: int, stage: FusedLoop, buffers: Mapping[str, Buffer], read: Buffer) -> list[str]:
    """The tape's buffers that could be stored over pieces of a stage's inputs, in the order in which the stage computes their values.

    What it has only loaded is none of them: that is a copy, of a state as a rule, which a weight's gradient will read alone.
    """
    computed: dict[str, int] = {}
    last_load = 0
    found: dict[str, int] = {}
    for place, statement in enumerate(stage.body):
        match statement:
            case Load() if statement.access.buffer == read.name:
                last_load = place
            case Map():
                computed[statement.name] = place
            case Contract():
                computed |= dict.fromkeys(statement.names, place)
            case _:
                pass
    for place, statement in enumerate(stage.body):
        if isinstance(statement, Store) and statement.value in computed and place > last_load:
            buffer = buffers[statement.access.buffer]
            alike = (buffer.space, buffer.dtype, buffer.rows, buffer.width) == (Space.TAPE, read.dtype, read.rows, stage.units)
            if alike and _is_own(statement.access, nests.all[number]) and _is_written_here(nests, number, buffer.name):
                found[buffer.name] = computed[statement.value]
    return sorted(found, key=lambda name: found[name])


def _is_written_here(nests: _Nests, number: int, name: str) -> bool:
    """Whether one store of a nest is the buffer's only write, and precedes all its reads."""
    accessed, written = nests.accessed[name], nests.written.get(name, [])
    return accessed.count(number) == 1 and accessed[0] == number and max(written, default=number) <= number


def _with_moved(function: KernelFunction, moved: BufferAliases, replaced: Mapping[str, str]) -> KernelFunction:
    """The function with accesses to moved buffers redirected; an enlarged buffer takes the place of the first of its parts."""

    def change(old: Access) -> Access:
        if old.buffer in moved:
            place = moved[old.buffer]
            return replace(old, buffer=place.buffer.name, column=place.column + old.column)
        return replace(old, buffer=replaced.get(old.buffer, old.buffer))

    kept = (buffer for buffer in function.buffers if buffer.name not in replaced)
    buffers = dict.fromkeys(moved[buffer.name].buffer if buffer.name in moved else buffer for buffer in kept)
    return replace(function, buffers=tuple(buffers), nodes=tuple(with_accesses(node, change) for node in function.nodes))
