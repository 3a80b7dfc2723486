"""Kernel functions run on symbols: which expression each element holds, for two packed steps of one row each.

Two functions that load the same expressions, and leave the same ones behind, compute the same, wherever they keep them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from rnnspec.contract.dimensions import TOKENS
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    ColumnReduce,
    Contract,
    FusedLoop,
    KernelFunction,
    Load,
    Map,
    Node,
    Outer,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Statement,
    Store,
)

STEPS = 2


@dataclass
class Expressions:
    """A number for each expression: equal ones have the same."""

    known: dict[Hashable, int] = field(default_factory=dict[Hashable, int])

    def of(self, *parts: Hashable) -> int:
        return self.known.setdefault(parts, len(self.known))


@dataclass
class SymbolicRun:
    """A run of a function. `memory`: the expression at a buffer's row and column; `loaded`: all that was loaded, in order."""

    function: KernelFunction
    expressions: Expressions
    memory: dict[tuple[str, int, int], int] = field(default_factory=dict[tuple[str, int, int], int])
    loaded: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        for node in self.function.nodes:
            self._node(node, step=0, rows=STEPS)

    def rows_of(self, buffer: Buffer) -> int:
        return STEPS if buffer.rows == TOKENS else 1

    def contents(self, buffer: Buffer, column: int, width: int) -> list[int]:
        """What some columns of a buffer hold, row by row."""
        return [self._at(buffer.name, row, column + unit) for row in range(self.rows_of(buffer)) for unit in range(width)]

    def _at(self, buffer: str, row: int, column: int) -> int:
        return self.memory.setdefault((buffer, row, column), self.expressions.of("at first", buffer, row, column))

    def _place(self, access: Access, row: int, step: int, unit: int) -> tuple[str, int, int]:
        mapped = {RowMap.ROW: row, RowMap.TOKEN: step + row, RowMap.FIRST: 0}[access.rows]
        return access.buffer, (0 if access.via else mapped) + access.row, access.column + (0 if access.splat else unit)

    def _load(self, access: Access, row: int, step: int, unit: int) -> int:
        self.loaded.append(self._at(*self._place(access, row, step, unit)))
        return self.loaded[-1]

    def _whole(self, name: str) -> list[int]:
        buffer = self.function.buffer(name)
        found = self.contents(buffer, 0, buffer.width)
        self.loaded += found
        return found

    def _node(self, node: Node, step: int, rows: int) -> None:
        match node:
            case ScanLoop():
                for turn in range(STEPS):
                    for inner in node.body:
                        self._node(inner, STEPS - 1 - turn if node.reverse else turn, 1)
            case FusedLoop():
                for row in range(rows):
                    for unit in range(node.units):
                        self._body(node.body, row, step, unit)
            case RowReduce():
                for row in range(rows):
                    summed = tuple(self._body(node.body, row, step, unit)[node.value] for unit in range(node.units))
                    self.memory[self._place(node.target, row, step, 0)] = self.expressions.of(node.kind, summed)
            case ColumnReduce():
                for unit in range(node.units):
                    summed = tuple(self._body(node.body, row, step, unit)[node.value] for row in range(rows))
                    self.memory[self._place(node.target, 0, step, unit)] = self.expressions.of(node.kind, summed)
            case Outer():
                for i in range(node.height):
                    for j in range(node.units):
                        read = tuple(
                            self._load(side, row, step, unit) for row in range(rows) for side, unit in ((node.left, i), (node.right, j))
                        )
                        self.memory[node.target.buffer, i, node.target.column + j] = self.expressions.of("outer", read)
            case Scatter():
                for unit in range(node.units):
                    read = tuple(self._load(node.source, row, step, unit) for row in range(rows))
                    self.memory[node.target, 0, unit] = self.expressions.of("scatter", read)
            case Rearranged():
                for place, value in enumerate(self._whole(node.source)):
                    self.memory[node.target, 0, place] = value
            case _:
                raise AssertionError(f"no symbols for a {type(node).__name__}")

    def _body(self, body: tuple[Statement, ...], row: int, step: int, unit: int) -> dict[str, int]:
        values: dict[str, int] = {}
        for statement in body:
            match statement:
                case Load():
                    values[statement.name] = self._load(statement.access, row, step, unit)
                case Map():
                    values[statement.name] = self.expressions.of(statement.kind, tuple(values[each] for each in statement.operands))
                case Contract():
                    left = tuple(self._load(statement.left, row, step, place) for place in range(statement.depth))
                    for gate, name in enumerate(statement.names):
                        values[name] = self.expressions.of("contract", left, statement.panels, gate, unit)
                case Store():
                    self.memory[self._place(statement.access, row, step, unit)] = values[statement.value]
                case _:
                    raise AssertionError(f"no symbols for a {type(statement).__name__}")
        return values


def runs(*functions: KernelFunction) -> Iterator[SymbolicRun]:
    """Of functions that are to be compared."""
    expressions = Expressions()
    return (SymbolicRun(function, expressions) for function in functions)
