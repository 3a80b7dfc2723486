"""Counts what loop nests do: operations, and the bytes that they read and write, as functions of a call's sizes.

Real elements alone count, not the lanes that fill a vector up. Bytes: each element that a nest reads or
writes counts once in each run of the nest, however often its tiles come back to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import assert_never

from rnnspec.contract.dimensions import ROWS, Dim, Tokens, addends, substituted
from rnnspec.contract.native_function import Space
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import Cost, cost_of
from rnnspec.ir.types import DType
from rnnspec.kernel.calling_convention import sizes_of
from rnnspec.kernel.loop_nests import Nest
from rnnspec.kernel.nodes import (
    Access,
    ColumnReduce,
    Contract,
    Draw,
    FusedLoop,
    GatherIds,
    KernelFunction,
    Load,
    Map,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Position,
    Prefetch,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Splat,
    Statement,
    Store,
)
from rnnspec.kernel.target import ELEMENT_BYTES
from rnnspec.kernel.uniform_values import same_for_all_units

DRAW = "draw"
"""The name of random numbers among the counts of elementary functions."""


@frozen
class Count:
    """`matmul`: multiplications and additions in products; `elementwise`: all others, one an element.

    `elementary`: calls by function; `read` and `written`: bytes by buffer.
    """

    matmul: Dim
    elementwise: Dim
    elementary: Mapping[str, Dim]
    read: Mapping[str, Dim]
    written: Mapping[str, Dim]

    def __add__(self, other: Count) -> Count:
        return Count(
            self.matmul + other.matmul,
            self.elementwise + other.elementwise,
            _merged(self.elementary, other.elementary),
            _merged(self.read, other.read),
            _merged(self.written, other.written),
        )


ELEMENTWISE_COST, ELEMENTARY_COST, BYTE_COST = 4, 32, 1
"""The cost of an elementwise operation, an elementary function and a byte of memory, in operations of a product."""


def cost(counted: Count) -> Dim:
    """About how long it takes, in operations of a product."""
    total = counted.matmul + counted.elementwise * ELEMENTWISE_COST
    for calls in counted.elementary.values():
        total += calls * ELEMENTARY_COST
    for moved in (*counted.read.values(), *counted.written.values()):
        total += moved * BYTE_COST
    return total


NOTHING = Count(0, 0, {}, {}, {})


def _merged(left: Mapping[str, Dim], right: Mapping[str, Dim]) -> dict[str, Dim]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in (*left, *right)}


@frozen
class _Range:
    """Columns of some rows of a buffer: of each row that the nest runs over, or (`once`) of one row a run."""

    buffer: str
    row: tuple[object, ...]
    once: bool
    start: int
    stop: int


@frozen
class Counting:
    """The buffers of a function for counting: bytes of an element, and the gradients, which are zeros when the function is called."""

    element_bytes: Mapping[str, int]
    gradients: frozenset[str]

    @staticmethod
    def of(function: KernelFunction) -> Counting:
        """The counting of a function's buffers; gradients are zeros when it is called."""
        gradients = (buffer.name for buffer in function.buffers if buffer.space is Space.GRADIENT)
        return Counting({buffer.name: ELEMENT_BYTES[buffer.dtype] for buffer in function.buffers}, frozenset(gradients))

    def count(self, nest: Nest) -> Count:
        """The count of all runs of a nest in one call; a scan's is without the nests of its step."""
        return _Counter(nest, self.element_bytes, self.gradients).count()


def count(nest: Nest, function: KernelFunction) -> Count:
    """The count of one nest, see `Counting.count`."""
    return Counting.of(function).count(nest)


