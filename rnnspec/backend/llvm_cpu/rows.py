"""Executes a stage's statements for a few rows and vectors of units: the inside of every loop nest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from rnnspec.backend.llvm_cpu.elementwise import emit_elementwise
from rnnspec.backend.llvm_cpu.panel_elements import PanelElements, PanelRow
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.contract.dimensions import BATCH, Size
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import Access, Buffer, Contract, Draw, Load, Map, Position, Prefetch, RowMap, Splat, Statement, Store
from rnnspec.kernel.target import CACHE_LINE
from rnnspec.kernel.uniform_values import same_for_all_units


@frozen(slots=False)
class RowAddresses:
    """The addresses that a loop nest's function knows: its buffers' registers, the step's first token, the number of its tokens."""

    buffers: Mapping[str, Buffer]
    registers: Mapping[str, str]
    token: str = "0"
    tokens: str = "0"


@frozen(slots=False)
class UnitTile:
    """Units `start` .. of one tile: `vectors` of them, the last with `last` lanes; `number` counts tiles from 0."""

    start: str
    number: str
    vectors: int
    last: int

    def lanes(self, vector: int, full: int) -> int:
        """The lanes in use of a vector of the tile; `full`: of any but the last one."""
        return self.last if vector == self.vectors - 1 else full


_Adding: TypeAlias = Callable[[str, str, Sequence[str], str | None], list[str]]
"""The sums after the turns from the first number to the last, from the given sums; in each turn a line comes from an address on."""


@frozen(slots=False)
class DepthPart:
    """Turns `start` to `stop` - 1 of a tile's only contraction, whose sums are in memory from `sums` on, rows `row_width` apart.

    `first`: an i1, whether no turns came before; None in the last part, after which the tile's other statements follow.
    """

    start: str
    stop: str
    sums: str
    row_width: int
    first: str | None


