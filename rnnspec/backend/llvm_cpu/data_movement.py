"""Loop nests of the kernel IR that move: scatter, gather of ids, rearrangement, packing of weights into panels."""

from __future__ import annotations

import itertools

from rnnspec.backend.llvm_cpu.loop_nests import Range, column_tile, row_tiles, unit_tiles_within
from rnnspec.backend.llvm_cpu.rows import RowAddresses, TileEmitter, UnitTile
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.kernel.nodes import GatherIds, PackPanels, PanelColumn, Rearranged, Scatter
from rnnspec.kernel.target import CACHE_LINE


def emit_zeros(vectors: Vectors, target: str, width: int, rows: Range) -> None:
    """Clears rows of a scatter's target, for targets that aren't zeros already."""
    writer = vectors.writer
    vectors.library.declarations["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"] = None
    first = vectors.pointer(target, writer.multiply(rows[0], width))
    size = writer.multiply(writer.subtract(rows[1], rows[0]), width * vectors.bytes)
    writer.do(f"call void @llvm.memset.p0.i64(ptr {first}, i8 0, i64 {size}, i1 false)")


def emit_scatter(vectors: Vectors, places: RowAddresses, node: Scatter, tiles: Range, rows: str) -> None:
    """Adds the rows in order, some tiles of their units."""
    writer = vectors.writer
    target = places.registers[node.target]
    with writer.loop("0", rows, hint="r") as row:
        number = writer.load_index(places.registers[node.ids], row)
        wanted = writer.assign(f"icmp {'slt' if node.missing else 'sge'} i64 {number}, 0")
        with writer.when(wanted):
            source = TileEmitter(vectors, places, row, 1, UnitTile("0", "0", 1, 1), 1).row_pointer(node.source, 0)
            to = target if node.missing else vectors.pointer(target, writer.multiply(number, node.units))

            def add(units: UnitTile) -> None:
                for vector in range(units.vectors):
                    offset = writer.add(units.start, vector * vectors.lanes)
                    lanes = units.lanes(vector, vectors.lanes)
                    address = vectors.pointer(to, offset)
                    value = vectors.load(vectors.pointer(source, offset), lanes)
                    total = writer.assign(f"fadd {vectors.type} {vectors.load(address, lanes)}, {value}")
                    vectors.store(total, address, lanes)

            unit_tiles_within(vectors, node.units, column_tile(vectors, node.units), tiles, add)


def emit_gather_ids(vectors: Vectors, places: RowAddresses, node: GatherIds, rows: Range) -> None:
    """Copies an i32 for each row, from the row itself or from the one that `via` names."""
    writer = vectors.writer
    with writer.loop(*rows, hint="r") as row:
        source = row if node.via is None else writer.load_index(places.registers[node.via], row)
        value = writer.assign(f"load i32, ptr {_element(vectors, places.registers[node.source], source)}, align 4")
        writer.do(f"store i32 {value}, ptr {_element(vectors, places.registers[node.target], row)}, align 4")


def emit_rearranged(vectors: Vectors, places: RowAddresses, node: Rearranged, rows: Range) -> None:
    """One copy, or for each row a transposition element by element."""
    writer, count = vectors.writer, node.height * node.units
    source, target = places.registers[node.source], places.registers[node.target]
    if not node.transpose:
        vectors.library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
        first = writer.multiply(rows[0], count)
        size = writer.multiply(writer.subtract(rows[1], rows[0]), count * vectors.bytes)
        to, origin = vectors.pointer(target, first), vectors.pointer(source, first)
        writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {origin}, i64 {size}, i1 false)")
        return
    with writer.loop(*rows, hint="r") as row:
        start = writer.multiply(row, count)
        with writer.loop("0", str(node.height), hint="i") as i, writer.loop("0", str(node.units), hint="j") as j:
            origin = vectors.pointer(source, writer.add(start, writer.add(writer.multiply(i, node.units), j)))
            to = vectors.pointer(target, writer.add(start, writer.add(writer.multiply(j, node.height), i)))
            value = writer.assign(f"load {vectors.element}, ptr {origin}, align {vectors.bytes}")
            writer.do(f"store {vectors.element} {value}, ptr {to}, align {vectors.bytes}")


def _element(vectors: Vectors, base: str, position: str) -> str:
    return vectors.writer.assign(f"getelementptr inbounds i32, ptr {base}, i64 {position}", "p")