@frozen(slots=False)
class _Counter:
    """The counts of one nest, part by part."""

    nest: Nest
    element_bytes: Mapping[str, int]
    gradients: Collection[str]
    """The buffers that are zeros when the function is called."""

    @property
    def runs(self) -> Dim:
        return 1 if self.nest.scan is None else self.nest.scan.steps

    def rows(self, rows: Dim) -> Dim:
        """Rows of all runs together: those of a scan's steps are its tokens."""
        if self.nest.scan is None:
            return rows
        return self.runs * rows if isinstance(rows, int) else substituted(rows, {ROWS: Tokens(self.nest.scan.steps.number)})

    def count(self) -> Count:
        node = self.nest.node
        match node:
            case FusedLoop():
                return self.body(node.body, self.rows(node.rows), node.units)
            case RowReduce() | ColumnReduce():
                return self.reduction(node)
            case Outer():
                rows = self.rows(node.rows)
                reads = (_columns(node.left, node.height), _columns(node.right, node.units))
                written = {node.target.buffer: self.runs * (node.height * node.units * self.element_bytes[node.target.buffer])}
                return Count(rows * (2 * node.height * node.units), 0, {}, self.bytes(reads, rows), written)
            case Scatter():
                return self.scatter(node)
            case GatherIds():
                rows = self.rows(node.rows) * ELEMENT_BYTES[DType.I32]
                indices = {} if node.via is None else {node.via: rows}
                return Count(0, 0, {}, _merged(indices, {node.source: rows}), {node.target: rows})
            case Rearranged():
                moved = self.rows(node.rows) * (node.height * node.units * self.element_bytes[node.source])
                return Count(0, 0, {}, {node.source: moved}, {node.target: moved})
            case PackPanels():
                return self.panels(node)
            case NarrowPanels():
                elements = node.tiles * node.depth * node.columns
                read = {node.source: elements * self.element_bytes[node.source]}
                written = {node.target: elements * self.element_bytes[node.target]}
                if node.scales is not None:
                    written[node.scales] = node.tiles * node.columns * self.element_bytes[node.scales]
                return Count(0, elements, {}, read, written)
            case ScanLoop():
                return self.scan(node)
        assert_never(node)

    def body(self, body: Sequence[Statement], rows: Dim, units: int) -> Count:
        """The statements for each row and unit; for each row, those that are the same for all units and wait for no contraction."""
        elements = rows * units
        contracts = any(isinstance(statement, Contract) for statement in body)
        same = frozenset[int]() if contracts else frozenset(map(id, same_for_all_units(body)[0]))
        matmul: Dim = 0
        elementwise: Dim = 0
        elementary: dict[str, Dim] = {}
        reads: list[_Range] = []
        indices: dict[tuple[str, RowMap], None] = {}
        writes: list[_Range] = []
        panels: dict[str, Dim] = {}
        for statement in body:
            times = rows if id(statement) in same else elements
            match statement:
                case Load(access=access):
                    reads.append(_columns(access, units))
                    if access.fill is not None:
                        reads.append(_Range(access.fill, (), True, access.column, access.column + (1 if access.splat else units)))
                    if access.via is not None:
                        indices[access.via, access.rows] = None
                case Map(kind=kind):
                    match cost_of(kind):
                        case Cost.ELEMENTARY if kind is not None:
                            elementary[kind.value] = elementary.get(kind.value, 0) + times
                        case Cost.FREE:
                            pass
                        case _:
                            elementwise += times
                case Draw():
                    elementary[DRAW] = elementary.get(DRAW, 0) + (rows if statement.splat else elements)
                case Contract():
                    matmul += elements * (2 * statement.depth * len(statement.names))
                    reads.append(_columns(statement.left, statement.depth))
                    if statement.left.via is not None:
                        indices[statement.left.via, statement.left.rows] = None
                    size = statement.depth * units * len(statement.names) * self.element_bytes[statement.panels]
                    panels[statement.panels] = self.runs * size
                    if statement.scales is not None:
                        panels[statement.scales] = self.runs * units * len(statement.names) * self.element_bytes[statement.scales]
                case Store(access=access):
                    writes.append(_columns(access, units))
                case Splat() | Position() | Prefetch():
                    pass
                case _:
                    assert_never(statement)
        read = _merged(self.bytes(reads, rows), panels)
        for name, kind in indices:
            looked_up = self.runs if kind is RowMap.FIRST else rows
            read[name] = read.get(name, 0) + looked_up * ELEMENT_BYTES[DType.I32]
        return Count(matmul, elementwise, elementary, read, self.bytes(writes, rows))

    def bytes(self, ranges: Iterable[_Range], rows: Dim) -> dict[str, Dim]:
        """Bytes by buffer, overlapping columns of the same rows once."""
        found: dict[tuple[str, tuple[object, ...], bool], list[tuple[int, int]]] = {}
        for each in ranges:
            found.setdefault((each.buffer, each.row, each.once), []).append((each.start, each.stop))
        bytes_: dict[str, Dim] = {}
        for (buffer, _, once), columns in found.items():
            times = self.runs if once else rows
            bytes_[buffer] = bytes_.get(buffer, 0) + times * (_covered(columns) * self.element_bytes[buffer])
        return bytes_

    def reduction(self, node: RowReduce | ColumnReduce) -> Count:
        rows = self.rows(node.rows)
        inner = self.body(node.body, rows, node.units)
        results = rows if isinstance(node, RowReduce) else self.runs * node.units
        written = {node.target.buffer: results * self.element_bytes[node.target.buffer]}
        return inner + Count(0, rows * node.units, {}, {}, written)

    def scatter(self, node: Scatter) -> Count:
        """Sums: each row is added to one of the target's, which is made zeros before, unless it is already."""
        rows = self.rows(node.rows)
        size = self.element_bytes[node.target]
        ids = {node.ids: rows * ELEMENT_BYTES[DType.I32]}
        if node.missing:
            return Count(0, 0, {}, ids, {node.target: self.cleared(node)})
        source = self.bytes([_columns(node.source, node.units)], rows)
        target = rows * (node.units * size)
        written = self.cleared(node) + target
        return Count(0, rows * node.units, {}, _merged(ids, _merged(source, {node.target: target})), {node.target: written})

    def cleared(self, node: Scatter) -> Dim:
        if node.target in self.gradients:
            return 0
        return self.rows(node.target_rows) * (node.units * self.element_bytes[node.target])

    def panels(self, node: PackPanels) -> Count:
        size = self.element_bytes[node.target]
        read: dict[str, Dim] = {}
        for gate in node.gates:
            read = _merged(read, {gate.buffer: node.depth * node.units * size})
        return Count(0, 0, {}, read, {node.target: node.depth * node.units * len(node.gates) * size})

    def scan(self, node: ScanLoop) -> Count:
        """Each row enters once and leaves once."""
        rows = node.rows
        read: dict[str, Dim] = {node.offsets: (node.steps + 1) * ELEMENT_BYTES[DType.I32]}
        written: dict[str, Dim] = {}
        for state in node.states:
            moved = rows * (state.width * self.element_bytes[state.current])
            written = _merged(written, {state.current: moved})
            if state.init is not None:
                read = _merged(read, {state.init: moved})
            if state.final is not None:
                read = _merged(read, {state.following: moved})
                written = _merged(written, {state.final: moved})
        return Count(0, 0, {}, read, written)


