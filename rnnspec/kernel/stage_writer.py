"""Writes the body of a stage: evaluates values for one row and one unit, each once, contractions first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from rnnspec.contract.location import Location, fused
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import ElementwiseKind
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Matmul,
    Operation,
    Pack,
    Positions,
    Random,
    Reshape,
    RestoreRows,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    Unpack,
    Value,
)
from rnnspec.ir.traverse import location_of
from rnnspec.kernel.analysis import Analysis
from rnnspec.kernel.nodes import Access, Contract, Draw, Load, Map, PanelColumn, Position, RowMap, Splat, Statement
from rnnspec.kernel.op_class import matrix

Wanted: TypeAlias = tuple[Value, int, bool]
"""A value, the column that it is wanted from, and whether that column is wanted for every unit; see `StageWriter.evaluate`."""

Evaluation: TypeAlias = Generator[Wanted, str, str]
"""The evaluation of a value: yields each operand that it needs, receives the operand's statement, returns its own statement."""


@frozen
class Panels:
    """The buffers of packed weights: `name`, and of whole numbers `scales`, a factor for each column."""

    name: str
    scales: str | None = None


@frozen
class Storage:
    """The place of a stored value: its first element is at (row, column) of the buffer."""

    buffer: str
    rows: RowMap
    row: int = 0
    column: int = 0
    via: str | None = None
    """The buffer of row numbers by which rows are looked up; None for rows in order."""

    def access(self, column: int, spread: bool = False, via: str | None = None, fill: str | None = None) -> Access:
        """The access to the value from its column `column` on. InternalError if both it and the caller look rows up."""
        if via is not None and self.via is not None:
            raise InternalError(f"{self.buffer}: looked up by {self.via} and by {via}")
        return Access(self.buffer, self.rows, self.column + column, self.row, via or self.via, fill, spread)


@frozen
class Piece:
    """One gate's columns of a contraction, before the gates of one left side are put together."""

    name: str
    left: Access
    depth: int
    columns: PanelColumn
    init: str | None
    phase: int
    """How many contractions it starts from, one after the other, and itself."""


class LookUps(Protocol):
    """The index buffers of a function, by which rows are looked up."""

    def index(self, array: str, index: Value) -> str:
        """The buffer of an index's array; see `contract.packing`."""
        ...

    def zeros(self, width: int) -> str:
        """A buffer with a row of at least `width` zeros."""
        ...

    def may_miss(self, ids: str) -> bool:
        """Whether some ids of a buffer may be negative."""
        ...