def emit_pack_panels(vectors: Vectors, places: RowAddresses, node: PackPanels, tiles: Range) -> None:
    """For each tile of units and each k: the gates' vectors, one after the other; zeros fill the last vector up."""
    writer, lanes, gates = vectors.writer, vectors.lanes, len(node.gates)
    block = node.vectors * gates * lanes

    def columns(units: UnitTile, panel: str) -> None:
        with writer.loop("0", str(node.depth), hint="k") as k:
            step = vectors.pointer(panel, writer.multiply(k, block))
            for vector in range(units.vectors):
                used = units.lanes(vector, lanes)
                for gate, source in enumerate(node.gates):
                    to = vectors.pointer(step, str((vector * gates + gate) * lanes))
                    if not source.transposed:
                        _pack_vector(vectors, places, source, k, writer.add(units.start, vector * lanes), used, to)
                    elif used < lanes:
                        vectors.store("zeroinitializer", to)

    def rows(units: UnitTile, panel: str, source: PanelColumn) -> None:
        full = units.vectors - (units.last < lanes)
        with writer.loop("0", str(full), hint="vector") as vector:
            unit, to = writer.add(units.start, writer.multiply(vector, lanes)), writer.multiply(vector, gates * lanes)
            _pack_rows(vectors, places, source, node.depth, unit, lanes, vectors.pointer(panel, to), block)
        if full < units.vectors:
            unit, to = writer.add(units.start, full * lanes), str(full * gates * lanes)
            _pack_rows(vectors, places, source, node.depth, unit, units.last, vectors.pointer(panel, to), block)

    def tile(units: UnitTile) -> None:
        panel = vectors.pointer(places.registers[node.target], writer.multiply(units.number, node.depth * block))
        if units.last < lanes or not all(source.transposed for source in node.gates):
            columns(units, panel)
        for gate, source in enumerate(node.gates):
            if source.transposed:
                rows(units, vectors.pointer(panel, str(gate * lanes)), source)

    unit_tiles_within(vectors, node.units, node.vectors, tiles, tile)


def _pack_vector(vectors: Vectors, places: RowAddresses, source: PanelColumn, k: str, unit: str, used: int, to: str) -> None:
    """The weights for depth k of `used` units from `unit` on, which lie beside each other."""
    writer = vectors.writer
    start = writer.multiply(writer.add(k, source.row), places.buffers[source.buffer].width)
    place = vectors.pointer(places.registers[source.buffer], writer.add(writer.add(start, source.column), unit))
    vectors.store(vectors.load(place, used), to)


SQUARE = 4
"""Rows and columns that are transposed in registers: larger squares take few instructions less, and much longer to compile."""


def _pack_rows(vectors: Vectors, places: RowAddresses, source: PanelColumn, depth: int, unit: str, used: int, to: str, step: int) -> None:
    """As `_pack_vector` for every k, `step` elements apart, where a unit's weights are a row: on both sides a cache line comes once."""
    writer, side = vectors.writer, min(SQUARE, vectors.lanes)
    width, line = places.buffers[source.buffer].width, CACHE_LINE // vectors.bytes
    start = writer.add(writer.multiply(writer.add(unit, source.row), width), source.column)
    first = vectors.pointer(places.registers[source.buffer], start)

    def move(row: str, rows: int, k: str, columns: int) -> None:
        weights = vectors.pointer(first, writer.add(writer.multiply(row, width), k))
        place = vectors.pointer(to, writer.add(writer.multiply(k, step), row))
        if rows == columns == side:
            for column, moved in enumerate(vectors.transposed(weights, width, side)):
                there = vectors.pointer(place, str(column * step))
                writer.do(f"store <{side} x {vectors.element}> {moved}, ptr {there}, align {vectors.bytes}")
            return
        for offset, column in itertools.product(range(rows), range(columns)):
            value = writer.assign(f"load {vectors.element}, ptr {vectors.pointer(weights, str(offset * width + column))}")
            writer.do(f"store {vectors.element} {value}, ptr {vectors.pointer(place, str(column * step + offset))}")

    with writer.loop("0", str(depth + line - 1), line, hint="line") as begin:
        ks = begin, vectors.smin(writer.add(begin, line), str(depth))

        def across(row: str, rows: int) -> None:
            row_tiles(vectors, ks, (rows, 1) if rows > 1 and depth % side else (rows,), lambda k, columns: move(row, rows, k, columns))

        row_tiles(vectors, ("0", str(used)), (side, 1) if used % side else (side,), across)