def _columns(access: Access, units: int) -> _Range:
    once = access.rows is RowMap.FIRST
    return _Range(access.buffer, (access.rows, access.row, access.via), once, access.column, access.column + (1 if access.splat else units))


def _covered(columns: Iterable[tuple[int, int]]) -> int:
    """How many columns at least one of the ranges has."""
    total, end = 0, 0
    for start, stop in sorted(columns):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


def print_counts(nests: Iterable[tuple[Nest, Count]]) -> str:
    """One paragraph a nest, ending in a line break."""
    lines: list[str] = []
    for nest, counted in nests:
        shown = partial(_shown, nest.node)
        lines.append(f"{nest.name} {type(nest.node).__name__}")
        for what, amount in (("matmul", counted.matmul), ("elementwise", counted.elementwise)):
            if amount != 0:
                lines.append(f"  {what} {shown(amount)}")
        lines += [f"  {name} {shown(amount)}" for name, amount in counted.elementary.items()]
        lines += [f"  read {name}: {shown(amount)} bytes" for name, amount in counted.read.items()]
        lines += [f"  write {name}: {shown(amount)} bytes" for name, amount in counted.written.items()]
    return "\n".join([*lines, ""])


def _shown(node: Node, amount: Dim) -> str:
    """`5 + 12 batch`, in terms of the nest's own rows: `12 batch*5` and not `60 batch` where there are `batch*5` of them."""
    units: dict[Dim, tuple[Dim, int]] = {}
    for rows in sizes_of(node):
        match addends(rows):
            case ((addend, often),) if addend != 1:
                units[addend] = rows, often
            case _:
                pass
    terms: list[tuple[str, int]] = []
    for addend, coefficient in addends(amount):
        unit, often = units.get(addend, (addend, 1))
        if coefficient % often:
            unit, often = addend, 1
        terms.append(("" if addend == 1 else str(unit), coefficient // often))
    return " + ".join(f"{coefficient} {unit}".rstrip() for unit, coefficient in sorted(terms)) or "0"
