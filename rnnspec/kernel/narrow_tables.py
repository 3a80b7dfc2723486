"""Tables whose rows are looked up by ids, in fewer bits: narrowed by the prepare function, and widened where rows are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rnnspec.contract.dimensions import Dim
from rnnspec.contract.native_function import Space
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind
from rnnspec.ir.ops import ReduceKind
from rnnspec.kernel.block_context import Context
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Access,
    ColumnReduce,
    FusedLoop,
    Load,
    Map,
    Node,
    RowMap,
    RowReduce,
    ScanLoop,
    Splat,
    Statement,
    Store,
)
from rnnspec.kernel.target import NarrowType

MOST = 127.0
"""The largest whole number of a byte whose negative is one, too."""

LEAST = 1e-30
"""The least maximum of a row, or a column, that isn't taken for zeros: `MOST` divided by a smaller one would be infinite."""


def narrow_tables(running: Context, preparing: Context, nodes: Sequence[Node]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The nodes of a function with narrow tables in the place of wide ones, and the nodes by which its prepare function makes them.

    Of whole numbers each row has a scale, its largest magnitude's 127th. The narrow tables are added to `running`; wide ones that were
    prepared for the function become the prepare function's own.
    """
    if running.panel_type is running.dtype:
        return tuple(nodes), ()
    narrow: dict[str, _Table] = {}
    for name in _tables(running, nodes):
        buffer = running.buffers[name]
        table = running.add("prepared.table", Space.PREPARED, running.panel_type, buffer.rows, buffer.width)
        scales = None
        if running.panel_type is NarrowType.I8:
            scales = running.add(f"{table}.scales", Space.PREPARED, running.dtype, buffer.rows, 1)
        narrow[name] = _Table(running, name, table, scales)
        if buffer.space is Space.PREPARED:
            preparing.buffers[name] = replace(buffer, space=Space.SCRATCH)
            del running.buffers[name]
    changed = tuple(_changed(node, narrow) for node in nodes)
    return changed, tuple(node for table in narrow.values() for node in table.prepared())


def _tables(context: Context, nodes: Sequence[Node]) -> list[str]:
    """The buffers of weights, or made of them, of which rows are looked up, or the first one fills in, and that nothing else reads."""
    uses = Counter(name for node in nodes for name in buffers_of(node))
    looked_up = Counter(load.access.buffer for load in _loads(nodes) if _looks_up(load.access))
    filling = Counter(load.access.fill for load in _loads(nodes))
    kept = (Space.WEIGHT, Space.PREPARED)
    return [name for name, count in looked_up.items() if context.buffers[name].space in kept and uses[name] == count + filling[name]]


def _looks_up(access: Access) -> bool:
    return access.via is not None and access.fill is None and not access.splat


def _loads(nodes: Sequence[Node]) -> Iterator[Load]:
    for node in nodes:
        match node:
            case ScanLoop():
                yield from _loads(node.body)
            case FusedLoop() | RowReduce() | ColumnReduce():
                yield from (statement for statement in node.body if isinstance(statement, Load))
            case _:
                pass


def _changed(node: Node, tables: Mapping[str, _Table]) -> Node:
    match node:
        case ScanLoop():
            return replace(node, body=tuple(_changed(inner, tables) for inner in node.body))
        case FusedLoop() | RowReduce() | ColumnReduce():
            return replace(node, body=tuple(_changed_body(node.body, tables)))
        case _:
            return node


def _changed_body(body: Sequence[Statement], tables: Mapping[str, _Table]) -> Iterator[Statement]:
    known: dict[Access, str] = {}
    for statement in body:
        if isinstance(statement, Load) and statement.access.buffer in tables:
            yield from tables[statement.access.buffer].loaded(statement, known)
        elif isinstance(statement, Load) and (fill := tables.get(statement.access.fill or "")) is not None:
            yield replace(statement, access=replace(statement.access, fill=fill.first))
        else:
            yield statement


class _Table:
    """A table and its narrow form; `scales`: of whole numbers, the buffer with a factor for each row."""

    def __init__(self, context: Context, wide: str, narrow: str, scales: str | None) -> None:
        self._context, self._wide, self._narrow, self._scales = context, wide, narrow, scales
        buffer = context.buffers[wide]
        self._rows, self._width = buffer.rows, buffer.width
        self._first: str | None = None

    @property
    def first(self) -> str:
        """The buffer of the first row, which fills in for rows that aren't there: as wide as that, and with the narrow one's numbers."""
        if self._first is None:
            self._first = self._context.add(f"{self._narrow}.first", Space.PREPARED, self._context.dtype, 1, self._width)
        return self._first

    def loaded(self, load: Load, known: dict[Access, str]) -> Iterator[Statement]:
        """The statements in the place of a load; `known`: the names of rows' scales that were loaded before."""
        access = replace(load.access, buffer=self._narrow)
        if self._scales is None:
            yield Load(load.name, access)
            return
        place = Access(self._scales, access.rows, row=access.row, via=access.via, splat=True)
        if place not in known:
            known[place] = f"{load.name}.scale"
            yield Load(known[place], place)
        yield Load(f"{load.name}.whole", access)
        yield Map(load.name, BinaryKind.MUL, (f"{load.name}.whole", known[place]))

    def prepared(self) -> Iterator[Node]:
        """The nodes that make the narrow table, and what else is read of it."""
        wide, narrow = Load("wide", Access(self._wide, RowMap.ROW)), Access(self._narrow, RowMap.ROW)
        if self._scales is None:
            yield self._stage(self._rows, self._width, (wide, Store(narrow, "wide")))
        else:
            yield from self._counted(wide, narrow, Access(self._scales, RowMap.ROW))
        if self._first is not None:
            row = Access(self._narrow, RowMap.FIRST)
            body: tuple[Statement, ...] = (Load("row", row),)
            if self._scales is not None:
                scale = Load("scale", Access(self._scales, RowMap.FIRST, splat=True))
                body = (Load("whole", row), scale, Map("row", BinaryKind.MUL, ("whole", "scale")))
            yield self._stage(1, self._width, (*body, Store(Access(self._first, RowMap.FIRST), "row")))

    def _counted(self, wide: Load, narrow: Access, scale: Access) -> Iterator[Node]:
        """Those of whole numbers. First a row's scale is its largest magnitude."""
        yield RowReduce(self._rows, self._width, (wide, Map("size", UnaryKind.ABS, ("wide",))), ReduceKind.MAX, "size", scale)
        most, least, nothing = Splat("most", MOST), Splat("least", LEAST), Splat("nothing", 0.0)
        divided = (
            *(wide, Load("largest", replace(scale, splat=True)), most, least, nothing),
            Map("quotient", BinaryKind.DIV, ("most", "largest")),
            Map("none", CompareKind.LT, ("largest", "least")),
            Map("factor", None, ("none", "nothing", "quotient")),
            Map("whole", BinaryKind.MUL, ("wide", "factor")),
            Store(narrow, "whole"),
        )
        yield self._stage(self._rows, self._width, divided)
        in_one = (Load("largest", scale), most, Map("scale", BinaryKind.DIV, ("largest", "most")), Store(scale, "scale"))
        yield self._stage(self._rows, 1, in_one)

    def _stage(self, rows: Dim, units: int, body: tuple[Statement, ...]) -> FusedLoop:
        return FusedLoop(rows, units, self._context.tiling.pointwise(units, body, self._context.dtype), body)