@dataclass
class StageWriter:
    """Evaluates values of a block inside one stage of `level`.

    `locate(v)`: where a value is stored, None if it isn't.
    """

    analysis: Analysis
    level: int
    locate: Callable[[Value], Storage | None]
    buffers: LookUps
    taken: set[str] = field(default_factory=set[str])
    leaves: list[Statement] = field(default_factory=list[Statement])
    pieces: list[Piece] = field(default_factory=list[Piece])
    statements: list[Statement] = field(default_factory=list[Statement])
    locations: dict[Location, None] = field(default_factory=dict[Location, None])
    """Of the operations that are evaluated, the lines of the spec, in order."""
    _phases: dict[str, int] = field(default_factory=dict[str, int])
    """Of each statement, the phase of the contractions that it needs; 0, and no entry, for none."""
    _numbers: dict[str, int] = field(default_factory=dict[str, int])
    """Of each name the number that is tried first for a further one; smaller ones are taken."""
    _memory: dict[Wanted, str] = field(default_factory=dict[Wanted, str])
    _loads: dict[Access, str] = field(default_factory=dict[Access, str])

    @property
    def length(self) -> int:
        """The number of statements so far."""
        return len(self.leaves) + len(self.statements)

    def evaluate(self, value: Value, column: int, spread: bool = False) -> str:
        """The statement that holds a value at `column` + unit; with `spread` at `column` for every unit.

        What is under way is a list here, and no calls in calls: values may be made of each other to any depth.
        """
        wanted: Wanted = (value, column, spread)
        under_way: list[tuple[Wanted, Evaluation]] = []
        while True:
            name = self._known(wanted)
            if name is None:
                under_way.append((wanted, self._compute(*wanted)))
            elif not under_way:
                return name
            evaluation = under_way[-1][1]
            try:
                wanted = next(evaluation) if name is None else evaluation.send(name)
            except StopIteration as done:
                wanted, _ = under_way.pop()
                self._memory[wanted] = done.value

    def _known(self, wanted: Wanted) -> str | None:
        """The statement that holds a value by now; what is stored is loaded."""
        if wanted not in self._memory and self._is_loaded(wanted[0]):
            self._memory[wanted] = self._load(*wanted)
        return self._memory.get(wanted)

    def _is_loaded(self, value: Value) -> bool:
        if self.analysis.is_lazy(value):
            return value in self.analysis.roots and self.analysis.level[value] < self.level
        return True

    def _name(self, value: Value, column: int) -> str:
        stem = value.name if not column else f"{value.name}@{column}"
        name, number = stem, self._numbers.get(stem, 1)
        while name in self.taken:
            name, number = f"{stem}~{number}", number + 1
        self._numbers[stem] = number
        self.taken.add(name)
        return name

    def _location(self, value: Value) -> Storage:
        location = self.locate(value)
        if location is None:
            raise InternalError(f"%{value.name} isn't stored where it is needed")
        return location

    def _load(self, value: Value, column: int, spread: bool) -> str:
        return self._emit_load(value, column, self._location(value).access(column, spread))

    def _emit_load(self, value: Value, column: int, access: Access) -> str:
        if access not in self._loads:
            self._loads[access] = self._name(value, column)
            self.leaves.append(Load(self._loads[access], access))
        return self._loads[access]

    def _compute(self, value: Value, column: int, spread: bool) -> Evaluation:
        operation = self.analysis.definitions[value]
        self.locations[location_of(operation)] = None
        match operation:
            case Constant():
                name = self._name(value, 0)
                self.leaves.append(Splat(name, operation.value))
                return name
            case Positions():
                name = self._name(value, column)
                self.leaves.append(Splat(name, float(column)) if spread else Position(name, column))
                return name
            case Unary():
                return (yield from self._map(operation.kind, value, column, spread, operation.operand))
            case Binary() | Compare():
                return (yield from self._map(operation.kind, value, column, spread, operation.left, operation.right))
            case Select():
                return (yield from self._map(None, value, column, spread, operation.condition, operation.on_true, operation.on_false))
            case Broadcast():
                narrow = matrix(operation.operand)[1] == 1 and matrix(value)[1] != 1
                return (yield (operation.operand, 0, True) if narrow else (operation.operand, column, spread))
            case Reshape():
                return (yield operation.operand, column, spread)
            case Split():
                return (yield operation.operand, self.analysis.starts[value] + column, spread)
            case Concat():
                return (yield self._part_of(operation, column, spread))
            case Random():
                name = self._name(value, column)
                self.statements.append(Draw(name, self._location(operation.key).buffer, operation.stream, matrix(value)[1], column, spread))
                return name
            case Matmul():
                if spread:
                    raise InternalError(f"%{value.name}: a contraction can't stand for a whole row")
                init = None if operation.init is None else (yield operation.init, column, False)
                return self._piece(operation, column, init)
            case _:
                return self._indirect(operation, value, column, spread)

    def _map(self, kind: ElementwiseKind | None, value: Value, column: int, spread: bool, *operands: Value) -> Evaluation:
        names: list[str] = []
        for operand in operands:
            names.append((yield operand, column, spread))
        name = self._name(value, column)
        self._phases[name] = max(map(self._phase, names))
        self.statements.append(Map(name, kind, tuple(names)))
        return name

    def _part_of(self, operation: Concat, column: int, spread: bool) -> Wanted:
        """The part of a concatenation that a column is in."""
        starts = self.analysis.parts[operation.result]
        if not 0 <= column < matrix(operation.result)[1]:
            raise InternalError(f"%{operation.result.name}: no part at column {column}")
        place = bisect_right(starts, column) - 1
        return operation.operands[place], column - starts[place], spread

    def _indirect(self, operation: Operation, value: Value, column: int, spread: bool) -> str:
        """A row that an index looks up."""
        fill = None
        match operation:
            case Take():
                source, via = operation.table, ids_buffer(operation.ids, self._location(operation.ids))
                fill = self.buffers.zeros(matrix(value)[1]) if self.buffers.may_miss(via) else None
            case Pack():
                source, via = operation.operand, self.buffers.index("source", operation.index)
            case SortRows():
                source, via = operation.operand, self.buffers.index("order", operation.index)
            case RestoreRows():
                source, via = operation.operand, self.buffers.index("rank", operation.index)
            case Unpack():
                source, via = operation.operand, self.buffers.index(shown_name(operation.hold, operation.flip), operation.index)
                location = self.locate(operation.fill)
                fill = self.buffers.zeros(matrix(value)[1]) if location is None else location.buffer
                if location is not None and (location.row or location.column):
                    raise InternalError(f"%{operation.fill.name}: a fill must be a buffer's first row")
            case _:
                raise InternalError(f"{type(operation).__name__} inside a stage")
        return self._emit_load(value, column, self._location(source).access(column, spread, via, fill))

    def _phase(self, name: str | None) -> int:
        return 0 if name is None else self._phases.get(name, 0)

    def _piece(self, operation: Matmul, column: int, init: str | None) -> str:
        """One gate of a contraction. A start is a stage's own affair only in where it comes from: that there is one was decided before."""
        value = operation.result
        left, right = self._location(operation.left), self._location(operation.right)
        transposed = operation.transpose_right
        columns = PanelColumn(
            right.buffer,
            right.row + (column if transposed else 0),
            right.column + (0 if transposed else column),
            transposed,
        )
        name = self._name(value, column)
        phase = self._phases[name] = self._phase(init) + 1
        self.pieces.append(Piece(name, left.access(0), matrix(operation.left)[1], columns, init, phase))
        return name

    @property
    def location(self) -> Location:
        """The lines of the spec that the stage comes from."""
        return fused(self.locations)

    @property
    def sums(self) -> int:
        """How many sums are under way at once: contractions that no other one goes on from."""
        return len(self.pieces) - len({piece.init for piece in self.pieces} & {piece.name for piece in self.pieces})

    def body(self, panels: Callable[[int, tuple[PanelColumn, ...]], Panels]) -> tuple[Statement, ...]:
        """All statements so far: loads; in each phase, one contraction for each left side; then the rest."""
        groups: dict[tuple[int, Access, int], list[Piece]] = {}
        for piece in sorted(self.pieces, key=lambda piece: piece.phase):
            groups.setdefault((piece.phase, piece.left, piece.depth), []).append(piece)
        early, rest = self._by_group(list(groups.values()))
        body: list[Statement] = []
        for ((_, left, depth), group), before in zip(groups.items(), early, strict=True):
            packed = panels(depth, tuple(piece.columns for piece in group))
            names, inits = tuple(piece.name for piece in group), tuple(piece.init for piece in group)
            contraction = Contract(names, left, depth, packed.name, inits, packed.scales)
            body += (*before, contraction)
        return (*self.leaves, *body, *rest)

    def _by_group(self, groups: Sequence[Sequence[Piece]]) -> tuple[list[list[Statement]], list[Statement]]:
        """The statements that each group of contractions is the first to start from, and all others, in their order."""
        after_all = len(groups)
        first: dict[str | None, int] = {}
        for number, group in enumerate(groups):
            for piece in group:
                first.setdefault(piece.init, number)
        places: list[int] = []
        for statement in reversed(self.statements):
            place = first.get(statement.name, after_all) if isinstance(statement, Map | Draw) else after_all
            places.append(place)
            for operand in statement.operands if isinstance(statement, Map) else ():
                first[operand] = min(first.get(operand, after_all), place)
        by_group: list[list[Statement]] = [[] for _ in range(after_all + 1)]
        for statement, place in zip(self.statements, reversed(places), strict=True):
            by_group[place].append(statement)
        return by_group[:-1], by_group[-1]


def ids_buffer(ids: Value, location: Storage) -> str:
    """The buffer of ids whose row r belongs to a nest's row r; those of a scan's step don't."""
    if location.rows is RowMap.TOKEN or location.row or location.column:
        raise InternalError(f"%{ids.name}: ids must be all rows of a buffer")
    return location.buffer


def shown_name(hold: bool, flip: bool) -> str:
    """The name of the index array that says which token a padded step shows."""
    return f"shown_{'hold' if hold else 'fill'}{'_flip' if flip else ''}"