@dataclass
class TileEmitter:
    """Statements for `count` rows from row `row` on and one tile of units."""

    vectors: Vectors
    places: RowAddresses
    row: str
    count: int
    units: UnitTile
    panel_vectors: int
    values: dict[tuple[str, int, int], str] = field(default_factory=dict[tuple[str, int, int], str])
    _rows: range = range(0)
    """The tile's rows for which statements are emitted."""
    _contracts: bool = False
    """Whether the tile has a contraction, which takes long enough for prefetched lines to arrive."""
    _pointers: dict[tuple[Access, int], str] = field(default_factory=dict[tuple[Access, int], str])

    def run(self, body: Sequence[Statement], part: DepthPart | None = None) -> None:
        """Emits contractions for all rows at once, then their users row by row, so that few values are alive.

        `part`: of the contraction; its users belong to the last one.
        """
        early, late = _around_contractions(body)
        first = next((statement for statement in early if isinstance(statement, Contract)), None)
        fetch = next((statement for statement in body if isinstance(statement, Prefetch) and statement.rows == self.count), None)
        self._contracts = first is not None
        self._rows = range(self.count)
        for statement in early:
            if isinstance(statement, Contract) and part is not None:
                if part.first is None:
                    self._fetch_written(body)
                self._contract_part(statement, part)
                if part.first is not None:
                    return
            elif isinstance(statement, Contract) and statement is first:
                self._fetch_written(body)
                self._contract(statement, fetch)
            else:
                self._statement(statement)
        for rows in [range(row, row + 1) for row in range(self.count)] if self._contracts else [range(self.count)]:
            self._rows = rows
            for statement in late:
                self._statement(statement)

    def _fetch_written(self, body: Sequence[Statement]) -> None:
        """Prefetches the tokens' lines that the tile stores to but doesn't load, to arrive during the contraction."""
        read = {statement.access for statement in body if isinstance(statement, Load)}
        for statement in body:
            if isinstance(statement, Store) and self._is_of_tokens(statement.access) and statement.access not in read:
                for row in range(self.count):
                    for vector in range(0, self.units.vectors, self._vectors_in_a_line()):
                        self.vectors.prefetch(self._vector_pointer(statement.access, row, vector), written=True)

    def value(self, name: str, row: int, vector: int) -> str:
        """The register of a statement's value at a row and a vector of the tile."""
        return self.values[name, row, vector]

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Load():
                self._load(statement)
            case Splat():
                self._set_all(statement.name, self.vectors.vector(statement.value))
            case Position():
                self._count_units(statement)
            case Map():
                for row, vector in self._grid():
                    operands = [self.values[name, row, vector] for name in statement.operands]
                    self.values[statement.name, row, vector] = emit_elementwise(self.vectors, statement.kind, operands)
            case Draw():
                self._draw(statement)
            case Contract():
                self._contract(statement)
            case Prefetch():
                pass
            case Store():
                for row, vector in self._grid():
                    pointer = self._vector_pointer(statement.access, row, vector)
                    lanes = self.units.lanes(vector, self.vectors.lanes)
                    self._elements(statement.access).store(self.values[statement.value, row, vector], pointer, lanes)
            case _:
                assert_never(statement)

    def _grid(self) -> list[tuple[int, int]]:
        return [(row, vector) for row in self._rows for vector in range(self.units.vectors)]

    def _set_all(self, name: str, register: str) -> None:
        for row, vector in self._grid():
            self.values[name, row, vector] = register

    def _count_units(self, statement: Position) -> None:
        """The numbers of the first row, which are those of every row."""
        for row, vector in self._grid():
            first = self.values.get((statement.name, 0, vector))
            if first is None:
                start = self.vectors.writer.add(self.units.start, statement.column + vector * self.vectors.lanes)
                first = self.vectors.consecutive(start)
            self.values[statement.name, row, vector] = first

    def _load(self, statement: Load) -> None:
        access = statement.access
        shared = access.rows is RowMap.FIRST and access.via is None
        for row in self._rows:
            if shared and row > 0:
                for vector in range(self.units.vectors):
                    self.values[statement.name, row, vector] = self.values[statement.name, 0, vector]
                continue
            if access.splat:
                register = self.vectors.load_splat(self.row_pointer(access, row))
                for vector in range(self.units.vectors):
                    self.values[statement.name, row, vector] = register
                continue
            if self._contracts and access.rows is RowMap.TOKEN and access.via is None:
                self._fetch_next(access, row)
            for vector in range(self.units.vectors):
                lanes = self.units.lanes(vector, self.vectors.lanes)
                self.values[statement.name, row, vector] = self._elements(access).load(self._vector_pointer(access, row, vector), lanes)

    def _fetch_next(self, access: Access, row: int) -> None:
        """Prefetches the next tile of rows: a step returns to tokens too seldom for the processor to predict them."""
        further = self.count * self.places.buffers[access.buffer].width
        for vector in range(0, self.units.vectors, self._vectors_in_a_line()):
            self.vectors.prefetch(self.vectors.pointer(self._vector_pointer(access, row, vector), str(further)))

    def _is_of_tokens(self, access: Access) -> bool:
        rows = self.places.buffers[access.buffer].rows
        return access.rows is RowMap.TOKEN or (isinstance(rows, Size) and rows != BATCH)

    def _vectors_in_a_line(self) -> int:
        return max(1, CACHE_LINE // self.vectors.target.vector_bytes)

    def _draw(self, statement: Draw) -> None:
        writer = self.vectors.writer
        key = writer.assign(f"load i32, ptr {self.places.registers[statement.key]}, align 4", "key")
        for row, vector in self._grid():
            number = writer.add(self.row, row)
            column = str(statement.column)
            if not statement.splat:
                column = writer.add(self.units.start, statement.column + vector * self.vectors.lanes)
            drawn = self.vectors.uniform(key, statement.stream, number, statement.width, column, statement.splat)
            self.values[statement.name, row, vector] = drawn

    def row_pointer(self, access: Access, row: int) -> str:
        """The address of the access's first element for the tile's `row`-th row."""
        key = (access, row)
        if key not in self._pointers:
            self._pointers[key] = self._row_pointer(access, row)
        return self._pointers[key]

    def _row_pointer(self, access: Access, row: int) -> str:
        writer, elements = self.vectors.writer, self._elements(access)
        buffer = self.places.buffers[access.buffer]
        base = self.places.registers[access.buffer]
        match access.rows:
            case RowMap.ROW:
                number = writer.add(self.row, row + (0 if access.via else access.row))
            case RowMap.TOKEN:
                number = writer.add(writer.add(self.places.token, self.row), row + (0 if access.via else access.row))
            case RowMap.FIRST:
                number = str(access.row)
        if access.via is not None:
            looked_up = writer.load_index(self.places.registers[access.via], number)
            found = elements.pointer(base, writer.add(writer.multiply(writer.add(looked_up, access.row), buffer.width), access.column))
            if access.fill is None:
                return found
            filled = self.vectors.pointer(self.places.registers[access.fill], str(access.column))
            missing = writer.assign(f"icmp slt i64 {looked_up}, 0", "m")
            return writer.assign(f"select i1 {missing}, ptr {filled}, ptr {found}", "p")
        return elements.pointer(base, writer.add(writer.multiply(number, buffer.width), access.column))

    def _elements(self, access: Access) -> PanelElements:
        return PanelElements(self.vectors, self.places.buffers[access.buffer].dtype)

    def _vector_pointer(self, access: Access, row: int, vector: int) -> str:
        offset = self.vectors.writer.add(self.units.start, vector * self.vectors.lanes)
        return self._elements(access).pointer(self.row_pointer(access, row), offset)

    def _adding(self, statement: Contract) -> _Adding:
        """Emits a contraction's addresses; what it returns emits turns over the depth, all sums in registers."""
        vectors, writer = self.vectors, self.vectors.writer
        gates, lanes = len(statement.names), vectors.lanes
        block = self.panel_vectors * gates * lanes
        first = writer.multiply(self.units.start, statement.depth * gates)
        elements_of = PanelElements(vectors, self.places.buffers[statement.panels].dtype)
        panels = [
            elements_of.pointer(self.places.registers[statement.panels], writer.add(first, number * statement.depth * block))
            for number in range(-(-self.units.vectors // self.panel_vectors))
        ]
        left = [self.row_pointer(statement.left, row) for row in range(self.count)]
        keys = self._keys(statement)

        def add(start: str, stop: str, sums: Sequence[str], fetched: str | None) -> list[str]:
            """The sums after some turns, in each of which a line comes from `fetched` on."""
            carried = [(vectors.type, register) for register in sums]
            with writer.carrying_loop(start, stop, 1, carried, "k") as (k, registers, following):
                if fetched is not None:
                    vectors.prefetch(vectors.pointer(fetched, writer.multiply(writer.subtract(k, start), self._line())))
                turn = writer.multiply(k, block)
                steps = [elements_of.pointer(panel, turn) for panel in panels]
                line = PanelRow(elements_of, self.panel_vectors * gates)
                numbers = {
                    (gate, vector): vector % self.panel_vectors * gates + gate
                    for vector in range(self.units.vectors)
                    for gate in range(gates)
                }
                places = {key: line.pointer(steps[key[1] // self.panel_vectors], number) for key, number in numbers.items()}
                waiting = dict(zip(keys, registers, strict=True))
                added: dict[tuple[int, int, int], str] = {}
                if self.count < len(places):
                    elements = [vectors.load_splat(vectors.pointer(pointer, k)) for pointer in left]
                    for (gate, vector), place in places.items():
                        weight = line.load(place, numbers[gate, vector])
                        for row, element in enumerate(elements):
                            added[gate, row, vector] = vectors.multiply_add(element, weight, waiting[gate, row, vector])
                else:
                    weights = {key: line.load(place, numbers[key]) for key, place in places.items()}
                    for row, pointer in enumerate(left):
                        element = vectors.load_splat(vectors.pointer(pointer, k))
                        for (gate, vector), weight in weights.items():
                            added[gate, row, vector] = vectors.multiply_add(element, weight, waiting[gate, row, vector])
                following.extend(added[key] for key in keys)
            return registers

        return add

    def _keys(self, statement: Contract) -> list[tuple[int, int, int]]:
        """Gate, row and vector of each of a tile's sums, in their order in memory."""
        vectors, gates = range(self.units.vectors), range(len(statement.names))
        return [(gate, row, vector) for row in range(self.count) for vector in vectors for gate in gates]

    def _inits(self, statement: Contract) -> list[str]:
        """What each sum starts from; where it is multiplied by a scale at its end, what it goes on from is added then."""
        if statement.scales is not None:
            return ["zeroinitializer"] * len(self._keys(statement))
        return self._addends(statement)

    def _addends(self, statement: Contract) -> list[str]:
        inits = ((statement.inits[gate], row, vector) for gate, row, vector in self._keys(statement))
        return ["zeroinitializer" if init is None else self.values[init, row, vector] for init, row, vector in inits]

    def _contract_part(self, statement: Contract, part: DepthPart) -> None:
        """Some of the turns over the depth, from sums in memory; in parts before the last one, back there."""
        vectors = self.vectors
        a_row = self.units.vectors * len(statement.names)
        addresses = [
            vectors.pointer(part.sums, str(row * part.row_width + place * vectors.lanes))
            for row in range(self.count)
            for place in range(a_row)
        ]
        sums = [vectors.load(address) for address in addresses]
        if part.first is not None:
            starts = zip(self._inits(statement), sums, strict=True)
            sums = [
                vectors.writer.assign(f"select i1 {part.first}, {vectors.type} {start}, {vectors.type} {kept}") for start, kept in starts
            ]
        sums = self._adding(statement)(part.start, part.stop, sums, None)
        if part.first is None:
            self._set_sums(statement, sums)
            return
        for register, address in zip(sums, addresses, strict=True):
            vectors.store(register, address)

    def _set_sums(self, statement: Contract, sums: Sequence[str]) -> None:
        if statement.scales is not None:
            sums = self._scaled(statement, statement.scales, sums)
        for (gate, row, vector), register in zip(self._keys(statement), sums, strict=True):
            self.values[statement.names[gate], row, vector] = register

    def _scaled(self, statement: Contract, scales: str, sums: Sequence[str]) -> list[str]:
        """The sums by the scales of their columns, each on from where it starts."""
        vectors, gates = self.vectors, len(statement.names)
        start = vectors.pointer(self.places.registers[scales], vectors.writer.multiply(self.units.start, gates))
        found = {
            (gate, vector): vectors.load(vectors.pointer(start, str((vector * gates + gate) * vectors.lanes)))
            for vector in range(self.units.vectors)
            for gate in range(gates)
        }
        parts = zip(self._keys(statement), sums, self._addends(statement), strict=True)
        return [vectors.multiply_add(register, found[gate, vector], init) for (gate, _, vector), register, init in parts]

    def _contract(self, statement: Contract, fetch: Prefetch | None = None) -> None:
        """The loop over the depth, all accumulators in registers; with `fetch` in parts, one for each buffer.

        In turns that are left then, what lies behind the left side is fetched: more code, for none, would cost more.
        """
        vectors, writer = self.vectors, self.vectors.writer
        add, sums = self._adding(statement), self._inits(statement)
        if fetch is None:
            sums = add("0", str(statement.depth), sums, None)
        else:
            edges, addresses = self._fetched(fetch, statement.depth)
            addresses += [self.row_pointer(statement.left, row) for row in range(len(edges) - 1 - len(addresses))]
            carried = [(vectors.type, register) for register in sums]
            with writer.carrying_loop("0", str(len(addresses)), 1, carried, "part") as (part, registers, following):
                start, stop = (writer.select_by_index("i64", part, [str(edge) for edge in some]) for some in (edges[:-1], edges[1:]))
                following.extend(add(start, stop, registers, writer.select_by_index("ptr", part, addresses)))
            sums = registers
        self._set_sums(statement, sums)

    def _fetched(self, fetch: Prefetch, depth: int) -> tuple[list[int], list[str]]:
        """The turns at which another buffer begins, from 0 to the depth, and where each is fetched from, a line in each turn.

        Where turns are left there is an address less: nothing has to be fetched in the last of them.
        """
        edges, addresses = [0], list[str]()
        for name in fetch.buffers:
            elements = fetch.rows * self.places.buffers[name].width
            lines = min(-(-elements // (fetch.parts * self._line())), depth - edges[-1])
            if lines:
                edges.append(edges[-1] + lines)
                addresses.append(self._next_step(name, fetch, lines))
        return edges if edges[-1] == depth else [*edges, depth], addresses

    def _next_step(self, name: str, fetch: Prefetch, lines: int) -> str:
        """The tile's part of a buffer's rows for the next step."""
        writer = self.vectors.writer
        token = writer.add(self.places.token, self.row)
        row = writer.subtract(token, self.places.tokens) if fetch.back else writer.add(token, self.places.tokens)
        part = writer.multiply(self.units.number, lines * self._line())
        return self.vectors.pointer(self.places.registers[name], writer.add(writer.multiply(row, self.places.buffers[name].width), part))

    def _line(self) -> int:
        """Elements in a cache line."""
        return CACHE_LINE // self.vectors.bytes


@frozen(slots=False)
class RowValues:
    """The values of a body without contractions that all units of a row share, emitted before the loop over tiles of units."""

    vectors: Vectors
    places: RowAddresses
    row: str
    values: Mapping[str, str]
    rest: tuple[Statement, ...]

    @classmethod
    def emit(cls, vectors: Vectors, places: RowAddresses, row: str, body: Sequence[Statement]) -> RowValues:
        """LLVM wouldn't move it: none of the passes that run takes anything out of a loop."""
        same, rest = same_for_all_units(body)
        emitter = TileEmitter(vectors, places, row, 1, UnitTile("0", "0", 1, vectors.lanes), 1)
        emitter.run(same)
        values = {name: register for (name, _, _), register in emitter.values.items()}
        return cls(vectors, places, row, values, tuple(rest))

    def run(self, units: UnitTile) -> TileEmitter:
        """Emits the rest for a tile of units."""
        values = {(name, 0, vector): register for name, register in self.values.items() for vector in range(units.vectors)}
        emitter = TileEmitter(self.vectors, self.places, self.row, 1, units, 1, values)
        emitter.run(self.rest)
        return emitter


def _around_contractions(body: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """The contractions with the statements that they depend on, and the other statements, emitted later: registers are for sums until then.

    The first is empty if there is no contraction.
    """
    needed: set[str | None] = set()
    early: list[Statement] = []
    late: list[Statement] = []
    for statement in reversed(body):
        match statement:
            case Contract():
                needed.update(statement.inits)
                early.append(statement)
            case Map() if statement.name in needed:
                needed.update(statement.operands)
                early.append(statement)
            case Load() | Splat() | Position() | Draw() if statement.name in needed:
                early.append(statement)
            case Prefetch():
                pass
            case _:
                late.append(statement)
    return early[::-1], late[::-1]
