"""Writes the body of a stage: evaluates values for one row and one unit, each once, contractions first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Matmul,
    Operation,
    Pack,
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
from rnnspec.kernel.analysis import Analysis
from rnnspec.kernel.matrix import matrix
from rnnspec.kernel.nodes import Access, Contract, Draw, Load, Map, PanelColumn, RowMap, Splat, Statement


@dataclass(frozen=True, slots=True)
class Location:
    """Where a stored value lies: its first element is (row, column) of the buffer."""

    buffer: str
    rows: RowMap
    row: int = 0
    column: int = 0
    via: str | None = None
    """The buffer of row numbers that it is looked up by."""

    def access(self, column: int, spread: bool = False, via: str | None = None, fill: str | None = None) -> Access:
        if via is not None and self.via is not None:
            raise InternalError(f"{self.buffer}: looked up by {self.via} and by {via}")
        return Access(self.buffer, self.rows, self.column + column, self.row, via or self.via, fill, spread)


@dataclass(frozen=True, slots=True)
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
    """The buffers that rows are looked up by."""

    def index(self, array: str, index: Value) -> str:
        """That of an index's array."""
        ...

    def zeros(self, width: int) -> str:
        """That of so many zeros."""
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
    locate: Callable[[Value], Location | None]
    buffers: LookUps
    taken: set[str] = field(default_factory=set[str])
    leaves: list[Statement] = field(default_factory=list[Statement])
    pieces: list[Piece] = field(default_factory=list[Piece])
    statements: list[Statement] = field(default_factory=list[Statement])
    _phases: dict[str, int] = field(default_factory=dict[str, int])
    """Of each statement, the phase of the contractions that it needs; 0, and no entry, for none."""
    _memory: dict[tuple[Value, int, bool], str] = field(default_factory=dict[tuple[Value, int, bool], str])
    _loads: dict[Access, str] = field(default_factory=dict[Access, str])

    def evaluate(self, value: Value, column: int, spread: bool = False) -> str:
        """The statement that holds a value at `column` + unit; with `spread` at `column` for every unit."""
        key = (value, column, spread)
        if key not in self._memory:
            self._memory[key] = self._load(value, column, spread) if self._is_loaded(value) else self._compute(value, column, spread)
        return self._memory[key]

    def _is_loaded(self, value: Value) -> bool:
        if self.analysis.is_lazy(value):
            return value in self.analysis.roots and self.analysis.level[value] < self.level
        return True

    def _name(self, value: Value, column: int) -> str:
        stem = value.name if not column else f"{value.name}@{column}"
        name, number = stem, 1
        while name in self.taken:
            name, number = f"{stem}~{number}", number + 1
        self.taken.add(name)
        return name

    def _location(self, value: Value) -> Location:
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

    def _compute(self, value: Value, column: int, spread: bool) -> str:
        operation = self.analysis.definitions[value]
        match operation:
            case Constant():
                name = self._name(value, 0)
                self.leaves.append(Splat(name, operation.value))
                return name
            case Unary():
                return self._map(operation.kind, value, column, spread, operation.operand)
            case Binary() | Compare():
                return self._map(operation.kind, value, column, spread, operation.left, operation.right)
            case Select():
                return self._map(None, value, column, spread, operation.condition, operation.on_true, operation.on_false)
            case Broadcast():
                narrow = matrix(operation.operand)[1] == 1 and matrix(value)[1] != 1
                return self.evaluate(operation.operand, 0, True) if narrow else self.evaluate(operation.operand, column, spread)
            case Reshape():
                return self.evaluate(operation.operand, column, spread)
            case Split():
                return self._split(operation, value, column, spread)
            case Concat():
                return self._concat(operation, column, spread)
            case Random():
                name = self._name(value, column)
                self.statements.append(Draw(name, self._location(operation.key).buffer, operation.stream, matrix(value)[1], column, spread))
                return name
            case Matmul():
                return self._piece(operation, column, spread)
            case _:
                return self._indirect(operation, value, column, spread)

    def _map(self, kind: object, value: Value, column: int, spread: bool, *operands: Value) -> str:
        names = tuple(self.evaluate(operand, column, spread) for operand in operands)
        name = self._name(value, column)
        self._phases[name] = max(map(self._phase, names))
        self.statements.append(Map(name, kind, names))  # pyright: ignore
        return name

    def _split(self, operation: Split, value: Value, column: int, spread: bool) -> str:
        start = 0
        for result in operation.results:
            if result == value:
                break
            start += matrix(result)[1]
        return self.evaluate(operation.operand, start + column, spread)

    def _concat(self, operation: Concat, column: int, spread: bool) -> str:
        start = 0
        for operand in operation.operands:
            width = matrix(operand)[1]
            if start <= column < start + width:
                return self.evaluate(operand, column - start, spread)
            start += width
        raise InternalError(f"%{operation.result.name}: no part at column {column}")

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

    def _piece(self, operation: Matmul, column: int, spread: bool) -> str:
        """One gate of a contraction. A start is a stage's own affair only in where it comes from: that there is one was decided before."""
        value = operation.result
        if spread:
            raise InternalError(f"%{value.name}: a contraction can't stand for a whole row")
        init = None if operation.init is None else self.evaluate(operation.init, column)
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
    def sums(self) -> int:
        """How many sums are under way at once: contractions that no other one goes on from."""
        return len(self.pieces) - len({piece.init for piece in self.pieces} & {piece.name for piece in self.pieces})

    def body(self, panels: Callable[[int, tuple[PanelColumn, ...]], str]) -> tuple[Statement, ...]:
        """All statements so far: loads; in each phase, one contraction for each left side; then the rest."""
        groups: dict[tuple[int, Access, int], list[Piece]] = {}
        for piece in sorted(self.pieces, key=lambda piece: piece.phase):
            groups.setdefault((piece.phase, piece.left, piece.depth), []).append(piece)
        body: list[Statement] = []
        rest = list(self.statements)
        for (_, left, depth), group in groups.items():
            early, rest = self._needed(rest, {piece.init for piece in group})
            packed = panels(depth, tuple(piece.columns for piece in group))
            contraction = Contract(tuple(piece.name for piece in group), left, depth, packed, tuple(piece.init for piece in group))
            body += (*early, contraction)
        return (*self.leaves, *body, *rest)

    def _needed(self, statements: Sequence[Statement], names: Collection[str | None]) -> tuple[list[Statement], list[Statement]]:
        """The statements that the named ones are made of, and all others, in their order."""
        needed, early, rest = set(names), list[Statement](), list[Statement]()
        for statement in reversed(statements):
            if isinstance(statement, Map | Draw) and statement.name in needed:
                needed.update(statement.operands if isinstance(statement, Map) else ())
                early.append(statement)
            else:
                rest.append(statement)
        return early[::-1], rest[::-1]


def ids_buffer(ids: Value, location: Location) -> str:
    """The buffer of ids whose row r belongs to a nest's row r; those of a scan's step don't."""
    if location.rows is RowMap.TOKEN or location.row or location.column:
        raise InternalError(f"%{ids.name}: ids must be all rows of a buffer")
    return location.buffer


def shown_name(hold: bool, flip: bool) -> str:
    """The name of the index array that says which token a padded step shows."""
    return f"shown_{'hold' if hold else 'fill'}{'_flip' if flip else ''}"
